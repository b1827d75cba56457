//! Exports of text models that pool as sentence encoders do, which transformers has no class for: a class of their own comes with them,
//! and the files of sentence-transformers, which needs none. No other class may load them, since it would pool in another way.

use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, View};
use serde_json::{Value, json};

use super::super::architecture::{Architecture, LibraryHead};
use super::super::backbones::Act;
use super::super::folder::{self, ModelFolder};
use super::super::heads::{HeadKind, InnerConfig};
use super::super::naming::Names;
use super::super::{Modality, Pooling, weights};
use crate::error::{Context, Result};

/// The file with the class for transformers.
const CLASS_FILE: &str = "modeling_refire.py";
/// The class of a BERT.
const BERT: &str = include_str!("modeling_refire.py");
/// The class of any other encoder, with RoBERTa's name in place of its own.
const ENCODER: &str = include_str!("modeling_encoder.py");

/// What the class calls the layers on top.
const HEAD: &str = "head";

/// What the config of such an export has, and no other.
const POOLING: &str = "pooling";

/// What [`OwnLayers::elsewhere`] calls the empty tensor that keeps other classes away.
pub(in crate::models) const GUARD: &str = "guard";

/// The layers on top of such an export, whose tensors have other names elsewhere.
pub(in crate::models) struct OwnLayers {
    architecture: &'static Architecture,
    head: &'static LibraryHead,
}

impl OwnLayers {
    /// Those of `folder`, if it is such an export of a network of this `architecture`.
    pub(in crate::models) fn of(
        folder: &ModelFolder,
        architecture: &'static Architecture,
    ) -> Option<Self> {
        let is_own =
            architecture.modality == Modality::Texts && folder.config.contains_key(POOLING);
        let head = architecture.head(HeadKind::Pooled).ok()?;
        is_own.then_some(Self { architecture, head })
    }

    /// The name that a tensor has elsewhere.
    pub(in crate::models) fn elsewhere(&self, name: &str) -> String {
        let own = name.strip_prefix(HEAD);
        let Some(field) = own.and_then(|rest| rest.strip_prefix('.')) else {
            return if self.architecture.is_of(self.head, name) {
                GUARD.into()
            } else {
                name.into()
            };
        };
        let layers = self.head.layers.iter();
        let named = layers.clone().find_map(|(layer, own)| {
            let field = field.strip_prefix(short(layer))?.strip_prefix('.')?;
            Some(format!("{own}.{field}"))
        });
        // The only layer of a BERT's head is the head.
        let only = || format!("{}.{field}", layers.last().map_or(HEAD, |(_, own)| own));
        named.unwrap_or_else(only)
    }
}

/// What the class calls a layer on top.
fn short(layer: &str) -> &str {
    layer.rsplit('.').next().unwrap_or(layer)
}

/// What such an export has on top of the encoder.
pub(super) struct OwnClass<'a> {
    /// How the encoder pools.
    pub(super) pooling: Pooling,
    /// The names of the network.
    pub(super) names: &'a Names,
    /// What the layer before the last is, if there is one.
    pub(super) inner: Option<InnerConfig>,
    /// How many tokens a text has at most.
    pub(super) max_length: usize,
}

impl OwnClass<'_> {
    /// What transformers' class with such a head is called: `RobertaForSequenceClassification`.
    fn class(&self) -> &'static str {
        self.names.class().unwrap_or_default()
    }

    /// The class for transformers, and its name.
    fn source(&self) -> (String, String) {
        let class = self.class();
        let family = class.strip_suffix("ForSequenceClassification");
        let family = family.unwrap_or(class);
        let name = format!("Refire{class}");
        if family == "Bert" {
            return (BERT.into(), name);
        }
        let inner = self.inner.map_or("None".into(), |inner| {
            let dropout = if inner.dropout { "True" } else { "False" };
            format!("(\"{}\", {dropout})", inner.act.name())
        });
        let source = ENCODER
            .replace("Roberta", family)
            .replace("BASE", self.names.base)
            .replace("GUARD", &self.guard())
            .replace("INNER = None", &format!("INNER = {inner}"));
        (source, name)
    }

    /// The tensor that is empty: the weight of the last layer on top, by the name that transformers' class has for it.
    fn guard(&self) -> String {
        let last = self.names.head.layers.last();
        format!("{}.weight", last.map_or(HEAD, |(_, own)| own))
    }

    /// Makes such an export of the saved model in `to`.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn complete(&self, to: &Path) -> Result<()> {
        let layers = self.split_head(to)?;
        let (source, name) = self.source();
        let mut config = ModelFolder::open(to)?.config;
        config.insert("architectures".into(), json!([name]));
        let class = format!("modeling_refire.{name}");
        let auto = json!({ "AutoModelForSequenceClassification": class });
        config.insert("auto_map".into(), auto);
        config.insert(POOLING.into(), self.pooling.name().into());
        folder::write_config(to, &config)?;
        weights::write_new(&to.join(CLASS_FILE), source.as_bytes())?;
        let width = layers.first().map_or(0, |layer| layer.inputs);
        modules(to, self.pooling, width, &layers, self.max_length)
    }

    /// Gives the layers on top their names in the class, and copies them for sentence-transformers; what they are.
    fn split_head(&self, to: &Path) -> Result<Vec<Dense>> {
        let path = to.join(weights::SAFETENSORS);
        let cannot = || format!("cannot read `{}`", path.display());
        let bytes = fs::read(&path).or_stage(cannot)?;
        let tensors = SafeTensors::deserialize(&bytes).or_stage(cannot)?;
        let empty = TensorView::new(Dtype::F32, vec![0], &[]).or_stage(cannot)?;
        let mut all = vec![(self.guard(), empty)];
        let of_layers = self.names.head.layers;
        let mut layers: Vec<Dense> = of_layers.iter().map(|_| Dense::default()).collect();
        let mut copies: Vec<Vec<_>> = of_layers.iter().map(|_| Vec::new()).collect();
        for (name, view) in tensors.iter() {
            let of_layer = of_layers.iter().enumerate().find_map(|(index, (_, own))| {
                let field = name.strip_prefix(own)?.strip_prefix('.')?;
                Some((index, field))
            });
            let Some((index, field)) = of_layer else {
                all.push((name.to_string(), view));
                continue;
            };
            if let [rows, columns] = *view.shape() {
                (layers[index].outputs, layers[index].inputs) = (rows, columns);
            }
            let (layer, _) = of_layers[index];
            let name = match of_layers {
                [_] if self.class().starts_with("Bert") => format!("{HEAD}.{field}"),
                _ => format!("{HEAD}.{}.{field}", short(layer)),
            };
            all.push((name, view.clone()));
            copies[index].push((format!("linear.{field}"), view));
        }
        for (index, copy) in copies.into_iter().enumerate() {
            let path = to.join(Dense::folder(index)).join(weights::SAFETENSORS);
            write_tensors(&path, copy)?;
        }
        write_tensors(&path, all)?;
        if let ([inner, _], Some(config)) = (&mut layers[..], self.inner) {
            inner.act = Some(config.act);
        }
        Ok(layers)
    }
}

