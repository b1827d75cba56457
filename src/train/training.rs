//! The training loop: epochs of steps, figures on the validation samples after each, and the best epoch in the end.
//!
//! A step's randomness comes from the seed, the epoch and the step alone, so the state between two epochs is the weights and the
//! optimizer's, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use burn::module::{Module, ParamId};

use super::ahead::ahead;
use super::average;
use super::checkpoint::Checkpoint;
use super::features::Features;
use super::history::{StepFigures, Taken};
use super::samples::Batch;
use super::step::Step;
use super::trainer_state::{Lengths, TrainerState, share};
use super::{
    Averaging, EpochFigures, Host, Inputs, Loader, Optimizer, Phase, Prefix, Progress, Recipe,
    Samples, Targets, Trained, Views,
};
use super::{batches, inference};
use crate::error::{Kind, Result};
use crate::models::Network;
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
pub(super) struct Loaders<'a> {
    pub(super) train: Loader<'a>,
    validation: Option<Loader<'a>>,
}

/// An epoch of a phase.
struct Epoch<'a> {
    phase: &'a Phase,
    loaders: &'a Loaders<'a>,
    steps: Vec<Step>,
}

/// What is carried from step to step.
#[derive(Debug)]
pub(super) struct State {
    /// The network on the autodiff device.
    pub(super) network: Network,
    pub(super) optimizer: Optimizer,
    /// The mean of the networks so far, on the plain device, if there is to be one and it has begun.
    pub(super) average: Option<Network>,
    /// What of the network changes in this phase.
    pub(super) moving: BTreeSet<ParamId>,
}

/// What came out of a training.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The trained network on the plain device.
    pub network: Network,
    /// Its figures, each time that it was measured.
    pub history: Vec<EpochFigures>,
    /// Those of its steps, in about a thousand lines at the most.
    pub steps: Vec<StepFigures>,
    /// Which of `history` the network is of.
    pub best: usize,
}

impl Outcome {
    /// The figures of the network.
    ///
    /// # Panics
    /// Never: a training ends with being measured.
    #[must_use]
    pub fn figures(&self) -> &EpochFigures {
        &self.history[self.best]
    }
}

