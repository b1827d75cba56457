//! Batches of samples as the first block after the frozen prefix takes them.

use burn::tensor::Device;

use super::features::Features;
use super::{Host, Prefix, Samples};
use crate::error::Result;
use crate::models::Activations;

/// Samples behind the frozen prefix: their remembered features, or what the prefix makes of them batch by batch.
#[derive(Debug)]
pub struct Feed<'a> {
    samples: &'a Samples,
    prefix: Prefix,
    features: Option<Features>,
    lengths: Vec<u32>,
}

impl<'a> Feed<'a> {
    /// A feed that computes the features of all samples, unless they are remembered or would take more than `most_bytes`.
    ///
    /// # Errors
    /// Those of `host`: of its disk, and that the user asked to stop.
    pub fn new(
        samples: &'a Samples,
        prefix: Prefix,
        most_bytes: u64,
        host: &dyn Host,
    ) -> Result<Self> {
        let features = Features::new(&prefix, samples, most_bytes, host)?;
        let lengths = match &features {
            Some(features) if !features.have_length() => vec![1; samples.len()],
            _ => samples.lengths(),
        };
        Ok(Self {
            samples,
            prefix,
            features,
            lengths,
        })
    }

    /// A feed that runs the prefix for every batch.
    #[must_use]
    pub fn without_features(samples: &'a Samples, prefix: Prefix) -> Self {
        Self {
            samples,
            prefix,
            features: None,
            lengths: samples.lengths(),
        }
    }

    /// The activations of a batch, on the plain device.
    pub(super) fn activations(&self, batch: &[usize]) -> Activations {
        if let Some(features) = &self.features {
            return features.batch(batch, self.prefix.device());
        }
        let batch = self.samples.batch(batch, self.prefix.device());
        self.prefix.run(batch)
    }

    /// The plain device that batches are on.
    pub(super) fn device(&self) -> &Device {
        self.prefix.device()
    }

    /// The labels of a batch.
    pub(super) fn labels(&self, batch: &[usize]) -> Vec<u32> {
        batch
            .iter()
            .map(|sample| self.samples.labels[*sample])
            .collect()
    }

    /// The labels of all samples.
    pub(super) fn all_labels(&self) -> &[u32] {
        &self.samples.labels
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
