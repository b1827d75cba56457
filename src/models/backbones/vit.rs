//! The Vision Transformer (Dosovitskiy et al., arXiv:2010.11929) and DeiT (Touvron et al., arXiv:2012.12877): an encoder of
//! pre-norm transformer layers over patches, with names and numbers of Hugging Face's `ViTForImageClassification` and
//! `DeiTForImageClassification`.
//!
//! It reads top to bottom: config, blocks, forward, weight names.

use burn::module::{Initializer, Module, Param};
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{Device, Tensor};
use serde::Deserialize;

use super::convolution::torch_name;
use super::patches::PatchConvolution;
use super::pre_norm::{PreNormConfig, PreNormLayer};
use super::transformer::{self, Act, default_layer_norm_eps, wrong};
use crate::error::Result;
use crate::models::architecture::{Architecture, Blocks, Built, LibraryHead};
use crate::models::backbones::layer_norm::{LayerNorm, LayerNormConfig};
use crate::models::cpu::operations::dropout;
use crate::models::export::Library;
use crate::models::folder::ModelFolder;
use crate::models::heads::HeadKind;
use crate::models::initial::{self, Initial, Rule, is_bias};
use crate::models::naming::{Naming, is_count, is_in};
use crate::models::weights::Shapes;
use crate::models::{Activations, Modality};

// ------------------------------------------------------------------------------------------------------------ config

/// The part of `config.json` that decides what the network is.
#[derive(Clone, Debug, Deserialize)]
struct VitConfig {
    model_type: Family,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    #[serde(default)]
    hidden_act: Act,
    #[serde(default)]
    hidden_dropout_prob: f64,
    #[serde(default)]
    attention_probs_dropout_prob: f64,
    #[serde(default = "default_layer_norm_eps")]
    layer_norm_eps: f64,
    #[serde(default = "default_image_size")]
    image_size: usize,
    #[serde(default = "default_patch_size")]
    patch_size: usize,
    #[serde(default = "default_num_channels")]
    num_channels: usize,
    #[serde(default = "default_qkv_bias")]
    qkv_bias: bool,
}

/// Which of the two networks it is.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Family {
    Vit,
    /// With a further token, which was trained to follow a teacher.
    Deit,
}

fn default_image_size() -> usize {
    224
}

fn default_patch_size() -> usize {
    16
}

fn default_num_channels() -> usize {
    3
}

fn default_qkv_bias() -> bool {
    true
}

impl VitConfig {
    /// Checks what the types cannot say.
    fn check(&self) -> Result<()> {
        if self.patch_size == 0 || !self.image_size.is_multiple_of(self.patch_size) {
            return wrong(&format!(
                "`image_size` {} is not a multiple of `patch_size` {}",
                self.image_size, self.patch_size
            ));
        }
        let side = self.image_size / self.patch_size;
        if side.checked_mul(side).is_none() {
            return wrong(&format!("`image_size` {} is no size", self.image_size));
        }
        transformer::check_colours(self.num_channels)?;
        transformer::check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("image_size", self.image_size),
        ])?;
        transformer::check_norm(self.layer_norm_eps)?;
        transformer::check(
            self.hidden_size,
            self.num_attention_heads,
            &[
                ("hidden_dropout_prob", self.hidden_dropout_prob),
                (
                    "attention_probs_dropout_prob",
                    self.attention_probs_dropout_prob,
                ),
            ],
        )
    }

    /// Tokens of an image: one for each patch, and those that stand before them.
    fn tokens(&self) -> usize {
        let side = self.image_size / self.patch_size;
        let before = if self.model_type == Family::Deit {
            2
        } else {
            1
        };
        side * side + before
    }
}

// ------------------------------------------------------------------------------------------------------------ blocks

/// The network below the head.
#[derive(Module, Debug)]
pub(in crate::models) struct Vit {
    embeddings: Embeddings,
    layers: Vec<PreNormLayer>,
    norm: LayerNorm,
    #[module(skip)]
    config: VitConfig,
}

#[derive(Module, Debug)]
struct Embeddings {
    cls_token: Param<Tensor<3>>,
    distillation_token: Option<Param<Tensor<3>>>,
    /// One for each token: `[1, tokens, width]`.
    positions: Param<Tensor<3>>,
    /// Makes a token of a patch.
    projection: PatchConvolution,
    dropout: Dropout,
}

