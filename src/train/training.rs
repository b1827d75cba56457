//! The training loop: epochs of steps, figures on the validation samples after each, and the best epoch in the end.
//!
//! A step's randomness comes from the seed, the epoch and the step alone, so the state between two epochs is the weights and the
//! optimizer's, and nothing else.

use std::collections::BTreeMap;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::Tensor;

use super::ahead::ahead;
use super::checkpoint::Checkpoint;
use super::diverged::Failed;
use super::features::Features;
use super::history::{StepFigures, Taken, steps_a_line};
use super::pieces::Pieces;
use super::samples::Batch;
use super::trainer_state::{Lengths, Position, TrainerState, share};
use super::{
    EpochFigures, Gradients, Host, Inputs, Loader, Optimizer, Phase, Prefix, Progress, Recipe,
    Samples, Targets, Trained, Views, mixed,
};
use super::{batches, inference};
use crate::error::{Kind, Result};
use crate::models::{Activations, Network, reseed};
use crate::random;

/// Everything that a training needs beside the weights.
pub struct Training<'a> {
    /// The settings.
    pub recipe: &'a Recipe,
    /// The figures of what the network gives for samples with these targets, by name.
    pub score: &'a Score<'a>,
    /// What trains in which epochs.
    pub phases: &'a [Phase],
    /// For each parameter what the learning rate is multiplied by.
    pub rate_scales: &'a [f64],
    /// What it trains on.
    pub train: &'a Samples,
    /// What it measures each epoch on.
    pub validation: Option<&'a Samples>,
    /// The network before training, whose frozen part samples go through; how deep that is, each phase says.
    pub prefix: &'a Prefix,
    /// What runs it.
    pub host: &'a dyn Host,
}

/// The figures of outputs, row by row, for samples with these targets, by name.
pub type Score<'a> = dyn Fn(&[f32], &Targets) -> Result<BTreeMap<String, f64>> + 'a;

/// The samples as a phase takes them.
struct Loaders<'a> {
    train: Loader<'a>,
    validation: Option<Loader<'a>>,
}

/// What is carried from step to step.
#[derive(Debug)]
pub(super) struct State {
    /// The network on the autodiff device.
    pub(super) network: Network,
    pub(super) optimizer: Box<dyn Optimizer>,
}

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
    fn jobs(&self) -> impl Iterator<Item = (&[usize], u64)> {
        let seed = |batch| random::derive(self.seed, "mix", &[batch]);
        let batches = self.batches.iter().zip(0..);
        batches.map(move |(views, batch)| (views.as_slice(), seed(batch)))
    }
}

/// What came out of a training.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The trained network on the plain device.
    pub network: Network,
    /// The figures of all epochs.
    pub history: Vec<EpochFigures>,
    /// Those of its steps, in about a thousand lines at the most.
    pub steps: Vec<StepFigures>,
    /// The epoch that the network is of, counted from 1.
    pub best_epoch: usize,
}

