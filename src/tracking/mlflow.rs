//! An MLflow server, by its REST API (`mlflow/protos/service.proto`): a run of refire is a run there, and each stage that has run is a run
//! nested in it, with its settings, its figures by step, its small artifacts, and its model.

use std::fs;
use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::http::{Refusal, Server};
use super::{Done, Fetch, Point, Report, StageReport, Tracker, curves};
use crate::config::Tracking;
use crate::error::{Context as _, Error, Result};

/// The most of each that the server takes at once.
const METRICS: usize = 1000;
const PARAMS: usize = 100;

/// The longest value of a param that every version takes.
const LONGEST: usize = 500;

/// What the addresses of artifacts begin with that are handed to the server itself.
const BY_SERVER: &str = "mlflow-artifacts:/";

/// An MLflow server.
pub(super) struct Client<'c> {
    server: Server,
    experiment: Option<String>,
    with_models: bool,
    fetch: &'c Fetch<'c>,
}

/// A run there.
struct Run {
    id: String,
    /// Where its artifacts go.
    artifacts: String,
}

impl<'c> Client<'c> {
    /// The server at `address`, with what the usual variables say to log in.
    pub(super) fn new(address: &str, tracking: &Tracking, fetch: &'c Fetch<'c>) -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let login = set("MLFLOW_TRACKING_USERNAME").map(|user| {
            let password = set("MLFLOW_TRACKING_PASSWORD").unwrap_or_default();
            format!(
                "Basic {}",
                BASE64_STANDARD.encode(format!("{user}:{password}"))
            )
        });
        let token = set("MLFLOW_TRACKING_TOKEN").map(|token| format!("Bearer {token}"));
        Self {
            server: Server::new(address, token.or(login)),
            experiment: tracking.experiment.clone(),
            with_models: tracking.models,
            fetch,
        }
    }
}

impl Tracker for Client<'_> {
    fn track(&self, report: &Report, done: &mut Done<'_>) -> Result<()> {
        self.send(report, done).map_err(|refusal| refusal.error)
    }
}

