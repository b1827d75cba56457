//! How a training went: the figures of its epochs, and which of them is the best.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::history::{StepFigures, Taken, Window, short, steps_a_line};
use super::{Metric, Phase, Recipe};
use crate::models::Network;

/// The figures of a training at one of its points: after an epoch, or after so many steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochFigures {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// How many steps were taken until then, where it is measured by steps.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub step: Option<usize>,
    /// The mean loss over the steps since the last such point.
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
    /// The best of `history`, counted from 1, and the network that was measured there.
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
    /// How many samples they trained on.
    samples: usize,
    /// Those of them that no line is about yet.
    window: Window,
    /// The bits of the sum of losses since it was last measured, each with its share of an epoch's samples.
    loss: u64,
    /// The samples since then.
    seen: usize,
}

/// How long a training is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lengths {
    /// Samples in an epoch.
    pub(super) samples: usize,
    /// Steps in an epoch.
    pub(super) epoch: usize,
    /// Steps in all. The last epoch may have fewer than the others.
    pub(super) total: usize,
    /// After how many steps each it is measured; none if it is after each epoch.
    pub(super) measured: Option<usize>,
}

impl Lengths {
    /// How many epochs begin.
    pub(super) fn epochs(self) -> usize {
        self.total.div_ceil(self.epoch.max(1))
    }

    /// How many steps the epoch has, counted from 1.
    pub(super) fn steps_of(self, epoch: usize) -> usize {
        let before = epoch.saturating_sub(1) * self.epoch;
        self.total.saturating_sub(before).min(self.epoch)
    }

    /// Whether it is measured there.
    pub(super) fn is_measured(self, position: &Position) -> bool {
        let taken = self.taken(position);
        match self.measured {
            None => position.step == self.steps_of(position.epoch),
            Some(each) => taken > 0 && (taken.is_multiple_of(each) || taken == self.total),
        }
    }

    /// How many steps were taken until there.
    pub(super) fn taken(self, position: &Position) -> usize {
        position.epoch.saturating_sub(1) * self.epoch + position.step
    }
}

impl Position {
    /// Goes to the beginning of an epoch.
    pub(super) fn begin(&mut self, phase: usize, epoch: usize) {
        *self = Self {
            phase,
            epoch,
            step: 0,
            samples: 0,
            window: Window::default(),
            ..*self
        };
    }

    /// The mean loss since it was last measured.
    pub(super) fn loss(&self, lengths: Lengths) -> f64 {
        f64::from_bits(self.loss) / share(self.seen, lengths.samples)
    }

    /// After one more step, which adds `loss` to that of the epoch.
    fn advance(&mut self, loss: f64, taken: &Taken) {
        self.step += 1;
        self.samples += taken.samples;
        self.seen += taken.samples;
        self.loss = (f64::from_bits(self.loss) + loss).to_bits();
        self.window.add(taken);
    }
}

impl TrainerState {
    /// Adds a step, and a line about the last ones where they are enough for one. There is one at the end of an epoch, and where it is
    /// measured.
    pub(super) fn took(&mut self, taken: &Taken, lengths: Lengths) {
        let position = &mut self.position;
        position.advance(taken.loss * share(taken.samples, lengths.samples), taken);
        let line = steps_a_line(lengths.total);
        let ends = position.step == lengths.steps_of(position.epoch);
        if !(position.window.is_full(line) || ends || lengths.is_measured(position)) {
            return;
        }
        let [loss, gradient_norm] = std::mem::take(&mut position.window).means();
        let earlier = position.epoch.saturating_sub(1);
        self.steps.push(StepFigures {
            step: lengths.taken(position),
            epoch: position.epoch,
            samples: earlier * lengths.samples + position.samples,
            loss: short(loss),
            learning_rate: short(taken.rate),
            gradient_norm: short(gradient_norm),
        });
    }

    /// Whether it is to be measured now, and has not been.
    pub(super) fn is_due(&self, lengths: Lengths) -> bool {
        let position = &self.position;
        let is_new = |last: &EpochFigures| match last.step {
            None => last.epoch < position.epoch,
            Some(step) => step < lengths.taken(position),
        };
        lengths.is_measured(position) && self.history.last().is_none_or(is_new)
    }

    /// Adds what was measured in `phase`, and the network that it was measured of. If none was better than the best for too long, that was
    /// the last time, and it says why; what begins to train gets its chance, so that what was measured before the phase does not count.
    pub(super) fn add(
        &mut self,
        figures: EpochFigures,
        network: Network,
        phase: &Phase,
        recipe: &Recipe,
        is_last: bool,
    ) -> Option<String> {
        (self.position.loss, self.position.seen) = (0.0_f64.to_bits(), 0);
        let at = figures.at();
        let best = match &self.best {
            Some((best, _)) if !figures.is_better(&self.history[best - 1], recipe) => *best,
            _ => {
                let now = self.history.len() + 1;
                self.best = Some((now, network));
                now
            }
        };
        self.history.push(figures);
        let patience = recipe.early_stopping_patience?;
        let name = recipe.metric.name;
        (!is_last && phase.waited(&self.history, best) >= patience).then(|| {
            let since = self.history[best - 1].at();
            format!("stopped after {at}: no better {name} since {since}")
        })
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
    /// Where the training was, in words.
    fn at(&self) -> String {
        match self.step {
            None => format!("epoch {}", self.epoch),
            Some(step) => format!("step {step}"),
        }
    }

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
