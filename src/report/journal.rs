//! Events → `runs/ID/events.jsonl` and a log file a stage, on their way to whatever shows them.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::history::{events, latest};
use crate::error::{Context, Result};
use crate::event::{self, Event, Outcome, Sink};

/// Writes a run down and passes its events on. A disk that fills up during the run costs log lines, not the run.
pub struct Journal<'a> {
    run: String,
    folder: PathBuf,
    files: Mutex<Files>,
    next: &'a dyn Sink,
}

struct Files {
    events: BufWriter<File>,
    logs: BTreeMap<String, File>,
}

impl<'a> Journal<'a> {
    /// Begins a new run in the folder `runs`.
    ///
    /// # Errors
    /// If its folder cannot be made.
    pub fn begin(runs: &Path, next: &'a dyn Sink) -> Result<Self> {
        let (run, folder) = new_folder(runs)?;
        let path = folder.join("events.jsonl");
        let events =
            File::create(&path).or_stage(|| format!("cannot create `{}`", path.display()))?;
        let events = BufWriter::new(events);
        Ok(Self {
            run,
            folder,
            files: Mutex::new(Files {
                events,
                logs: BTreeMap::new(),
            }),
            next,
        })
    }

    /// The run's name, which sorts by time.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    fn write(&self, event: &Event) -> std::io::Result<()> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Event::Log { stage, text } = event {
            if !files.logs.contains_key(stage) {
                let path = self.folder.join(format!("{stage}.log"));
                let file = OpenOptions::new().create(true).append(true).open(path)?;
                files.logs.insert(stage.clone(), file);
            }
            return files
                .logs
                .get_mut(stage)
                .map_or(Ok(()), |file| writeln!(file, "{text}"));
        }
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        files.events.write_all(&line)?;
        // That a stage is cached can wait for what happens next: nothing is lost with it.
        if is_cached(event) {
            return Ok(());
        }
        files.events.flush()
    }
}

/// Whether `event` says that a stage is up to date, as nearly all of a run with little to do are.
pub(super) fn is_cached(event: &Event) -> bool {
    let Event::StageFinished { outcome, .. } = event else {
        return false;
    };
    *outcome == Outcome::Cached
}

impl Sink for Journal<'_> {
    fn send(&self, event: &Event) {
        if !matches!(event, Event::Progress { .. }) {
            let _ = self.write(event);
        }
        self.next.send(event);
    }
}

/// The stages that failed in the latest of the runs in the folder `runs`, and why. None if there was no run.
#[must_use]
pub fn last_failures(runs: &Path) -> BTreeMap<String, String> {
    let Some(latest) = latest(runs) else {
        return BTreeMap::new();
    };
    let failure = |event| match event {
        Event::StageFinished {
            stage,
            outcome: Outcome::Failed,
            reason,
            ..
        } => Some((stage, reason)),
        _ => None,
    };
    events(&latest).into_iter().filter_map(failure).collect()
}

/// A folder of its own for this run, even if another run starts at the same moment.
fn new_folder(runs: &Path) -> Result<(String, PathBuf)> {
    std::fs::create_dir_all(runs).or_stage(|| format!("cannot create `{}`", runs.display()))?;
    let time = jiff::Timestamp::try_from(event::now())
        .unwrap_or_default()
        .strftime("%Y%m%d-%H%M%S")
        .to_string();
    for attempt in 0_u32.. {
        let run = if attempt == 0 {
            time.clone()
        } else {
            format!("{time}-{attempt}")
        };
        let folder = runs.join(&run);
        match std::fs::create_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => {
                return made
                    .or_stage(|| format!("cannot create `{}`", folder.display()))
                    .map(|()| (run, folder));
            }
        }
    }
    unreachable!("four billion runs in one second")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn the_failures_of_the_latest_run_are_remembered() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let runs = folder.path().join("runs");
        assert_eq!(last_failures(&runs), BTreeMap::new());

        let nowhere = |_: &Event| {};
        let first = Journal::begin(&runs, &nowhere).expect("writable");
        for event in samples::run() {
            first.send(&event);
        }
        let failures = last_failures(&runs);
        assert_eq!(failures.len(), 1);
        assert_eq!(failures["audit"], "`python` ended with status 1");

        let second = Journal::begin(&runs, &nowhere).expect("writable");
        assert!(second.run() > first.run(), "runs sort by time");
        assert_eq!(last_failures(&runs), BTreeMap::new());
    }

    #[test]
    fn logs_go_to_a_file_a_stage_and_progress_nowhere() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let nowhere = |_: &Event| {};
        let journal = Journal::begin(folder.path(), &nowhere).expect("writable");
        for event in samples::run() {
            journal.send(&event);
        }
        let run = folder.path().join(journal.run());
        let log = std::fs::read_to_string(run.join("audit.log")).expect("it was written");
        assert_eq!(
            log,
            "Traceback (most recent call last):\nValueError: no such column\n"
        );
        let events = std::fs::read_to_string(run.join("events.jsonl")).expect("it was written");
        assert!(
            !events.contains("progress") && !events.contains("Traceback"),
            "{events}"
        );
    }
}
