//! Events → `runs/ID/events.jsonl` and a log file a stage, on their way to whatever shows them.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::error::{Context, Result};
use crate::event::{self, Event, Sink};

/// Writes a run down and passes its events on. A disk that fills up during the run costs log lines, not the run.
pub struct Journal<'a> {
    run: String,
    folder: PathBuf,
    files: Mutex<Files>,
    next: &'a dyn Sink,
}

struct Files {
    events: File,
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
        files.events.write_all(&line)
    }
}

impl Sink for Journal<'_> {
    fn send(&self, event: &Event) {
        if !matches!(event, Event::Progress { .. }) {
            let _ = self.write(event);
        }
        self.next.send(event);
    }
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
