//! One image through a convolution, and into what comes after it while that is in the cache.

use std::ops::Range;

use super::super::Room;
use super::super::product::{Matrix, product};
use super::input::Image;
use super::planes::Planes;
use super::shifted::combine;
use super::{Shape, Way};

/// Memory that a thread uses again for each image.
#[derive(Default)]
pub(super) struct Scratch {
    planes: Vec<f32>,
    sums: Vec<f32>,
    columns: Vec<f32>,
    made: Vec<f32>,
}

/// Convolves one image into `result`, all numbers of which it writes. `finish` is called once for every part of every channel of it, with
/// the channel.
///
/// # Panics
/// If the sizes do not fit.
pub(super) fn convolve_image<'a>(
    image: Image<'_>,
    shape: &Shape,
    kernels: &[f32],
    result: &'a mut Room,
    scratch: &mut Scratch,
    finish: impl Fn(usize, &mut [f32]),
) -> &'a mut [f32] {
    assert_eq!(image.channels(), shape.inputs);
    assert_eq!(result.len(), shape.result());
    match shape.way() {
        Way::Pointwise => pointwise(image, shape, kernels, result, scratch, finish),
        Way::Depthwise => depthwise(image, shape, kernels, result, scratch, finish),
        Way::Patches => patches(image, shape, kernels, result, scratch, finish),
    }
    #[expect(
        unsafe_code,
        reason = "the compiler does not see that each way writes every number"
    )]
    // SAFETY: each way goes through all channels, and in each through tiles or rows that follow each other without gaps to the end.
    unsafe {
        result.assume_init_mut()
    }
}

/// What has just been written there.
///
/// # Safety
/// It has been.
#[expect(unsafe_code, reason = "a matrix product writes all that it says")]
unsafe fn just_written(part: &mut Room) -> &mut [f32] {
    // SAFETY: as the caller says.
    unsafe { part.assume_init_mut() }
}

fn pointwise(
    image: Image<'_>,
    shape: &Shape,
    kernels: &[f32],
    result: &mut Room,
    scratch: &mut Scratch,
    finish: impl Fn(usize, &mut [f32]),
) {
    let plane = shape.plane();
    for start in (0..plane).step_by(TILE) {
        let columns = TILE.min(plane - start);
        let right = if let Some(values) = image.as_is() {
            Matrix::new(&values[start..], shape.inputs, columns, plane)
        } else {
            image.parts(start..start + columns, &mut scratch.made);
            Matrix::dense(&scratch.made, shape.inputs)
        };
        let left = Matrix::dense(kernels, shape.outputs);
        product(left, right, &mut result[start..], plane);
        for (channel, values) in result.chunks_exact_mut(plane).enumerate() {
            #[expect(unsafe_code, reason = "see `just_written`")]
            // SAFETY: the product has written these columns of all rows.
            let values = unsafe { just_written(&mut values[start..start + columns]) };
            finish(channel, values);
        }
    }
}

/// How many columns of a matrix product are made before they are finished, while they are in the cache.
pub(super) const TILE: usize = 512;

fn depthwise(
    image: Image<'_>,
    shape: &Shape,
    kernels: &[f32],
    result: &mut Room,
    scratch: &mut Scratch,
    finish: impl Fn(usize, &mut [f32]),
) {
    let planes = Planes::new(shape);
    let offsets: Vec<usize> = planes.offsets().collect();
    let [height, width] = shape.output_size();
    // Outputs are summed in one run over all rows, with the few columns that lie between them.
    let run = (height - 1) * planes.width() + width;
    scratch.sums.resize(run, 0.0);
    scratch.planes.clear();
    scratch.planes.resize(planes.len(), 0.0);
    let channels = kernels
        .chunks_exact(shape.fan_in())
        .zip(result.chunks_exact_mut(height * width));
    for (channel, (kernel, result)) in channels.enumerate() {
        let plane = image.part(channel, 0..shape.plane(), &mut scratch.made);
        planes.fill(plane, &mut scratch.planes);
        combine(&scratch.planes, &offsets, kernel, &mut scratch.sums);
        let sums = scratch.sums.chunks(planes.width());
        for (row, sums) in result.chunks_exact_mut(width).zip(sums) {
            row.write_copy_of_slice(&sums[..width]);
        }
        #[expect(unsafe_code, reason = "see `just_written`")]
        // SAFETY: all rows have been written: the run has as many.
        finish(channel, unsafe { just_written(result) });
    }
}

