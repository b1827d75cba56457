//! Runs one stage in a temporary folder, for the tests of stage kinds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::{Job, Stage, StageContext, find};
use crate::config::{self, Overrides};
use crate::data::csv::{self, Dialect};
use crate::data::{Format, Table};
use crate::error::{Error, Result, Source};
use crate::event::Event;
use crate::fingerprint::Manifest;
use crate::store::{Store, write_atomic};

/// A folder with a pipeline file and what it needs.
pub(super) struct Bench {
    folder: Arc<tempfile::TempDir>,
}

/// What a stage made.
#[derive(Debug)]
pub(super) struct Made {
    outputs: BTreeMap<String, PathBuf>,
    /// Keeps them.
    _folder: Arc<tempfile::TempDir>,
    /// What it told the user.
    pub(super) notices: Vec<String>,
    /// The lines of its log.
    pub(super) logs: Vec<String>,
}

/// What a stage told.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) notices: Vec<String>,
    pub(super) logs: Vec<String>,
}

impl Made {
    /// The folder of output `port`.
    pub(super) fn folder(&self, port: &str) -> &Path {
        &self.outputs[port]
    }

    /// The table at output `port`.
    pub(super) fn table(&self, port: &str) -> Table {
        Table::read(&self.outputs[port]).expect("a table")
    }

    /// The bytes of the table at output `port`.
    pub(super) fn bytes(&self, port: &str) -> Vec<u8> {
        std::fs::read(self.outputs[port].join(crate::data::table::FILE)).expect("a table")
    }
}

impl Bench {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self {
            folder: Arc::new(folder),
        }
    }

    /// The path of `name` in the folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A new empty folder called `name`.
    fn fresh(&self, name: &str) -> PathBuf {
        let folder = tempfile::tempdir_in(self.folder.path())
            .expect("a folder")
            .keep();
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    /// Writes a file.
    pub(super) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        write_atomic(&self.path(name), bytes.as_ref()).expect("written");
    }

    /// Reads `settings`, among them `kind`, as the stage `it` of a pipeline.
    pub(super) fn parse(&self, settings: &str) -> Result<Box<dyn Stage>> {
        let name = self.path("pipeline.toml").display().to_string();
        let source = Arc::new(Source::new(name, format!("[stage.it]\n{settings}")));
        let pipeline = config::parse(&source, &Overrides::default())?;
        let table = &pipeline.stages[0];
        find(&table.kind.0)
            .expect("a known kind")
            .parse(&table.settings)
    }

    /// The error with which `settings` are refused.
    pub(super) fn refusal(&self, settings: &str) -> Error {
        match self.parse(settings) {
            Ok(_) => panic!("the settings were taken: {settings}"),
            Err(error) => error,
        }
    }

    /// The settings that enter the stage's key, and the names of those that do not.
    pub(super) fn described(&self, settings: &str) -> (BTreeMap<String, String>, Vec<String>) {
        let mut walk = Walk::default();
        self.parse(settings).expect("parsed").describe(&mut walk);
        (walk.settings, walk.skipped)
    }

    /// Runs the stage on tables of its own.
    pub(super) fn run(&self, settings: &str, inputs: &[(&str, &Table)], seed: u64) -> Result<Made> {
        let mut folders = BTreeMap::new();
        for (port, table) in inputs {
            let folder = self.fresh("input");
            table.write(&folder)?;
            folders.insert((*port).into(), folder);
        }
        self.run_on(settings, folders, seed)
    }

    /// Runs a stage that must fail: the error, and what it told before that.
    pub(super) fn fails(&self, settings: &str) -> (Error, Told) {
        let mut told = Told::default();
        let failed = self.run_told(settings, BTreeMap::new(), 1, &mut told);
        (failed.expect_err("it fails"), told)
    }

    /// Runs the stage on artifacts: input port → folder.
    pub(super) fn run_on(
        &self,
        settings: &str,
        inputs: BTreeMap<String, PathBuf>,
        seed: u64,
    ) -> Result<Made> {
        let mut told = Told::default();
        let outputs = self.run_told(settings, inputs, seed, &mut told)?;
        Ok(Made {
            outputs,
            _folder: Arc::clone(&self.folder),
            notices: told.notices,
            logs: told.logs,
        })
    }

    /// The same, with what it says kept in `told`, whether it fails or not: output port → folder.
    fn run_told(
        &self,
        settings: &str,
        inputs: BTreeMap<String, PathBuf>,
        seed: u64,
        told: &mut Told,
    ) -> Result<BTreeMap<String, PathBuf>> {
        let stage = self.parse(settings)?;
        stage.check()?;
        let mut job = Job {
            stage: "it".into(),
            scratch: self.fresh("scratch"),
            downloads: self.fresh("downloads"),
            inputs,
            seed,
            device: "cpu".into(),
            offline: true,
            ..Job::default()
        };
        for output in stage.outputs() {
            job.outputs
                .insert(output.port.clone(), self.fresh("output"));
        }
        let store = Store::open(&self.path("store"))?;
        let lines = Mutex::new(std::mem::take(told));
        let sink = |event: &Event| {
            let mut told = lines.lock().expect("not poisoned");
            match event {
                Event::Notice { text, .. } => told.notices.push(text.clone()),
                Event::Paste { text, lines, .. } => {
                    told.notices.push(format!("{text}\n{}", lines.join("\n")));
                }
                Event::Log { text, .. } => told.logs.push(text.clone()),
                _ => {}
            }
        };
        let done = stage.run(&mut StageContext::new(&job, &store, &sink, &|| false));
        *told = lines.into_inner().expect("not poisoned");
        done.map(|()| job.outputs)
    }
}

/// Takes what a stage describes.
#[derive(Default)]
struct Walk {
    settings: BTreeMap<String, String>,
    skipped: Vec<String>,
}

impl Manifest for Walk {
    fn setting(&mut self, name: &str, value: &serde_json::Value) {
        self.settings.insert(name.into(), value.to_string());
    }

    fn skip(&mut self, name: &str, _: &'static str) {
        self.skipped.push(name.into());
    }

    fn seed(&mut self) {
        self.settings.insert("(seed)".into(), "counts".into());
    }

    fn device(&mut self) {
        self.settings.insert("(device)".into(), "counts".into());
    }
}

/// The text that the first place of `error` covers.
pub(super) fn place(error: &Error) -> &str {
    let span = &error.labels().first().expect("a place").span;
    &span.source.text[span.range.clone()]
}

/// The table that `text`, a CSV file, holds.
pub(super) fn table(text: &str) -> Table {
    let dialect = Dialect::of(Format::Csv).expect("it is delimited");
    let loaded = csv::read("table.csv", text.as_bytes(), &dialect, &BTreeMap::new());
    loaded.expect("a table").table
}
