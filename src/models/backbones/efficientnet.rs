//! EfficientNet (Tan and Le, arXiv:1905.11946) and EfficientNet-Lite, which has no squeeze-and-excitation and ReLU6, by timm's names:
//! `efficientnet_lite0` …, and `tf_efficientnet_lite0` … (padded as in TensorFlow). [`efficientnet_b`](super::efficientnet_b) has the row
//! of those that are no Lite.
//!
//! It reads top to bottom: config, blocks, forward, weight names.

use burn::module::Module;
use burn::tensor::Device;

use super::convolution::{
    ConvNorm, ConvNormConfig, ConvNormStyle, Padding, global_mean, torch_name,
};
use super::excitation::{ExcitationConfig, Gate};
use super::mobilenet::{InvertedResidual, InvertedResidualConfig};
use super::transformer::Act;
use crate::data::images::Interpolation;
use crate::error::Result;
use crate::models::architecture::{Architecture, Blocks, Built, LibraryHead, Source};
use crate::models::cpu::convolution::Activation;
use crate::models::export::Library;
use crate::models::heads::HeadKind;
use crate::models::image_input::{IMAGENET, ImageInput, Variant};
use crate::models::initial::{self, Initial};
use crate::models::naming::{self, Naming, is_count};
use crate::models::weights::Shapes;
use crate::models::{Activations, Modality};

// ------------------------------------------------------------------------------------------------------------ config

/// The checkpoints that have these names and sizes. Tensors do not tell a network of TensorFlow's from the other.
const VARIANTS: &[Variant] = &[
    imagenet("efficientnet_lite0", 224, 256, COLOURS),
    imagenet("tf_efficientnet_lite0", 224, 256, HALF),
    imagenet("efficientnet_lite1", 240, 272, COLOURS),
    imagenet("tf_efficientnet_lite1", 240, 272, HALF),
    imagenet("efficientnet_lite2", 260, 292, COLOURS),
    imagenet("tf_efficientnet_lite2", 260, 292, HALF),
];

/// Mean and deviation of colours.
pub(super) type Colours = [[f32; 3]; 2];

pub(super) const COLOURS: Colours = [IMAGENET.mean, IMAGENET.std];
pub(super) const HALF: Colours = [[0.5; 3]; 2];

/// A variant with what timm does to photos for its weights.
pub(super) const fn imagenet(
    name: &'static str,
    size: usize,
    resize: usize,
    [mean, std]: Colours,
) -> Variant {
    Variant {
        name,
        classes: 1000,
        labels: &[],
        input: ImageInput {
            size,
            resize,
            interpolation: Interpolation::Bicubic,
            mean,
            std,
            ..IMAGENET
        },
    }
}

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

/// How a network differs from the one in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    /// Whether it is a Lite.
    is_lite: bool,
    /// Which of the row of networks it is, each larger than the one before it.
    size: usize,
    /// Whether it was trained with TensorFlow.
    is_tensorflow: bool,
}

impl Scale {
    /// timm's network of this name.
    pub(super) fn of(architecture: &str) -> Self {
        let (is_tensorflow, name) = match architecture.strip_prefix("tf_") {
            Some(name) => (true, name),
            None => (false, architecture),
        };
        let name = name.strip_prefix("efficientnet_").unwrap_or_default();
        let (is_lite, size) = match name.strip_prefix("lite") {
            Some(size) => (true, size),
            None => (false, name.strip_prefix('b').unwrap_or_default()),
        };
        Self {
            is_lite,
            size: size.parse().unwrap_or(0).min(FACTORS.len() - 1),
            is_tensorflow,
        }
    }

    /// In tenths, how many times as many channels and blocks it has as the one in the table.
    fn factors(self) -> (usize, usize) {
        FACTORS[self.size]
    }

    /// So many channels of the table.
    fn channels(self, of_table: usize) -> usize {
        /// They are multiples of it, and not less than nine tenths of what the factor asks for.
        const MULTIPLE: usize = 8;
        let tenths = of_table * self.factors().0;
        let nearest = (tenths / 10 + MULTIPLE / 2) / MULTIPLE * MULTIPLE;
        let rounded = nearest.max(MULTIPLE);
        if 100 * rounded < 9 * tenths {
            rounded + MULTIPLE
        } else {
            rounded
        }
    }

