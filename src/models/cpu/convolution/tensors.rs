//! Convolutions in training as operations of Burn's CPU backend, with their gradients.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients as Collected;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, backend_extension};
use burn::tensor::TensorData;

use super::super::tensor::{PIECE, contiguous, like, map, numbers, row};
use super::super::vectorised;
use super::backward::{Asked, Gradients, backward};
use super::input::Input;
use super::normalised::{Forwards, Moments, Norm, backward_through_norm, convolve_and_measure};
use super::{Activation, Shape, Weights, convolve};

/// A convolution and the batch normalisation and activation after it.
#[derive(Clone, Debug)]
pub(in crate::models) struct Layer {
    pub(in crate::models) shape: Shape,
    /// How the input still has to be normalised and activated; none if it has been.
    pub(in crate::models) input: Option<Arc<Norm>>,
    pub(in crate::models) epsilon: f32,
    /// The statistics to normalise with; none if those of the batch do.
    pub(in crate::models) moments: Option<Moments>,
    pub(in crate::models) activation: Activation,
}

/// The operations on a backend's own tensors. All tensors are f32.
///
/// Normalising and activating is put off until it is read: by the next convolution, which makes the numbers where it needs them, or by
/// [`settle`](Self::settle). The gradient of a convolved tensor is that of what it becomes by then.
#[backend_extension(Flex, Autodiff)]
pub(in crate::models) trait Convolutions: Backend {
    /// `[batch, inputs, height, width]`, `[outputs, inputs / groups, kernel, kernel]`, and a factor and a summand for each output →
    /// what is convolved but not normalised, `[batch, outputs, height, width]`, and the mean and the population's variance of each output.
    fn conv_norm(
        x: FloatTensor<Self>,
        kernels: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        layer: Layer,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// Normalises and activates.
    fn settle(convolved: FloatTensor<Self>, norm: Arc<Norm>) -> FloatTensor<Self>;

    /// Normalises, adds a shortcut, and cuts off what is negative if `relu` says so.
    fn settle_onto(
        convolved: FloatTensor<Self>,
        shortcut: FloatTensor<Self>,
        norm: Arc<Norm>,
        relu: bool,
    ) -> FloatTensor<Self>;

    /// A convolution with nothing but a summand after it.
    fn conv_bias(
        x: FloatTensor<Self>,
        kernels: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        shape: Shape,
    ) -> FloatTensor<Self>;
}

type Flex = burn::backend::Flex;

impl Convolutions for Flex {
    fn conv_norm(
        x: FlexTensor,
        kernels: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        layer: Layer,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let pass = forward(x, kernels, &gamma, &beta, layer);
        (pass.kept.convolved, pass.mean, pass.variance)
    }

    fn settle(convolved: FlexTensor, norm: Arc<Norm>) -> FlexTensor {
        let output = norm.apply(numbers(&convolved), None, plane(&convolved));
        like(output, &convolved)
    }

    fn settle_onto(
        convolved: FlexTensor,
        shortcut: FlexTensor,
        norm: Arc<Norm>,
        relu: bool,
    ) -> FlexTensor {
        let shortcut = contiguous(shortcut);
        let activation = if relu {
            Activation::Relu
        } else {
            Activation::Identity
        };
        let shortcut = Some((numbers(&shortcut), activation));
        let output = norm.apply(numbers(&convolved), shortcut, plane(&convolved));
        like(output, &convolved)
    }

