//! What the frozen prefix makes of each sample, computed once and kept: epochs, restarts and later experiments read it.
//!
//! The unit that is kept is a *bucket* of samples, so that what a bucket holds depends on nothing but its key: which other samples
//! there are, or which buckets exist already, must not change a bit. Distinct samples are sorted by the digest of their content and
//! split by its leading bits until no bucket is too large, so that a sample more or less makes one bucket stale.
//!
//! What a shallower prefix made of the same bucket is where a deeper one goes on: the same batches give the same bits.

mod buckets;
mod file;
mod form;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Range;

use buckets::{Digest, Distinct, buckets, digest_of_all};
use burn::tensor::Device;
use form::Form;
use rayon::prelude::*;

use super::gradients::numbers;
use super::inference::run_batches;
use super::{Host, Prefix, Progress, Samples, batches};
use crate::error::Result;
use crate::models::Activations;

/// Samples that go through the prefix together.
const BATCH: usize = 32;

/// Raised by every change that can change what is in a bucket. 2: an image comes to a vector for each of its tokens, and not to the
/// first alone.
const VERSION: &str = "2";

/// The features of a set of samples.
#[derive(Debug)]
pub(super) struct Features {
    form: Form,
    /// The vectors of all distinct samples, one after the other.
    numbers: Vec<f32>,
    /// Which of the vectors are those of each sample.
    places: Vec<Range<usize>>,
}

impl Features {
    /// The features of `samples`, remembered or computed. None if the prefix is empty, or if they would take more than `most_bytes`.
    ///
    /// # Errors
    /// Those of `host`: of its disk, and that the user asked to stop.
    pub(super) fn new(
        prefix: &Prefix,
        samples: &Samples,
        most_bytes: u64,
        host: &dyn Host,
    ) -> Result<Option<Self>> {
        let Some(passage) = Passage::new(prefix, samples) else {
            return Ok(None);
        };
        let bytes = passage.bytes();
        if bytes > most_bytes {
            host.notice(format!(
                "what the frozen layers give would take {} MiB, more than `feature_cache_max` ({} MiB): it is not kept, and they \
                 run again for every batch",
                mebibytes(bytes),
                mebibytes(most_bytes),
            ));
            return Ok(None);
        }
        passage.load(host).map(Some)
    }

    /// Sees to it that the features of `samples` are kept, unless they would take more than `most_bytes`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(super) fn keep(
        prefix: &Prefix,
        samples: &Samples,
        most_bytes: u64,
        host: &dyn Host,
    ) -> Result<()> {
        match Passage::new(prefix, samples).filter(|passage| passage.bytes() <= most_bytes) {
            Some(passage) => passage.load(host).map(|_| ()),
            None => Ok(()),
        }
    }

    /// A batch of them as the activations that the block after the prefix takes.
    pub(super) fn batch(&self, samples: &[usize], device: &Device) -> Activations {
        let vectors = samples.iter().map(|sample| {
            let place = &self.places[*sample];
            &self.numbers[place.start * self.form.width..place.end * self.form.width]
        });
        self.form.batch(&vectors.collect::<Vec<_>>(), device)
    }
}

/// As a number with one decimal.
fn mebibytes(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10).div_ceil(1 << 20);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// Samples on their way through the prefix.
struct Passage<'a> {
    prefix: &'a Prefix,
    samples: &'a Samples,
    digests: Vec<Digest>,
    distinct: Vec<(Digest, usize)>,
    /// What each block of the prefix gives.
    forms: Vec<Form>,
    /// The digest of the prefix that ends with each block.
    prefixes: Vec<String>,
}

impl<'a> Passage<'a> {
    /// None if there is no sample or no block, or if samples look different in every epoch.
    fn new(prefix: &'a Prefix, samples: &'a Samples) -> Option<Self> {
        let views = samples.all_views()?;
        if views == 0 || prefix.blocks() == 0 {
            return None;
        }
        let mut activations = samples.batch(&[0], prefix.device());
        let mut forms = Vec::with_capacity(prefix.blocks());
        for block in 0..prefix.blocks() {
            activations = prefix.cut(block + 1).run_from(block, activations);
            forms.push(Form::of(&activations, samples));
        }
        let digests = (0..views).into_par_iter();
        let digests: Vec<Digest> = digests.map(|view| samples.digest(view)).collect();
        let mut distinct: Vec<(Digest, usize)> = digests.iter().copied().zip(0..).collect();
        distinct.sort_unstable();
        distinct.dedup_by_key(|(digest, _)| *digest);
        Some(Self {
            prefix,
            samples,
            digests,
            distinct,
            forms,
            prefixes: (1..=prefix.blocks())
                .map(|blocks| prefix.cut(blocks).digest())
                .collect(),
        })
    }

    /// What the last block of the prefix gives.
    fn form(&self) -> Form {
        self.forms[self.forms.len() - 1]
    }

