//! What networks are tuned to do: the registry of tasks. `finetune`, `evaluate` and `predict` know no task; they call it.
//!
//! A task is one file here and two lines below, its `mod` and its row: what it takes, and what kind of targets its samples have. A
//! [`TargetKind`] (one label, several labels, numbers, a tag a word, texts that are compared, masked tokens) reads targets, and has the loss, the figures, and what `predict` adds; that also
//! is one module here.

mod class_weights;
mod classes;
mod columns;
mod fill_mask;
mod image_classification;
mod image_multi_label;
mod image_regression;
mod labels;
mod masked;
mod numbers;
mod outputs;
mod rank;
mod registry;
mod report;
mod resampling;
mod sentence_similarity;
mod sets;
mod similar;
mod text_classification;
mod text_multi_label;
mod text_regression;
mod token_classification;
mod tokens;
#[cfg(test)]
mod toy;

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::Device;
pub use classes::CrossEntropy;
pub use outputs::{Decided, Given, Look, Naming, Outputs, Read, Sampled, Values};
use registry::with_metric;
pub use registry::{TaskName, check_metric, find, higher_is_better, of, stray};
pub use report::Report;
pub use resampling::{intervals, part_of};
use schemars::{Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::config::{Parts, fields_of as fields};
use crate::data::Table;
use crate::error::{Error, Result, Span};
use crate::models::{Card, Loaded, Modality, Network, Problem};
use crate::train::{Loss, Metric, Targets};

/// Every task, in the order of documentation.
pub const TASKS: &[&Task] = &[
    &text_classification::TASK,
    &text_multi_label::TASK,
    &text_regression::TASK,
    &token_classification::TASK,
    &sentence_similarity::TASK,
    &fill_mask::TASK,
    &image_classification::TASK,
    &image_multi_label::TASK,
    &image_regression::TASK,
    #[cfg(test)]
    &toy::TASK,
];

/// What a network is tuned to do.
pub struct Task {
    /// The word after `task =`.
    pub name: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// What a sample is.
    pub modality: Modality,
    /// What a sample comes to.
    pub targets: &'static dyn TargetKind,
}

/// A kind of targets: what they are read from, what training makes small, which figures say how good it went.
pub trait TargetKind: Sync {
    /// What the outputs of a network mean, in transformers' words.
    fn problem(&self) -> Problem;

    /// The figures that can be asked for, in the order of documentation; the first chooses the best epoch unless the settings say
    /// otherwise.
    fn metrics(&self) -> Vec<&'static Metric>;

    /// The figure that decides between epochs that are equally good.
    fn tie_breaker(&self) -> &'static Metric;

    /// Whether a sample is a list of words with a target each, and not a text with one.
    fn by_word(&self) -> bool {
        false
    }

    /// Whether samples are texts without targets, of which some tokens are masked.
    fn masks(&self) -> bool {
        false
    }

    /// The names of the settings of [`parse`](Self::parse).
    fn keys(&self, modality: Modality) -> Vec<&'static str>;

    /// Reads its settings, and completes them.
    ///
    /// # Errors
    /// Wrong types and values that cannot be meant, with their places.
    fn parse(&self, parts: &mut Parts<'_>, modality: Modality) -> Result<Box<dyn Reading>>;

    /// The JSON Schemas of its settings.
    fn schemas(&self, generator: &mut SchemaGenerator) -> Vec<Schema>;

    /// What the outputs of a tuned model mean; `columns` hold the targets, where that is not as when it was tuned.
    ///
    /// # Errors
    /// A card that does not say it.
    fn open(
        &self,
        card: &Card,
        modality: Modality,
        columns: Option<Vec<String>>,
    ) -> Result<Box<dyn Outputs>>;
}

/// How targets are read, and what they count: the settings of a task as they are written.
pub trait Reading: Debug + Send + Sync {
    /// The settings about what is read, and those about the loss, in the order of documentation and with nulls for what is not set.
    fn settings(&self) -> [Map<String, Value>; 2];

    /// The file beside the pipeline that it reads: what it is, where, and where the pipeline names it.
    fn file(&self) -> Option<(&'static str, PathBuf, Span)> {
        None
    }

    /// What can be checked without a sample.
    ///
    /// # Errors
    /// A file that cannot be read or does not fit the settings.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// The setting for which samples to measure on are needed, and where it is written; none if it goes without.
    fn needs_validation(&self) -> Option<(&'static str, Option<Span>)> {
        None
    }

    /// How words become samples; none if a sample is a text or an image.
    fn by_word(&self) -> Option<ByWord> {
        None
    }

    /// The figure that says most about targets as the settings say that they are; none for the task's first.
    fn first_metric(&self) -> Option<&'static Metric> {
        None
    }

    /// Whether a sample is several texts, each of which is taken on its own.
    fn compares(&self) -> bool {
        false
    }

    /// What the outputs mean, given the targets of all samples to train and measure on by port, and what the outputs of the model mean
    /// that it starts from.
    ///
    /// # Errors
    /// Targets that nothing can be learnt from.
    fn outputs(&self, samples: &[(&str, Table)], own: &[String]) -> Result<Decided>;

    /// What training makes small.
    ///
    /// # Errors
    /// Settings that do not fit the outputs.
    fn loss(&self, names: &[String], train: &Targets) -> Result<Arc<dyn Loss>>;

    /// What the outputs mean after training, given what the best network gives for the samples to measure on.
    ///
    /// # Errors
    /// Outputs that are no numbers.
    fn settle(
        &self,
        outputs: Box<dyn Outputs>,
        _validation: Option<(&[f32], &Targets)>,
    ) -> Result<Decided> {
        Ok(outputs.into())
    }
}

/// How lists of words become samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByWord {
    /// How many tokens a window of a text that is too long has in common with the one before; none if such texts are cut.
    pub stride: Option<usize>,
    /// Whether all tokens of a word learn, and not the first one alone.
    pub every_token: bool,
}

