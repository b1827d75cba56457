//! The Swin Transformer (Liu et al., arXiv:2103.14030): attention within windows, which every second layer shifts by half of one. Names and
//! numbers are those of Hugging Face's `SwinForImageClassification`.
//!
//! [`config`] has the config, and [`layer`] a layer. It reads top to bottom: blocks, forward, weight names.

mod config;
mod layer;

use burn::module::{Initializer, Module, Param};
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::ops::PadMode;
use burn::tensor::{Device, Tensor};

use self::config::{Sizes, SwinConfig};
use self::layer::{Layer, LayerConfig};
use super::convolution::{global_mean, torch_name};
use super::drop_path;
use super::patches::{PatchConvolution, channels_first, channels_last};
use super::stages;
use super::transformer;
use crate::error::Result;
use crate::models::adapters::adapted;
use crate::models::architecture::{Architecture, Blocks, Built, LibraryHead};
use crate::models::backbones::layer_norm::{LayerNorm, LayerNormConfig};
use crate::models::cpu::operations::dropout;
use crate::models::export::Library;
use crate::models::folder::ModelFolder;
use crate::models::heads::HeadKind;
use crate::models::initial::{self, Initial, Rule, is_bias};
use crate::models::naming::Naming;
use crate::models::weights::Shapes;
use crate::models::{Activations, Modality};

// ------------------------------------------------------------------------------------------------------------ blocks

/// The network below the head.
#[derive(Module, Debug)]
pub(in crate::models) struct Swin {
    embeddings: Embeddings,
    stages: Vec<Stage>,
    norm: LayerNorm,
    #[module(skip)]
    config: SwinConfig,
    #[module(skip)]
    sizes: Sizes,
}

#[derive(Module, Debug)]
struct Embeddings {
    projection: PatchConvolution,
    norm: LayerNorm,
    /// One for each patch, if there are some: `[1, patches, width]`.
    positions: Option<Param<Tensor<3>>>,
    dropout: Dropout,
    side: usize,
}

#[derive(Module, Debug)]
struct Stage {
    layers: Vec<Layer>,
    /// All stages but the last end with it.
    downsample: Option<Merging>,
}

/// Makes one place of four, of twice as many numbers.
#[derive(Module, Debug)]
struct Merging {
    norm: LayerNorm,
    reduction: Linear,
}

impl Swin {
    /// The network with nothing in its weights yet.
    ///
    /// # Errors
    /// A config that contradicts itself.
    fn new(config: SwinConfig, device: &Device) -> Result<Self> {
        let sizes = config.sizes()?;
        let (first, stages) = (sizes.widths[0], sizes.widths.len());
        let mut drops = drop_path::rising(config.drop_path_rate, stages::sum(&config.depths));
        let mut made = Vec::new();
        for (stage, width) in sizes.widths.iter().enumerate() {
            let layers = drops.by_ref().take(config.depths[stage]).enumerate();
            let layers = layers.map(|(index, drop_path)| {
                let config = LayerConfig {
                    width: *width,
                    wide: transformer::times(*width, "mlp_ratio", config.mlp_ratio)?,
                    heads: config.num_heads[stage],
                    window: config.window_size,
                    shifts: index % 2 == 1,
                    bias: config.qkv_bias,
                    dropout: config.hidden_dropout_prob,
                    attention_dropout: config.attention_probs_dropout_prob,
                    epsilon: config.layer_norm_eps,
                    act: config.hidden_act,
                };
                Ok(config.init(drop_path, device))
            });
            made.push(Stage {
                layers: layers.collect::<Result<_>>()?,
                downsample: (stage + 1 < stages).then(|| Merging {
                    norm: LayerNormConfig::new(4 * width).init(device),
                    reduction: LinearConfig::new(4 * width, 2 * width)
                        .with_bias(false)
                        .with_initializer(Initializer::Zeros)
                        .init(device),
                }),
            });
        }
        let places = (sizes.image / sizes.patch).pow(2);
        Ok(Self {
            embeddings: Embeddings {
                projection: PatchConvolution::new(3, first, sizes.patch, true, device),
                norm: LayerNormConfig::new(first).init(device),
                positions: config
                    .use_absolute_embeddings
                    .then(|| Initializer::Zeros.init([1, places, first], device)),
                dropout: DropoutConfig::new(config.hidden_dropout_prob).init(),
                side: sizes.patch,
            },
            norm: LayerNormConfig::new(sizes.widths[stages - 1])
                .with_epsilon(config.layer_norm_eps)
                .init(device),
            stages: made,
            config,
            sizes,
        })
    }

