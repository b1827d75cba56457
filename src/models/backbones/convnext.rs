//! ConvNeXt (Liu et al., arXiv:2201.03545) and ConvNeXt V2 (Woo et al., arXiv:2301.00808): depthwise 7×7 convolutions between layers that
//! mix the channels of each place. The names and numbers here are those of transformers' `ConvNextForImageClassification` and
//! `ConvNextV2ForImageClassification`; [`convnext_timm`](super::convnext_timm) has timm's.
//!
//! [`convnext_config`](super::convnext_config) has the config. It reads top to bottom: blocks, forward, weight names.

use burn::module::{Initializer, Module, Param};
use burn::nn::{Dropout, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use super::convnext_config::{ConvNextConfig, Family, Mixing, Names, Written};
use super::convolution::{Depthwise, global_mean, torch_name};
use super::drop_path::{self, drop_path};
use super::patches::{PatchConvolution, channels_first, channels_last};
use super::transformer::Act;
use crate::error::Result;
use crate::models::adapters::adapted;
use crate::models::architecture::{Architecture, Blocks, Built, LibraryHead};
use crate::models::backbones::layer_norm::{LayerNorm, LayerNormConfig};
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
pub(in crate::models) struct ConvNext {
    embeddings: Embeddings,
    stages: Vec<Stage>,
    norm: LayerNorm,
    #[module(skip)]
    config: ConvNextConfig,
}

#[derive(Module, Debug)]
struct Embeddings {
    projection: PatchConvolution,
    norm: LayerNorm,
}

#[derive(Module, Debug)]
struct Stage {
    /// All stages but the first begin with it.
    downsampling: Option<Downsampling>,
    layers: Vec<Layer>,
}

/// Halves height and width.
#[derive(Module, Debug)]
struct Downsampling {
    norm: LayerNorm,
    projection: PatchConvolution,
}

#[derive(Module, Debug)]
struct Layer {
    depthwise: Depthwise,
    norm: LayerNorm,
    wide: Mixed,
    response: Option<Response>,
    narrow: Mixed,
    /// A factor for each channel of what the layer adds.
    scale: Option<Param<Tensor<1>>>,
    drop_path: Dropout,
    #[module(skip)]
    act: Act,
}

/// What mixes the channels of a place: the same numbers in the shapes of [`Mixing`].
#[derive(Module, Debug)]
enum Mixed {
    Linear(Linear),
    Convolution(Pointwise),
}

#[derive(Module, Debug)]
struct Pointwise {
    /// `[outputs, inputs, 1, 1]`.
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
}

/// Global response normalisation (arXiv:2301.00808): channels that respond more than others over the whole image are raised.
#[derive(Module, Debug)]
struct Response {
    weight: OfChannels,
    bias: OfChannels,
}

/// A number for each channel, in the shape that a library has.
#[derive(Module, Debug)]
enum OfChannels {
    /// timm's: `[channels]`.
    Flat(Param<Tensor<1>>),
    /// transformers': `[1, 1, 1, channels]`.
    Broadcast(Param<Tensor<4>>),
}

impl ConvNext {
    /// The network with nothing in its weights yet.
    pub(super) fn new(config: ConvNextConfig, device: &Device) -> Self {
        let (first, last) = (config.widths[0], config.widths[config.widths.len() - 1]);
        let mut drops = drop_path::rising(config.drop_path, config.layers());
        let mut inputs = None;
        let mut stages = Vec::new();
        for (width, depth) in config.widths.iter().zip(&config.depths) {
            let downsampling = inputs.replace(*width).map(|inputs| Downsampling {
                norm: norm(inputs, config.epsilon, device),
                projection: PatchConvolution::new(inputs, *width, 2, true, device),
            });
            let drops = drops.by_ref().take(*depth);
            stages.push(Stage {
                downsampling,
                layers: drops
                    .map(|drop| Layer::new(&config, *width, drop, device))
                    .collect(),
            });
        }
        Self {
            embeddings: Embeddings {
                projection: PatchConvolution::new(3, first, config.patch, true, device),
                norm: norm(first, config.epsilon, device),
            },
            stages,
            norm: norm(last, config.last_epsilon, device),
            config,
        }
    }

    /// The part of the network that a block is.
    fn part(&self, block: usize) -> Option<Part<'_>> {
        let stages = self.stages.iter().flat_map(|stage| {
            let downsampling = stage.downsampling.iter().map(Part::Downsampling);
            downsampling.chain(stage.layers.iter().map(Part::Layer))
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
    Downsampling(&'a Downsampling),
    Layer(&'a Layer),
    Norm(&'a LayerNorm),
}

impl Layer {
    fn new(config: &ConvNextConfig, width: usize, drop_path: Dropout, device: &Device) -> Self {
        let wide = 4 * width;
        Self {
            depthwise: Depthwise::new(width, 7, device),
            norm: norm(width, config.epsilon, device),
            wide: Mixed::new(config.mixing, width, wide, device),
            response: (config.family == Family::V2)
                .then(|| Response::new(config.names, wide, device)),
            narrow: Mixed::new(config.mixing, wide, width, device),
            scale: config
                .scaled
                .then(|| Initializer::Zeros.init([width], device)),
            drop_path,
            act: config.act,
        }
    }
}

impl Mixed {
    fn new(mixing: Mixing, inputs: usize, outputs: usize, device: &Device) -> Self {
        match mixing {
            Mixing::Linear => Self::Linear(
                LinearConfig::new(inputs, outputs)
                    .with_initializer(Initializer::Zeros)
                    .init(device),
            ),
            Mixing::Convolution => Self::Convolution(Pointwise {
                weight: Initializer::Zeros.init([outputs, inputs, 1, 1], device),
                bias: Initializer::Zeros.init([outputs], device),
            }),
        }
    }
}

impl Response {
    fn new(names: Names, channels: usize, device: &Device) -> Self {
        let numbers = || match names {
            Names::Timm => OfChannels::Flat(Initializer::Zeros.init([channels], device)),
            Names::Transformers => {
                OfChannels::Broadcast(Initializer::Zeros.init([1, 1, 1, channels], device))
            }
        };
        Self {
            weight: numbers(),
            bias: numbers(),
        }
    }
}

fn norm(width: usize, epsilon: f64, device: &Device) -> LayerNorm {
    LayerNormConfig::new(width)
        .with_epsilon(epsilon)
        .init(device)
}

// ----------------------------------------------------------------------------------------------------------- forward

impl Blocks for ConvNext {
    /// transformers': `embeddings`, `encoder.stages.0.layers.0` …, `encoder.stages.1.downsampling_layer` …, `layernorm`.
    fn blocks(&self) -> Vec<String> {
        let (first, stage_of, down, layer, last) = match self.config.names {
            Names::Transformers => (
                "embeddings",
                "encoder.stages",
                "downsampling_layer",
                "layers",
                "layernorm",
            ),
            Names::Timm => ("stem", "stages", "downsample", "blocks", "head.norm"),
        };
        let mut blocks = vec![first.to_string()];
        for (index, stage) in self.stages.iter().enumerate() {
            let prefix = format!("{stage_of}.{index}");
            blocks.extend(
                stage
                    .downsampling
                    .iter()
                    .map(|_| format!("{prefix}.{down}")),
            );
            let layers = 0..stage.layers.len();
            blocks.extend(layers.map(|index| format!("{prefix}.{layer}.{index}")));
        }
        blocks.push(last.into());
        blocks
    }

    /// The last block begins with the mean over the map.
    fn forward(&self, block: usize, x: Activations) -> Activations {
        match (self.part(block), x) {
            (Some(Part::Embeddings(embeddings)), Activations::Images(x)) => {
                let patches = embeddings.projection.forward(x);
                Activations::Map(channels_first(embeddings.norm.forward(patches)))
            }
            (Some(Part::Downsampling(downsampling)), Activations::Map(x)) => {
                let x = channels_first(downsampling.norm.forward(channels_last(x)));
                Activations::Map(channels_first(downsampling.projection.forward(x)))
            }
            (Some(Part::Layer(layer)), Activations::Map(x)) => Activations::Map(layer.forward(x)),
            (Some(Part::Norm(norm)), Activations::Map(x)) => {
                Activations::Pooled(norm.forward(global_mean(x)))
            }
            (_, x) => panic!("block {block} of a ConvNeXt cannot take {x:?}"),
        }
    }

    fn width(&self) -> usize {
        self.config.widths[self.config.widths.len() - 1]
    }

    /// Stochastic depth, which is for training, does not enter.
    fn signature(&self) -> String {
        let ConvNextConfig {
            family,
            patch,
            act,
            epsilon,
            last_epsilon,
            ..
        } = &self.config;
        format!("{family:?}, patches of {patch}, {act:?}, layer norm {epsilon:e}, {last_epsilon:e}")
    }

    fn base(&self) -> &'static str {
        match (self.config.names, self.config.family) {
            (Names::Timm, _) => "",
            (Names::Transformers, Family::V1) => "convnext",
            (Names::Transformers, Family::V2) => "convnextv2",
        }
    }

    fn least_image_size(&self) -> usize {
        self.config.least_side()
    }
}

impl Layer {
    /// `[batch, channels, height, width]` → the same.
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let filtered = channels_last(self.depthwise.forward(x.clone()));
        let wide = self
            .act
            .apply(self.wide.forward(self.norm.forward(filtered)));
        let wide = match &self.response {
            Some(response) => response.forward(wide),
            None => wide,
        };
        let narrow = self.narrow.forward(wide);
        let narrow = match &self.scale {
            Some(scale) => narrow * scale.val().unsqueeze(),
            None => narrow,
        };
        x + channels_first(drop_path(&self.drop_path, narrow))
    }
}

impl Mixed {
    /// `[batch, height, width, inputs]` → `[batch, height, width, outputs]`.
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Linear(linear) => adapted(linear, x),
            Self::Convolution(Pointwise { weight, bias }) => {
                let [outputs, inputs, ..] = weight.val().dims();
                let weight = weight.val().reshape([1, 1, outputs, inputs]).transpose();
                x.matmul(weight) + bias.val().unsqueeze()
            }
        }
    }
}

impl Response {
    /// `[batch, height, width, channels]` → the same.
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let squares = x.clone().square().sum_dim(1).sum_dim(2);
        // The root has no slope at 0, where PyTorch's norm takes 0 for it.
        let none = squares.clone().equal_elem(0.0);
        let norms = squares.mask_fill(none.clone(), 1.0).sqrt();
        let norms = norms.mask_fill(none, 0.0);
        let response = norms.clone() / (norms.mean_dim(3) + 1e-6);
        let raised = self.weight.value() * (x.clone() * response);
        raised + self.bias.value() + x
    }
}

impl OfChannels {
    /// `[1, 1, 1, channels]`.
    fn value(&self) -> Tensor<4> {
        match self {
            Self::Flat(numbers) => numbers.val().unsqueeze(),
            Self::Broadcast(numbers) => numbers.val(),
        }
    }
}

// ------------------------------------------------------------------------------------------------------ weight names

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
        ["embeddings", "projection", field] => format!("embeddings.patch_embeddings.{field}"),
        ["embeddings", _, field] => format!("embeddings.layernorm.{}", torch_name(field)),
        ["stages", stage, "downsampling", part, field] => {
            let place = usize::from(part == "projection");
            let field = torch_name(field);
            format!("encoder.stages.{stage}.downsampling_layer.{place}.{field}")
        }
        ["stages", stage, "layers", layer, "scale"] => {
            format!("encoder.stages.{stage}.layers.{layer}.layer_scale_parameter")
        }
        ["stages", stage, "layers", layer, part, field] => {
            let part = match part {
                "depthwise" => "dwconv",
                "norm" => "layernorm",
                "wide" => "pwconv1",
                "response" => "grn",
                _ => "pwconv2",
            };
            let field = torch_name(field);
            format!("encoder.stages.{stage}.layers.{layer}.{part}.{field}")
        }
        ["norm", field] => format!("layernorm.{}", torch_name(field)),
        _ => path.to_string(),
    }
}

