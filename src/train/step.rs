//! One step: the loss over its batches, its gradients, and what the optimizer makes of them.

use burn::tensor::Tensor;

use super::diverged::Failed;
use super::inference;
use super::pieces::Pieces;
use super::samples::Batch;
use super::training::State;
use super::{Gradients, Loader, Training, mixed};
use crate::error::Result;
use crate::models::{Activations, Network, reseed};
use crate::random;

/// One step of the optimizer.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// Its batches of views.
    pub(super) batches: Vec<Vec<usize>>,
    /// The seed of what is random in it.
    pub(super) seed: u64,
}

impl Step {
    /// Its batches, each with the seed by which it is mixed.
    pub(super) fn jobs(&self) -> impl Iterator<Item = (&[usize], u64)> {
        let seed = |batch| random::derive(self.seed, "mix", &[batch]);
        let batches = self.batches.iter().zip(0..);
        batches.map(move |(views, batch)| (views.as_slice(), seed(batch)))
    }
}

impl Training<'_> {
    /// Takes `step`, whose batches `next` gives, and returns their mean loss and the norm of their gradients. The state comes by value, so that the weights have one
    /// owner and change in place.
    pub(super) fn step(
        &self,
        mut state: State,
        loader: &Loader<'_>,
        step: &Step,
        next: &mut dyn FnMut() -> Batch,
        rate: f64,
    ) -> Result<(State, [f64; 2])> {
        let untrained = !state.optimizer.has_begun();
        let failed = |what, network: &Network| {
            let failed = Failed {
                what,
                network,
                frozen_blocks: loader.blocks(),
                untrained,
            };
            let batches = step.jobs();
            Err(failed.error(batches.map(|(views, seed)| loader.batch(views, seed).input)))
        };
        let (loss, gradients) = self.gradients(&state.network, loader, step, next);
        if !loss.is_finite() {
            return failed("the loss", &state.network);
        }
        let norm;
        (state.network, norm) = state.optimizer.step(state.network, &gradients, rate);
        if !norm.is_finite() {
            return failed("the gradient", &state.network);
        }
        Ok((state, [loss, norm]))
    }

    /// The mean loss over the batches of `step`, which `next` gives, and its gradients.
    pub(super) fn gradients(
        &self,
        network: &Network,
        loader: &Loader<'_>,
        step: &Step,
        next: &mut dyn FnMut() -> Batch,
    ) -> (f64, Gradients) {
        reseed(loader.device(), step.seed);
        let loss = &*self.recipe.loss;
        let total = loss.weight(&loader.targets(step.batches.iter().flatten().copied()));
        let mut sum = 0.0;
        let mut gradients = Gradients::default();
        for index in 0..step.batches.len() as u64 {
            let batch = next();
            let places = batch.targets.places();
            if inference::is_empty(places.as_deref()) {
                continue;
            }
            if let Some(size) = loss.piece().filter(|size| batch.input.rows() > *size) {
                let pieces = Pieces {
                    network,
                    from: loader.blocks(),
                    input: batch.input,
                    size,
                    seed: random::derive(step.seed, "batch", &[index]),
                };
                let (value, more) =
                    pieces.run(|outputs| mixed(loss, outputs, &batch.targets, batch.share, total));
                sum += value;
                gradients.add(more);
                continue;
            }
            let input = autodiff(batch.input);
            let outputs = network.outputs(loader.blocks(), input, places.as_deref());
            let loss = mixed(loss, outputs, &batch.targets, batch.share, total);
            sum += f64::from(loss.clone().into_scalar::<f32>());
            gradients.add(Gradients::new(network, loss.backward()));
        }
        (sum, gradients)
    }
}

/// Puts activations on the autodiff device, where dropout is active.
pub(super) fn autodiff(activations: Activations) -> Activations {
    match activations {
        Activations::Tokens(_) => activations,
        Activations::Hidden { states, mask } => Activations::Hidden {
            states: Tensor::from_inner(states),
            mask: Tensor::from_inner(mask),
        },
        Activations::Images(images) => Activations::Images(Tensor::from_inner(images)),
        Activations::Map(map) => Activations::Map(Tensor::from_inner(map)),
        Activations::Pooled(vectors) => Activations::Pooled(Tensor::from_inner(vectors)),
        Activations::Logits(logits) => Activations::Logits(Tensor::from_inner(logits)),
    }
}
