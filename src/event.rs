//! What happens during a run, as one closed list: the only road from a stage to the screen.
//!
//! Also the only place that reads the clock for more than a duration.

#[cfg(test)]
pub(crate) mod samples;

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use serde::{Deserialize, Serialize, Serializer};

use crate::error::Result as Checked;

/// Watches work that takes a while, and may stop it.
pub trait Observer {
    /// `done` of `total` units of `activity` (`download config.json`, bytes) are done; `total` is 0 when unknown.
    fn progress(&self, activity: &str, done: u64, total: u64, unit: &str);

    /// Tells the user something that is not an error.
    fn notice(&self, text: String);

    /// Called several times a second.
    ///
    /// # Errors
    /// If the work is to stop.
    fn check_cancelled(&self) -> Checked<()>;
}

/// Whether the figure of this name counts something, so that it is a whole number.
#[must_use]
pub fn is_count(figure: &str) -> bool {
    matches!(figure, "best_epoch" | "best_step")
}

/// A figure, written as a whole number if it counts something.
pub struct Figure<'n>(pub &'n str, pub f64);

impl Serialize for Figure<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(name, value) = *self;
        #[expect(clippy::cast_possible_truncation, reason = "a float saturates")]
        let whole = value.round() as i64;
        if is_count(name) && value.is_finite() {
            serializer.serialize_i64(whole)
        } else {
            serializer.serialize_f64(value)
        }
    }
}

/// Writes figures by name, counts as whole numbers.
///
/// # Errors
/// Those of `serializer`.
pub fn counted<S: Serializer>(
    figures: &BTreeMap<String, f64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let figures = figures.iter();
    serializer.collect_map(figures.map(|(name, value)| (name, Figure(name, *value))))
}

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

/// What a run is of: a pipeline file with what was laid over it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// The pipeline file, relative to the folder of the project.
    #[serde(default)]
    pub file: String,
    /// The profiles, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
    /// The settings of the command line, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<String>,
}

impl Configuration {
    /// What is laid over the file, as the command line writes it: `--profile smoke -S epochs=3`; empty if nothing is.
    #[must_use]
    pub fn flags(&self) -> String {
        let profiles = self.profiles.iter().map(|name| format!("--profile {name}"));
        let set = self.set.iter();
        let set = set.map(|setting| format!("-S {}", quoted(setting)));
        profiles.chain(set).collect::<Vec<_>>().join(" ")
    }
}

/// `word` as a shell takes it for one.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-+=.,:/@%".contains(c);
    if word.chars().all(is_plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = self.flags();
        let gap = if flags.is_empty() { "" } else { " " };
        write!(f, "{}{gap}{flags}", self.file)
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run begins.
    RunStarted {
        /// Name of the pipeline.
        pipeline: String,
        /// The file and what was laid over it.
        #[serde(flatten)]
        configuration: Configuration,
        /// Name of the run, also its folder's.
        run: String,
        /// The stages that this run will bring up to date, in order.
        stages: Vec<String>,
        /// The params of the pipeline, as TOML.
        #[serde(default)]
        params: BTreeMap<String, String>,
        /// The commit that git has checked out; none outside of a repository.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        revision: Option<String>,
    },
    /// A stage begins to run (never sent for a cached one).
    StageStarted {
        /// The stage.
        stage: String,
        /// Its key.
        #[serde(default)]
        key: String,
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
    /// Lines to be put into the pipeline file: shown as they are, whatever their length, and kept in the stage's log.
    Paste {
        /// The stage.
        stage: String,
        /// What they are, and where they belong; one line.
        text: String,
        /// The lines.
        lines: Vec<String>,
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
        #[serde(serialize_with = "counted")]
        metrics: BTreeMap<String, f64>,
        /// How many samples a second were trained on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        samples_per_second: Option<f64>,
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
    /// A stage is about to end with other figures than the lock has of it.
    Was {
        /// The stage.
        stage: String,
        /// Those of the lock.
        #[serde(serialize_with = "counted")]
        metrics: BTreeMap<String, f64>,
    },
    /// A stage ended.
    StageFinished {
        /// The stage.
        stage: String,
        /// How.
        outcome: Outcome,
        /// How long it took.
        seconds: f64,
        /// Its key; empty when it was not known, as of a stage that was skipped.
        key: String,
        /// Why it ran, failed or was skipped; empty when cached.
        reason: String,
        /// The figures that its record holds.
        #[serde(serialize_with = "counted")]
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

impl Event {
    /// Whether it says that a stage is up to date, as nearly all of a run with little to do are.
    #[must_use]
    pub fn is_cached(&self) -> bool {
        let Self::StageFinished { outcome, .. } = self else {
            return false;
        };
        *outcome == Outcome::Cached
    }
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
