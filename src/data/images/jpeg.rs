//! JPEG → RGB. Strict about the picture, lenient about what surrounds it: a file that ends early or whose data cannot be decoded
//! is broken, even where a viewer would show a part of it and fill the rest with grey.

use image::metadata::Orientation;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use super::decode::{Broken, Rgb};

/// Decodes a JPEG file of at most `max_pixels` pixels: greyscale, `YCbCr`, RGB, CMYK and YCCK (both inverted, as Adobe's
/// programs write them and every reader expects), baseline and progressive.
pub(super) fn decode(bytes: &[u8], max_pixels: u64) -> Result<(Rgb, Orientation), Broken> {
    let options = DecoderOptions::default()
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX)
        .set_strict_mode(false)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|error| damaged(&error))?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    // The format cannot express more than 65,535.
    let (width, height) = (
        u32::try_from(width).unwrap_or(u32::MAX),
        u32::try_from(height).unwrap_or(u32::MAX),
    );
    Broken::check_size(width, height, max_pixels)?;
    if !is_complete(bytes) {
        return Err(Broken::Truncated);
    }
    let orientation = decoder
        .exif()
        .and_then(|exif| Orientation::from_exif_chunk(exif))
        .unwrap_or(Orientation::NoTransforms);
    let mut pixels = vec![0; decoder.output_buffer_size().unwrap_or_default()];
    // From here on an error means that pixels are missing.
    decoder.set_options(options.set_strict_mode(true));
    decoder
        .decode_into(&mut pixels)
        .map_err(|error| damaged(&error))?;
    let rgb = Rgb::new(width, height, pixels).ok_or_else(|| Broken::Damaged {
        format: "JPEG",
        why: "it does not decode to RGB".into(),
    })?;
    Ok((rgb, orientation))
}

fn damaged(error: &DecodeErrors) -> Broken {
    match error {
        DecodeErrors::ExhaustedData | DecodeErrors::IoErrors(_) => Broken::Truncated,
        DecodeErrors::Unsupported(scheme) => {
            Broken::Unsupported(format!("{scheme:?} JPEG").to_lowercase())
        }
        other => Broken::Damaged {
            format: "JPEG",
            why: other.to_string(),
        },
    }
}

/// Whether the end marker stands behind the last scan. Decoders fill in for what is missing, so they cannot tell.
fn is_complete(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xDA;
    const END: u8 = 0xD9;
    let mut rest = bytes;
    let mut in_scan = false;
    loop {
        // In a scan, FF 00 is a byte of data and FF D0 to FF D7 resynchronise.
        let Some(at) = rest.windows(2).position(|pair| {
            pair[0] == 0xFF
                && !matches!(pair[1], 0 | 0xFF)
                && !(in_scan && (0xD0..=0xD7).contains(&pair[1]))
        }) else {
            return false;
        };
        let marker = rest[at + 1];
        rest = &rest[at + 2..];
        match marker {
            END => return true,
            // Markers that stand alone.
            0x01 | 0xD0..=0xD8 => {}
            _ => {
                let Some(([high, low], _)) = rest.split_first_chunk() else {
                    return false;
                };
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                let Some(after) = rest.get(length.max(2)..) else {
                    return false;
                };
                rest = after;
                in_scan = marker == START_OF_SCAN;
            }
        }
    }
}
