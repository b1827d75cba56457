//! How a training went: the figures of its epochs, and which of them is the best.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::metrics::Metric;
use super::{Phase, Recipe};
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

/// The epochs so far.
#[derive(Default)]
pub(super) struct Course {
    pub(super) history: Vec<EpochFigures>,
    /// The best of them, counted from 1, and the network after it.
    pub(super) best: Option<(usize, Network)>,
}

impl Course {
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
            Some((best, _)) if !figures.is_better(&self.history[best - 1], recipe.metric) => *best,
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

    /// Whether it is better than the best one before it: by `metric`, then by the log loss. Without validation samples the latest epoch
    /// is the best.
    fn is_better(&self, best: &Self, metric: &Metric) -> bool {
        let gain = |name: &str, higher_is_better: bool| {
            let figures = self.validation.get(name).zip(best.validation.get(name));
            let gain = figures.map(|(new, old)| new - old);
            gain.map(|gain| if higher_is_better { gain } else { -gain })
        };
        match gain(metric.name, metric.higher_is_better) {
            Some(gain) if gain != 0.0 => gain > 0.0,
            _ => gain("log_loss", false).is_none_or(|gain| gain > 0.0),
        }
    }
}
