//! What a running stage may touch: its inputs, its outputs, its scratch folder, its memos, and the screen by events.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::error::{Error, Kind, Result};
use crate::event::{Event, Observer, Sink};
use crate::sources::{Environment, Transfer};
use crate::store::{Store, memo, recall};
use crate::train::Host;

/// Everything that a stage is run with, decided before it starts.
#[derive(Clone, Debug, Default)]
pub struct Job {
    /// Name of the stage in its pipeline.
    pub stage: String,
    /// Input port → folder with the artifact's files, read-only.
    pub inputs: BTreeMap<String, PathBuf>,
    /// Output port → empty folder to fill.
    pub outputs: BTreeMap<String, PathBuf>,
    /// An empty folder for the stage's own use, removed afterwards.
    pub scratch: PathBuf,
    /// A folder that outlives the run, where interrupted downloads wait for the next one.
    pub downloads: PathBuf,
    /// A file that outlives the run until the stage is done, for how far it has come: its name is the stage's key.
    pub checkpoint: Option<PathBuf>,
    /// The stage's seed.
    pub seed: u64,
    /// The device that the pipeline names: `cpu`.
    pub device: String,
    /// The accelerators that the stage has for itself, as `CUDA_VISIBLE_DEVICES` names them.
    pub gpus: Vec<String>,
    /// Never touch the network.
    pub offline: bool,
    /// Input port → how many seconds it took to make what comes there, for a stage that shows it; `port/INSTANCE` for a port that gathers.
    pub times: BTreeMap<String, f64>,
}

/// A stage's view of the world while it runs.
pub struct StageContext<'a> {
    job: &'a Job,
    store: &'a Store,
    events: &'a dyn Sink,
    cancelled: &'a (dyn Fn() -> bool + Sync),
    metrics: BTreeMap<String, f64>,
    /// What is told once however often it comes up.
    told: Mutex<BTreeSet<String>>,
}

impl<'a> StageContext<'a> {
    /// A context for `job`.
    #[must_use]
    pub fn new(
        job: &'a Job,
        store: &'a Store,
        events: &'a dyn Sink,
        cancelled: &'a (dyn Fn() -> bool + Sync),
    ) -> Self {
        Self {
            job,
            store,
            events,
            cancelled,
            metrics: BTreeMap::new(),
            told: Mutex::default(),
        }
    }

