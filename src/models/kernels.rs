//! Convolutions for inference on the CPU, over plain slices: convolution, scale and shift per channel (what a batch
//! normalisation comes to), and the activation, in one pass over each image.
//!
//! Burn's flex backend runs these as separate passes over a whole batch, and turns inputs around on one thread; for
//! MobileNetV2 that takes several times as long. Here each image is one task: what it reads and writes stays in the cache of
//! one core, and its numbers do not depend on the batch that it is in or on the number of threads. There are three ways:
//!
//! - 1×1, stride 1: a matrix product straight from the input;
//! - depthwise: sums of shifted planes;
//! - everything else: patches as columns (im2col), a tile of them at a time, and a matrix product.
//!
//! It knows no module and no tensor.

use rayon::prelude::*;

mod planes;
mod product;
#[cfg(test)]
mod tests;

use super::operations::slices::exp;
use planes::Planes;
use product::{Columns, Tile, product};

/// The function after a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activation {
    /// None.
    Identity,
    /// max(x, 0)
    Relu,
    /// min(max(x, 0), 6), as in MobileNet (arXiv:1704.04861).
    Relu6,
    /// x / (1 + e⁻ˣ), as in EfficientNet (arXiv:1905.11946).
    Silu,
    /// x times what [`Relu6`](Self::Relu6) makes of x + 3, by 6, as in MobileNetV3 (arXiv:1905.02244).
    HardSwish,
}

/// The sizes of a convolution with square kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Channels of the input.
    pub(super) inputs: usize,
    /// Channels of the output; as many as of the input if it is depthwise.
    pub(super) outputs: usize,
    /// Whether each channel has one kernel of its own, and goes into no other.
    pub(super) depthwise: bool,
    /// Height and width of the input.
    pub(super) size: [usize; 2],
    /// Height and width of the kernels.
    pub(super) kernel: usize,
    /// Step between outputs.
    pub(super) stride: usize,
    /// Zeros around the input: before and after its rows, before and after its columns.
    pub(super) padding: [(usize, usize); 2],
}

impl Shape {
    /// Height and width of the output.
    pub(super) fn output_size(&self) -> [usize; 2] {
        std::array::from_fn(|axis| {
            let (before, after) = self.padding[axis];
            (self.size[axis] + before + after - self.kernel) / self.stride + 1
        })
    }

    /// Numbers of an input channel.
    fn plane(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// Numbers of an output channel.
    fn output_plane(&self) -> usize {
        self.output_size().iter().product()
    }

    /// How many inputs one output is made of.
    fn fan_in(&self) -> usize {
        let channels = if self.depthwise { 1 } else { self.inputs };
        channels * self.kernel * self.kernel
    }

    fn is_pointwise(&self) -> bool {
        !self.depthwise && self.kernel == 1 && self.stride == 1 && self.padding == [(0, 0); 2]
    }
}

/// Weights of a convolution, and what comes after it.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a> {
    /// `[outputs, inputs, kernel, kernel]`, or `[outputs, 1, kernel, kernel]` if it is depthwise.
    pub(super) kernels: &'a [f32],
    /// A factor for each output channel.
    pub(super) scale: &'a [f32],
    /// What is added to each output channel after that.
    pub(super) shift: &'a [f32],
    /// What is applied in the end.
    pub(super) activation: Activation,
}

impl Weights<'_> {
    /// Scales, shifts and activates values of an output channel.
    fn finish(&self, channel: usize, values: &mut [f32]) {
        let (scale, shift) = (self.scale[channel], self.shift[channel]);
        vectorised(|| match self.activation {
            Activation::Identity => each(values, |value| value * scale + shift),
            Activation::Relu => each(values, |value| relu(value * scale + shift)),
            Activation::Relu6 => each(values, |value| relu6(value * scale + shift)),
            Activation::Silu => each(values, |value| silu(value * scale + shift)),
            Activation::HardSwish => each(values, |value| hard_swish(value * scale + shift)),
        });
    }
}

