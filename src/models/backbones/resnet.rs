//! ResNet-18, -34 and -50 (He et al., arXiv:1512.03385) with the names of torchvision's `resnet18` …, which timm's have too. As
//! there, the stride of a bottleneck is in its 3×3 convolution.
//!
//! It reads top to bottom: config, blocks, forward, weight names.

use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use super::convolution::{ConvNorm, ConvNormConfig, fan_out, global_mean, torch_name};
use crate::models::architecture::{Architecture, Blocks, Built, LibraryHead};
use crate::models::export::Library;
use crate::models::heads::HeadKind;
use crate::models::image_input::{IMAGENET, Variant};
use crate::models::initial;
use crate::models::kernels::Activation;
use crate::models::naming::{self, Naming, is_count};
use crate::models::{Activations, Modality};

// ------------------------------------------------------------------------------------------------------------ config

/// The checkpoints that have these names and sizes; a deeper one holds all tensors of a shallower one of its kind.
const VARIANTS: &[Variant] = &[
    imagenet("resnet18"),
    imagenet("resnet34"),
    imagenet("resnet50"),
];

const fn imagenet(name: &'static str) -> Variant {
    Variant {
        name,
        classes: 1000,
        labels: &[],
        input: IMAGENET,
    }
}

/// Table 1 of the paper.
#[derive(Clone, Copy, Debug)]
struct ResNetConfig {
    /// How many blocks each of the four layers has.
    depths: [usize; 4],
    /// How many times as many channels a block gives as its 3×3 convolution; more than one makes it a bottleneck.
    expansion: usize,
}

impl ResNetConfig {
    fn of(architecture: &str) -> Self {
        let (depths, expansion) = match architecture {
            "resnet18" => ([2, 2, 2, 2], 1),
            "resnet34" => ([3, 4, 6, 3], 1),
            _ => ([3, 4, 6, 3], 4),
        };
        Self { depths, expansion }
    }

    fn outputs(self) -> usize {
        8 * FIRST * self.expansion
    }
}

/// Channels of the first layer; each later layer has twice as many.
const FIRST: usize = 64;

// ------------------------------------------------------------------------------------------------------------ blocks

/// The network below the head.
#[derive(Module, Debug)]
pub(in crate::models) struct ResNet {
    stem: ConvNorm,
    pool: MaxPool2d,
    layers: Vec<Vec<Block>>,
    #[module(skip)]
    config: ResNetConfig,
}

/// Convolutions, and a shortcut around them.
#[derive(Module, Debug)]
struct Block {
    convolutions: Vec<ConvNorm>,
    downsample: Option<ConvNorm>,
}

impl Block {
    fn new(inputs: usize, width: usize, expansion: usize, stride: usize, device: &Device) -> Self {
        let outputs = width * expansion;
        let square = |inputs, stride| ConvNormConfig {
            kernel: 3,
            stride,
            ..ConvNormConfig::new(inputs, width)
        };
        let mut convolutions = if expansion == 1 {
            vec![square(inputs, stride), square(width, 1)]
        } else {
            vec![
                ConvNormConfig::new(inputs, width),
                square(width, stride),
                ConvNormConfig::new(width, outputs),
            ]
        };
        // The last one is activated with the shortcut added.
        if let Some(last) = convolutions.last_mut() {
            last.activation = Activation::Identity;
        }
        let downsample = ConvNormConfig {
            stride,
            activation: Activation::Identity,
            ..ConvNormConfig::new(inputs, outputs)
        };
        Self {
            convolutions: convolutions
                .into_iter()
                .map(|config| config.init(device))
                .collect(),
            downsample: (stride != 1 || inputs != outputs).then(|| downsample.init(device)),
        }
    }
}

impl ResNet {
    /// The network with nothing in its weights yet.
    fn new(config: ResNetConfig, device: &Device) -> Self {
        let stem = ConvNormConfig {
            kernel: 7,
            stride: 2,
            ..ConvNormConfig::new(3, FIRST)
        };
        let mut inputs = FIRST;
        let mut layers = Vec::new();
        for (layer, depth) in config.depths.into_iter().enumerate() {
            let width = FIRST << layer;
            let blocks = (0..depth).map(|index| {
                let stride = if layer > 0 && index == 0 { 2 } else { 1 };
                let block = Block::new(inputs, width, config.expansion, stride, device);
                inputs = width * config.expansion;
                block
            });
            layers.push(blocks.collect());
        }
        Self {
            stem: stem.init(device),
            pool: MaxPool2dConfig::new([3, 3])
                .with_strides([2, 2])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(),
            layers,
            config,
        }
    }
}