    /// Channels before the first and after the last stage, which a Lite does not scale.
    fn ends(self) -> (usize, usize) {
        if self.is_lite {
            (FIRST, LAST)
        } else {
            (self.channels(FIRST), self.channels(LAST))
        }
    }

    /// How many blocks each stage has. A Lite does not scale the first and the last.
    fn depths(self) -> [usize; STAGES.len()] {
        std::array::from_fn(|stage| {
            let (.., count, _) = STAGES[stage];
            let is_end = stage == 0 || stage + 1 == STAGES.len();
            if self.is_lite && is_end {
                count
            } else {
                (count * self.factors().1).div_ceil(10)
            }
        })
    }

    /// Dropout before the head, as in the paper.
    pub(super) fn dropout(self) -> f64 {
        match (self.is_lite, self.size) {
            (_, 0 | 1) => 0.2,
            (true, _) | (false, 2 | 3) => 0.3,
            (false, _) => 0.4,
        }
    }

    fn style(self) -> ConvNormStyle {
        ConvNormStyle {
            padding: if self.is_tensorflow {
                Padding::Same
            } else {
                Padding::Centred
            },
            epsilon: if self.is_tensorflow { 1e-3 } else { 1e-5 },
            momentum: 0.1,
            activation: if self.is_lite {
                Activation::Relu6
            } else {
                Activation::Silu
            },
        }
    }
}

/// In tenths, the factors of channels and of blocks of each size.
const FACTORS: [(usize, usize); 5] = [(10, 10), (10, 11), (11, 12), (12, 14), (14, 18)];

// ------------------------------------------------------------------------------------------------------------ blocks

/// The network below the head.
#[derive(Module, Debug)]
pub(in crate::models) struct EfficientNet {
    stem: ConvNorm,
    blocks: Vec<Vec<InvertedResidual>>,
    last: ConvNorm,
    #[module(skip)]
    scale: Scale,
}

impl EfficientNet {
    /// The network with nothing in its weights yet.
    pub(super) fn new(scale: Scale, device: &Device) -> Self {
        let style = scale.style();
        let (first, last) = scale.ends();
        let stem = ConvNormConfig {
            kernel: 3,
            stride: 2,
            ..style.layer(3, first)
        };
        let mut inputs = first;
        let mut stages = Vec::new();
        for ((expansion, kernel, channels, _, stride), depth) in
            STAGES.into_iter().zip(scale.depths())
        {
            let outputs = scale.channels(channels);
            let blocks = (0..depth).map(|index| {
                let block = InvertedResidualConfig {
                    inputs,
                    outputs,
                    hidden: inputs * expansion,
                    kernel,
                    stride: if index == 0 { stride } else { 1 },
                    excitation: (!scale.is_lite).then_some(ExcitationConfig {
                        narrow: inputs / 4,
                        act: Act::Silu,
                        gate: Gate::Sigmoid,
                    }),
                    style,
                };
                inputs = outputs;
                block.init(device)
            });
            stages.push(blocks.collect());
        }
        Self {
            stem: stem.init(device),
            blocks: stages,
            last: style.layer(inputs, last).init(device),
            scale,
        }
    }

    fn block(&self, index: usize) -> Option<&InvertedResidual> {
        self.blocks.iter().flatten().nth(index)
    }
}

// ----------------------------------------------------------------------------------------------------------- forward

impl Blocks for EfficientNet {
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
        let depth: usize = self.scale.depths().iter().sum();
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
        self.scale.ends().1
    }

    fn signature(&self) -> String {
        let ConvNormStyle {
            padding, epsilon, ..
        } = self.scale.style();
        let kind = if self.scale.is_lite { "Lite" } else { "B" };
        let size = self.scale.size;
        format!("EfficientNet-{kind}{size}, Style {{ padding: {padding:?}, epsilon: {epsilon:?} }}")
    }
}

// ------------------------------------------------------------------------------------------------------ weight names

