//! What changes weights by their gradients, with a state that can be saved.

mod adamw;
mod momentum;

use std::collections::BTreeMap;
use std::fmt::Debug;

pub use adamw::{AdamW, AdamWSettings};
use burn::module::ParamId;
pub use momentum::{Momentum, MomentumSettings, Rule};

use super::Gradients;
use crate::models::Network;

/// An optimizer with its settings and its state.
pub trait Optimizer: Debug + Send + Sync {
    /// One with the same settings that has not begun.
    fn fresh(&self) -> Box<dyn Optimizer>;

    /// Trains these parameters from now on. Those that trained before keep their state; the state of others begins with their first
    /// step, as in torch.
    fn set_parameters(&mut self, parameters: Vec<Trained>);

    /// Makes one step at learning `rate` and returns the changed network with the norm of the gradients before clipping.
    fn step(&mut self, network: Network, gradients: &Gradients, rate: f64) -> (Network, f64);

    /// The names of the rows of numbers that it keeps for a parameter, each as long as the parameter.
    fn rows(&self) -> &'static [&'static str];

    /// Whether it has made a step.
    fn has_begun(&self) -> bool;

    /// Its state: for each parameter that has made a step how many, and the rows of numbers.
    fn state(&self) -> BTreeMap<ParamId, Kept<'_>>;

    /// Goes on from a state, as [`state`](Self::state) gave it.
    fn restore(&mut self, state: BTreeMap<ParamId, (i32, Vec<Vec<f32>>)>);
}

/// What an optimizer keeps of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept<'k> {
    /// Steps made.
    pub steps: i32,
    /// The rows of numbers, in the order of their names.
    pub rows: Vec<&'k [f32]>,
}

/// A parameter that the optimizer may change.
#[derive(Clone, Debug)]
pub struct Trained {
    /// Burn's name for it.
    pub id: ParamId,
    /// Its name in the checkpoint.
    pub name: String,
    /// Whether it shrinks by weight decay: matrices do; biases and the weights of norms, which are vectors, do not.
    pub decays: bool,
    /// What the learning rate is multiplied by for it (`lr_scale` in timm).
    pub rate_scale: f64,
}
