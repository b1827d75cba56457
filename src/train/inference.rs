//! What a network says about samples, without training.

use burn::tensor::TensorData;
use rayon::prelude::*;

use super::gradients::numbers;
use super::{Host, Loader, Progress, batches};
use crate::error::Result;
use crate::models::Network;

/// What `network`, which is on the plain device, gives for all samples of `loader`, row by row: the numbers of a sample, or of each of its texts.
///
/// # Errors
/// That the user asked to stop.
pub fn outputs(
    network: &Network,
    loader: &Loader<'_>,
    batch_size: usize,
    activity: &str,
    host: &dyn Host,
) -> Result<Vec<f32>> {
    let mut progress = Progress::new(host, activity, loader.all_targets().len(), "samples");
    run(network, loader, batch_size, &mut |done| progress.at(done))
}

/// The same where `check` is called now and then, and may stop it.
///
/// # Errors
/// Those of `check`.
pub fn run(
    network: &Network,
    loader: &Loader<'_>,
    batch_size: usize,
    check: &mut dyn FnMut(usize) -> Result<()>,
) -> Result<Vec<f32>> {
    let blocks = loader.blocks()..network.blocks().len();
    let batches = batches::by_length(loader.lengths(), batch_size);
    let found = run_batches(&batches, check, |batch| {
        let views = loader.views(batch, 1);
        let outputs = network.forward(blocks.clone(), loader.activations(&views));
        outputs.into_logits().into_data()
    })?;
    Ok(in_order(&batches, &found, loader.members()))
}

/// The rows of all batches in the order of the samples, each of which has so many `members`: a batch has rows of their first ones, then
/// of their second ones, and so on.
fn in_order(batches: &[Vec<usize>], found: &[TensorData], members: usize) -> Vec<f32> {
    let samples = batches.iter().map(Vec::len).sum::<usize>();
    let first = batches.first().zip(found.first());
    let width = first.map_or(0, |(batch, found)| {
        numbers(found).len() / (batch.len() * members)
    });
    let mut rows = vec![0.0; samples * members * width];
    for (batch, found) in batches.iter().zip(found) {
        let places = (0..members).flat_map(|member| {
            let place = move |sample: &usize| sample * members + member;
            batch.iter().map(place)
        });
        for (place, row) in places.zip(numbers(found).chunks_exact(width)) {
            rows[place * width..][..width].copy_from_slice(row);
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