    /// Name of the stage.
    #[must_use]
    pub fn stage(&self) -> &'a str {
        &self.job.stage
    }

    /// The folder with the artifact at input `port` (`port.name` for a port that takes many).
    ///
    /// # Panics
    /// If the stage did not declare the port.
    #[must_use]
    pub fn input(&self, port: &str) -> &'a Path {
        self.optional_input(port)
            .unwrap_or_else(|| panic!("stage kind reads port `{port}`, which it does not declare"))
    }

    /// The same for a port that may be left out.
    #[must_use]
    pub fn optional_input(&self, port: &str) -> Option<&'a Path> {
        self.job.inputs.get(port).map(PathBuf::as_path)
    }

    /// How many seconds it took to make what comes to input `port`, if that is known: to be shown. No output may depend on it.
    #[must_use]
    pub fn seconds(&self, port: &str) -> Option<f64> {
        self.job.times.get(port).copied()
    }

    /// The folder to fill for output `port`.
    ///
    /// # Panics
    /// If the stage did not declare the port.
    #[must_use]
    pub fn output(&self, port: &str) -> &'a Path {
        self.job
            .outputs
            .get(port)
            .unwrap_or_else(|| panic!("stage kind fills port `{port}`, which it does not declare"))
    }

    /// A folder for the stage's own use, on the same file system as the outputs.
    #[must_use]
    pub fn scratch(&self) -> &'a Path {
        &self.job.scratch
    }

    /// Copies a file to a folder of the stage, sharing blocks where the disk can.
    ///
    /// # Errors
    /// Those of [`std::fs::copy`].
    pub fn copy_file(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        self.store.copy_file(from, to)
    }

    /// The seed for everything random in this stage.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.job.seed
    }

    /// The device that the pipeline names, for `models::device`.
    #[must_use]
    pub fn device(&self) -> &'a str {
        &self.job.device
    }

    /// The accelerators that the stage has for itself, as `CUDA_VISIBLE_DEVICES` names them.
    #[must_use]
    pub fn gpus(&self) -> &'a [String] {
        &self.job.gpus
    }

    /// Whether the network must not be touched.
    #[must_use]
    pub fn offline(&self) -> bool {
        self.job.offline
    }

    /// What [`Source::fetch`](crate::sources::Source::fetch) needs; one for all fetches of the stage.
    #[must_use]
    pub fn transfer(&self) -> Transfer<'_> {
        Transfer::new(
            &self.job.downloads,
            &self.job.scratch,
            self.job.offline,
            Environment::of_process(),
            self,
        )
    }

    /// Shows how far the current activity is.
    pub fn progress(&self, activity: &str, done: u64, total: u64, unit: &str) {
        self.events.send(&Event::Progress {
            stage: self.job.stage.clone(),
            activity: activity.into(),
            done,
            total,
            unit: unit.into(),
        });
    }

    /// Tells the user something that is not an error.
    pub fn notice(&self, text: impl Into<String>) {
        self.events.send(&Event::Notice {
            stage: Some(self.job.stage.clone()),
            text: text.into(),
        });
    }

    /// The same, unless it has told just that before.
    pub fn notice_once(&self, text: impl Into<String>) {
        let text = text.into();
        let told = self.told.lock();
        let is_new = told.is_ok_and(|mut told| told.insert(text.clone()));
        if is_new {
            self.notice(text);
        }
    }

    /// Shows lines to be put into the pipeline file, whole and each on a line of its own, and keeps them in the stage's log.
    /// `text` says what they are and where they belong.
    pub fn paste(&self, text: impl Into<String>, lines: Vec<String>) {
        self.events.send(&Event::Paste {
            stage: self.job.stage.clone(),
            text: text.into(),
            lines,
        });
    }

    /// The name of the stage's table in the pipeline file: `[stage.NAME]`, which is one for all instances of a matrix.
    #[must_use]
    pub fn table(&self) -> String {
        let name = self.job.stage.split('@').next();
        format!("[stage.{}]", name.unwrap_or(&self.job.stage))
    }

    /// Writes a line to the stage's log.
    pub fn log(&self, text: impl Into<String>) {
        self.events.send(&Event::Log {
            stage: self.job.stage.clone(),
            text: text.into(),
        });
    }

    /// Shows figures measured on the way, such as those of an epoch, and writes down how fast that was.
    pub fn measured(
        &self,
        at: impl Into<String>,
        metrics: BTreeMap<String, f64>,
        samples_per_second: f64,
    ) {
        self.events.send(&Event::Measured {
            stage: self.job.stage.clone(),
            at: at.into(),
            metrics,
            samples_per_second: Some(samples_per_second).filter(|rate| rate.is_finite()),
        });
    }

    /// Says that a program was started that leads this process group, so that it is ended with the stage, whatever happens.
    pub fn spawned(&self, group: u32) {
        self.events.spawned(group);
    }

    /// Sets the figures that the stage's record, the lock and the gates see.
    pub fn set_metrics(&mut self, metrics: BTreeMap<String, f64>) {
        self.metrics = metrics;
    }

    /// Takes the figures set with [`set_metrics`](Self::set_metrics).
    #[must_use]
    pub fn take_metrics(&mut self) -> BTreeMap<String, f64> {
        std::mem::take(&mut self.metrics)
    }

    /// Fails if the user asked to stop; to be called at least a few times a second.
    ///
    /// # Errors
    /// [`Kind::Interrupted`].
    pub fn check_cancelled(&self) -> Result<()> {
        if (self.cancelled)() {
            return Err(Error::new(
                Kind::Interrupted,
                format!("stage `{}` was interrupted", self.job.stage),
            ));
        }
        Ok(())
    }

    /// A part of the stage with a key of its own: returns the folder with its result, which `make` fills only if
    /// no run has done so before. `name` and `fields` must hold everything that can change what `make` writes.
    ///
    /// The folder is read-only and lives as long as the stage's scratch folder.
    ///
    /// # Errors
    /// Those of `make`, and of the disk.
    pub fn memo(
        &self,
        name: &str,
        fields: &[(&str, String)],
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        memo(self.store, &self.job.scratch, name, fields, make)
    }

    /// The folder that [`memo`](Self::memo) gives for the same `name` and `fields`, if some run has made it before.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn recall(&self, name: &str, fields: &[(&str, String)]) -> Result<Option<PathBuf>> {
        recall(self.store, &self.job.scratch, name, fields)
    }
}

impl Observer for StageContext<'_> {
    fn progress(&self, activity: &str, done: u64, total: u64, unit: &str) {
        Self::progress(self, activity, done, total, unit);
    }

    fn notice(&self, text: String) {
        Self::notice(self, text);
    }

    fn check_cancelled(&self) -> Result<()> {
        Self::check_cancelled(self)
    }
}

impl Host for StageContext<'_> {
    fn measured(&self, at: String, figures: BTreeMap<String, f64>, samples_per_second: f64) {
        Self::measured(self, at, figures, samples_per_second);
    }

    fn memo(
        &self,
        name: &str,
        fields: &[(&str, String)],
        make: &mut dyn FnMut(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        Self::memo(self, name, fields, make)
    }

    fn recall(&self, name: &str, fields: &[(&str, String)]) -> Result<Option<PathBuf>> {
        Self::recall(self, name, fields)
    }

    fn checkpoint(&self) -> Option<&Path> {
        self.job.checkpoint.as_deref()
    }
}
