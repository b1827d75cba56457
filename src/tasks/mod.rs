//! What networks are tuned to do: the registry of tasks. `finetune`, `evaluate` and `predict` know no task; they call it.
//!
//! A task is one file here and two lines below, its `mod` and its row: what it takes, and what kind of targets its samples have. A
//! [`TargetKind`] (one label, several labels, numbers, a tag a word, texts that are compared, masked tokens) reads targets, and has the loss, the figures, and what `predict` adds; that also
//! is one module here.

mod class_weights;
mod classes;
mod fill_mask;
mod image_classification;
mod image_multi_label;
mod image_regression;
mod labels;
mod masked;
mod numbers;
mod rank;
mod report;
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

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::Device;
pub use classes::CrossEntropy;
pub use report::Report;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::config::{Parts, fields_of as fields};
use crate::data::Table;
use crate::data::words::{self, Entity};
use crate::error::{Error, Result, Span};
use crate::models::{Card, Loaded, Masking, Modality, Network, Problem, Tokenizer};
use crate::train::{Loss, Marks, Metric, Targets};

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

/// What outputs mean, and what the user is to be told of how that was decided.
#[derive(Debug)]
pub struct Decided {
    /// What they mean.
    pub outputs: Box<dyn Outputs>,
    /// What was decided, in sentences.
    pub told: Vec<String>,
}

impl From<Box<dyn Outputs>> for Decided {
    fn from(outputs: Box<dyn Outputs>) -> Self {
        Self {
            outputs,
            told: Vec::new(),
        }
    }
}

/// What the outputs of a network mean.
pub trait Outputs: Debug + Send + Sync {
    /// What they are called, in their order.
    fn names(&self) -> &[String];

    /// How many numbers a layer on top makes of a sample's vector where that is the output; none if it stays as it is.
    fn embedding_size(&self) -> Option<usize> {
        None
    }

    /// The columns beside a pair's with texts of a sample, where each text of a sample is taken on its own; none where a pair is one text.
    fn apart(&self) -> Option<&[String]> {
        None
    }

    /// How tokens are masked, where samples are texts of which some are.
    fn masking(&self) -> Option<Masking> {
        None
    }

    /// Takes `column` as the one with the texts that targets are parts of.
    fn set_text_column(&mut self, _column: &str) {}

    /// Writes down what [`TargetKind::open`] reads.
    fn write(&self, card: &mut Card);

    /// The targets of the samples in `table`.
    ///
    /// # Errors
    /// A column that is not there, a value that is missing or no target, with its row.
    fn read(&self, table: &Table) -> Result<Read>;

    /// Looks at the targets of the samples at `port`, which are `sample`s: what is to be told, and what to be logged.
    ///
    /// # Errors
    /// Samples to train on that nothing can be learnt from.
    fn look(&self, port: &str, sample: &str, targets: &Targets) -> Result<Look>;

    /// Where words have targets: the class of the tokens behind the first one of a word of this class.
    fn further(&self, class: u32) -> u32 {
        class
    }

    /// The figures of what a network gives for samples with these targets, `[rows × outputs]`, row by row.
    ///
    /// # Errors
    /// Outputs that are no numbers.
    fn score(&self, outputs: &[f32], targets: &Targets) -> Result<Report>;

    /// The columns that `predict` adds, of these names.
    fn columns(&self, names: &Naming<'_>) -> Vec<String>;

    /// Their values for samples of which a network gives this, column by column.
    ///
    /// # Errors
    /// Outputs that are no numbers.
    fn values(&self, given: &Given<'_>) -> Result<Vec<Values>>;
}

/// What a network gives for some samples.
#[derive(Clone, Copy, Debug)]
pub struct Given<'g> {
    /// The numbers, `[rows × outputs]`, row by row.
    pub outputs: &'g [f32],
    /// How many samples there are.
    pub samples: usize,
    /// Of samples that are lists of words: the words of each text, and which of them the rows are for.
    pub words: Option<(&'g words::Texts, &'g Targets)>,
    /// Of texts with masks: the texts, which of their tokens the rows are for, and what tokens are called.
    pub masks: Option<(&'g [String], &'g Targets, &'g Tokenizer)>,
    /// Whether columns are to hold the numbers, and not what they mean.
    pub raw: bool,
}

impl<'g> Given<'g> {
    /// The words of each text, and which of them the rows are for.
    ///
    /// # Panics
    /// If the samples are no lists of words.
    fn of_words(&self) -> (&'g words::Texts, &'g Marks) {
        let (words, targets) = self.words.expect("the samples are lists of words");
        (words, targets.marks())
    }

    /// The texts, which of their tokens the rows are for, and what tokens are called.
    ///
    /// # Panics
    /// If the samples are no texts with masks.
    fn of_masks(&self) -> (&'g [String], &'g Marks, &'g Tokenizer) {
        let (texts, targets, tokenizer) = self.masks.expect("the samples are texts with masks");
        (texts, targets.marks(), tokenizer)
    }
}

/// Targets that were read, and what is to be told of how.
#[derive(Debug)]
pub struct Read {
    /// The targets, in the order of the samples.
    pub targets: Targets,
    /// What was decided, in sentences.
    pub told: Vec<String>,
}

/// What there is to say about some targets.
#[derive(Debug, Default)]
pub struct Look {
    /// What the user may not expect.
    pub told: Vec<String>,
    /// How many there are of what, in a few words.
    pub counted: String,
}

/// How columns that `predict` adds are called.
#[derive(Clone, Copy, Debug)]
pub struct Naming<'n> {
    /// What they begin with.
    pub prefix: &'n str,
    /// Whether they hold what the network gives, and not what that means.
    pub raw: bool,
    /// Of samples that are lists of words: whether these come from texts.
    pub of_texts: bool,
}

impl Naming<'_> {
    /// The name of the column for what the network says about `label`.
    fn score(&self, label: &str) -> String {
        let what = if self.raw { "logit" } else { "probability" };
        format!("{}{what}_{label}", self.prefix)
    }
}