impl Training<'_> {
    /// Trains `network`, which is on the plain device, apart from the parameters that each phase freezes.
    ///
    /// # Errors
    /// A loss that is not a number; that the user asked to stop.
    pub fn run(&self, network: &Network) -> Result<Outcome> {
        self.report_random_changes();
        self.report_average();
        self.keep_features()?;
        let checkpoint = Checkpoint::new(self.host, network, self.recipe.save_steps);
        let (mut state, mut trainer) = self.begin(network, &checkpoint);
        let epochs = self.lengths().epochs();
        let phases = self.phases.iter();
        let reached = phases.take_while(|phase| phase.from <= epochs).count();
        if let Some(unreached) = self.phases.get(reached) {
            self.host.notice(format!(
                "training ends in epoch {epochs}: what was to train from epoch {} on stays as it is",
                unreached.from
            ));
        }
        for index in trainer.position.phase..reached {
            let patient;
            state = self.enter(state, &self.phases[index]);
            if index + 1 == reached
                && let Some(told) = state.optimizer.told()
            {
                self.host.notice(told);
            }
            (state, patient) = self.phase(state, index, &mut trainer, &checkpoint)?;
            state.network = state.network.valid();
            if !patient {
                break;
            }
        }
        let last = trainer.history.len();
        let chosen = self.recipe.load_best_model_at_end
            && !matches!(self.recipe.averaging, Some(Averaging::LastEpochs(_)));
        let (best, network) = trainer
            .best
            .filter(|_| chosen)
            .unwrap_or_else(|| (last, state.average.unwrap_or(state.network)));
        Ok(Outcome {
            network,
            history: trainer.history,
            steps: trainer.steps,
            best: best - 1,
        })
    }

    /// How long it is, if nothing ends it before.
    fn lengths(&self) -> Lengths {
        let batches = self.train.len().div_ceil(self.recipe.batch_size);
        let epoch = batches.div_ceil(self.recipe.gradient_accumulation_steps);
        let whole = epoch.saturating_mul(self.recipe.epochs);
        Lengths {
            samples: self.train.len(),
            epoch,
            total: self.recipe.max_steps.map_or(whole, |most| most.min(whole)),
            measured: self.recipe.eval_steps,
        }
    }

    /// Where training begins: from `network`, or where an interrupted training was.
    fn begin(&self, network: &Network, checkpoint: &Checkpoint<'_>) -> (State, TrainerState) {
        if let Some((state, trainer)) = checkpoint.find(&self.recipe.optimizer) {
            let (epoch, step) = (trainer.position.epoch, trainer.position.step);
            self.host.notice(format!(
                "goes on where it was interrupted: after step {step} of epoch {epoch}"
            ));
            return (state, trainer);
        }
        let moves = matches!(self.recipe.averaging, Some(Averaging::Ema(_)));
        let state = State {
            network: network.clone(),
            optimizer: self.recipe.optimizer.fresh(),
            average: moves.then(|| network.valid()),
            moving: BTreeSet::new(),
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
        let end = self.lengths().epochs() + 1;
        let next = self.phases.get(index + 1);
        let end = next.map_or(end, |next| next.from.min(end));
        let begun = trainer.position.epoch;
        if begun < phase.from {
            trainer.position.begin(index, phase.from);
        }
        let loaders = kept(self.loaders(phase), checkpoint, &state, trainer)?;
        for number in begun.max(phase.from)..end {
            if number > trainer.position.epoch {
                trainer.position.begin(index, number);
            }
            let epoch = Epoch {
                phase,
                loaders: &loaders,
                steps: self.steps(&loaders.train, number),
            };
            let patient;
            (state, patient) = self.epoch(state, &epoch, trainer, checkpoint)?;
            if !patient {
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

    pub(super) fn loaders(&self, phase: &Phase) -> Result<Loaders<'_>> {
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
            average,
            ..
        } = state;
        let parameters = network.parameters();
        let statistics = network.statistics().into_iter();
        let statistics = statistics.filter(|known| phase.plan.trains(known.block, &parameters));
        let mut moving: BTreeSet<ParamId> = statistics.map(|known| known.id).collect();
        let frozen = phase.plan.frozen.iter().zip(self.rate_scales);
        let trained = parameters
            .into_iter()
            .zip(frozen)
            .filter(|(_, (frozen, _))| !**frozen)
            .map(|(parameter, (_, rate_scale))| Trained::new(parameter, *rate_scale));
        let trained: Vec<Trained> = trained.collect();
        moving.extend(trained.iter().map(|known| known.id));
        optimizer.set_parameters(trained);
        State {
            network: network.freeze(&phase.plan).train(),
            optimizer,
            average,
            moving,
        }
    }

    /// Takes the steps that are left of the epoch; whether training goes on after them.
    fn epoch(
        &self,
        state: State,
        epoch: &Epoch<'_>,
        trainer: &mut TrainerState,
        checkpoint: &Checkpoint<'_>,
    ) -> Result<(State, bool)> {
        let left = &epoch.steps[trainer.position.step..];
        let jobs = left.iter().flat_map(Step::jobs).collect::<Vec<_>>();
        let loader = &epoch.loaders.train;
        ahead(
            &jobs,
            loader.threads(),
            |(views, seed)| loader.batch(views, *seed),
            |next| self.take_steps(state, epoch, trainer, checkpoint, next),
        )
    }

    /// What an epoch trains on, step by step.
    fn steps(&self, loader: &Loader<'_>, epoch: usize) -> Vec<Step> {
        let mut steps = self.whole_epoch(loader, epoch);
        steps.truncate(self.lengths().steps_of(epoch));
        steps
    }

    /// The same, whether training ends in the epoch or not.
    pub(super) fn whole_epoch(&self, loader: &Loader<'_>, epoch: usize) -> Vec<Step> {
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
        epoch: &Epoch<'_>,
        trainer: &mut TrainerState,
        checkpoint: &Checkpoint<'_>,
        next: &mut dyn FnMut() -> Batch,
    ) -> Result<(State, bool)> {
        let lengths = self.lengths();
        let (number, epochs) = (trainer.position.epoch, lengths.epochs());
        let loader = &epoch.loaders.train;
        let activity = format!("epoch {number}/{epochs}");
        let mut progress = Progress::new(self.host, activity, epoch.steps.len(), "steps");
        let (mut begun, mut seen) = (Instant::now(), 0);
        loop {
            let done = trainer.position.step;
            kept(progress.at(done), checkpoint, &state, trainer)?;
            if trainer.is_due(lengths) {
                let speed = share(seen, 1) / begun.elapsed().as_secs_f64();
                let patient;
                (state, patient) = self.measure(state, epoch, trainer, checkpoint, speed)?;
                if !patient {
                    return Ok((state, false));
                }
                (begun, seen) = (Instant::now(), 0);
            }
            let Some(step) = epoch.steps.get(done) else {
                return Ok((state, true));
            };
            let taken = lengths.taken(&trainer.position);
            checkpoint.keep_if_due(&state, trainer, taken);
            let rate = self.recipe.rate(lengths, taken, &trainer.history);
            let [loss, norm];
            (state, [loss, norm]) =
                self.step(state, loader, step, next, rate)
                    .map_err(|error| {
                        let steps = epoch.steps.len();
                        error.note(format!("in step {} of {steps} of epoch {number}", done + 1))
                    })?;
            if let Some(Averaging::Ema(decay)) = self.recipe.averaging {
                let average = state.average.take();
                state.average = average.map(|average| {
                    average::towards(average, &state.network, &state.moving, 1.0 - decay)
                });
            }
            let views: usize = step.batches.iter().map(Vec::len).sum();
            let samples = views / loader.members();
            seen += samples;
            let taken = Taken {
                loss,
                norm,
                rate,
                samples,
            };
            trainer.took(&taken, lengths);
        }
    }

    /// Measures the network, or the mean of networks; whether training goes on.
    fn measure(
        &self,
        mut state: State,
        of: &Epoch<'_>,
        trainer: &mut TrainerState,
        checkpoint: &Checkpoint<'_>,
        samples_per_second: f64,
    ) -> Result<(State, bool)> {
        let lengths = self.lengths();
        let (epoch, epochs) = (trainer.position.epoch, lengths.epochs());
        let taken = lengths.taken(&trainer.position);
        let average = self.average(&state, epoch, epochs);
        let network = average.as_ref().unwrap_or(&state.network).valid();
        let (unit, now, all) = if self.recipe.eval_steps.is_some() {
            ("step", taken, lengths.total)
        } else {
            ("epoch", epoch, epochs)
        };
        let (after, at) = (format!("{unit} {now}"), format!("{unit} {now}/{all}"));
        let validation = self.validate(&network, of.loaders.validation.as_ref(), &after);
        let validation = kept(validation, checkpoint, &state, trainer)?;
        state.average = average;
        let figures = EpochFigures {
            epoch,
            step: self.recipe.eval_steps.map(|_| taken),
            train_loss: trainer.position.loss(lengths),
            validation,
        };
        self.host.measured(
            at,
            figures.headline(self.recipe.headline()),
            samples_per_second,
        );
        let is_last = taken == lengths.total;
        let stopped = trainer.add(figures, network, of.phase, self.recipe, is_last);
        let patient = stopped.is_none();
        if let Some(told) = stopped {
            self.host.notice(told);
        }
        Ok((state, patient))
    }

    /// The mean of networks with the one that there is after `epoch`; none if there is none yet.
    fn average(&self, state: &State, epoch: usize, epochs: usize) -> Option<Network> {
        let average = state.average.as_ref();
        match self.recipe.averaging? {
            Averaging::Ema(_) => average.cloned(),
            Averaging::LastEpochs(count) => {
                let member = (epoch + count).checked_sub(epochs)?;
                let network = state.network.valid();
                match average {
                    _ if member == 0 => None,
                    None => Some(network),
                    Some(average) => {
                        let gain = 1.0 / share(member, 1);
                        let average = average.valid();
                        Some(average::towards(average, &network, &state.moving, gain))
                    }
                }
            }
        }
    }

    /// Says how much of the weights before training is left in a mean that moves slowly.
    fn report_average(&self) {
        let Some(Averaging::Ema(decay)) = self.recipe.averaging else {
            return;
        };
        let steps = self.lengths().total;
        let left = decay.powf(share(steps, 1));
        if left > 0.05 {
            self.host.notice(format!(
                "the mean of weights that `ema_decay` {decay} makes holds {:.0} % of those before training after step {steps}: a lower `ema_decay` forgets them sooner",
                left * 100.0
            ));
        }
    }

    /// The figures on the validation samples; empty if there are none.
    fn validate(
        &self,
        network: &Network,
        loader: Option<&Loader<'_>>,
        after: &str,
    ) -> Result<BTreeMap<String, f64>> {
        let Some(loader) = loader else {
            return Ok(BTreeMap::new());
        };
        let activity = format!("validation after {after}");
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