    /// The part of the network that a block is.
    fn part(&self, block: usize) -> Option<Part<'_>> {
        let stages = self.stages.iter().flat_map(|stage| {
            let layers = stage.layers.iter().map(Part::Layer);
            layers.chain(stage.downsample.iter().map(Part::Merging))
        });
        std::iter::once(Part::Embeddings(&self.embeddings))
            .chain(stages)
            .chain([Part::Norm(&self.norm)])
            .nth(block)
    }
}

/// What a block is.
enum Part<'a> {
    Embeddings(&'a Embeddings),
    Layer(&'a Layer),
    Merging(&'a Merging),
    Norm(&'a LayerNorm),
}

// ----------------------------------------------------------------------------------------------------------- forward

impl Blocks for Swin {
    fn not_for_peft(&self) -> Option<&'static str> {
        Some(
            "the layers of a Swin Transformer are called otherwise in transformers' memory than in its files",
        )
    }

    /// `embeddings`, `encoder.layers.0.blocks.0` …, `encoder.layers.0.downsample` …, `layernorm`.
    fn blocks(&self) -> Vec<String> {
        let mut blocks = vec!["embeddings".to_string()];
        for (index, stage) in self.stages.iter().enumerate() {
            let layers = 0..stage.layers.len();
            blocks.extend(layers.map(|layer| format!("encoder.layers.{index}.blocks.{layer}")));
            let merging = stage.downsample.iter();
            blocks.extend(merging.map(|_| format!("encoder.layers.{index}.downsample")));
        }
        blocks.push("layernorm".into());
        blocks
    }

    /// The last block ends with the mean over all places.
    fn forward(&self, block: usize, x: Activations) -> Activations {
        match (self.part(block), x) {
            (Some(Part::Embeddings(embeddings)), Activations::Images(x)) => {
                Activations::Map(channels_first(embeddings.forward(x)))
            }
            (Some(Part::Layer(layer)), Activations::Map(x)) => {
                Activations::Map(channels_first(layer.forward(channels_last(x))))
            }
            (Some(Part::Merging(merging)), Activations::Map(x)) => {
                Activations::Map(channels_first(merging.forward(channels_last(x))))
            }
            (Some(Part::Norm(norm)), Activations::Map(x)) => {
                let x = norm.forward(channels_last(x));
                Activations::Pooled(global_mean(channels_first(x)))
            }
            (_, x) => panic!("block {block} of a Swin Transformer cannot take {x:?}"),
        }
    }

    fn width(&self) -> usize {
        self.sizes.widths[self.sizes.widths.len() - 1]
    }

    /// Dropout and stochastic depth, which are for training, do not enter.
    fn signature(&self) -> String {
        let SwinConfig {
            num_heads,
            window_size,
            hidden_act,
            layer_norm_eps,
            ..
        } = &self.config;
        format!(
            "Swin, {num_heads:?} heads, windows of {window_size}, {hidden_act:?}, layer norm {layer_norm_eps:e}, patches of {}",
            self.sizes.patch
        )
    }

    fn base(&self) -> &'static str {
        "swin"
    }

    /// Positions are those of one size; without them any size will do.
    fn image_size(&self) -> Option<usize> {
        let has_positions = self.embeddings.positions.is_some();
        has_positions.then_some(self.sizes.image)
    }

    /// The last stage has to have a whole window: the biases of a window's places are as many.
    fn least_image_size(&self) -> usize {
        let halvings = u32::try_from(self.stages.len() - 1).unwrap_or(u32::MAX);
        let places = (self.config.window_size - 1).saturating_mul(2_usize.saturating_pow(halvings));
        places.saturating_mul(self.sizes.patch).saturating_add(1)
    }
}

/// `x`, `[batch, height, width, channels]`, with zeros after its rows and columns that make them multiples of `side`.
fn padded(x: Tensor<4>, side: usize) -> Tensor<4> {
    let [_, height, width, _] = x.dims();
    let missing = |size: usize| size.next_multiple_of(side) - size;
    let (below, right) = (missing(height), missing(width));
    if (below, right) == (0, 0) {
        return x;
    }
    x.pad([(0, below), (0, right), (0, 0)], PadMode::Constant(0.0))
}

impl Embeddings {
    /// `[batch, 3, height, width]` → `[batch, rows, columns, channels]`.
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = channels_first(padded(channels_last(x), self.side));
        let x = self.norm.forward(self.projection.forward(x));
        let x = match &self.positions {
            Some(positions) => {
                let [_, rows, columns, width] = x.dims();
                x + positions.val().reshape([1, rows, columns, width])
            }
            None => x,
        };
        dropout(&self.dropout, x)
    }
}

