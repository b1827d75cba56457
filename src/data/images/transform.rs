//! The transform that a network expects of every photo: one side or both to a length, then a square from the centre.

use serde::{Deserialize, Serialize};

use super::decode::Rgb;
use super::resize::{Rectangle, View, resize};

pub use super::resize::Interpolation;

/// What is done to a photo, to the bit as on Pillow images: torchvision's `Resize(resize)` and `CenterCrop(size)`, or what transformers'
/// image processors do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Transform {
    /// Side of the square that is cut out, in pixels.
    pub size: u32,
    /// What the photo is resized to before, in pixels; at least `size`.
    pub resize: u32,
    /// Which of its sides that is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: ResizeMode,
    /// How half a pixel of margin is rounded.
    #[serde(default, skip_serializing_if = "is_default")]
    pub margin: CropMargin,
    /// How pixels between pixels are estimated.
    pub interpolation: Interpolation,
}

/// Which sides of a photo are resized to the length that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ResizeMode {
    /// The shorter one; the other keeps the proportions.
    #[default]
    Shorter,
    /// Both, whatever that does to the proportions.
    Squash,
}

/// How half a pixel of margin is rounded when the centre is cut out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CropMargin {
    /// To the even number, as torchvision does it.
    #[default]
    Even,
    /// Down, as transformers does it.
    Down,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Transform {
    /// The usual length of the shorter side before a square of `size` is cut out: what 256 is to 224, rounded down as
    /// timm does.
    #[must_use]
    pub fn usual_resize(size: u32) -> u32 {
        u32::try_from(u64::from(size) * 256 / 224).unwrap_or(u32::MAX)
    }

    /// The same for squares of `size`: they show as much of a photo.
    #[must_use]
    pub fn at(self, size: u32) -> Self {
        let resize = u64::from(size) * u64::from(self.resize) / u64::from(self.size.max(1));
        Self {
            size,
            resize: u32::try_from(resize).unwrap_or(u32::MAX),
            ..self
        }
    }

    /// Bytes of a transformed image: `size` × `size` × 3.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.size as usize * self.size as usize * 3
    }

    /// Transforms `image` into `out`, which holds [`bytes`](Self::bytes) bytes: rows of pixels of three bytes.
    pub fn apply(&self, image: &Rgb, out: &mut [u8]) {
        let (width, height) = (image.width(), image.height());
        let (length, size) = (self.resize as usize, self.size as usize);
        let longer = |long: usize, short: usize| length * long / short;
        let (to_width, to_height) = match self.mode {
            ResizeMode::Squash => (length, length),
            ResizeMode::Shorter if width <= height => (length, longer(height, width)),
            ResizeMode::Shorter => (longer(width, height), length),
        };
        let window = Rectangle {
            left: self.margin.half(to_width - size),
            top: self.margin.half(to_height - size),
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

impl CropMargin {
    /// Half of `margin`.
    fn half(self, margin: usize) -> usize {
        let to_even = match self {
            Self::Even => usize::from(margin % 4 == 3),
            Self::Down => 0,
        };
        margin / 2 + to_even
    }
}
