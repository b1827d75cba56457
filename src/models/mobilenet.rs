//! MobileNetV2 (Sandler et al., arXiv:1801.04381) with the names of torchvision's `mobilenet_v2`.
//!
//! It reads top to bottom: config, blocks, forward, weight names.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::{Device, Tensor};
use serde_json::{Map, Value};

use super::architecture::Blocks;
use super::convolution::{ConvNorm, ConvNormConfig, Padding, global_mean, torch_name};
use super::export::Library;
use super::folder::ModelFolder;
use super::image_input::{IMAGENET, Variant};
use super::kernels::Activation;
use super::operations::dropout;
use super::vision::{self, Naming};
use super::weights::{Account, Reading, Shapes, Target};
use super::{Activations, Card, Head, Parameter};
use crate::error::Result;

// ------------------------------------------------------------------------------------------------------------ config

/// The checkpoints that have these names and sizes.
pub(super) const VARIANTS: &[Variant] = &[Variant {
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
const FIRST: usize = 32;
const LAST: usize = 1280;
const DROPOUT: f64 = 0.2;

// ------------------------------------------------------------------------------------------------------------ blocks

/// The network.
#[derive(Module, Debug)]
pub struct MobileNetV2 {
    stem: ConvNorm,
    blocks: Vec<InvertedResidual>,
    last: ConvNorm,
    dropout: Dropout,
    classifier: Linear,
    #[module(skip)]
    json: Map<String, Value>,
}

/// A block that expands its input, filters every channel on its own, and projects the result onto few channels; where the
/// sizes allow it, the input is added.
#[derive(Module, Debug)]
pub(super) struct InvertedResidual {
    expand: Option<ConvNorm>,
    depthwise: ConvNorm,
    project: ConvNorm,
    residual: bool,
}

/// What an [`InvertedResidual`] is.
#[derive(Clone, Copy, Debug)]
pub(super) struct InvertedResidualConfig {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) expansion: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: Padding,
    pub(super) epsilon: f64,
}

impl InvertedResidualConfig {
    pub(super) fn init(self, device: &Device) -> InvertedResidual {
        let hidden = self.inputs * self.expansion;
        let layer = |inputs, outputs| ConvNormConfig {
            padding: self.padding,
            epsilon: self.epsilon,
            activation: Activation::Relu6,
            ..ConvNormConfig::new(inputs, outputs)
        };
        let expand = (self.expansion != 1).then(|| layer(self.inputs, hidden).init(device));
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
            project: project.init(device),
            residual: self.stride == 1 && self.inputs == self.outputs,
        }
    }
}

impl MobileNetV2 {
    /// The network with nothing in its weights yet, and `classifier` on top.
    fn new(classifier: Linear, dropout: f64, device: &Device) -> Self {
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
                    expansion,
                    kernel: 3,
                    stride: if index == 0 { stride } else { 1 },
                    padding: Padding::Centred,
                    epsilon: 1e-5,
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
            dropout: DropoutConfig::new(dropout).init(),
            classifier,
            json: Map::new(),
        }
    }
}

// ----------------------------------------------------------------------------------------------------------- forward

impl InvertedResidual {
    /// `[batch, inputs, height, width]` → `[batch, outputs, height / stride, width / stride]`.
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let hidden = match &self.expand {
            Some(expand) => expand.forward(x.clone()),
            None => x.clone(),
        };
        let projected = self.project.forward(self.depthwise.forward(hidden));
        if self.residual {
            x + projected
        } else {
            projected
        }
    }
}

impl Blocks for MobileNetV2 {
    /// `features.0` … `features.18`, `classifier`.
    fn blocks(&self) -> Vec<String> {
        let features = (0..self.blocks.len() + 2).map(|index| format!("features.{index}"));
        features.chain(["classifier".to_string()]).collect()
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
            (block, Activations::Pooled(x)) if block == depth + 2 => {
                Activations::Logits(self.classifier.forward(dropout(&self.dropout, x)))
            }
            (block, x) => panic!("block {block} of a MobileNetV2 cannot take {x:?}"),
        }
    }

    fn signature(&self) -> String {
        "MobileNetV2".into()
    }

    fn parameters(&self) -> Vec<Parameter> {
        vision::parameters(self, &NAMING, &self.blocks())
    }

    fn library(&self) -> Library {
        Library::Torchvision
    }

    fn save(&self, to: Target<'_>, card: &mut Card) -> Result<()> {
        vision::save(self, &NAMING, to, &self.json, &card.labels)
    }
}

// ------------------------------------------------------------------------------------------------------ weight names

static NAMING: Naming = Naming {
    parameter: parameter_name,
    checkpoint: str::to_string,
    block: block_name,
    spare: |_| false,
    head: "classifier",
    base: "",
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
        ["classifier", field] => format!("classifier.1.{field}"),
        _ => path.to_string(),
    }
}

/// `features.3` or `classifier`.
fn block_name(name: &str) -> &str {
    let parts = if name.starts_with("features.") { 2 } else { 1 };
    vision::first(name, parts)
}

impl MobileNetV2 {
    /// Builds the network, fills it with `reading` the checkpoint in `folder`, and puts `head` on it.
    pub(super) fn load(
        folder: &ModelFolder,
        head: &Head,
        reading: Reading,
        device: &Device,
    ) -> Result<(Self, Account)> {
        let classifier = vision::new_head(LAST, head, device);
        let mut network = Self::new(classifier, head.dropout.unwrap_or(DROPOUT), device);
        network.json.clone_from(&folder.config);
        vision::fill(network, &NAMING, folder, head, reading)
    }
}

/// Whether weights are those of a MobileNetV2.
pub(super) fn recognise(shapes: &Shapes<'_>) -> Option<&'static str> {
    let device = Device::flex();
    let outline = |_: &Variant| MobileNetV2::new(vision::no_head(LAST, &device), DROPOUT, &device);
    vision::recognise(VARIANTS, outline, &NAMING, shapes)
}
