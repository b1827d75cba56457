//! What a network says about samples, without training.

use rayon::prelude::*;

use super::gradients::numbers;
use super::{Host, Loader, Marks, Progress, Targets, batches};
use crate::error::Result;
use crate::models::Network;

/// What `network`, which is on the plain device, gives for all samples of `loader`, row by row: a row of numbers a sample, or one for each
/// of its tokens or texts that the targets ask for.
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
    let batches = batches::by_length(loader.lengths(), batch_size);
    let found = run_batches(&batches, check, |batch| {
        let views = loader.views(batch, 1);
        let targets = loader.targets(views.iter().copied());
        let places = targets.places();
        if is_empty(places.as_deref()) {
            return Vec::new();
        }
        let input = loader.activations(&views);
        let outputs = network.outputs(loader.blocks(), input, places.as_deref());
        let data = outputs.into_data();
        match &targets {
            Targets::Masked(marks) => condensed(numbers(&data), marks),
            _ => numbers(&data).to_vec(),
        }
    })?;
    let rows = loader.all_targets().rows_of_outputs();
    Ok(in_order(&batches, &found, &rows))
}

/// How many numbers are kept of what a network says of a masked token: the logarithm of the probability of what stood there, 1 if nothing
/// is more likely and 0 otherwise, the most likely token and its probability.
pub const WIDTH_OF_MASKED: usize = 4;

/// What is kept of the outputs for masked tokens, a row each.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "tokens are fewer than 2^24, and outputs are f32"
)]
fn condensed(outputs: &[f32], marks: &Marks) -> Vec<f32> {
    let marks = marks.samples.iter().flatten();
    let classes: Vec<usize> = marks
        .filter(|mark| mark.place.is_some())
        .map(|mark| mark.class as usize)
        .collect();
    let width = outputs.len() / classes.len().max(1);
    let row = |(row, class): (&[f32], usize)| {
        let best = (0..width).reduce(|best, next| if row[next] > row[best] { next } else { best });
        let best = best.unwrap_or_default();
        let top = f64::from(row[best]);
        let sum: f64 = row
            .iter()
            .map(|logit| (f64::from(*logit) - top).exp())
            .sum();
        let likelihood = f64::from(row[class]) - top - sum.ln();
        let is_best = f32::from(u8::from(row[class] >= row[best]));
        [likelihood as f32, is_best, best as f32, (1.0 / sum) as f32]
    };
    outputs
        .chunks_exact(width.max(1))
        .zip(classes)
        .flat_map(row)
        .collect()
}

/// Whether a batch has no token that the network is to say something of.
pub(super) fn is_empty(places: Option<&[Vec<u32>]>) -> bool {
    places.is_some_and(|places| places.iter().all(Vec::is_empty))
}

/// The numbers of all batches in the order of the samples, of which each has so many `rows`.
fn in_order(batches: &[Vec<usize>], found: &[Vec<f32>], rows: &[usize]) -> Vec<f32> {
    let all: usize = found.iter().map(Vec::len).sum();
    let width = all / rows.iter().sum::<usize>().max(1);
    let mut starts = Vec::with_capacity(rows.len());
    let mut end = 0;
    for rows in rows {
        starts.push(end);
        end += rows * width;
    }
    let mut numbers = vec![0.0; end];
    for (batch, mut found) in batches.iter().zip(found.iter().map(Vec::as_slice)) {
        for sample in batch {
            let (own, others) = found.split_at(rows[*sample] * width);
            numbers[starts[*sample]..][..own.len()].copy_from_slice(own);
            found = others;
        }
    }
    numbers
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