/// A column that `predict` adds.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Words.
    Words(Vec<String>),
    /// Lists of words, and what stands between two where a list has to be text.
    Lists(Vec<Vec<String>>, String),
    /// Numbers.
    Numbers(Vec<f32>),
    /// Lists of numbers, with gaps where there is none.
    NumberLists(Vec<Vec<Option<f32>>>),
    /// Lists of entities.
    Entities(Vec<Vec<Entity>>),
    /// Lists of numbers that are one thing.
    Vectors(Vec<Vec<f32>>),
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

/// The tasks that have a metric called `name`.
fn with_metric(name: &str) -> Vec<&'static str> {
    let has = |task: &&&Task| {
        let mut metrics = task.targets.metrics().into_iter();
        metrics.any(|metric| metric.name == name)
    };
    TASKS.iter().filter(has).map(|task| task.name).collect()
}

/// Whether a metric of any task is the better the higher it is; none if no task has it.
#[must_use]
pub fn higher_is_better(name: &str) -> Option<bool> {
    let mut metrics = TASKS.iter().flat_map(|task| task.targets.metrics());
    let found = metrics.find(|metric| metric.name == name);
    found.map(|metric| metric.higher_is_better)
}

/// Refuses a metric that no task has.
///
/// # Errors
/// A name that none has, with those that there are.
pub fn check_metric(name: &str) -> Result<()> {
    if !with_metric(name).is_empty() {
        return Ok(());
    }
    let metrics = TASKS.iter().flat_map(|task| task.targets.metrics());
    let mut seen = BTreeSet::new();
    let known: Vec<_> = metrics
        .map(|metric| metric.name)
        .filter(|name| seen.insert(*name))
        .collect();
    Err(Error::usage(format!("unknown metric `{name}`"))
        .note(format!("known metrics: {}", known.join(", ")))
        .did_you_mean(name, known))
}

/// The word for why a task does not know the setting `key`: that others do.
#[must_use]
pub fn stray(task: &Task, key: &str) -> Option<Error> {
    let knows = |other: &&&Task| other.targets.keys(other.modality).contains(&key);
    let others: Vec<_> = TASKS.iter().filter(knows).map(|other| other.name).collect();
    (!others.is_empty()).then(|| {
        Error::usage(format!("`{key}` is no setting of {}", task.name))
            .note(format!("it is one of {}", others.join(", ")))
    })
}

/// The task of a tuned model that takes `modality`: what its card says, else what transformers' classes do.
///
/// # Errors
/// A task that refire does not know.
pub fn of(card: &Card, modality: Modality) -> Result<&'static Task> {
    let mut tasks = TASKS.iter().copied();
    if let Some(name) = &card.task {
        return find(name).map_err(|error| {
            error
                .of_kind(crate::error::Kind::Stage)
                .note("it is what the model's refire.json says")
        });
    }
    let fits = |task: &&Task| task.modality == modality && task.targets.problem() == card.problem;
    tasks.find(fits).ok_or_else(|| {
        Error::stage(format!(
            "no task is for {} with a head for {}",
            modality.name(),
            card.problem.name()
        ))
    })
}

/// The task called `name`.
///
/// # Errors
/// If there is none, with those that there are.
pub fn find(name: &str) -> Result<&'static Task> {
    let names = || TASKS.iter().map(|task| task.name);
    let found = TASKS.iter().find(|task| task.name == name);
    found.copied().ok_or_else(|| {
        let known: Vec<_> = names().map(|name| format!("\"{name}\"")).collect();
        Error::usage(format!(
            "expected one of {}, found \"{name}\"",
            known.join(", ")
        ))
        .did_you_mean(name, names())
    })
}

/// A task as a setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TaskName(pub &'static Task);

impl<'de> Deserialize<'de> for TaskName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let found = TASKS.iter().find(|task| task.name == name);
        found.map(|task| Self(task)).ok_or_else(|| {
            static NAMES: std::sync::LazyLock<Vec<&'static str>> =
                std::sync::LazyLock::new(|| TASKS.iter().map(|task| task.name).collect());
            serde::de::Error::unknown_variant(&name, &NAMES)
        })
    }
}

impl Serialize for TaskName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name)
    }
}

impl JsonSchema for TaskName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Task".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let tasks = TASKS
            .iter()
            .map(|task| serde_json::json!({ "const": task.name, "description": task.about }));
        json_schema!({ "oneOf": tasks.collect::<Vec<_>>() })
    }
}
