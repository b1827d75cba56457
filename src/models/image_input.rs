//! How photos become the input of an image network: the size, the crop and the colours that its weights were trained with.
//!
//! It reads what timm (`pretrained_cfg` in `config.json`) and Hugging Face (`preprocessor_config.json`) write beside their
//! weights, and knows the public checkpoints that come as bare files. It decodes and resizes nothing.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::ARCHITECTURES;
use super::folder::{self, ModelFolder};
use crate::error::{Context, Error, Result};

/// The input that a network expects, in timm's words.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageInput {
    /// Height and width, in pixels.
    pub size: usize,
    /// Which part of the resized photo's side is kept.
    pub crop_pct: f64,
    /// How a photo comes to that size.
    pub crop_mode: CropMode,
    /// How it is resized.
    pub interpolation: Interpolation,
    /// What is subtracted from red, green and blue, which go from 0 to 1.
    pub mean: [f32; 3],
    /// What they are divided by after that.
    pub std: [f32; 3],
}

/// How a photo comes to the size that a network expects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CropMode {
    /// The shorter side is resized, and the centre cut out.
    #[default]
    Center,
    /// Both sides are resized, whatever that does to the proportions.
    Squash,
}

/// How pixels between pixels are made. All are antialiased when a photo becomes smaller, as Pillow does it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interpolation {
    /// A triangle over the nearest pixels.
    #[default]
    Bilinear,
    /// A cubic curve over the nearest pixels.
    Bicubic,
}

/// What torchvision's ImageNet weights expect.
pub(super) const IMAGENET: ImageInput = ImageInput {
    size: 224,
    crop_pct: 0.875,
    crop_mode: CropMode::Center,
    interpolation: Interpolation::Bilinear,
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
};

/// A public checkpoint whose file says nothing about itself.
#[derive(Debug)]
pub(super) struct Variant {
    /// Its `architecture`, as torchvision or timm call it.
    pub(super) name: &'static str,
    /// How many classes its head has.
    pub(super) classes: usize,
    /// Their names, if they are few.
    pub(super) labels: &'static [&'static str],
    /// What it expects.
    pub(super) input: ImageInput,
}

/// The variant called `architecture`.
pub(super) fn variant(architecture: &str) -> Option<&'static Variant> {
    ARCHITECTURES
        .iter()
        .flat_map(|known| known.variants)
        .find(|variant| variant.name == architecture)
}

/// What to write as `config.json` beside a bare file with the weights of `architecture`: `mobilenet_v2`, `resnet50` …
///
/// # Errors
/// An architecture that refire does not know by such a name.
pub fn bare_config(architecture: &str) -> Result<Map<String, Value>> {
    let Some(variant) = variant(architecture) else {
        return Err(
            Error::usage(format!("refire knows no architecture `{architecture}`"))
                .did_you_mean(architecture, architectures()),
        );
    };
    let mut config = Map::new();
    config.insert("architecture".into(), variant.name.into());
    config.insert("num_classes".into(), variant.classes.into());
    if !variant.labels.is_empty() {
        config.insert("label_names".into(), variant.labels.into());
    }
    config.insert("pretrained_cfg".into(), variant.input.to_timm());
    Ok(config)
}

/// The names that [`bare_config`] takes.
pub fn architectures() -> impl Iterator<Item = &'static str> {
    ARCHITECTURES
        .iter()
        .flat_map(|known| known.variants)
        .map(|variant| variant.name)
}

impl Default for ImageInput {
    /// What torchvision's ImageNet weights expect.
    fn default() -> Self {
        IMAGENET
    }
}

impl ImageInput {
    /// What the model in `folder` expects; none if it does not take images.
    ///
    /// # Errors
    /// Files that cannot be read, and inputs that refire cannot make.
    pub fn of(folder: &Path) -> Result<Option<Self>> {
        let model = ModelFolder::open(folder)?;
        let path = folder.join("preprocessor_config.json");
        if let Some(settings) = folder::optional(&path)? {
            return Processor::read(settings)
                .or_stage(|| format!("cannot read `{}`", path.display()))?
                .input()
                .map(Some)
                .map_err(|error| error.note(format!("asked for by `{}`", path.display())));
        }
        let known = model
            .word("architecture")
            .and_then(variant)
            .map(|variant| variant.input);
        let path = folder.join("config.json");
        match model.config.get("pretrained_cfg") {
            Some(settings) => Ok(Some(
                Timm::read(settings)
                    .or_stage(|| format!("cannot read `pretrained_cfg` in `{}`", path.display()))?
                    .input(known.unwrap_or(IMAGENET))
                    .map_err(|error| error.note(format!("asked for by `{}`", path.display())))?,
            )),
            None => Ok(known),
        }
    }

