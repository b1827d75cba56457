//! Convolutions for inference on the CPU, over plain slices: convolution, scale and shift per channel (what a batch
//! normalisation comes to), and the activation in one pass over each image.
//!
//! Burn's flex backend runs these as separate passes over a whole batch, and turns inputs around on one thread; for
//! MobileNetV2 that is several times slower. Here each image is one task: what it reads and writes stays in the cache of one
//! core, and its numbers do not depend on the batch that it is in or on the number of threads. There are three ways:
//!
//! - 1×1, stride 1: a matrix product straight from the input;
//! - few input channels a group (depthwise, or the first layer): sums of shifted planes;
//! - everything else: patches as columns (im2col), a tile of them at a time, and a matrix product.
//!
//! It knows no module and no tensor.

use rayon::prelude::*;

/// The function after a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activation {
    /// None.
    Identity,
    /// max(x, 0)
    Relu,
    /// min(max(x, 0), 6), as in MobileNet (arXiv:1704.04861).
    Relu6,
}

/// The sizes of a convolution with square kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Channels of the input.
    pub(super) inputs: usize,
    /// Channels of the output.
    pub(super) outputs: usize,
    /// How many parts the channels are divided into, each with kernels of its own.
    pub(super) groups: usize,
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
}

/// Weights of a convolution, and what comes after it.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a> {
    /// `[outputs, inputs / groups, kernel, kernel]`.
    pub(super) kernels: &'a [f32],
    /// A factor for each output channel.
    pub(super) scale: &'a [f32],
    /// What is added to each output channel after that.
    pub(super) shift: &'a [f32],
    /// What is applied in the end.
    pub(super) activation: Activation,
}

