//! The figures of a tuned model on any data, without a pipeline: the stages `images` and `evaluate`, run on what a path names. So the
//! figures are those that a pipeline would measure.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{self, Overrides};
use crate::error::{Context as _, Error, Result, Source};
use crate::event::{Event, Sink};
use crate::names::quoted;
use crate::predict::{self, Content, OnError, Written};
use crate::stages::{self, ArtifactType, Job, Stage, StageContext};
use crate::store::Store;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The model's folder.
    pub model: &'a Path,
    /// A table, a folder of photos with a folder for each label, or an artifact of tables or images.
    pub data: &'a Path,
    /// The device to run on: `cpu`.
    pub device: &'a str,
    /// How the table is written, if it is one in a file.
    pub written: Written,
    /// What a model that is not tuned does; none for what it was tuned to do.
    pub task: Option<String>,
    /// The column with the texts; none for the one that the model was tuned on. So for the others.
    pub text_column: Option<String>,
    /// The column with the second texts of pairs.
    pub text_pair_column: Option<String>,
    /// The column of photos: bytes, or paths beside the table; none for `image`, else `path`.
    pub image_column: Option<String>,
    /// The columns with the targets.
    pub target_columns: Vec<String>,
    /// What becomes of photos that cannot be read.
    pub on_error: OnError,
    /// The most pixels that a photo may have.
    pub max_pixels: u64,
    /// Samples in a batch.
    pub batch_size: usize,
}

/// What runs stages, and what they are told.
pub struct Around<'a> {
    /// Where events go.
    pub events: &'a dyn Sink,
    /// Whether the user asked to stop.
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
}

/// Measures the model: what `metrics.json` of a stage `evaluate` says.
///
/// # Errors
/// A model that cannot be loaded or is not tuned, data that does not suit it or has no targets; those of the disk, and that the user
/// asked to stop.
pub fn measure(request: &Request<'_>, around: &Around<'_>) -> Result<serde_json::Value> {
    let folder = tempfile::tempdir().or_stage(|| "cannot make a temporary folder")?;
    let bench = Bench {
        store: Store::open(&folder.path().join("cache"))?,
        folder: folder.path(),
        device: request.device,
        around,
    };
    let read = predict::contents(
        request.model,
        request.data,
        &request.written,
        request.image_column.as_deref(),
        &[&request.text_column, &request.text_pair_column],
        &bench.fresh("data")?,
    )?;
    let (port, data) = match read {
        Content::Table(folder) => ("table", folder),
        Content::Images(folder) => ("images", folder),
        Content::Photos(folder) => ("images", bench.photos(request, Photos::Folder(folder))?),
        Content::Listed {
            table,
            column,
            root,
        } => {
            let photos = Photos::Table {
                table,
                column,
                root,
            };
            ("images", bench.photos(request, photos)?)
        }
    };
    let mut settings = Settings::new("evaluate");
    settings.word("model", "model");
    settings.word(port, "data");
    settings.maybe("task", request.task.as_ref());
    if port == "table" {
        settings.maybe("text_column", request.text_column.as_ref());
        settings.maybe("text_pair_column", request.text_pair_column.as_ref());
        match request.target_columns.as_slice() {
            [] => {}
            [column] => settings.word("target_column", column),
            columns => settings.words("target_columns", columns),
        }
    }
    settings.line("batch_size", request.batch_size);
    let inputs = [("model", request.model), (port, data.as_path())];
    let made = bench.run(&settings, &inputs)?;
    let file = made
        .get("metrics")
        .ok_or_else(|| Error::stage("no figures were made"))?
        .join("metrics.json");
    let bytes = std::fs::read(&file).or_stage(|| "cannot read the figures")?;
    serde_json::from_slice(&bytes).or_stage(|| "cannot read the figures")
}

/// Where photos with labels are.
enum Photos {
    /// In a folder with a folder for each label.
    Folder(PathBuf),
    /// In a column of a table, as bytes, or as paths below a folder.
    Table {
        table: PathBuf,
        column: String,
        root: Option<PathBuf>,
    },
}

/// A folder in which stages run.
struct Bench<'a> {
    store: Store,
    folder: &'a Path,
    device: &'a str,
    around: &'a Around<'a>,
}

