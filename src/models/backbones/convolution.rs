//! The layer that image networks are made of: a convolution, batch normalisation and an activation.
//!
//! Where nothing is trained, on the CPU, it goes through [`kernels`]; everywhere else through Burn's operations.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::module::{Initializer, Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{DType, Device, Tensor, TensorData};

use super::batch_norm::BatchNorm;
use crate::models::initial::{self, Initial};
use crate::models::kernels::{self, Activation, Shape, Weights};

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
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: Padding,
    pub(super) epsilon: f64,
    pub(super) activation: Activation,
}

impl ConvNormConfig {
    /// A 1×1 convolution with `ReLU`, from which others differ.
    pub(super) fn new(inputs: usize, outputs: usize) -> Self {
        Self {
            inputs,
            outputs,
            depthwise: false,
            kernel: 1,
            stride: 1,
            padding: Padding::Centred,
            epsilon: 1e-5,
            activation: Activation::Relu,
        }
    }

    /// The layer with nothing in its weights yet.
    pub(super) fn init(self, device: &Device) -> ConvNorm {
        let shape = [
            self.outputs,
            if self.depthwise { 1 } else { self.inputs },
            self.kernel,
            self.kernel,
        ];
        ConvNorm {
            conv: Convolution {
                weight: Initializer::Zeros.init(shape, device),
            },
            norm: BatchNorm::new(self.outputs, self.epsilon, device),
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
        if let Some(done) = self.without_autodiff(&x) {
            return done;
        }
        let [_, _, height, width] = x.dims();
        let [rows, columns] = self.padding([height, width]);
        let ConvNormConfig {
            stride, depthwise, ..
        } = self.config;
        let groups = if depthwise { self.config.inputs } else { 1 };
        let options = ConvOptions::new_with_padding([stride; 2], [rows, columns], [1; 2], groups);
        let x = conv2d(x, self.conv.weight.val(), None, options);
        let x = self.norm.forward(x);
        match self.config.activation {
            Activation::Identity => x,
            Activation::Relu => relu(x),
            Activation::Relu6 => x.clamp(0.0, 6.0),
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

    /// The same by the kernels for inference; none if the device is another one than the CPU, or keeps track of gradients.
    fn without_autodiff(&self, x: &Tensor<4>) -> Option<Tensor<4>> {
        let [batch, inputs, height, width] = x.dims();
        let config = &self.config;
        let shape = Shape {
            inputs,
            outputs: config.outputs,
            depthwise: config.depthwise,
            size: [height, width],
            kernel: config.kernel,
            stride: config.stride,
            padding: self.padding([height, width]),
        };
        let image = on_flex(x.clone())?;
        let kernel = on_flex(self.conv.weight.val())?;
        let (scale, shift) = self.scale_and_shift()?;
        let weights = Weights {
            kernels: kernel.as_slice::<f32>()?,
            scale: &scale,
            shift: &shift,
            activation: config.activation,
        };
        let result = kernels::convolve(image.as_slice::<f32>()?, &shape, &weights);
        let [height, width] = shape.output_size();
        let result = TensorData::new(result, [batch, config.outputs, height, width]);
        Some(Tensor::from_data(result, &x.device()))
    }

    /// What normalising with the running statistics does to each channel.
    fn scale_and_shift(&self) -> Option<(Vec<f32>, Vec<f32>)> {
        let numbers = |tensor: Tensor<1>| tensor.into_data().try_to_vec::<f32>().ok();
        let gamma = numbers(self.norm.gamma.val())?;
        let beta = numbers(self.norm.beta.val())?;
        let mean = numbers(self.norm.running_mean.value())?;
        let variance = numbers(self.norm.running_var.value())?;
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
        Some((scale, shift))
    }
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
        if let Some(done) = self.without_autodiff(&x) {
            return done;
        }
        let [channels, _, kernel, _] = self.weight.val().dims();
        let options = ConvOptions::new([1; 2], [kernel / 2; 2], [1; 2], channels);
        conv2d(x, self.weight.val(), Some(self.bias.val()), options)
    }

    /// The same by the kernels for inference; none if the device is another one than the CPU, or keeps track of gradients.
    fn without_autodiff(&self, x: &Tensor<4>) -> Option<Tensor<4>> {
        let [batch, channels, height, width] = x.dims();
        let [.., kernel] = self.weight.val().dims();
        let shape = Shape {
            inputs: channels,
            outputs: channels,
            depthwise: true,
            size: [height, width],
            kernel,
            stride: 1,
            padding: [(kernel / 2, kernel / 2); 2],
        };
        let image = on_flex(x.clone())?;
        let weights = on_flex(self.weight.val())?;
        let shift = on_flex(self.bias.val())?;
        let weights = Weights {
            kernels: weights.as_slice::<f32>()?,
            scale: &vec![1.0; channels],
            shift: shift.as_slice::<f32>()?,
            activation: Activation::Identity,
        };
        let result = kernels::convolve(image.as_slice::<f32>()?, &shape, &weights);
        let result = TensorData::new(result, [batch, channels, height, width]);
        Some(Tensor::from_data(result, &x.device()))
    }
}

/// The f32 numbers of `x` in order; none if they are others, on another device than the CPU, or keep track of gradients.
fn on_flex<const D: usize>(x: Tensor<D>) -> Option<FlexTensor> {
    let x = x.try_into_primitive::<Flex>().ok()?.to_contiguous();
    (x.dtype() == DType::F32).then_some(x)
}

/// The mean of each channel: `[batch, channels, height, width]` → `[batch, channels]`.
pub(super) fn global_mean(x: Tensor<4>) -> Tensor<2> {
    let [batch, channels, height, width] = x.dims();
    x.reshape([batch, channels, height * width])
        .mean_dim(2)
        .reshape([batch, channels])
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
