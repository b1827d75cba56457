//! Bytes of an image file → RGB pixels, or why not.
//!
//! What Pillow's `convert("RGB")` does with each kind of image: greyscale is repeated, palettes are looked up, transparency is
//! dropped (not blended with a background), 16 bits keep their upper 8; of an animation the first frame counts. Then the Exif
//! orientation is applied, as Pillow's `exif_transpose` does.

use std::io::Cursor;

use image::error::ImageError;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};

use super::jpeg;

/// An image in memory: rows from the top, pixels from the left, three bytes each, red first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rgb(RgbImage);

impl Rgb {
    /// The image of these pixels; none if their number is not `width` × `height` × 3.
    #[must_use]
    pub fn new(width: u32, height: u32, pixels: Vec<u8>) -> Option<Self> {
        RgbImage::from_raw(width, height, pixels).map(Self)
    }

    /// Pixels in a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.0.width() as usize
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> usize {
        self.0.height() as usize
    }

    /// `height` × `width` × 3 bytes.
    #[must_use]
    pub fn pixels(&self) -> &[u8] {
        self.0.as_raw()
    }

    fn of(image: DynamicImage) -> Self {
        let (width, height) = (image.width(), image.height());
        let upper = match &image {
            DynamicImage::ImageLuma16(grey) => repeated(grey, 1),
            DynamicImage::ImageLumaA16(grey) => repeated(grey, 2),
            DynamicImage::ImageRgb16(rgb) => upper(rgb, 3),
            DynamicImage::ImageRgba16(rgb) => upper(rgb, 4),
            _ => return Self(image.into_rgb8()),
        };
        Self(RgbImage::from_raw(width, height, upper).unwrap_or_else(|| image.into_rgb8()))
    }

    /// The image as a viewer shows it.
    fn turned(self, orientation: Orientation) -> Self {
        if orientation == Orientation::NoTransforms {
            return self;
        }
        let mut image = DynamicImage::ImageRgb8(self.0);
        image.apply_orientation(orientation);
        Self(image.into_rgb8())
    }
}

/// 16-bit grey, the first of every `channels` numbers, as 8-bit RGB.
fn repeated(numbers: &[u16], channels: usize) -> Vec<u8> {
    let grey = numbers.iter().step_by(channels);
    grey.flat_map(|number| [number.to_be_bytes()[0]; 3])
        .collect()
}

/// 16-bit RGB, the first three of every `channels` numbers, as 8-bit RGB.
fn upper(numbers: &[u16], channels: usize) -> Vec<u8> {
    let rgb = numbers.chunks_exact(channels).flat_map(|pixel| &pixel[..3]);
    rgb.map(|number| number.to_be_bytes()[0]).collect()
}

/// Why an image cannot be read; written to follow "`photo.jpg` cannot be read: ".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// No bytes.
    #[error("it is empty")]
    Empty,
    /// Not an image, whatever its name says.
    #[error("its content is not an image")]
    NotAnImage,
    /// An image in a format, or in a variant of one, that is not read.
    #[error("{0} images are not supported")]
    Unsupported(String),
    /// Larger than the limit; found before anything is decoded.
    #[error("it has {width} × {height} pixels, more than the {max_pixels} that are allowed")]
    TooLarge {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
        /// The limit.
        max_pixels: u64,
    },
    /// It ends early.
    #[error("it is truncated")]
    Truncated,
    /// It cannot be decoded.
    #[error("its {format} data is damaged ({why})")]
    Damaged {
        /// The format.
        format: &'static str,
        /// What the decoder says.
        why: String,
    },
    /// It cannot be read from the disk.
    #[error("{0}")]
    Unreadable(String),
}

impl Broken {
    /// Refuses an image without pixels or with too many.
    pub(super) fn check_size(width: u32, height: u32, max_pixels: u64) -> Result<(), Self> {
        if width == 0 || height == 0 {
            return Err(Self::Damaged {
                format: "image",
                why: "it has no pixels".into(),
            });
        }
        if u64::from(width) * u64::from(height) > max_pixels {
            return Err(Self::TooLarge {
                width,
                height,
                max_pixels,
            });
        }
        Ok(())
    }
}

/// Decodes a file by its content: JPEG, PNG, WebP, BMP or GIF of at most `max_pixels` pixels.
///
/// # Errors
/// Why it cannot be read.
pub fn decode(bytes: &[u8], max_pixels: u64) -> Result<Rgb, Broken> {
    if bytes.is_empty() {
        return Err(Broken::Empty);
    }
    let format = image::guess_format(bytes).map_err(|_| Broken::NotAnImage)?;
    let (rgb, orientation) = match format {
        ImageFormat::Jpeg => jpeg::decode(bytes, max_pixels)?,
        ImageFormat::Png | ImageFormat::WebP | ImageFormat::Bmp | ImageFormat::Gif => {
            other(bytes, format, max_pixels)?
        }
        other => return Err(Broken::Unsupported(name(other).into())),
    };
    Ok(rgb.turned(orientation))
}

fn other(bytes: &[u8], format: ImageFormat, max_pixels: u64) -> Result<(Rgb, Orientation), Broken> {
    let broken = |error: ImageError| broken(error, format);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    // A pixel of any format takes at most 8 bytes, and decoders need some room of their own.
    limits.max_alloc = Some(max_pixels.saturating_mul(16).max(64 << 20));
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    Broken::check_size(width, height, max_pixels)?;
    // Broken metadata is no reason to refuse the pixels.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let image = DynamicImage::from_decoder(decoder).map_err(broken)?;
    Ok((Rgb::of(image), orientation))
}

fn broken(error: ImageError, format: ImageFormat) -> Broken {
    match error {
        ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Broken::Truncated
        }
        ImageError::Unsupported(error) => Broken::Unsupported(error.to_string()),
        error => Broken::Damaged {
            format: name(format),
            why: error.to_string(),
        },
    }
}

/// What the format is called.
fn name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Gif => "GIF",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::Avif => "AVIF",
        ImageFormat::Ico => "ICO",
        ImageFormat::OpenExr => "OpenEXR",
        ImageFormat::Pnm => "PNM",
        ImageFormat::Qoi => "QOI",
        _ => "these",
    }
}
