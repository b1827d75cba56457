//! Brightness, contrast and saturation as Pillow's `ImageEnhance` changes them, to the bit.

/// A change of an image's colours, and how strong it is: 1 changes nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Colour {
    /// Towards or away from black.
    Brightness(f32),
    /// Towards or away from the image's mean grey.
    Contrast(f32),
    /// Towards or away from each pixel's grey.
    Saturation(f32),
}

impl Colour {
    /// Changes `pixels`, three bytes each.
    pub(super) fn apply(self, pixels: &mut [u8]) {
        let (triples, _) = pixels.as_chunks_mut::<3>();
        match self {
            Self::Brightness(factor) => {
                for byte in pixels {
                    *byte = blend(0, *byte, factor);
                }
            }
            Self::Contrast(factor) => {
                let mean = mean_grey(triples);
                for byte in pixels {
                    *byte = blend(mean, *byte, factor);
                }
            }
            Self::Saturation(factor) => {
                for pixel in triples {
                    let grey = grey(*pixel);
                    *pixel = pixel.map(|byte| blend(grey, byte, factor));
                }
            }
        }
    }
}

/// From `plain` (0) over `byte` (1) and beyond, cut off at the ends.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "casts from floats saturate, and Pillow truncates too"
)]
fn blend(plain: u8, byte: u8, factor: f32) -> u8 {
    (f32::from(plain) + factor * (f32::from(byte) - f32::from(plain))) as u8
}

/// Luma after ITU-R 601-2, in 16-bit fixed-point numbers.
#[expect(clippy::cast_possible_truncation, reason = "the weights sum to 1")]
fn grey([red, green, blue]: [u8; 3]) -> u8 {
    let sum = u32::from(red) * 19_595 + u32::from(green) * 38_470 + u32::from(blue) * 7_471;
    ((sum + 0x8000) >> 16) as u8
}

/// The mean luma, rounded.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a mean of bytes is a byte"
)]
fn mean_grey(pixels: &[[u8; 3]]) -> u8 {
    let sum: u64 = pixels.iter().map(|pixel| u64::from(grey(*pixel))).sum();
    (sum as f64 / pixels.len().max(1) as f64 + 0.5) as u8
}
