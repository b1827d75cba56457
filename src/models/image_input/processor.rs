//! `preprocessor_config.json`, what transformers' image processors are saved as: which steps there are, and what each class does where
//! the file says nothing.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{ImageInput, shortest};
use crate::data::images::{CropMargin, Interpolation, ResizeMode};
use crate::error::{Context, Error, Result};
use crate::models::weights;

/// The file's name.
pub(in crate::models) const FILE: &str = "preprocessor_config.json";

/// What red, green and blue are multiplied by, unless a file says otherwise.
const RESCALE_FACTOR: f64 = 1.0 / 255.0;

/// A class of image processors: what it does where a file says nothing.
struct Class {
    /// Its name without `ImageProcessor`, `ImageProcessorFast` or `FeatureExtractor`.
    name: &'static str,
    /// What a number for `size` means.
    number: ResizeMode,
    /// What is resized, and to which size.
    size: (ResizeMode, usize),
    crop_size: Option<usize>,
    /// Pillow's number.
    resample: u8,
    mean: [f64; 3],
    std: [f64; 3],
    /// The model types that it belongs to.
    model_types: &'static [&'static str],
}

/// The class whose size is that of the square: below [`WARPED`] pixels a photo is resized to as much more as `crop_pct` says.
const CONVNEXT: &str = "ConvNext";
/// From this size on, such squares are the whole photo.
const WARPED: usize = 384;
/// What `crop_pct` is unless a file says otherwise.
const CROP_PCT: f64 = 224.0 / 256.0;

