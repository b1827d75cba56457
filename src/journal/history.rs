//! Earlier runs, read back from their journals.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::event::{self, Configuration, Event, Outcome};

/// The file with the events of a run; locked while the run is under way.
pub(super) const EVENTS: &str = "events.jsonl";

/// One earlier run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunRow {
    /// Its name, which begins with the time in UTC.
    pub run: String,
    /// Name of the pipeline.
    pub pipeline: String,
    /// Its file, and what was laid over it.
    #[serde(flatten)]
    pub configuration: Configuration,
    /// The params of the pipeline, as TOML; empty if an earlier refire wrote it down.
    pub params: BTreeMap<String, String>,
    /// The commit that git had checked out.
    pub revision: Option<String>,
    /// The last stage that came to figures, and these.
    pub headline: Option<Headline>,
    /// How many stages it was about.
    pub stages: usize,
    /// How many stages ran.
    pub ran: usize,
    /// How many stages were up to date.
    pub cached: usize,
    /// How many stages failed.
    pub failed: usize,
    /// How many stages were skipped or cancelled.
    pub skipped: usize,
    /// How long it took; none if it was killed, or is still under way.
    pub seconds: Option<f64>,
    /// Whether it is still under way; none if that cannot be told.
    pub running: Option<bool>,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Headline {
    /// The stage.
    pub stage: String,
    /// Its figures.
    #[serde(serialize_with = "event::counted")]
    pub metrics: BTreeMap<String, f64>,
}

/// The folders of all runs in the folder `runs`, the latest first.
pub(super) fn folders(runs: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(runs).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    folders.sort_by_cached_key(|folder| std::cmp::Reverse(order(folder)));
    folders
}

/// What runs sort by: the second, and the number of the run in it.
fn order(folder: &Path) -> (String, u32) {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let number = name.match_indices('-').nth(1);
    let number = number.and_then(|(at, _)| Some((at, name[at + 1..].parse().ok()?)));
    match number {
        Some((at, number)) => (name[..at].into(), number),
        None => (name.into(), 0),
    }
}

/// What the run in the folder `run` was of.
pub(super) fn configuration(run: &Path) -> Option<Configuration> {
    let mut line = String::new();
    let file = File::open(run.join(EVENTS)).ok()?;
    BufReader::new(file).read_line(&mut line).ok()?;
    match serde_json::from_str(&line).ok()? {
        Event::RunStarted { configuration, .. } => Some(configuration),
        _ => None,
    }
}

/// The folders of the runs of the pipeline in `file`, the latest first, whatever was laid over it.
pub(super) fn of_file(runs: &Path, file: &str) -> impl Iterator<Item = (PathBuf, Configuration)> {
    let with = |folder: PathBuf| Some((configuration(&folder)?, folder));
    let found = folders(runs).into_iter().filter_map(with);
    found
        .filter(move |(of, _)| of.file == file)
        .map(|(of, folder)| (folder, of))
}

/// Whether the run in the folder `run`, which has not written its end, is under way or was killed; none if that cannot be told.
#[must_use]
pub fn is_running(run: &Path) -> Option<bool> {
    if !cfg!(unix) {
        return None;
    }
    match File::open(run.join(EVENTS)).ok()?.try_lock_shared() {
        Ok(()) => Some(false),
        Err(TryLockError::WouldBlock) => Some(true),
        Err(TryLockError::Error(_)) => None,
    }
}

