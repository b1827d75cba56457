//! How photos become the input of an image network: the size, the crop and the colours that its weights were trained with.
//!
//! `processor` reads and writes Hugging Face's `preprocessor_config.json`, `timm` the `pretrained_cfg` in timm's `config.json`; public
//! checkpoints that come as bare files are known. Nothing here decodes or resizes.

mod processor;
mod timm;

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use serde_json::{Map, Value};

pub(super) use self::processor::FILE as PROCESSOR_FILE;
use self::processor::Processor;
use self::timm::Timm;
use super::ARCHITECTURES;
use super::folder::{self, ModelFolder};
use crate::data::images::{CropMargin, Interpolation, ResizeMode};
use crate::error::{Context, Error, Result};

/// The input that a network expects.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImageInput {
    /// Height and width, in pixels.
    pub size: usize,
    /// What a photo is resized to before the square is cut out of its centre, in pixels; at least `size`.
    pub resize: usize,
    /// Which of its sides that is.
    pub mode: ResizeMode,
    /// How half a pixel of margin is rounded when the square is cut out.
    pub margin: CropMargin,
    /// How it is resized.
    pub interpolation: Interpolation,
    /// What is subtracted from red, green and blue, which go from 0 to 1.
    pub mean: [f32; 3],
    /// What they are divided by after that.
    pub std: [f32; 3],
}

