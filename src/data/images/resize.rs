//! Resizing of 8-bit RGB pixels, to the bit as Pillow's `Image.resize` and so as torchvision's transforms on Pillow images:
//! a filter that is stretched when the image shrinks ("antialiased"), first along the rows, then along the columns,
//! each in fixed-point numbers with 22 fractional bits. Integers only, so every machine gets the same pixels. (Where an image
//! loses much more of its height than of its width, Pillow 13 takes the columns first; bytes then differ by 1 or 2.)

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Fractional bits of a weight: what 32 bits leave beside 8 bits of pixel and 2 bits for overshoot.
const PRECISION: u32 = 32 - 8 - 2;

/// How pixels between pixels are estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// A triangle filter, what most image networks were trained with.
    #[default]
    Bilinear,
    /// Keys' cubic filter with a = -0.5.
    Bicubic,
}

impl Interpolation {
    /// How far from its centre the filter reaches, in pixels.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    /// The filter at distance `x` from its centre.
    fn weight(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let x = x.abs();
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            Self::Bicubic => 0.0,
        }
    }
}

/// A rectangle of pixels, all of it inside its image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rectangle {
    pub(super) left: usize,
    pub(super) top: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

/// Pixels of an image: row by row, each pixel three bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    /// All pixels of the image.
    pub(super) pixels: &'a [u8],
    /// The image's width.
    pub(super) stride: usize,
    /// The part that is looked at.
    pub(super) part: Rectangle,
}

impl View<'_> {
    /// Copies the part that is looked at.
    pub(super) fn copy(&self, out: &mut [u8]) {
        let rows = self
            .pixels
            .chunks_exact(self.stride * 3)
            .skip(self.part.top);
        let columns = self.part.left * 3..(self.part.left + self.part.width) * 3;
        for (out, row) in out.chunks_exact_mut(self.part.width * 3).zip(rows) {
            out.copy_from_slice(&row[columns.clone()]);
        }
    }
}

/// What `view` becomes when it is resized to `width` × `height`, of which only `window` is computed.
///
/// `out` holds `window.height` × `window.width` × 3 bytes.
pub(super) fn resize(
    view: View<'_>,
    (width, height): (usize, usize),
    window: Rectangle,
    interpolation: Interpolation,
    out: &mut [u8],
) {
    let part = view.part;
    let columns = Taps::new(part.width, width, window.left, window.width, interpolation);
    let rows = Taps::new(
        part.height,
        height,
        window.top,
        window.height,
        interpolation,
    );
    let (first, last) = rows.reach();
    let line = window.width * 3;
    let mut narrowed = vec![0; (last - first) * line];
    for (row, narrow) in (first..last).zip(narrowed.chunks_exact_mut(line)) {
        let start = ((part.top + row) * view.stride + part.left) * 3;
        columns.along_row(&view.pixels[start..start + part.width * 3], narrow);
    }
    let mut sums = vec![0; line];
    for (index, row) in out.chunks_exact_mut(line).enumerate() {
        let (start, weights) = rows.of(index);
        let above = &narrowed[(start - first) * line..];
        across_rows(above, weights, &mut sums, row);
    }
}

/// For each output position the input positions that it is made of, and their weights.
struct Taps {
    /// First input position, and where its weights begin and end.
    ranges: Vec<(usize, usize, usize)>,
    weights: Vec<i32>,
}

impl Taps {
    /// The taps of `count` output positions from `first` on, when `input` pixels become `output` pixels.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "positions are small and not negative; the truncations are Pillow's"
    )]
    fn new(
        input: usize,
        output: usize,
        first: usize,
        count: usize,
        interpolation: Interpolation,
    ) -> Self {
        let scale = input as f64 / output as f64;
        let stretch = scale.max(1.0);
        let support = interpolation.support() * stretch;
        let mut taps = Self {
            ranges: Vec::with_capacity(count),
            weights: Vec::new(),
        };
        let mut exact = Vec::new();
        for position in first..first + count {
            let center = (position as f64 + 0.5) * scale;
            let start = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(input);
            exact.clear();
            exact.extend((start..end).map(|x| {
                let distance = (x as f64 - center + 0.5) * (1.0 / stretch);
                interpolation.weight(distance)
            }));
            let total: f64 = exact.iter().sum();
            let from = taps.weights.len();
            taps.weights.extend(exact.iter().map(|weight| {
                let scaled = weight / total * f64::from(1u32 << PRECISION);
                (scaled + 0.5_f64.copysign(scaled)) as i32
            }));
            taps.ranges.push((start, from, taps.weights.len()));
        }
        taps
    }

    /// First input position and weights of output position `index`.
    fn of(&self, index: usize) -> (usize, &[i32]) {
        let (start, from, to) = self.ranges[index];
        (start, &self.weights[from..to])
    }

    /// The input positions that are needed: from, to.
    fn reach(&self) -> (usize, usize) {
        let first = self.ranges.first().map_or(0, |range| range.0);
        let last = self
            .ranges
            .last()
            .map_or(0, |(start, from, to)| start + to - from);
        (first, last)
    }

    /// Resizes one row.
    fn along_row(&self, row: &[u8], out: &mut [u8]) {
        let (row, _) = row.as_chunks::<3>();
        let (out, _) = out.as_chunks_mut::<3>();
        for (pixel, (start, from, to)) in out.iter_mut().zip(&self.ranges) {
            let weights = &self.weights[*from..*to];
            let mut sums = [HALF; 3];
            for ([red, green, blue], weight) in row[*start..].iter().zip(weights) {
                sums[0] += i32::from(*red) * weight;
                sums[1] += i32::from(*green) * weight;
                sums[2] += i32::from(*blue) * weight;
            }
            *pixel = sums.map(to_byte);
        }
    }
}

/// Half a unit, so that dropping the fraction rounds.
const HALF: i32 = 1 << (PRECISION - 1);

/// The weighted sum of as many rows of `rows` as there are weights.
fn across_rows(rows: &[u8], weights: &[i32], sums: &mut [i32], out: &mut [u8]) {
    sums.fill(HALF);
    for (row, weight) in rows.chunks_exact(out.len()).zip(weights) {
        for (sum, byte) in sums.iter_mut().zip(row) {
            *sum += i32::from(*byte) * weight;
        }
    }
    for (byte, sum) in out.iter_mut().zip(sums) {
        *byte = to_byte(*sum);
    }
}

#[expect(clippy::cast_sign_loss, reason = "clamped to a byte")]
fn to_byte(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}
