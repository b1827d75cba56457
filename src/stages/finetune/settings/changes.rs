//! The settings that change images at random, in timm's words.

use super::Settings;
use super::checks::refused;
use crate::config::Spanned;
use crate::data::images::augment::Augmentation;
use crate::error::{Error, Result};
use crate::stages::photos::Changes;
use crate::train::Mixing;

/// The most looks of an image: what is made of all of them is made at once.
const MOST_VIEWS: usize = 10_000;

impl Settings {
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
    pub(super) fn check_changes(&self) -> Result<()> {
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
    pub(super) fn refuse_changes(&self) -> Result<()> {
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
