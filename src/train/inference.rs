//! What a network says about samples, without training.

use burn::tensor::TensorData;
use rayon::prelude::*;

use super::gradients::numbers;
use super::{Host, Loader, Progress, batches};
use crate::error::Result;
use crate::models::Network;

/// What `network`, which is on the plain device, gives for all samples of `loader`: `[samples × width]`, row by row.
///
/// # Errors
/// That the user asked to stop.
pub fn outputs(
    network: &Network,
    loader: &Loader<'_>,
    width: usize,
    batch_size: usize,
    activity: &str,
    host: &dyn Host,
) -> Result<Vec<f32>> {
    let mut progress = Progress::new(host, activity, loader.all_targets().len(), "samples");
    run(network, loader, width, batch_size, &mut |done| {
        progress.at(done)
    })
}

/// The same where `check` is called now and then, and may stop it.
///
/// # Errors
/// Those of `check`.
pub fn run(
    network: &Network,
    loader: &Loader<'_>,
    width: usize,
    batch_size: usize,
    check: &mut dyn FnMut(usize) -> Result<()>,
) -> Result<Vec<f32>> {
    let blocks = loader.blocks()..network.blocks().len();
    let batches = batches::by_length(loader.lengths(), batch_size);
    let found = run_batches(&batches, check, |batch| {
        let outputs = network.forward(blocks.clone(), loader.activations(batch));
        outputs.into_logits().into_data()
    })?;
    Ok(in_order(&batches, &found, width))
}

/// The rows of all batches in the order of the samples.
fn in_order(batches: &[Vec<usize>], found: &[TensorData], width: usize) -> Vec<f32> {
    let samples = batches.iter().map(Vec::len).sum::<usize>();
    let mut rows = vec![0.0; samples * width];
    for (batch, found) in batches.iter().zip(found) {
        for (sample, row) in batch.iter().zip(numbers(found).chunks_exact(width)) {
            rows[sample * width..][..width].copy_from_slice(row);
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
