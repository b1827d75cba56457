//! A convolution's gradients: of its input and of its kernels.

use std::ops::Range;

use rayon::prelude::*;

use super::super::product::{Matrix, add_product, product};
use super::super::{Room, room, written};
use super::forward::{PATCHES, Patches, TILE};
use super::input::Input;
use super::planes::Planes;
use super::shifted::{combine, correlate};
use super::{Shape, Way};

/// Which gradients are asked for.
#[derive(Clone, Copy, Debug)]
pub(in crate::models) struct Asked {
    pub(in crate::models) images: bool,
    pub(in crate::models) kernels: bool,
}

/// What was asked for, in the forms of the images and of the kernels.
#[derive(Debug)]
pub(in crate::models) struct Gradients {
    pub(in crate::models) images: Option<Vec<f32>>,
    pub(in crate::models) kernels: Option<Vec<f32>>,
}

/// Images are shared out among so many sums of gradients of the kernels, which are added up in the end: always the same ones, however many
/// threads there are.
const SUMS: usize = 16;

/// As many numbers as all those sums may have together, if there are more than two.
const SUMMED: usize = 1 << 24;

/// The gradients of a convolution of `input`, `[batch, inputs, height, width]`. `gradient` writes the gradient of the result: of an image, an
/// output channel, and a range of its plane.
///
/// # Panics
/// If the slices are not of the sizes that `shape` says.
pub(in crate::models) fn backward(
    input: Input<'_>,
    shape: &Shape,
    kernels: &[f32],
    asked: Asked,
    gradient: impl Fn(usize, usize, Range<usize>, &mut [f32]) + Sync,
) -> Gradients {
    let images = input.values;
    shape.check(images, kernels);
    if !asked.images && !asked.kernels {
        return Gradients {
            images: None,
            kernels: None,
        };
    }
    let batch = images.len() / shape.image();
    let sums = (SUMMED / kernels.len()).clamp(2, SUMS).ilog2();
    let together = batch.div_ceil(1 << sums).max(1);
    let mut of_images = room(if asked.images { images.len() } else { 0 });
    let work = |images: Range<usize>, mut to: Option<&mut Room>| {
        let mut sum = vec![0.0; if asked.kernels { kernels.len() } else { 0 }];
        let mut way = Backward {
            input,
            shape,
            kernels,
            sum: asked.kernels.then_some(&mut sum),
            scratch: Scratch::default(),
        };
        let at_once = way.at_once();
        for first in images.clone().step_by(at_once) {
            let some = first..(first + at_once).min(images.end);
            let place = (first - images.start) * shape.image();
            let to = to
                .as_mut()
                .map(|to| &mut to[place..place + some.len() * shape.image()]);
            way.run(some, to, &gradient);
        }
        sum
    };
    let parts = (0..batch.div_ceil(together)).into_par_iter();
    let parts = parts.map(|part| part * together..((part + 1) * together).min(batch));
    let of_kernels: Vec<Vec<f32>> = if asked.images {
        let to = of_images.par_chunks_mut(together * shape.image());
        parts
            .zip(to)
            .map(|(images, to)| work(images, Some(to)))
            .collect()
    } else {
        parts.map(|images| work(images, None)).collect()
    };
    let total = of_kernels.into_iter().reduce(|mut total, part| {
        for (total, part) in total.iter_mut().zip(part) {
            *total += part;
        }
        total
    });
    Gradients {
        images: asked.images.then(|| {
            #[expect(
                unsafe_code,
                reason = "the compiler does not see that each way writes every number"
            )]
            // SAFETY: `Backward::run` writes all numbers of its images.
            unsafe {
                written(of_images)
            }
        }),
        kernels: asked
            .kernels
            .then(|| total.unwrap_or_else(|| vec![0.0; kernels.len()])),
    }
}

/// Image by image back through a convolution.
struct Backward<'a> {
    input: Input<'a>,
    shape: &'a Shape,
    kernels: &'a [f32],
    /// The gradient of the kernels so far.
    sum: Option<&'a mut Vec<f32>>,
    scratch: Scratch,
}

