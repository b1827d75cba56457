//! What a run has come to, for the trackers that the pipeline names.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use serde::Deserialize;
use serde_json::Value;

use super::{Project, history};
use crate::event::{self, Event, Outcome, Sink};
use crate::exec::Summary;
use crate::stages::ArtifactType;
use crate::store::{Digest, Record};
use crate::tracking::{self, Outbox, Report, StageReport};

/// Passes events on, and keeps how long each stage took and what it came to.
pub(super) struct Gathered<'a> {
    next: &'a dyn Sink,
    begun: u64,
    /// Stage → its outcome, seconds, key and figures.
    stages: Mutex<BTreeMap<String, StageReport>>,
}

impl<'a> Gathered<'a> {
    pub(super) fn new(next: &'a dyn Sink) -> Self {
        Self {
            next,
            begun: milliseconds(),
            stages: Mutex::default(),
        }
    }
}

impl Sink for Gathered<'_> {
    fn send(&self, event: &Event) {
        if let Event::StageFinished {
            stage,
            outcome: outcome @ (Outcome::Ran | Outcome::Failed),
            seconds,
            key,
            metrics,
            ..
        } = event
        {
            let report = StageReport {
                name: stage.clone(),
                key: key.clone(),
                metrics: metrics.clone(),
                succeeded: *outcome == Outcome::Ran,
                seconds: *seconds,
                ..StageReport::default()
            };
            let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
            stages.insert(stage.clone(), report);
        }
        self.next.send(event);
    }

    fn spawned(&self, group: u32) {
        self.next.spawned(group);
    }
}

/// What of `metrics.json` is sent as a table.
#[derive(Deserialize)]
struct Confusion {
    classes: Vec<Class>,
    confusion: Vec<Vec<u64>>,
}

#[derive(Deserialize)]
struct Class {
    label: String,
}

impl Project {
    /// Tells the trackers of the pipeline what the run called `run` has come to, and what waits of earlier ones. Returns what there is to
    /// say about it.
    pub(super) fn track(
        &self,
        run: &str,
        revision: Option<String>,
        gathered: Gathered<'_>,
        summary: &Summary,
        offline: bool,
    ) -> Vec<String> {
        let tracking = &self.pipeline.tracking;
        if tracking.tensorboard.is_none() && tracking.mlflow.is_none() {
            return Vec::new();
        }
        let outbox = Outbox::new(&self.workspace.outbox(&self.configuration));
        let times = [gathered.begun, milliseconds()];
        let stages = gathered.stages.into_inner();
        let stages = stages.unwrap_or_else(PoisonError::into_inner);
        let stages = stages
            .into_values()
            .filter_map(|stage| self.told_of(stage, summary));
        let stages: Vec<StageReport> = stages.collect();
        let mut told = Vec::new();
        if !stages.is_empty() {
            let put = outbox.put(Report {
                pipeline: self.pipeline.name.clone(),
                run: run.into(),
                configuration: self.configuration.to_string(),
                revision,
                params: history::flat(&self.pipeline.params),
                times,
                succeeded: summary.errors.is_empty(),
                stages,
            });
            told.extend(put.err().map(|error| error.to_string()));
        }
        if outbox.is_empty() {
            return told;
        }
        let fetch = |digest: &str, folder: &Path| {
            let digest: Option<Digest> = digest.parse().ok();
            digest.is_some_and(|digest| self.store.copy_out(&digest, folder).is_ok())
        };
        let folder = self.path.parent().unwrap_or(Path::new(""));
        told.extend(tracking::send(tracking, folder, &outbox, &fetch, offline));
        told
    }

    /// A stage with what its artifacts say, if it has figures or trains.
    fn told_of(&self, mut stage: StageReport, summary: &Summary) -> Option<StageReport> {
        let index = self.plan.find(&stage.name).ok()?;
        let node = &self.plan.nodes[index];
        let table = self
            .pipeline
            .stages
            .iter()
            .find(|table| table.name == stage.name)?;
        stage.kind.clone_from(&table.kind.0);
        stage.settings = history::flat(&table.settings);
        if let Some(record) = summary.results[index].as_deref() {
            for output in &node.outputs {
                self.add(&mut stage, record, &output.port, output.artifact);
            }
        }
        (!stage.metrics.is_empty() || !stage.history.is_empty()).then_some(stage)
    }

    /// Adds what the artifact at `port` says.
    fn add(&self, stage: &mut StageReport, record: &Record, port: &str, artifact: ArtifactType) {
        const HISTORY: &str = "history.jsonl";
        let Some(digest) = record.outputs.get(port) else {
            return;
        };
        let read = |file: &str| {
            let bytes = self.store.read_file(digest, file)?;
            String::from_utf8(bytes).ok()
        };
        match artifact {
            ArtifactType::Model => stage.model = Some(digest.to_string()),
            ArtifactType::Metrics => {
                let Some(text) = read("metrics.json") else {
                    return;
                };
                if let Ok(found) = serde_json::from_str::<Confusion>(&text) {
                    let labels = found.classes.into_iter().map(|class| class.label);
                    stage.confusion = Some((labels.collect(), found.confusion));
                }
                stage.files.insert("metrics.json".into(), text);
            }
            ArtifactType::Files if port == "history" => {
                let Some(text) = read(HISTORY) else { return };
                let lines = text.lines().map(serde_json::from_str::<Value>);
                stage.history = lines.filter_map(Result::ok).collect();
                stage.files.insert(HISTORY.into(), text);
            }
            _ => {}
        }
    }
}

fn milliseconds() -> u64 {
    let since = event::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0))
}
