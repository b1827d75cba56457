//! The ResNets for CIFAR-10 (He et al., arXiv:1512.03385, section 4.2) whose shortcuts have no parameters (option A), with the
//! names of `akamaster/pytorch_resnet_cifar10`.
//!
//! It reads top to bottom: config, blocks, forward, weight names.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::activation::relu;
use burn::tensor::ops::PadMode;
use burn::tensor::{Device, Tensor, s};
use serde_json::{Map, Value};

use super::architecture::Blocks;
use super::convolution::{ConvNorm, ConvNormConfig, global_mean, torch_name};
use super::export::Library;
use super::folder::ModelFolder;
use super::image_input::{IMAGENET, ImageInput, Variant};
use super::kernels::Activation;
use super::operations::dropout;
use super::resnet::{block_name, short};
use super::vision::{self, Naming};
use super::weights::{Account, Reading, Shapes, Target};
use super::{Activations, Card, Head, Parameter};
use crate::error::Result;

// ------------------------------------------------------------------------------------------------------------ config

/// The checkpoints that have these names and sizes; a deeper one holds all tensors of a shallower one.
pub(super) const VARIANTS: &[Variant] = &[
    cifar10("resnet20"),
    cifar10("resnet32"),
    cifar10("resnet44"),
    cifar10("resnet56"),
    cifar10("resnet110"),
];

const fn cifar10(name: &'static str) -> Variant {
    Variant {
        name,
        classes: CLASSES.len(),
        labels: &CLASSES,
        input: ImageInput {
            size: 32,
            resize: 32,
            ..IMAGENET
        },
    }
}

/// The classes of CIFAR-10.
const CLASSES: [&str; 10] = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
];

/// Channels of the three layers.
const WIDTHS: [usize; 3] = [16, 32, 64];

/// How many blocks each of the layers has: a network of 6n + 2 layers with weights has n.
fn depth(architecture: &str) -> usize {
    match architecture {
        "resnet32" => 5,
        "resnet44" => 7,
        "resnet56" => 9,
        "resnet110" => 18,
        _ => 3,
    }
}

// ------------------------------------------------------------------------------------------------------------ blocks

/// The network.
#[derive(Module, Debug)]
pub struct CifarResNet {
    stem: ConvNorm,
    layers: Vec<Vec<Block>>,
    dropout: Dropout,
    linear: Linear,
    depth: usize,
    #[module(skip)]
    json: Map<String, Value>,
}

/// Two convolutions, and a shortcut around them that leaves out places and adds empty channels where the sizes ask for it.
#[derive(Module, Debug)]
struct Block {
    convolutions: Vec<ConvNorm>,
    stride: usize,
    new_channels: usize,
}

impl Block {
    fn new(inputs: usize, outputs: usize, stride: usize, device: &Device) -> Self {
        let first = ConvNormConfig {
            kernel: 3,
            stride,
            ..ConvNormConfig::new(inputs, outputs)
        };
        let second = ConvNormConfig {
            kernel: 3,
            activation: Activation::Identity,
            ..ConvNormConfig::new(outputs, outputs)
        };
        Self {
            convolutions: vec![first.init(device), second.init(device)],
            stride,
            new_channels: outputs - inputs,
        }
    }
}

impl CifarResNet {
    /// The network with nothing in its weights yet, and `linear` on top.
    fn new(depth: usize, linear: Linear, dropout: f64, device: &Device) -> Self {
        let stem = ConvNormConfig {
            kernel: 3,
            ..ConvNormConfig::new(3, WIDTHS[0])
        };
        let mut inputs = WIDTHS[0];
        let mut layers = Vec::new();
        for width in WIDTHS {
            let blocks = (0..depth).map(|_| {
                let stride = if inputs == width { 1 } else { 2 };
                let block = Block::new(inputs, width, stride, device);
                inputs = width;
                block
            });
            layers.push(blocks.collect());
        }
        Self {
            stem: stem.init(device),
            layers,
            dropout: DropoutConfig::new(dropout).init(),
            linear,
            depth,
            json: Map::new(),
        }
    }
}

// ----------------------------------------------------------------------------------------------------------- forward