impl Merging {
    /// `[batch, height, width, channels]` → half the height and width, twice the channels.
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = padded(x, 2);
        let [batch, height, width, channels] = x.dims();
        // The four places go column by column.
        let x = x
            .reshape([batch, height / 2, 2, width / 2, 2, channels])
            .permute([0, 1, 3, 4, 2, 5])
            .reshape([batch, height / 2, width / 2, 4 * channels]);
        adapted(&self.reduction, self.norm.forward(x))
    }
}

// ------------------------------------------------------------------------------------------------------ weight names

const NAMING: Naming = Naming {
    parameter: parameter_name,
    checkpoint: |name, _| checkpoint_name(name),
    constant: |name| name.ends_with("relative_position_index"),
    spare: |name| name == "embeddings.mask_token" || name.starts_with("decoder."),
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
        ["embeddings", "norm", field] => format!("embeddings.norm.{}", torch_name(field)),
        ["stages", stage, "downsample", part, field] => {
            format!(
                "encoder.layers.{stage}.downsample.{part}.{}",
                torch_name(field)
            )
        }
        ["stages", stage, "layers", layer, "positions"] => {
            format!(
                "encoder.layers.{stage}.blocks.{layer}.attention.self.relative_position_bias_table"
            )
        }
        ["stages", stage, "layers", layer, part, field] => {
            let part = match part {
                "before" => "layernorm_before",
                "query" => "attention.self.query",
                "key" => "attention.self.key",
                "value" => "attention.self.value",
                "attended" => "attention.output.dense",
                "after" => "layernorm_after",
                "wide" => "intermediate.dense",
                _ => "output.dense",
            };
            format!(
                "encoder.layers.{stage}.blocks.{layer}.{part}.{}",
                torch_name(field)
            )
        }
        ["norm", field] => format!("layernorm.{}", torch_name(field)),
        _ => path.to_string(),
    }
}

/// A name in a checkpoint → the form of [`parameter_name`].
fn checkpoint_name(name: &str) -> String {
    name.strip_prefix("swin.").unwrap_or(name).to_string()
}

// -------------------------------------------------------------------------------------------------------------- row

/// The Swin Transformer's row in the registry.
pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "Swin Transformer",
    model_types: &["swin"],
    modality: Modality::Images,
    variants: &[],
    naming: NAMING,
    heads: &[LibraryHead {
        kind: HeadKind::Pooled,
        block: "classifier",
        layers: &[("linear", "classifier")],
        library: Library::Transformers("AutoModelForImageClassification"),
        classes: &[("swin", "SwinForImageClassification")],
    }],
    build: |source| {
        let config: SwinConfig = source.folder.config_as()?;
        let layers = stages::sum(&config.depths);
        source.checkpoint.refuse_layers("depths", layers)?;
        Ok(Built {
            initializer_range: initial::initializer_range(source.folder)?,
            ..Built::new(Swin::new(config, source.device)?)
        })
    },
    initial,
    recognise,
};

/// As transformers draws them: `SwinPreTrainedModel._init_weights`.
fn initial(folder: &ModelFolder) -> Result<Rule> {
    let std = initial::initializer_range(folder)?;
    Ok(Box::new(move |name, shape| match shape {
        [_] if is_bias(name) => Initial::Zeros,
        [_] => Initial::Ones,
        [_, _, _] => Initial::Zeros,
        _ if name.ends_with("relative_position_bias_table") => Initial::Zeros,
        _ => Initial::Normal(std),
    }))
}

/// Whether weights are those of a Swin Transformer.
fn recognise(shapes: &Shapes<'_>) -> Option<&'static str> {
    let mark = "encoder.layers.0.blocks.0.attention.self.relative_position_bias_table";
    let has = shapes.keys().any(|name| name.ends_with(mark));
    has.then_some(ARCHITECTURE.name)
}