// ----------------------------------------------------------------------------------------------------------- forward

impl Block {
    /// `[batch, inputs, height, width]` → `[batch, outputs, height / stride, width / stride]`.
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let shortcut = match &self.downsample {
            Some(downsample) => downsample.forward(x.clone()),
            None => x.clone(),
        };
        let convolved = self
            .convolutions
            .iter()
            .fold(x, |x, layer| layer.forward(x));
        relu(convolved + shortcut)
    }
}

impl Blocks for ResNet {
    /// `conv1`, `layer1.0` ….
    fn blocks(&self) -> Vec<String> {
        let layers = self.layers.iter().enumerate().flat_map(|(layer, blocks)| {
            (0..blocks.len()).map(move |index| format!("layer{}.{index}", layer + 1))
        });
        std::iter::once("conv1".into()).chain(layers).collect()
    }

    /// `conv1` ends with the pooling after it, the last of the layers with the mean over the map.
    fn forward(&self, block: usize, x: Activations) -> Activations {
        let blocks: usize = self.config.depths.iter().sum();
        match (block, x) {
            (0, Activations::Images(x)) => {
                Activations::Map(self.pool.forward(self.stem.forward(x)))
            }
            (block, Activations::Map(x)) if (1..=blocks).contains(&block) => {
                let mut all = self.layers.iter().flatten();
                match all.nth(block - 1).map(|layer| layer.forward(x)) {
                    Some(x) if block == blocks => Activations::Pooled(global_mean(x)),
                    Some(x) => Activations::Map(x),
                    None => unreachable!("the layers have {blocks} blocks"),
                }
            }
            (block, x) => panic!("block {block} of a ResNet cannot take {x:?}"),
        }
    }

    fn width(&self) -> usize {
        self.config.outputs()
    }

    fn signature(&self) -> String {
        format!("{:?}", self.config)
    }
}

// ------------------------------------------------------------------------------------------------------ weight names

const NAMING: Naming = Naming {
    parameter: parameter_name,
    checkpoint: str::to_string,
    constant: is_count,
    spare: |_| false,
    beside: BESIDE,
};

/// A module's path → torchvision's name.
fn parameter_name(path: &str) -> String {
    let parts: Vec<&str> = path.split('.').collect();
    let number = |index: &str| index.parse::<usize>().map_or(0, |index| index + 1);
    match parts[..] {
        ["stem", layer, field] => format!("{}1.{}", short(layer), torch_name(field)),
        ["layers", layer, block, "downsample", part, field] => {
            let part = usize::from(part == "norm");
            let layer = number(layer);
            format!(
                "layer{layer}.{block}.downsample.{part}.{}",
                torch_name(field)
            )
        }
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

/// The normalisation after the first convolution belongs to its block.
pub(super) const BESIDE: &[(&str, &str)] = &[("bn1", "conv1")];

/// torchvision's word for a part of a convolution with batch normalisation.
pub(super) fn short(part: &str) -> &str {
    if part == "norm" { "bn" } else { part }
}

// -------------------------------------------------------------------------------------------------------------- row

/// ResNet's row in the registry.
pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "ResNet",
    model_types: &[],
    modality: Modality::Images,
    variants: VARIANTS,
    naming: NAMING,
    heads: &[LibraryHead {
        kind: HeadKind::Pooled,
        block: "fc",
        layers: &[("linear", "fc")],
        library: Library::Torchvision,
        classes: &[],
    }],
    build: |source| {
        let config = ResNetConfig::of(source.folder.word("architecture").unwrap_or_default());
        Ok(Built::new(ResNet::new(config, source.device)))
    },
    // torchvision's `models/resnet.py`.
    initial: |_| Ok(initial::convolutions(fan_out)),
    recognise: |shapes| {
        let outline =
            |variant: &Variant| ResNet::new(ResNetConfig::of(variant.name), &Device::flex());
        naming::recognise(VARIANTS, outline, &NAMING, shapes)
    },
};
