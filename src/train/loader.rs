//! Batches of samples as the first block after the frozen prefix takes them.

use burn::tensor::Device;

use super::features::Features;
use super::samples::Batch;
use super::{Host, Inputs, Prefix, Samples, Targets, Views};
use crate::error::Result;
use crate::models::Activations;

/// Samples behind the frozen prefix: their remembered features, or what the prefix makes of them batch by batch.
#[derive(Debug)]
pub struct Loader<'a> {
    samples: &'a Samples,
    prefix: Prefix,
    features: Option<Features>,
    lengths: Vec<u32>,
}

impl<'a> Loader<'a> {
    /// A loader that computes the features of all samples, unless they are remembered, would take more than `most_bytes` or change at
    /// random.
    ///
    /// # Errors
    /// Those of `host`: of its disk, and that the user asked to stop.
    pub fn new(
        samples: &'a Samples,
        prefix: Prefix,
        most_bytes: u64,
        host: &dyn Host,
    ) -> Result<Self> {
        if samples.views() == Views::Endless {
            return Ok(Self::without_features(samples, prefix));
        }
        let features = Features::new(&prefix, samples, most_bytes, host)?;
        Ok(Self {
            features,
            ..Self::without_features(samples, prefix)
        })
    }

    /// A loader that runs the prefix for every batch.
    #[must_use]
    pub fn without_features(samples: &'a Samples, prefix: Prefix) -> Self {
        Self {
            lengths: lengths(samples, &prefix),
            samples,
            prefix,
            features: None,
        }
    }

    /// The activations of a batch of views, on the plain device.
    pub(super) fn activations(&self, batch: &[usize]) -> Activations {
        if let Some(features) = &self.features {
            return features.batch(batch, self.prefix.device());
        }
        let batch = self.samples.batch(batch, self.prefix.device());
        self.prefix.run(batch)
    }

    /// The views of `samples` in `epoch`, counted from 1.
    pub(super) fn views(&self, samples: &[usize], epoch: usize) -> Vec<usize> {
        self.samples.views_of(samples, epoch)
    }

    /// A batch of views to train on, mixed as `seed` draws it, behind the prefix.
    pub(super) fn batch(&self, views: &[usize], seed: u64) -> Batch {
        let device = self.prefix.device();
        let (input, share) = if let Some(features) = &self.features {
            (features.batch(views, device), 1.0)
        } else {
            let (input, share) = self.samples.mixed(views, seed, device);
            (self.prefix.run(input), share)
        };
        Batch {
            input,
            targets: self.targets(views.iter().copied()),
            share,
        }
    }

    /// How many threads should make batches ahead: as many as the network has, if there is more to it than copying numbers.
    pub(super) fn threads(&self) -> usize {
        let is_made_of_images = matches!(self.samples.inputs, Inputs::Images(_));
        if self.features.is_none() && (is_made_of_images || self.prefix.blocks() > 0) {
            rayon::current_num_threads()
        } else {
            0
        }
    }

    /// The plain device that batches are on.
    pub(super) fn device(&self) -> &Device {
        self.prefix.device()
    }

    /// The targets of the samples that these views are of.
    pub(super) fn targets(&self, views: impl IntoIterator<Item = usize>) -> Targets {
        self.samples.targets(views)
    }

    /// How many texts of a sample the network takes each on its own.
    pub(super) fn members(&self) -> usize {
        self.samples.members()
    }

    /// The targets of all samples.
    #[must_use]
    pub fn all_targets(&self) -> &Targets {
        &self.samples.targets
    }

    /// The lengths of all samples, to make batches by: all alike if a batch needs no padding.
    pub(super) fn lengths(&self) -> &[u32] {
        &self.lengths
    }

    /// How many blocks the network has run when it gives a batch.
    pub(super) fn blocks(&self) -> usize {
        self.prefix.blocks()
    }
}

/// The lengths of `samples` behind `prefix`, to make batches by: all alike if it gives each of them one vector, so that nothing is
/// padded in what trains.
///
/// They follow from the network and the samples, and not from whether features are kept: that must not change a batch.
fn lengths(samples: &Samples, prefix: &Prefix) -> Vec<u32> {
    let padded = |first: &[usize]| {
        let first = prefix.run(samples.batch(first, prefix.device()));
        !matches!(first, Activations::Pooled(_) | Activations::Logits(_))
    };
    match samples.inputs {
        Inputs::Texts(_) | Inputs::Rewritten(_) if !samples.is_empty() && padded(&[0]) => {
            samples.lengths()
        }
        _ => vec![1; samples.len()],
    }
}
