//! Training: the loop and its parts. It knows no pipeline, no stage and no cache; what it needs of them comes by [`Host`].
//!
//! In reading order: [`Samples`] are texts or images with their targets; the frozen [`Prefix`] of a network turns them into features, once;
//! a [`Loader`] gives batches of either; [`Phase`]s say what trains when; [`Training`] makes epochs of steps. What a
//! sample is to come to ([`Targets`]), the [`Loss`] and the figures are the task's.

mod ahead;
mod average;
mod batches;
mod checkpoint;
mod checks;
mod diverged;
mod features;
mod gradients;
mod history;
mod inference;
mod layer_decay;
mod loader;
mod loss;
mod metric;
mod mixing;
mod optimizer;
mod phases;
mod pieces;
mod prefix;
mod rate_finder;
mod recipe;
mod samples;
mod schedule;
mod step;
mod targets;
mod trainer_state;
mod training;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use average::Averaging;
pub use checkpoint::resumes_at;
pub use checks::check_step;
pub use gradients::Gradients;
pub use history::StepFigures;
pub use inference::{WIDTH_OF_MASKED, outputs, run};
pub use layer_decay::layer_decay;
pub use loader::Loader;
pub use loss::{Loss, mixed};
pub use metric::Metric;
pub use mixing::Mixing;
pub use optimizer::{
    Adafactor, AdamW, At, Common, Kept, Lamb, Lion, Muon, Optimizer, Pass, Rule, Sgd, Trained,
};
pub use phases::{Depth, Phase, Unfreezing};
pub use pieces::Pieces;
pub use prefix::Prefix;
pub use rate_finder::{RateRange, RateTried, below_least, steepest};
pub use recipe::{Recipe, Warmup};
pub use samples::{Images, Inputs, Rewritten, Samples, Texts, Views};
pub use schedule::{Decay, Details, Schedule, Shape};
pub use targets::{Compared, Mark, Marks, Rows, Targets};
pub use trainer_state::EpochFigures;
pub use training::{Outcome, Score, Training};

use crate::error::Result;
use crate::event::Observer;

/// What a training needs of the stage that it is run by.
pub trait Host: Observer {
    /// Shows figures measured on the way.
    fn measured(&self, at: String, figures: BTreeMap<String, f64>, samples_per_second: f64);

    /// A result that is kept under a key of its own: the folder that `make` filled, now or in an earlier run. `name` and `fields`
    /// must hold everything that can change what `make` writes.
    ///
    /// # Errors
    /// Those of `make` and of the disk.
    fn memo(
        &self,
        name: &str,
        fields: &[(&str, String)],
        make: &mut dyn FnMut(&Path) -> Result<()>,
    ) -> Result<PathBuf>;

    /// The folder that [`memo`](Self::memo) gives for the same `name` and `fields`, if it has been made before.
    ///
    /// # Errors
    /// Those of the disk.
    fn recall(&self, name: &str, fields: &[(&str, String)]) -> Result<Option<PathBuf>>;

    /// The file where the training keeps how far it has come, and finds how far an interrupted one came that was the same in
    /// everything that can change its result. None if nothing is to be kept.
    fn checkpoint(&self) -> Option<&Path> {
        None
    }
}

/// Shows progress at most ten times a second: a step on features takes less time than showing it.
struct Progress<'a> {
    host: &'a dyn Host,
    activity: String,
    unit: &'static str,
    total: usize,
    shown: Option<Instant>,
}

impl<'a> Progress<'a> {
    fn new(
        host: &'a dyn Host,
        activity: impl Into<String>,
        total: usize,
        unit: &'static str,
    ) -> Self {
        Self {
            host,
            activity: activity.into(),
            unit,
            total,
            shown: None,
        }
    }

    /// Says that `done` is done, and fails if the user asked to stop.
    fn at(&mut self, done: usize) -> Result<()> {
        self.host.check_cancelled()?;
        let due = self
            .shown
            .is_none_or(|shown| shown.elapsed() >= Duration::from_millis(100));
        if due || done == self.total {
            self.shown = Some(Instant::now());
            self.host
                .progress(&self.activity, done as u64, self.total as u64, self.unit);
        }
        Ok(())
    }
}
