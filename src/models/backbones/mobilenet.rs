//! MobileNetV2 (Sandler et al., arXiv:1801.04381) with the names of torchvision's `mobilenet_v2`.
//!
//! It reads top to bottom: config, blocks, forward, weight names.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::convolution::{
    ConvNorm, ConvNormConfig, ConvNormStyle, Padding, fan_out, global_mean, torch_name,
};
use super::excitation::{Excitation, ExcitationConfig};
use crate::models::architecture::{Architecture, Blocks, Built, LibraryHead};
use crate::models::cpu::convolution::Activation;
use crate::models::export::Library;
use crate::models::heads::HeadKind;
use crate::models::image_input::{IMAGENET, Variant};
use crate::models::initial;
use crate::models::naming::{self, Naming, is_count};
use crate::models::{Activations, Modality};

// ------------------------------------------------------------------------------------------------------------ config

/// The checkpoints that have these names and sizes.
const VARIANTS: &[Variant] = &[Variant {
    name: "mobilenet_v2",
    classes: 1000,
    labels: &[],
    input: IMAGENET,
}];

/// Table 2 of the paper: expansion, channels, how many blocks, the stride of the first of them.
const STAGES: [(usize, usize, usize, usize); 7] = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
];
const STYLE: ConvNormStyle = ConvNormStyle {
    padding: Padding::Centred,
    epsilon: 1e-5,
    momentum: 0.1,
    activation: Activation::Relu6,
};
const FIRST: usize = 32;
const LAST: usize = 1280;
const DROPOUT: f64 = 0.2;

// ------------------------------------------------------------------------------------------------------------ blocks

/// The network below the head.
#[derive(Module, Debug)]
pub(in crate::models) struct MobileNetV2 {
    stem: ConvNorm,
    blocks: Vec<InvertedResidual>,
    last: ConvNorm,
}

/// A block that expands its input, filters every channel on its own, and projects the result onto few channels; where the
/// sizes allow it, the input is added.
#[derive(Module, Debug)]
pub(super) struct InvertedResidual {
    expand: Option<ConvNorm>,
    depthwise: ConvNorm,
    excitation: Option<Excitation>,
    project: ConvNorm,
    residual: bool,
}

/// What an [`InvertedResidual`] is.
#[derive(Clone, Copy, Debug)]
pub(super) struct InvertedResidualConfig {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// Channels in between; as many as come in if it does not expand.
    pub(super) hidden: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    /// What the channels in between go through before they are projected.
    pub(super) excitation: Option<ExcitationConfig>,
    /// What its layers have in common.
    pub(super) style: ConvNormStyle,
}

impl InvertedResidualConfig {
    pub(super) fn init(self, device: &Device) -> InvertedResidual {
        let hidden = self.hidden;
        let layer = |inputs, outputs| self.style.layer(inputs, outputs);
        let expand = (hidden != self.inputs).then(|| layer(self.inputs, hidden).init(device));
        let depthwise = ConvNormConfig {
            depthwise: true,
            kernel: self.kernel,
            stride: self.stride,
            ..layer(hidden, hidden)
        };
        let project = ConvNormConfig {
            activation: Activation::Identity,
            ..layer(hidden, self.outputs)
        };
        InvertedResidual {
            expand,
            depthwise: depthwise.init(device),
            excitation: self.excitation.map(|config| config.init(hidden, device)),
            project: project.init(device),
            residual: self.stride == 1 && self.inputs == self.outputs,
        }
    }
}

impl MobileNetV2 {
    /// The network with nothing in its weights yet.
    fn new(device: &Device) -> Self {
        let stem = ConvNormConfig {
            kernel: 3,
            stride: 2,
            activation: Activation::Relu6,
            ..ConvNormConfig::new(3, FIRST)
        };
        let mut blocks = Vec::new();
        let mut inputs = FIRST;
        for (expansion, outputs, count, stride) in STAGES {
            for index in 0..count {
                let block = InvertedResidualConfig {
                    inputs,
                    outputs,
                    hidden: inputs * expansion,
                    kernel: 3,
                    stride: if index == 0 { stride } else { 1 },
                    excitation: None,
                    style: STYLE,
                };
                blocks.push(block.init(device));
                inputs = outputs;
            }
        }
        let last = ConvNormConfig {
            activation: Activation::Relu6,
            ..ConvNormConfig::new(inputs, LAST)
        };
        Self {
            stem: stem.init(device),
            blocks,
            last: last.init(device),
        }
    }
}