impl Vit {
    /// The network with nothing in its weights yet.
    fn new(config: VitConfig, device: &Device) -> Self {
        let layer = PreNormConfig {
            width: config.hidden_size,
            wide: config.intermediate_size,
            heads: config.num_attention_heads,
            bias: config.qkv_bias,
            dropout: config.hidden_dropout_prob,
            attention_dropout: config.attention_probs_dropout_prob,
            epsilon: config.layer_norm_eps,
            act: config.hidden_act,
        };
        Self {
            embeddings: Embeddings::new(&config, device),
            layers: (0..config.num_hidden_layers)
                .map(|_| layer.init(device))
                .collect(),
            norm: norm(&config, device),
            config,
        }
    }
}

impl Embeddings {
    fn new(config: &VitConfig, device: &Device) -> Self {
        let (width, patch) = (config.hidden_size, config.patch_size);
        let token = || Initializer::Zeros.init([1, 1, width], device);
        Self {
            cls_token: token(),
            distillation_token: (config.model_type == Family::Deit).then(token),
            positions: Initializer::Zeros.init([1, config.tokens(), width], device),
            projection: PatchConvolution::new(3, width, patch, true, device),
            dropout: DropoutConfig::new(config.hidden_dropout_prob).init(),
        }
    }
}

fn norm(config: &VitConfig, device: &Device) -> LayerNorm {
    LayerNormConfig::new(config.hidden_size)
        .with_epsilon(config.layer_norm_eps)
        .init(device)
}

// ----------------------------------------------------------------------------------------------------------- forward

impl Blocks for Vit {
    /// `embeddings`, `encoder.layer.0` …, `layernorm`.
    fn blocks(&self) -> Vec<String> {
        let layers = (0..self.layers.len()).map(|index| format!("encoder.layer.{index}"));
        std::iter::once("embeddings".to_string())
            .chain(layers)
            .chain(["layernorm".to_string()])
            .collect()
    }

    /// `layernorm` gives the state of the first token.
    fn forward(&self, block: usize, x: Activations) -> Activations {
        let layers = self.layers.len();
        match (block, x) {
            (0, Activations::Images(x)) => {
                let states = self.embeddings.forward(x);
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
                let [batch, _, width] = states.dims();
                let first = states.slice([0..batch, 0..1]).reshape([batch, width]);
                Activations::Pooled(self.norm.forward(first))
            }
            (block, x) => panic!("block {block} of a Vision Transformer cannot take {x:?}"),
        }
    }

    fn width(&self) -> usize {
        self.config.hidden_size
    }

    /// Dropout, which is for training, does not enter.
    fn signature(&self) -> String {
        let config = &self.config;
        format!(
            "{:?}, {} heads, {:?}, layer norm {:e}, patches of {}",
            config.model_type,
            config.num_attention_heads,
            config.hidden_act,
            config.layer_norm_eps,
            config.patch_size,
        )
    }

    fn base(&self) -> &'static str {
        match self.config.model_type {
            Family::Vit => "vit",
            Family::Deit => "deit",
        }
    }

    fn in_memory(&self, name: &str) -> String {
        let parts = IN_MEMORY.iter();
        parts.fold(name.to_string(), |name, (in_files, in_memory)| {
            name.replace(in_files, in_memory)
        })
    }

    fn image_size(&self) -> Option<usize> {
        Some(self.config.image_size)
    }
}

impl Embeddings {
    /// `[batch, 3, size, size]` → `[batch, tokens, width]`.
    fn forward(&self, x: Tensor<4>) -> Tensor<3> {
        let [batch, ..] = x.dims();
        let [_, _, width] = self.cls_token.val().dims();
        let patches = self.projection.tokens(x);
        let token = |token: &Param<Tensor<3>>| token.val().expand([batch, 1, width]);
        let mut tokens = vec![token(&self.cls_token)];
        tokens.extend(self.distillation_token.as_ref().map(token));
        tokens.push(patches);
        let states = Tensor::cat(tokens, 1) + self.positions.val();
        dropout(&self.dropout, states)
    }
}

// ------------------------------------------------------------------------------------------------------ weight names

const NAMING: Naming = Naming {
    parameter: parameter_name,
    checkpoint: |name, _| checkpoint_name(name),
    constant: is_count,
    spare: is_spare,
    beside: &[],
};

