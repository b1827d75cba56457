//! The training loop: epochs of steps, figures on the validation samples after each, and the best epoch in the end.
//!
//! A step's randomness comes from the seed, the epoch and the step alone, so the state between two epochs is the weights and the
//! optimizer's, and nothing else.

use std::collections::BTreeMap;

use burn::module::{Module, ParamGroup};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::metrics::{Metric, Report};
use super::{
    AdamW, AdamWSettings, Feed, Gradients, Host, Objective, Progress, Schedule, Shape, Trained,
};
use super::{batches, inference, seeds};
use crate::error::{Error, Result};
use crate::models::{Activations, Network, Resolved};

/// The settings of a training.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// How often every sample is trained on.
    pub epochs: usize,
    /// Samples in a batch.
    pub batch_size: usize,
    /// Batches in a step of the optimizer.
    pub gradient_accumulation_steps: usize,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// How the learning rate moves.
    pub shape: Shape,
    /// How long it rises at the start.
    pub warmup: Warmup,
    /// The optimizer's.
    pub optimizer: AdamWSettings,
    /// What is made small.
    pub objective: Objective,
    /// The figure that decides which epoch is the best.
    pub metric: &'static Metric,
    /// Whether the best epoch's weights are the result, and not the last one's.
    pub load_best_model_at_end: bool,
    /// Epochs without a better figure after which training stops.
    pub early_stopping_patience: Option<usize>,
    /// The seed of the order of samples and of dropout.
    pub seed: u64,
}

/// How long the learning rate rises at the start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Warmup {
    /// So many steps.
    Steps(u64),
    /// This share of all steps, rounded up.
    Ratio(f64),
}

/// Everything that a training needs beside the weights.
pub struct Training<'a> {
    /// The settings.
    pub recipe: &'a Recipe,
    /// The labels, in the order of the network's outputs.
    pub labels: &'a [String],
    /// What it trains on.
    pub train: &'a Feed<'a>,
    /// What it measures each epoch on.
    pub validation: Option<&'a Feed<'a>>,
    /// What runs it.
    pub host: &'a dyn Host,
}

/// What is carried from step to step.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// The network on the autodiff device.
    pub(super) network: Network,
    pub(super) optimizer: AdamW,
}

/// The figures of one epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochFigures {
    /// Counted from 1.
    pub epoch: usize,
    /// The mean loss over the epoch's steps.
    pub train_loss: f64,
    /// Metric → figure on the validation samples; empty without them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub validation: BTreeMap<String, f64>,
}

/// What came out of a training.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The trained network on the plain device.
    pub network: Network,
    /// The figures of all epochs.
    pub history: Vec<EpochFigures>,
    /// The epoch that the network is of, counted from 1.
    pub best_epoch: usize,
}

