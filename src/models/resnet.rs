//! ResNet-18, -34 and -50 (He et al., arXiv:1512.03385) with the names of torchvision's `resnet18` …, which timm's have too. As
//! there, the stride of a bottleneck is in its 3×3 convolution.
//!
//! It reads top to bottom: config, blocks, forward, weight names.

use burn::module::Module;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Dropout, DropoutConfig, Linear, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use serde_json::{Map, Value};

use super::architecture::Blocks;
use super::convolution::{ConvNorm, ConvNormConfig, global_mean, torch_name};
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

/// The checkpoints that have these names and sizes; a deeper one holds all tensors of a shallower one of its kind.
pub(super) const VARIANTS: &[Variant] = &[
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

/// The network.
#[derive(Module, Debug)]
pub struct ResNet {
    stem: ConvNorm,
    pool: MaxPool2d,
    layers: Vec<Vec<Block>>,
    dropout: Dropout,
    fc: Linear,
    #[module(skip)]
    config: ResNetConfig,
    #[module(skip)]
    json: Map<String, Value>,
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
    /// The network with nothing in its weights yet, and `fc` on top.
    fn new(config: ResNetConfig, fc: Linear, dropout: f64, device: &Device) -> Self {
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
            dropout: DropoutConfig::new(dropout).init(),
            fc,
            config,
            json: Map::new(),
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
    /// `conv1`, `layer1.0` …, `fc`.
    fn blocks(&self) -> Vec<String> {
        let layers = self.layers.iter().enumerate().flat_map(|(layer, blocks)| {
            (0..blocks.len()).map(move |index| format!("layer{}.{index}", layer + 1))
        });
        let layers: Vec<String> = layers.collect();
        [vec!["conv1".into()], layers, vec!["fc".into()]].concat()
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
            (block, Activations::Pooled(x)) if block == blocks + 1 => {
                Activations::Logits(self.fc.forward(dropout(&self.dropout, x)))
            }
            (block, x) => panic!("block {block} of a ResNet cannot take {x:?}"),
        }
    }

    fn signature(&self) -> String {
        format!("{:?}", self.config)
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
    head: "fc",
    base: "",
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

/// torchvision's word for a part of a convolution with batch normalisation.
pub(super) fn short(part: &str) -> &str {
    if part == "norm" { "bn" } else { part }
}

/// `conv1` (with `bn1`), `layer1.0` or `fc`.
pub(super) fn block_name(name: &str) -> &str {
    if name.starts_with("bn1.") {
        return "conv1";
    }
    let parts = if name.starts_with("layer") { 2 } else { 1 };
    vision::first(name, parts)
}

impl ResNet {
    /// Builds the network that `folder` names, fills it with `reading` its checkpoint, and puts `head` on it.
    pub(super) fn load(
        folder: &ModelFolder,
        head: &Head,
        reading: Reading,
        device: &Device,
    ) -> Result<(Self, Account)> {
        let config = ResNetConfig::of(folder.word("architecture").unwrap_or_default());
        let fc = vision::new_head(config.outputs(), head, device);
        let mut network = Self::new(config, fc, head.dropout.unwrap_or(0.0), device);
        network.json.clone_from(&folder.config);
        vision::fill(network, &NAMING, folder, head, reading)
    }
}

/// Which ResNet weights are those of.
pub(super) fn recognise(shapes: &Shapes<'_>) -> Option<&'static str> {
    let device = Device::flex();
    let outline = |variant: &Variant| {
        let config = ResNetConfig::of(variant.name);
        ResNet::new(
            config,
            vision::no_head(config.outputs(), &device),
            0.0,
            &device,
        )
    };
    vision::recognise(VARIANTS, outline, &NAMING, shapes)
}
