//! MobileNetV3 (Howard et al., arXiv:1905.02244) with the names of torchvision's `mobilenet_v3_large` and `mobilenet_v3_small`.
//!
//! It reads top to bottom: config, blocks, forward, weight names.

use burn::module::{Initializer, Module};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use super::convolution::{
    ConvNorm, ConvNormConfig, ConvNormStyle, Flow, Padding, fan_out, global_mean, torch_name,
};
use super::excitation::{Excitation, ExcitationConfig, Gate};
use super::transformer::Act;
use crate::models::adapters::adapted;
use crate::models::architecture::{Architecture, Blocks, Built, LibraryHead};
use crate::models::cpu::convolution::Activation;
use crate::models::export::Library;
use crate::models::heads::HeadKind;
use crate::models::image_input::{IMAGENET, Variant};
use crate::models::initial::{Initial, is_bias};
use crate::models::naming::{self, Naming, is_count};
use crate::models::{Activations, Modality};

// ------------------------------------------------------------------------------------------------------------ config

/// The checkpoints that have these names and sizes.
const VARIANTS: &[Variant] = &[imagenet(SMALL), imagenet("mobilenet_v3_large")];

const SMALL: &str = "mobilenet_v3_small";

const fn imagenet(name: &'static str) -> Variant {
    Variant {
        name,
        classes: 1000,
        labels: &[],
        input: IMAGENET,
    }
}

/// A block: kernel, channels in between, channels that it gives, whether it has squeeze-and-excitation, whether its function is the hard
/// swish, and not ReLU, and its stride.
type Row = (usize, usize, usize, bool, bool, usize);

/// Table 1 of the paper.
const LARGE_ROWS: &[Row] = &[
    (3, 16, 16, false, false, 1),
    (3, 64, 24, false, false, 2),
    (3, 72, 24, false, false, 1),
    (5, 72, 40, true, false, 2),
    (5, 120, 40, true, false, 1),
    (5, 120, 40, true, false, 1),
    (3, 240, 80, false, true, 2),
    (3, 200, 80, false, true, 1),
    (3, 184, 80, false, true, 1),
    (3, 184, 80, false, true, 1),
    (3, 480, 112, true, true, 1),
    (3, 672, 112, true, true, 1),
    (5, 672, 160, true, true, 2),
    (5, 960, 160, true, true, 1),
    (5, 960, 160, true, true, 1),
];

/// Table 2.
const SMALL_ROWS: &[Row] = &[
    (3, 16, 16, true, false, 2),
    (3, 72, 24, false, false, 2),
    (3, 88, 24, false, false, 1),
    (5, 96, 40, true, true, 2),
    (5, 240, 40, true, true, 1),
    (5, 240, 40, true, true, 1),
    (5, 120, 48, true, true, 1),
    (5, 144, 48, true, true, 1),
    (5, 288, 96, true, true, 2),
    (5, 576, 96, true, true, 1),
    (5, 576, 96, true, true, 1),
];

const FIRST: usize = 16;
const DROPOUT: f64 = 0.2;
/// What torchvision normalises with.
const STYLE: ConvNormStyle = ConvNormStyle {
    padding: Padding::Centred,
    epsilon: 1e-3,
    momentum: 0.01,
    activation: Activation::HardSwish,
};

/// Which of the two networks it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Small,
    Large,
}

impl Size {
    fn of(architecture: &str) -> Self {
        if architecture == SMALL {
            Self::Small
        } else {
            Self::Large
        }
    }

    fn rows(self) -> &'static [Row] {
        match self {
            Self::Small => SMALL_ROWS,
            Self::Large => LARGE_ROWS,
        }
    }

    /// Numbers of the layer before the head.
    fn width(self) -> usize {
        match self {
            Self::Small => 1024,
            Self::Large => 1280,
        }
    }
}

/// The multiple of 8 that is nearest to a quarter of `channels`, but not below nine tenths of it.
fn quarter(channels: usize) -> usize {
    let quarter = channels / 4;
    let nearest = ((quarter + 4) / 8 * 8).max(8);
    if 10 * nearest < 9 * quarter {
        nearest + 8
    } else {
        nearest
    }
}

// ------------------------------------------------------------------------------------------------------------ blocks

/// The network below the head.
#[derive(Module, Debug)]
pub(in crate::models) struct MobileNetV3 {
    features: Vec<Feature>,
    /// The layer over the vector of an image that comes before the head.
    dense: Linear,
    #[module(skip)]
    size: Size,
}

#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a network has fewer than twenty")]
enum Feature {
    /// The first and the last convolution.
    Layer(ConvNorm),
    Block(Block),
}

/// Layers in a row; where the sizes allow it, the input is added.
#[derive(Module, Debug)]
struct Block {
    block: Vec<Part>,
    residual: bool,
}

#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "most of them are the large one")]
enum Part {
    Layer(ConvNorm),
    Excitation(Excitation),
}

impl MobileNetV3 {
    /// The network with nothing in its weights yet.
    fn new(size: Size, device: &Device) -> Self {
        let stem = ConvNormConfig {
            kernel: 3,
            stride: 2,
            ..STYLE.layer(3, FIRST)
        };
        let mut features = vec![Feature::Layer(stem.init(device))];
        let mut inputs = FIRST;
        for row in size.rows() {
            features.push(Feature::Block(Block::new(inputs, *row, device)));
            inputs = row.2;
        }
        let wide = 6 * inputs;
        features.push(Feature::Layer(STYLE.layer(inputs, wide).init(device)));
        Self {
            features,
            dense: LinearConfig::new(wide, size.width())
                .with_initializer(Initializer::Zeros)
                .init(device),
            size,
        }
    }
}