/// The events of a run. A line may be cut off when the run was killed; what it said is lost, the rest is not.
pub(super) fn events(run: &Path) -> Vec<Event> {
    let text = std::fs::read_to_string(run.join(EVENTS)).unwrap_or_default();
    let lines = text.lines();
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// Whether `folder` is that of a run, and neither a link nor something else: those are not removed.
fn is_run(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let mut parts = name.split('-');
    let is_number = |part: Option<&str>, digits: usize| {
        part.is_some_and(|part| {
            part.len() >= digits && part.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    let is_named = is_number(parts.next(), 8) && is_number(parts.next(), 6);
    let is_of_that_second = parts.next().is_none_or(|part| is_number(Some(part), 1));
    is_named
        && is_of_that_second
        && parts.next().is_none()
        && std::fs::symlink_metadata(folder).is_ok_and(|metadata| metadata.is_dir())
}

/// The folders of the runs in the folder `runs`, the latest first, and how long ago each last wrote something down; none if
/// `runs` is a link.
#[must_use]
pub fn runs_by_age(runs: &Path) -> Vec<(PathBuf, Duration)> {
    if runs.is_symlink() {
        return Vec::new();
    }
    let now = event::now();
    let age = |folder: &Path| {
        let wrote = std::fs::metadata(folder.join(EVENTS))
            .or_else(|_| std::fs::metadata(folder))
            .and_then(|metadata| metadata.modified());
        // A clock that was set back makes a run lie in the future: it counts as one of now.
        wrote.map_or(Duration::ZERO, |wrote| {
            now.duration_since(wrote).unwrap_or_default()
        })
    };
    let folders = folders(runs).into_iter();
    folders
        .filter(|folder| is_run(folder))
        .map(|folder| {
            let age = age(&folder);
            (folder, age)
        })
        .collect()
}

/// The keys that the run in the folder `run` led to.
#[must_use]
pub fn keys(run: &Path) -> Vec<String> {
    let key = |event| match event {
        Event::StageFinished { key, .. } if !key.is_empty() => Some(key),
        _ => None,
    };
    events(run).into_iter().filter_map(key).collect()
}

/// The last `count` runs in the folder `runs`, the latest first; only those of the file that `of` names, if it is there, and of
/// the profiles and the settings that it names, if it names any.
#[must_use]
pub fn history(runs: &Path, of: Option<&Configuration>, count: usize) -> Vec<RunRow> {
    let is_asked_for = |row: &RunRow| {
        let agrees = |asked: &[String], had: &[String]| asked.is_empty() || asked == had;
        of.is_none_or(|of| {
            of.file == row.configuration.file
                && agrees(&of.profiles, &row.configuration.profiles)
                && agrees(&of.set, &row.configuration.set)
        })
    };
    folders(runs)
        .iter()
        .filter_map(|folder| row(folder, &events(folder)))
        .filter(is_asked_for)
        .take(count)
        .collect()
}

/// The last `count` runs of the pipeline in `file`, the latest first, whatever was laid over it, each with all that it told.
#[must_use]
pub fn told(runs: &Path, file: &str, count: usize) -> Vec<(RunRow, Vec<Event>)> {
    let with_events = |(folder, _): (PathBuf, Configuration)| {
        let events = events(&folder);
        Some((row(&folder, &events)?, events))
    };
    of_file(runs, file)
        .filter_map(with_events)
        .take(count)
        .collect()
}

fn row(folder: &Path, events: &[Event]) -> Option<RunRow> {
    let Event::RunStarted {
        pipeline,
        configuration,
        stages,
        params,
        revision,
        ..
    } = events.first()?
    else {
        return None;
    };
    let mut row = RunRow {
        run: folder.file_name()?.to_str()?.into(),
        pipeline: pipeline.clone(),
        configuration: configuration.clone(),
        params: params.clone(),
        revision: revision.clone(),
        headline: None,
        stages: stages.len(),
        ran: 0,
        cached: 0,
        failed: 0,
        skipped: 0,
        seconds: None,
        running: Some(false),
    };
    for event in events {
        match event {
            Event::StageFinished {
                outcome,
                stage,
                metrics,
                ..
            } => {
                if !metrics.is_empty() {
                    row.headline = Some(Headline {
                        stage: stage.clone(),
                        metrics: metrics.clone(),
                    });
                }
                *match outcome {
                    Outcome::Ran => &mut row.ran,
                    Outcome::Cached => &mut row.cached,
                    Outcome::Failed => &mut row.failed,
                    Outcome::Skipped | Outcome::Cancelled => &mut row.skipped,
                } += 1;
            }
            Event::RunFinished { seconds, .. } => row.seconds = Some(*seconds),
            _ => {}
        }
    }
    if row.seconds.is_none() {
        row.running = is_running(folder);
    }
    Some(row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Sink as _;
    use crate::event::samples;
    use crate::journal::Journal;

    #[test]
    fn runs_are_read_back_with_what_they_came_to() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let nowhere = |_: &Event| {};
        let whole = Journal::begin(folder.path(), &nowhere).expect("writable");
        for event in samples::run() {
            whole.send(&event);
        }
        let killed = Journal::begin(folder.path(), &nowhere).expect("writable");
        killed.send(&samples::run()[0]);
        let rows = history(folder.path(), None, 10);
        assert_eq!(rows.len(), 2);
        assert_eq!(
            (rows[0].run.as_str(), rows[0].seconds),
            (killed.run(), None)
        );
        assert_eq!((rows[1].run.as_str(), rows[1].failed), (whole.run(), 1));
        assert!(rows[1].seconds.is_some() && rows[1].ran > 0);
        assert_eq!(rows[1].running, Some(false));

        let asked = |file: &str, profiles: &[&str], set: &[&str]| {
            let all = |names: &[&str]| names.iter().map(ToString::to_string).collect();
            let of = Configuration {
                file: file.into(),
                profiles: all(profiles),
                set: all(set),
            };
            history(folder.path(), Some(&of), 10).len()
        };
        let file = "pipelines/sentiment.toml";
        assert_eq!(asked(file, &[], &[]), 2);
        assert_eq!(asked(file, &["smoke"], &[]), 2);
        assert_eq!(asked(file, &["smoke"], &["epochs=3"]), 0);
        assert_eq!(asked("another.toml", &[], &[]), 0);

        if cfg!(unix) {
            assert_eq!(rows[0].running, Some(true));
            drop(killed);
            let rows = history(folder.path(), None, 10);
            assert_eq!(rows[0].running, Some(false));
        }

        let ages = runs_by_age(folder.path());
        assert_eq!(ages.len(), 2);
        assert!(ages.iter().all(|(_, age)| *age < Duration::from_hours(1)));
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_run_is_not_taken_for_an_old_one() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let runs = folder.path().join("runs");
        let names = [
            "20260601-101112",
            "20260601-101112-00002",
            "thesis",
            "2026-06-01",
            "20260601-101112-a",
        ];
        for name in names {
            std::fs::create_dir_all(runs.join(name)).expect("writable");
        }
        let link = |from: &Path, to: &Path| std::os::unix::fs::symlink(from, to).expect("linked");
        link(folder.path(), &runs.join("20260601-101113"));
        let old: Vec<PathBuf> = runs_by_age(&runs).into_iter().map(|(run, _)| run).collect();
        assert_eq!(old, [runs.join(names[1]), runs.join(names[0])]);
        let linked = folder.path().join("linked");
        link(&runs, &linked);
        assert_eq!(runs_by_age(&linked), []);
    }

    #[test]
    fn runs_of_one_second_are_listed_in_their_order() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let names = ["9-1", "9-1-2", "9-1-10", "9-1-00011", "9-2"];
        for name in names {
            std::fs::create_dir(folder.path().join(name)).expect("writable");
        }
        let listed = folders(folder.path());
        let listed: Vec<_> = listed.iter().filter_map(|path| path.file_name()).collect();
        assert_eq!(listed, ["9-2", "9-1-00011", "9-1-10", "9-1-2", "9-1"]);
    }
}
