//! What the frozen prefix makes of each sample, computed once and kept: epochs, restarts and later experiments read it.
//!
//! The unit that is kept is a *bucket* of samples, so that what a bucket holds depends on nothing but its key: which other samples
//! there are, or which buckets exist already, must not change a bit. Distinct samples are sorted by the digest of their content and
//! split by its leading bits until no bucket has more than [`BUCKET`] samples, so that a sample more or less makes one bucket stale.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::gradients::numbers;
use super::inference::run_batches;
use super::{Host, Prefix, Progress, Samples, batches};
use crate::error::{Context, Error, Result};
use crate::models::Activations;

/// The most samples in a bucket.
const BUCKET: usize = 1024;

/// Samples that go through the prefix together.
const BATCH: usize = 32;

/// Raised by every change that can change what is in a bucket.
const VERSION: &str = "1";

/// Features that take more memory than this are not kept: the prefix then runs again for every batch.
const MOST_BYTES: usize = 2 << 30;

const FILE: &str = "features.safetensors";
const TENSOR: &str = "features";

/// The digest of a sample's content.
type Digest = [u8; 32];

/// The features of a set of samples.
#[derive(Debug)]
pub(super) struct Features {
    form: Form,
    /// The vectors of all distinct samples, one after the other.
    numbers: Vec<f32>,
    /// Which of the vectors are those of each sample.
    places: Vec<Range<usize>>,
}

/// What the features of a sample are.
#[derive(Clone, Copy, Debug)]
struct Form {
    /// One vector for each token; otherwise one in all.
    by_token: bool,
    /// Numbers in a vector.
    width: usize,
    /// Channels, height and width, if the vector is a map of an image.
    map: Option<[usize; 3]>,
}

/// Which vectors are those of each distinct sample.
type Places = BTreeMap<Digest, Range<usize>>;

/// Distinct samples, sorted by their digests.
type Distinct = [(Digest, usize)];

impl Features {
    /// The features of `samples`, remembered or computed. None if the prefix is empty or they would take too much memory.
    ///
    /// # Errors
    /// Those of `host`: of its disk, and that the user asked to stop.
    pub(super) fn new(prefix: &Prefix, samples: &Samples, host: &dyn Host) -> Result<Option<Self>> {
        if samples.is_empty() || prefix.blocks() == 0 {
            return Ok(None);
        }
        let form = Form::of(&prefix.run(samples.batch(&[0], prefix.device())));
        let digests = (0..samples.len()).into_par_iter();
        let digests = digests.map(|sample| samples.digest(sample));
        let digests = digests.collect::<Vec<_>>();
        let mut distinct = digests.iter().copied().zip(0..).collect::<Vec<_>>();
        distinct.sort_unstable();
        distinct.dedup_by_key(|(digest, _)| *digest);
        let bytes = form.count(samples, &distinct) * form.width * size_of::<f32>();
        if bytes > MOST_BYTES {
            host.notice(format!(
                "the frozen layers run again in every epoch, because their features would take {} MB",
                bytes >> 20
            ));
            return Ok(None);
        }
        let (numbers, places) = load(prefix, samples, form, &distinct, host)?;
        let places = digests
            .iter()
            .map(|digest| places[digest].clone())
            .collect();
        Ok(Some(Self {
            form,
            numbers,
            places,
        }))
    }

    /// Whether longer samples have more features.
    pub(super) fn have_length(&self) -> bool {
        self.form.by_token
    }