const HALF: [f64; 3] = [0.5; 3];
const CLIP_MEAN: [f64; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const CLIP_STD: [f64; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];

/// The classes whose steps refire has.
const CLASSES: [Class; 6] = [
    Class {
        name: "ViT",
        number: ResizeMode::Squash,
        size: (ResizeMode::Squash, 224),
        crop_size: None,
        resample: BILINEAR,
        mean: HALF,
        std: HALF,
        model_types: &["vit", "swin"],
    },
    Class {
        name: "DeiT",
        number: ResizeMode::Squash,
        size: (ResizeMode::Squash, 256),
        crop_size: Some(224),
        resample: BICUBIC,
        mean: HALF,
        std: HALF,
        model_types: &["deit"],
    },
    Class {
        name: "CLIP",
        number: ResizeMode::Shorter,
        size: (ResizeMode::Shorter, 224),
        crop_size: Some(224),
        resample: BICUBIC,
        mean: CLIP_MEAN,
        std: CLIP_STD,
        model_types: &["clip", "clip_vision_model"],
    },
    Class {
        name: "Bit",
        number: ResizeMode::Shorter,
        size: (ResizeMode::Shorter, 224),
        crop_size: Some(224),
        resample: BICUBIC,
        mean: CLIP_MEAN,
        std: CLIP_STD,
        model_types: &["dinov2"],
    },
    Class {
        name: CONVNEXT,
        number: ResizeMode::Shorter,
        size: (ResizeMode::Shorter, 384),
        crop_size: None,
        resample: BICUBIC,
        mean: HALF,
        std: HALF,
        model_types: &["convnext", "convnextv2", "resnet", "regnet"],
    },
    Class {
        name: "Siglip",
        number: ResizeMode::Shorter,
        size: (ResizeMode::Squash, 224),
        crop_size: None,
        resample: BICUBIC,
        mean: HALF,
        std: HALF,
        model_types: &["siglip", "siglip_vision_model"],
    },
];

const BILINEAR: u8 = 2;
const BICUBIC: u8 = 3;

/// The file. What is `null` in it is as if it were not there.
#[derive(Deserialize)]
pub(super) struct Processor {
    image_processor_type: Option<String>,
    feature_extractor_type: Option<String>,
    do_resize: Option<bool>,
    size: Option<Side>,
    resample: Option<u8>,
    do_center_crop: Option<bool>,
    crop_size: Option<Side>,
    crop_pct: Option<f64>,
    /// What refire alone writes: how the margin of the crop was rounded.
    crop_margin: Option<CropMargin>,
    do_rescale: Option<bool>,
    rescale_factor: Option<f64>,
    do_normalize: Option<bool>,
    image_mean: Option<Channels>,
    image_std: Option<Channels>,
    do_pad: Option<bool>,
}

/// A size in pixels, in the ways that Hugging Face writes one.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Side {
    Number(usize),
    Pair([usize; 2]),
    Box(Rectangle),
    Shorter(Shorter),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rectangle {
    height: usize,
    width: usize,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shorter {
    shortest_edge: usize,
}

/// A number for each colour, or one for all.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Channels {
    Each([f64; 3]),
    All(f64),
}

impl Channels {
    fn each(self) -> [f64; 3] {
        match self {
            Self::Each(numbers) => numbers,
            Self::All(number) => [number; 3],
        }
    }
}

impl Processor {
    pub(super) fn read(settings: Map<String, Value>) -> serde_json::Result<Self> {
        serde_json::from_value(Value::Object(settings))
    }

    /// What it asks for, in a folder whose config has this `model_type`.
    pub(super) fn input(self, model_type: Option<&str>) -> Result<ImageInput> {
        let class = self.class(model_type)?;
        self.refuse_other_steps()?;
        let (mode, resize) = match self.size {
            Some(size) => sides(size, class.number)?,
            None => class.size,
        };
        if class.name == CONVNEXT {
            return self.share(class, mode, resize)?.checked();
        }
        let crops = self.do_center_crop.unwrap_or(class.crop_size.is_some());
        let crop = match self.crop_size.filter(|_| crops) {
            Some(crop) => match sides(crop, ResizeMode::Squash)? {
                (ResizeMode::Squash, size) => Some(size),
                (ResizeMode::Shorter, _) => {
                    return Err(Error::stage("`crop_size` names no height and width"));
                }
            },
            None => class.crop_size.filter(|_| crops),
        };
        let size = match (crop, mode) {
            (Some(size), _) => size,
            (None, _) if crops => {
                return Err(Error::stage(
                    "`do_center_crop` is set without a `crop_size`",
                ));
            }
            (None, ResizeMode::Squash) => resize,
            (None, ResizeMode::Shorter) => {
                return Err(Error::stage(
                    "photos keep their proportions and are not cropped, so they do not become squares",
                )
                .help("a network takes squares: set `do_center_crop` and `crop_size`"));
            }
        };
        self.square(class, mode, resize, size)?.checked()
    }

    /// A square of `size` out of what is resized to `resize`.
    fn square(
        &self,
        class: &Class,
        mode: ResizeMode,
        resize: usize,
        size: usize,
    ) -> Result<ImageInput> {
        let (mean, std) = self.colours(class)?;
        Ok(ImageInput {
            size,
            resize,
            mode,
            margin: self.crop_margin.unwrap_or(CropMargin::Down),
            interpolation: match self.resample.unwrap_or(class.resample) {
                BILINEAR => Interpolation::Bilinear,
                BICUBIC => Interpolation::Bicubic,
                other => {
                    return Err(Error::stage(format!(
                        "refire cannot resize by Pillow's filter {other}"
                    ))
                    .help("2 (bilinear) and 3 (bicubic) are known"));
                }
            },
            mean,
            std,
        })
    }

    /// A square of `size`, which is the share `crop_pct` of a photo's shorter side, or the whole photo where it is large.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sizes are small and positive; what is not is refused as a size"
    )]
    fn share(&self, class: &Class, mode: ResizeMode, size: usize) -> Result<ImageInput> {
        if mode != ResizeMode::Shorter {
            return Err(Error::stage("`size` names no `shortest_edge`"));
        }
        if self.do_center_crop == Some(true) {
            return Err(Error::stage(
                "`do_center_crop` is on, but this class cuts by `crop_pct`",
            ));
        }
        if size >= WARPED {
            return self.square(class, ResizeMode::Squash, size, size);
        }
        let share = self.crop_pct.unwrap_or(CROP_PCT);
        if !(share > 0.0 && share <= 1.0) {
            return Err(Error::stage(format!(
                "`crop_pct` is {share}, not above 0 and at most 1"
            )));
        }
        let resize = (size as f64 / share) as usize;
        self.square(class, ResizeMode::Shorter, resize, size)
    }

    /// The class that the file names, or the one that belongs to the model.
    fn class(&self, model_type: Option<&str>) -> Result<&'static Class> {
        let named = self
            .image_processor_type
            .as_deref()
            .or(self.feature_extractor_type.as_deref());
        let name = match (named, model_type) {
            (Some(named), _) => {
                let endings = ["ImageProcessorFast", "ImageProcessor", "FeatureExtractor"];
                let short = endings.iter().find_map(|ending| named.strip_suffix(ending));
                short.unwrap_or(named)
            }
            (None, model_type) => {
                let model_type = model_type.unwrap_or_default();
                let own = |class: &&Class| class.model_types.contains(&model_type);
                CLASSES.iter().find(own).map_or("", |class| class.name)
            }
        };
        CLASSES.iter().find(|class| class.name == name).ok_or_else(|| {
            let error = Error::stage(match named {
                Some(named) => format!("refire does not know the image processor `{named}`"),
                None => "nothing says which image processor it is for".into(),
            });
            let known = CLASSES.iter().map(|class| format!("{}ImageProcessor", class.name));
            let known = known.collect::<Vec<_>>().join(", ");
            error.help(format!("`image_processor_type` may be one of these, if its steps are those that the model needs: {known}"))
        })
    }

    /// Refuses steps that refire does not have, and the lack of one that it cannot do without.
    fn refuse_other_steps(&self) -> Result<()> {
        if self.do_resize == Some(false) {
            return Err(
                Error::stage("`do_resize` is off, but a network takes one size")
                    .help("turn it on, and say which `size`"),
            );
        }
        if self.do_pad == Some(true) {
            return Err(Error::stage(
                "`do_pad` is on, but refire does not pad photos",
            ));
        }
        Ok(())
    }

    /// Mean and deviation of colours that go from 0 to 1, with what the file multiplies them by counted in.
    fn colours(&self, class: &Class) -> Result<([f32; 3], [f32; 3])> {
        let factor = if self.do_rescale.unwrap_or(true) {
            self.rescale_factor.unwrap_or(RESCALE_FACTOR)
        } else {
            1.0
        };
        if !(factor.is_finite() && factor > 0.0) {
            return Err(Error::stage(format!(
                "`rescale_factor` is {factor}, not above 0"
            )));
        }
        let (mean, std) = if self.do_normalize.unwrap_or(true) {
            (
                self.image_mean.map_or(class.mean, Channels::each),
                self.image_std.map_or(class.std, Channels::each),
            )
        } else {
            ([0.0; 3], [1.0; 3])
        };
        // (byte · factor - mean) / std = (byte / 255 - mean / full) / (std / full), where full is what 255 becomes.
        let full = 255.0 * factor;
        #[expect(clippy::cast_possible_truncation, reason = "pixels are f32, too")]
        let scaled = |numbers: [f64; 3]| numbers.map(|number| (number / full) as f32);
        Ok((scaled(mean), scaled(std)))
    }
}

