//! What a stage is, and the registry of stage kinds: the list that feeds parsing, help, the JSON Schema and tests.
//!
//! A new kind is one file here and two lines below: its `mod` and its row in [`KINDS`].

#[cfg(test)]
mod bench;
mod command;
mod compare;
mod context;
mod data_schema;
mod dataset;
mod evaluate;
mod export;
mod feature_cache;
mod finetune;
mod freeze;
mod gate;
mod images;
mod initialize;
mod lora;
mod mirrors;
mod photos;
mod port;
mod predict;
mod preprocess;
mod pretrained;
mod samples;
mod schema;
mod select;
mod split;
mod variables;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub use context::{Job, StageContext};
pub use gate::{Bound, Comparison, Gate};
pub use port::{Port, Ports};
pub use schema::schema;
pub use variables::{VISIBLE_GPUS, Variables};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Table;
use crate::error::{Error, Result, Span};
use crate::fingerprint::Manifest;
use crate::tasks::Task;
pub use crate::tasks::higher_is_better;

/// Every stage kind of refire, in the order in which they are documented.
pub const KINDS: &[&dyn StageKind] = &[
    &pretrained::PretrainedKind,
    &initialize::InitializeKind,
    &dataset::DatasetKind,
    &preprocess::PreprocessKind,
    &split::SplitKind,
    &images::ImagesKind,
    &freeze::FreezeKind,
    &lora::LoraKind,
    &finetune::FinetuneKind,
    &finetune::LrFindKind,
    &evaluate::EvaluateKind,
    &compare::CompareKind,
    &select::SelectKind,
    &predict::PredictKind,
    &export::ExportKind,
    &command::CommandKind,
];

/// A kind of stage: `finetune`, `split`, …
pub trait StageKind: Sync {
    /// The word after `kind =`.
    fn name(&self) -> &'static str;

    /// What it does, in one line, for help and the JSON Schema.
    fn about(&self) -> &'static str;

    /// The version of its algorithm: raised by every change that can change a result. Part of the key.
    fn version(&self) -> u32;

    /// Whether its work happens in a program of its own anyway, so that many such stages can share a worker.
    fn is_light(&self) -> bool {
        false
    }

    /// Reads its own settings.
    ///
    /// # Errors
    /// Unknown keys, wrong types and values that cannot be meant, with their place in the file.
    fn parse(&self, table: &Table) -> Result<Box<dyn Stage>>;

    /// The JSON Schema of its settings.
    fn schema(&self, generator: &mut schemars::SchemaGenerator) -> schemars::Schema;
}

/// One stage of a pipeline: a kind with its settings.
pub trait Stage: Send + Sync {
    /// What it needs from other stages.
    fn inputs(&self) -> Vec<Input>;

    /// Whether input `port` takes all instances of a matrix stage at once: a folder with one artifact an instance.
    fn gathers(&self, _port: &str) -> bool {
        false
    }

    /// Whether it shows how long it took to make what it takes. What it makes must not depend on that.
    fn shows_times(&self) -> bool {
        false
    }

    /// Whether it may change its inputs. They are then writable copies in its scratch folder, each under the name of its
    /// port; otherwise they are shared with the cache and must stay as they are.
    fn owns_inputs(&self) -> bool {
        false
    }

    /// What it makes, in order; the names are constant for a given set of settings.
    fn outputs(&self) -> Vec<Output>;

    /// The files outside the cache that it reads: they enter the key by content and are watched.
    fn files(&self) -> Vec<LocalFile> {
        Vec::new()
    }

    /// What it fetches from elsewhere when it runs.
    fn downloads(&self) -> Vec<Download> {
        Vec::new()
    }