impl Block {
    fn new(inputs: usize, row: Row, device: &Device) -> Self {
        let (kernel, hidden, outputs, excites, is_hard, stride) = row;
        let style = ConvNormStyle {
            activation: if is_hard {
                Activation::HardSwish
            } else {
                Activation::Relu
            },
            ..STYLE
        };
        let expand = (hidden != inputs).then(|| style.layer(inputs, hidden));
        let depthwise = ConvNormConfig {
            depthwise: true,
            kernel,
            stride,
            ..style.layer(hidden, hidden)
        };
        let excitation = excites.then_some(ExcitationConfig {
            narrow: quarter(hidden),
            act: Act::Relu,
            gate: Gate::Hard,
        });
        let project = ConvNormConfig {
            activation: Activation::Identity,
            ..style.layer(hidden, outputs)
        };
        let layer = |config: ConvNormConfig| Part::Layer(config.init(device));
        let mut block: Vec<Part> = expand.into_iter().chain([depthwise]).map(layer).collect();
        block.extend(excitation.map(|config| Part::Excitation(config.init(hidden, device))));
        block.push(layer(project));
        Self {
            block,
            residual: stride == 1 && inputs == outputs,
        }
    }
}

// ----------------------------------------------------------------------------------------------------------- forward

impl Block {
    /// `[batch, inputs, height, width]` → `[batch, outputs, height / stride, width / stride]`.
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let start = Flow::from(x.clone());
        let made = self.block.iter().fold(start, |x, part| match part {
            Part::Layer(layer) => layer.flow(x),
            Part::Excitation(excitation) => excitation.forward(x.settle()).into(),
        });
        if self.residual {
            made.settle_onto(x, false)
        } else {
            made.settle()
        }
    }
}

impl Blocks for MobileNetV3 {
    /// `features.0` …, and `classifier.0`, the layer before the head.
    fn blocks(&self) -> Vec<String> {
        let features = (0..self.features.len()).map(|index| format!("features.{index}"));
        features.chain([DENSE.to_string()]).collect()
    }

    /// The last of the features ends with the mean over the map.
    fn forward(&self, block: usize, x: Activations) -> Activations {
        let last = self.features.len() - 1;
        match (self.features.get(block), x) {
            (Some(Feature::Layer(layer)), Activations::Images(x)) if block == 0 => {
                Activations::Map(layer.forward(x))
            }
            (Some(Feature::Layer(layer)), Activations::Map(x)) if block == last => {
                Activations::Pooled(global_mean(layer.forward(x)))
            }
            (Some(Feature::Block(layers)), Activations::Map(x)) => {
                Activations::Map(layers.forward(x))
            }
            (None, Activations::Pooled(x)) if block == last + 1 => {
                let x = adapted(&self.dense, x);
                Activations::Pooled(x.clone() * (x + 3.0).clamp(0.0, 6.0) / 6.0)
            }
            (_, x) => panic!("block {block} of a MobileNetV3 cannot take {x:?}"),
        }
    }

    fn width(&self) -> usize {
        self.size.width()
    }

    fn signature(&self) -> String {
        format!("MobileNetV3, {:?}", self.size)
    }
}

// ------------------------------------------------------------------------------------------------------ weight names

/// The block before the head.
const DENSE: &str = "classifier.0";

const NAMING: Naming = Naming {
    parameter: parameter_name,
    checkpoint: |name, _| name.to_string(),
    constant: is_count,
    spare: |_| false,
    beside: &[],
};

/// A module's path → torchvision's name. There a block is a sequence, and so is it here.
fn parameter_name(path: &str) -> String {
    let parts: Vec<&str> = path.split('.').collect();
    let index = |part| usize::from(part == "norm");
    match parts[..] {
        ["dense", field] => format!("{DENSE}.{field}"),
        ["features", feature, part, field] => {
            format!("features.{feature}.{}.{}", index(part), torch_name(field))
        }
        ["features", feature, "block", place, "reduce", field] => {
            format!("features.{feature}.block.{place}.fc1.{field}")
        }
        ["features", feature, "block", place, "expand", field] => {
            format!("features.{feature}.block.{place}.fc2.{field}")
        }
        ["features", feature, "block", place, part, field] => {
            let (part, field) = (index(part), torch_name(field));
            format!("features.{feature}.block.{place}.{part}.{field}")
        }
        _ => path.to_string(),
    }
}

// -------------------------------------------------------------------------------------------------------------- row

/// MobileNetV3's row in the registry. Its weights are drawn as in torchvision's `models/mobilenetv3.py`.
pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "MobileNetV3",
    model_types: &[],
    modality: Modality::Images,
    variants: VARIANTS,
    naming: NAMING,
    heads: &[LibraryHead {
        kind: HeadKind::Pooled,
        block: "classifier.3",
        layers: &[("linear", "classifier.3")],
        library: Library::Torchvision,
        classes: &[],
    }],
    build: |source| {
        let size = Size::of(source.folder.word("architecture").unwrap_or_default());
        Ok(Built {
            dropout: DROPOUT,
            ..Built::new(MobileNetV3::new(size, source.device))
        })
    },
    initial: |_| {
        Ok(Box::new(|name, shape| match shape {
            [_] if is_bias(name) => Initial::Zeros,
            [_] => Initial::Ones,
            [_, _] => Initial::Normal(0.01),
            shape => fan_out(shape),
        }))
    },
    recognise: |shapes| {
        let outline = |variant: &Variant| MobileNetV3::new(Size::of(variant.name), &Device::flex());
        naming::recognise(VARIANTS, outline, &NAMING, shapes)
    },
};
