//! The gradient of a loss that sees a whole batch at once, piece by piece (`GradCache`, Gao et al. 2021, arXiv:2101.06983): the same
//! gradient, and what is in memory at a time is what a network keeps of one piece.
//!
//! Every sample goes through the network twice: first without gradients, to know all outputs; then, when the loss has said which way
//! each output is to move, piece by piece with them. What is random is the same both times, because each piece has a seed of its own.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::Tensor;

use super::Gradients;
use super::step::autodiff;
use crate::models::{Activations, Network, reseed};
use crate::random;

/// A batch that goes through a network piece by piece.
#[derive(Debug)]
pub struct Pieces<'a> {
    /// The network on the autodiff device.
    pub network: &'a Network,
    /// The first block that the batch has still to go through.
    pub from: usize,
    /// The batch, on the plain device.
    pub input: Activations,
    /// How many texts are a piece.
    pub size: usize,
    /// Where what is random in the batch starts.
    pub seed: u64,
}

impl Pieces<'_> {
    /// The loss of the batch, as `loss` says it of all outputs, and its gradients.
    pub fn run(&self, loss: impl FnOnce(Tensor<2>) -> Tensor<1>) -> (f64, Gradients) {
        let untracked = self.network.clone().no_grad();
        let outputs = self.ranges().map(|rows| self.outputs(&untracked, rows));
        let outputs: Vec<Tensor<2>> = outputs.map(Tensor::inner).collect();
        let outputs = Tensor::from_inner(Tensor::cat(outputs, 0)).require_grad();
        let loss = loss(outputs.clone());
        let value = f64::from(loss.clone().into_scalar::<f32>());
        let back = loss.backward();
        let mut gradients = Gradients::default();
        let Some(directions) = outputs.grad(&back) else {
            return (value, gradients);
        };
        for rows in self.ranges() {
            let direction = Tensor::from_inner(directions.clone().slice(rows.clone()));
            let moved = (self.outputs(self.network, rows) * direction).sum();
            gradients.add(Gradients::new(self.network, moved.backward()));
        }
        (value, gradients)
    }

    /// The rows of each piece.
    fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        let (all, size) = (self.input.rows(), self.size.max(1));
        (0..all)
            .step_by(size)
            .map(move |start| start..all.min(start + size))
    }

    fn outputs(&self, network: &Network, rows: Range<usize>) -> Tensor<2> {
        let seed = random::derive(self.seed, "piece", &[rows.start as u64]);
        reseed(&self.input.device(), seed);
        let input = autodiff(self.input.take(rows));
        network.outputs(self.from, input, None)
    }
}
