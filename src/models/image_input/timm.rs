//! `pretrained_cfg`, what timm writes into `config.json` about the images of a network.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{ImageInput, shortest};
use crate::data::images::{CropMargin, Interpolation, ResizeMode};
use crate::error::{Error, Result};

/// timm's `pretrained_cfg`.
#[derive(Deserialize)]
pub(super) struct Timm {
    input_size: Option<[usize; 3]>,
    crop_pct: Option<f64>,
    crop_mode: Option<Mode>,
    interpolation: Option<Interpolation>,
    mean: Option<[f32; 3]>,
    std: Option<[f32; 3]>,
}

/// timm's words for how a photo is resized.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    Center,
    Squash,
}

impl Timm {
    pub(super) fn read(settings: &Value) -> serde_json::Result<Self> {
        Self::deserialize(settings)
    }

    /// What it says, and `default` for what it does not.
    pub(super) fn input(self, default: ImageInput) -> Result<ImageInput> {
        let size = match self.input_size {
            None => default.size,
            Some([3, height, width]) if height == width => height,
            Some(other) => {
                return Err(Error::stage(format!(
                    "the input {other:?} is no square colour image"
                )));
            }
        };
        let resize = match self.crop_pct {
            None => default.at(size).resize,
            Some(share) if share > 0.0 && share <= 1.0 => resized(size, share),
            Some(share) => {
                return Err(Error::stage(format!(
                    "`crop_pct` is {share}, not above 0 and at most 1"
                )));
            }
        };
        ImageInput {
            size,
            resize,
            mode: match self.crop_mode {
                None => default.mode,
                Some(Mode::Center) => ResizeMode::Shorter,
                Some(Mode::Squash) => ResizeMode::Squash,
            },
            margin: CropMargin::Even,
            interpolation: self.interpolation.unwrap_or(default.interpolation),
            mean: self.mean.unwrap_or(default.mean),
            std: self.std.unwrap_or(default.std),
        }
        .checked()
    }
}

/// The length that timm resizes to before it cuts out a square of `size`, which is the share `crop_pct` of it.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes are small and positive"
)]
fn resized(size: usize, crop_pct: f64) -> usize {
    (size as f64 / crop_pct).floor() as usize
}

/// The share that gives `resize` again: the usual one if it does, else the one with the fewest digits.
#[expect(clippy::cast_precision_loss, reason = "sizes are small")]
fn crop_pct(size: usize, resize: usize) -> f64 {
    let exact = size as f64 / resize as f64;
    let rounded = (0..16).map(|digits| {
        let scale = 10_f64.powi(digits);
        (exact * scale).floor() / scale
    });
    std::iter::once(0.875)
        .chain(rounded)
        .find(|share| *share > 0.0 && resized(size, *share) == resize)
        .unwrap_or_else(|| exact.next_down())
}

/// The same in timm's words.
pub(super) fn words(input: &ImageInput) -> Value {
    json!({
        "input_size": [3, input.size, input.size],
        "crop_pct": crop_pct(input.size, input.resize),
        "crop_mode": match input.mode {
            ResizeMode::Shorter => "center",
            ResizeMode::Squash => "squash",
        },
        "interpolation": input.interpolation,
        "mean": input.mean.map(shortest),
        "std": input.std.map(shortest),
    })
}
