//! What a network says about samples, without training.

use burn::tensor::TensorData;
use rayon::prelude::*;

use super::gradients::numbers;
use super::metrics::Predictions;
use super::{Feed, Host, Progress, batches};
use crate::error::Result;
use crate::models::{Activations, Network};

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
    let blocks = feed.blocks()..network.blocks().len();
    let batches = batches::by_length(feed.lengths(), batch_size);
    let found = run_batches(&batches, &mut |done| progress.at(done), |batch| {
        let logits = network.forward(blocks.clone(), feed.activations(batch));
        logits.into_logits().into_data()
    })?;
    let logits = in_order(&batches, &found, classes);
    Predictions::from_logits(&logits, truth, classes)
}

/// The logits of all labels, [samples × `classes`], row by row, that `network`, which is on the plain device, gives to
/// samples of these `lengths`. `input` makes a batch of some of them.
///
/// # Errors
/// What `check` returns, which is called now and then.
pub fn logits(
    network: &Network,
    classes: usize,
    lengths: &[u32],
    batch_size: usize,
    check: &dyn Fn() -> Result<()>,
    input: impl Fn(&[usize]) -> Activations + Sync,
) -> Result<Vec<f32>> {
    let blocks = 0..network.blocks().len();
    let batches = batches::by_length(lengths, batch_size);
    let found = run_batches(&batches, &mut |_| check(), |batch| {
        let logits = network.forward(blocks.clone(), input(batch));
        logits.into_logits().into_data()
    })?;
    Ok(in_order(&batches, &found, classes))
}

/// The rows of all batches in the order of the samples.
fn in_order(batches: &[Vec<usize>], found: &[TensorData], classes: usize) -> Vec<f32> {
    let samples = batches.iter().map(Vec::len).sum::<usize>();
    let mut rows = vec![0.0; samples * classes];
    for (batch, found) in batches.iter().zip(found) {
        for (sample, row) in batch.iter().zip(numbers(found).chunks_exact(classes)) {
            rows[sample * classes..][..classes].copy_from_slice(row);
        }
    }
    rows
}

/// Runs every batch without training, one batch a thread: much of a forward pass is too small to be shared out. The results come in the
/// order of the batches, and which thread made one does not change its bits. `progress` hears how many samples are done.
pub(super) fn run_batches<T: Send>(
    batches: &[Vec<usize>],
    progress: &mut dyn FnMut(usize) -> Result<()>,
    run: impl Fn(&[usize]) -> T + Sync,
) -> Result<Vec<T>> {
    let mut results = Vec::with_capacity(batches.len());
    let mut done = 0;
    for group in batches.chunks(rayon::current_num_threads()) {
        progress(done)?;
        results.par_extend(group.par_iter().map(|batch| run(batch)));
        done += group.iter().map(Vec::len).sum::<usize>();
    }
    progress(done)?;
    Ok(results)
}
