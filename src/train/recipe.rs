//! The settings of a training.

use std::sync::Arc;

use super::trainer_state::Lengths;
use super::{Averaging, Details, EpochFigures, Loss, Metric, Optimizer, Schedule, Shape};

/// The settings of a training.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// How often every sample is trained on, if `max_steps` does not end it before.
    pub epochs: usize,
    /// The most steps of the optimizer.
    pub max_steps: Option<usize>,
    /// It is measured after so many steps each, and at the end; after each epoch if not set.
    pub eval_steps: Option<usize>,
    /// What an interrupted training goes on from is kept after so many steps each; once a minute if not set.
    pub save_steps: Option<usize>,
    /// Samples in a batch.
    pub batch_size: usize,
    /// Batches in a step of the optimizer.
    pub gradient_accumulation_steps: usize,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// How the learning rate moves.
    pub shape: Shape,
    /// What that is told beside.
    pub details: Details,
    /// How long it rises at the start.
    pub warmup: Warmup,
    /// The optimizer, which has not begun.
    pub optimizer: Optimizer,
    /// Which mean of networks is measured and kept.
    pub averaging: Option<Averaging>,
    /// What is made small.
    pub loss: Arc<dyn Loss>,
    /// The figure that decides which epoch is the best.
    pub metric: &'static Metric,
    /// The figure that decides between epochs of which that one is the same.
    pub tie_breaker: &'static Metric,
    /// Whether the best epoch's weights are the result, and not the last one's.
    pub load_best_model_at_end: bool,
    /// Epochs without a better figure after which training stops.
    pub early_stopping_patience: Option<usize>,
    /// Features that would take more bytes are not kept.
    pub feature_cache_max: u64,
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

impl Recipe {
    /// The metrics by which epochs are compared.
    #[must_use]
    pub fn headline(&self) -> [&'static Metric; 2] {
        [self.metric, self.tie_breaker]
    }

    /// The learning rate of the step after `taken`, where it was measured as `history` says.
    pub(super) fn rate(&self, lengths: Lengths, taken: usize, history: &[EpochFigures]) -> f64 {
        let total = lengths.total as u64;
        let schedule = Schedule {
            shape: self.shape,
            details: self.details,
            peak: self.learning_rate,
            warmup: self.warmup.steps(total),
            total,
        };
        if self.shape != Shape::ReduceLrOnPlateau {
            return schedule.rate(taken as u64);
        }
        let measured = history.iter();
        let measured = measured.filter_map(|known| known.validation.get(self.metric.name));
        schedule.on_plateau(self.metric.higher_is_better, measured.copied())
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
