//! Exports of text models that pool as sentence encoders do, which transformers has no class for: a class of their own comes with them,
//! and the files of sentence-transformers, which needs none. No other class may load them, since it would pool in another way.

use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, View};
use serde_json::{Value, json};

use super::super::folder::{self, ModelFolder};
use super::super::{Pooling, weights};
use crate::error::{Context, Result};

/// The file with the class for transformers.
const CLASS_FILE: &str = "modeling_refire.py";
const CLASS: &str = include_str!("modeling_refire.py");
/// Its name.
const CLASS_NAME: &str = "RefireBertForSequenceClassification";

/// What the class calls the linear layer on top.
const HEAD: &str = "head";
/// What transformers' own classes call it.
const CLASSIFIER: &str = "classifier";

/// What [`elsewhere`] calls the empty tensor that keeps other classes away.
pub(in crate::models) const GUARD: &str = "guard";

/// The name that a tensor of such an export has elsewhere.
pub(in crate::models) fn elsewhere(name: &str) -> String {
    match name.split_once('.') {
        Some((HEAD, field)) => format!("{CLASSIFIER}.{field}"),
        Some((CLASSIFIER, _)) => GUARD.into(),
        _ => name.into(),
    }
}

/// Whether `folder` is such an export.
pub(in crate::models) fn has_own_class(folder: &ModelFolder) -> bool {
    folder.config.contains_key("pooling") && folder.word("model_type") == Some("bert")
}

/// Makes such an export of the saved model in `to`, which takes texts of at most `max_length` tokens.
///
/// # Errors
/// Those of the disk.
pub(super) fn complete(to: &Path, pooling: Pooling, max_length: usize) -> Result<()> {
    let [labels, width] = split_head(to)?;
    let mut config = ModelFolder::open(to)?.config;
    config.insert("architectures".into(), json!([CLASS_NAME]));
    let class = format!("modeling_refire.{CLASS_NAME}");
    let auto = json!({ "AutoModelForSequenceClassification": class });
    config.insert("auto_map".into(), auto);
    config.insert("pooling".into(), pooling.name().into());
    folder::write_config(to, &config)?;
    weights::write_new(&to.join(CLASS_FILE), CLASS.as_bytes())?;
    modules(to, pooling, width, Some(labels), max_length)
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
    let mut size = None;
    for (name, view) in tensors.iter() {
        if let Some(field) = name.strip_prefix("projection.") {
            if let [rows, _] = *view.shape() {
                size = Some(rows);
            }
            dense.push((format!("linear.{field}"), view));
        }
    }
    if size.is_some() {
        write_tensors(&to.join("2_Dense").join(weights::SAFETENSORS), dense)?;
    }
    modules(to, pooling, width, size, max_length)
}

/// Writes the settings of sentence-transformers' modules: an encoder of `width` numbers, how it pools, and a layer that makes so many
/// numbers of them, if there is one.
fn modules(
    to: &Path,
    pooling: Pooling,
    width: usize,
    outputs: Option<usize>,
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
    if let Some(outputs) = outputs {
        modules.push(module(2, "2_Dense", "Dense"));
        let dense = json!({
            "in_features": width,
            "out_features": outputs,
            "bias": true,
            "activation_function": "torch.nn.modules.linear.Identity",
        });
        write_json(&to.join("2_Dense").join("config.json"), &dense)?;
    }
    write_json(&to.join("modules.json"), &modules.into())
}

/// Gives the linear layer on top its name in the class, and copies it for sentence-transformers; its rows and columns.
fn split_head(to: &Path) -> Result<[usize; 2]> {
    let path = to.join(weights::SAFETENSORS);
    let cannot = || format!("cannot read `{}`", path.display());
    let bytes = fs::read(&path).or_stage(cannot)?;
    let tensors = SafeTensors::deserialize(&bytes).or_stage(cannot)?;
    let empty = TensorView::new(Dtype::F32, vec![0], &[]).or_stage(cannot)?;
    let mut all = vec![(format!("{CLASSIFIER}.weight"), empty)];
    let mut dense = Vec::new();
    let mut shape = [0; 2];
    for (name, view) in tensors.iter() {
        let Some(field) = name.strip_prefix("classifier.") else {
            all.push((name.to_string(), view));
            continue;
        };
        if let [rows, columns] = *view.shape() {
            shape = [rows, columns];
        }
        all.push((format!("{HEAD}.{field}"), view.clone()));
        dense.push((format!("linear.{field}"), view));
    }
    write_tensors(&to.join("2_Dense").join(weights::SAFETENSORS), dense)?;
    write_tensors(&path, all)?;
    Ok(shape)
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