pub(super) const NAMING: Naming = Naming {
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
        ["blocks", stage, index, "excitation", part, field] => {
            format!("blocks.{stage}.{index}.se.conv_{part}.{field}")
        }
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

/// A name in a checkpoint of `architecture` → timm's. Other ports from TensorFlow begin names with `_` and number blocks in one row.
fn checkpoint_name(name: &str, architecture: &str) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    match parts[..] {
        ["_conv_stem", field] => format!("conv_stem.{field}"),
        ["_bn0", field] => format!("bn1.{field}"),
        ["_conv_head", field] => format!("conv_head.{field}"),
        ["_bn1", field] => format!("bn2.{field}"),
        ["_fc", field] => format!("classifier.{field}"),
        ["_blocks", number, part, field] => {
            let number = number.parse().ok();
            let Some((stage, index)) = number.and_then(|number| place(number, architecture)) else {
                return name.to_string();
            };
            let part = match (part, stage) {
                ("_expand_conv", _) | ("_project_conv", 0) => "conv_pw",
                ("_depthwise_conv", _) => "conv_dw",
                ("_project_conv", _) => "conv_pwl",
                ("_bn0", _) | ("_bn1", 0) => "bn1",
                ("_bn1", _) | ("_bn2", 0) => "bn2",
                ("_bn2", _) => "bn3",
                ("_se_reduce", _) => "se.conv_reduce",
                ("_se_expand", _) => "se.conv_expand",
                _ => return name.to_string(),
            };
            format!("blocks.{stage}.{index}.{part}.{field}")
        }
        _ => name.to_string(),
    }
}

/// Stage, and place in the stage, of a block of `architecture` that is numbered in one row.
fn place(number: usize, architecture: &str) -> Option<(usize, usize)> {
    let stages = Scale::of(architecture).depths().into_iter().enumerate();
    stages
        .flat_map(|(stage, count)| (0..count).map(move |index| (stage, index)))
        .nth(number)
}

// -------------------------------------------------------------------------------------------------------------- row

/// He's distribution by the fan-out of a convolution of this shape, of which a group counts: timm's `_init_weight_goog` in
/// `models/_efficientnet_builder.py`.
pub(super) fn fan_out_of_group(shape: &[usize]) -> Initial {
    // A convolution with one input is one of those in which each channel is a group.
    let groups = if shape[1] == 1 { shape[0] } else { 1 };
    initial::kaiming(shape[0] / groups * shape[2..].iter().product::<usize>())
}

/// timm's head, which the rows have.
pub(super) const HEADS: &[LibraryHead] = &[LibraryHead {
    kind: HeadKind::Pooled,
    block: "classifier",
    layers: &[("linear", "classifier")],
    library: Library::Timm,
    classes: &[],
}];

/// EfficientNet-Lite's row in the registry.
pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "EfficientNet-Lite",
    model_types: &[],
    modality: Modality::Images,
    variants: VARIANTS,
    naming: NAMING,
    heads: HEADS,
    build,
    initial: |_| Ok(initial::convolutions(fan_out_of_group)),
    recognise: |shapes| {
        // The others have all tensors of a Lite, and more.
        let is_reduced =
            |name: &&str| name.contains(".se.conv_reduce.") || name.contains("._se_reduce.");
        match shapes.keys().copied().find(is_reduced) {
            Some(_) => None,
            None => recognise(VARIANTS, shapes),
        }
    },
};

/// The network that a folder describes.
#[expect(clippy::unnecessary_wraps, reason = "it is one of a table's functions")]
pub(super) fn build(source: &Source<'_>) -> Result<Built> {
    let scale = Scale::of(source.folder.word("architecture").unwrap_or_default());
    Ok(Built {
        dropout: scale.dropout(),
        ..Built::new(EfficientNet::new(scale, source.device))
    })
}

/// Which of `variants` weights are of.
pub(super) fn recognise(variants: &'static [Variant], shapes: &Shapes<'_>) -> Option<&'static str> {
    let outline = |variant: &Variant| EfficientNet::new(Scale::of(variant.name), &Device::flex());
    naming::recognise(variants, outline, &NAMING, shapes)
}
