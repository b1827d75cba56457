//! The layer that image networks are made of: a convolution, batch normalisation and an activation.
//!
//! On the CPU it goes through refire's own [`convolution`]; everywhere else through Burn's operations.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::backend::{Dispatch, Flex};
use burn::module::{Initializer, Module, Param};
use burn::tensor::activation::{relu, silu};
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{DType, Device, Tensor, TensorData};

use super::batch_norm::BatchNorm;
use super::transformer::Act;
pub(super) use crate::models::cpu::channels::mean as global_mean;
use crate::models::cpu::convolution::{
    self, Activation, Convolutions, Layer, Moments, Norm, Shape, Weights,
};
use crate::models::cpu::is_flex;
use crate::models::initial::{self, Initial};

/// The zeros around the input of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Padding {
    /// Half a kernel on each side, as PyTorch's networks have it.
    Centred,
    /// As few as make the output as large as the input divided by the stride, rounded up; an odd one comes after the input.
    /// TensorFlow calls it `SAME`.
    Same,
}

impl Padding {
    /// How many zeros come before and after an axis of `size`.
    fn around(self, size: usize, kernel: usize, stride: usize) -> (usize, usize) {
        match self {
            Self::Centred => (kernel / 2, kernel / 2),
            Self::Same => {
                let outputs = size.div_ceil(stride);
                let all = ((outputs - 1) * stride + kernel).saturating_sub(size);
                (all / 2, all - all / 2)
            }
        }
    }
}

/// What a [`ConvNorm`] is.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConvNormConfig {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// Whether each channel has one kernel of its own.
    pub(super) depthwise: bool,
    /// Groups of channels that go into no other.
    pub(super) groups: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: Padding,
    pub(super) epsilon: f64,
    /// How much of a running statistic a batch replaces.
    pub(super) momentum: f64,
    pub(super) activation: Activation,
}

/// What the layers of a network have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConvNormStyle {
    pub(super) padding: Padding,
    pub(super) epsilon: f64,
    pub(super) momentum: f64,
    pub(super) activation: Activation,
}

impl ConvNormStyle {
    /// A 1×1 convolution of such a network.
    pub(super) fn layer(self, inputs: usize, outputs: usize) -> ConvNormConfig {
        ConvNormConfig {
            padding: self.padding,
            epsilon: self.epsilon,
            momentum: self.momentum,
            activation: self.activation,
            ..ConvNormConfig::new(inputs, outputs)
        }
    }
}

impl ConvNormConfig {
    /// A 1×1 convolution with `ReLU`, from which others differ.
    pub(super) fn new(inputs: usize, outputs: usize) -> Self {
        Self {
            inputs,
            outputs,
            depthwise: false,
            groups: 1,
            kernel: 1,
            stride: 1,
            padding: Padding::Centred,
            epsilon: 1e-5,
            momentum: 0.1,
            activation: Activation::Relu,
        }
    }

    fn groups(&self) -> usize {
        if self.depthwise {
            self.inputs
        } else {
            self.groups
        }
    }

    /// The layer with nothing in its weights yet.
    pub(super) fn init(self, device: &Device) -> ConvNorm {
        let shape = [
            self.outputs,
            self.inputs / self.groups(),
            self.kernel,
            self.kernel,
        ];
        ConvNorm {
            conv: Convolution {
                weight: Initializer::Zeros.init(shape, device),
            },
            norm: BatchNorm::new(self.outputs, self.epsilon, device).with_momentum(self.momentum),
            config: self,
        }
    }
}

/// A convolution without bias, batch normalisation (arXiv:1502.03167), an activation. Its weights are `conv.weight` and
/// `norm.{weight, bias, running_mean, running_var}`.
#[derive(Module, Debug)]
pub(super) struct ConvNorm {
    conv: Convolution,
    norm: BatchNorm,
    #[module(skip)]
    config: ConvNormConfig,
}

#[derive(Module, Debug)]
struct Convolution {
    /// `[outputs, inputs, kernel, kernel]`, or `[outputs, 1, kernel, kernel]`.
    weight: Param<Tensor<4>>,
}

