//! How a training went: the figures of its epochs, and which of them is the best.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::history::{StepFigures, Taken, Window, short};
use super::{Metric, Phase, Recipe};
use crate::models::Network;

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

/// The epochs so far, and where the one that has begun is.
#[derive(Default)]
pub(super) struct TrainerState {
    pub(super) position: Position,
    pub(super) history: Vec<EpochFigures>,
    /// Their steps.
    pub(super) steps: Vec<StepFigures>,
    /// The best of them, counted from 1, and the network after it.
    pub(super) best: Option<(usize, Network)>,
}

/// Between which two steps a training is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Position {
    /// The index of the phase.
    pub(super) phase: usize,
    /// The epoch, counted from 1; 0 if none has begun.
    pub(super) epoch: usize,
    /// How many of its steps are done.
    pub(super) step: usize,
    /// The bits of what they add to the epoch's loss.
    loss: u64,
    /// How many samples they trained on.
    samples: usize,
    /// Those of them that no line is about yet.
    window: Window,
}

/// How long a training is, for the lines about its steps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lengths {
    /// Steps in an epoch.
    pub(super) steps: usize,
    /// Samples in an epoch.
    pub(super) samples: usize,
    /// Steps in a line.
    pub(super) line: usize,
}

impl Position {
    /// The beginning of an epoch.
    pub(super) fn of_epoch(phase: usize, epoch: usize) -> Self {
        Self {
            phase,
            epoch,
            step: 0,
            loss: 0.0_f64.to_bits(),
            samples: 0,
            window: Window::default(),
        }
    }

    /// What the steps so far add to the epoch's loss.
    pub(super) fn loss(&self) -> f64 {
        f64::from_bits(self.loss)
    }

    /// After one more step, which adds `loss` to that of the epoch.
    fn advance(&mut self, loss: f64, taken: &Taken) {
        self.step += 1;
        self.samples += taken.samples;
        self.loss = (self.loss() + loss).to_bits();
        self.window.add(taken);
    }
}

impl TrainerState {
    /// Adds a step, and a line about the last ones where they are enough for one. An epoch ends with a line.
    pub(super) fn took(&mut self, taken: &Taken, lengths: Lengths) {
        let position = &mut self.position;
        position.advance(taken.loss * share(taken.samples, lengths.samples), taken);
        if !position.window.is_full(lengths.line) && position.step < lengths.steps {
            return;
        }
        let [loss, gradient_norm] = std::mem::take(&mut position.window).means();
        let earlier = position.epoch.saturating_sub(1);
        self.steps.push(StepFigures {
            step: earlier * lengths.steps + position.step,
            epoch: position.epoch,
            samples: earlier * lengths.samples + position.samples,
            loss: short(loss),
            learning_rate: short(taken.rate),
            gradient_norm: short(gradient_norm),
        });
    }

    /// Adds an epoch of `phase` with the network after it. If none was better than the best for too long, that is the last epoch, and
    /// it says why; what begins to train gets its chance, so that epochs before the phase do not count.
    pub(super) fn add(
        &mut self,
        figures: EpochFigures,
        network: Network,
        phase: &Phase,
        recipe: &Recipe,
    ) -> Option<String> {
        let epoch = figures.epoch;
        let best = self.best.as_ref();
        let best = match best {
            Some((best, _)) if !figures.is_better(&self.history[best - 1], recipe) => *best,
            _ => {
                self.best = Some((epoch, network));
                epoch
            }
        };
        self.history.push(figures);
        let patience = recipe.early_stopping_patience?;
        let name = recipe.metric.name;
        (epoch < recipe.epochs && phase.waited(epoch, best) >= patience)
            .then(|| format!("stopped after epoch {epoch}: no better {name} since epoch {best}"))
    }
}

/// A part of a whole.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of samples stay far below 2^53"
)]
pub(super) fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

impl EpochFigures {
    /// The figures that say most: the training loss, and `metrics` on the validation samples.
    #[must_use]
    pub fn headline(&self, metrics: [&Metric; 2]) -> BTreeMap<String, f64> {
        let mut figures = BTreeMap::from([("train_loss".to_string(), self.train_loss)]);
        for Metric { name, .. } in metrics {
            if let Some(figure) = self.validation.get(*name) {
                figures.insert(format!("validation_{name}"), *figure);
            }
        }
        figures
    }

    /// Whether it is better than the best one before it: by the metric, then by the tie-breaker. Without validation samples the latest
    /// epoch is the best.
    fn is_better(&self, best: &Self, recipe: &Recipe) -> bool {
        let gain = |metric: &Metric| {
            let figure = |figures: &Self| figures.validation.get(metric.name).copied();
            let gain = figure(self).zip(figure(best)).map(|(new, old)| new - old);
            gain.map(|gain| if metric.higher_is_better { gain } else { -gain })
        };
        match gain(recipe.metric) {
            Some(gain) if gain != 0.0 => gain > 0.0,
            _ => gain(recipe.tie_breaker).is_none_or(|gain| gain > 0.0),
        }
    }
}
