//! A convolution in training: with batch normalisation (Ioffe and Szegedy, arXiv:1502.03167) and an activation, and back.
//!
//! Of each layer the convolved maps are kept. What is normalised and which numbers the activation cut off are computed again on the way
//! back, where they are needed.

use std::ops::Range;

use rayon::prelude::*;

use super::super::{room, written};
use super::backward::{Asked, Gradients, backward};
use super::forward::{Scratch, convolve_image};
use super::functions::{Function, with_function};
use super::input::Input;
use super::{Activation, Shape, vectorised};

/// The statistics of each channel.
#[derive(Clone, Debug)]
pub(in crate::models) struct Moments {
    pub(in crate::models) mean: Vec<f32>,
    /// The population's, not the unbiased one.
    pub(in crate::models) variance: Vec<f32>,
}

/// Convolves a batch of images, `[batch, inputs, height, width]` → `[batch, outputs, height, width]`, and takes the statistics of each output
/// channel.
///
/// # Panics
/// If the slices are not of the sizes that `shape` says.
pub(in crate::models) fn convolve_and_measure(
    input: Input<'_>,
    shape: &Shape,
    kernels: &[f32],
) -> (Vec<f32>, Moments) {
    shape.check(input.values, kernels);
    let mut convolved = room(input.values.len() / shape.image() * shape.result());
    let of_images: Vec<Vec<Moment>> = convolved
        .par_chunks_mut(shape.result())
        .enumerate()
        .map_init(Scratch::default, |scratch, (index, result)| {
            let image = input.image(index, shape.image(), shape.plane());
            let result = convolve_image(image, shape, kernels, result, scratch, |_, _| {});
            let planes = result.chunks_exact(shape.output_plane());
            planes.map(moment).collect()
        })
        .collect();
    #[expect(unsafe_code, reason = "as `convolve_image` promises")]
    // SAFETY: all images of the result have been written.
    let convolved = unsafe { written(convolved) };
    (convolved, together(&of_images, shape))
}

/// Of the numbers of one channel of one image.
#[derive(Clone, Copy)]
struct Moment {
    mean: f32,
    /// Σ (x - mean)²
    squares: f32,
}

#[expect(clippy::cast_precision_loss, reason = "planes are far below 2^24")]
fn moment(plane: &[f32]) -> Moment {
    let mean = sum(
        plane,
        #[inline(always)]
        |x| x,
    ) / plane.len() as f32;
    Moment {
        mean,
        squares: sum(
            plane,
            #[inline(always)]
            |x| (x - mean) * (x - mean),
        ),
    }
}

/// The statistics of all images, by Chan's formula.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
#[expect(clippy::cast_possible_truncation, reason = "statistics are f32")]
fn together(of_images: &[Vec<Moment>], shape: &Shape) -> Moments {
    let images = of_images.len() as f64;
    let plane = shape.output_plane() as f64;
    let of_channel = |channel: usize| {
        let all = || of_images.iter().map(|of_image| of_image[channel]);
        let mean = all().map(|of| f64::from(of.mean)).sum::<f64>() / images;
        let squares = all().map(|of| {
            let apart = f64::from(of.mean) - mean;
            f64::from(of.squares) + plane * apart * apart
        });
        (
            mean as f32,
            (squares.sum::<f64>() / (images * plane)) as f32,
        )
    };
    let (mean, variance) = (0..shape.outputs).map(of_channel).unzip();
    Moments { mean, variance }
}

/// How the channels of a convolved map are normalised.
#[derive(Clone, Debug)]
pub(in crate::models) struct Norm {
    mean: Vec<f32>,
    /// 1 / √(variance + ε)
    inverse: Vec<f32>,
    scale: Vec<f32>,
    shift: Vec<f32>,
    activation: Activation,
}