impl Training<'_> {
    /// Trains `network`, which is on the plain device, apart from the parameters that `plan` freezes.
    ///
    /// # Errors
    /// A loss that is not a number; that the user asked to stop.
    pub fn run(&self, network: &Network, plan: &Resolved) -> Result<Outcome> {
        let mut state = self.start(network, plan);
        let mut history: Vec<EpochFigures> = Vec::new();
        let mut best: Option<(usize, Network)> = None;
        for epoch in 1..=self.recipe.epochs {
            let train_loss;
            (state, train_loss) = self.epoch(state, epoch)?;
            let network = state.network.valid();
            let validation = self.validate(&network, epoch)?;
            let figures = EpochFigures {
                epoch,
                train_loss,
                validation,
            };
            let at = format!("epoch {epoch}/{}", self.recipe.epochs);
            self.host.measured(at, figures.headline(self.recipe.metric));
            if best
                .as_ref()
                .is_none_or(|(best, _)| self.better(&figures, &history[best - 1]))
            {
                best = Some((epoch, network));
            }
            history.push(figures);
            if self.is_out_of_patience(epoch, best.as_ref().map_or(epoch, |(best, _)| *best)) {
                break;
            }
        }
        let last = history.len();
        let (best_epoch, network) = best
            .filter(|_| self.recipe.load_best_model_at_end)
            .unwrap_or_else(|| (last, state.network.valid()));
        Ok(Outcome {
            network,
            history,
            best_epoch,
        })
    }

    /// The state before the first step.
    pub(super) fn start(&self, network: &Network, plan: &Resolved) -> State {
        let parameters = network.parameters();
        let with_frozen = || parameters.iter().zip(&plan.frozen);
        let frozen = with_frozen()
            .filter(|(_, frozen)| **frozen)
            .map(|(parameter, _)| parameter.id);
        let trained = with_frozen()
            .filter(|(_, frozen)| !**frozen)
            .map(|(parameter, _)| Trained {
                id: parameter.id,
                name: parameter.name.clone(),
                decays: parameter.shape.len() > 1,
                rate_scale: 1.0,
            });
        State {
            network: network
                .clone()
                .train()
                .freeze_group(ParamGroup::from_ids(frozen.collect())),
            optimizer: AdamW::new(self.recipe.optimizer.clone(), trained.collect()),
        }
    }

    /// Trains on every sample once and returns the mean loss.
    fn epoch(&self, mut state: State, epoch: usize) -> Result<(State, f64)> {
        let seed = |role, at: &[u64]| seeds::derive(self.recipe.seed, role, at);
        let number = epoch as u64;
        let batches = batches::shuffled(
            self.train.lengths(),
            self.recipe.batch_size,
            seed("order", &[number]),
        );
        let steps = batches
            .chunks(self.recipe.gradient_accumulation_steps)
            .collect::<Vec<_>>();
        let schedule = self.schedule(steps.len());
        let activity = format!("epoch {epoch}/{}", self.recipe.epochs);
        let mut progress = Progress::new(self.host, activity, steps.len(), "steps");
        let mut loss = 0.0;
        for (step, batches) in steps.iter().enumerate() {
            progress.at(step)?;
            let rate = schedule.rate(((epoch - 1) * steps.len() + step) as u64);
            let step_loss;
            (state, step_loss) = self
                .step(state, batches, seed("step", &[number, step as u64]), rate)
                .map_err(|error| {
                    error.note(format!(
                        "in step {} of {} of epoch {epoch}",
                        step + 1,
                        steps.len()
                    ))
                })?;
            loss += step_loss
                * share(
                    batches.iter().map(Vec::len).sum(),
                    self.train.lengths().len(),
                );
        }
        progress.at(steps.len())?;
        Ok((state, loss))
    }

    fn schedule(&self, steps_per_epoch: usize) -> Schedule {
        let total = (steps_per_epoch * self.recipe.epochs) as u64;
        Schedule {
            shape: self.recipe.shape,
            peak: self.recipe.learning_rate,
            warmup: self.recipe.warmup.steps(total),
            total,
        }
    }

    /// One step of the optimizer on these batches, with their mean loss. The state comes by value, so that the weights have one owner
    /// and change in place.
    pub(super) fn step(
        &self,
        mut state: State,
        batches: &[Vec<usize>],
        seed: u64,
        rate: f64,
    ) -> Result<(State, f64)> {
        let (loss, gradients) = self.gradients(&state.network, batches, seed);
        if !loss.is_finite() {
            return Err(diverged("the loss is not a number"));
        }
        let norm;
        (state.network, norm) = state.optimizer.step(state.network, &gradients, rate);
        if !norm.is_finite() {
            return Err(diverged("the gradient is not a number"));
        }
        Ok((state, loss))
    }

    /// The mean loss over these batches and its gradients.
    pub(super) fn gradients(
        &self,
        network: &Network,
        batches: &[Vec<usize>],
        seed: u64,
    ) -> (f64, Gradients) {
        self.train.device().seed(seed);
        let objective = &self.recipe.objective;
        let total = objective.weight(batches.iter().flat_map(|batch| self.train.labels(batch)));
        let blocks = self.train.blocks()..network.blocks().len();
        let mut sum = 0.0;
        let mut gradients = Gradients::default();
        for batch in batches {
            let input = autodiff(self.train.activations(batch));
            let logits = network.forward(blocks.clone(), input).into_logits();
            let loss = objective.loss(logits, &self.train.labels(batch), total);
            sum += f64::from(loss.clone().into_scalar::<f32>());
            gradients.add(Gradients::new(network, loss.backward()));
        }
        (sum, gradients)
    }

    /// The figures on the validation samples; empty if there are none.
    fn validate(&self, network: &Network, epoch: usize) -> Result<BTreeMap<String, f64>> {
        let Some(validation) = self.validation else {
            return Ok(BTreeMap::new());
        };
        let activity = format!("validation after epoch {epoch}");
        let predictions = inference::predict(
            network,
            validation,
            self.labels.len(),
            self.recipe.batch_size,
            &activity,
            self.host,
        )?;
        Ok(Report::new(&predictions, self.labels).figures)
    }

    /// Whether an epoch is better than the best one before it: by the metric, then by the log loss. Without validation samples the
    /// latest epoch is the best.
    fn better(&self, epoch: &EpochFigures, best: &EpochFigures) -> bool {
        let gain = |name: &str, higher_is_better: bool| {
            let figures = epoch.validation.get(name).zip(best.validation.get(name));
            let gain = figures.map(|(new, old)| new - old);
            gain.map(|gain| if higher_is_better { gain } else { -gain })
        };
        let metric = self.recipe.metric;
        match gain(metric.name, metric.higher_is_better) {
            Some(gain) if gain != 0.0 => gain > 0.0,
            _ => gain("log_loss", false).is_none_or(|gain| gain > 0.0),
        }
    }

    /// Whether no epoch was better than `best` for too long, and says so.
    fn is_out_of_patience(&self, epoch: usize, best: usize) -> bool {
        let patience = self.recipe.early_stopping_patience;
        let out =
            epoch < self.recipe.epochs && patience.is_some_and(|patience| epoch - best >= patience);
        if out {
            let name = self.recipe.metric.name;
            self.host.notice(format!(
                "stopped after epoch {epoch}: no better {name} since epoch {best}"
            ));
        }
        out
    }
}

impl EpochFigures {
    /// The figures that say most: the training loss, and on the validation samples `metric` and the log loss.
    #[must_use]
    pub fn headline(&self, metric: &Metric) -> BTreeMap<String, f64> {
        let mut figures = BTreeMap::from([("train_loss".to_string(), self.train_loss)]);
        for name in [metric.name, "log_loss"] {
            if let Some(figure) = self.validation.get(name) {
                figures.insert(format!("validation_{name}"), *figure);
            }
        }
        figures
    }
}

impl Warmup {
    fn steps(self, total: u64) -> u64 {
        match self {
            Self::Steps(steps) => steps,
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share of a number of steps far below 2^53"
            )]
            Self::Ratio(ratio) => (total as f64 * ratio).ceil() as u64,
        }
    }
}

fn diverged(what: &str) -> Error {
    Error::stage(what)
        .help("set a lower `learning_rate`, a `warmup_ratio`, or a lower `max_grad_norm`")
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of samples stay far below 2^53"
)]
fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

/// Puts activations on the autodiff device, where dropout is active.
fn autodiff(activations: Activations) -> Activations {
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
