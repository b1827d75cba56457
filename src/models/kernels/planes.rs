//! Input planes with zeros around them, in an order in which the inputs of a row of outputs stand side by side.

use super::{Shape, vectorised};

/// A plane with zeros around it, split by `stride` into planes of every stride-th row and column.
#[derive(Clone, Copy)]
pub(super) struct Planes {
    kernel: usize,
    stride: usize,
    /// Zeros before the rows, and before the columns.
    before: [usize; 2],
    /// Columns of the plane that is put in.
    columns: usize,
    /// Height and width of each of the split planes.
    size: [usize; 2],
}

impl Planes {
    pub(super) fn new(shape: &Shape) -> Self {
        let reach = (shape.kernel - 1) / shape.stride;
        Self {
            kernel: shape.kernel,
            stride: shape.stride,
            before: shape.padding.map(|(before, _)| before),
            columns: shape.size[1],
            size: shape.output_size().map(|outputs| outputs + reach),
        }
    }

    /// How many numbers one input plane takes.
    pub(super) fn len(&self) -> usize {
        self.stride * self.stride * self.size[0] * self.size[1]
    }

    /// How far it is from the inputs of an output to those of the output below.
    pub(super) fn width(&self) -> usize {
        self.size[1]
    }

    /// Where the inputs of the first output are, in the order of the kernel's weights.
    pub(super) fn offsets(self) -> impl Iterator<Item = usize> {
        (0..self.kernel * self.kernel)
            .map(move |tap| self.place(tap / self.kernel, tap % self.kernel))
    }

    /// Where a row and column of the plane with its zeros is.
    fn place(&self, row: usize, column: usize) -> usize {
        let split = (row % self.stride) * self.stride + column % self.stride;
        (split * self.size[0] + row / self.stride) * self.size[1] + column / self.stride
    }

    /// Puts `plane` into `to`; what stands in `to` around it has to be zeros.
    pub(super) fn fill(&self, plane: &[f32], to: &mut [f32]) {
        let [top, left] = self.before;
        for (row, values) in plane.chunks_exact(self.columns).enumerate() {
            let row = row + top;
            if row / self.stride >= self.size[0] {
                // No output reaches so far.
                break;
            }
            for phase in 0..self.stride {
                // The first column of the image that belongs to this split.
                let first = (phase + self.stride - left % self.stride) % self.stride;
                let start = self.place(row, phase);
                let line = &mut to[start..start + self.width()][(first + left) / self.stride..];
                copy_every(self.stride, &values[first.min(values.len())..], line);
            }
        }
    }
}

/// Copies every `stride`-th of `from`, the first one first, as far as `to` has room.
fn copy_every(stride: usize, from: &[f32], to: &mut [f32]) {
    match stride {
        1 => {
            let count = from.len().min(to.len());
            to[..count].copy_from_slice(&from[..count]);
        }
        2 => vectorised(|| {
            for (to, pair) in to.iter_mut().zip(from.chunks(2)) {
                *to = pair[0];
            }
        }),
        _ => {
            for (to, from) in to.iter_mut().zip(from.iter().step_by(stride)) {
                *to = *from;
            }
        }
    }
}