impl Norm {
    /// With factors `gamma` and summands `beta`.
    pub(in crate::models) fn new(
        moments: &Moments,
        epsilon: f32,
        gamma: &[f32],
        beta: &[f32],
        activation: Activation,
    ) -> Self {
        let inverse: Vec<f32> = (moments.variance.iter())
            .map(|variance| 1.0 / (variance + epsilon).sqrt())
            .collect();
        let scale: Vec<f32> = gamma.iter().zip(&inverse).map(|(a, b)| a * b).collect();
        let shift = (beta.iter().zip(&moments.mean).zip(&scale))
            .map(|((beta, mean), scale)| beta - mean * scale)
            .collect();
        Self {
            mean: moments.mean.clone(),
            inverse,
            scale,
            shift,
            activation,
        }
    }

    /// Normalises and activates numbers of a channel.
    pub(super) fn put(&self, channel: usize, convolved: &[f32], to: &mut [f32]) {
        let (scale, shift) = (self.scale[channel], self.shift[channel]);
        with_function!(self.activation, F => vectorised(#[inline(always)] || {
            for (to, x) in to.iter_mut().zip(convolved) {
                *to = F::value(x * scale + shift);
            }
        }));
    }

    /// Normalises and activates maps with channels of `plane` numbers. With a `shortcut` it is added, and the function with it activates.
    ///
    /// # Panics
    /// If these are not whole maps.
    pub(super) fn apply(
        &self,
        convolved: &[f32],
        shortcut: Option<(&[f32], Activation)>,
        plane: usize,
    ) -> Vec<f32> {
        let channels = self.scale.len();
        assert!(
            convolved.len().is_multiple_of(channels * plane),
            "whole maps"
        );
        let mut output = room(convolved.len());
        let all = output.par_chunks_mut(channels * plane).enumerate();
        all.for_each(|(image, output)| {
            for (channel, to) in output.chunks_exact_mut(plane).enumerate() {
                let (scale, shift) = (self.scale[channel], self.shift[channel]);
                let start = (image * channels + channel) * plane;
                let x = &convolved[start..start + plane];
                match shortcut {
                    None => with_function!(self.activation, F => vectorised(#[inline(always)] || {
                        for (to, x) in to.iter_mut().zip(x) {
                            to.write(F::value(x * scale + shift));
                        }
                    })),
                    Some((shortcut, activation)) => {
                        let more = &shortcut[start..start + plane];
                        with_function!(activation, F => vectorised(#[inline(always)] || {
                            for ((to, x), more) in to.iter_mut().zip(x).zip(more) {
                                to.write(F::value(x * scale + shift + more));
                            }
                        }));
                    }
                }
            }
        });
        #[expect(unsafe_code, reason = "the compiler does not count")]
        // SAFETY: every number of every channel of every map has been written: the slices that are read are as long.
        unsafe {
            written(output)
        }
    }
}

/// The gradients of a convolution, its normalisation and its activation.
#[derive(Debug)]
pub(in crate::models) struct NormGradients {
    pub(in crate::models) convolution: Gradients,
    pub(in crate::models) gamma: Vec<f32>,
    pub(in crate::models) beta: Vec<f32>,
}

/// What a step back needs of the step forwards.
#[derive(Clone, Copy)]
pub(in crate::models) struct Forwards<'a> {
    pub(in crate::models) input: Input<'a>,
    pub(in crate::models) kernels: &'a [f32],
    pub(in crate::models) convolved: &'a [f32],
    pub(in crate::models) norm: &'a Norm,
    /// Whether it was normalised by the statistics of these very images, so that these have a gradient, too.
    pub(in crate::models) measured: bool,
}