    fn conv_bias(x: FlexTensor, kernels: FlexTensor, bias: FlexTensor, shape: Shape) -> FlexTensor {
        let (x, kernels, bias) = (contiguous(x), contiguous(kernels), contiguous(bias));
        let weights = Weights {
            kernels: numbers(&kernels),
            scale: &vec![1.0; shape.outputs],
            shift: numbers(&bias),
            activation: Activation::Identity,
        };
        maps(convolve(numbers(&x), &shape, &weights), &shape)
    }
}

/// What the way back needs, and the statistics.
struct Pass {
    kept: Kept,
    mean: FlexTensor,
    variance: FlexTensor,
}

#[derive(Clone, Debug)]
struct Kept {
    x: FlexTensor,
    of_x: Option<Arc<Norm>>,
    kernels: FlexTensor,
    convolved: FlexTensor,
    norm: Norm,
    shape: Shape,
    measured: bool,
}

fn forward(
    x: FlexTensor,
    kernels: FlexTensor,
    gamma: &FlexTensor,
    beta: &FlexTensor,
    layer: Layer,
) -> Pass {
    let (x, kernels) = (contiguous(x), contiguous(kernels));
    let (gamma, beta) = (contiguous(gamma.clone()), contiguous(beta.clone()));
    let shape = layer.shape;
    let input = Input {
        values: numbers(&x),
        norm: layer.input.as_deref(),
    };
    let (convolved, measured) = convolve_and_measure(input, &shape, numbers(&kernels));
    let is_measured = layer.moments.is_none();
    let moments = layer.moments.unwrap_or(measured);
    let norm = Norm::new(
        &moments,
        layer.epsilon,
        numbers(&gamma),
        numbers(&beta),
        layer.activation,
    );
    Pass {
        kept: Kept {
            x,
            of_x: layer.input,
            kernels,
            convolved: maps(convolved, &shape),
            norm,
            shape,
            measured: is_measured,
        },
        mean: row(moments.mean),
        variance: row(moments.variance),
    }
}

/// How many numbers a channel has.
fn plane(maps: &FlexTensor) -> usize {
    maps.layout().shape()[2..].iter().product()
}

/// Images' numbers as `[batch, outputs, height, width]`.
fn maps(values: Vec<f32>, shape: &Shape) -> FlexTensor {
    let [height, width] = shape.output_size();
    let batch = values.len() / (shape.outputs * height * width);
    FlexTensor::from_data(TensorData::new(
        values,
        [batch, shape.outputs, height, width],
    ))
}

impl<C: CheckpointStrategy> Convolutions for Autodiff<Flex, C> {
    fn conv_norm(
        x: FloatTensor<Self>,
        kernels: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        layer: Layer,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (x, of_x) = x.into_parts();
        let (kernels, of_kernels) = kernels.into_parts();
        let (gamma, of_gamma) = gamma.into_parts();
        let (beta, of_beta) = beta.into_parts();
        let Pass {
            kept,
            mean,
            variance,
        } = forward(x, kernels, &gamma, &beta, layer);
        let (nodes, output) = (
            [of_x, of_kernels, of_gamma, of_beta],
            kept.convolved.clone(),
        );
        let output = match ConvNorm.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(kept, output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        };
        let constant = FloatTensor::<Self>::new;
        (output, constant(mean), constant(variance))
    }