impl Block {
    /// `[batch, inputs, height, width]` → `[batch, outputs, height / stride, width / stride]`.
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let shortcut = self.shortcut(x.clone());
        let convolved = self
            .convolutions
            .iter()
            .fold(x, |x, layer| layer.forward(x));
        relu(convolved + shortcut)
    }

    fn shortcut(&self, x: Tensor<4>) -> Tensor<4> {
        if self.new_channels == 0 {
            return x;
        }
        let places = x.slice(s![.., .., ..;self.stride, ..;self.stride]);
        let before = self.new_channels / 2;
        let after = self.new_channels - before;
        places.pad([(before, after), (0, 0), (0, 0)], PadMode::Constant(0.0))
    }
}

impl Blocks for CifarResNet {
    /// `conv1`, `layer1.0` …, `linear`.
    fn blocks(&self) -> Vec<String> {
        let layers = (1..=WIDTHS.len())
            .flat_map(|layer| (0..self.depth).map(move |index| format!("layer{layer}.{index}")));
        let layers: Vec<String> = layers.collect();
        [vec!["conv1".into()], layers, vec!["linear".into()]].concat()
    }

    /// The last of the layers ends with the mean over the map.
    fn forward(&self, block: usize, x: Activations) -> Activations {
        let blocks = WIDTHS.len() * self.depth;
        match (block, x) {
            (0, Activations::Images(x)) => Activations::Map(self.stem.forward(x)),
            (block, Activations::Map(x)) if (1..=blocks).contains(&block) => {
                let (layer, index) = ((block - 1) / self.depth, (block - 1) % self.depth);
                let x = self.layers[layer][index].forward(x);
                if block == blocks {
                    Activations::Pooled(global_mean(x))
                } else {
                    Activations::Map(x)
                }
            }
            (block, Activations::Pooled(x)) if block == blocks + 1 => {
                Activations::Logits(self.linear.forward(dropout(&self.dropout, x)))
            }
            (block, x) => panic!("block {block} of a ResNet for CIFAR cannot take {x:?}"),
        }
    }

    fn signature(&self) -> String {
        format!("ResNet for CIFAR, {} blocks a layer", self.depth)
    }

    fn parameters(&self) -> Vec<Parameter> {
        vision::parameters(self, &NAMING, &self.blocks())
    }

    fn library(&self) -> Library {
        Library::Repository("akamaster/pytorch_resnet_cifar10")
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
    head: "linear",
    base: "",
};

/// A module's path → akamaster's name.
fn parameter_name(path: &str) -> String {
    let parts: Vec<&str> = path.split('.').collect();
    let number = |index: &str| index.parse::<usize>().map_or(0, |index| index + 1);
    match parts[..] {
        ["stem", part, field] => format!("{}1.{}", short(part), torch_name(field)),
        ["layers", layer, block, "convolutions", index, part, field] => {
            let (layer, index) = (number(layer), number(index));
            format!(
                "layer{layer}.{block}.{}{index}.{}",
                short(part),
                torch_name(field)
            )
        }
        _ => path.to_string(),
    }
}

impl CifarResNet {
    /// Builds the network that `folder` names, fills it with `reading` its checkpoint, and puts `head` on it.
    pub(super) fn load(
        folder: &ModelFolder,
        head: &Head,
        reading: Reading,
        device: &Device,
    ) -> Result<(Self, Account)> {
        let depth = depth(folder.word("architecture").unwrap_or_default());
        let linear = vision::new_head(WIDTHS[2], head, device);
        let mut network = Self::new(depth, linear, head.dropout.unwrap_or(0.0), device);
        network.json.clone_from(&folder.config);
        vision::fill(network, &NAMING, folder, head, reading)
    }
}

/// Which ResNet for CIFAR weights are those of.
pub(super) fn recognise(shapes: &Shapes<'_>) -> Option<&'static str> {
    let device = Device::flex();
    let outline = |variant: &Variant| {
        let linear = vision::no_head(WIDTHS[2], &device);
        CifarResNet::new(depth(variant.name), linear, 0.0, &device)
    };
    vision::recognise(VARIANTS, outline, &NAMING, shapes)
}
