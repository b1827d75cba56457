//! EfficientNet-Lite0: EfficientNet (Tan and Le, arXiv:1905.11946) without squeeze-and-excitation and with ReLU6, by the names of
//! timm's `tf_efficientnet_lite0` (padded as in TensorFlow) and `efficientnet_lite0`.
//!
//! It reads top to bottom: config, blocks, forward, weight names.

use burn::module::Module;
use burn::tensor::Device;

use super::convolution::{ConvNorm, ConvNormConfig, Padding, global_mean, torch_name};
use super::mobilenet::{InvertedResidual, InvertedResidualConfig};
use crate::data::images::Interpolation;
use crate::models::architecture::{Architecture, Blocks, Built, LibraryHead};
use crate::models::export::Library;
use crate::models::heads::HeadKind;
use crate::models::image_input::{IMAGENET, ImageInput, Variant};
use crate::models::initial::{self, Initial};
use crate::models::kernels::Activation;
use crate::models::naming::{self, Naming, is_count};
use crate::models::{Activations, Modality};

// ------------------------------------------------------------------------------------------------------------ config

/// The checkpoints that have these names and sizes. Tensors do not tell one from the other.
const VARIANTS: &[Variant] = &[
    Variant {
        name: "efficientnet_lite0",
        classes: 1000,
        labels: &[],
        input: ImageInput {
            interpolation: Interpolation::Bicubic,
            ..IMAGENET
        },
    },
    Variant {
        name: TENSORFLOW,
        classes: 1000,
        labels: &[],
        input: ImageInput {
            interpolation: Interpolation::Bicubic,
            mean: [0.5; 3],
            std: [0.5; 3],
            ..IMAGENET
        },
    },
];

/// The variant that was trained with TensorFlow.
const TENSORFLOW: &str = "tf_efficientnet_lite0";

/// Table 1 of the paper: expansion, kernel, channels, how many blocks, the stride of the first of them.
const STAGES: [(usize, usize, usize, usize, usize); 7] = [
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 3, 2),
    (6, 5, 112, 3, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
];
const FIRST: usize = 32;
const LAST: usize = 1280;
const DROPOUT: f64 = 0.2;

/// What the variants differ in.
#[derive(Clone, Copy, Debug)]
struct Style {
    padding: Padding,
    epsilon: f64,
}

impl Style {
    fn of(architecture: &str) -> Self {
        if architecture == TENSORFLOW {
            Self {
                padding: Padding::Same,
                epsilon: 1e-3,
            }
        } else {
            Self {
                padding: Padding::Centred,
                epsilon: 1e-5,
            }
        }
    }

    fn layer(self, inputs: usize, outputs: usize) -> ConvNormConfig {
        ConvNormConfig {
            padding: self.padding,
            epsilon: self.epsilon,
            activation: Activation::Relu6,
            ..ConvNormConfig::new(inputs, outputs)
        }
    }
}

// ------------------------------------------------------------------------------------------------------------ blocks

/// The network below the head.
#[derive(Module, Debug)]
pub(in crate::models) struct EfficientNetLite {
    stem: ConvNorm,
    blocks: Vec<Vec<InvertedResidual>>,
    last: ConvNorm,
    #[module(skip)]
    style: Style,
}

impl EfficientNetLite {
    /// The network with nothing in its weights yet.
    fn new(style: Style, device: &Device) -> Self {
        let stem = ConvNormConfig {
            kernel: 3,
            stride: 2,
            ..style.layer(3, FIRST)
        };
        let mut inputs = FIRST;
        let mut stages = Vec::new();
        for (expansion, kernel, outputs, count, stride) in STAGES {
            let blocks = (0..count).map(|index| {
                let block = InvertedResidualConfig {
                    inputs,
                    outputs,
                    expansion,
                    kernel,
                    stride: if index == 0 { stride } else { 1 },
                    padding: style.padding,
                    epsilon: style.epsilon,
                };
                inputs = outputs;
                block.init(device)
            });
            stages.push(blocks.collect());
        }
        Self {
            stem: stem.init(device),
            blocks: stages,
            last: style.layer(inputs, LAST).init(device),
            style,
        }
    }

    fn block(&self, index: usize) -> Option<&InvertedResidual> {
        self.blocks.iter().flatten().nth(index)
    }
}

// ----------------------------------------------------------------------------------------------------------- forward

/// How many blocks there are between stem and head.
fn depth() -> usize {
    STAGES.iter().map(|(.., count, _)| count).sum()
}

impl Blocks for EfficientNetLite {
    /// `conv_stem`, `blocks.0.0` …, `conv_head`.
    fn blocks(&self) -> Vec<String> {
        let blocks = self.blocks.iter().enumerate();
        let blocks = blocks.flat_map(|(stage, blocks)| {
            (0..blocks.len()).map(move |index| format!("blocks.{stage}.{index}"))
        });
        let blocks: Vec<String> = blocks.collect();
        [vec!["conv_stem".into()], blocks, vec!["conv_head".into()]].concat()
    }

