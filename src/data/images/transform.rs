//! The transform that a network expects of every photo: the shorter side to a length, then a square from the centre.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::decode::Rgb;
use super::resize::{Rectangle, View, resize};

pub use super::resize::Interpolation;

/// torchvision's `Resize(resize)` and `CenterCrop(size)` on Pillow images, to the bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Transform {
    /// Side of the square that is cut out, in pixels.
    pub size: u32,
    /// What the shorter side is resized to before, in pixels; at least `size`.
    pub resize: u32,
    /// How pixels between pixels are estimated.
    pub interpolation: Interpolation,
}

impl Transform {
    /// The usual length of the shorter side before a square of `size` is cut out: what 256 is to 224, rounded down as
    /// timm does.
    #[must_use]
    pub fn usual_resize(size: u32) -> u32 {
        u32::try_from(u64::from(size) * 256 / 224).unwrap_or(u32::MAX)
    }

    /// Bytes of a transformed image: `size` × `size` × 3.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.size as usize * self.size as usize * 3
    }

    /// Transforms `image` into `out`, which holds [`bytes`](Self::bytes) bytes: rows of pixels of three bytes.
    pub fn apply(&self, image: &Rgb, out: &mut [u8]) {
        let (width, height) = (image.width(), image.height());
        let (shorter, size) = (self.resize as usize, self.size as usize);
        let longer = |long: usize, short: usize| shorter * long / short;
        let (to_width, to_height) = if width <= height {
            (shorter, longer(height, width))
        } else {
            (longer(width, height), shorter)
        };
        let window = Rectangle {
            left: centre(to_width - size),
            top: centre(to_height - size),
            width: size,
            height: size,
        };
        let whole = Rectangle {
            left: 0,
            top: 0,
            width,
            height,
        };
        let view = View {
            pixels: image.pixels(),
            stride: width,
            part: whole,
        };
        resize(view, (to_width, to_height), window, self.interpolation, out);
    }
}

/// Resizes both sides of `image` to `size` pixels, whatever that does to its proportions, into `out`, which holds `size` × `size` × 3
/// bytes.
pub fn squash(image: &Rgb, size: u32, interpolation: Interpolation, out: &mut [u8]) {
    let of_size = |width, height| Rectangle {
        left: 0,
        top: 0,
        width,
        height,
    };
    let view = View {
        pixels: image.pixels(),
        stride: image.width(),
        part: of_size(image.width(), image.height()),
    };
    let size = size as usize;
    resize(view, (size, size), of_size(size, size), interpolation, out);
}

/// Half of `margin` as Python's `round` has it: halves go to the even number.
fn centre(margin: usize) -> usize {
    margin / 2 + usize::from(margin % 4 == 3)
}
