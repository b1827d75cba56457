//! DINOv2 (Oquab et al., arXiv:2304.07193): a Vision Transformer with a scale for what each part of a layer adds, whose classifier sees the
//! first token beside the mean of the patches. Names and numbers are those of Hugging Face's `Dinov2ForImageClassification`.
//!
//! [`dinov2_config`](super::dinov2_config) has the config. It reads top to bottom: blocks, forward, weight names.

use burn::module::{Initializer, Module, Param};
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::activation::silu;
use burn::tensor::{Device, Tensor};
use serde_json::{Map, Value};

use super::convolution::torch_name;
use super::dinov2_config::{Dinov2Config, Sizes};
use super::drop_path::drop_path;
use super::patches::PatchConvolution;
use super::positions::interpolated;
use super::transformer::{Act, SelfAttention};
use crate::error::Result;
use crate::models::adapters::adapted;
use crate::models::architecture::{Architecture, Blocks, Built, LibraryHead};
use crate::models::backbones::layer_norm::{LayerNorm, LayerNormConfig};
use crate::models::cpu::operations::dropout;
use crate::models::export::Library;
use crate::models::folder::ModelFolder;
use crate::models::heads::HeadKind;
use crate::models::initial::{self, Initial, Rule, is_bias};
use crate::models::naming::{Naming, is_count};
use crate::models::weights::Shapes;
use crate::models::{Activations, Modality};

// ------------------------------------------------------------------------------------------------------------ blocks

/// The network below the head.
#[derive(Module, Debug)]
pub(in crate::models) struct Dinov2 {
    embeddings: Embeddings,
    layers: Vec<Layer>,
    norm: LayerNorm,
    #[module(skip)]
    config: Dinov2Config,
    #[module(skip)]
    patch: usize,
}

#[derive(Module, Debug)]
struct Embeddings {
    cls_token: Param<Tensor<3>>,
    /// What stands for patches that are hidden while the network is pretrained: `[1, width]`. Nothing else uses it.
    mask_token: Option<Param<Tensor<2>>>,
    /// One for the first token and each patch of a square: `[1, 1 + side², width]`.
    positions: Param<Tensor<3>>,
    projection: PatchConvolution,
    dropout: Dropout,
}

#[derive(Module, Debug)]
struct Layer {
    before: LayerNorm,
    attention: SelfAttention,
    attended: Linear,
    attended_scale: Param<Tensor<1>>,
    after: LayerNorm,
    mlp: Mlp,
    mlp_scale: Param<Tensor<1>>,
    drop_path: Dropout,
}

/// What comes after attention, by the names of transformers' layers.
#[derive(Module, Debug)]
enum Mlp {
    Plain(Plain),
    Gated(Gated),
}

#[derive(Module, Debug)]
struct Plain {
    fc1: Linear,
    fc2: Linear,
    #[module(skip)]
    act: Act,
}

/// SwiGLU (Shazeer, arXiv:2002.05202): one half of what the first layer gives is a gate for the other.
#[derive(Module, Debug)]
struct Gated {
    weights_in: Linear,
    weights_out: Linear,
}

impl Dinov2 {
    /// The network with nothing in its weights yet; `mask` says whether it has a token for hidden patches.
    fn new(config: Dinov2Config, mask: bool, device: &Device) -> Result<Self> {
        let sizes = config.sizes()?;
        let width = config.hidden_size;
        let embeddings = Embeddings {
            cls_token: Initializer::Zeros.init([1, 1, width], device),
            mask_token: mask.then(|| Initializer::Zeros.init([1, width], device)),
            positions: Initializer::Zeros.init([1, 1 + sizes.side * sizes.side, width], device),
            projection: PatchConvolution::new(3, width, sizes.patch, true, device),
            dropout: DropoutConfig::new(config.hidden_dropout_prob).init(),
        };
        Ok(Self {
            embeddings,
            layers: (0..config.num_hidden_layers)
                .map(|_| Layer::new(&config, &sizes, device))
                .collect(),
            norm: norm(&config, device),
            patch: sizes.patch,
            config,
        })
    }
}

