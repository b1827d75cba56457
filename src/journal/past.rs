//! A stage's past, from the journals of earlier runs: how it failed, and what it wrote. What a stage came to belongs to its
//! key, so that other settings, another profile or another file of the same name say nothing about it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::history::{EVENTS, events, folders, of_file};
use crate::error::{Context, Error, Result};
use crate::event::{Configuration, Event, Outcome};

/// How many runs are read to find out how a stage ended.
const FAR_BACK: usize = 100;

/// What a stage wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageLog {
    /// The run in which it did.
    pub run: String,
    /// What it wrote.
    pub text: String,
    /// Whether it had the key then that was asked for.
    pub is_current: bool,
}

/// Those of `stages` (name and key) that failed when they last ran, and why, from runs of the pipeline in `file`. What was
/// skipped or stopped says nothing about a stage.
#[must_use]
pub fn last_failures(
    runs: &Path,
    file: &str,
    stages: &[(&str, String)],
) -> BTreeMap<String, String> {
    let open = stages
        .iter()
        .map(|(name, key)| (name.to_string(), key.clone()));
    let mut open: BTreeSet<(String, String)> = open.collect();
    let mut failures = BTreeMap::new();
    for (run, _) in of_file(runs, file).take(FAR_BACK) {
        if open.is_empty() {
            break;
        }
        for event in events(&run).into_iter().rev() {
            let Event::StageFinished {
                stage,
                outcome: outcome @ (Outcome::Ran | Outcome::Cached | Outcome::Failed),
                key,
                reason,
                ..
            } = event
            else {
                continue;
            };
            let ended = (stage, key);
            if open.remove(&ended) && outcome == Outcome::Failed {
                failures.insert(ended.0, reason);
            }
        }
    }
    failures
}