/// Which sides are resized, and to what length; `number` says what a number alone means.
fn sides(size: Side, number: ResizeMode) -> Result<(ResizeMode, usize)> {
    match size {
        Side::Number(pixels) => Ok((number, pixels)),
        Side::Shorter(Shorter { shortest_edge }) => Ok((ResizeMode::Shorter, shortest_edge)),
        Side::Box(Rectangle { height, width }) | Side::Pair([height, width]) => {
            if height == width {
                Ok((ResizeMode::Squash, height))
            } else {
                Err(Error::stage(format!(
                    "the input of {height}×{width} pixels is no square"
                )))
            }
        }
    }
}

/// Writes the file for photos that become `input`, by the class that has its steps in every version of transformers.
pub(super) fn write(input: &ImageInput, folder: &Path) -> Result<()> {
    let (size, resize) = (input.size, input.resize);
    let class = match input.mode {
        ResizeMode::Shorter => "CLIPImageProcessor",
        ResizeMode::Squash if size == resize => "ViTImageProcessor",
        ResizeMode::Squash => "DeiTImageProcessor",
    };
    let crops = class != "ViTImageProcessor";
    let mut settings = json!({
        "image_processor_type": class,
        "do_convert_rgb": true,
        "do_resize": true,
        "size": match input.mode {
            ResizeMode::Shorter => json!({ "shortest_edge": resize }),
            ResizeMode::Squash => json!({ "height": resize, "width": resize }),
        },
        "resample": match input.interpolation {
            Interpolation::Bilinear => BILINEAR,
            Interpolation::Bicubic => BICUBIC,
        },
        "do_center_crop": crops,
        "do_rescale": true,
        "rescale_factor": RESCALE_FACTOR,
        "do_normalize": true,
        "image_mean": input.mean.map(shortest),
        "image_std": input.std.map(shortest),
    });
    if crops {
        settings["crop_size"] = json!({ "height": size, "width": size });
        settings["crop_margin"] = json!(input.margin);
    }
    let path = folder.join(FILE);
    let mut json = serde_json::to_vec_pretty(&settings)
        .or_stage(|| format!("cannot write `{}`", path.display()))?;
    json.push(b'\n');
    weights::write_new(&path, &json)
}