impl Layer {
    fn new(config: &Dinov2Config, sizes: &Sizes, device: &Device) -> Self {
        let (width, wide) = (config.hidden_size, sizes.wide);
        let linear = |from, to| {
            LinearConfig::new(from, to)
                .with_initializer(Initializer::Zeros)
                .init(device)
        };
        Self {
            before: norm(config, device),
            attention: SelfAttention::new(
                width,
                config.num_attention_heads,
                config.qkv_bias,
                config.attention_probs_dropout_prob,
                device,
            ),
            attended: linear(width, width),
            attended_scale: Initializer::Zeros.init([width], device),
            after: norm(config, device),
            mlp: if config.use_swiglu_ffn {
                Mlp::Gated(Gated {
                    weights_in: linear(width, 2 * wide),
                    weights_out: linear(wide, width),
                })
            } else {
                Mlp::Plain(Plain {
                    fc1: linear(width, wide),
                    fc2: linear(wide, width),
                    act: config.hidden_act,
                })
            },
            mlp_scale: Initializer::Zeros.init([width], device),
            drop_path: DropoutConfig::new(config.drop_path_rate).init(),
        }
    }
}

fn norm(config: &Dinov2Config, device: &Device) -> LayerNorm {
    LayerNormConfig::new(config.hidden_size)
        .with_epsilon(config.layer_norm_eps)
        .init(device)
}

// ----------------------------------------------------------------------------------------------------------- forward

impl Blocks for Dinov2 {
    fn not_for_peft(&self) -> Option<&'static str> {
        Some("the layers of a DINOv2 are others in transformers' memory than in its files")
    }

    /// `embeddings`, `encoder.layer.0` …, `layernorm`.
    fn blocks(&self) -> Vec<String> {
        let layers = (0..self.layers.len()).map(|index| format!("encoder.layer.{index}"));
        std::iter::once("embeddings".to_string())
            .chain(layers)
            .chain(["layernorm".to_string()])
            .collect()
    }

    /// `layernorm` gives the state of the first token and the mean of the others.
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
                let states = self.norm.forward(states);
                let [batch, tokens, width] = states.dims();
                let first = states.clone().slice([0..batch, 0..1]);
                let patches = states.slice([0..batch, 1..tokens]).mean_dim(1);
                let both = Tensor::cat(vec![first, patches], 2);
                Activations::Pooled(both.reshape([batch, 2 * width]))
            }
            (block, x) => panic!("block {block} of a DINOv2 cannot take {x:?}"),
        }
    }

    fn width(&self) -> usize {
        2 * self.config.hidden_size
    }

    /// Dropout and stochastic depth, which are for training, do not enter.
    fn signature(&self) -> String {
        let config = &self.config;
        let between = if config.use_swiglu_ffn {
            "SwiGLU".to_string()
        } else {
            format!("{:?}", config.hidden_act)
        };
        format!(
            "DINOv2, {} heads, {between}, layer norm {:e}, patches of {}",
            config.num_attention_heads, config.layer_norm_eps, self.patch,
        )
    }

    fn base(&self) -> &'static str {
        "dinov2"
    }

    fn uses(&self, name: &str) -> bool {
        name != MASK_TOKEN
    }

    /// Says whether there is a token for hidden patches: transformers would make one anew.
    fn complete(&self, config: &mut Map<String, Value>) {
        if self.embeddings.mask_token.is_none() {
            config.insert("use_mask_token".into(), false.into());
        }
    }

    fn least_image_size(&self) -> usize {
        self.patch
    }
}

impl Embeddings {
    /// `[batch, 3, height, width]` → `[batch, tokens, width]`.
    fn forward(&self, x: Tensor<4>) -> Tensor<3> {
        let patches = self.projection.forward(x);
        let [batch, rows, columns, width] = patches.dims();
        let patches = patches.reshape([batch, rows * columns, width]);
        let positions = self.positions.val();
        let [_, places, _] = positions.dims();
        let first = positions.clone().slice([0..1, 0..1]);
        let others = positions.slice([0..1, 1..places]);
        let others = interpolated(others, [rows, columns]);
        let token = (self.cls_token.val() + first).expand([batch, 1, width]);
        let states = Tensor::cat(vec![token, patches + others], 1);
        dropout(&self.dropout, states)
    }
}

