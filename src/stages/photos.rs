//! Images artifacts as training and evaluation take them: with the colours that a model's weights expect.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::Path;

use rayon::prelude::*;

use super::StageContext;
use crate::data::images::augment::{Augmentation, Moment};
use crate::data::images::{Images, Interpolation};
use crate::error::{Error, Result};
use crate::models::{self, ImageInput, Network};
use crate::train::{self, Inputs, Looks, Mixing, Samples};

/// The images of an artifact, and how a network takes them.
#[derive(Debug)]
struct Photos {
    images: Images,
    digests: Vec<[u8; 32]>,
    input: ImageInput,
    changes: Changes,
}

/// How images change at random while a network trains on them.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    /// What happens to each.
    pub(super) augmentation: Augmentation,
    /// What happens to those of a batch.
    pub(super) mixing: Mixing,
    /// How many looks each has, if their number is fixed.
    pub(super) views: Option<NonZeroUsize>,
    /// The seed of all that.
    pub(super) seed: u64,
}

impl Changes {
    /// How often an image looks different.
    pub(super) fn looks(&self) -> Looks {
        match self.views {
            _ if self.augmentation.is_none() && self.mixing.is_none() => Looks::One,
            Some(views) => Looks::Views(views),
            None => Looks::Endless,
        }
    }
}

/// Raised by every change that can change a look: part of the key of what is remembered of them.
const LOOKS_VERSION: u32 = 1;

impl train::Images for Photos {
    fn size(&self) -> [usize; 2] {
        [self.images.height(), self.images.width()]
    }

    fn looks(&self) -> Looks {
        self.changes.looks()
    }

    fn mixing(&self) -> Mixing {
        self.changes.mixing
    }

    fn signature(&self) -> String {
        let (height, width) = (self.images.height(), self.images.width());
        let ImageInput { mean, std, .. } = self.input;
        format!("{height}×{width} pixels, mean {mean:?}, std {std:?}")
    }

    fn content(&self, sample: usize) -> [u8; 32] {
        self.digests[sample]
    }

    fn digest(&self, look: usize) -> [u8; 32] {
        if self.looks() == Looks::One {
            return self.digests[look];
        }
        let (look, image) = (look / self.images.len(), look % self.images.len());
        let Changes {
            augmentation, seed, ..
        } = &self.changes;
        let interpolation = self.input.interpolation;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.digests[image]);
        let words = format!(
            "version {LOOKS_VERSION}, look {look}, seed {seed}, {interpolation:?}, {augmentation:?}"
        );
        hasher.update(words.as_bytes());
        *hasher.finalize().as_bytes()
    }

    fn render(&self, look: usize, planes: &mut [f32]) {
        let (look, image) = (look / self.images.len(), look % self.images.len());
        let pixels = self.images.pixels(image);
        if self.changes.augmentation.is_none() {
            return self.input.planes(pixels, planes);
        }
        // What is drawn depends on what is in an image and not on its place, so that other images do not matter.
        let mut sample = [0; 8];
        sample.copy_from_slice(&self.digests[image][..8]);
        let moment = Moment {
            seed: self.changes.seed,
            look: look as u64,
            sample: u64::from_le_bytes(sample),
        };
        let [height, width] = self.size();
        let variant = self
            .changes
            .augmentation
            .variant((height, width), height, moment);
        let mut square = vec![0; pixels.len()];
        variant.render(pixels, interpolation(self.input), &mut square);
        self.input.planes(&square, planes);
        variant.erase(planes);
    }
}

fn interpolation(input: ImageInput) -> Interpolation {
    match input.interpolation {
        models::Interpolation::Bilinear => Interpolation::Bilinear,
        models::Interpolation::Bicubic => Interpolation::Bicubic,
    }
}

/// The labels of the images at input `port`, in alphabetical order.
///
/// # Errors
/// An artifact that cannot be read; no image.
pub(super) fn labels(port: &str, cx: &StageContext<'_>) -> Result<Vec<String>> {
    let images = Images::open(cx.input(port))?;
    match images.labels()[..] {
        [] => Err(Error::stage(format!("there is no image at port `{port}`"))),
        ref labels => Ok(labels.iter().map(ToString::to_string).collect()),
    }
}