impl Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Task {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Task {
    /// The metric called `name`.
    ///
    /// # Errors
    /// If it has none of that name, with the names that it has.
    pub fn metric(&self, name: &str) -> Result<&'static Metric> {
        let metrics = self.targets.metrics();
        let found = metrics.iter().find(|metric| metric.name == name);
        found.copied().ok_or_else(|| {
            let known: Vec<_> = metrics.iter().map(|metric| metric.name).collect();
            let elsewhere = with_metric(name);
            let error = if elsewhere.is_empty() {
                Error::usage(format!("unknown metric `{name}`"))
            } else {
                Error::usage(format!("{} has no metric `{name}`", self.name))
            };
            error
                .note(format!("known metrics: {}", known.join(", ")))
                .did_you_mean(name, known)
        })
    }

    /// The task of the model in `folder`, and the model: `asked`, which it need not be tuned to do, or what it is tuned to do.
    ///
    /// # Errors
    /// A model that cannot be loaded or is not tuned; an `asked` task for which a model has to be tuned.
    pub fn open(
        asked: Option<&'static Self>,
        folder: &Path,
        device: &Device,
    ) -> Result<(&'static Self, Loaded)> {
        let Some(task) = asked else {
            let loaded = Network::open(folder, device)?;
            return Ok((of(&loaded.card, loaded.modality)?, loaded));
        };
        task.check_goes_untuned()?;
        Ok((task, Network::open_encoder(folder, task.modality, device)?))
    }

    /// Refuses a task that a model has to be tuned for.
    ///
    /// # Errors
    /// Such a task.
    pub fn check_goes_untuned(&self) -> Result<()> {
        if self.targets.problem().needs_no_layer() {
            return Ok(());
        }
        let does = |task: &&&Task| task.targets.problem().needs_no_layer();
        let all: Vec<_> = TASKS.iter().filter(does).map(|task| task.name).collect();
        Err(Error::usage(format!(
            "a model has to be tuned for {}, and then says itself that this is its task",
            self.name
        ))
        .help(format!("leave `task` out; it is for {}", all.join(", "))))
    }

    /// Refuses samples of another modality.
    ///
    /// # Errors
    /// Such samples.
    pub fn check_takes(&self, modality: Modality) -> Result<()> {
        if self.modality == modality {
            return Ok(());
        }
        Err(Error::stage(format!(
            "the model is for {}, not for {}",
            self.modality.name(),
            modality.name()
        )))
    }
}

/// The error for a tuned model that does not say what was in which column.
pub(crate) fn unknown_column(setting: &str) -> Error {
    Error::stage(format!(
        "the model does not say which `{setting}` it was tuned on"
    ))
    .help(format!("set `{setting}` in this stage"))
}

/// Refuses what a network gives for samples, `[samples × width]`, unless all of it is finite.
fn check_finite(outputs: &[f32], width: usize) -> Result<()> {
    match outputs.iter().position(|output| !output.is_finite()) {
        None => Ok(()),
        Some(position) => Err(Error::stage(format!(
            "the model's output for sample {} is not a finite number",
            position / width.max(1) + 1
        ))
        .note("its weights are finite, but overflow")
        .help("if a training of yours made them, set a lower `learning_rate`; else take config.json and the weights from the same model")),
    }
}

/// A part of the settings as JSON.
fn object(part: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(part) {
        Ok(Value::Object(fields)) => fields,
        _ => panic!("a part of the settings must be a struct with string keys"),
    }
}