impl Layer {
    /// `[batch, tokens, width]` → the same.
    fn forward(&self, x: Tensor<3>, mask: &Tensor<2>) -> Tensor<3> {
        let attended = self.attention.forward(self.before.forward(x.clone()), mask);
        let attended = adapted(&self.attended, attended) * self.attended_scale.val().unsqueeze();
        let x = x + drop_path(&self.drop_path, attended);
        let narrow = self.mlp.forward(self.after.forward(x.clone()));
        let narrow = narrow * self.mlp_scale.val().unsqueeze();
        x + drop_path(&self.drop_path, narrow)
    }
}

impl Mlp {
    /// `[batch, tokens, width]` → the same.
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Plain(Plain { fc1, fc2, act }) => adapted(fc2, act.apply(adapted(fc1, x))),
            Self::Gated(gated) => {
                let wide = adapted(&gated.weights_in, x);
                let [batch, tokens, both] = wide.dims();
                let half = |from, to| wide.clone().slice([0..batch, 0..tokens, from..to]);
                let gate = silu(half(0, both / 2));
                adapted(&gated.weights_out, gate * half(both / 2, both))
            }
        }
    }
}

// ------------------------------------------------------------------------------------------------------ weight names

const MASK_TOKEN: &str = "embeddings.mask_token";

const NAMING: Naming = Naming {
    parameter: parameter_name,
    checkpoint: |name, _| checkpoint_name(name),
    constant: is_count,
    spare: |_| false,
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
        ["layers", index, "attended_scale"] => {
            format!("encoder.layer.{index}.layer_scale1.lambda1")
        }
        ["layers", index, "mlp_scale"] => format!("encoder.layer.{index}.layer_scale2.lambda1"),
        ["layers", index, "mlp", part, field] => {
            format!("encoder.layer.{index}.mlp.{part}.{field}")
        }
        ["layers", index, part, field] => {
            let part = match part {
                "before" => "norm1",
                "attended" => "attention.output.dense",
                _ => "norm2",
            };
            format!("encoder.layer.{index}.{part}.{}", torch_name(field))
        }
        ["norm", field] => format!("layernorm.{}", torch_name(field)),
        _ => path.to_string(),
    }
}

/// A name in a checkpoint → the form of [`parameter_name`].
fn checkpoint_name(name: &str) -> String {
    name.strip_prefix("dinov2.").unwrap_or(name).to_string()
}

// -------------------------------------------------------------------------------------------------------------- row

/// DINOv2's row in the registry.
pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "DINOv2",
    model_types: &["dinov2"],
    modality: Modality::Images,
    variants: &[],
    naming: NAMING,
    heads: &[LibraryHead {
        kind: HeadKind::Pooled,
        block: "classifier",
        layers: &[("linear", "classifier")],
        library: Library::Transformers("AutoModelForImageClassification"),
        classes: &[("dinov2", "Dinov2ForImageClassification")],
    }],
    build: |source| {
        let config: Dinov2Config = source.folder.config_as()?;
        source
            .checkpoint
            .refuse_layers("num_hidden_layers", config.num_hidden_layers)?;
        let mask = config.use_mask_token && source.checkpoint.has(MASK_TOKEN);
        Ok(Built {
            initializer_range: initial::initializer_range(source.folder)?,
            ..Built::new(Dinov2::new(config, mask, source.device)?)
        })
    },
    initial,
    recognise,
};

/// As transformers draws them: `Dinov2PreTrainedModel._init_weights`.
fn initial(folder: &ModelFolder) -> Result<Rule> {
    let std = initial::initializer_range(folder)?;
    let scale = folder.config_as::<Dinov2Config>()?.layerscale_value;
    Ok(Box::new(move |name, shape| match shape {
        [_] if is_bias(name) => Initial::Zeros,
        [_] if name.ends_with(".lambda1") => Initial::Constant(scale),
        [_] => Initial::Ones,
        _ if name == MASK_TOKEN => Initial::Zeros,
        _ => Initial::Truncated(std),
    }))
}

/// Whether weights are those of a DINOv2.
fn recognise(shapes: &Shapes<'_>) -> Option<&'static str> {
    let mark = "encoder.layer.0.layer_scale1.lambda1";
    let has = shapes.keys().any(|name| name.ends_with(mark));
    has.then_some("DINOv2")
}
