//! The settings that change images at random, in timm's words.

use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::refused;
use crate::config::Spanned;
use crate::data::images::augment::Augmentation;
use crate::error::{Error, Result};
use crate::inputs::Changes;
use crate::train::Mixing;

/// The most views of an image: what is made of all of them is made at once.
const MOST_VIEWS: usize = 10_000;

/// How images change at random.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
pub(in crate::stages::finetune) struct ImageChanges {
    /// The probability of swapping left and right in an image.
    #[schemars(range(min = 0, max = 1))]
    pub(in crate::stages::finetune) hflip: Option<Spanned<f64>>,
    /// The probability of turning an image upside down.
    #[schemars(range(min = 0, max = 1))]
    pub(in crate::stages::finetune) vflip: Option<Spanned<f64>>,
    /// Cut a random rectangle with an area between these shares of the image out of it, and resize it to the image's size:
    /// `[0.08, 1.0]` is usual.
    pub(in crate::stages::finetune) scale: Option<Spanned<[f64; 2]>>,
    /// With `scale`: the least and the greatest ratio of the rectangle's width to its height. Default: `[0.75, 1.3333]`.
    pub(in crate::stages::finetune) ratio: Option<Spanned<[f64; 2]>>,
    /// How far the brightness, the contrast and the saturation of an image may go up and down: 0.4 draws factors from 0.6 to 1.4.
    #[schemars(range(min = 0, max = 1))]
    pub(in crate::stages::finetune) color_jitter: Option<Spanned<f64>>,
    /// The probability of erasing a random rectangle of an image (to the mean colour).
    #[schemars(range(min = 0, max = 1))]
    pub(in crate::stages::finetune) reprob: Option<Spanned<f64>>,
    /// Blend pairs of images, and their labels, by a share from Beta(mixup, mixup).
    #[schemars(range(min = 0))]
    pub(in crate::stages::finetune) mixup: Option<Spanned<f64>>,
    /// Exchange a rectangle within pairs of images; the share that stays is from Beta(cutmix, cutmix). With `mixup` as well, each
    /// batch is mixed by one of the two.
    #[schemars(range(min = 0))]
    pub(in crate::stages::finetune) cutmix: Option<Spanned<f64>>,
    /// Train on so many fixed random views of each image, which take turns from epoch to epoch, so that what the frozen layers make of
    /// them is computed once. Default: every epoch has views of its own.
    pub(in crate::stages::finetune) cached_views: Option<Spanned<NonZeroUsize>>,
}

impl ImageChanges {
    /// What happens to images to train on.
    pub(in crate::stages::finetune) fn changes(&self, seed: u64) -> Changes {
        Changes {
            augmentation: self.augmentation(),
            mixing: Mixing {
                mixup: number(self.mixup.as_ref()),
                cutmix: number(self.cutmix.as_ref()),
            },
            views: self.cached_views.as_ref().map(|views| views.value),
            seed,
        }
    }

    fn augmentation(&self) -> Augmentation {
        let plain = Augmentation::default();
        Augmentation {
            hflip: number(self.hflip.as_ref()),
            vflip: number(self.vflip.as_ref()),
            scale: self.scale.as_ref().map(|scale| scale.value),
            ratio: self.ratio.as_ref().map_or(plain.ratio, |ratio| ratio.value),
            color_jitter: number(self.color_jitter.as_ref()),
            reprob: number(self.reprob.as_ref()),
        }
    }

    /// Refuses numbers that cannot be meant and settings that contradict each other.
    pub(super) fn check(&self) -> Result<()> {
        if let Some((name, must_be)) = self.augmentation().mistake() {
            return Err(self.refuse(name, &format!("must be {must_be}")));
        }
        for (name, setting) in [("mixup", &self.mixup), ("cutmix", &self.cutmix)] {
            let alpha = number(setting.as_ref());
            if !(alpha >= 0.0 && alpha.is_finite()) {
                return Err(self.refuse(name, "must be at least 0"));
            }
        }
        if self.ratio.is_some() && self.scale.is_none() {
            return Err(self
                .refuse("ratio", "is the shape of what `scale` cuts out")
                .help("add scale = [0.08, 1.0], or leave `ratio` out"));
        }
        let Some(views) = &self.cached_views else {
            return Ok(());
        };
        if views.value.get() > MOST_VIEWS {
            let error = Error::usage(format!("`cached_views` must be at most {MOST_VIEWS}"));
            return Err(views.blame(error, ""));
        }
        for (name, mixing) in [("mixup", &self.mixup), ("cutmix", &self.cutmix)] {
            if number(mixing.as_ref()) > 0.0 {
                let error = Error::usage(format!(
                    "`cached_views` are looks of single images, but `{name}` mixes those of a batch anew in every epoch"
                ));
                let error = views.blame(error, "");
                return Err(error.help(format!("leave `cached_views` or `{name}` out")));
            }
        }
        if self.augmentation().is_none() {
            return Err(self
                .refuse("cached_views", "means nothing: nothing changes the images")
                .help("add what is to change them, such as hflip = 0.5"));
        }
        Ok(())
    }

    /// Refuses all of them, where there are no images.
    pub(super) fn refuse_all(&self) -> Result<()> {
        let mut written = self.refusals("is for images, not for texts").into_iter();
        written.next().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// The error for the one called `name`.
    fn refuse(&self, name: &str, why: &str) -> Error {
        let mut written = self.refusals(why).into_iter();
        let found = written.find(|(known, _)| *known == name);
        found.map_or_else(
            || Error::usage(format!("`{name}` {why}")),
            |(_, error)| error,
        )
    }

    /// An error for each that is written.
    fn refusals(&self, why: &str) -> Vec<(&'static str, Error)> {
        fn refusal<T>(
            name: &'static str,
            setting: Option<&Spanned<T>>,
            why: &str,
        ) -> Option<(&'static str, Error)> {
            refused(name, setting, why).map(|error| (name, error))
        }
        let written = [
            refusal("hflip", self.hflip.as_ref(), why),
            refusal("vflip", self.vflip.as_ref(), why),
            refusal("scale", self.scale.as_ref(), why),
            refusal("ratio", self.ratio.as_ref(), why),
            refusal("color_jitter", self.color_jitter.as_ref(), why),
            refusal("reprob", self.reprob.as_ref(), why),
            refusal("mixup", self.mixup.as_ref(), why),
            refusal("cutmix", self.cutmix.as_ref(), why),
            refusal("cached_views", self.cached_views.as_ref(), why),
        ];
        written.into_iter().flatten().collect()
    }
}

/// A number that is 0 where it is not set.
fn number(setting: Option<&Spanned<f64>>) -> f64 {
    setting.map_or(0.0, |number| number.value)
}