// ----------------------------------------------------------------------------------------------------------- forward

impl InvertedResidual {
    /// `[batch, inputs, height, width]` → `[batch, outputs, height / stride, width / stride]`.
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let hidden = match &self.expand {
            Some(expand) => expand.flow(x.clone().into()),
            None => x.clone().into(),
        };
        let filtered = self.depthwise.flow(hidden);
        let filtered = match &self.excitation {
            Some(excitation) => excitation.forward(filtered.settle()).into(),
            None => filtered,
        };
        let projected = self.project.flow(filtered);
        if self.residual {
            projected.settle_onto(x, false)
        } else {
            projected.settle()
        }
    }
}

impl Blocks for MobileNetV2 {
    /// `features.0` … `features.18`.
    fn blocks(&self) -> Vec<String> {
        let features = (0..self.blocks.len() + 2).map(|index| format!("features.{index}"));
        features.collect()
    }

    /// The last of the features ends with the mean over the map.
    fn forward(&self, block: usize, x: Activations) -> Activations {
        let depth = self.blocks.len();
        match (block, x) {
            (0, Activations::Images(x)) => Activations::Map(self.stem.forward(x)),
            (block, Activations::Map(x)) if (1..=depth).contains(&block) => {
                Activations::Map(self.blocks[block - 1].forward(x))
            }
            (block, Activations::Map(x)) if block == depth + 1 => {
                Activations::Pooled(global_mean(self.last.forward(x)))
            }
            (block, x) => panic!("block {block} of a MobileNetV2 cannot take {x:?}"),
        }
    }

    fn width(&self) -> usize {
        LAST
    }

    fn signature(&self) -> String {
        "MobileNetV2".into()
    }
}

// ------------------------------------------------------------------------------------------------------ weight names

const NAMING: Naming = Naming {
    parameter: parameter_name,
    checkpoint: |name, _| name.to_string(),
    constant: is_count,
    spare: |_| false,
    beside: &[],
};

/// A module's path → torchvision's name. There a block is a sequence, whose numbers depend on whether it expands.
fn parameter_name(path: &str) -> String {
    let parts: Vec<&str> = path.split('.').collect();
    let index = |part| usize::from(part == "norm");
    match parts[..] {
        ["stem", part, field] => format!("features.0.{}.{}", index(part), torch_name(field)),
        ["last", part, field] => format!("features.18.{}.{}", index(part), torch_name(field)),
        ["blocks", block, layer, part, field] => {
            let block = block.parse::<usize>().map_or(0, |block| block + 1);
            let expands = usize::from(block != 1);
            let place = match layer {
                "expand" => format!("0.{}", index(part)),
                "depthwise" => format!("{expands}.{}", index(part)),
                _ => format!("{}", expands + 1 + index(part)),
            };
            format!("features.{block}.conv.{place}.{}", torch_name(field))
        }
        _ => path.to_string(),
    }
}

// -------------------------------------------------------------------------------------------------------------- row

/// MobileNetV2's row in the registry. Its weights are drawn as in torchvision's `models/mobilenetv2.py`.
pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "MobileNetV2",
    model_types: &[],
    modality: Modality::Images,
    variants: VARIANTS,
    naming: NAMING,
    heads: &[LibraryHead {
        kind: HeadKind::Pooled,
        block: "classifier",
        layers: &[("linear", "classifier.1")],
        library: Library::Torchvision,
        classes: &[],
    }],
    build: |source| {
        Ok(Built {
            dropout: DROPOUT,
            ..Built::new(MobileNetV2::new(source.device))
        })
    },
    initial: |_| Ok(initial::convolutions(fan_out)),
    recognise: |shapes| {
        let outline = |_: &Variant| MobileNetV2::new(&Device::flex());
        naming::recognise(VARIANTS, outline, &NAMING, shapes)
    },
};
