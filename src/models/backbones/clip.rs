//! The vision towers of CLIP (Radford et al., arXiv:2103.00020) and SigLIP (Zhai et al., arXiv:2303.15343): Vision Transformers that
//! were trained to find the text that belongs to an image. Names and numbers are those of Hugging Face's `CLIPForImageClassification` and
//! `SiglipForImageClassification`, whose classifiers take the mean of the patches. A folder may hold the tower alone, or the text tower beside
//! it, which is left out. [`siglip`](super::siglip) has the other row.
//!
//! [`clip_config`](super::clip_config) has the config. It reads top to bottom: blocks, forward, weight names.

use burn::module::{Initializer, Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use serde_json::{Map, Value};

use super::clip_config::{Family, TowerConfig, VISION};
use super::convolution::torch_name;
use super::patches::PatchConvolution;
use super::pre_norm::{PreNormConfig, PreNormLayer};
use crate::error::Result;
use crate::models::architecture::{Architecture, Blocks, Built, LibraryHead, Source};
use crate::models::backbones::layer_norm::{LayerNorm, LayerNormConfig};
use crate::models::export::Library;
use crate::models::folder::ModelFolder;
use crate::models::heads::HeadKind;
use crate::models::initial::{Initial, Rule, is_bias};
use crate::models::naming::{Naming, is_in};
use crate::models::weights::Shapes;
use crate::models::{Activations, Modality};

// ------------------------------------------------------------------------------------------------------------ blocks

/// The network below the head.
#[derive(Module, Debug)]
pub(in crate::models) struct VisionTower {
    embeddings: Embeddings,
    /// The normalisation before the layers.
    before: Option<LayerNorm>,
    layers: Vec<PreNormLayer>,
    after: LayerNorm,
    pooling: Option<Pooling>,
    #[module(skip)]
    config: TowerConfig,
}

#[derive(Module, Debug)]
struct Embeddings {
    /// `[width]`.
    class: Option<Param<Tensor<1>>>,
    patches: PatchConvolution,
    /// One for each token: `[tokens, width]`.
    positions: Param<Tensor<2>>,
}

/// SigLIP's pooling by attention, by the names of transformers. It is kept for whoever loads the network elsewhere: no classifier uses it.
#[derive(Module, Debug)]
struct Pooling {
    probe: Param<Tensor<3>>,
    attention: PoolingAttention,
    layernorm: LayerNorm,
    mlp: Mlp,
}

#[derive(Module, Debug)]
struct PoolingAttention {
    /// `[3 · width, width]`.
    in_proj_weight: Param<Tensor<2>>,
    in_proj_bias: Param<Tensor<1>>,
    out_proj: Linear,
}

#[derive(Module, Debug)]
struct Mlp {
    fc1: Linear,
    fc2: Linear,
}

impl VisionTower {
    /// The network that a folder describes, with nothing in its weights yet.
    ///
    /// # Errors
    /// A config that contradicts itself.
    pub(super) fn build(family: Family, source: &Source<'_>) -> Result<Built> {
        let written = family.written(source.folder)?;
        let spread = written.spread_of_head();
        let config = family.config(&written)?;
        source
            .checkpoint
            .refuse_layers("num_hidden_layers", config.layers)?;
        Ok(Built {
            initializer_range: spread,
            ..Built::new(Self::new(config, source.device))
        })
    }

    fn new(config: TowerConfig, device: &Device) -> Self {
        let PreNormConfig { width, wide, .. } = config.layer;
        let is_clip = config.family == Family::Clip;
        let norm = || {
            LayerNormConfig::new(width)
                .with_epsilon(config.layer.epsilon)
                .init(device)
        };
        Self {
            embeddings: Embeddings {
                class: is_clip.then(|| Initializer::Zeros.init([width], device)),
                patches: PatchConvolution::new(3, width, config.patch, !is_clip, device),
                positions: Initializer::Zeros.init([config.tokens(), width], device),
            },
            before: is_clip.then(norm),
            layers: (0..config.layers)
                .map(|_| config.layer.init(device))
                .collect(),
            after: norm(),
            pooling: config
                .pools
                .then(|| Pooling::new(width, wide, norm(), device)),
            config,
        }
    }
}

impl Pooling {
    fn new(width: usize, wide: usize, layernorm: LayerNorm, device: &Device) -> Self {
        let linear = |from, to| {
            LinearConfig::new(from, to)
                .with_initializer(Initializer::Zeros)
                .init(device)
        };
        Self {
            probe: Initializer::Zeros.init([1, 1, width], device),
            attention: PoolingAttention {
                in_proj_weight: Initializer::Zeros.init([3 * width, width], device),
                in_proj_bias: Initializer::Zeros.init([3 * width], device),
                out_proj: linear(width, width),
            },
            layernorm,
            mlp: Mlp {
                fc1: linear(width, wide),
                fc2: linear(wide, width),
            },
        }
    }
}

// ----------------------------------------------------------------------------------------------------------- forward

impl Blocks for VisionTower {
    /// `embeddings`, `encoder.layers.0` …, `post_layernorm`.
    fn blocks(&self) -> Vec<String> {
        let layers = (0..self.layers.len()).map(|index| format!("encoder.layers.{index}"));
        std::iter::once("embeddings".to_string())
            .chain(layers)
            .chain([LAST.to_string()])
            .collect()
    }

    /// `post_layernorm` gives the mean of the patches; CLIP's classifier takes them as they come out of the layers.
    fn forward(&self, block: usize, x: Activations) -> Activations {
        let layers = self.layers.len();
        match (block, x) {
            (0, Activations::Images(x)) => {
                let states = self.embeddings.forward(x);
                let states = match &self.before {
                    Some(norm) => norm.forward(states),
                    None => states,
                };
                let [batch, tokens, _] = states.dims();
                Activations::Hidden {
                    mask: Tensor::ones([batch, tokens], &states.device()),
                    states,
                }
            }
            (block, Activations::Hidden { states, mask }) if (1..=layers).contains(&block) => {
                Activations::Hidden {
                    states: self.layers[block - 1].forward(states, &mask),
                    mask,
                }
            }
            (block, Activations::Hidden { states, .. }) if block == layers + 1 => {
                let [batch, tokens, width] = states.dims();
                let patches = match self.config.family {
                    Family::Clip => states.slice([0..batch, 1..tokens]),
                    Family::Siglip => self.after.forward(states),
                };
                Activations::Pooled(patches.mean_dim(1).reshape([batch, width]))
            }
            (block, x) => panic!("block {block} of a vision tower cannot take {x:?}"),
        }
    }

    fn width(&self) -> usize {
        self.config.layer.width
    }

    /// Dropout, which is for training, does not enter.
    fn signature(&self) -> String {
        let TowerConfig {
            family,
            patch,
            layer,
            ..
        } = &self.config;
        format!(
            "{family:?}, {} heads, {:?}, layer norm {:e}, patches of {patch}",
            layer.heads, layer.act, layer.epsilon,
        )
    }

    fn base(&self) -> &'static str {
        "vision_model"
    }

    fn uses(&self, name: &str) -> bool {
        let is_norm = self.config.family == Family::Clip && is_in(name, LAST);
        !is_norm && !is_in(name, POOLING)
    }

    /// transformers' classes for images read the config of a tower out of that of both.
    fn complete(&self, config: &mut Map<String, Value>) {
        let [both, alone] = self.config.family.model_types();
        if config.get("model_type").and_then(Value::as_str) != Some(alone) {
            return;
        }
        let of_head = |key: &str| {
            [
                "architectures",
                "id2label",
                "label2id",
                "problem_type",
                "dtype",
            ]
            .contains(&key)
        };
        let whole = std::mem::take(config);
        let (outer, tower): (Map<_, _>, Map<_, _>) =
            whole.into_iter().partition(|(key, _)| of_head(key));
        config.insert("model_type".into(), both.into());
        config.extend(outer);
        config.insert(VISION.into(), Value::Object(tower));
    }

    fn image_size(&self) -> Option<usize> {
        Some(self.config.image)
    }
}