/// A name in a checkpoint → the form of [`parameter_name`].
fn checkpoint_name(name: &str) -> String {
    ["convnext.", "convnextv2."]
        .iter()
        .find_map(|base| name.strip_prefix(base))
        .unwrap_or(name)
        .to_string()
}

// -------------------------------------------------------------------------------------------------------------- row

/// ConvNeXt's row in the registry.
pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "ConvNeXt",
    model_types: &["convnext", "convnextv2"],
    modality: Modality::Images,
    variants: &[],
    naming: NAMING,
    heads: &[LibraryHead {
        kind: HeadKind::Pooled,
        block: "classifier",
        layers: &[("linear", "classifier")],
        library: Library::Transformers("AutoModelForImageClassification"),
        classes: &[
            ("convnext", "ConvNextForImageClassification"),
            ("convnextv2", "ConvNextV2ForImageClassification"),
        ],
    }],
    build: |source| {
        let written: Written = source.folder.config_as()?;
        let config = written.resolved()?;
        source.checkpoint.refuse_layers("depths", config.layers())?;
        Ok(Built {
            initializer_range: initial::initializer_range(source.folder)?,
            ..Built::new(ConvNext::new(config, source.device))
        })
    },
    initial,
    recognise,
};

/// As transformers draws them: `PreTrainedModel._init_weights` in `modeling_utils.py`, and those of `ConvNextPreTrainedModel` and
/// `ConvNextV2PreTrainedModel`.
fn initial(folder: &ModelFolder) -> Result<Rule> {
    let std = initial::initializer_range(folder)?;
    let Written {
        layer_scale_init_value: scale,
        ..
    } = folder.config_as()?;
    Ok(Box::new(move |name, shape| match shape {
        [_] if is_bias(name) => Initial::Zeros,
        [_] if name.ends_with("layer_scale_parameter") => Initial::Constant(scale),
        [_] => Initial::Ones,
        [1, 1, 1, _] => Initial::Zeros,
        _ => Initial::Normal(std),
    }))
}

/// Whether weights are those of a ConvNeXt with transformers' names.
fn recognise(shapes: &Shapes<'_>) -> Option<&'static str> {
    let has = |mark: &str| {
        shapes
            .keys()
            .any(|name| name.ends_with(&format!("encoder.stages.0.layers.0.{mark}")))
    };
    match (has("dwconv.weight"), has("grn.weight")) {
        (true, true) => Some("ConvNeXt V2"),
        (true, false) => Some("ConvNeXt"),
        _ => None,
    }
}