    /// The same for photos whose shorter side was resized to `resize` before a square of `size` was cut out of its centre.
    #[must_use]
    pub fn made(self, size: usize, resize: usize, interpolation: Interpolation) -> Self {
        let usual = Self {
            size,
            crop_mode: CropMode::Center,
            interpolation,
            ..self
        };
        if usual.shorter_side() == resize {
            return usual;
        }
        // Rounded down, so that the division gives the whole number again.
        #[expect(clippy::cast_precision_loss, reason = "sizes are small")]
        let crop_pct = (size as f64 / resize as f64 * 1e6).floor() / 1e6;
        Self { crop_pct, ..usual }
    }

    /// Writes into the config of the model in `folder` that this is what it was tuned on. A model of Hugging Face's, whose network takes
    /// one size only, has said so in `preprocessor_config.json`.
    ///
    /// # Errors
    /// Those of the disk, and a folder without a config.
    pub fn write(self, folder: &Path) -> Result<()> {
        if folder.join("preprocessor_config.json").exists() {
            return Ok(());
        }
        let mut config = ModelFolder::open(folder)?.config;
        let timm = config.entry("pretrained_cfg").or_insert_with(|| json!({}));
        match (timm, self.to_timm()) {
            (Value::Object(settings), Value::Object(ours)) => settings.extend(ours),
            (settings, ours) => *settings = ours,
        }
        folder::write_config(folder, &config)
    }

    /// The length that a photo's shorter side is resized to before the centre is cut out.
    #[must_use]
    pub fn shorter_side(&self) -> usize {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "sizes are small and positive"
        )]
        let side = (self.size as f64 / self.crop_pct).floor() as usize;
        side
    }

    /// Photos as a network takes them, `[batch, 3, height, width]`: each is given as height · width pixels of red, green
    /// and blue.
    ///
    /// # Panics
    /// If a photo is not `height · width` pixels.
    #[must_use]
    pub fn normalise(&self, photos: &[&[u8]], size: [usize; 2], device: &Device) -> Tensor<4> {
        let [height, width] = size;
        let image = 3 * height * width;
        let mut values = vec![0.0_f32; photos.len() * image];
        for (photo, values) in photos.iter().zip(values.chunks_exact_mut(image)) {
            self.planes(photo, values);
        }
        Tensor::from_data(
            TensorData::new(values, [photos.len(), 3, height, width]),
            device,
        )
    }

    /// One photo as three planes, red, green and blue, of normalised numbers.
    ///
    /// # Panics
    /// If there are not as many planes' numbers as the photo has bytes.
    pub fn planes(&self, photo: &[u8], planes: &mut [f32]) {
        let (pixels, rest) = photo.as_chunks::<3>();
        assert!(
            planes.len() == photo.len() && rest.is_empty(),
            "a number for each colour of each pixel"
        );
        for (colour, plane) in planes.chunks_exact_mut(pixels.len().max(1)).enumerate() {
            let (mean, std) = (self.mean[colour], self.std[colour]);
            for (number, pixel) in plane.iter_mut().zip(pixels) {
                *number = (f32::from(pixel[colour]) / 255.0 - mean) / std;
            }
        }
    }

    /// The same in the words of timm's `pretrained_cfg`.
    fn to_timm(self) -> Value {
        json!({
            "input_size": [3, self.size, self.size],
            "crop_pct": self.crop_pct,
            "crop_mode": self.crop_mode,
            "interpolation": self.interpolation,
            "mean": self.mean.map(shortest),
            "std": self.std.map(shortest),
        })
    }
}