/// Memory that is used again for each image.
#[derive(Default)]
struct Scratch {
    /// The gradient of the result.
    result: Vec<f32>,
    /// The same with room around it.
    run: Vec<f32>,
    /// The input.
    planes: Vec<f32>,
    /// Its gradient.
    back: Vec<f32>,
    columns: Vec<f32>,
    made: Vec<f32>,
}

impl Backward<'_> {
    /// How many images go together: of small ones several, because a matrix product of few columns is slow.
    fn at_once(&self) -> usize {
        match self.shape.way() {
            Way::Pointwise | Way::Depthwise => 1,
            Way::Patches => PATCHES.div_ceil(self.shape.output_plane()),
        }
    }

    /// Some images. All numbers of `to` are written.
    fn run(
        &mut self,
        images: Range<usize>,
        to: Option<&mut Room>,
        gradient: &impl Fn(usize, usize, Range<usize>, &mut [f32]),
    ) {
        match self.shape.way() {
            Way::Pointwise => self.pointwise(images.start, to, gradient),
            Way::Depthwise => self.depthwise(images.start, to, gradient),
            Way::Patches => self.patches(images, to, gradient),
        }
    }

    fn pointwise(
        &mut self,
        index: usize,
        mut to: Option<&mut Room>,
        gradient: &impl Fn(usize, usize, Range<usize>, &mut [f32]),
    ) {
        let (shape, plane) = (self.shape, self.shape.plane());
        let image = self.input.image(index, shape.image(), plane);
        for start in (0..plane).step_by(TILE) {
            let columns = TILE.min(plane - start);
            let result = &mut self.scratch.result;
            result.resize(shape.outputs * columns, 0.0);
            for (channel, values) in result.chunks_exact_mut(columns).enumerate() {
                gradient(index, channel, start..start + columns, values);
            }
            let of_result = Matrix::dense(result, shape.outputs);
            if let Some(to) = &mut to {
                let left = Matrix::dense(self.kernels, shape.outputs).transposed();
                product(left, of_result, &mut to[start..], plane);
            }
            if let Some(sum) = &mut self.sum {
                let values = if let Some(values) = image.as_is() {
                    Matrix::new(&values[start..], shape.inputs, columns, plane)
                } else {
                    image.parts(start..start + columns, &mut self.scratch.made);
                    Matrix::dense(&self.scratch.made, shape.inputs)
                };
                add_product(of_result, values.transposed(), sum, shape.inputs);
            }
        }
    }

    fn depthwise(
        &mut self,
        index: usize,
        mut to: Option<&mut Room>,
        gradient: &impl Fn(usize, usize, Range<usize>, &mut [f32]),
    ) {
        let shape = self.shape;
        let image = self.input.image(index, shape.image(), shape.plane());
        let planes = Planes::new(shape);
        let offsets: Vec<usize> = planes.offsets().collect();
        let last = furthest(&planes, &offsets);
        let ways_back = ways_back(&planes, &offsets);
        let [height, width] = shape.output_size();
        let run = (height - 1) * planes.width() + width;
        let Scratch {
            result,
            run: of_result,
            planes: input,
            back,
            made,
            ..
        } = &mut self.scratch;
        result.resize(height * width, 0.0);
        // Zeros before and after it, as far as any input is from the first and the last output.
        of_result.clear();
        of_result.resize(last + planes.split(), 0.0);
        input.clear();
        input.resize(planes.len(), 0.0);
        back.resize(planes.len(), 0.0);
        let mut weights = Vec::with_capacity(offsets.len());
        for channel in 0..shape.inputs {
            gradient(index, channel, 0..height * width, result);
            let lines = of_result[last..].chunks_mut(planes.width());
            for (row, line) in result.chunks_exact(width).zip(lines) {
                line[..width].copy_from_slice(row);
            }
            let taps = channel * offsets.len()..(channel + 1) * offsets.len();
            if let Some(sum) = &mut self.sum {
                planes.fill(image.part(channel, 0..shape.plane(), made), input);
                let of_result = &of_result[last..last + run];
                correlate(of_result, input, &offsets, &mut sum[taps.clone()]);
            }
            if let Some(to) = &mut to {
                let kernel = &self.kernels[taps];
                for (way, back) in ways_back.iter().zip(back.chunks_exact_mut(planes.split())) {
                    weights.clear();
                    weights.extend(way.taps.iter().map(|tap| kernel[*tap]));
                    combine(of_result, &way.offsets, &weights, back);
                }
                planes.extract(back, &mut to[channel * shape.plane()..][..shape.plane()]);
            }
        }
    }

    fn patches(
        &mut self,
        images: Range<usize>,
        mut to: Option<&mut Room>,
        gradient: &impl Fn(usize, usize, Range<usize>, &mut [f32]),
    ) {
        let (input, shape) = (self.input, self.shape);
        let patches = Patches::new(shape, images.len());
        let [_, width] = shape.output_size();
        let outputs = shape.outputs / shape.groups;
        let Scratch {
            result,
            planes,
            back,
            columns,
            made,
            ..
        } = &mut self.scratch;
        if self.sum.is_some() {
            let images = images
                .clone()
                .map(|image| input.image(image, shape.image(), shape.plane()));
            patches.planes.fill_all(images, shape, planes, made);
        }
        back.clear();
        if to.is_some() {
            back.resize(images.len() * shape.inputs * patches.planes.len(), 0.0);
        }
        for group in 0..shape.groups {
            let first = group * outputs;
            let of_group = first * shape.fan_in()..(first + outputs) * shape.fan_in();
            for rows in patches.tiles() {
                let size = rows.len() * width;
                result.resize(outputs * size, 0.0);
                for (channel, values) in result.chunks_exact_mut(size).enumerate() {
                    let mut rest = values;
                    for (image, rows) in patches.of_images(rows.clone()) {
                        let (part, others) = rest.split_at_mut(rows.len() * width);
                        let range = rows.start * width..rows.end * width;
                        gradient(images.start + image, first + channel, range, part);
                        rest = others;
                    }
                }
                let of_result = Matrix::dense(result, outputs);
                if let Some(sum) = &mut self.sum {
                    patches.take(planes, group, rows.clone(), columns);
                    let right = Matrix::dense(columns, shape.fan_in()).transposed();
                    add_product(of_result, right, &mut sum[of_group.clone()], shape.fan_in());
                }
                if to.is_some() {
                    columns.resize(shape.fan_in() * size, 0.0);
                    let left = Matrix::dense(&self.kernels[of_group.clone()], outputs).transposed();
                    product(left, of_result, columns, size);
                    patches.add(columns, group, rows, back);
                }
            }
        }
        if let Some(to) = &mut to {
            let channels = back.chunks_exact(patches.planes.len());
            for (back, to) in channels.zip(to.chunks_exact_mut(shape.plane())) {
                patches.planes.extract(back, to);
            }
        }
    }
}

/// How the gradient of one of the split planes is made from the gradient of the result.
struct WayBack {
    /// Which weights of the kernel reach it.
    taps: Vec<usize>,
    /// Where in the gradient of the result, with zeros before and after it, the first number for each of them is.
    offsets: Vec<usize>,
}

/// The greatest of `offsets` within their planes.
fn furthest(planes: &Planes, offsets: &[usize]) -> usize {
    let within = offsets.iter().map(|offset| offset % planes.split());
    within.max().unwrap_or(0)
}

/// One for each of the split planes: what went from place p + offset to place p goes from p to p + offset.
fn ways_back(planes: &Planes, offsets: &[usize]) -> Vec<WayBack> {
    let (split, last) = (planes.split(), furthest(planes, offsets));
    let of_plane = |plane: usize| {
        let taps = offsets
            .iter()
            .enumerate()
            .filter(|(_, offset)| *offset / split == plane);
        let (taps, offsets) = taps
            .map(|(tap, offset)| (tap, last - offset % split))
            .unzip();
        WayBack { taps, offsets }
    };
    (0..planes.len() / split).map(of_plane).collect()
}
