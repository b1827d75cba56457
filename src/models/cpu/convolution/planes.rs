//! Input planes with zeros around them, in an order in which the inputs of a row of outputs stand side by side.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::super::Room;
use super::input::Image;
use super::{Shape, vectorised};

/// A plane with zeros around it, split by `stride` into planes of every stride-th row and column.
#[derive(Clone, Debug)]
pub(super) struct Planes {
    kernel: usize,
    stride: usize,
    /// Columns of the plane that is put in.
    columns: usize,
    /// Height and width of each of the split planes.
    size: [usize; 2],
    /// For each row that an output reaches, its parts in the split planes: as many as `stride`, by the first column of each.
    parts: Vec<Range<usize>>,
}

impl Planes {
    pub(super) fn new(shape: &Shape) -> Self {
        let reach = (shape.kernel - 1) / shape.stride;
        let mut planes = Self {
            kernel: shape.kernel,
            stride: shape.stride,
            columns: shape.size[1],
            size: shape.output_size().map(|outputs| outputs + reach),
            parts: Vec::new(),
        };
        let [top, left] = shape.padding.map(|(before, _)| before);
        let rows = (0..shape.size[0]).take_while(|row| (row + top) / shape.stride < planes.size[0]);
        let parts = rows.flat_map(|row| (0..shape.stride).map(move |column| (row, column)));
        let parts = parts.map(|(row, column)| {
            let (row, column) = (row + top, column + left);
            let start = planes.place(row, column % shape.stride);
            let skipped = (column / shape.stride).min(planes.width());
            start + skipped..start + planes.width()
        });
        planes.parts = parts.collect();
        planes
    }

    /// How many numbers one input plane takes.
    pub(super) fn len(&self) -> usize {
        self.stride * self.stride * self.split()
    }

    /// How many numbers one of the split planes has.
    pub(super) fn split(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// How far it is from the inputs of an output to those of the output below.
    pub(super) fn width(&self) -> usize {
        self.size[1]
    }

    /// Where the inputs of the first output are, in the order of the kernel's weights.
    pub(super) fn offsets(&self) -> impl Iterator<Item = usize> {
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
        let rows = plane.chunks_exact(self.columns);
        for (row, parts) in rows.zip(self.parts.chunks_exact(self.stride)) {
            match parts {
                [part] => copy(row, &mut to[part.clone()]),
                [even, odd] => {
                    if let Ok([even, odd]) = to.get_disjoint_mut([even.clone(), odd.clone()]) {
                        take_apart(row, even, odd);
                    }
                }
                _ => {
                    for (first, part) in parts.iter().enumerate() {
                        let from = row.iter().skip(first).step_by(self.stride);
                        for (to, from) in to[part.clone()].iter_mut().zip(from) {
                            *to = *from;
                        }
                    }
                }
            }
        }
    }

    /// Puts all channels of some images one after the other into `to`, with zeros around each.
    pub(super) fn fill_all<'a>(
        &self,
        images: impl ExactSizeIterator<Item = Image<'a>>,
        shape: &Shape,
        to: &mut Vec<f32>,
        made: &mut Vec<f32>,
    ) {
        to.clear();
        to.resize(images.len() * shape.inputs * self.len(), 0.0);
        let mut to = to.chunks_exact_mut(self.len());
        for image in images {
            for (channel, to) in (0..shape.inputs).zip(&mut to) {
                self.fill(image.part(channel, 0..shape.plane(), made), to);
            }
        }
    }

    /// The other way: puts what stands in `from` at the places of `plane` there; 0 where no output reaches. It writes all of `plane`.
    pub(super) fn extract(&self, from: &[f32], plane: &mut Room) {
        let mut rows = plane.chunks_exact_mut(self.columns);
        for (parts, row) in self.parts.chunks_exact(self.stride).zip(&mut rows) {
            match parts {
                [part] => {
                    let (to, rest) = row.split_at_mut(part.len().min(row.len()));
                    to.write_copy_of_slice(&from[part.clone()][..to.len()]);
                    rest.fill(ZERO);
                }
                [even, odd] => put_together(&from[even.clone()], &from[odd.clone()], row),
                _ => {
                    row.fill(ZERO);
                    for (first, part) in parts.iter().enumerate() {
                        let to = row.iter_mut().skip(first).step_by(self.stride);
                        for (to, from) in to.zip(&from[part.clone()]) {
                            to.write(*from);
                        }
                    }
                }
            }
        }
        for row in rows {
            row.fill(ZERO);
        }
    }
}

/// A written zero.
const ZERO: MaybeUninit<f32> = MaybeUninit::new(0.0);

/// Copies as much as there is, as far as there is room.
fn copy(from: &[f32], to: &mut [f32]) {
    let count = from.len().min(to.len());
    to[..count].copy_from_slice(&from[..count]);
}

/// Puts every other number of `row` into `even`, the first one first, and the rest into `odd`, as far as there is room.
fn take_apart(row: &[f32], even: &mut [f32], odd: &mut [f32]) {
    let (pairs, last) = row.as_chunks::<2>();
    let both = pairs.len().min(even.len()).min(odd.len());
    let ((even, more_even), (odd, more_odd)) = (even.split_at_mut(both), odd.split_at_mut(both));
    vectorised(
        #[inline(always)]
        || {
            for ((even, odd), pair) in even.iter_mut().zip(odd).zip(pairs) {
                [*even, *odd] = *pair;
            }
        },
    );
    let rest = pairs[both..].as_flattened().iter().chain(last);
    for (to, from) in more_even.iter_mut().zip(rest.clone().step_by(2)) {
        *to = *from;
    }
    for (to, from) in more_odd.iter_mut().zip(rest.skip(1).step_by(2)) {
        *to = *from;
    }
}

/// The other way; 0 where there is nothing.
fn put_together(even: &[f32], odd: &[f32], row: &mut Room) {
    let both = even.len().min(odd.len()).min(row.len() / 2);
    let (pairs, rest) = row.split_at_mut(2 * both);
    let (pairs, _) = pairs.as_chunks_mut::<2>();
    vectorised(
        #[inline(always)]
        || {
            for (pair, (even, odd)) in pairs.iter_mut().zip(even.iter().zip(odd)) {
                pair[0].write(*even);
                pair[1].write(*odd);
            }
        },
    );
    rest.fill(ZERO);
    for (to, from) in rest.iter_mut().step_by(2).zip(&even[both..]) {
        to.write(*from);
    }
    for (to, from) in rest.iter_mut().skip(1).step_by(2).zip(&odd[both..]) {
        to.write(*from);
    }
}
