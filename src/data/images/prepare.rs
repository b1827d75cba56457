//! Many images → the artifact: decoded, transformed and written batch by batch, each batch on all threads. The result depends on
//! neither the number of threads nor their speed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::decode::{Broken, decode};
use super::listing::Entry;
use super::store::Writer;
use super::transform::Transform;
use crate::error::{Result, contained};
use crate::event::Observer;

/// Larger files are not read: no photo is, and memory is finite.
const MOST_BYTES: u64 = 1 << 30;
/// After how many images progress is shown.
const STEP: usize = 8;

/// An image that is still encoded.
#[derive(Debug)]
pub struct Item {
    /// Its path within its source, for messages and for the artifact.
    pub path: String,
    /// Its label.
    pub label: String,
    /// Its bytes.
    pub content: Content,
}

impl Item {
    /// The image of a listing of the files below `root`.
    #[must_use]
    pub fn file(root: &Path, entry: &Entry) -> Self {
        Self {
            path: entry.path.clone(),
            label: entry.label.clone(),
            content: Content::File(root.join(&entry.path)),
        }
    }
}

/// Where the bytes of an encoded image are.
#[derive(Debug)]
pub enum Content {
    /// In a file, which is read when its turn comes.
    File(PathBuf),
    /// In memory.
    Bytes(Vec<u8>),
}

/// What becomes of images that cannot be read.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Deserialize,
    serde::Serialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// They are named, and nothing is made.
    #[default]
    Error,
    /// They are named and left out.
    Skip,
}

/// How images are made ready.
#[derive(Clone, Copy, Debug)]
pub struct Preparation {
    /// What is done to each.
    pub transform: Transform,
    /// The most pixels that an image may have before it is transformed.
    pub max_pixels: u64,
    /// What becomes of images that cannot be read.
    pub on_error: OnError,
}

/// What was made.
#[derive(Debug, Default)]
pub struct Prepared {
    /// Label → number of images.
    pub counts: BTreeMap<String, usize>,
    /// The images that cannot be read, and why.
    pub broken: Vec<(String, Broken)>,
}

impl Preparation {
    /// Writes all of `total` images in `batches` that can be read into `writer`, whose images have the transform's size. Once one cannot be read
    /// and none may be missing, the others are only looked at.
    ///
    /// # Errors
    /// Those of `batches` and of the disk; that the work is to stop.
    pub fn run(
        &self,
        batches: impl Iterator<Item = Result<Vec<Item>>>,
        total: usize,
        mut writer: Writer,
        observer: &(dyn Observer + Sync),
    ) -> Result<Prepared> {
        let mut prepared = Prepared::default();
        let done = AtomicUsize::new(0);
        let progress = |done: usize| {
            observer.progress("decode", done as u64, total as u64, "images");
            observer.check_cancelled()
        };
        for batch in batches {
            let batch = batch?;
            let mut pixels = vec![0; batch.len() * self.transform.bytes()];
            let broken = self.transform_all(&batch, &mut pixels, &done, observer, &progress)?;
            self.close_gaps(&broken, &mut pixels);
            let (mut labels, mut paths) = (Vec::new(), Vec::new());
            for (item, broken) in batch.iter().zip(broken) {
                if let Some(why) = broken {
                    prepared.broken.push((item.path.clone(), why));
                } else {
                    *prepared.counts.entry(item.label.clone()).or_default() += 1;
                    labels.push(item.label.as_str());
                    paths.push(item.path.as_str());
                }
            }
            let useless = self.on_error == OnError::Error && !prepared.broken.is_empty();
            if !labels.is_empty() && !useless {
                writer.write(pixels, &labels, &paths)?;
            }
        }
        progress(total)?;
        writer.finish()?;
        Ok(prepared)
    }

    /// Decodes and transforms all of `batch` into `pixels`; returns for each what is wrong with it.
    fn transform_all(
        &self,
        batch: &[Item],
        pixels: &mut [u8],
        done: &AtomicUsize,
        observer: &(dyn Observer + Sync),
        progress: &(dyn Fn(usize) -> Result<()> + Sync),
    ) -> Result<Vec<Option<Broken>>> {
        let places = pixels.par_chunks_exact_mut(self.transform.bytes());
        let work = batch.par_iter().zip(places).map(|(item, place)| {
            observer.check_cancelled()?;
            let decoded = item.content.decode(self.max_pixels);
            let broken = decoded
                .map(|image| self.transform.apply(&image, place))
                .err();
            let count = done.fetch_add(1, Ordering::Relaxed) + 1;
            if count.is_multiple_of(STEP) {
                progress(count)?;
            }
            Ok(broken)
        });
        // One photo at a time: they differ too much in size to be dealt out in advance.
        work.with_max_len(1).collect()
    }

    /// Moves the images behind broken ones forward.
    fn close_gaps(&self, broken: &[Option<Broken>], pixels: &mut Vec<u8>) {
        let bytes = self.transform.bytes();
        let whole = (0..broken.len()).filter(|index| broken[*index].is_none());
        let mut kept = 0;
        for index in whole {
            pixels.copy_within(index * bytes..(index + 1) * bytes, kept * bytes);
            kept += 1;
        }
        pixels.truncate(kept * bytes);
    }
}

impl Content {
    /// Decodes the image, which may have at most `max_pixels` pixels.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn decode(&self, max_pixels: u64) -> Result<super::Rgb, Broken> {
        match self {
            Self::Bytes(bytes) => guarded(bytes, max_pixels),
            Self::File(path) => {
                let unreadable = |error: std::io::Error| Broken::Unreadable(error.to_string());
                let file = File::open(path).map_err(unreadable)?;
                let mut bytes = Vec::new();
                file.take(MOST_BYTES)
                    .read_to_end(&mut bytes)
                    .map_err(unreadable)?;
                guarded(&bytes, max_pixels)
            }
        }
    }
}

/// Decodes; a decoder that panics on hostile bytes must not take the other images with it.
fn guarded(bytes: &[u8], max_pixels: u64) -> Result<super::Rgb, Broken> {
    contained(|| decode(bytes, max_pixels)).unwrap_or_else(|_| {
        Err(Broken::Damaged {
            format: "image",
            why: "the decoder gave up".into(),
        })
    })
}
