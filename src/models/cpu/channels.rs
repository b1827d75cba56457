//! Channels of maps as wholes: their means, and a factor for each.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use super::tensor::{contiguous, map, numbers};
use super::{is_flex, vectorised};

/// The operations on a backend's own tensors. All tensors are f32.
#[backend_extension(Flex, Autodiff)]
trait Channels: Backend {
    /// `[batch, channels, height, width]` → `[batch, channels]`.
    fn mean(x: FloatTensor<Self>) -> FloatTensor<Self>;

    /// `[batch, channels, height, width]` and `[batch, channels]` → the first.
    fn scale(x: FloatTensor<Self>, factors: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// The mean of each channel: `[batch, channels, height, width]` → `[batch, channels]`.
pub(in crate::models) fn mean(x: Tensor<4>) -> Tensor<2> {
    // Without gradients Burn's own is as good.
    if is_flex(&x) && x.device().is_autodiff() {
        return Tensor::from_dispatch(<Dispatch as Channels>::mean(x.into_dispatch()));
    }
    let [batch, channels, height, width] = x.dims();
    x.reshape([batch, channels, height * width])
        .mean_dim(2)
        .reshape([batch, channels])
}

/// Each channel of `x`, `[batch, channels, height, width]`, times its factor of `[batch, channels]`.
pub(in crate::models) fn scale(x: Tensor<4>, factors: Tensor<2>) -> Tensor<4> {
    if is_flex(&x) {
        let (x, factors) = (x.into_dispatch(), factors.into_dispatch());
        return Tensor::from_dispatch(<Dispatch as Channels>::scale(x, factors));
    }
    let [batch, channels] = factors.dims();
    x * factors.reshape([batch, channels, 1, 1])
}

impl Channels for Flex {
    fn mean(x: FlexTensor) -> FlexTensor {
        let x = contiguous(x);
        let plane = plane(&x);
        #[expect(clippy::cast_precision_loss, reason = "planes are far below 2^24")]
        let count = plane as f32;
        let means = numbers(&x)
            .par_chunks(plane)
            .map(|plane| sum(plane) / count);
        rows(means.collect(), &x)
    }

    fn scale(x: FlexTensor, factors: FlexTensor) -> FlexTensor {
        let (x, factors) = (contiguous(x), contiguous(factors));
        let (plane, factors) = (plane(&x), numbers(&factors));
        map(x, plane, |start, plane_of_x| {
            let factor = factors[start / plane];
            vectorised(
                #[inline(always)]
                || {
                    for x in plane_of_x {
                        *x *= factor;
                    }
                },
            );
        })
    }
}

/// How many numbers a channel has.
fn plane(x: &FlexTensor) -> usize {
    x.layout().shape()[2..].iter().product()
}

/// A number for each channel of `x`.
fn rows(values: Vec<f32>, x: &FlexTensor) -> FlexTensor {
    let shape = x.layout().shape();
    FlexTensor::from_data(TensorData::new(values, [shape[0], shape[1]]))
}

/// Sums run over so many lanes side by side.
const LANES: usize = 16;

fn sum(x: &[f32]) -> f32 {
    vectorised(
        #[inline(always)]
        || {
            let mut lanes = [0.0_f32; LANES];
            let (whole, rest) = x.as_chunks::<LANES>();
            for x in whole {
                for (lane, x) in lanes.iter_mut().zip(x) {
                    *lane += x;
                }
            }
            for (lane, x) in lanes.iter_mut().zip(rest) {
                *lane += x;
            }
            lanes.iter().sum()
        },
    )
}

/// Σ x · y
fn dot(x: &[f32], y: &[f32]) -> f32 {
    vectorised(
        #[inline(always)]
        || {
            let mut lanes = [0.0_f32; LANES];
            let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
            for (x, y) in x.iter().zip(y) {
                for (lane, (x, y)) in lanes.iter_mut().zip(x.iter().zip(y)) {
                    *lane += x * y;
                }
            }
            for (lane, (x, y)) in lanes.iter_mut().zip(x_rest.iter().zip(y_rest)) {
                *lane += x * y;
            }
            lanes.iter().sum()
        },
    )
}

impl<C: CheckpointStrategy> Channels for Autodiff<Flex, C> {
    fn mean(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, node) = x.into_parts();
        let shape: Vec<usize> = x.layout().shape().iter().copied().collect();
        let output = Flex::mean(x);
        match Mean.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(shape, output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn scale(x: FloatTensor<Self>, factors: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, of_x) = x.into_parts();
        let (factors, of_factors) = factors.into_parts();
        let (x, factors) = (contiguous(x), contiguous(factors));
        let output = Flex::scale(x.clone(), factors.clone());
        match Scale
            .prepare::<C>([of_x, of_factors])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prepared) => prepared.finish([x, factors], output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }
}

#[derive(Debug)]
struct Mean;

impl Backward<Flex, 1> for Mean {
    /// The shape of the maps.
    type State = Vec<usize>;

    fn backward(self, ops: Ops<Self::State, 1>, collected: &mut Gradients, _: &mut Checkpointer) {
        let shape = ops.state;
        unary::<Flex, _>(ops.parents, ops.node, collected, |gradient| {
            let plane: usize = shape[2..].iter().product();
            #[expect(clippy::cast_precision_loss, reason = "planes are far below 2^24")]
            let part = 1.0 / plane as f32;
            let gradient = contiguous(gradient);
            let of_channels = numbers(&gradient);
            let spread = of_channels
                .iter()
                .flat_map(|of| std::iter::repeat_n(of * part, plane));
            FlexTensor::from_data(TensorData::new(spread.collect::<Vec<f32>>(), shape))
        });
    }
}

#[derive(Debug)]
struct Scale;

impl Backward<Flex, 2> for Scale {
    /// The maps and the factors.
    type State = [FlexTensor; 2];

    fn backward(self, ops: Ops<Self::State, 2>, collected: &mut Gradients, _: &mut Checkpointer) {
        let gradient = contiguous(collected.consume::<Flex>(&ops.node));
        let [x, factors] = ops.state;
        let [of_x, of_factors] = ops.parents;
        if let Some(node) = of_factors {
            let plane = plane(&x);
            let (x_numbers, of_output) = (numbers(&x), numbers(&gradient));
            let planes = x_numbers.par_chunks(plane).zip(of_output.par_chunks(plane));
            let products = planes.map(|(x, gradient)| dot(x, gradient));
            collected.register::<Flex>(node.id, rows(products.collect(), &x));
        }
        if let Some(node) = of_x {
            collected.register::<Flex>(node.id, Flex::scale(gradient, factors));
        }
    }
}