/// What torchvision's ImageNet weights expect.
pub(super) const IMAGENET: ImageInput = ImageInput {
    size: 224,
    resize: 256,
    mode: ResizeMode::Shorter,
    margin: CropMargin::Even,
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
    config.insert("pretrained_cfg".into(), timm::words(&variant.input));
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
    /// What the model in `folder` expects; none if it does not take images, or says nothing about them.
    ///
    /// # Errors
    /// Files that cannot be read or that contradict each other, and inputs that refire cannot make.
    pub fn of(folder: &Path) -> Result<Option<Self>> {
        let model = ModelFolder::open(folder)?;
        match (by_processor(folder, &model)?, by_config(folder, &model)?) {
            (Some(file), Some(config)) if !file.agrees(&config) => {
                let says = |input: ImageInput| {
                    let (mean, std) = (input.mean, input.std);
                    format!("{}, mean {mean:?}, std {std:?}", input.description())
                };
                Err(Error::stage(format!(
                    "`{}` and `pretrained_cfg` in the `config.json` beside it contradict each other",
                    folder.join(processor::FILE).display()
                ))
                .note(format!("{}: {}", processor::FILE, says(file)))
                .note(format!("config.json: {}", says(config)))
                .help("correct one of them, or take it out"))
            }
            (Some(input), _) | (None, Some(input)) => Ok(Some(input)),
            (None, None) => Ok(model
                .word("architecture")
                .and_then(variant)
                .map(|variant| variant.input)),
        }
    }

    /// The same for squares of `size`: they show as much of a photo.
    #[must_use]
    pub fn at(self, size: usize) -> Self {
        // Too much for a number is too much for a photo.
        let resize = size.saturating_mul(self.resize) / self.size.max(1);
        Self {
            size,
            resize,
            ..self
        }
        .canonical()
    }

    /// Writes into the folder of a model that this is what its photos became: into `preprocessor_config.json`, where transformers looks,
    /// and into `config.json` if timm reads that. What an older file there said is gone.
    ///
    /// # Errors
    /// Those of the disk, and a folder without a config.
    pub fn write(self, folder: &Path) -> Result<()> {
        processor::write(&self, folder)?;
        let mut config = ModelFolder::open(folder)?.config;
        if config.contains_key("model_type") && !config.contains_key("pretrained_cfg") {
            return Ok(());
        }
        let timm = config
            .entry("pretrained_cfg")
            .or_insert_with(|| Value::Object(Map::new()));
        match (timm, timm::words(&self)) {
            (Value::Object(settings), Value::Object(ours)) => settings.extend(ours),
            (settings, ours) => *settings = ours,
        }
        folder::write_config(folder, &config)
    }

    /// What is done to a photo, in words: "shorter side to 256 pixels (bilinear), 224×224 from the centre (margin rounded to even)".
    #[must_use]
    pub fn description(&self) -> String {
        let Self { size, resize, .. } = self;
        let filter = match self.interpolation {
            Interpolation::Bilinear => "bilinear",
            Interpolation::Bicubic => "bicubic",
        };
        let resized = match self.mode {
            ResizeMode::Shorter => format!("shorter side to {resize} pixels ({filter})"),
            ResizeMode::Squash => format!("both sides to {resize} pixels ({filter})"),
        };
        let rounded = match self.margin {
            CropMargin::Even => "to even",
            CropMargin::Down => "down",
        };
        match self.mode {
            ResizeMode::Squash if size == resize => resized,
            _ => format!("{resized}, {size}×{size} from the centre (margin rounded {rounded})"),
        }
    }

    /// Whether photos come to the same pixels.
    #[must_use]
    pub fn same_pixels(&self, other: &Self) -> bool {
        let Self { mean, std, .. } = *self;
        *self
            == Self {
                mean,
                std,
                ..*other
            }
    }

    /// Whether the same is meant as by a file that cannot say how margins are rounded.
    fn agrees(&self, other: &Self) -> bool {
        *self
            == Self {
                margin: self.margin,
                ..*other
            }
    }

    /// The same with the one margin that stands for all where its rounding cannot matter.
    #[must_use]
    pub fn canonical(self) -> Self {
        let spare = self.resize - self.size.min(self.resize);
        match self.mode {
            ResizeMode::Squash if spare % 4 != 3 => Self {
                margin: CropMargin::Even,
                ..self
            },
            _ => self,
        }
    }

    /// The same, if photos can be made so.
    fn checked(self) -> Result<Self> {
        let number = |numbers: &[f32; 3]| numbers.iter().all(|number| number.is_finite());
        let wrong = if !(1..=4096).contains(&self.size) {
            Some(format!("{} pixels are no size for an image", self.size))
        } else if !(self.size..=8192).contains(&self.resize) {
            Some(format!(
                "{}×{} pixels cannot be cut out of what is resized to {}",
                self.size, self.size, self.resize
            ))
        } else if !number(&self.mean) {
            Some(format!("the mean is {:?}", self.mean))
        } else if !number(&self.std) || !self.std.iter().all(|std| *std > 0.0) {
            Some(format!("`std` is {:?}, not above 0", self.std))
        } else if !self.colours_fit() {
            Some(format!(
                "colours from 0 to 1 less {:?} by {:?} are no numbers",
                self.mean, self.std
            ))
        } else {
            None
        };
        wrong.map_or(Ok(self.canonical()), |wrong| Err(Error::stage(wrong)))
    }

    /// Whether black and white become numbers.
    fn colours_fit(&self) -> bool {
        let ends =
            |colour: usize| [0.0, 1.0].map(|end| (end - self.mean[colour]) / self.std[colour]);
        (0..3).flat_map(ends).all(f32::is_finite)
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
}

/// What `preprocessor_config.json` in `folder` says.
fn by_processor(folder: &Path, model: &ModelFolder) -> Result<Option<ImageInput>> {
    let path = folder.join(processor::FILE);
    let Some(settings) = folder::optional(&path)? else {
        return Ok(None);
    };
    let read = Processor::read(settings)
        .or_stage(|| format!("cannot read `{}`", path.display()))?
        .input(model.word("model_type"))
        .map_err(|error| error.note(format!("asked for by `{}`", path.display())))?;
    Ok(Some(read))
}

/// What `pretrained_cfg` in the config of the model says.
fn by_config(folder: &Path, model: &ModelFolder) -> Result<Option<ImageInput>> {
    let Some(settings) = model.config.get("pretrained_cfg") else {
        return Ok(None);
    };
    let path = folder.join("config.json");
    let known = model.word("architecture").and_then(variant);
    let read = Timm::read(settings)
        .or_stage(|| format!("cannot read `pretrained_cfg` in `{}`", path.display()))?
        .input(known.map_or(IMAGENET, |variant| variant.input))
        .map_err(|error| error.note(format!("asked for by `{}`", path.display())))?;
    Ok(Some(read))
}

/// The f64 that is written with as few digits as the f32.
fn shortest(value: f32) -> f64 {
    value
        .to_string()
        .parse()
        .unwrap_or_else(|_| f64::from(value))
}

#[cfg(test)]
mod tests;