/// max(x, 0); NaN stays NaN, which `f32::max` would turn into 0.
#[expect(
    clippy::inline_always,
    reason = "so that it is compiled for its caller's CPU"
)]
#[inline(always)]
fn relu(x: f32) -> f32 {
    if x <= 0.0 { 0.0 } else { x }
}

/// min(max(x, 0), 6); NaN stays NaN.
#[expect(
    clippy::inline_always,
    reason = "so that it is compiled for its caller's CPU"
)]
#[inline(always)]
fn relu6(x: f32) -> f32 {
    if x >= 6.0 { 6.0 } else { relu(x) }
}

/// x / (1 + e⁻ˣ); NaN stays NaN.
#[expect(
    clippy::inline_always,
    reason = "so that it is compiled for its caller's CPU"
)]
#[inline(always)]
fn silu(x: f32) -> f32 {
    let below = exp(-x.abs());
    let share = if x < 0.0 { below } else { 1.0 };
    x * (share / (1.0 + below))
}

/// x · min(max(x + 3, 0), 6) / 6; NaN stays NaN.
#[expect(
    clippy::inline_always,
    reason = "so that it is compiled for its caller's CPU"
)]
#[inline(always)]
fn hard_swish(x: f32) -> f32 {
    x * relu6(x + 3.0) / 6.0
}

#[expect(
    clippy::inline_always,
    reason = "so that it is compiled for its caller's CPU"
)]
#[inline(always)]
fn each(values: &mut [f32], function: impl Fn(f32) -> f32) {
    for value in values {
        *value = function(*value);
    }
}

/// Convolves a batch of images `[batch, inputs, height, width]`, and returns `[batch, outputs, height, width]`.
///
/// # Panics
/// If the slices are not of the sizes that `shape` says.
pub(super) fn convolve(images: &[f32], shape: &Shape, weights: &Weights<'_>) -> Vec<f32> {
    let image_len = shape.inputs * shape.plane();
    let result_len = shape.outputs * shape.output_plane();
    assert!(images.len().is_multiple_of(image_len), "whole images");
    assert!(
        !shape.depthwise || shape.inputs == shape.outputs,
        "a kernel for each channel"
    );
    assert_eq!(weights.kernels.len(), shape.outputs * shape.fan_in());
    assert_eq!(weights.scale.len(), shape.outputs);
    assert_eq!(weights.shift.len(), shape.outputs);
    let mut results = vec![0.0; images.len() / image_len * result_len];
    results
        .par_chunks_mut(result_len)
        .zip(images.par_chunks(image_len))
        .for_each_init(Scratch::default, |scratch, (result, image)| {
            if shape.is_pointwise() {
                pointwise(image, shape, weights, result);
            } else if shape.depthwise {
                depthwise(image, shape, weights, result, scratch);
            } else {
                patches(image, shape, weights, result, scratch);
            }
        });
    results
}

/// Memory that a thread uses again for each image.
#[derive(Default)]
struct Scratch {
    planes: Vec<f32>,
    sums: Vec<f32>,
    columns: Vec<f32>,
}

fn pointwise(image: &[f32], shape: &Shape, weights: &Weights<'_>, result: &mut [f32]) {
    let plane = shape.plane();
    for start in (0..plane).step_by(TILE) {
        let columns = TILE.min(plane - start);
        let right = Columns {
            values: &image[start..],
            stride: plane,
        };
        let tile = Tile {
            values: result,
            start,
            columns,
            stride: plane,
        };
        product(weights.kernels, right, tile);
        for (channel, values) in result.chunks_exact_mut(plane).enumerate() {
            weights.finish(channel, &mut values[start..start + columns]);
        }
    }
}

/// How many columns of a matrix product are made before they are finished, while they are in the cache.
const TILE: usize = 512;

