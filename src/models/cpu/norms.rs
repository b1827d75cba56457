//! Layer normalisation (Ba et al., arXiv:1607.06450) in training. Without gradients Burn's own is as good.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Device, Tensor};
use rayon::prelude::*;

use super::tensor::{contiguous, like, numbers, row};
use super::{Room, room, vectorised, written};

/// The operation on a backend's own tensors. All tensors are f32.
#[backend_extension(Flex, Autodiff)]
trait Norms: Backend {
    /// `[…, width]`, and a factor and a summand for each place of a row → the same.
    fn normalise(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self>;
}

/// `[…, width]` on the processor, and a factor and a summand for each place of a row → the same.
#[expect(clippy::cast_possible_truncation, reason = "the numbers are f32")]
pub(in crate::models) fn layer_norm<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Option<Tensor<1>>,
    epsilon: f64,
) -> Tensor<D> {
    let beta = beta.unwrap_or_else(|| Tensor::zeros(gamma.dims(), &Device::flex()));
    let output = <Dispatch as Norms>::normalise(
        x.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        epsilon as f32,
    );
    Tensor::from_dispatch(output)
}

/// Rows that one thread works on at a time. Gradients of factors are summed by so many rows, whatever the number of threads.
const ROWS: usize = 64;

/// Of a row.
#[derive(Clone, Copy, Debug)]
struct Moment {
    mean: f32,
    /// 1 / √(variance + ε)
    inverse: f32,
}

impl Norms for Flex {
    fn normalise(x: FlexTensor, gamma: FlexTensor, beta: FlexTensor, epsilon: f32) -> FlexTensor {
        forward(
            &contiguous(x),
            &contiguous(gamma),
            &contiguous(beta),
            epsilon,
        )
        .0
    }
}

fn forward(
    x: &FlexTensor,
    gamma: &FlexTensor,
    beta: &FlexTensor,
    epsilon: f32,
) -> (FlexTensor, Vec<Moment>) {
    let (numbers_of_x, gamma, beta) = (numbers(x), numbers(gamma), numbers(beta));
    let width = gamma.len();
    assert_eq!(beta.len(), width);
    assert!(numbers_of_x.len().is_multiple_of(width), "whole rows");
    let mut output = room(numbers_of_x.len());
    let moments: Vec<Vec<Moment>> = output
        .par_chunks_mut(ROWS * width)
        .zip(numbers_of_x.par_chunks(ROWS * width))
        .map(|(output, x)| {
            let rows = output.chunks_exact_mut(width).zip(x.chunks_exact(width));
            let moments = rows.map(|(to, x)| {
                let moment = moment(x, epsilon);
                let Moment { mean, inverse } = moment;
                vectorised(
                    #[inline(always)]
                    || {
                        let parts = to.iter_mut().zip(x).zip(gamma.iter().zip(beta));
                        for ((to, x), (gamma, beta)) in parts {
                            to.write((x - mean) * inverse * gamma + beta);
                        }
                    },
                );
                moment
            });
            moments.collect()
        })
        .collect();
    #[expect(unsafe_code, reason = "the compiler does not count")]
    // SAFETY: all rows have been written: `output` is as long as `x`, which is of whole rows, and factors and summands are as wide.
    let output = unsafe { written(output) };
    (like(output, x), moments.concat())
}

#[expect(clippy::cast_precision_loss, reason = "rows are far below 2^24")]
fn moment(x: &[f32], epsilon: f32) -> Moment {
    let width = x.len() as f32;
    vectorised(
        #[inline(always)]
        || {
            let mean = sum(
                x,
                #[inline(always)]
                |x| x,
            ) / width;
            let squares = sum(
                x,
                #[inline(always)]
                |x| (x - mean) * (x - mean),
            );
            Moment {
                mean,
                inverse: 1.0 / (squares / width + epsilon).sqrt(),
            }
        },
    )
}

/// Sums run over so many lanes side by side.
const LANES: usize = 16;