    /// The folders in which files may appear that it would read as well; they are watched.
    fn folders(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Walks everything that can change the result, apart from inputs and files, which the caller adds.
    fn describe(&self, key: &mut dyn Manifest);

    /// Conditions on its metrics that must hold for what depends on it to run.
    fn gates(&self) -> &[Gate] {
        &[]
    }

    /// `error` as it may be seen: without what the settings say is secret.
    fn without_secrets(&self, error: Error) -> Error {
        error
    }

    /// Everything that can be checked without running, beyond parsing: `refire check` calls it.
    ///
    /// # Errors
    /// The first thing that is wrong.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// The task of the model that it makes, if that is known; `upstream` says it of a model at an input port, and of the first of those
    /// that a port gathers.
    fn task(&self, _upstream: &dyn Fn(&str) -> Option<&'static Task>) -> Option<&'static Task> {
        None
    }

    /// Whether it suits the models that it is given, as far as their tasks are known before anything runs.
    ///
    /// # Errors
    /// What it asks of a model that a model of that task does not have.
    fn suits(&self, _upstream: &dyn Fn(&str) -> Option<&'static Task>) -> Result<()> {
        Ok(())
    }

    /// What its settings alone say about a run that the user may not expect: `refire plan` shows it.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// Where it goes on if it was interrupted and left how far it had come in `checkpoint`, which need not exist: `goes on at
    /// epoch 3`.
    fn resumes(&self, _checkpoint: &Path) -> Option<String> {
        None
    }

    /// Does the work: reads the inputs, fills the outputs.
    ///
    /// # Errors
    /// Whatever went wrong; nothing is published then.
    fn run(&self, cx: &mut StageContext<'_>) -> Result<()>;
}

/// The type of an artifact: what a port takes or gives.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ArtifactType {
    /// Any files.
    Files,
    /// `table.parquet`.
    Table,
    /// `images.arrow`: u8 pixels and a label each.
    Images,
    /// A Hugging Face directory and `refire.json`.
    Model,
    /// `metrics.json`.
    Metrics,
    /// `report.html`.
    Report,
}

impl ArtifactType {
    /// The file that makes an artifact one of this type; none if any files do.
    #[must_use]
    pub fn file(self) -> Option<&'static str> {
        match self {
            Self::Files => None,
            Self::Table => Some("table.parquet"),
            Self::Images => Some("images.arrow"),
            Self::Model => Some("config.json"),
            Self::Metrics => Some("metrics.json"),
            Self::Report => Some("report.html"),
        }
    }

    /// The word for it in messages, with its article.
    #[must_use]
    pub fn with_article(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Table => "a table",
            Self::Images => "images",
            Self::Model => "a model",
            Self::Metrics => "metrics",
            Self::Report => "a report",
        }
    }
}

/// Something a stage needs.
#[derive(Clone, Debug)]
pub struct Input {
    /// Name of the port; for a port that takes many, `port.name`.
    pub port: String,
    /// The types that it accepts.
    pub accepts: &'static [ArtifactType],
    /// The stage, or `stage.port`, as written.
    pub from: Port,
}

/// Something a stage makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Name of the port.
    pub port: String,
    /// Its type.
    pub artifact: ArtifactType,
    /// Whether it is only meant where it is named: `STAGE.PORT`, and not `STAGE`.
    pub beside: bool,
}

impl Output {
    /// The output `port` of type `artifact`.
    #[must_use]
    pub fn new(port: impl Into<String>, artifact: ArtifactType) -> Self {
        Self {
            port: port.into(),
            artifact,
            beside: false,
        }
    }

    /// The same beside what the stage is for, so that it has to be named.
    #[must_use]
    pub fn beside(port: impl Into<String>, artifact: ArtifactType) -> Self {
        Self {
            beside: true,
            ..Self::new(port, artifact)
        }
    }
}

/// A file, or a folder with all that is in it, that a stage reads and that is not an artifact.
#[derive(Clone, Debug)]
pub struct LocalFile {
    /// What it is to the stage; part of the key: `source`, `schema`, `file src/prepare.py`.
    pub role: String,
    /// Where it is.
    pub path: PathBuf,
    /// Where the pipeline names it.
    pub span: Span,
}

/// Something that a stage fetches from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// The sources that have it, in the order in which they are asked.
    pub from: Vec<String>,
    /// How many files it is.
    pub files: Files,
    /// How many bytes at least, where that is known without asking anybody.
    pub bytes: Option<u64>,
}

/// How many files are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// So many.
    Some(usize),
    /// Those of an archive, of which nobody knows before it is there.
    Archive,
    /// Those of a model, which are chosen from what its repository has.
    Model,
}

/// The kinds that a program adds to its own refire.
static ADDED: OnceLock<&'static [&'static dyn StageKind]> = OnceLock::new();

/// Adds kinds for as long as the program runs. They are found before those of refire with the same name. Only the first
/// call counts: a program says once, at its start, which kinds it knows.
pub fn add(kinds: &'static [&'static dyn StageKind]) {
    let _ = ADDED.set(kinds);
}

/// Every kind that this program knows: those that were added, and refire's own.
pub fn kinds() -> impl Iterator<Item = &'static dyn StageKind> {
    let added = ADDED.get().copied().unwrap_or_default();
    added.iter().chain(KINDS).copied()
}

/// The kind called `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static dyn StageKind> {
    kinds().find(|kind| kind.name() == name)
}
