//! What is checked before anything is trained: that a step changes what it should, and nothing else.

use std::collections::BTreeSet;

use burn::module::{Module, ParamId};

use super::prefix::Weights;
use super::step::Step;
use super::training::State;
use super::{Loader, Phase, Training};
use crate::error::{Error, Result};
use crate::models::Network;
use crate::random;

/// Takes one batch through forward, backward and a step, on a copy, as in the first phase and as in the last: the loss must be a
/// number, every parameter that trains must get a gradient, and every other one and the statistics of frozen blocks must keep their
/// bits.
///
/// # Errors
/// The first parameter that does not do what it should.
pub fn check_step(training: &Training<'_>, network: &Network) -> Result<()> {
    let (first, rest) = training.phases.split_at(1);
    let mut ends = first.iter().chain(rest.last());
    ends.try_for_each(|phase| check_phase(training, network, phase))
}

fn check_phase(training: &Training<'_>, network: &Network, phase: &Phase) -> Result<()> {
    let asked = training.train.targets.rows_of_outputs();
    let samples = (0..training.train.len()).filter(|sample| asked[*sample] > 0);
    let samples: Vec<usize> = samples.take(training.recipe.batch_size).collect();
    let views = training.train.views_of(&samples, 1);
    let step = Step {
        seed: random::derive(training.recipe.seed, "check", &[]),
        batches: vec![views.clone()],
    };
    let loader = Loader::without_features(training.train, training.prefix.cut(phase.plan.prefix));
    let optimizer = training.recipe.optimizer.fresh();
    let state = State {
        network: network.clone(),
        optimizer,
        average: None,
        moving: BTreeSet::new(),
    };
    let state = training.enter(state, phase);
    let mut next = || loader.batch(&views, step.seed);
    let (_, gradients) = training.gradients(&state.network, &loader, &step, &mut next);
    let with_gradient = gradients.parameters().collect::<Vec<_>>();
    let (state, _) = training
        .step(
            state,
            &loader,
            &step,
            &mut next,
            training.recipe.learning_rate,
        )
        .map_err(|error| {
            error.note(
                "in the step on the first batch that is made before training, to check the model",
            )
        })?;

    let before = Weights::of(network);
    let after = Weights::of(&state.network.valid());
    let changed = |id: &ParamId| before.digests[id] != after.digests[id];
    let refuse = |name: &str| {
        Error::stage(format!(
            "`{name}` is frozen, but a step of training changed it"
        ))
    };
    let parameters = network.parameters();
    for (parameter, frozen) in parameters.iter().zip(&phase.plan.frozen) {
        let name = &parameter.full_name;
        if *frozen && changed(&parameter.id) {
            return Err(refuse(name));
        }
        if !frozen && !with_gradient.contains(&parameter.id) {
            return Err(Error::stage(format!(
                "`{name}` should train, but the loss does not depend on it"
            ))
            .help("freeze it by its name in a `freeze` stage"));
        }
    }
    let still = network.statistics().into_iter().find(|statistic| {
        !phase.plan.trains(statistic.block, &parameters) && changed(&statistic.id)
    });
    still.map_or(Ok(()), |statistic| Err(refuse(&statistic.full_name)))
}