    /// `conv_head` ends with the mean over the map.
    fn forward(&self, block: usize, x: Activations) -> Activations {
        let depth = depth();
        match (block, x) {
            (0, Activations::Images(x)) => Activations::Map(self.stem.forward(x)),
            (block, Activations::Map(x)) if (1..=depth).contains(&block) => {
                match self.block(block - 1) {
                    Some(residual) => Activations::Map(residual.forward(x)),
                    None => unreachable!("there are {depth} blocks"),
                }
            }
            (block, Activations::Map(x)) if block == depth + 1 => {
                Activations::Pooled(global_mean(self.last.forward(x)))
            }
            (block, x) => panic!("block {block} of an EfficientNet cannot take {x:?}"),
        }
    }

    fn width(&self) -> usize {
        LAST
    }

    fn signature(&self) -> String {
        format!("EfficientNet-Lite0, {:?}", self.style)
    }
}

// ------------------------------------------------------------------------------------------------------ weight names

const NAMING: Naming = Naming {
    parameter: parameter_name,
    checkpoint: checkpoint_name,
    constant: is_count,
    spare: |_| false,
    beside: &[("bn1", "conv_stem"), ("bn2", "conv_head")],
};

/// A module's path → timm's name. Its blocks number their normalisations, and the first stage, which does not expand, calls its
/// projection as the others call their expansion.
fn parameter_name(path: &str) -> String {
    let parts: Vec<&str> = path.split('.').collect();
    match parts[..] {
        ["stem", "conv", field] => format!("conv_stem.{field}"),
        ["stem", _, field] => format!("bn1.{}", torch_name(field)),
        ["last", "conv", field] => format!("conv_head.{field}"),
        ["last", _, field] => format!("bn2.{}", torch_name(field)),
        ["blocks", stage, index, layer, part, field] => {
            let expands = stage != "0";
            let (conv, norm) = match (layer, expands) {
                ("expand", _) => ("conv_pw", "bn1"),
                ("depthwise", true) => ("conv_dw", "bn2"),
                ("depthwise", false) => ("conv_dw", "bn1"),
                (_, true) => ("conv_pwl", "bn3"),
                (_, false) => ("conv_pw", "bn2"),
            };
            let part = if part == "conv" { conv } else { norm };
            format!("blocks.{stage}.{index}.{part}.{}", torch_name(field))
        }
        _ => path.to_string(),
    }
}

/// A name in a checkpoint → timm's. Other ports from TensorFlow begin names with `_` and number blocks in one row.
fn checkpoint_name(name: &str) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    match parts[..] {
        ["_conv_stem", field] => format!("conv_stem.{field}"),
        ["_bn0", field] => format!("bn1.{field}"),
        ["_conv_head", field] => format!("conv_head.{field}"),
        ["_bn1", field] => format!("bn2.{field}"),
        ["_fc", field] => format!("classifier.{field}"),
        ["_blocks", number, part, field] => {
            let Some((stage, index)) = number.parse().ok().and_then(place) else {
                return name.to_string();
            };
            let part = match (part, stage) {
                ("_expand_conv", _) | ("_project_conv", 0) => "conv_pw",
                ("_depthwise_conv", _) => "conv_dw",
                ("_project_conv", _) => "conv_pwl",
                ("_bn0", _) | ("_bn1", 0) => "bn1",
                ("_bn1", _) | ("_bn2", 0) => "bn2",
                ("_bn2", _) => "bn3",
                _ => return name.to_string(),
            };
            format!("blocks.{stage}.{index}.{part}.{field}")
        }
        _ => name.to_string(),
    }
}

/// Stage, and place in the stage, of a block that is numbered in one row.
fn place(number: usize) -> Option<(usize, usize)> {
    let stages = STAGES.iter().enumerate();
    stages
        .flat_map(|(stage, (.., count, _))| (0..*count).map(move |index| (stage, index)))
        .nth(number)
}

// -------------------------------------------------------------------------------------------------------------- row

/// He's distribution by the fan-out of a convolution of this shape, of which a group counts: timm's `_init_weight_goog` in
/// `models/_efficientnet_builder.py`.
fn fan_out_of_group(shape: &[usize]) -> Initial {
    // A convolution with one input is one of those in which each channel is a group.
    let groups = if shape[1] == 1 { shape[0] } else { 1 };
    initial::kaiming(shape[0] / groups * shape[2..].iter().product::<usize>())
}

/// EfficientNet-Lite's row in the registry.
pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "EfficientNet-Lite",
    model_types: &[],
    modality: Modality::Images,
    variants: VARIANTS,
    naming: NAMING,
    heads: &[LibraryHead {
        kind: HeadKind::Pooled,
        block: "classifier",
        layers: &[("linear", "classifier")],
        library: Library::Timm,
        classes: &[],
    }],
    build: |source| {
        let style = Style::of(source.folder.word("architecture").unwrap_or_default());
        Ok(Built {
            dropout: DROPOUT,
            ..Built::new(EfficientNetLite::new(style, source.device))
        })
    },
    initial: |_| Ok(initial::convolutions(fan_out_of_group)),
    recognise: |shapes| {
        let outline =
            |variant: &Variant| EfficientNetLite::new(Style::of(variant.name), &Device::flex());
        naming::recognise(VARIANTS, outline, &NAMING, shapes)
    },
};