impl ConvNorm {
    /// `[batch, inputs, height, width]` → `[batch, outputs, height / stride, width / stride]`.
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.flow(x.into()).settle()
    }

    /// The same within a chain of such layers.
    pub(super) fn flow(&self, x: Flow) -> Flow {
        if let Some(done) = self.without_autodiff(&x) {
            done.into()
        } else if is_flex(&x.maps) {
            self.with_autodiff(x)
        } else {
            self.elsewhere(x.settle()).into()
        }
    }

    /// By Burn's operations.
    fn elsewhere(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let [rows, columns] = self.padding([height, width]);
        let (stride, groups) = (self.config.stride, self.config.groups());
        let options = ConvOptions::new_with_padding([stride; 2], [rows, columns], [1; 2], groups);
        let x = conv2d(x, self.conv.weight.val(), None, options);
        let x = self.norm.forward(x);
        match self.config.activation {
            Activation::Identity => x,
            Activation::Relu => relu(x),
            // Not `clamp` alone, which lets the gradient through at 0, where PyTorch stops it.
            Activation::Relu6 => relu(x).clamp_max(6.0),
            Activation::Silu => silu(x),
            Activation::HardSwish => x.clone() * (x + 3.0).clamp(0.0, 6.0) / 6.0,
        }
    }

    /// On the CPU, with gradients.
    #[expect(clippy::cast_possible_truncation, reason = "statistics are f32")]
    fn with_autodiff(&self, x: Flow) -> Flow {
        let measures = self.norm.measures(&x.maps);
        let [batch, ..] = x.maps.dims();
        let shape = self.shape(&x.maps);
        let layer = Layer {
            shape,
            input: x.norm,
            epsilon: self.config.epsilon as f32,
            moments: (!measures).then(|| self.moments()),
            activation: self.config.activation,
        };
        let (gamma, beta) = (self.norm.gamma.val(), self.norm.beta.val());
        let (maps, mean, variance) = <Dispatch as Convolutions>::conv_norm(
            x.maps.into_dispatch(),
            self.conv.weight.val().into_dispatch(),
            gamma.clone().into_dispatch(),
            beta.clone().into_dispatch(),
            layer,
        );
        let (mean, variance) = (Tensor::from_dispatch(mean), Tensor::from_dispatch(variance));
        let moments = Moments {
            mean: numbers(&mean),
            variance: numbers(&variance),
        };
        let norm = Norm::new(
            &moments,
            self.config.epsilon as f32,
            &numbers(&gamma),
            &numbers(&beta),
            self.config.activation,
        );
        if measures {
            let count = batch * shape.output_size().iter().product::<usize>();
            self.norm.count(mean, variance, count);
        }
        Flow {
            maps: Tensor::from_dispatch(maps),
            norm: Some(Arc::new(norm)),
        }
    }

    fn shape(&self, x: &Tensor<4>) -> Shape {
        let [_, inputs, height, width] = x.dims();
        Shape {
            inputs,
            outputs: self.config.outputs,
            groups: self.config.groups(),
            size: [height, width],
            kernel: self.config.kernel,
            stride: self.config.stride,
            padding: self.padding([height, width]),
        }
    }

    fn padding(&self, size: [usize; 2]) -> [(usize, usize); 2] {
        let ConvNormConfig {
            padding,
            kernel,
            stride,
            ..
        } = self.config;
        size.map(|size| padding.around(size, kernel, stride))
    }

    /// The same for inference; none if the device is another one than the CPU, or keeps track of gradients.
    fn without_autodiff(&self, x: &Flow) -> Option<Tensor<4>> {
        let x = x.as_is()?;
        let [batch, ..] = x.dims();
        let shape = self.shape(x);
        let image = on_flex(x.clone())?;
        let kernel = on_flex(self.conv.weight.val())?;
        let (scale, shift) = self.scale_and_shift();
        let weights = Weights {
            kernels: kernel.as_slice::<f32>()?,
            scale: &scale,
            shift: &shift,
            activation: self.config.activation,
        };
        let result = convolution::convolve(image.as_slice::<f32>()?, &shape, &weights);
        let [height, width] = shape.output_size();
        let result = TensorData::new(result, [batch, shape.outputs, height, width]);
        Some(Tensor::from_data(result, &x.device()))
    }

    /// The running statistics.
    fn moments(&self) -> Moments {
        Moments {
            mean: numbers(&self.norm.running_mean.value()),
            variance: numbers(&self.norm.running_var.value()),
        }
    }

    /// What normalising with the running statistics does to each channel.
    fn scale_and_shift(&self) -> (Vec<f32>, Vec<f32>) {
        let (gamma, beta) = (
            numbers(&self.norm.gamma.val()),
            numbers(&self.norm.beta.val()),
        );
        let Moments { mean, variance } = self.moments();
        #[expect(clippy::cast_possible_truncation, reason = "statistics are f32")]
        let epsilon = self.config.epsilon as f32;
        let scale: Vec<f32> = gamma
            .iter()
            .zip(&variance)
            .map(|(gamma, variance)| gamma / (variance + epsilon).sqrt())
            .collect();
        let shift = beta
            .iter()
            .zip(&mean)
            .zip(&scale)
            .map(|((beta, mean), scale)| beta - mean * scale)
            .collect();
        (scale, shift)
    }
}

/// What flows from one [`ConvNorm`] to the next.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    /// `[batch, channels, height, width]`.
    maps: Tensor<4>,
    /// How they still have to be normalised and activated: on the CPU, with gradients, that is left to what reads them.
    norm: Option<Arc<Norm>>,
}

