//! Events → `runs/ID/events.jsonl` and a log file a stage, on their way to whatever shows them.

mod history;
mod past;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use self::history::EVENTS;
pub use self::history::{Headline, RunRow, history, is_running, keys, runs_by_age, told};
pub use self::past::{StageLog, last_failures, log, log_in, other_run_with_log};
use crate::error::{Context, Error, Result};
use crate::event::{self, Event, Sink};
use crate::names;

/// So many bytes of events that can wait are written at once.
const BUFFER: usize = 1 << 16;

/// Writes a run down and passes its events on. A disk that is full or cannot be written costs the journal, not the run.
pub struct Journal<'a> {
    run: String,
    /// The files; without them, what kept them from being made.
    files: Result<Mutex<Files>>,
    next: &'a dyn Sink,
}

struct Files {
    folder: PathBuf,
    events: BufWriter<File>,
    /// Those of the stages that run at the moment: there may be more stages than a process may have open files.
    logs: BTreeMap<String, File>,
}

impl<'a> Journal<'a> {
    /// Begins a new run in the folder `runs`. Where nothing can be written there, the run goes on without a journal, and a
    /// notice says so.
    ///
    /// # Errors
    /// If there is no name left for a run of this second.
    pub fn begin(runs: &Path, next: &'a dyn Sink) -> Result<Self> {
        let time = jiff::Timestamp::try_from(event::now())
            .unwrap_or_default()
            .strftime("%Y%m%d-%H%M%S")
            .to_string();
        let made = std::fs::create_dir_all(runs)
            .or_stage(|| format!("cannot create `{}`", runs.display()));
        let (run, files) = match made {
            Ok(()) => new_folder(runs, &time)?,
            Err(error) => (time, Err(error)),
        };
        Ok(Self {
            run,
            files: files.and_then(Files::create).map(Mutex::new),
            next,
        })
    }

    /// The run's name, which sorts by time.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    fn write(&self, event: &Event) -> std::io::Result<()> {
        let Ok(files) = &self.files else {
            return Ok(());
        };
        let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
        files.write(event)
    }
}

impl Files {
    /// The files of the run in `folder`.
    fn create(folder: PathBuf) -> Result<Self> {
        let path = folder.join(EVENTS);
        let events =
            File::create(&path).or_stage(|| format!("cannot create `{}`", path.display()))?;
        // It tells `refire log` that the run is under way, and ends with this process however that ends. Elsewhere a lock
        // would keep the file from being read.
        if cfg!(unix) {
            let _ = events.try_lock();
        }
        Ok(Self {
            folder,
            events: BufWriter::with_capacity(BUFFER, events),
            logs: BTreeMap::new(),
        })
    }

    fn write(&mut self, event: &Event) -> std::io::Result<()> {
        match event {
            Event::Log { stage, text } => return self.log(stage, text),
            Event::Paste { stage, text, lines } => {
                for line in std::iter::once(text).chain(lines) {
                    self.log(stage, line)?;
                }
            }
            Event::StageFinished { stage, .. } => drop(self.logs.remove(stage)),
            _ => {}
        }
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.events.write_all(&line)?;
        // That a stage is cached can wait for what happens next: nothing is lost with it.
        if event.is_cached() {
            return Ok(());
        }
        self.events.flush()
    }

    fn log(&mut self, stage: &str, text: &str) -> std::io::Result<()> {
        if !self.logs.contains_key(stage) {
            let path = names::join(&self.folder, &format!("{stage}.log"))
                .map_err(|error| std::io::Error::other(error.to_string()))?;
            let file = OpenOptions::new().create(true).append(true).open(path)?;
            self.logs.insert(stage.into(), file);
        }
        let file = self.logs.get_mut(stage);
        file.map_or(Ok(()), |file| writeln!(file, "{text}"))
    }
}

impl Sink for Journal<'_> {
    fn send(&self, event: &Event) {
        if !matches!(event, Event::Progress { .. }) {
            let _ = self.write(event);
        }
        self.next.send(event);
        if let (Event::RunStarted { .. }, Err(error)) = (event, &self.files) {
            self.next.send(&Event::Notice {
                stage: None,
                text: format!("this run leaves no journal and no logs: {error}"),
            });
        }
    }
}

/// A folder of its own for this run, even if another run starts at the same moment; its name, and the folder if it could
/// be made.
fn new_folder(runs: &Path, time: &str) -> Result<(String, Result<PathBuf>)> {
    for attempt in 1..=u16::MAX {
        // So many digits that names sort as runs do.
        let run = match attempt {
            1 => time.to_string(),
            _ => format!("{time}-{attempt:05}"),
        };
        let folder = runs.join(&run);
        match std::fs::create_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => {
                let made = made.or_stage(|| format!("cannot create `{}`", folder.display()));
                return Ok((run, made.map(|()| folder)));
            }
        }
    }
    Err(Error::stage(format!(
        "`{}` has a run of every name of this second",
        runs.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Outcome, samples};

    #[test]
    fn runs_of_one_second_sort_in_their_order() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let names: Vec<String> = (0..12)
            .map(|_| {
                new_folder(folder.path(), "20260601-101112")
                    .expect("names")
                    .0
            })
            .collect();
        assert!(names.is_sorted(), "{names:?}");
        assert_eq!(names[1], "20260601-101112-00002");
    }

    #[test]
    fn a_stage_that_has_ended_holds_no_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let nowhere = |_: &Event| {};
        let journal = Journal::begin(folder.path(), &nowhere).expect("writable");
        let say = |stage: &str, text: &str| {
            journal.send(&Event::Log {
                stage: stage.into(),
                text: text.into(),
            });
        };
        let open = || {
            let files = journal.files.as_ref().expect("writable");
            let files = files.lock().expect("not poisoned");
            files.logs.len()
        };
        say("a", "one");
        say("b", "one");
        assert_eq!(open(), 2);
        journal.send(&samples::finished("a", Outcome::Ran, 0.5, "", &[]));
        assert_eq!(open(), 1);
        // What comes late, or from a stage that runs again, goes to the same file.
        say("a", "two");
        let log = folder.path().join(journal.run()).join("a.log");
        assert_eq!(std::fs::read_to_string(log).expect("written"), "one\ntwo\n");
    }

    #[test]
    fn a_run_that_cannot_be_written_down_goes_on() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let runs = folder.path().join("runs");
        File::create(&runs).expect("writable");
        let seen = Mutex::new(Vec::new());
        let next = |event: &Event| seen.lock().expect("not poisoned").push(event.clone());
        let journal = Journal::begin(&runs, &next).expect("no bug");
        for event in samples::run() {
            journal.send(&event);
        }
        let seen = seen.lock().expect("not poisoned");
        assert_eq!(seen.len(), samples::run().len() + 1);
        let Event::Notice { stage: None, text } = &seen[1] else {
            panic!("{:?}", seen[1]);
        };
        assert!(
            text.contains("no journal and no logs: cannot create"),
            "{text}"
        );
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