fn depthwise(
    image: &[f32],
    shape: &Shape,
    weights: &Weights<'_>,
    result: &mut [f32],
    scratch: &mut Scratch,
) {
    let planes = Planes::new(shape);
    let offsets: Vec<usize> = planes.offsets().collect();
    let [height, width] = shape.output_size();
    // Outputs are summed in one run over all rows, with the few columns that lie between them.
    let run = (height - 1) * planes.width() + width;
    scratch.sums.resize(run.next_multiple_of(BLOCK), 0.0);
    scratch.planes.clear();
    scratch.planes.resize(planes.len() + BLOCK, 0.0);
    let channels = image
        .chunks_exact(shape.plane())
        .zip(weights.kernels.chunks_exact(shape.fan_in()))
        .zip(result.chunks_exact_mut(height * width));
    for (channel, ((plane, kernel), result)) in channels.enumerate() {
        planes.fill(plane, &mut scratch.planes);
        vectorised(|| sum_of_shifted(&scratch.planes, &offsets, kernel, &mut scratch.sums));
        let sums = scratch.sums.chunks(planes.width());
        for (row, sums) in result.chunks_exact_mut(width).zip(sums) {
            row.copy_from_slice(&sums[..width]);
        }
        weights.finish(channel, result);
    }
}

/// How many sums stay in registers at once.
const BLOCK: usize = 32;

/// `sums[i]` = Σ `kernel[tap] · plane[offsets[tap] + i]`.
#[expect(
    clippy::inline_always,
    reason = "so that it is compiled for its caller's CPU"
)]
#[inline(always)]
fn sum_of_shifted(plane: &[f32], offsets: &[usize], kernel: &[f32], sums: &mut [f32]) {
    for (block, sums) in sums.chunks_exact_mut(BLOCK).enumerate() {
        let mut totals = [0.0_f32; BLOCK];
        for (weight, offset) in kernel.iter().zip(offsets) {
            let values = &plane[offset + block * BLOCK..][..BLOCK];
            for (total, value) in totals.iter_mut().zip(values) {
                *total += weight * value;
            }
        }
        sums.copy_from_slice(&totals);
    }
}

fn patches(
    image: &[f32],
    shape: &Shape,
    weights: &Weights<'_>,
    result: &mut [f32],
    scratch: &mut Scratch,
) {
    let planes = Planes::new(shape);
    let [height, width] = shape.output_size();
    scratch.planes.clear();
    scratch.planes.resize(shape.inputs * planes.len(), 0.0);
    let channels = image.chunks_exact(shape.plane());
    for (plane, to) in channels.zip(scratch.planes.chunks_exact_mut(planes.len())) {
        planes.fill(plane, to);
    }
    // Where the first input of each row of the matrix is.
    let starts = (0..shape.inputs).flat_map(|channel| {
        planes
            .offsets()
            .map(move |offset| channel * planes.len() + offset)
    });
    let starts: Vec<usize> = starts.collect();
    let rows = (PATCHES / width).clamp(1, height);
    scratch.columns.resize(shape.fan_in() * rows * width, 0.0);
    for first in (0..height).step_by(rows) {
        let rows = rows.min(height - first);
        let columns = rows * width;
        for (start, to) in starts.iter().zip(scratch.columns.chunks_exact_mut(columns)) {
            for (row, to) in to.chunks_exact_mut(width).enumerate() {
                let start = start + (first + row) * planes.width();
                to.copy_from_slice(&scratch.planes[start..start + width]);
            }
        }
        let right = Columns {
            values: &scratch.columns,
            stride: columns,
        };
        let tile = Tile {
            values: result,
            start: first * width,
            columns,
            stride: height * width,
        };
        product(weights.kernels, right, tile);
        for (channel, values) in result.chunks_exact_mut(height * width).enumerate() {
            weights.finish(channel, &mut values[first * width..][..columns]);
        }
    }
}

/// About how many patches are columns at once.
const PATCHES: usize = 256;

/// Runs `work` compiled for the wide vectors of this CPU.
#[expect(
    clippy::inline_always,
    reason = "so that it is compiled for its caller's CPU"
)]
#[inline(always)]
pub(super) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    if let Some(v3) = pulp::x86::V3::try_new() {
        return v3.vectorize(work);
    }
    work()
}
