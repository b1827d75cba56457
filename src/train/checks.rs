//! What is checked before anything is trained: that a step changes what it should, and nothing else.

use burn::module::Module;

use super::prefix::Weights;
use super::{Training, seeds};
use crate::error::{Error, Result};
use crate::models::{Network, Resolved};

/// Takes one batch through forward, backward and a step, on a copy: the loss must be a number, every parameter that trains must get a
/// gradient and change, and every other one must keep its bits.
///
/// # Errors
/// The first parameter that does not do what it should.
pub fn check_step(training: &Training<'_>, network: &Network, plan: &Resolved) -> Result<()> {
    let samples = training
        .train
        .lengths()
        .len()
        .min(training.recipe.batch_size);
    let batch = vec![(0..samples).collect::<Vec<_>>()];
    let seed = seeds::derive(training.recipe.seed, "check", &[]);
    let state = training.start(network, plan);
    let (_, gradients) = training.gradients(&state.network, &batch, seed);
    let with_gradient = gradients.parameters().collect::<Vec<_>>();
    let (state, _) = training
        .step(state, &batch, seed, training.recipe.learning_rate)
        .map_err(|error| {
            error.note(
                "in the step on the first batch that is made before training, to check the model",
            )
        })?;

    let before = Weights::of(network);
    let after = Weights::of(&state.network.valid());
    for (parameter, frozen) in network.parameters().iter().zip(&plan.frozen) {
        let changed = before.digests[&parameter.id] != after.digests[&parameter.id];
        let name = &parameter.full_name;
        if *frozen && changed {
            return Err(Error::stage(format!(
                "`{name}` is frozen, but a step of training changed it"
            )));
        }
        if !frozen && !with_gradient.contains(&parameter.id) {
            return Err(Error::stage(format!(
                "`{name}` should train, but the loss does not depend on it"
            ))
            .help("freeze it by its name in a `freeze` stage"));
        }
    }
    Ok(())
}
