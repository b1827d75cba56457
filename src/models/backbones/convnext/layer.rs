//! A layer of a ConvNeXt: a depthwise convolution, and two layers that mix the channels of each place.

use burn::module::{Initializer, Module, Param};
use burn::nn::{Dropout, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use super::super::convolution::{Depthwise, Pointwise};
use super::super::drop_path::drop_path;
use super::super::patches::{channels_first, channels_last};
use super::super::transformer::Act;
use super::{ConvNextConfig, Family, Mixing, Names};

#[derive(Module, Debug)]
pub(super) struct Layer {
    depthwise: Depthwise,
    norm: LayerNorm,
    wide: Mixed,
    response: Option<Response>,
    narrow: Mixed,
    /// A factor for each channel of what the layer adds.
    scale: Option<Param<Tensor<1>>>,
    drop_path: Dropout,
    #[module(skip)]
    act: Act,
}

/// What mixes the channels of a place: the same numbers in the shapes of [`Mixing`].
#[derive(Module, Debug)]
enum Mixed {
    Linear(Linear),
    Convolution(Pointwise),
}

/// Global response normalisation (arXiv:2301.00808): channels that respond more than others over the whole image are raised.
#[derive(Module, Debug)]
struct Response {
    weight: OfChannels,
    bias: OfChannels,
}

/// A number for each channel, in the shape that a library has.
#[derive(Module, Debug)]
enum OfChannels {
    /// timm's: `[channels]`.
    Flat(Param<Tensor<1>>),
    /// transformers': `[1, 1, 1, channels]`.
    Broadcast(Param<Tensor<4>>),
}

impl Layer {
    pub(super) fn new(
        config: &ConvNextConfig,
        width: usize,
        drop_path: Dropout,
        device: &Device,
    ) -> Self {
        let wide = 4 * width;
        Self {
            depthwise: Depthwise::new(width, 7, device),
            norm: norm(width, config.epsilon, device),
            wide: Mixed::new(config.mixing, width, wide, device),
            response: (config.family == Family::ConvNextV2)
                .then(|| Response::new(config.names, wide, device)),
            narrow: Mixed::new(config.mixing, wide, width, device),
            scale: config
                .scaled
                .then(|| Initializer::Zeros.init([width], device)),
            drop_path,
            act: config.act,
        }
    }
}

impl Mixed {
    fn new(mixing: Mixing, inputs: usize, outputs: usize, device: &Device) -> Self {
        match mixing {
            Mixing::Linear => Self::Linear(
                LinearConfig::new(inputs, outputs)
                    .with_initializer(Initializer::Zeros)
                    .init(device),
            ),
            Mixing::Convolution => Self::Convolution(Pointwise::new(inputs, outputs, device)),
        }
    }
}

impl Response {
    fn new(names: Names, channels: usize, device: &Device) -> Self {
        let numbers = || match names {
            Names::Timm => OfChannels::Flat(Initializer::Zeros.init([channels], device)),
            Names::Transformers => {
                OfChannels::Broadcast(Initializer::Zeros.init([1, 1, 1, channels], device))
            }
        };
        Self {
            weight: numbers(),
            bias: numbers(),
        }
    }
}

pub(super) fn norm(width: usize, epsilon: f64, device: &Device) -> LayerNorm {
    LayerNormConfig::new(width)
        .with_epsilon(epsilon)
        .init(device)
}

impl Layer {
    /// `[batch, channels, height, width]` → the same.
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let filtered = channels_last(self.depthwise.forward(x.clone()));
        let wide = self
            .act
            .apply(self.wide.forward(self.norm.forward(filtered)));
        let wide = match &self.response {
            Some(response) => response.forward(wide),
            None => wide,
        };
        let narrow = self.narrow.forward(wide);
        let narrow = match &self.scale {
            Some(scale) => narrow * scale.val().unsqueeze(),
            None => narrow,
        };
        x + channels_first(drop_path(&self.drop_path, narrow))
    }
}

impl Mixed {
    /// `[batch, height, width, inputs]` → `[batch, height, width, outputs]`.
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Linear(linear) => linear.forward(x),
            Self::Convolution(pointwise) => pointwise.forward(x),
        }
    }
}

impl Response {
    /// `[batch, height, width, channels]` → the same.
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let squares = x.clone().square().sum_dim(1).sum_dim(2);
        // The root has no slope at 0, where PyTorch's norm takes 0 for it.
        let none = squares.clone().equal_elem(0.0);
        let norms = squares.mask_fill(none.clone(), 1.0).sqrt();
        let norms = norms.mask_fill(none, 0.0);
        let response = norms.clone() / (norms.mean_dim(3) + 1e-6);
        let raised = self.weight.value() * (x.clone() * response);
        raised + self.bias.value() + x
    }
}

impl OfChannels {
    /// `[1, 1, 1, channels]`.
    fn value(&self) -> Tensor<4> {
        match self {
            Self::Flat(numbers) => numbers.val().unsqueeze(),
            Self::Broadcast(numbers) => numbers.val(),
        }
    }
}