impl Client<'_> {
    fn send(&self, report: &Report, done: &mut Done<'_>) -> Result<(), Refusal> {
        let experiment = self.experiment(report)?;
        let parent = self.run(&experiment, "run", &report.run, report, None, done)?;
        let tags = [
            ("refire.pipeline", Some(&report.pipeline)),
            ("refire.configuration", Some(&report.configuration)),
            ("mlflow.source.git.commit", report.revision.as_ref()),
        ];
        let tags = tags.into_iter();
        let tags = tags.filter_map(|(key, value)| Some((key.to_string(), value?.clone())));
        self.params(&parent, report.params.iter())?;
        self.tags(&parent, tags.collect())?;
        let whole: Vec<Point> = report
            .stages
            .iter()
            .filter(|stage| !stage.name.contains('@'))
            .flat_map(|stage| {
                stage.metrics.iter().map(|(name, value)| Point {
                    name: format!("{}/{name}", stage.name),
                    step: 0,
                    value: *value,
                })
            })
            .collect();
        self.metrics(&parent, report, whole)?;
        for stage in &report.stages {
            let word = format!("stage {}", stage.name);
            if done.get(&format!("{word}, whole")).is_some() {
                continue;
            }
            let run = self.run(&experiment, &word, &stage.name, report, Some(&parent), done)?;
            self.stage(&run, report, stage)?;
            self.end(&run, report, stage.succeeded)?;
            done.set(&format!("{word}, whole"), "")?;
        }
        self.end(&parent, report, report.succeeded)
    }

    /// The experiment's number; it is made if it is not there.
    fn experiment(&self, report: &Report) -> Result<String, Refusal> {
        let name = self.experiment.as_ref().unwrap_or(&report.pipeline);
        let encoded =
            percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
        let path = format!("/api/2.0/mlflow/experiments/get-by-name?experiment_name={encoded}");
        let found = match self.server.get(&path) {
            Ok(found) => found["experiment"]["experiment_id"].clone(),
            Err(refusal) if refusal.status == 404 => {
                let made = self.server.post(
                    "/api/2.0/mlflow/experiments/create",
                    &json!({ "name": name }),
                )?;
                made["experiment_id"].clone()
            }
            Err(refusal) => return Err(refusal),
        };
        Ok(self.word(&found, "an experiment")?)
    }

    /// The run that an earlier try has begun, or a new one.
    fn run(
        &self,
        experiment: &str,
        word: &str,
        name: &str,
        report: &Report,
        parent: Option<&Run>,
        done: &mut Done<'_>,
    ) -> Result<Run, Refusal> {
        if let Some((id, artifacts)) = done
            .get(word)
            .as_deref()
            .and_then(|run| run.split_once(' '))
        {
            let (id, artifacts) = (id.into(), artifacts.into());
            return Ok(Run { id, artifacts });
        }
        let mut tags = vec![json!({ "key": "mlflow.source.name", "value": report.configuration })];
        if let Some(parent) = parent {
            tags.push(json!({ "key": "mlflow.parentRunId", "value": parent.id }));
        }
        let made = self.server.post(
            "/api/2.0/mlflow/runs/create",
            &json!({
                "experiment_id": experiment,
                "run_name": name,
                "start_time": report.times[0],
                "tags": tags,
            }),
        )?;
        let info = &made["run"]["info"];
        let run = Run {
            id: self.word(&info["run_id"], "a run")?,
            artifacts: self.word(&info["artifact_uri"], "a place for artifacts")?,
        };
        done.set(word, &format!("{} {}", run.id, run.artifacts))?;
        Ok(run)
    }

    /// A word of an answer.
    fn word(&self, value: &Value, what: &str) -> Result<String> {
        let address = &self.server.address;
        value.as_str().map(String::from).ok_or_else(|| {
            Error::stage(format!(
                "`{address}` answers, but not with {what}: is it an MLflow server?"
            ))
        })
    }

    fn stage(&self, run: &Run, report: &Report, stage: &StageReport) -> Result<(), Refusal> {
        self.params(run, stage.settings.iter())?;
        let tags = [
            ("refire.stage", stage.name.clone()),
            ("refire.kind", stage.kind.clone()),
            ("refire.key", stage.key.clone()),
            ("refire.seconds", format!("{:.2}", stage.seconds)),
        ];
        let mut tags: Vec<(String, String)> = tags
            .into_iter()
            .map(|(key, value)| (key.to_string(), value))
            .collect();
        let revision = report.revision.iter();
        tags.extend(revision.map(|commit| ("mlflow.source.git.commit".into(), commit.clone())));
        self.tags(run, tags)?;
        let mut points = curves(&stage.history);
        let last = points.iter().map(|point| point.step).max().unwrap_or(0);
        points.extend(stage.metrics.iter().map(|(name, value)| Point {
            name: name.clone(),
            step: last,
            value: *value,
        }));
        self.metrics(run, report, points)?;
        for (name, text) in &stage.files {
            self.upload(run, name, text.as_str())?;
        }
        if let Some(model) = stage.model.as_ref().filter(|_| self.with_models) {
            self.model(run, model)?;
        }
        Ok(())
    }

    fn params<'p>(
        &self,
        run: &Run,
        params: impl Iterator<Item = (&'p String, &'p String)>,
    ) -> Result<(), Refusal> {
        let params = params.map(|(name, value)| {
            json!({ "key": plain(name), "value": value.chars().take(LONGEST).collect::<String>() })
        });
        self.batches(run, "params", &params.collect::<Vec<_>>(), PARAMS)
    }

    fn tags(&self, run: &Run, tags: Vec<(String, String)>) -> Result<(), Refusal> {
        let tags = tags.into_iter();
        let tags = tags.map(|(key, value)| json!({ "key": key, "value": value }));
        self.batches(run, "tags", &tags.collect::<Vec<_>>(), PARAMS)
    }

    fn metrics(&self, run: &Run, report: &Report, points: Vec<Point>) -> Result<(), Refusal> {
        let [begin, end] = report.times;
        let last = points
            .iter()
            .map(|point| point.step)
            .max()
            .unwrap_or(0)
            .max(1);
        let points = points.into_iter().map(|point| {
            // When each step was taken is not known; they are spread evenly.
            let time = begin + end.saturating_sub(begin) / last * point.step;
            json!({ "key": plain(&point.name), "value": point.value, "timestamp": time, "step": point.step })
        });
        self.batches(run, "metrics", &points.collect::<Vec<_>>(), METRICS)
    }

    fn batches(&self, run: &Run, what: &str, all: &[Value], most: usize) -> Result<(), Refusal> {
        for batch in all.chunks(most) {
            let body = json!({ "run_id": run.id, what: batch });
            self.server.post("/api/2.0/mlflow/runs/log-batch", &body)?;
        }
        Ok(())
    }

    /// The files of a model, if the cache still has them.
    fn model(&self, run: &Run, digest: &str) -> Result<(), Refusal> {
        let folder = TempDir::new().or_stage(|| "cannot make a folder for a model")?;
        let whole = folder.path().join("model");
        if !(self.fetch)(digest, &whole) {
            return Ok(());
        }
        for path in files_in(&whole)? {
            let name = path
                .strip_prefix(&whole)
                .unwrap_or(&path)
                .display()
                .to_string();
            let file =
                fs::File::open(&path).or_stage(|| format!("cannot read `{}`", path.display()))?;
            self.upload(run, &format!("model/{name}"), &file)?;
        }
        Ok(())
    }

    /// Hands the server a file. Where it wants artifacts on a disk or in a store of its own, which only Python's client can reach,
    /// nothing is handed over.
    fn upload(&self, run: &Run, name: &str, body: impl ureq::AsSendBody) -> Result<(), Refusal> {
        let Some(folder) = run.artifacts.strip_prefix(BY_SERVER) else {
            return Ok(());
        };
        let folder = folder.trim_start_matches('/');
        let path = format!("/api/2.0/mlflow-artifacts/artifacts/{folder}/{name}");
        self.server.put(&path, body)
    }

    fn end(&self, run: &Run, report: &Report, succeeded: bool) -> Result<(), Refusal> {
        let status = if succeeded { "FINISHED" } else { "FAILED" };
        let body = json!({ "run_id": run.id, "status": status, "end_time": report.times[1] });
        self.server.post("/api/2.0/mlflow/runs/update", &body)?;
        Ok(())
    }
}

/// A name with the characters that every version of the server takes.
fn plain(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-. /".contains(c);
    name.chars()
        .map(|c| if plain(c) { c } else { '_' })
        .collect()
}

/// The files in a folder and below it.
fn files_in(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let cannot = || format!("cannot read `{}`", folder.display());
        for entry in fs::read_dir(&folder).or_stage(cannot)? {
            let path = entry.or_stage(cannot)?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_what_the_server_takes() {
        assert_eq!(plain("tune@lr=1e-3/ndcg@10"), "tune_lr_1e-3/ndcg_10");
    }
}
