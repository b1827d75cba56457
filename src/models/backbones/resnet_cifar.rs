//! The ResNets for CIFAR-10 (He et al., arXiv:1512.03385, section 4.2) whose shortcuts have no parameters (option A), with the
//! names of `akamaster/pytorch_resnet_cifar10`.
//!
//! It reads top to bottom: config, blocks, forward, weight names.

use burn::module::Module;
use burn::tensor::ops::PadMode;
use burn::tensor::{Device, Tensor, s};

use super::convolution::{ConvNorm, ConvNormConfig, Flow, global_mean, torch_name};
use super::resnet::{BESIDE, short};
use crate::models::architecture::{Architecture, Blocks, Built, LibraryHead};
use crate::models::cpu::convolution::Activation;
use crate::models::export::Library;
use crate::models::heads::HeadKind;
use crate::models::image_input::{IMAGENET, ImageInput, Variant};
use crate::models::initial;
use crate::models::naming::{self, Naming, is_count};
use crate::models::{Activations, Modality};

// ------------------------------------------------------------------------------------------------------------ config

/// The checkpoints that have these names and sizes; a deeper one holds all tensors of a shallower one.
const VARIANTS: &[Variant] = &[
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

/// The network below the head.
#[derive(Module, Debug)]
pub(in crate::models) struct CifarResNet {
    stem: ConvNorm,
    layers: Vec<Vec<Block>>,
    depth: usize,
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
    /// The network with nothing in its weights yet.
    fn new(depth: usize, device: &Device) -> Self {
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
            depth,
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
            .fold(Flow::from(x), |x, layer| layer.flow(x));
        convolved.settle_onto(shortcut, true)
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
    /// `conv1`, `layer1.0` ….
    fn blocks(&self) -> Vec<String> {
        let layers = (1..=WIDTHS.len())
            .flat_map(|layer| (0..self.depth).map(move |index| format!("layer{layer}.{index}")));
        std::iter::once("conv1".into()).chain(layers).collect()
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
            (block, x) => panic!("block {block} of a ResNet for CIFAR cannot take {x:?}"),
        }
    }

    fn width(&self) -> usize {
        WIDTHS[2]
    }

    fn signature(&self) -> String {
        format!("ResNet for CIFAR, {} blocks a layer", self.depth)
    }
}

// ------------------------------------------------------------------------------------------------------ weight names

const NAMING: Naming = Naming {
    parameter: parameter_name,
    checkpoint: |name, _| name.to_string(),
    constant: is_count,
    spare: |_| false,
    beside: BESIDE,
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

// -------------------------------------------------------------------------------------------------------------- row

/// ResNet for CIFAR's row in the registry.
pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "ResNet for CIFAR",
    model_types: &[],
    modality: Modality::Images,
    variants: VARIANTS,
    naming: NAMING,
    heads: &[LibraryHead {
        kind: HeadKind::Pooled,
        block: "linear",
        layers: &[("linear", "linear")],
        library: Library::Repository("akamaster/pytorch_resnet_cifar10"),
        classes: &[],
    }],
    build: |source| {
        let depth = depth(source.folder.word("architecture").unwrap_or_default());
        Ok(Built::new(CifarResNet::new(depth, source.device)))
    },
    // `_weights_init` in akamaster's `resnet.py`, by the fan-in.
    initial: |_| {
        Ok(initial::convolutions(|shape| {
            initial::kaiming(shape[1..].iter().product())
        }))
    },
    recognise: |shapes| {
        let outline = |variant: &Variant| CifarResNet::new(depth(variant.name), &Device::flex());
        naming::recognise(VARIANTS, outline, &NAMING, shapes)
    },
};