/// Σ f(x)
#[expect(clippy::inline_always, reason = "a call would end the vector code")]
#[inline(always)]
fn sum(x: &[f32], function: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let (whole, rest) = x.as_chunks::<LANES>();
    for x in whole {
        for (lane, x) in lanes.iter_mut().zip(x) {
            *lane += function(*x);
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane += function(*x);
    }
    lanes.iter().sum()
}

impl<C: CheckpointStrategy> Norms for Autodiff<Flex, C> {
    fn normalise(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let (x, of_x) = x.into_parts();
        let (gamma, of_gamma) = gamma.into_parts();
        let (beta, of_beta) = beta.into_parts();
        let (x, gamma) = (contiguous(x), contiguous(gamma));
        let (output, moments) = forward(&x, &gamma, &contiguous(beta), epsilon);
        let nodes = [of_x, of_gamma, of_beta];
        match Normalise.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(Kept { x, gamma, moments }, output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }
}

#[derive(Clone, Debug)]
struct Kept {
    x: FlexTensor,
    gamma: FlexTensor,
    moments: Vec<Moment>,
}

#[derive(Debug)]
struct Normalise;

impl Backward<Flex, 3> for Normalise {
    type State = Kept;

    fn backward(self, ops: Ops<Kept, 3>, collected: &mut Gradients, _: &mut Checkpointer) {
        let gradient = contiguous(collected.consume::<Flex>(&ops.node));
        let Kept { x, gamma, moments } = ops.state;
        let [of_x, of_gamma, of_beta] = ops.parents;
        let (of_input, gammas, betas) =
            backward(numbers(&x), numbers(&gradient), numbers(&gamma), &moments);
        let found = [
            (of_x, like(of_input, &x)),
            (of_gamma, row(gammas)),
            (of_beta, row(betas)),
        ];
        for (parent, gradient) in found {
            if let Some(parent) = parent {
                collected.register::<Flex>(parent.id, gradient);
            }
        }
    }
}

/// The gradients of the input, of the factors and of the summands.
fn backward(
    x: &[f32],
    gradient: &[f32],
    gamma: &[f32],
    moments: &[Moment],
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let width = gamma.len();
    assert_eq!(x.len(), gradient.len());
    assert_eq!(x.len(), moments.len() * width);
    let mut of_input = room(x.len());
    let sums: Vec<[Vec<f32>; 2]> = of_input
        .par_chunks_mut(ROWS * width)
        .zip(x.par_chunks(ROWS * width))
        .zip(gradient.par_chunks(ROWS * width))
        .zip(moments.par_chunks(ROWS))
        .map(|(((to, x), gradient), moments)| {
            let mut sums = [vec![0.0_f32; width], vec![0.0_f32; width]];
            let rows = to.chunks_exact_mut(width).zip(x.chunks_exact(width));
            let rows = rows.zip(gradient.chunks_exact(width)).zip(moments);
            for (((to, x), gradient), moment) in rows {
                let [gammas, betas] = &mut sums;
                back(*moment, x, gradient, gamma, [gammas, betas], to);
            }
            sums
        })
        .collect();
    let total = sums.into_iter().reduce(|mut total, part| {
        for (total, part) in total.iter_mut().zip(part) {
            for (total, part) in total.iter_mut().zip(part) {
                *total += part;
            }
        }
        total
    });
    let [gammas, betas] = total.unwrap_or_else(|| [vec![0.0; width], vec![0.0; width]]);
    #[expect(unsafe_code, reason = "the compiler does not count")]
    // SAFETY: all rows have been written: `of_input` is as long as `x`, which is of whole rows.
    let of_input = unsafe { written(of_input) };
    (of_input, gammas, betas)
}

/// One row: its gradient in `to`, and what it adds to the gradients of the factors and of the summands.
#[expect(clippy::cast_precision_loss, reason = "rows are far below 2^24")]
fn back(
    moment: Moment,
    x: &[f32],
    gradient: &[f32],
    gamma: &[f32],
    [gammas, betas]: [&mut Vec<f32>; 2],
    to: &mut Room,
) {
    let Moment { mean, inverse } = moment;
    vectorised(
        #[inline(always)]
        || {
            let sums = gammas.iter_mut().zip(betas);
            for ((gamma, beta), (x, gradient)) in sums.zip(x.iter().zip(gradient)) {
                *gamma += gradient * (x - mean) * inverse;
                *beta += gradient;
            }
            let width = x.len() as f32;
            let [all, along] = along(x, gradient, gamma, mean);
            let (always, by_distance) = (all / width, along * inverse * inverse / width);
            let parts = x.iter().zip(gradient.iter().zip(gamma));
            for (to, (x, (gradient, gamma))) in to.iter_mut().zip(parts) {
                to.write(inverse * (gradient * gamma - always - (x - mean) * by_distance));
            }
        },
    );
}

/// Σ gradient · γ, and Σ gradient · γ · (x - mean).
#[expect(clippy::inline_always, reason = "a call would end the vector code")]
#[inline(always)]
fn along(x: &[f32], gradient: &[f32], gamma: &[f32], mean: f32) -> [f32; 2] {
    let mut lanes = [[0.0_f32; LANES]; 2];
    let (x, x_rest) = x.as_chunks::<LANES>();
    let (gradient, gradient_rest) = gradient.as_chunks::<LANES>();
    let (gamma, gamma_rest) = gamma.as_chunks::<LANES>();
    for (x, (gradient, gamma)) in x.iter().zip(gradient.iter().zip(gamma)) {
        for lane in 0..LANES {
            let product = gradient[lane] * gamma[lane];
            lanes[0][lane] += product;
            lanes[1][lane] += product * (x[lane] - mean);
        }
    }
    let rest = x_rest.iter().zip(gradient_rest.iter().zip(gamma_rest));
    for (lane, (x, (gradient, gamma))) in rest.enumerate() {
        let product = gradient * gamma;
        lanes[0][lane] += product;
        lanes[1][lane] += product * (x - mean);
    }
    lanes.map(|lanes| lanes.iter().sum())
}
