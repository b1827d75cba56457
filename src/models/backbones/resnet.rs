//! ResNets (He et al., arXiv:1512.03385), with wider ones (Zagoruyko and Komodakis, arXiv:1605.07146) and those whose 3×3 convolutions
//! fall into groups (Xie et al., arXiv:1611.05431), by the names of torchvision's `resnet18` …, which timm's have too. As there, the
//! stride of a bottleneck is in its 3×3 convolution. [`resnet_transformers`](super::resnet_transformers) has transformers' names.
//!
//! It reads top to bottom: config, blocks, forward, weight names.

use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::tensor::{Device, Tensor};

use super::convolution::{ConvNorm, ConvNormConfig, Flow, fan_out, global_mean, torch_name};
use super::transformer::Act;
use crate::data::images::Interpolation;
use crate::models::architecture::{Architecture, Blocks, Built, LibraryHead};
use crate::models::cpu::convolution::Activation;
use crate::models::export::Library;
use crate::models::heads::HeadKind;
use crate::models::image_input::{IMAGENET, ImageInput, Variant};
use crate::models::initial;
use crate::models::naming::{self, Naming, is_count};
use crate::models::{Activations, Modality};

// ------------------------------------------------------------------------------------------------------------ config

/// The checkpoints that have these names and sizes; a deeper one holds all tensors of a shallower one of its kind.
const VARIANTS: &[Variant] = &[
    imagenet("resnet18"),
    imagenet("resnet34"),
    Variant {
        input: ImageInput {
            interpolation: Interpolation::Bicubic,
            ..IMAGENET
        },
        ..imagenet(TIMMS)
    },
    imagenet("resnet50"),
    imagenet("resnet101"),
    imagenet("resnet152"),
    imagenet("wide_resnet50_2"),
    imagenet("wide_resnet101_2"),
    imagenet("resnext50_32x4d"),
    imagenet("resnext101_32x8d"),
];

/// The one that timm alone has.
const TIMMS: &str = "resnet26";

const fn imagenet(name: &'static str) -> Variant {
    Variant {
        name,
        classes: 1000,
        labels: &[],
        input: IMAGENET,
    }
}

/// What the network is, whichever library describes it.
#[derive(Clone, Debug)]
pub(super) struct ResNetConfig {
    pub(super) names: Names,
    /// Channels before the first layer.
    pub(super) stem: usize,
    /// Channels that each layer gives.
    pub(super) outputs: Vec<usize>,
    /// How many blocks each layer has.
    pub(super) depths: Vec<usize>,
    /// What its blocks are.
    pub(super) kind: Kind,
    /// The step of the first layer.
    pub(super) first_stride: usize,
    /// The function behind the stem and each block; within blocks it is ReLU.
    pub(super) act: Act,
}

/// Whose names the blocks have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// torchvision's network of this name.
    Torchvision(String),
    Transformers,
}

/// What blocks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Two 3×3 convolutions.
    Basic,
    /// A 3×3 convolution of few channels between two of 1×1.
    Bottleneck {
        /// How many times as many channels a block gives as its 3×3 convolution.
        expansion: usize,
        /// The groups of its 3×3 convolution.
        groups: usize,
        /// Whether its first convolution has the stride, in place of that of 3×3.
        stride_first: bool,
    },
}

impl Kind {
    const fn bottleneck(expansion: usize, groups: usize) -> Self {
        Self::Bottleneck {
            expansion,
            groups,
            stride_first: false,
        }
    }
}

impl ResNetConfig {
    /// torchvision's network of this name: table 1 of the paper.
    fn of(architecture: &str) -> Self {
        let (depths, kind) = match architecture {
            "resnet18" => ([2, 2, 2, 2], Kind::Basic),
            "resnet34" => ([3, 4, 6, 3], Kind::Basic),
            TIMMS => ([2, 2, 2, 2], Kind::bottleneck(4, 1)),
            "resnet101" => ([3, 4, 23, 3], Kind::bottleneck(4, 1)),
            "resnet152" => ([3, 8, 36, 3], Kind::bottleneck(4, 1)),
            "wide_resnet50_2" => ([3, 4, 6, 3], Kind::bottleneck(2, 1)),
            "wide_resnet101_2" => ([3, 4, 23, 3], Kind::bottleneck(2, 1)),
            "resnext50_32x4d" => ([3, 4, 6, 3], Kind::bottleneck(2, 32)),
            "resnext101_32x8d" => ([3, 4, 23, 3], Kind::bottleneck(1, 32)),
            _ => ([3, 4, 6, 3], Kind::bottleneck(4, 1)),
        };
        let first = if kind == Kind::Basic { 64 } else { 256 };
        Self {
            names: Names::Torchvision(architecture.into()),
            stem: 64,
            outputs: (0..4).map(|layer| first << layer).collect(),
            depths: depths.to_vec(),
            kind,
            first_stride: 1,
            act: Act::Relu,
        }
    }
}

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
    #[module(skip)]
    act: Act,
}

