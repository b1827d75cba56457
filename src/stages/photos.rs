//! Images artifacts as training and evaluation take them: with the colours that a model's weights expect.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use rayon::prelude::*;

use super::StageContext;
use crate::data::images::Images;
use crate::data::images::augment::{Augmentation, Moment};
use crate::error::{Error, Result};
use crate::inputs;
use crate::models::{ImageInput, Network};
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
        let interpolation = inputs::photos::interpolation(&self.input);
        variant.render(pixels, interpolation, &mut square);
        self.input.planes(&square, planes);
        variant.erase(planes);
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

/// What the weights of the model at input `port` expect of photos: what its folder says. Where it says nothing, what torchvision's ImageNet
/// weights expect, which the user is told.
///
/// # Errors
/// Files that cannot be read, and inputs that refire cannot make.
pub(super) fn asked(port: &str, network: &Network, cx: &StageContext<'_>) -> Result<ImageInput> {
    if let Some(asked) = ImageInput::of(cx.input(port))? {
        return Ok(asked);
    }
    let usual = ImageInput::default();
    let usual = network.image_size().map_or(usual, |size| usual.at(size));
    cx.notice(format!(
        "nothing in the model's folder says how photos are to be prepared; taken is what torchvision's ImageNet weights expect: {}, mean \
         {:?}, std {:?}",
        usual.description(),
        usual.mean,
        usual.std
    ));
    Ok(usual)
}

/// What the images at input `port` look like to a network whose folder asks for `asked`; tells the user if that is not the same.
///
/// # Errors
/// An artifact that cannot be read.
pub(super) fn seen(port: &str, asked: ImageInput, cx: &StageContext<'_>) -> Result<ImageInput> {
    let images = Images::open(cx.input(port))?;
    if let Some(difference) = inputs::photos::difference(&images, &asked) {
        cx.notice(format!(
            "`{port}`: {difference}; to have them prepared as asked, name the model in the stage that makes the images: model = \"…\""
        ));
    }
    let size = images.height();
    Ok(inputs::photos::seen(&images, asked).unwrap_or_else(|| asked.at(size)))
}

/// Refuses images at input `port` that were prepared in another way than those to train on, which look like `seen`.
///
/// # Errors
/// An artifact that cannot be read, and such images.
pub(super) fn refuse_others(port: &str, seen: ImageInput, cx: &StageContext<'_>) -> Result<()> {
    let images = Images::open(cx.input(port))?;
    let theirs = inputs::photos::seen(&images, seen);
    if theirs.is_none() && images.height() == seen.size {
        return Ok(());
    }
    let theirs = theirs.unwrap_or_else(|| seen.at(images.height()));
    if theirs.same_pixels(&seen) {
        return Ok(());
    }
    Err(Error::stage(format!(
        "the images at port `{port}` were prepared in another way than those to train on"
    ))
    .note(format!("`train`: {}", seen.description()))
    .note(format!("`{port}`: {}", theirs.description()))
    .help("set the same `size`, `resize` and `interpolation`, or the same `model`, in the stages that make them"))
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
