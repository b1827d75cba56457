//! What runs have come to, sent to trackers: TensorBoard files, and an MLflow server.
//!
//! A run first writes down what there is to send, in a folder of its own (the *outbox*), and then sends what lies there, of earlier runs,
//! too. What has been sent is noted as it goes, so that nothing is sent twice, and what cannot be sent waits for the next run. No tracker
//! can make a run fail.

mod http;
mod mlflow;
mod outbox;
mod record_file;
mod tensorboard;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use outbox::Outbox;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::Tracking;
use crate::error::{Error, Result};

/// What there is to send of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// Name of the pipeline; what runs are gathered under, unless the pipeline says otherwise.
    pub pipeline: String,
    /// Name of the run.
    pub run: String,
    /// The file and what was laid over it.
    pub configuration: String,
    /// The commit that git had checked out.
    pub revision: Option<String>,
    /// The params, as TOML.
    pub params: BTreeMap<String, String>,
    /// When it began and when it ended, in milliseconds since 1970.
    pub times: [u64; 2],
    /// Whether all went well.
    pub succeeded: bool,
    /// The stages that have run and come to figures.
    pub stages: Vec<StageReport>,
}

/// What there is to send of a stage.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StageReport {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Its key.
    pub key: String,
    /// Its settings, as TOML.
    pub settings: BTreeMap<String, String>,
    /// Its figures.
    pub metrics: BTreeMap<String, f64>,
    /// Whether it did what it should.
    pub succeeded: bool,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// The lines of `history.jsonl`, if it trains.
    pub history: Vec<Value>,
    /// The labels, and for each the samples of that label that the model takes for each, if it measures that.
    pub confusion: Option<(Vec<String>, Vec<Vec<u64>>)>,
    /// Its small artifacts: name of the file → what is in it.
    pub files: BTreeMap<String, String>,
    /// Its model: what the cache calls it.
    pub model: Option<String>,
}

/// Gives the files of a model that the cache knows by a digest, in a folder that it fills; none if they are gone.
pub type Fetch<'f> = dyn Fn(&str, &Path) -> bool + 'f;

/// Sends what lies in `outbox`, and says what could not be sent, in sentences. `folder` is what paths are relative to.
pub fn send(
    tracking: &Tracking,
    folder: &Path,
    outbox: &Outbox,
    fetch: &Fetch<'_>,
    offline: bool,
) -> Vec<String> {
    let mut told = Vec::new();
    // Another run of the same pipeline sends what waits; what it has not seen goes with the next one.
    let Some(_alone) = outbox.alone() else {
        return told;
    };
    let mut trackers: Vec<(&str, Box<dyn Tracker + '_>)> = Vec::new();
    if let Some(path) = &tracking.tensorboard {
        let writer = tensorboard::Writer {
            folder: folder.join(&path.value),
        };
        trackers.push(("tensorboard", Box::new(writer)));
    }
    if let Some(server) = &tracking.mlflow {
        if offline {
            told.push(format!(
                "{} hears of this run with the next one that is not `--offline`",
                server.value
            ));
        } else {
            let client = mlflow::Client::new(&server.value, tracking, fetch);
            trackers.push(("mlflow", Box::new(client)));
        }
    }
    for (name, tracker) in trackers {
        let sent = outbox.each(name, |report, done| tracker.track(report, done));
        if let Err(error) = sent {
            told.push(format!(
                "what this run came to could not be sent to {name}, and will be with the next run: {}",
                sentence(&error)
            ));
        }
    }
    let names: Vec<&str> = [
        tracking.tensorboard.as_ref().map(|_| "tensorboard"),
        tracking.mlflow.as_ref().map(|_| "mlflow"),
    ]
    .into_iter()
    .flatten()
    .collect();
    outbox.clear(&names);
    told
}

/// An error with its causes and what helps, in one line.
fn sentence(error: &Error) -> String {
    let further = error.causes().iter().map(String::as_str);
    let further = further.chain(error.help_text());
    further.fold(error.message().to_string(), |text, more| {
        format!("{text}: {more}")
    })
}

/// Takes what runs have come to.
trait Tracker {
    /// Sends a run. `done` is how far an earlier try came, and is written as this one gets further.
    ///
    /// # Errors
    /// What keeps it from being sent.
    fn track(&self, report: &Report, done: &mut Done<'_>) -> Result<()>;
}

/// How far a run has been sent to a tracker: words that the tracker chooses.
pub(in crate::tracking) struct Done<'d> {
    words: BTreeMap<String, String>,
    save: &'d dyn Fn(&BTreeMap<String, String>) -> Result<()>,
}

impl Done<'_> {
    fn get(&self, word: &str) -> Option<String> {
        self.words.get(word).cloned()
    }

    /// Keeps a word, before anything that would not be wanted twice.
    fn set(&mut self, word: &str, value: &str) -> Result<()> {
        self.words.insert(word.into(), value.into());
        (self.save)(&self.words)
    }
}

/// A point of a curve.
struct Point {
    name: String,
    step: u64,
    value: f64,
}

/// The curves of a training: what each step and each epoch came to.
fn curves(history: &[Value]) -> Vec<Point> {
    let mut points = Vec::new();
    for line in history {
        let step = line["step"].as_u64().unwrap_or_default();
        let mut add = |name: &str, value: &Value| {
            if let Some(value) = value.as_f64() {
                let name = name.to_owned();
                points.push(Point { name, step, value });
            }
        };
        for name in ["loss", "learning_rate", "gradient_norm", "train_loss"] {
            add(name, &line[name]);
        }
        if let Some(epoch) = line["epoch"].as_u64() {
            add("epoch", &epoch.into());
        }
        for (name, value) in line["validation"].as_object().into_iter().flatten() {
            add(&format!("validation/{name}"), value);
        }
    }
    points
}

/// A path below `folder` that is called after a run or a stage.
fn below(folder: &Path, name: &str) -> PathBuf {
    let plain = |c: char| {
        if c.is_alphanumeric() || "-_.@=,".contains(c) {
            c
        } else {
            '_'
        }
    };
    folder.join(name.chars().map(plain).collect::<String>())
}