    fn settle(convolved: FloatTensor<Self>, norm: Arc<Norm>) -> FloatTensor<Self> {
        let (convolved, node) = convolved.into_parts();
        let output = Flex::settle(convolved, norm);
        match Settle.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn settle_onto(
        convolved: FloatTensor<Self>,
        shortcut: FloatTensor<Self>,
        norm: Arc<Norm>,
        relu: bool,
    ) -> FloatTensor<Self> {
        let (convolved, of_convolved) = convolved.into_parts();
        let (shortcut, of_shortcut) = shortcut.into_parts();
        let output = Flex::settle_onto(convolved, shortcut, norm, relu);
        let nodes = [of_convolved, of_shortcut];
        match SettleOnto.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let cut = relu.then(|| output.clone());
                prepared.finish(cut, output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn conv_bias(
        x: FloatTensor<Self>,
        kernels: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        shape: Shape,
    ) -> FloatTensor<Self> {
        let (x, of_x) = x.into_parts();
        let (kernels, of_kernels) = kernels.into_parts();
        let (bias, of_bias) = bias.into_parts();
        let (x, kernels) = (contiguous(x), contiguous(kernels));
        let output = Flex::conv_bias(x.clone(), kernels.clone(), bias, shape);
        let nodes = [of_x, of_kernels, of_bias];
        match ConvBias.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((x, kernels, shape), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }
}

#[derive(Debug)]
struct ConvNorm;

impl Backward<Flex, 4> for ConvNorm {
    type State = Kept;

    fn backward(self, ops: Ops<Kept, 4>, collected: &mut Collected, _: &mut Checkpointer) {
        let gradient = contiguous(collected.consume::<Flex>(&ops.node));
        let [of_x, of_kernels, of_gamma, of_beta] = ops.parents;
        let kept = ops.state;
        let forwards = Forwards {
            input: Input {
                values: numbers(&kept.x),
                norm: kept.of_x.as_deref(),
            },
            kernels: numbers(&kept.kernels),
            convolved: numbers(&kept.convolved),
            norm: &kept.norm,
            measured: kept.measured,
        };
        let asked = Asked {
            images: of_x.is_some(),
            kernels: of_kernels.is_some(),
        };
        let found = backward_through_norm(forwards, &kept.shape, numbers(&gradient), asked);
        let Gradients { images, kernels } = found.convolution;
        let of_parents = [
            (of_x, images.map(|images| like(images, &kept.x))),
            (of_kernels, kernels.map(|of| like(of, &kept.kernels))),
            (of_gamma, Some(row(found.gamma))),
            (of_beta, Some(row(found.beta))),
        ];
        for (parent, gradient) in of_parents {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                collected.register::<Flex>(parent.id, gradient);
            }
        }
    }
}

/// The gradient of what is settled is kept for the convolution, which goes back through the normalisation.
#[derive(Debug)]
struct Settle;

impl Backward<Flex, 1> for Settle {
    type State = ();

    fn backward(self, ops: Ops<(), 1>, collected: &mut Collected, _: &mut Checkpointer) {
        unary::<Flex, _>(ops.parents, ops.node, collected, |gradient| gradient);
    }
}

#[derive(Debug)]
struct SettleOnto;

impl Backward<Flex, 2> for SettleOnto {
    /// The output, if what was negative has been cut off.
    type State = Option<FlexTensor>;

    fn backward(self, ops: Ops<Self::State, 2>, collected: &mut Collected, _: &mut Checkpointer) {
        let mut gradient = collected.consume::<Flex>(&ops.node);
        if let Some(output) = ops.state {
            gradient = cut(gradient, &output);
        }
        for parent in ops.parents.into_iter().flatten() {
            collected.register::<Flex>(parent.id, gradient.clone());
        }
    }
}

/// `gradient` where `output` is above 0, else 0.
fn cut(gradient: FlexTensor, output: &FlexTensor) -> FlexTensor {
    let output = numbers(output);
    map(gradient, PIECE, |start, gradient| {
        let output = &output[start..start + gradient.len()];
        vectorised(
            #[inline(always)]
            || {
                for (gradient, output) in gradient.iter_mut().zip(output) {
                    *gradient = if *output <= 0.0 { 0.0 } else { *gradient };
                }
            },
        );
    })
}

#[derive(Debug)]
struct ConvBias;

impl Backward<Flex, 3> for ConvBias {
    type State = (FlexTensor, FlexTensor, Shape);

    fn backward(self, ops: Ops<Self::State, 3>, collected: &mut Collected, _: &mut Checkpointer) {
        let gradient = contiguous(collected.consume::<Flex>(&ops.node));
        let [of_x, of_kernels, of_bias] = ops.parents;
        let (x, kernels, shape) = ops.state;
        let asked = Asked {
            images: of_x.is_some(),
            kernels: of_kernels.is_some(),
        };
        let (of_result, plane) = (numbers(&gradient), shape.output_plane());
        let found = backward(
            Input::plain(numbers(&x)),
            &shape,
            numbers(&kernels),
            asked,
            |image, channel, range, to| {
                let start = (image * shape.outputs + channel) * plane;
                to.copy_from_slice(&of_result[start + range.start..start + range.end]);
            },
        );
        let of_parents = [
            (of_x, found.images.map(|images| like(images, &x))),
            (of_kernels, found.kernels.map(|of| like(of, &kernels))),
            (of_bias, Some(row(sums(of_result, &shape)))),
        ];
        for (parent, gradient) in of_parents {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                collected.register::<Flex>(parent.id, gradient);
            }
        }
    }
}

/// The sum of each output channel.
fn sums(of_result: &[f32], shape: &Shape) -> Vec<f32> {
    let mut sums = vec![0.0; shape.outputs];
    for (index, plane) in of_result.chunks_exact(shape.output_plane()).enumerate() {
        sums[index % shape.outputs] += plane.iter().sum::<f32>();
    }
    sums
}
