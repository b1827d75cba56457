//! What happens during a run, as one closed list: the only road from a stage to the screen.
//!
//! Also the only place that reads the clock for more than a duration.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// How a stage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It ran and its outputs are published.
    Ran,
    /// A record for its key was found; nothing ran.
    Cached,
    /// It failed, or one of its gates did.
    Failed,
    /// It did not start because something that it needs failed.
    Skipped,
    /// It was stopped before it was done.
    Cancelled,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run begins.
    RunStarted {
        /// Name of the pipeline.
        pipeline: String,
        /// Name of the run, also its folder's.
        run: String,
        /// The stages that this run will bring up to date, in order.
        stages: Vec<String>,
    },
    /// A stage begins to run (never sent for a cached one).
    StageStarted {
        /// The stage.
        stage: String,
        /// Why it runs.
        reason: String,
    },
    /// How far the current activity of a stage is.
    Progress {
        /// The stage.
        stage: String,
        /// What it is doing: `download model.safetensors`, `features`, `epoch 2/10`.
        activity: String,
        /// How much is done.
        done: u64,
        /// How much there is to do; 0 when unknown.
        total: u64,
        /// Of what: `bytes`, `sentences`, `steps`.
        unit: String,
    },
    /// Something that the user should know, though nothing failed.
    Notice {
        /// The stage; none for the run itself.
        stage: Option<String>,
        /// One line.
        text: String,
    },
    /// One line of a stage's log (a command's output, a report on data).
    Log {
        /// The stage.
        stage: String,
        /// One line.
        text: String,
    },
    /// Figures measured while a stage runs, such as those of an epoch.
    Measured {
        /// The stage.
        stage: String,
        /// At which point: `epoch 3/10`.
        at: String,
        /// Name → figure.
        metrics: BTreeMap<String, f64>,
    },
    /// What a stage used, measured in its worker.
    Used {
        /// The stage.
        stage: String,
        /// CPU time of the stage and of the programs that it ran.
        cpu_seconds: f64,
        /// The largest resident set of its worker, or of a program that it ran, in bytes. Not known of a short stage if
        /// an earlier one in the same worker has taken as much.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        peak_memory: Option<u64>,
    },
    /// A stage ended.
    StageFinished {
        /// The stage.
        stage: String,
        /// How.
        outcome: Outcome,
        /// How long it took.
        seconds: f64,
        /// Its key; empty when it was not known.
        key: String,
        /// Why it ran, failed or was skipped; empty when cached.
        reason: String,
        /// The figures that its record holds.
        metrics: BTreeMap<String, f64>,
    },
    /// The run ended; always the last event.
    RunFinished {
        /// Stages that ran.
        ran: usize,
        /// Stages that were up to date.
        cached: usize,
        /// Stages that failed.
        failed: usize,
        /// Stages that were skipped or cancelled.
        skipped: usize,
        /// Wall time of the whole run.
        seconds: f64,
    },
}

/// Takes events; shared by all threads of a run.
pub trait Sink: Sync {
    /// Takes one event. It must not block for long and cannot fail.
    fn send(&self, event: &Event);

    /// Hears that a stage has started a program that leads this process group: who ends the stage by force ends it too.
    fn spawned(&self, _group: u32) {}
}

impl<F: Fn(&Event) + Sync> Sink for F {
    fn send(&self, event: &Event) {
        self(event);
    }
}

/// The time now, for logs and for names of runs. It never enters a key.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that may read the wall clock"
)]
#[must_use]
pub fn now() -> SystemTime {
    SystemTime::now()
}