/// Convolves a batch of images `[batch, inputs, height, width]`, and returns `[batch, outputs, height, width]`.
///
/// # Panics
/// If the slices are not of the sizes that `shape` says.
pub(super) fn convolve(images: &[f32], shape: &Shape, weights: &Weights<'_>) -> Vec<f32> {
    let [height, width] = shape.output_size();
    let image_len = shape.inputs * shape.size[0] * shape.size[1];
    let result_len = shape.outputs * height * width;
    assert_eq!(images.len() % image_len, 0, "whole images");
    assert_eq!(
        weights.kernels.len(),
        shape.outputs * shape.inputs / shape.groups * shape.kernel * shape.kernel
    );
    assert_eq!(weights.scale.len(), shape.outputs);
    assert_eq!(weights.shift.len(), shape.outputs);
    let mut results = vec![0.0; images.len() / image_len * result_len];
    results
        .par_chunks_mut(result_len)
        .zip(images.par_chunks(image_len))
        .for_each_init(Scratch::default, |scratch, (result, image)| {
            if shape.kernel == 1 && shape.stride == 1 && shape.padding == [(0, 0); 2] {
                pointwise(image, shape, weights, result);
            } else if shape.inputs == shape.groups {
                shifted(image, shape, weights, result, scratch);
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
    let plane = shape.size[0] * shape.size[1];
    let (inputs, outputs) = (shape.inputs / shape.groups, shape.outputs / shape.groups);
    for (group, (image, result)) in image
        .chunks_exact(inputs * plane)
        .zip(result.chunks_exact_mut(outputs * plane))
        .enumerate()
    {
        let kernels = &weights.kernels[group * outputs * inputs..][..outputs * inputs];
        for start in (0..plane).step_by(TILE) {
            let columns = TILE.min(plane - start);
            product(
                kernels,
                Columns {
                    values: &image[start..],
                    stride: plane,
                },
                Tile {
                    values: result,
                    start,
                    columns,
                    stride: plane,
                },
            );
            for (row, channel) in result.chunks_exact_mut(plane).enumerate() {
                weights.finish(group * outputs + row, &mut channel[start..start + columns]);
            }
        }
    }
}

/// How many columns of a matrix product are made before they are finished, while they are in the cache.
const TILE: usize = 512;

/// The planes of an image with zeros around them, each split by `stride` into planes of every stride-th row and column,
/// so that all inputs of a row of outputs stand side by side.
struct Planes {
    stride: usize,
    height: usize,
    width: usize,
}

impl Planes {
    fn new(shape: &Shape) -> Self {
        let [height, width] = shape.output_size();
        let reach = (shape.kernel - 1) / shape.stride;
        Self {
            stride: shape.stride,
            height: height + reach,
            width: width + reach,
        }
    }

    /// How many numbers one input plane takes.
    fn len(&self) -> usize {
        self.stride * self.stride * self.height * self.width
    }

    /// Where the input for output (0, 0) at the kernel's (`row`, `column`) is.
    fn offset(&self, row: usize, column: usize) -> usize {
        let split = (row % self.stride) * self.stride + column % self.stride;
        (split * self.height + row / self.stride) * self.width + column / self.stride
    }

    /// Fills `to` with `plane`; what stands in `to` around it has to be zeros.
    fn fill(&self, plane: &[f32], shape: &Shape, to: &mut [f32]) {
        let (top, left) = (shape.padding[0].0, shape.padding[1].0);
        for (row, values) in plane.chunks_exact(shape.size[1]).enumerate() {
            let row = row + top;
            if row / self.stride >= self.height {
                break;
            }
            for phase in 0..self.stride {
                // The first column of the image that falls on this phase.
                let first = (phase + self.stride - left % self.stride) % self.stride;
                let split = (row % self.stride) * self.stride + phase;
                let start = (split * self.height + row / self.stride) * self.width;
                let skipped = (first + left) / self.stride;
                let line = &mut to[start + skipped..start + self.width];
                if self.stride == 1 {
                    let many = line.len().min(values.len());
                    line[..many].copy_from_slice(&values[..many]);
                } else {
                    vectorised(|| every(self.stride, &values[first..], line));
                }
            }
        }
    }
}

/// Copies every `stride`-th of `from`, the first one first, as far as `to` has room.
#[inline(always)]
fn every(stride: usize, from: &[f32], to: &mut [f32]) {
    if stride == 2 {
        for (to, pair) in to.iter_mut().zip(from.chunks(2)) {
            *to = pair[0];
        }
    } else {
        for (to, value) in to.iter_mut().zip(from.iter().step_by(stride)) {
            *to = *value;
        }
    }
}

fn shifted(
    image: &[f32],
    shape: &Shape,
    weights: &Weights<'_>,
    result: &mut [f32],
    scratch: &mut Scratch,
) {
    let planes = Planes::new(shape);
    let [height, width] = shape.output_size();
    let (inputs, outputs) = (shape.inputs / shape.groups, shape.outputs / shape.groups);
    let taps = shape.kernel * shape.kernel;
    let offsets: Vec<usize> = (0..inputs * taps)
        .map(|tap| {
            let at = tap % taps;
            tap / taps * planes.len() + planes.offset(at / shape.kernel, at % shape.kernel)
        })
        .collect();
    // Outputs are summed in one run over all rows, with the few columns that lie between them.
    let run = (height - 1) * planes.width + width;
    let blocks = run.div_ceil(BLOCK);
    scratch.sums.resize(blocks * BLOCK, 0.0);
    scratch.planes.clear();
    scratch.planes.resize(inputs * planes.len() + BLOCK, 0.0);
    let size = shape.size[0] * shape.size[1];
    for group in 0..shape.groups {
        for (index, plane) in image[group * inputs * size..]
            .chunks_exact(size)
            .take(inputs)
            .enumerate()
        {
            planes.fill(plane, shape, &mut scratch.planes[index * planes.len()..]);
        }
        for output in group * outputs..(group + 1) * outputs {
            let kernel = &weights.kernels[output * inputs * taps..][..inputs * taps];
            vectorised(|| sum_of_shifted(&scratch.planes, &offsets, kernel, &mut scratch.sums));
            let result = &mut result[output * height * width..][..height * width];
            for (row, sums) in result
                .chunks_exact_mut(width)
                .zip(scratch.sums.chunks(planes.width))
            {
                row.copy_from_slice(&sums[..width]);
            }
            weights.finish(output, result);
        }
    }
}

/// How many sums stay in registers at once.
const BLOCK: usize = 32;

/// `sums[i]` = Σ `kernel[tap] · planes[offsets[tap] + i]`.
#[inline(always)]
fn sum_of_shifted(planes: &[f32], offsets: &[usize], kernel: &[f32], sums: &mut [f32]) {
    for (block, sums) in sums.chunks_exact_mut(BLOCK).enumerate() {
        let mut totals = [0.0_f32; BLOCK];
        for (weight, offset) in kernel.iter().zip(offsets) {
            let values = &planes[offset + block * BLOCK..][..BLOCK];
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
    let (inputs, outputs) = (shape.inputs / shape.groups, shape.outputs / shape.groups);
    let taps = shape.kernel * shape.kernel;
    let size = shape.size[0] * shape.size[1];
    scratch.planes.clear();
    scratch.planes.resize(shape.inputs * planes.len(), 0.0);
    for (plane, to) in image
        .chunks_exact(size)
        .zip(scratch.planes.chunks_exact_mut(planes.len()))
    {
        planes.fill(plane, shape, to);
    }
    let rows = (PATCHES / width).clamp(1, height);
    scratch.columns.resize(inputs * taps * rows * width, 0.0);
    for group in 0..shape.groups {
        let kernels =
            &weights.kernels[group * outputs * inputs * taps..][..outputs * inputs * taps];
        let result = &mut result[group * outputs * height * width..][..outputs * height * width];
        for first in (0..height).step_by(rows) {
            let rows = rows.min(height - first);
            let columns = rows * width;
            for (tap, to) in scratch
                .columns
                .chunks_exact_mut(columns)
                .take(inputs * taps)
                .enumerate()
            {
                let at = tap % taps;
                let plane = (group * inputs + tap / taps) * planes.len();
                let offset = plane + planes.offset(at / shape.kernel, at % shape.kernel);
                for (row, to) in to.chunks_exact_mut(width).enumerate() {
                    to.copy_from_slice(
                        &scratch.planes[offset + (first + row) * planes.width..][..width],
                    );
                }
            }
            product(
                kernels,
                Columns {
                    values: &scratch.columns,
                    stride: columns,
                },
                Tile {
                    values: result,
                    start: first * width,
                    columns,
                    stride: height * width,
                },
            );
            for (row, channel) in result.chunks_exact_mut(height * width).enumerate() {
                weights.finish(
                    group * outputs + row,
                    &mut channel[first * width..][..columns],
                );
            }
        }
    }
}

/// About how many patches are columns at once.
const PATCHES: usize = 256;

impl Weights<'_> {
    /// Scales, shifts and activates values of an output channel.
    fn finish(&self, channel: usize, values: &mut [f32]) {
        let (scale, shift) = (self.scale[channel], self.shift[channel]);
        vectorised(|| match self.activation {
            Activation::Identity => {
                for value in values {
                    *value = *value * scale + shift;
                }
            }
            Activation::Relu => {
                for value in values {
                    *value = (*value * scale + shift).max(0.0);
                }
            }
            Activation::Relu6 => {
                for value in values {
                    *value = (*value * scale + shift).clamp(0.0, 6.0);
                }
            }
        });
    }
}

/// A matrix, row by row, `stride` numbers from row to row.
struct Columns<'a> {
    values: &'a [f32],
    stride: usize,
}

/// `columns` columns from column `start` on of a matrix, row by row, `stride` numbers from row to row.
struct Tile<'a> {
    values: &'a mut [f32],
    start: usize,
    columns: usize,
    stride: usize,
}

/// Writes `left` · `right` into `tile`; `left` is dense, row by row.
fn product(left: &[f32], right: Columns<'_>, tile: Tile<'_>) {
    let rows = tile.values.len() / tile.stride;
    let inner = left.len() / rows;
    assert_eq!(left.len(), rows * inner);
    assert!(tile.start + tile.columns <= tile.stride);
    assert!((inner - 1) * right.stride + tile.columns <= right.values.len());
    let to = &mut tile.values[tile.start..];
    #[expect(
        unsafe_code,
        reason = "the sizes are checked above; gemm has no safe interface"
    )]
    // SAFETY: row r, column c of the three matrices is at r·stride + c, which the assertions keep inside the slices.
    unsafe {
        gemm::gemm(
            rows,
            tile.columns,
            inner,
            to.as_mut_ptr(),
            1,
            tile.stride as isize,
            false,
            left.as_ptr(),
            1,
            inner as isize,
            right.values.as_ptr(),
            1,
            right.stride as isize,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// Runs `work` compiled for the widest vectors of this CPU.
#[inline(always)]
fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(v3) = pulp::x86::V3::try_new() {
            return v3.vectorize(work);
        }
    }
    work()
}