/// A module's path → its Hugging Face name without the base model's.
fn parameter_name(path: &str) -> String {
    let parts: Vec<&str> = path.split('.').collect();
    match parts[..] {
        ["embeddings", "projection", field] => {
            format!("embeddings.patch_embeddings.projection.{field}")
        }
        ["embeddings", "positions"] => "embeddings.position_embeddings".into(),
        ["layers", index, "attention", part, field] => {
            format!("encoder.layer.{index}.attention.attention.{part}.{field}")
        }
        ["layers", index, part, field] => {
            let part = match part {
                "before" => "layernorm_before",
                "attended" => "attention.output.dense",
                "after" => "layernorm_after",
                "wide" => "intermediate.dense",
                _ => "output.dense",
            };
            format!("encoder.layer.{index}.{part}.{}", torch_name(field))
        }
        ["norm", field] => format!("layernorm.{}", torch_name(field)),
        _ => path.to_string(),
    }
}

/// A part of a name in files → what transformers 5 calls it in memory. What stands inside another stands behind it.
const IN_MEMORY: &[(&str, &str)] = &[
    ("encoder.layer.", "layers."),
    (".attention.attention.query.", ".attention.q_proj."),
    (".attention.attention.key.", ".attention.k_proj."),
    (".attention.attention.value.", ".attention.v_proj."),
    (".attention.output.dense.", ".attention.o_proj."),
    (".intermediate.dense.", ".mlp.fc1."),
    (".output.dense.", ".mlp.fc2."),
];

/// A name in a checkpoint, or in transformers' memory, → the form of [`parameter_name`].
fn checkpoint_name(name: &str) -> String {
    let mut bases = ["vit.", "deit."].iter();
    let name = bases
        .find_map(|base| name.strip_prefix(base))
        .unwrap_or(name);
    if !name.starts_with("layers.") {
        return name.to_string();
    }
    let parts = IN_MEMORY.iter();
    parts.fold(name.to_string(), |name, (in_files, in_memory)| {
        name.replace(in_memory, in_files)
    })
}

/// Whether a tensor is for another task: the pooler of the bare model, the token for masked patches, the heads that follow a
/// teacher, a decoder.
fn is_spare(name: &str) -> bool {
    name == "embeddings.mask_token"
        || [
            "pooler",
            "cls_classifier",
            "distillation_classifier",
            "decoder",
        ]
        .iter()
        .any(|part| is_in(name, part))
}

// -------------------------------------------------------------------------------------------------------------- row

/// The Vision Transformer's row in the registry.
pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "Vision Transformer",
    model_types: &["vit", "deit"],
    modality: Modality::Images,
    variants: &[],
    naming: NAMING,
    heads: &[LibraryHead {
        kind: HeadKind::Pooled,
        block: "classifier",
        layers: &[("linear", "classifier")],
        library: Library::Transformers("AutoModelForImageClassification"),
        classes: &[
            ("vit", "ViTForImageClassification"),
            ("deit", "DeiTForImageClassification"),
        ],
    }],
    build: |source| {
        let config: VitConfig = source.folder.config_as()?;
        config.check()?;
        source
            .checkpoint
            .refuse_layers("num_hidden_layers", config.num_hidden_layers)?;
        Ok(Built::new(Vit::new(config, source.device)))
    },
    initial,
    recognise,
};

/// As transformers draws them: `PreTrainedModel._init_weights` in `modeling_utils.py`, and those of `ViTPreTrainedModel` and
/// `DeiTPreTrainedModel`, which differ in what stands beside the patches.
fn initial(folder: &ModelFolder) -> Result<Rule> {
    let std = initial::initializer_range(folder)?;
    let VitConfig { model_type, .. } = folder.config_as()?;
    Ok(Box::new(move |name, shape| match shape {
        [_] if is_bias(name) => Initial::Zeros,
        [_] => Initial::Ones,
        [_, _, _] if model_type == Family::Deit => Initial::Zeros,
        [_, _, _] => Initial::Truncated(std),
        _ => Initial::Normal(std),
    }))
}

/// Whether weights are those of a Vision Transformer.
fn recognise(shapes: &Shapes<'_>) -> Option<&'static str> {
    let has = |mark: &str| shapes.keys().any(|name| name.ends_with(mark));
    // DINOv2 has the same layers, with a scale behind each of their parts.
    let is_vit = has("encoder.layer.0.attention.attention.query.weight")
        && !has("encoder.layer.0.layer_scale1.lambda1");
    match (is_vit, has("embeddings.distillation_token")) {
        (true, true) => Some("DeiT"),
        (true, false) => Some("ViT"),
        _ => None,
    }
}