/// A linear layer as a module of sentence-transformers.
#[derive(Clone, Copy, Default)]
struct Dense {
    inputs: usize,
    outputs: usize,
    /// The function behind it.
    act: Option<Act>,
}

impl Dense {
    /// The folder of such a layer that comes after so many others.
    fn folder(index: usize) -> String {
        format!("{}_Dense", index + 2)
    }

    fn settings(self) -> Value {
        let act = self
            .act
            .map_or("torch.nn.modules.linear.Identity", Act::module);
        json!({
            "in_features": self.inputs,
            "out_features": self.outputs,
            "bias": true,
            "activation_function": act,
        })
    }
}

/// Makes an export that sentence-transformers loads of the saved encoder in `to`, whose vectors have `width` numbers and which takes texts
/// of at most `max_length` tokens. The layer on top, if there is one, is a module of its own, and stays among the weights, where refire
/// reads it.
///
/// # Errors
/// Those of the disk.
pub(super) fn complete_encoder(
    to: &Path,
    pooling: Pooling,
    width: usize,
    max_length: usize,
) -> Result<()> {
    let path = to.join(weights::SAFETENSORS);
    let cannot = || format!("cannot read `{}`", path.display());
    let bytes = fs::read(&path).or_stage(cannot)?;
    let tensors = SafeTensors::deserialize(&bytes).or_stage(cannot)?;
    let mut dense = Vec::new();
    let mut layers = Vec::new();
    for (name, view) in tensors.iter() {
        if let Some(field) = name.strip_prefix("projection.") {
            if let [outputs, inputs] = *view.shape() {
                layers.push(Dense {
                    inputs,
                    outputs,
                    act: None,
                });
            }
            dense.push((format!("linear.{field}"), view));
        }
    }
    if !layers.is_empty() {
        let path = to.join(Dense::folder(0)).join(weights::SAFETENSORS);
        write_tensors(&path, dense)?;
    }
    modules(to, pooling, width, &layers, max_length)
}

/// Writes the settings of sentence-transformers' modules: an encoder of `width` numbers, how it pools, and the layers behind that.
fn modules(
    to: &Path,
    pooling: Pooling,
    width: usize,
    layers: &[Dense],
    max_length: usize,
) -> Result<()> {
    let module = |index: usize, path: &str, class: &str| {
        let class = format!("sentence_transformers.models.{class}");
        json!({ "idx": index, "name": index.to_string(), "path": path, "type": class })
    };
    let mut modules = vec![
        module(0, "", "Transformer"),
        module(1, "1_Pooling", "Pooling"),
    ];
    let pools = json!({
        "word_embedding_dimension": width,
        "pooling_mode_cls_token": pooling == Pooling::Cls,
        "pooling_mode_mean_tokens": pooling == Pooling::Mean,
        "pooling_mode_max_tokens": false,
        "pooling_mode_mean_sqrt_len_tokens": false,
    });
    let cut = json!({ "max_seq_length": max_length, "do_lower_case": false });
    write_json(&to.join("sentence_bert_config.json"), &cut)?;
    write_json(&to.join("1_Pooling").join("config.json"), &pools)?;
    for (index, layer) in layers.iter().enumerate() {
        let folder = Dense::folder(index);
        modules.push(module(index + 2, &folder, "Dense"));
        write_json(&to.join(folder).join("config.json"), &layer.settings())?;
    }
    write_json(&to.join("modules.json"), &modules.into())
}

fn write_tensors(path: &Path, tensors: Vec<(String, impl View)>) -> Result<()> {
    make_folder(path)?;
    weights::write_file(tensors, path)
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    make_folder(path)?;
    let mut json = serde_json::to_vec_pretty(value)
        .or_stage(|| format!("cannot write `{}`", path.display()))?;
    json.push(b'\n');
    weights::write_new(path, &json)
}

fn make_folder(file: &Path) -> Result<()> {
    let folder = file.parent().unwrap_or(file);
    fs::create_dir_all(folder).or_stage(|| format!("cannot make `{}`", folder.display()))
}
