//! Earlier runs, read back from their journals.

use std::fs::{File, TryLockError};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anstyle::Style;
use serde::Serialize;

use super::figures::seconds;
use super::table::{Align, Cell, Table};
use super::views::{BAD, GOOD, ODD, QUIET};
use crate::error::{Context, Error, Result};
use crate::event::{self, Event, Outcome};

/// The file with the events of a run; locked while the run is under way.
pub(super) const EVENTS: &str = "events.jsonl";

/// One earlier run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunRow {
    /// Its name, which begins with the time in UTC.
    pub run: String,
    /// The pipeline.
    pub pipeline: String,
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

/// The folders of all runs in the folder `runs`, the latest first.
fn folders(runs: &Path) -> Vec<PathBuf> {
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

/// The folders of the runs of `pipeline` in the folder `runs`, the latest first.
pub(super) fn of_pipeline(runs: &Path, pipeline: &str) -> impl Iterator<Item = PathBuf> {
    let was_of_it = move |folder: &PathBuf| {
        let began = began(folder);
        matches!(began, Some(Event::RunStarted { pipeline: name, .. }) if name == pipeline)
    };
    folders(runs).into_iter().filter(was_of_it)
}

/// The first event of a run.
fn began(run: &Path) -> Option<Event> {
    let mut line = String::new();
    let file = File::open(run.join(EVENTS)).ok()?;
    BufReader::new(file).read_line(&mut line).ok()?;
    serde_json::from_str(&line).ok()
}

/// Whether a run that has not written its end is under way, or was killed.
fn is_running(run: &Path) -> Option<bool> {
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

/// The folders of the runs that began in the last `time`, and of those before; the latest run is never an old one.
#[must_use]
pub fn runs_since(runs: &Path, time: Duration) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let now = event::now();
    let is_recent = |folder: &PathBuf| {
        let began = std::fs::metadata(folder.join(EVENTS))
            .or_else(|_| std::fs::metadata(folder))
            .and_then(|metadata| metadata.modified());
        // A clock that was set back makes a run lie in the future: it is kept.
        began.map_or(true, |began| {
            now.duration_since(began).unwrap_or_default() < time
        })
    };
    let mut all = folders(runs);
    let latest = all.drain(..all.len().min(1));
    let mut recent: Vec<PathBuf> = latest.collect();
    let (younger, old): (Vec<PathBuf>, Vec<PathBuf>) = all.into_iter().partition(is_recent);
    recent.extend(younger);
    (recent, old)
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

/// The last `count` runs in the folder `runs`, the latest first; only those of `pipeline`, if it is named.
#[must_use]
pub fn history(runs: &Path, pipeline: Option<&str>, count: usize) -> Vec<RunRow> {
    folders(runs)
        .iter()
        .filter_map(|folder| row(folder))
        .filter(|row| pipeline.is_none_or(|pipeline| row.pipeline == pipeline))
        .take(count)
        .collect()
}

fn row(folder: &Path) -> Option<RunRow> {
    let events = events(folder);
    let Event::RunStarted {
        pipeline, stages, ..
    } = events.first()?
    else {
        return None;
    };
    let mut row = RunRow {
        run: folder.file_name()?.to_str()?.into(),
        pipeline: pipeline.clone(),
        stages: stages.len(),
        ran: 0,
        cached: 0,
        failed: 0,
        skipped: 0,
        seconds: None,
        running: Some(false),
    };
    for event in &events {
        match event {
            Event::StageFinished { outcome, .. } => {
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

/// Earlier runs as a table.
#[must_use]
pub fn runs(rows: &[RunRow]) -> String {
    let mut table = Table::new([
        ("run", Align::Left),
        ("pipeline", Align::Left),
        ("ran", Align::Right),
        ("cached", Align::Right),
        ("failed", Align::Right),
        ("skipped", Align::Right),
        ("took", Align::Right),
    ]);
    for row in rows {
        let style = match row.seconds {
            None if row.running == Some(true) => Style::new(),
            None => ODD,
            Some(_) if row.failed > 0 => BAD,
            Some(_) if row.ran > 0 => GOOD,
            Some(_) => Style::new(),
        };
        let count = |count: usize| {
            Cell::styled(
                count.to_string(),
                if count == 0 { QUIET } else { Style::new() },
            )
        };
        table.row([
            Cell::styled(&row.run, style),
            row.pipeline.as_str().into(),
            count(row.ran),
            count(row.cached),
            count(row.failed),
            count(row.skipped),
            match (row.seconds, row.running) {
                (Some(took), _) => seconds(took),
                (None, Some(true)) => "running".into(),
                (None, Some(false)) => "did not end".into(),
                (None, None) => "did not end, or is running".into(),
            }
            .into(),
        ]);
    }
    table.render()
}

/// The log of `stage` in `run`, or in the latest run of `pipeline` in the folder `runs` in which it wrote one. None if it
/// wrote none.
///
/// # Errors
/// A run that is not there, a log that cannot be read.
pub fn log(runs: &Path, pipeline: &str, run: Option<&str>, stage: &str) -> Result<Option<String>> {
    let folders = match run {
        None => of_pipeline(runs, pipeline).collect(),
        Some(run) => {
            let names: Vec<String> = folders(runs)
                .iter()
                .filter_map(|folder| Some(folder.file_name()?.to_str()?.to_string()))
                .collect();
            if !names.iter().any(|name| name == run) {
                return Err(Error::usage(format!("there is no run `{run}`"))
                    .did_you_mean(run, names.iter().map(String::as_str))
                    .or_help("`refire log` lists them"));
            }
            vec![runs.join(run)]
        }
    };
    let name = format!("{stage}.log");
    let mut paths = folders.iter().map(|folder| folder.join(&name));
    let Some(path) = paths.find(|path| path.exists()) else {
        return Ok(None);
    };
    std::fs::read(&path)
        .map(|bytes| Some(String::from_utf8_lossy(&bytes).into_owned()))
        .or_stage(|| format!("cannot read `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Sink as _;
    use crate::report::{Journal, samples};

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
        assert_eq!(history(folder.path(), Some("another"), 10), []);

        if cfg!(unix) {
            assert!(runs(&rows).contains("running"), "{}", runs(&rows));
            drop(killed);
            let rows = history(folder.path(), None, 10);
            assert!(runs(&rows).contains("did not end"), "{}", runs(&rows));
        }

        let log = |pipeline, run| log(folder.path(), pipeline, run, "audit");
        let text = log("sentiment", None).expect("readable");
        assert!(text.is_some_and(|text| text.starts_with("Traceback")));
        assert_eq!(log("another", None).expect("readable"), None);
        let named = log("another", Some(whole.run())).expect("readable");
        assert!(
            named.is_some(),
            "a run that is named need not be the pipeline's"
        );
        let error = log("sentiment", Some("2020")).expect_err("no such run");
        assert!(error.message().contains("no run `2020`"));

        let (recent, old) = runs_since(folder.path(), Duration::ZERO);
        assert_eq!((recent.len(), old.len()), (1, 1), "the latest is kept");
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