/// The images at input `port` as samples for `network`, with their labels as numbers in `labels`, changed at random by `changes`.
///
/// # Errors
/// An artifact that cannot be read, a label that is not in `labels`, a size that the network does not take.
pub(super) fn samples(
    port: &str,
    labels: &[String],
    network: &Network,
    input: ImageInput,
    changes: Changes,
    cx: &StageContext<'_>,
) -> Result<Samples> {
    let images = Images::open(cx.input(port))?;
    check_size(&images, network)?;
    let classes = classes(&images, port, labels)?;
    let digest = |index| *blake3::hash(images.pixels(index)).as_bytes();
    let digests = (0..images.len()).into_par_iter().map(digest).collect();
    Ok(Samples {
        inputs: Inputs::Images(Box::new(Photos {
            images,
            digests,
            input,
            changes,
        })),
        labels: classes,
    })
}

/// What the weights in `folder` expect of images: what the folder says, else what torchvision's weights expect.
///
/// # Errors
/// Files that cannot be read, and inputs that refire cannot make.
pub(super) fn input(folder: &Path) -> Result<ImageInput> {
    Ok(ImageInput::of(folder)?.unwrap_or_default())
}

/// What the images at input `port` look like to a network that expects `input`; tells the user where they were resized otherwise.
///
/// # Errors
/// An artifact that cannot be read.
pub(super) fn seen(port: &str, input: ImageInput, cx: &StageContext<'_>) -> Result<ImageInput> {
    let images = Images::open(cx.input(port))?;
    let Some(transform) = images.transform() else {
        return Ok(ImageInput {
            size: images.height(),
            ..input
        });
    };
    let made_with = match transform.interpolation {
        Interpolation::Bilinear => models::Interpolation::Bilinear,
        Interpolation::Bicubic => models::Interpolation::Bicubic,
    };
    if made_with != input.interpolation {
        let name = |interpolation| format!("{interpolation:?}").to_lowercase();
        let (found, expected) = (name(made_with), name(input.interpolation));
        cx.notice(format!(
            "the images were resized by {found} interpolation, but the weights expect {expected}: set interpolation = \"{expected}\" in \
             the stage that makes the images"
        ));
    }
    Ok(input.made(
        transform.size as usize,
        transform.resize as usize,
        made_with,
    ))
}

fn check_size(images: &Images, network: &Network) -> Result<()> {
    let (height, width) = (images.height(), images.width());
    match network.image_size() {
        Some(size) if (height, width) != (size, size) => Err(Error::stage(format!(
            "the images are {height}×{width} pixels, but the network takes {size}×{size}"
        ))
        .help(format!(
            "set size = {size} in the stage that makes the images"
        ))),
        _ => Ok(()),
    }
}

/// The label of each image, as its number in `labels`.
fn classes(images: &Images, port: &str, labels: &[String]) -> Result<Vec<u32>> {
    let class = |index| {
        let label = images.label(index);
        let class = labels.iter().position(|known| known == label);
        class
            .and_then(|class| u32::try_from(class).ok())
            .ok_or(index)
    };
    let classes: Result<Vec<u32>, usize> = (0..images.len()).map(class).collect();
    classes.map_err(|index| {
        let label = images.label(index);
        let strange: BTreeSet<&str> = (0..images.len())
            .map(|index| images.label(index))
            .filter(|label| !labels.iter().any(|known| known == label))
            .collect();
        let strange: Vec<&str> = strange.into_iter().collect();
        Error::stage(format!(
            "the image `{}` at port `{port}` has the label `{label}`, which the model is not for",
            images.path(index)
        ))
        .note(format!("the model's labels: {}", labels.join(", ")))
        .note(format!("labels that it lacks: {}", strange.join(", ")))
        .did_you_mean(label, labels.iter().map(String::as_str))
    })
}

#[cfg(test)]
mod tests;