    /// How many vectors of `form` the samples of a bucket come to.
    fn count(&self, form: Form, bucket: &Distinct) -> usize {
        let sizes = bucket
            .iter()
            .map(|(_, sample)| form.vectors(self.samples, *sample));
        sizes.sum()
    }

    /// How much memory the features take.
    fn bytes(&self) -> u64 {
        let form = self.form();
        let numbers = self.count(form, &self.distinct) as u64 * form.width as u64;
        numbers * size_of::<f32>() as u64
    }

    /// The features of all samples, each bucket remembered or computed.
    fn load(&self, host: &dyn Host) -> Result<Features> {
        let mut progress = Progress::new(host, "features", self.distinct.len(), "samples");
        let form = self.form();
        let depth = self.prefix.blocks();
        let mut numbers = Vec::with_capacity(self.count(form, &self.distinct) * form.width);
        let mut places = BTreeMap::new();
        for bucket in buckets(&self.distinct) {
            let before = places.len();
            let fields = self.fields(depth, bucket);
            let folder = host.memo("features", &fields, &mut |folder| {
                let numbers = self.compute(bucket, host, &mut |done| progress.at(before + done))?;
                file::write(folder, &numbers, form.width)
            })?;
            let start = numbers.len() / form.width;
            let digests = bucket.iter().map(|(digest, _)| *digest);
            places.extend(digests.zip(self.places(form, bucket, start)));
            let count = self.count(form, bucket);
            numbers.extend(file::read(&folder, count, form.width)?);
        }
        let places = self.digests.iter().map(|digest| places[digest].clone());
        Ok(Features {
            form,
            numbers,
            places: places.collect(),
        })
    }

    /// Everything that can change what the first `depth` blocks make of a bucket.
    fn fields(&self, depth: usize, bucket: &Distinct) -> [(&'static str, String); 4] {
        [
            ("version", VERSION.to_string()),
            ("prefix", self.prefixes[depth - 1].clone()),
            ("input", self.samples.signature()),
            ("samples", digest_of_all(bucket)),
        ]
    }

    /// Where the vectors of each sample of a bucket are, if the first is at `start`.
    fn places(&self, form: Form, bucket: &Distinct, start: usize) -> Vec<Range<usize>> {
        let mut next = start;
        let place = |(_, sample): &(Digest, usize)| {
            let start = next;
            next += form.vectors(self.samples, *sample);
            start..next
        };
        bucket.iter().map(place).collect()
    }

    /// Runs the prefix on the samples of a bucket, from the deepest block on whose features are remembered; the vectors come in the
    /// order of the samples.
    fn compute(
        &self,
        bucket: &Distinct,
        host: &dyn Host,
        progress: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<Vec<f32>> {
        let start = self.deepest_remembered(bucket, host)?;
        let (device, form) = (self.prefix.device(), self.form());
        let vectors = |batch: &[usize]| -> Vec<usize> {
            let views = batch.iter().map(|place| bucket[*place].1);
            views.map(|view| form.vectors(self.samples, view)).collect()
        };
        let lengths = bucket
            .iter()
            .map(|(_, sample)| u32::try_from(self.samples.length(*sample)).unwrap_or(u32::MAX));
        let batches = batches::by_length(&lengths.collect::<Vec<_>>(), BATCH);
        let found = run_batches(&batches, progress, |batch| {
            let (depth, activations) = start.as_ref().map_or_else(
                || {
                    let samples = batch.iter().map(|place| bucket[*place].1);
                    (0, self.samples.batch(&samples.collect::<Vec<_>>(), device))
                },
                |(depth, features)| (*depth, features.batch(batch, device)),
            );
            form.unpadded(self.prefix.run_from(depth, activations), &vectors(batch))
        })?;
        let places = self.places(form, bucket, 0);
        let mut features = vec![0.0; self.count(form, bucket) * form.width];
        for (batch, found) in batches.iter().zip(found) {
            let found = found?;
            let mut rest = &found[..];
            for sample in batch {
                let place = &places[*sample];
                let (row, after) = rest.split_at(place.len() * form.width);
                features[place.start * form.width..place.end * form.width].copy_from_slice(row);
                rest = after;
            }
        }
        Ok(features)
    }

    /// The features of a bucket after as many blocks of the prefix as possible but the last, and how many those are.
    fn deepest_remembered(
        &self,
        bucket: &Distinct,
        host: &dyn Host,
    ) -> Result<Option<(usize, Features)>> {
        for depth in (1..self.prefix.blocks()).rev() {
            let Some(folder) = host.recall("features", &self.fields(depth, bucket))? else {
                continue;
            };
            let form = self.forms[depth - 1];
            let count = self.count(form, bucket);
            let features = Features {
                form,
                numbers: file::read(&folder, count, form.width)?,
                places: self.places(form, bucket, 0),
            };
            return Ok(Some((depth, features)));
        }
        Ok(None)
    }
}