/// The f64 that is written with as few digits as the f32.
fn shortest(value: f32) -> f64 {
    value
        .to_string()
        .parse()
        .unwrap_or_else(|_| f64::from(value))
}

/// timm's `pretrained_cfg`.
#[derive(Deserialize)]
struct Timm {
    input_size: Option<[usize; 3]>,
    crop_pct: Option<f64>,
    crop_mode: Option<CropMode>,
    interpolation: Option<Interpolation>,
    mean: Option<[f32; 3]>,
    std: Option<[f32; 3]>,
}

impl Timm {
    fn read(settings: &Value) -> serde_json::Result<Self> {
        Self::deserialize(settings)
    }

    /// What it says, and `default` for what it does not.
    fn input(self, default: ImageInput) -> Result<ImageInput> {
        let size = match self.input_size {
            None => default.size,
            Some([3, height, width]) if height == width => height,
            Some(other) => {
                return Err(Error::stage(format!(
                    "the input {other:?} is no square colour image"
                )));
            }
        };
        checked(ImageInput {
            size,
            crop_pct: self.crop_pct.unwrap_or(default.crop_pct),
            crop_mode: self.crop_mode.unwrap_or(default.crop_mode),
            interpolation: self.interpolation.unwrap_or(default.interpolation),
            mean: self.mean.unwrap_or(default.mean),
            std: self.std.unwrap_or(default.std),
        })
    }
}

/// Hugging Face's `preprocessor_config.json`.
#[derive(Deserialize)]
struct Processor {
    size: Side,
    crop_size: Option<Side>,
    #[serde(default)]
    do_center_crop: bool,
    resample: Option<u8>,
    image_mean: Option<[f32; 3]>,
    image_std: Option<[f32; 3]>,
}

/// A size in pixels, in the ways that Hugging Face writes one.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Side {
    Square(usize),
    Box { height: usize, width: usize },
    Shorter { shortest_edge: usize },
}

impl Processor {
    fn read(settings: Map<String, Value>) -> serde_json::Result<Self> {
        serde_json::from_value(Value::Object(settings))
    }

    fn input(self) -> Result<ImageInput> {
        let whole = side(self.size)?;
        let crop = self.crop_size.filter(|_| self.do_center_crop);
        let size = crop.map_or(Ok(whole), side)?;
        let interpolation = match self.resample {
            None | Some(2) => Interpolation::Bilinear,
            Some(3) => Interpolation::Bicubic,
            Some(other) => {
                return Err(Error::stage(format!(
                    "refire cannot resize by Pillow's filter {other}"
                ))
                .help("2 (bilinear) and 3 (bicubic) are known"));
            }
        };
        let squash = crop.is_none() && !matches!(self.size, Side::Shorter { .. });
        #[expect(clippy::cast_precision_loss, reason = "sizes are small")]
        let crop_pct = size as f64 / whole as f64;
        checked(ImageInput {
            size,
            crop_pct,
            crop_mode: if squash {
                CropMode::Squash
            } else {
                CropMode::Center
            },
            interpolation,
            mean: self.image_mean.unwrap_or([0.5; 3]),
            std: self.image_std.unwrap_or([0.5; 3]),
        })
    }
}

fn side(size: Side) -> Result<usize> {
    match size {
        Side::Square(pixels)
        | Side::Shorter {
            shortest_edge: pixels,
        } => Ok(pixels),
        Side::Box { height, width } if height == width => Ok(height),
        Side::Box { height, width } => Err(Error::stage(format!(
            "the input of {height}×{width} pixels is no square"
        ))),
    }
}

fn checked(input: ImageInput) -> Result<ImageInput> {
    let wrong = if !(1..=4096).contains(&input.size) {
        Some(format!("{} pixels are no size for an image", input.size))
    } else if !(input.crop_pct > 0.0 && input.crop_pct <= 1.0) {
        Some(format!(
            "`crop_pct` is {}, not above 0 and at most 1",
            input.crop_pct
        ))
    } else if !input.std.iter().all(|std| *std > 0.0) {
        Some(format!("`std` is {:?}, not above 0", input.std))
    } else {
        None
    };
    wrong.map_or(Ok(input), |wrong| Err(Error::stage(wrong)))
}

#[cfg(test)]
mod tests;
