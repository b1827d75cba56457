//! The settings of a training.

use std::sync::Arc;

use super::{Details, Loss, Metric, Optimizer, Schedule, Shape};

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
    /// What that is told beside.
    pub details: Details,
    /// How long it rises at the start.
    pub warmup: Warmup,
    /// The optimizer, which has not begun.
    pub optimizer: Arc<dyn Optimizer>,
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

    /// The learning rates of all steps, so many in each epoch.
    pub(super) fn schedule(&self, steps_per_epoch: usize) -> Schedule {
        let total = steps_per_epoch.saturating_mul(self.epochs) as u64;
        Schedule {
            shape: self.shape,
            details: self.details,
            peak: self.learning_rate,
            warmup: self.warmup.steps(total),
            total,
        }
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