/// What `stage` wrote when it last ran under `key`, whatever asked for it then; else what it last wrote in a run of this
/// very configuration. None, if it wrote nothing.
///
/// # Errors
/// A log that cannot be read.
pub fn log(
    runs: &Path,
    of: &Configuration,
    stage: &str,
    key: Option<&str>,
) -> Result<Option<StageLog>> {
    let log = |run: &Path, name: &str, is_current| -> Result<Option<StageLog>> {
        let text = read(&run.join(format!("{name}.log")))?;
        Ok(text.map(|text| StageLog {
            run: run.file_name().unwrap_or_default().display().to_string(),
            text,
            is_current,
        }))
    };
    if let Some(key) = key {
        for run in folders(runs).into_iter().take(FAR_BACK) {
            for name in began_with(&run, key) {
                if let Some(found) = log(&run, &name, true)? {
                    return Ok(Some(found));
                }
            }
        }
    }
    for (run, _) in of_file(runs, &of.file).filter(|(_, had)| had == of) {
        if let Some(found) = log(&run, stage, false)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The stages that began to run in `run` under `key`.
fn began_with(run: &Path, key: &str) -> Vec<String> {
    let text = std::fs::read_to_string(run.join(EVENTS)).unwrap_or_default();
    // Most runs know nothing of it, and lines are quicker searched than parsed.
    let lines = text.lines().filter(|line| line.contains(key));
    let name = |line| match serde_json::from_str(line).ok()? {
        Event::StageStarted {
            stage, key: had, ..
        } if had == key => Some(stage),
        _ => None,
    };
    lines.filter_map(name).collect()
}

/// What `stage` wrote in `run`. None, if it wrote nothing.
///
/// # Errors
/// A run that is not there, a log that cannot be read.
pub fn log_in(runs: &Path, run: &str, stage: &str) -> Result<Option<String>> {
    let names: Vec<String> = folders(runs)
        .iter()
        .filter_map(|folder| Some(folder.file_name()?.to_str()?.to_string()))
        .collect();
    if !names.iter().any(|name| name == run) {
        return Err(Error::usage(format!("there is no run `{run}`"))
            .did_you_mean(run, names.iter().map(String::as_str))
            .or_help("`refire log` lists them"));
    }
    read(&runs.join(run).join(format!("{stage}.log")))
}

/// The last run of the pipeline in `file` in which `stage` wrote something, and what was laid over the file then.
#[must_use]
pub fn other_run_with_log(runs: &Path, file: &str, stage: &str) -> Option<(String, Configuration)> {
    let name = format!("{stage}.log");
    let (run, of) = of_file(runs, file).find(|(run, _)| run.join(&name).exists())?;
    Some((run.file_name()?.to_str()?.into(), of))
}

fn read(path: &Path) -> Result<Option<String>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).or_stage(|| format!("cannot read `{}`", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Sink as _;
    use crate::event::samples;
    use crate::journal::Journal;

    /// Writes down a run of the file `file` in which `audit` ran under `key` and came to `outcome`; gives its name.
    fn journal(runs: &Path, file: &str, key: &str, outcome: Outcome) -> String {
        let nowhere = |_: &Event| {};
        let journal = Journal::begin(runs, &nowhere).expect("writable");
        let stage = "audit".to_string();
        journal.send(&Event::RunStarted {
            pipeline: "p".into(),
            configuration: Configuration {
                file: file.into(),
                ..Configuration::default()
            },
            run: journal.run().into(),
            stages: vec![stage.clone()],
            params: BTreeMap::new(),
            revision: None,
        });
        journal.send(&Event::StageStarted {
            stage: stage.clone(),
            key: key.into(),
            reason: String::new(),
        });
        journal.send(&Event::Log {
            stage: stage.clone(),
            text: format!("{file} {key}"),
        });
        journal.send(&Event::StageFinished {
            stage,
            outcome,
            seconds: 0.5,
            key: key.into(),
            reason: "no".into(),
            metrics: BTreeMap::new(),
        });
        journal.run().into()
    }

    #[test]
    fn a_failure_belongs_to_its_key_and_its_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let runs = folder.path();
        let failed = |key: &str| {
            let failures = last_failures(runs, "a.toml", &[("audit", key.into())]);
            failures.contains_key("audit")
        };
        assert!(!failed("k1"));
        journal(runs, "a.toml", "k1", Outcome::Failed);
        assert!(failed("k1") && !failed("k2"));
        // Neither a run that stopped, nor another file's, nor one with other settings tells anything new.
        journal(runs, "a.toml", "k1", Outcome::Cancelled);
        journal(runs, "b.toml", "k1", Outcome::Ran);
        journal(runs, "a.toml", "k2", Outcome::Ran);
        assert!(failed("k1"));
        journal(runs, "a.toml", "k1", Outcome::Ran);
        assert!(!failed("k1"));
    }

    #[test]
    fn the_log_is_that_of_the_key_else_the_last_of_the_configuration() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let runs = folder.path();
        let log = |file: &str, key: Option<&str>| {
            let of = Configuration {
                file: file.into(),
                ..Configuration::default()
            };
            let found = log(runs, &of, "audit", key).expect("readable");
            found.map(|found| (found.text, found.is_current))
        };
        assert_eq!(log("a.toml", Some("k1")), None);
        let first = journal(runs, "a.toml", "k1", Outcome::Ran);
        journal(runs, "a.toml", "k2", Outcome::Failed);
        let text = |text: &str, is_current| Some((format!("{text}\n"), is_current));
        assert_eq!(log("a.toml", Some("k1")), text("a.toml k1", true));
        assert_eq!(log("a.toml", Some("k2")), text("a.toml k2", true));
        assert_eq!(log("a.toml", Some("k3")), text("a.toml k2", false));
        assert_eq!(log("a.toml", None), text("a.toml k2", false));
        // The same key is the same experiment, whichever file it was in.
        assert_eq!(log("b.toml", Some("k1")), text("a.toml k1", true));
        assert_eq!(log("b.toml", None), None);
        assert_eq!(other_run_with_log(runs, "b.toml", "audit"), None);

        let named = |run: &str| log_in(runs, run, "audit");
        assert_eq!(named(&first).expect("there"), Some("a.toml k1\n".into()));
        let error = named("2020").expect_err("no such run");
        assert!(error.message().contains("no run `2020`"));
        assert_eq!(log_in(runs, &first, "other").expect("there"), None);
    }

    #[test]
    fn what_a_whole_run_leaves_is_found() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let nowhere = |_: &Event| {};
        let journal = Journal::begin(folder.path(), &nowhere).expect("writable");
        for event in samples::run() {
            journal.send(&event);
        }
        let of = samples::configuration();
        let found = log(folder.path(), &of, "audit", Some("77b0")).expect("readable");
        let found = found.expect("it wrote one");
        assert!(found.text.starts_with("Traceback") && found.is_current);
        let other = other_run_with_log(folder.path(), &of.file, "audit");
        assert_eq!(other, Some((journal.run().to_string(), of)));
    }
}