impl From<Tensor<4>> for Flow {
    fn from(maps: Tensor<4>) -> Self {
        Self { maps, norm: None }
    }
}

impl Flow {
    fn as_is(&self) -> Option<&Tensor<4>> {
        self.norm.is_none().then_some(&self.maps)
    }

    /// The maps.
    pub(super) fn settle(self) -> Tensor<4> {
        let Some(norm) = self.norm else {
            return self.maps;
        };
        let maps = self.maps.into_dispatch();
        Tensor::from_dispatch(<Dispatch as Convolutions>::settle(maps, norm))
    }

    /// The maps of a layer without an activation, with a shortcut added, and without what is negative then if it is `activated`.
    pub(super) fn settle_onto(self, shortcut: Tensor<4>, activated: bool) -> Tensor<4> {
        let Some(norm) = self.norm else {
            let sum = self.maps + shortcut;
            return if activated { relu(sum) } else { sum };
        };
        let (maps, shortcut) = (self.maps.into_dispatch(), shortcut.into_dispatch());
        let sum = <Dispatch as Convolutions>::settle_onto(maps, shortcut, norm, activated);
        Tensor::from_dispatch(sum)
    }
}

impl Act {
    /// At the sum of what a layer without an activation gives and a shortcut.
    pub(super) fn after_sum(self, made: Flow, shortcut: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Relu => made.settle_onto(shortcut, true),
            _ => self.apply(made.settle_onto(shortcut, false)),
        }
    }
}

/// The numbers of a tensor of f32.
fn numbers(tensor: &Tensor<1>) -> Vec<f32> {
    tensor.to_data().iter::<f32>().collect()
}

/// A convolution that adds a bias and moves by one, in which each channel has one square kernel of its own. Its weights are `weight` and
/// `bias`.
#[derive(Module, Debug)]
pub(super) struct Depthwise {
    /// `[channels, 1, kernel, kernel]`.
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
}

impl Depthwise {
    /// The layer with nothing in its weights yet; `kernel` is odd.
    pub(super) fn new(channels: usize, kernel: usize, device: &Device) -> Self {
        Self {
            weight: Initializer::Zeros.init([channels, 1, kernel, kernel], device),
            bias: Initializer::Zeros.init([channels], device),
        }
    }

    /// `[batch, channels, height, width]` → the same.
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, channels, height, width] = x.dims();
        let [.., kernel] = self.weight.val().dims();
        if is_flex(&x) {
            let shape = Shape {
                inputs: channels,
                outputs: channels,
                groups: channels,
                size: [height, width],
                kernel,
                stride: 1,
                padding: [(kernel / 2, kernel / 2); 2],
            };
            let (x, weight) = (x.into_dispatch(), self.weight.val().into_dispatch());
            let bias = self.bias.val().into_dispatch();
            return Tensor::from_dispatch(<Dispatch as Convolutions>::conv_bias(
                x, weight, bias, shape,
            ));
        }
        let options = ConvOptions::new([1; 2], [kernel / 2; 2], [1; 2], channels);
        conv2d(x, self.weight.val(), Some(self.bias.val()), options)
    }
}

/// A 1×1 convolution that adds a bias, for channels that come last: a layer at each place. Its weights are `weight` and `bias`.
#[derive(Module, Debug)]
pub(super) struct Pointwise {
    /// `[outputs, inputs, 1, 1]`.
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
}

impl Pointwise {
    /// The layer with nothing in its weights yet.
    pub(super) fn new(inputs: usize, outputs: usize, device: &Device) -> Self {
        Self {
            weight: Initializer::Zeros.init([outputs, inputs, 1, 1], device),
            bias: Initializer::Zeros.init([outputs], device),
        }
    }

    /// `[…, inputs]` → `[…, outputs]`.
    pub(super) fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let [outputs, inputs, ..] = self.weight.val().dims();
        let weight: Tensor<2> = self.weight.val().reshape([outputs, inputs]).transpose();
        x.matmul(weight.unsqueeze()) + self.bias.val().unsqueeze()
    }
}

/// The f32 numbers of `x` in order; none if they are others, on another device than the CPU, or keep track of gradients.
fn on_flex<const D: usize>(x: Tensor<D>) -> Option<FlexTensor> {
    let x = x.try_into_primitive::<Flex>().ok()?.to_contiguous();
    (x.dtype() == DType::F32).then_some(x)
}

/// He's distribution by the fan-out of a convolution of this shape, as PyTorch counts it: without regard to groups.
pub(super) fn fan_out(shape: &[usize]) -> Initial {
    initial::kaiming(shape[0] * shape[2..].iter().product::<usize>())
}

/// What PyTorch calls a tensor of a convolution or of a batch normalisation.
pub(super) fn torch_name(field: &str) -> &str {
    match field {
        "gamma" => "weight",
        "beta" => "bias",
        other => other,
    }
}

#[cfg(test)]
mod tests;
