//! Squares of photos as a network takes them, with the colours that its weights expect: those of an artifact, or those that were made
//! in memory.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;

use crate::data::images::Images;
use crate::data::images::augment::{Augmentation, Moment};
use crate::error::{Error, Result};
use crate::models::{ImageInput, Network};
use crate::train::{self, Inputs, Mixing, Views};

/// How images change at random while a network trains on them.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// What happens to each.
    pub augmentation: Augmentation,
    /// What happens to those of a batch.
    pub mixing: Mixing,
    /// How many views each has, if their number is fixed.
    pub views: Option<NonZeroUsize>,
    /// The seed of all that.
    pub seed: u64,
}

impl Changes {
    /// How often an image looks different.
    #[must_use]
    pub fn views(&self) -> Views {
        match self.views {
            _ if self.augmentation.is_none() && self.mixing.is_none() => Views::One,
            Some(views) => Views::Fixed(views),
            None => Views::Endless,
        }
    }
}

/// Raised by every change that can change a view: part of the key of what is remembered of them.
const LOOKS_VERSION: u32 = 1;

/// Squares, and how a network takes them.
#[derive(Debug)]
struct Squares {
    pixels: Pixels,
    digests: OnceLock<Vec<[u8; 32]>>,
    input: ImageInput,
    changes: Changes,
}

/// Where the pixels of squares are.
#[derive(Debug)]
enum Pixels {
    /// Some rows of an artifact.
    Artifact(Arc<Images>, Range<usize>),
    /// In memory: each square, and the height and width of all.
    Memory(Vec<Vec<u8>>, [usize; 2]),
}

impl Pixels {
    fn len(&self) -> usize {
        match self {
            Self::Artifact(_, rows) => rows.len(),
            Self::Memory(squares, _) => squares.len(),
        }
    }

    fn of(&self, square: usize) -> &[u8] {
        match self {
            Self::Artifact(images, rows) => images.pixels(rows.start + square),
            Self::Memory(squares, _) => &squares[square],
        }
    }
}

/// The rows `rows` of `images` as `network` takes them, changed at random by `changes`.
///
/// # Errors
/// A size that the network does not take.
pub fn of_artifact(
    images: &Arc<Images>,
    rows: Range<usize>,
    network: &Network,
    input: ImageInput,
    changes: Changes,
) -> Result<Inputs> {
    check_size(images, network)?;
    Ok(inputs(
        Pixels::Artifact(Arc::clone(images), rows),
        input,
        changes,
    ))
}

/// Squares of `size`, height and width, as a network takes them.
#[must_use]
pub fn in_memory(squares: Vec<Vec<u8>>, size: [usize; 2], input: ImageInput) -> Inputs {
    inputs(Pixels::Memory(squares, size), input, Changes::default())
}

fn inputs(pixels: Pixels, input: ImageInput, changes: Changes) -> Inputs {
    Inputs::Images(Box::new(Squares {
        pixels,
        digests: OnceLock::new(),
        input,
        changes,
    }))
}

/// Refuses images of a size that the network does not take.
///
/// # Errors
/// Such images.
pub fn check_size(images: &Images, network: &Network) -> Result<()> {
    let (height, width) = (images.height(), images.width());
    match network.image_size() {
        Some(size) if (height, width) != (size, size) => Err(Error::stage(format!(
            "the images are {height}×{width} pixels, but the network takes {size}×{size}"
        ))
        .help(format!(
            "set size = {size} in the stage that makes the images"
        ))),
        _ if height.min(width) < network.least_image_size() => {
            let least = network.least_image_size();
            Err(Error::stage(format!(
                "the images are {height}×{width} pixels, but the network takes none below {least}×{least}"
            ))
            .help(format!(
                "set size = {least}, or a larger one, in the stage that makes the images"
            )))
        }
        _ => Ok(()),
    }
}

impl Squares {
    fn digests(&self) -> &[[u8; 32]] {
        self.digests.get_or_init(|| {
            let digest = |square| *blake3::hash(self.pixels.of(square)).as_bytes();
            (0..self.pixels.len()).into_par_iter().map(digest).collect()
        })
    }
}

impl train::Images for Squares {
    fn size(&self) -> [usize; 2] {
        match &self.pixels {
            Pixels::Artifact(images, _) => [images.height(), images.width()],
            Pixels::Memory(_, size) => *size,
        }
    }

    fn views(&self) -> Views {
        self.changes.views()
    }

    fn mixing(&self) -> Mixing {
        self.changes.mixing
    }

    fn signature(&self) -> String {
        let [height, width] = self.size();
        let ImageInput { mean, std, .. } = self.input;
        format!("{height}×{width} pixels, mean {mean:?}, std {std:?}")
    }

    fn content(&self, sample: usize) -> [u8; 32] {
        self.digests()[sample]
    }

    fn digest(&self, view: usize) -> [u8; 32] {
        if self.views() == Views::One {
            return self.digests()[view];
        }
        let (view, image) = (view / self.pixels.len(), view % self.pixels.len());
        let Changes {
            augmentation, seed, ..
        } = &self.changes;
        let interpolation = self.input.interpolation;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.digests()[image]);
        let words = format!(
            "version {LOOKS_VERSION}, look {view}, seed {seed}, {interpolation:?}, {augmentation:?}"
        );
        hasher.update(words.as_bytes());
        *hasher.finalize().as_bytes()
    }

    fn render(&self, view: usize, planes: &mut [f32]) {
        let (view, image) = (view / self.pixels.len(), view % self.pixels.len());
        let pixels = self.pixels.of(image);
        if self.changes.augmentation.is_none() {
            return self.input.planes(pixels, planes);
        }
        // What is drawn depends on what is in an image and not on its place, so that other images do not matter.
        let mut sample = [0; 8];
        sample.copy_from_slice(&self.digests()[image][..8]);
        let moment = Moment {
            seed: self.changes.seed,
            look: view as u64,
            sample: u64::from_le_bytes(sample),
        };
        let [height, width] = self.size();
        let variant = self
            .changes
            .augmentation
            .variant((height, width), height, moment);
        let mut square = vec![0; pixels.len()];
        variant.render(pixels, self.input.interpolation, &mut square);
        self.input.planes(&square, planes);
        variant.erase(planes);
    }
}

#[cfg(test)]
mod tests;