    /// A batch of them as the activations that the block after the prefix takes.
    pub(super) fn batch(&self, samples: &[usize], device: &Device) -> Activations {
        let vectors = |sample: &usize| {
            let place = &self.places[*sample];
            &self.numbers[place.start * self.form.width..place.end * self.form.width]
        };
        if !self.form.by_token {
            let rows = samples
                .iter()
                .flat_map(vectors)
                .copied()
                .collect::<Vec<_>>();
            let count = samples.len();
            let Some([channels, height, width]) = self.form.map else {
                let data = TensorData::new(rows, [count, self.form.width]);
                return Activations::Pooled(Tensor::from_data(data, device));
            };
            let data = TensorData::new(rows, [count, channels, height, width]);
            return Activations::Map(Tensor::from_data(data, device));
        }
        let tokens = samples
            .iter()
            .map(|sample| self.places[*sample].len())
            .max()
            .unwrap_or(0);
        let mut states = vec![0.0; samples.len() * tokens * self.form.width];
        let mut mask = vec![0.0_f32; samples.len() * tokens];
        for (row, sample) in samples.iter().enumerate() {
            let numbers = vectors(sample);
            let start = row * tokens * self.form.width;
            states[start..start + numbers.len()].copy_from_slice(numbers);
            mask[row * tokens..][..self.places[*sample].len()].fill(1.0);
        }
        Activations::Hidden {
            states: Tensor::from_data(
                TensorData::new(states, [samples.len(), tokens, self.form.width]),
                device,
            ),
            mask: Tensor::from_data(TensorData::new(mask, [samples.len(), tokens]), device),
        }
    }
}

impl Form {
    fn of(activations: &Activations) -> Self {
        match activations {
            Activations::Hidden { states, .. } => Self {
                by_token: true,
                width: states.dims()[2],
                map: None,
            },
            Activations::Map(map) => {
                let [_, channels, height, width] = map.dims();
                Self {
                    by_token: false,
                    width: channels * height * width,
                    map: Some([channels, height, width]),
                }
            }
            Activations::Pooled(vectors) | Activations::Logits(vectors) => Self {
                by_token: false,
                width: vectors.dims()[1],
                map: None,
            },
            Activations::Tokens(_) | Activations::Images(_) => {
                unreachable!("no block gives a network's input")
            }
        }
    }

    /// How many vectors a sample comes to.
    fn vectors(self, samples: &Samples, sample: usize) -> usize {
        if self.by_token {
            samples.length(sample)
        } else {
            1
        }
    }

    fn count(self, samples: &Samples, distinct: &Distinct) -> usize {
        let sizes = distinct
            .iter()
            .map(|(_, sample)| self.vectors(samples, *sample));
        sizes.sum()
    }
}

/// The vectors of all distinct samples, and which of them are whose.
fn load(
    prefix: &Prefix,
    samples: &Samples,
    form: Form,
    distinct: &Distinct,
    host: &dyn Host,
) -> Result<(Vec<f32>, Places)> {
    let mut progress = Progress::new(host, "features", distinct.len(), "samples");
    let prefix_digest = prefix.digest();
    let mut numbers = Vec::with_capacity(form.count(samples, distinct) * form.width);
    let mut places = Places::new();
    for bucket in buckets(distinct) {
        let fields = [
            ("version", VERSION.to_string()),
            ("prefix", prefix_digest.clone()),
            ("input", samples.signature()),
            ("samples", digest_of_all(bucket)),
        ];
        let before = places.len();
        let folder = host.memo("features", &fields, &mut |folder| {
            let numbers = compute(prefix, samples, form, bucket, &mut |done| {
                progress.at(before + done)
            })?;
            write(&folder.join(FILE), &numbers, form.width)
        })?;
        let mut start = numbers.len() / form.width;
        for (digest, sample) in bucket {
            let end = start + form.vectors(samples, *sample);
            places.insert(*digest, start..end);
            start = end;
        }
        numbers.extend(read(&folder.join(FILE), form, form.count(samples, bucket))?);
    }
    Ok((numbers, places))
}

