//! Convolutions on the CPU, over plain slices: for inference with scale and shift per channel (what a batch normalisation comes to) and
//! the activation in one pass over each image; for training with the statistics of the batch, and back.
//!
//! Burn's flex backend runs these as separate passes over a whole batch, and turns inputs around on one thread; for
//! MobileNetV2 that takes several times as long. Here each image is one task: what it reads and writes stays in the cache of
//! one core, and its numbers do not depend on the batch that it is in or on the number of threads. There are three ways:
//!
//! - 1×1, stride 1: a matrix product straight from the input;
//! - depthwise: sums of shifted planes;
//! - everything else: patches as columns (im2col), a tile of them at a time, and a matrix product.
//!
//! All but `tensors` knows no module and no tensor.

use rayon::prelude::*;

mod backward;
mod forward;
mod functions;
mod input;
mod normalised;
mod planes;

mod shifted;
mod tensors;
#[cfg(test)]
mod tests;

pub(in crate::models) use functions::Activation;
pub(in crate::models) use normalised::{Moments, Norm};
pub(in crate::models) use tensors::{Convolutions, Layer};

use super::{room, vectorised, written};
use forward::{Scratch, convolve_image};
use functions::{Function, with_function};
use input::Input;

/// The sizes of a convolution with square kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::models) struct Shape {
    /// Channels of the input.
    pub(in crate::models) inputs: usize,
    /// Channels of the output.
    pub(in crate::models) outputs: usize,
    /// Groups of channels that go into no other; as many as channels if each has one kernel of its own.
    pub(in crate::models) groups: usize,
    /// Height and width of the input.
    pub(in crate::models) size: [usize; 2],
    /// Height and width of the kernels.
    pub(in crate::models) kernel: usize,
    /// Step between outputs.
    pub(in crate::models) stride: usize,
    /// Zeros around the input: before and after its rows, before and after its columns.
    pub(in crate::models) padding: [(usize, usize); 2],
}

/// How a convolution is computed.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Pointwise,
    Depthwise,
    Patches,
}

impl Shape {
    /// Height and width of the output.
    pub(in crate::models) fn output_size(&self) -> [usize; 2] {
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

    /// Numbers of an input image.
    fn image(&self) -> usize {
        self.inputs * self.plane()
    }

    /// Numbers of what an image becomes.
    fn result(&self) -> usize {
        self.outputs * self.output_plane()
    }

    /// How many inputs one output is made of.
    fn fan_in(&self) -> usize {
        self.inputs / self.groups * self.kernel * self.kernel
    }

    fn way(&self) -> Way {
        let pointwise = self.kernel == 1 && self.stride == 1 && self.padding == [(0, 0); 2];
        if self.groups == self.inputs && self.inputs == self.outputs {
            Way::Depthwise
        } else if pointwise && self.groups == 1 {
            Way::Pointwise
        } else {
            Way::Patches
        }
    }

    /// # Panics
    /// If these are not whole images and all kernels.
    fn check(&self, images: &[f32], kernels: &[f32]) {
        assert!(images.len().is_multiple_of(self.image()), "whole images");
        assert!(
            self.inputs.is_multiple_of(self.groups) && self.outputs.is_multiple_of(self.groups),
            "whole groups"
        );
        assert_eq!(kernels.len(), self.outputs * self.fan_in());
    }
}

/// Weights of a convolution, and what comes after it.
#[derive(Clone, Copy)]
pub(in crate::models) struct Weights<'a> {
    /// `[outputs, inputs / groups, kernel, kernel]`.
    pub(in crate::models) kernels: &'a [f32],
    /// A factor for each output channel.
    pub(in crate::models) scale: &'a [f32],
    /// What is added to each output channel after that.
    pub(in crate::models) shift: &'a [f32],
    /// What is applied in the end.
    pub(in crate::models) activation: Activation,
}

impl Weights<'_> {
    /// Scales, shifts and activates values of an output channel.
    fn finish(&self, channel: usize, values: &mut [f32]) {
        let (scale, shift) = (self.scale[channel], self.shift[channel]);
        with_function!(self.activation, F => vectorised(#[inline(always)] || {
            for value in values {
                *value = F::value(*value * scale + shift);
            }
        }));
    }
}

/// Convolves a batch of images `[batch, inputs, height, width]`, and returns `[batch, outputs, height, width]`.
///
/// # Panics
/// If the slices are not of the sizes that `shape` says.
pub(in crate::models) fn convolve(
    images: &[f32],
    shape: &Shape,
    weights: &Weights<'_>,
) -> Vec<f32> {
    shape.check(images, weights.kernels);
    assert_eq!(weights.scale.len(), shape.outputs);
    assert_eq!(weights.shift.len(), shape.outputs);
    let mut results = room(images.len() / shape.image() * shape.result());
    results
        .par_chunks_mut(shape.result())
        .enumerate()
        .for_each_init(Scratch::default, |scratch, (index, result)| {
            let image = Input::plain(images).image(index, shape.image(), shape.plane());
            let finish = |channel, values: &mut [f32]| weights.finish(channel, values);
            convolve_image(image, shape, weights.kernels, result, scratch, finish);
        });
    #[expect(unsafe_code, reason = "as `convolve_image` promises")]
    // SAFETY: all images of the result have been written.
    unsafe {
        written(results)
    }
}
