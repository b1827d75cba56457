//! A small picture of an image of an artifact, as a file that every browser shows.

use image::ExtendedColorType;
use image::codecs::webp::WebPEncoder;
use image::imageops;

use super::Images;
use crate::error::{Context, Error, Result};

/// Image `index` of `images` with no side longer than `side` pixels, as a lossless WebP file.
///
/// # Errors
/// An encoder that refuses it.
///
/// # Panics
/// If there is no such image.
pub fn thumbnail(images: &Images, index: usize, side: u32) -> Result<Vec<u8>> {
    let strange = || Error::stage("an image is too large for a small picture");
    let pixels_of = |length: usize| u32::try_from(length).map_err(|_| strange());
    let (height, width) = (pixels_of(images.height())?, pixels_of(images.width())?);
    let pixels = images.pixels(index).to_vec();
    let image = image::RgbImage::from_raw(width, height, pixels).ok_or_else(strange)?;
    let longest = height.max(width).max(1);
    let small = if longest > side {
        let scaled = |length: u32| (length * side / longest).max(1);
        imageops::thumbnail(&image, scaled(width), scaled(height))
    } else {
        image
    };
    let mut file = Vec::new();
    WebPEncoder::new_lossless(&mut file)
        .encode(
            &small,
            small.width(),
            small.height(),
            ExtendedColorType::Rgb8,
        )
        .or_stage(|| "cannot make a small picture")?;
    Ok(file)
}