impl Training<'_> {
    /// Trains `network`, which is on the plain device, apart from the parameters that each phase freezes.
    ///
    /// # Errors
    /// A loss that is not a number; that the user asked to stop.
    pub fn run(&self, network: &Network) -> Result<Outcome> {
        self.report_random_changes();
        self.keep_features()?;
        let checkpoint = Checkpoint::new(self.host, network);
        let (mut state, mut trainer) = self.begin(network, &checkpoint);
        for index in trainer.position.phase..self.phases.len() {
            let patient;
            state = self.enter(state, &self.phases[index]);
            (state, patient) = self.phase(state, index, &mut trainer, &checkpoint)?;
            state.network = state.network.valid();
            if !patient {
                break;
            }
        }
        let last = trainer.history.len();
        let (best_epoch, network) = trainer
            .best
            .filter(|_| self.recipe.load_best_model_at_end)
            .unwrap_or((last, state.network));
        Ok(Outcome {
            network,
            history: trainer.history,
            steps: trainer.steps,
            best_epoch,
        })
    }

    /// Where training begins: from `network`, or where an interrupted training was.
    fn begin(&self, network: &Network, checkpoint: &Checkpoint<'_>) -> (State, TrainerState) {
        if let Some((state, trainer)) = checkpoint.find(&*self.recipe.optimizer) {
            let Position { epoch, step, .. } = trainer.position;
            self.host.notice(format!(
                "goes on where it was interrupted: after step {step} of epoch {epoch}"
            ));
            return (state, trainer);
        }
        let state = State {
            network: network.clone(),
            optimizer: self.recipe.optimizer.fresh(),
        };
        (state, TrainerState::default())
    }

    /// Trains the epochs of a phase that are left; whether training goes on after them.
    fn phase(
        &self,
        mut state: State,
        index: usize,
        trainer: &mut TrainerState,
        checkpoint: &Checkpoint<'_>,
    ) -> Result<(State, bool)> {
        let phase = &self.phases[index];
        let next = self.phases.get(index + 1);
        let end = next.map_or(self.recipe.epochs + 1, |next| next.from);
        let begun = trainer.position.epoch;
        if begun < phase.from {
            trainer.position = Position::of_epoch(index, phase.from);
        }
        let loaders = kept(self.loaders(phase), checkpoint, &state, trainer)?;
        for epoch in begun.max(phase.from)..end {
            if epoch > trainer.position.epoch {
                trainer.position = Position::of_epoch(index, epoch);
            }
            let (begun, done) = (Instant::now(), trainer.position.step);
            state = self.epoch(state, &loaders.train, trainer, checkpoint)?;
            let share_done = share(trainer.position.step - done, trainer.position.step);
            let samples_per_second =
                share(self.train.len(), 1) * share_done / begun.elapsed().as_secs_f64();
            let train_loss = trainer.position.loss();
            let network = state.network.valid();
            let validation = self.validate(&network, loaders.validation.as_ref(), epoch);
            let validation = kept(validation, checkpoint, &state, trainer)?;
            let figures = EpochFigures {
                epoch,
                train_loss,
                validation,
            };
            let at = format!("epoch {epoch}/{}", self.recipe.epochs);
            self.host.measured(
                at,
                figures.headline(self.recipe.headline()),
                samples_per_second,
            );
            if let Some(reason) = trainer.add(figures, network, phase, self.recipe) {
                self.host.notice(reason);
                return Ok((state, false));
            }
        }
        Ok((state, true))
    }

    /// Says that what changes at random is not remembered, if there is anything to remember.
    fn report_random_changes(&self) {
        let frozen = self.phases.iter().any(|phase| phase.plan.prefix > 0);
        if frozen && self.train.views() == Views::Endless {
            let why = match self.train.inputs {
                Inputs::Rewritten(_) => "other tokens are masked in each",
                Inputs::Texts(_) | Inputs::Images(_) => {
                    "images change at random before them; \
                     `cached_views = 4` would train on four fixed views of each image instead"
                }
            };
            let told = format!("the frozen layers run again in every epoch, because {why}");
            self.host.notice(told);
        }
    }

    /// Keeps the features that later phases need, from the shallowest on: each is where the next deeper one goes on, so that together
    /// they cost one pass through the network.
    fn keep_features(&self) -> Result<()> {
        let samples = || [Some(self.train), self.validation].into_iter().flatten();
        for phase in self.phases.iter().skip(1).rev() {
            let prefix = self.prefix.cut(phase.plan.prefix);
            for samples in samples() {
                Features::keep(&prefix, samples, self.recipe.feature_cache_max, self.host)?;
            }
        }
        Ok(())
    }

    fn loaders(&self, phase: &Phase) -> Result<Loaders<'_>> {
        let loader = |samples| {
            let prefix = self.prefix.cut(phase.plan.prefix);
            Loader::new(samples, prefix, self.recipe.feature_cache_max, self.host)
        };
        Ok(Loaders {
            train: loader(self.train)?,
            validation: self.validation.map(loader).transpose()?,
        })
    }

    /// The state before the first step of a phase, from one whose network is on the plain device. The optimizer keeps what it knows of
    /// parameters that trained before.
    pub(super) fn enter(&self, state: State, phase: &Phase) -> State {
        let State {
            network,
            mut optimizer,
        } = state;
        let frozen = phase.plan.frozen.iter().zip(self.rate_scales);
        let trained = network
            .parameters()
            .into_iter()
            .zip(frozen)
            .filter(|(_, (frozen, _))| !**frozen)
            .map(|(parameter, (_, rate_scale))| Trained {
                id: parameter.id,
                decays: parameter.shape.len() > 1,
                name: parameter.name,
                rate_scale: *rate_scale,
            });
        optimizer.set_parameters(trained.collect());
        State {
            network: network.freeze(&phase.plan).train(),
            optimizer,
        }
    }

    /// Trains on every sample that is left of the epoch; the trainer then holds its mean loss.
    fn epoch(
        &self,
        state: State,
        loader: &Loader<'_>,
        trainer: &mut TrainerState,
        checkpoint: &Checkpoint<'_>,
    ) -> Result<State> {
        let steps = self.steps(loader, trainer.position.epoch);
        let left = &steps[trainer.position.step..];
        let jobs = left.iter().flat_map(Step::jobs).collect::<Vec<_>>();
        ahead(
            &jobs,
            loader.threads(),
            |(views, seed)| loader.batch(views, *seed),
            |next| self.take_steps(state, loader, &steps, trainer, checkpoint, next),
        )
    }

    /// What an epoch trains on, step by step.
    fn steps(&self, loader: &Loader<'_>, epoch: usize) -> Vec<Step> {
        let seed = |role, at: &[u64]| random::derive(self.recipe.seed, role, at);
        let number = epoch as u64;
        let batches = batches::shuffled(
            loader.lengths(),
            self.recipe.batch_size,
            seed("order", &[number]),
        );
        let steps = batches.chunks(self.recipe.gradient_accumulation_steps);
        let steps = steps.zip(0..).map(|(batches, step)| Step {
            batches: batches
                .iter()
                .map(|samples| loader.views(samples, epoch))
                .collect(),
            seed: seed("step", &[number, step]),
        });
        steps.collect()
    }

    fn take_steps(
        &self,
        mut state: State,
        loader: &Loader<'_>,
        steps: &[Step],
        trainer: &mut TrainerState,
        checkpoint: &Checkpoint<'_>,
        next: &mut dyn FnMut() -> Batch,
    ) -> Result<State> {
        let epoch = trainer.position.epoch;
        let schedule = self.recipe.schedule(steps.len());
        let activity = format!("epoch {epoch}/{}", self.recipe.epochs);
        let mut progress = Progress::new(self.host, activity, steps.len(), "steps");
        let lengths = Lengths {
            steps: steps.len(),
            samples: self.train.len(),
            line: steps_a_line(steps.len().saturating_mul(self.recipe.epochs)),
        };
        for (number, step) in steps.iter().enumerate().skip(trainer.position.step) {
            kept(progress.at(number), checkpoint, &state, trainer)?;
            checkpoint.keep_if_due(&state, trainer);
            let rate = schedule.rate(((epoch - 1) * steps.len() + number) as u64);
            let found;
            (state, found) = self
                .step(state, loader, step, next, rate)
                .map_err(|error| {
                    error.note(format!(
                        "in step {} of {} of epoch {epoch}",
                        number + 1,
                        steps.len()
                    ))
                })?;
            let views: usize = step.batches.iter().map(Vec::len).sum();
            let samples = views / loader.members();
            let [loss, norm] = found;
            let taken = Taken {
                loss,
                norm,
                rate,
                samples,
            };
            trainer.took(&taken, lengths);
        }
        kept(progress.at(steps.len()), checkpoint, &state, trainer)?;
        Ok(state)
    }

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

    /// The figures on the validation samples; empty if there are none.
    fn validate(
        &self,
        network: &Network,
        loader: Option<&Loader<'_>>,
        epoch: usize,
    ) -> Result<BTreeMap<String, f64>> {
        let Some(loader) = loader else {
            return Ok(BTreeMap::new());
        };
        let activity = format!("validation after epoch {epoch}");
        let outputs = inference::outputs(
            network,
            loader,
            self.recipe.batch_size,
            &activity,
            self.host,
        )?;
        (self.score)(&outputs, loader.all_targets())
    }
}

/// `result`; if the user asked to stop, where training is has been kept.
fn kept<T>(
    result: Result<T>,
    checkpoint: &Checkpoint<'_>,
    state: &State,
    trainer: &TrainerState,
) -> Result<T> {
    if matches!(&result, Err(error) if error.kind() == Kind::Interrupted) {
        checkpoint.keep(state, trainer);
    }
    result
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