/// The way back, given the `gradient` of the output.
///
/// # Panics
/// If the slices are not of the sizes that `shape` says.
#[expect(clippy::cast_precision_loss, reason = "counts")]
pub(in crate::models) fn backward_through_norm(
    forwards: Forwards<'_>,
    shape: &Shape,
    gradient: &[f32],
    asked: Asked,
) -> NormGradients {
    let Forwards {
        convolved, norm, ..
    } = forwards;
    assert_eq!(convolved.len(), gradient.len());
    let (beta, gamma) = sums_of_gradient(convolved, gradient, norm, shape);
    let count = if forwards.measured {
        (convolved.len() / shape.outputs) as f32
    } else {
        f32::INFINITY
    };
    let plane = shape.output_plane();
    let of_convolved = |image: usize, channel: usize, range: Range<usize>, to: &mut [f32]| {
        let start = (image * shape.outputs + channel) * plane;
        let range = start + range.start..start + range.end;
        let (x, gradient) = (&convolved[range.clone()], &gradient[range]);
        let (scale, shift) = (norm.scale[channel], norm.shift[channel]);
        let mean = norm.mean[channel];
        let always = beta[channel] / count;
        let by_distance = norm.inverse[channel] * gamma[channel] / count;
        with_function!(norm.activation, F => vectorised(#[inline(always)] || {
            for ((to, x), gradient) in to.iter_mut().zip(x).zip(gradient) {
                let gradient = gradient * F::slope(x * scale + shift);
                *to = scale * (gradient - always - (x - mean) * by_distance);
            }
        }));
    };
    NormGradients {
        convolution: backward(forwards.input, shape, forwards.kernels, asked, of_convolved),
        gamma,
        beta,
    }
}

/// The gradients of what is added to each channel, and of the factor of each.
#[expect(clippy::cast_possible_truncation, reason = "gradients are f32")]
fn sums_of_gradient(
    convolved: &[f32],
    gradient: &[f32],
    norm: &Norm,
    shape: &Shape,
) -> (Vec<f32>, Vec<f32>) {
    let plane = shape.output_plane();
    let of_images: Vec<Vec<[f32; 2]>> = convolved
        .par_chunks(shape.result())
        .zip(gradient.par_chunks(shape.result()))
        .map(|(convolved, gradient)| {
            let planes = convolved.chunks_exact(plane).zip(gradient.chunks_exact(plane));
            let sums = planes.enumerate().map(|(channel, (x, gradient))| {
                let (scale, shift) = (norm.scale[channel], norm.shift[channel]);
                let mean = norm.mean[channel];
                with_function!(norm.activation, F => sums(x, gradient, #[inline(always)] |x, gradient| {
                    let gradient = gradient * F::slope(x * scale + shift);
                    [gradient, gradient * (x - mean)]
                }))
            });
            sums.collect()
        })
        .collect();
    let total = |channel: usize| {
        let of = |which: usize| -> f64 {
            let all = of_images.iter().map(|sums| f64::from(sums[channel][which]));
            all.sum()
        };
        let gamma = of(1) * f64::from(norm.inverse[channel]);
        (of(0) as f32, gamma as f32)
    };
    (0..shape.outputs).map(total).unzip()
}

/// Sums run over so many lanes side by side.
const LANES: usize = 16;

/// Σ f(x)
#[expect(
    clippy::inline_always,
    reason = "so that it is compiled for the widest instructions with its function"
)]
#[inline(always)]
fn sum(x: &[f32], function: impl Fn(f32) -> f32) -> f32 {
    vectorised(
        #[inline(always)]
        || {
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
        },
    )
}

/// Σ f(x, y), both of them.
#[expect(
    clippy::inline_always,
    reason = "so that it is compiled for the widest instructions with its function"
)]
#[inline(always)]
fn sums(x: &[f32], y: &[f32], function: impl Fn(f32, f32) -> [f32; 2]) -> [f32; 2] {
    vectorised(
        #[inline(always)]
        || {
            let mut lanes = [[0.0_f32; LANES]; 2];
            let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
            for (x, y) in x.iter().zip(y) {
                for lane in 0..LANES {
                    let [first, second] = function(x[lane], y[lane]);
                    lanes[0][lane] += first;
                    lanes[1][lane] += second;
                }
            }
            for (lane, (x, y)) in x_rest.iter().zip(y_rest).enumerate() {
                let [first, second] = function(*x, *y);
                lanes[0][lane] += first;
                lanes[1][lane] += second;
            }
            lanes.map(|lanes| lanes.iter().sum())
        },
    )
}
