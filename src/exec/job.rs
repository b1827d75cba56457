//! One stage from its inputs to its published outputs, in this process.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::cancellation::Cancellation;
use super::machine::Share;
use crate::error::{Context, Error, Result, panic_text};
use crate::event::{self, Event, Sink};
use crate::fingerprint::{Fingerprint, Role};
use crate::names;
use crate::plan::Node;
use crate::stages::{Job, StageContext};
use crate::store::{Digest, Durable, Record, Store, Unrestored};

/// What stages run with, besides themselves.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The cache.
    pub store: &'a Store,
    /// Where events go.
    pub events: &'a dyn Sink,
    /// What the user wants of the run.
    pub cancellation: &'a dyn Cancellation,
    /// The pipeline's device.
    pub device: &'a str,
    /// Never touch the network.
    pub offline: bool,
}

/// A stage that is to run, with its inputs.
pub struct Task<'a> {
    /// The stage.
    pub node: &'a Node,
    /// Input port → artifact.
    pub inputs: BTreeMap<String, Digest>,
    /// What its key is made of.
    pub fingerprint: Fingerprint,
    /// What it may use of the machine.
    pub share: Share,
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// Input port → how many seconds it took to make what comes there, for a stage that shows it.
    pub times: BTreeMap<String, f64>,
}

/// Why a stage has no result.
#[derive(Debug)]
pub enum Failure {
    /// The artifact at this input port is damaged: what makes it has to run again.
    DamagedInput(String),
    /// It failed.
    Failed(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// What runs stages.
pub trait Runner: Sync {
    /// Runs the stage of `task` and publishes what it made, the record last.
    ///
    /// # Errors
    /// A damaged input, or whatever failed; nothing is published then.
    fn run(&self, task: &Task<'_>, around: &Surroundings<'_>) -> Result<Made, Failure>;
}

/// What a stage has made.
#[derive(Clone, Debug)]
pub struct Made {
    /// What it came to.
    pub record: Record,
    /// Whether the record is in the cache: not if a file that the stage read has changed meanwhile.
    pub kept: bool,
}

/// Runs stages in this process: for tests, for programs on the library, and at the other end of a worker.
pub struct InProcess;

impl Runner for InProcess {
    /// The record is not written when one of the stage's files changed meanwhile: the result may belong to neither
    /// content.
    fn run(&self, task: &Task<'_>, around: &Surroundings<'_>) -> Result<Made, Failure> {
        make(task, around).map_err(|failure| match failure {
            Failure::Failed(error) => Failure::Failed(task.node.stage.without_secrets(error)),
            damaged @ Failure::DamagedInput(_) => damaged,
        })
    }
}

/// Runs the stage and publishes what it made.
fn make(task: &Task<'_>, around: &Surroundings<'_>) -> Result<Made, Failure> {
    let started = Instant::now();
    let node = task.node;
    let home = around.store.take_scratch(&node.name)?;
    let key = Digest::from(task.fingerprint.digest());
    let mut job = Job {
        stage: node.name.clone(),
        scratch: folder(home.path().join("scratch"))?,
        downloads: around.store.root().join("downloads"),
        checkpoint: Some(around.store.checkpoint(&key)),
        seed: node.seed,
        device: around.device.into(),
        gpus: task.share.gpus.clone(),
        offline: around.offline,
        times: task.times.clone(),
        ..Job::default()
    };
    let (inputs, restore): (PathBuf, fn(&Store, &_, &_) -> _) = if node.stage.owns_inputs() {
        (job.scratch.clone(), Store::copy_out)
    } else {
        (home.path().join("in"), Store::materialise)
    };
    for (port, digest) in &task.inputs {
        let to = names::join(&inputs, port)?;
        restore(around.store, digest, &to).map_err(|error| match error {
            Unrestored::Damaged(_) => Failure::DamagedInput(port.clone()),
            Unrestored::Failed(error) => Failure::Failed(error),
        })?;
        // What a port gathers lies in a folder with one folder an instance.
        let name = port.split('/').next().unwrap_or(port);
        job.inputs.insert(name.into(), inputs.join(name));
    }
    for output in &node.outputs {
        let to = names::join(&home.path().join("out"), &output.port)?;
        job.outputs.insert(output.port.clone(), folder(to)?);
    }
    let cancelled = || around.cancellation.stop() || around.cancellation.is_outdated(&node.name);
    let mut context = StageContext::new(&job, around.store, around.events, &cancelled);
    let end = catch_unwind(AssertUnwindSafe(|| node.stage.run(&mut context)));
    end.unwrap_or_else(|panic| Err(panicked(&*panic)))
        .map_err(|error| without_home(error, home.path()))?;
    let metrics = context.take_metrics();
    let moved = node.stage.files().into_iter().find(|file| {
        let before = task
            .fingerprint
            .value(Role::File, &file.role)
            .and_then(|digest| digest.parse().ok());
        before.is_none_or(|digest| !around.store.is_unchanged(&file.path, &digest))
    });
    let mut record = Record {
        key,
        kind: node.kind.name().into(),
        explanation: task.fingerprint.explanation().into_iter().collect(),
        outputs: BTreeMap::new(),
        metrics,
        seconds: started.elapsed().as_secs_f64(),
        finished_at: jiff::Timestamp::try_from(event::now()).unwrap_or_default(),
        bytes: 0,
    };
    let durable = Durable::after(record.seconds);
    for (port, path) in &job.outputs {
        let published = around.store.publish_durably(path, durable)?;
        record.bytes += published.bytes;
        record.outputs.insert(port.clone(), published.digest);
    }
    match &moved {
        None => around.store.put_record_durably(&record, durable)?,
        Some(file) => around.events.send(&Event::Notice {
            stage: Some(node.name.clone()),
            text: format!(
                "`{}` changed while the stage ran; its result is not cached",
                file.path.display()
            ),
        }),
    }
    around.store.forget_checkpoint(&key);
    // What cannot be emptied is removed as a whole.
    if empty(home.path()).is_ok() {
        around.store.give_back_scratch(home);
    }
    let kept = moved.is_none();
    Ok(Made { record, kept })
}

/// Removes what a stage left in its folders; those of its ports stay, empty. Its scratch folder goes: a process that it left
/// behind must not find itself in the next stage's.
fn empty(home: &Path) -> std::io::Result<()> {
    for ports in ["in", "out"] {
        for port in std::fs::read_dir(home.join(ports)).into_iter().flatten() {
            let port = port?;
            // What a link leads to is not ours.
            if port.file_type()?.is_dir() {
                remove_all_in(&port.path())?;
            } else {
                std::fs::remove_file(port.path())?;
            }
        }
    }
    std::fs::remove_dir_all(home.join("scratch"))
}

fn remove_all_in(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn folder(path: PathBuf) -> Result<PathBuf> {
    std::fs::create_dir_all(&path).or_stage(|| format!("cannot create `{}`", path.display()))?;
    Ok(path)
}

/// The error with the names that users know: `model/config.json` is a file of port `model`, wherever it lay.
fn without_home(error: Error, home: &Path) -> Error {
    let folders = ["in", "out", "scratch"].map(|name| format!("{}/", home.join(name).display()));
    error.map_text(|text| {
        let strip = |text: String, folder: &String| text.replace(folder, "");
        folders.iter().fold(text.to_string(), strip)
    })
}

pub(super) fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    Error::stage("the stage stopped at a bug in refire or in a library")
        .cause(panic_text(panic))
        .help("please report it with the pipeline file and the stage's log")
}