impl Block {
    fn new(
        inputs: usize,
        outputs: usize,
        stride: usize,
        config: &ResNetConfig,
        device: &Device,
    ) -> Self {
        let square = |inputs, outputs, stride| ConvNormConfig {
            kernel: 3,
            stride,
            ..ConvNormConfig::new(inputs, outputs)
        };
        let mut convolutions = match config.kind {
            Kind::Basic => vec![square(inputs, outputs, stride), square(outputs, outputs, 1)],
            Kind::Bottleneck {
                expansion,
                groups,
                stride_first,
            } => {
                let width = outputs / expansion;
                let (first, second) = if stride_first {
                    (stride, 1)
                } else {
                    (1, stride)
                };
                vec![
                    ConvNormConfig {
                        stride: first,
                        ..ConvNormConfig::new(inputs, width)
                    },
                    ConvNormConfig {
                        groups,
                        ..square(width, width, second)
                    },
                    ConvNormConfig::new(width, outputs),
                ]
            }
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
            act: config.act,
        }
    }
}

impl ResNet {
    /// The network with nothing in its weights yet.
    pub(super) fn new(config: ResNetConfig, device: &Device) -> Self {
        let stem = ConvNormConfig {
            kernel: 7,
            stride: 2,
            activation: Activation::Identity,
            ..ConvNormConfig::new(3, config.stem)
        };
        let mut inputs = config.stem;
        let mut layers = Vec::new();
        for (layer, (outputs, depth)) in config.outputs.iter().zip(&config.depths).enumerate() {
            let of_layer = if layer > 0 { 2 } else { config.first_stride };
            let blocks = (0..*depth).map(|index| {
                let stride = if index == 0 { of_layer } else { 1 };
                let block = Block::new(inputs, *outputs, stride, &config, device);
                inputs = *outputs;
                block
            });
            layers.push(blocks.collect());
        }
        Self {
            stem: match config.act {
                // In one pass with the convolution.
                Act::Relu => ConvNormConfig {
                    activation: Activation::Relu,
                    ..stem
                },
                _ => stem,
            }
            .init(device),
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
            .fold(Flow::from(x), |x, layer| layer.flow(x));
        self.act.after_sum(convolved, shortcut)
    }
}

impl Blocks for ResNet {
    /// torchvision's: `conv1`, `layer1.0` ….
    fn blocks(&self) -> Vec<String> {
        let is_torchvision = self.config.names != Names::Transformers;
        let layers = self.layers.iter().enumerate().flat_map(|(layer, blocks)| {
            (0..blocks.len()).map(move |index| {
                if is_torchvision {
                    format!("layer{}.{index}", layer + 1)
                } else {
                    format!("encoder.stages.{layer}.layers.{index}")
                }
            })
        });
        let first = if is_torchvision { "conv1" } else { "embedder" };
        std::iter::once(first.into()).chain(layers).collect()
    }

    /// The first block ends with the pooling after it, the last of the layers with the mean over the map.
    fn forward(&self, block: usize, x: Activations) -> Activations {
        let blocks: usize = self.config.depths.iter().sum();
        match (block, x) {
            (0, Activations::Images(x)) => {
                let x = self.stem.forward(x);
                let x = match self.config.act {
                    Act::Relu => x,
                    act => act.apply(x),
                };
                Activations::Map(self.pool.forward(x))
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
        self.config
            .outputs
            .last()
            .copied()
            .unwrap_or(self.config.stem)
    }

    fn signature(&self) -> String {
        let ResNetConfig {
            depths,
            kind,
            first_stride,
            act,
            ..
        } = &self.config;
        let plain = match kind {
            Kind::Basic => Some(1),
            Kind::Bottleneck {
                expansion,
                groups: 1,
                stride_first: false,
            } => Some(*expansion),
            Kind::Bottleneck { .. } => None,
        };
        match (plain, &self.config.names) {
            // As it stands in keys of caches.
            (Some(expansion), Names::Torchvision(_)) => {
                format!("ResNetConfig {{ depths: {depths:?}, expansion: {expansion} }}")
            }
            _ => format!("ResNet, {kind:?}, first step {first_stride}, {act:?}"),
        }
    }

    fn base(&self) -> &'static str {
        match self.config.names {
            Names::Torchvision(_) => "",
            Names::Transformers => "resnet",
        }
    }

    fn library(&self, head: &LibraryHead) -> Library {
        match &self.config.names {
            Names::Torchvision(name) if name == TIMMS => Library::Timm,
            _ => head.library,
        }
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