impl Embeddings {
    /// `[batch, 3, size, size]` → `[batch, tokens, width]`.
    fn forward(&self, x: Tensor<4>) -> Tensor<3> {
        let patches = self.patches.tokens(x);
        let [batch, _, width] = patches.dims();
        let tokens = match &self.class {
            Some(class) => {
                let class = class.val().reshape([1, 1, width]);
                Tensor::cat(vec![class.expand([batch, 1, width]), patches], 1)
            }
            None => patches,
        };
        tokens + self.positions.val().unsqueeze()
    }
}

// ------------------------------------------------------------------------------------------------------ weight names

/// The block that pools.
const LAST: &str = "post_layernorm";
/// What SigLIP's pooling by attention is called.
const POOLING: &str = "head";

pub(super) const NAMING: Naming = Naming {
    parameter: parameter_name,
    checkpoint: |name, _| checkpoint_name(name),
    constant: |name| name.ends_with("embeddings.position_ids"),
    spare: is_spare,
    beside: &[("pre_layrnorm", "embeddings"), (POOLING, LAST)],
};

/// A module's path → its Hugging Face name without the tower's.
fn parameter_name(path: &str) -> String {
    let parts: Vec<&str> = path.split('.').collect();
    match parts[..] {
        ["embeddings", "class"] => "embeddings.class_embedding".into(),
        ["embeddings", "patches", field] => format!("embeddings.patch_embedding.{field}"),
        ["embeddings", "positions"] => "embeddings.position_embedding.weight".into(),
        // Hugging Face's own spelling.
        ["before", field] => format!("pre_layrnorm.{}", torch_name(field)),
        ["after", field] => format!("{LAST}.{}", torch_name(field)),
        ["layers", index, "attention", part, field] => {
            let part = match part {
                "query" => "q_proj",
                "key" => "k_proj",
                _ => "v_proj",
            };
            format!("encoder.layers.{index}.self_attn.{part}.{field}")
        }
        ["layers", index, part, field] => {
            let part = match part {
                "before" => "layer_norm1",
                "attended" => "self_attn.out_proj",
                "after" => "layer_norm2",
                "wide" => "mlp.fc1",
                _ => "mlp.fc2",
            };
            format!("encoder.layers.{index}.{part}.{}", torch_name(field))
        }
        ["pooling", "layernorm", field] => format!("{POOLING}.layernorm.{}", torch_name(field)),
        ["pooling", ..] => format!("{POOLING}.{}", parts[1..].join(".")),
        _ => path.to_string(),
    }
}

