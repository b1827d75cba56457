//! What a network says about samples, without training.

use super::metrics::Predictions;
use super::{Feed, Host, Progress, batches};
use crate::error::Result;
use crate::models::Network;

/// Runs `network`, which is on the plain device, on all samples of `feed`.
///
/// # Errors
/// A network whose output is not a number; that the user asked to stop.
pub fn predict(
    network: &Network,
    feed: &Feed<'_>,
    classes: usize,
    batch_size: usize,
    activity: &str,
    host: &dyn Host,
) -> Result<Predictions> {
    let truth = feed.all_labels();
    let mut progress = Progress::new(host, activity, truth.len(), "samples");
    let mut logits = vec![0.0; truth.len() * classes];
    let last = network.blocks().len();
    let mut done = 0;
    for batch in batches::by_length(feed.lengths(), batch_size) {
        progress.at(done)?;
        let found = network
            .forward(feed.blocks()..last, feed.activations(&batch))
            .into_logits()
            .into_data();
        for (sample, row) in batch
            .iter()
            .zip(super::gradients::numbers(&found).chunks_exact(classes))
        {
            logits[sample * classes..][..classes].copy_from_slice(row);
        }
        done += batch.len();
    }
    progress.at(done)?;
    Predictions::from_logits(&logits, truth, classes)
}