/// Runs the prefix on the samples of a bucket; their vectors come in the order of the samples.
fn compute(
    prefix: &Prefix,
    samples: &Samples,
    form: Form,
    bucket: &Distinct,
    progress: &mut dyn FnMut(usize) -> Result<()>,
) -> Result<Vec<f32>> {
    let lengths = bucket
        .iter()
        .map(|(_, sample)| u32::try_from(samples.length(*sample)).unwrap_or(u32::MAX));
    let starts = bucket.iter().scan(0, |next, (_, sample)| {
        let start = *next;
        *next += form.vectors(samples, *sample) * form.width;
        Some(start)
    });
    let starts = starts.collect::<Vec<_>>();
    let batches = batches::by_length(&lengths.collect::<Vec<_>>(), BATCH);
    let found = run_batches(&batches, progress, |batch| {
        let batch = batch.iter().map(|place| bucket[*place].1);
        let batch = samples.batch(&batch.collect::<Vec<_>>(), prefix.device());
        match prefix.run(batch) {
            Activations::Hidden { states, .. } => states.into_data(),
            Activations::Pooled(vectors) | Activations::Logits(vectors) => vectors.into_data(),
            Activations::Map(map) => map.into_data(),
            Activations::Tokens(_) | Activations::Images(_) => {
                unreachable!("no block gives a network's input")
            }
        }
    })?;
    let mut features = vec![0.0; form.count(samples, bucket) * form.width];
    for (batch, found) in batches.iter().zip(&found) {
        let found = numbers(found);
        let rows = found.chunks_exact(found.len() / batch.len());
        for (place, row) in batch.iter().zip(rows) {
            let length = form.vectors(samples, bucket[*place].1) * form.width;
            features[starts[*place]..][..length].copy_from_slice(&row[..length]);
        }
    }
    Ok(features)
}

/// Splits samples that are sorted by digest into buckets, by the leading bits of the digest.
fn buckets(samples: &Distinct) -> Vec<&Distinct> {
    fn split<'a>(samples: &'a Distinct, bit: usize, into: &mut Vec<&'a Distinct>) {
        if samples.len() <= BUCKET {
            into.extend((!samples.is_empty()).then_some(samples));
            return;
        }
        let middle =
            samples.partition_point(|(digest, _)| digest[bit / 8] & (0x80 >> (bit % 8)) == 0);
        split(&samples[..middle], bit + 1, into);
        split(&samples[middle..], bit + 1, into);
    }
    let mut all = Vec::new();
    split(samples, 0, &mut all);
    all
}

fn digest_of_all(bucket: &Distinct) -> String {
    let mut hasher = blake3::Hasher::new();
    for (digest, _) in bucket {
        hasher.update(digest);
    }
    hasher.finalize().to_hex().to_string()
}

fn write(path: &Path, numbers: &[f32], width: usize) -> Result<()> {
    let bytes = numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect::<Vec<_>>();
    let shape = vec![numbers.len() / width, width];
    TensorView::new(Dtype::F32, shape, &bytes)
        .and_then(|view| safetensors::serialize_to_file([(TENSOR, view)], None, path))
        .or_stage(|| format!("cannot write `{}`", path.display()))
}

fn read(path: &Path, form: Form, vectors: usize) -> Result<Vec<f32>> {
    let bytes = std::fs::read(path).or_stage(|| format!("cannot read `{}`", path.display()))?;
    let unreadable = || {
        format!(
            "`{}` does not hold the features that its key promises",
            path.display()
        )
    };
    let file = SafeTensors::deserialize(&bytes).or_stage(unreadable)?;
    let tensor = file.tensor(TENSOR).or_stage(unreadable)?;
    if tensor.dtype() != Dtype::F32 || tensor.shape() != [vectors, form.width] {
        return Err(Error::stage(unreadable()));
    }
    let (numbers, _) = tensor.data().as_chunks::<4>();
    Ok(numbers
        .iter()
        .map(|number| f32::from_le_bytes(*number))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sample_more_makes_one_bucket_stale() {
        let digests = (0..5000_u32)
            .map(|sample| *blake3::hash(&sample.to_le_bytes()).as_bytes())
            .collect::<Vec<Digest>>();
        let split = |digests: &[Digest]| {
            let mut samples = digests.iter().copied().zip(0..).collect::<Vec<_>>();
            samples.sort_unstable();
            let buckets = buckets(&samples);
            assert!(buckets.iter().all(|bucket| bucket.len() <= BUCKET));
            assert_eq!(buckets.concat(), samples);
            buckets.into_iter().map(digest_of_all).collect::<Vec<_>>()
        };
        let (before, after) = (split(&digests[..4999]), split(&digests));
        let kept = after
            .iter()
            .filter(|bucket| before.contains(bucket))
            .count();
        assert!(
            before.len() >= 5 && kept + 1 >= before.len(),
            "{kept} of {}",
            before.len()
        );
    }
}