impl Bench<'_> {
    /// A new folder for `what`.
    fn fresh(&self, what: &str) -> Result<PathBuf> {
        let cannot = || format!("cannot make a temporary folder for `{what}`");
        let folder = tempfile::Builder::new()
            .prefix(what)
            .tempdir_in(self.folder)
            .or_stage(cannot)?;
        Ok(folder.keep())
    }

    /// Photos as the model takes them, each with its label.
    fn photos(&self, request: &Request<'_>, photos: Photos) -> Result<PathBuf> {
        let mut settings = Settings::new("images");
        settings.word("model", "model");
        settings.line("max_pixels", request.max_pixels);
        if request.on_error == OnError::Skip {
            settings.word("on_error", "skip");
        }
        let mut inputs = vec![("model", request.model)];
        let table;
        match photos {
            Photos::Folder(folder) => settings.word("source", &absolute(&folder)?),
            Photos::Table {
                table: artifact,
                column,
                root,
            } => {
                table = artifact;
                settings.word("table", "table");
                inputs.push(("table", &table));
                match root {
                    None => settings.word("image_column", &column),
                    Some(root) => {
                        settings.word("source", &absolute(&root)?);
                        settings.word("path_column", &column);
                    }
                }
                settings.maybe("label_column", request.target_columns.first());
            }
        }
        let made = self.run(&settings, &inputs)?;
        let images = made.into_iter().find(|(port, _)| port == "images");
        images
            .map(|(_, folder)| folder)
            .ok_or_else(|| Error::stage("no images were made"))
    }

    /// Runs a stage on the artifacts at its ports; the folder of each output.
    fn run(
        &self,
        settings: &Settings,
        inputs: &[(&str, &Path)],
    ) -> Result<BTreeMap<String, PathBuf>> {
        let stage = settings.stage().map_err(Error::without_places)?;
        let mut outputs = BTreeMap::new();
        for output in stage.outputs() {
            if output.artifact != ArtifactType::Report {
                let folder = self.fresh(&output.port)?;
                outputs.insert(output.port, folder);
            }
        }
        let inputs = inputs.iter();
        let job = Job {
            stage: settings.kind.into(),
            inputs: inputs
                .map(|(port, folder)| ((*port).into(), (*folder).into()))
                .collect(),
            outputs: outputs.clone(),
            scratch: self.fresh("scratch")?,
            downloads: self.fresh("downloads")?,
            device: self.device.into(),
            offline: true,
            ..Job::default()
        };
        let events = WithoutName(self.around.events);
        let mut cx = StageContext::new(&job, &self.store, &events, self.around.cancelled);
        stage.run(&mut cx).map_err(Error::without_places)?;
        Ok(outputs)
    }
}

fn absolute(path: &Path) -> Result<String> {
    let path = std::path::absolute(path).or_stage(|| "cannot find the folder we are in")?;
    let text = path.to_str().map(String::from);
    text.ok_or_else(|| Error::usage(format!("the path `{}` is not UTF-8", path.display())))
}

/// Passes on what a stage tells, without the stage's name, which nobody has given it; its log is left out.
struct WithoutName<'a>(&'a dyn Sink);

impl Sink for WithoutName<'_> {
    fn send(&self, event: &Event) {
        match event {
            Event::Notice { text, .. } => self.0.send(&Event::Notice {
                stage: None,
                text: text.clone(),
            }),
            Event::Progress { .. } => self.0.send(event),
            _ => {}
        }
    }

    fn spawned(&self, group: u32) {
        self.0.spawned(group);
    }
}

/// The settings of a stage, as a pipeline would have them.
struct Settings {
    kind: &'static str,
    text: String,
}

impl Settings {
    fn new(kind: &'static str) -> Self {
        let text = format!("[stage.{kind}]\nkind = \"{kind}\"\n");
        Self { kind, text }
    }

    fn line(&mut self, name: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.text, "{name} = {value}");
    }

    fn word(&mut self, name: &str, value: &str) {
        self.line(name, written(value));
    }

    fn maybe(&mut self, name: &str, value: Option<&String>) {
        if let Some(value) = value {
            self.word(name, value);
        }
    }

    fn words(&mut self, name: &str, values: &[String]) {
        let values: Vec<String> = values.iter().map(|value| written(value)).collect();
        self.line(name, format!("[{}]", values.join(", ")));
    }

    fn stage(&self) -> Result<Box<dyn Stage>> {
        let source = Arc::new(Source::new("", &*self.text));
        let pipeline = config::parse(&source, &Overrides::default())?;
        let kind = stages::find(self.kind);
        let (Some(kind), Some(stage)) = (kind, pipeline.stages.first()) else {
            return Err(Error::usage(format!("there is no kind `{}`", self.kind)));
        };
        kind.parse(&stage.settings)
    }
}

/// `text` as a string in which `${` begins no reference.
fn written(text: &str) -> String {
    quoted(&text.replace("${", "$${"))
}