/// A name in a checkpoint → the form of [`parameter_name`].
fn checkpoint_name(name: &str) -> String {
    name.strip_prefix("vision_model.")
        .unwrap_or(name)
        .to_string()
}

/// Whether a tensor is of the other tower, or of what compares the two.
fn is_spare(name: &str) -> bool {
    is_in(name, "text_model")
        || [
            "logit_scale",
            "logit_bias",
            "text_projection.weight",
            "visual_projection.weight",
        ]
        .contains(&name)
}

// -------------------------------------------------------------------------------------------------------------- row

/// CLIP's row in the registry.
pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "CLIP",
    model_types: &["clip", "clip_vision_model"],
    modality: Modality::Images,
    variants: &[],
    naming: NAMING,
    heads: &[LibraryHead {
        kind: HeadKind::Pooled,
        block: "classifier",
        layers: &[("linear", "classifier")],
        library: Library::Transformers("AutoModelForImageClassification"),
        classes: &[("vision_model", "CLIPForImageClassification")],
    }],
    build: |source| VisionTower::build(Family::Clip, source),
    initial,
    recognise: |shapes| recognise(shapes, "embeddings.class_embedding", "CLIP"),
};

/// As transformers draws them: `CLIPPreTrainedModel._init_weights`.
#[expect(clippy::cast_precision_loss, reason = "sizes are small")]
fn initial(folder: &ModelFolder) -> Result<Rule> {
    let written = Family::Clip.written(folder)?;
    let factor = written.initializer_factor;
    let of_width = factor / (written.hidden_size as f64).sqrt();
    let inwards = of_width / (2.0 * written.num_hidden_layers as f64).sqrt();
    let embedded = factor * written.initializer_range;
    Ok(Box::new(move |name, shape| match shape {
        [_] if is_bias(name) => Initial::Zeros,
        [_] if name.ends_with("class_embedding") => Initial::Normal(of_width),
        [_] => Initial::Ones,
        _ if is_in(name, "embeddings") => Initial::Normal(embedded),
        _ if name.ends_with("out_proj.weight") => Initial::Normal(of_width),
        _ if name.ends_with("fc1.weight") => Initial::Normal(of_width / 2.0_f64.sqrt()),
        _ => Initial::Normal(inwards),
    }))
}

/// Whether weights are those of a tower that has a tensor `mark`.
pub(super) fn recognise(
    shapes: &Shapes<'_>,
    mark: &str,
    name: &'static str,
) -> Option<&'static str> {
    let has = |mark: &str| shapes.keys().any(|name| checkpoint_name(name) == mark);
    (has("encoder.layers.0.self_attn.q_proj.weight") && has(mark)).then_some(name)
}