fn patches(
    image: Image<'_>,
    shape: &Shape,
    kernels: &[f32],
    result: &mut Room,
    scratch: &mut Scratch,
    finish: impl Fn(usize, &mut [f32]),
) {
    let patches = Patches::new(shape, 1);
    let width = shape.output_size()[1];
    let plane = shape.output_plane();
    let images = std::iter::once(image);
    patches
        .planes
        .fill_all(images, shape, &mut scratch.planes, &mut scratch.made);
    let outputs = shape.outputs / shape.groups;
    for group in 0..shape.groups {
        let first_output = group * outputs;
        let kernels = &kernels[first_output * shape.fan_in()..][..outputs * shape.fan_in()];
        let result = &mut result[first_output * plane..][..outputs * plane];
        for rows in patches.tiles() {
            let start = rows.start * width;
            let count = rows.len() * width;
            patches.take(&scratch.planes, group, rows, &mut scratch.columns);
            let left = Matrix::dense(kernels, outputs);
            let right = Matrix::dense(&scratch.columns, shape.fan_in());
            product(left, right, &mut result[start..], plane);
            for (channel, values) in result.chunks_exact_mut(plane).enumerate() {
                #[expect(unsafe_code, reason = "see `just_written`")]
                // SAFETY: the product has written these columns of all rows.
                let values = unsafe { just_written(&mut values[start..start + count]) };
                finish(first_output + channel, values);
            }
        }
    }
}

/// Patches of images as columns of a matrix (im2col), some rows of outputs at a time. Rows of several images follow each other.
pub(super) struct Patches {
    pub(super) planes: Planes,
    /// Where the first input of each row of the matrix is, for the first group of the first image.
    starts: Vec<usize>,
    /// How much further it is for the next group.
    of_group: usize,
    /// How much further it is for the next image.
    of_image: usize,
    /// Height and width of the output.
    size: [usize; 2],
    /// Rows of outputs of all images.
    all: usize,
    /// Rows of outputs at a time.
    rows: usize,
}

impl Patches {
    /// Of so many images.
    pub(super) fn new(shape: &Shape, images: usize) -> Self {
        let planes = Planes::new(shape);
        let channels = shape.inputs / shape.groups;
        let len = planes.len();
        let offsets: Vec<usize> = planes.offsets().collect();
        let starts = (0..channels).flat_map(|channel| {
            let offsets = offsets.iter();
            offsets.map(move |offset| channel * len + offset)
        });
        let size = shape.output_size();
        let all = images * size[0];
        Self {
            starts: starts.collect(),
            of_group: channels * len,
            of_image: shape.inputs * len,
            planes,
            size,
            all,
            rows: (PATCHES / size[1]).clamp(1, all),
        }
    }

    /// The rows of outputs of each tile.
    pub(super) fn tiles(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (all, rows) = (self.all, self.rows);
        (0..all)
            .step_by(rows)
            .map(move |first| first..(first + rows).min(all))
    }

    /// The parts of these rows that are of one image each: the image, and its rows.
    pub(super) fn of_images(
        &self,
        rows: Range<usize>,
    ) -> impl Iterator<Item = (usize, Range<usize>)> + use<> {
        let height = self.size[0];
        (rows.start / height..rows.end.div_ceil(height)).map(move |image| {
            let first = image * height;
            let of_image = rows.start.max(first) - first..rows.end.min(first + height) - first;
            (image, of_image)
        })
    }

    /// How much further it is from the first input of the first patch of a group to that of each of these rows.
    fn places(&self, group: usize, rows: Range<usize>) -> Vec<usize> {
        let (height, width) = (self.size[0], self.planes.width());
        let place =
            |row| group * self.of_group + row / height * self.of_image + row % height * width;
        rows.map(place).collect()
    }

    /// Puts the patches of some rows of outputs of a group into `columns`, `[fan-in, rows × width]`.
    pub(super) fn take(
        &self,
        planes: &[f32],
        group: usize,
        rows: Range<usize>,
        columns: &mut Vec<f32>,
    ) {
        let width = self.size[1];
        let count = rows.len() * width;
        let further = self.places(group, rows);
        columns.resize(self.starts.len() * count, 0.0);
        for (start, to) in self.starts.iter().zip(columns.chunks_exact_mut(count)) {
            for (place, to) in further.iter().zip(to.chunks_exact_mut(width)) {
                to.copy_from_slice(&planes[start + place..][..width]);
            }
        }
    }

    /// The other way: adds `columns` to the places that they were taken from (col2im).
    pub(super) fn add(
        &self,
        columns: &[f32],
        group: usize,
        rows: Range<usize>,
        planes: &mut [f32],
    ) {
        let width = self.size[1];
        let count = rows.len() * width;
        let further = self.places(group, rows);
        for (start, from) in self.starts.iter().zip(columns.chunks_exact(count)) {
            for (place, from) in further.iter().zip(from.chunks_exact(width)) {
                let to = &mut planes[start + place..][..width];
                for (sum, value) in to.iter_mut().zip(from) {
                    *sum += value;
                }
            }
        }
    }
}

/// About how many patches are columns at once.
pub(super) const PATCHES: usize = 256;
