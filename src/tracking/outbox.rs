//! What there is to send, on the disk until it has been sent.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Done, Report};
use crate::error::{Context as _, Error, Result};
use crate::store::write_atomic;

/// So many runs wait at the most; older ones are dropped.
const MOST: usize = 100;

/// A folder with a file a run.
#[derive(Clone, Debug)]
pub struct Outbox {
    folder: PathBuf,
}

/// A run, and how far it has been sent to each tracker.
#[derive(Serialize, Deserialize)]
struct Letter {
    report: Report,
    #[serde(default)]
    done: BTreeMap<String, BTreeMap<String, String>>,
}

/// Among the words of a tracker: that nothing is left.
const ALL: &str = "all";

impl Outbox {
    /// The outbox in `folder`, which need not exist.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// Puts a run into it.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn put(&self, report: Report) -> Result<()> {
        let path = self.folder.join(format!("{}.json", report.run));
        fs::create_dir_all(&self.folder)
            .or_stage(|| format!("cannot make `{}`", self.folder.display()))?;
        let done = BTreeMap::new();
        write(&path, &Letter { report, done })
    }

    /// Keeps others from sending what lies here; none while another run does, which would send everything twice.
    pub(super) fn alone(&self) -> Option<File> {
        let file = File::create(self.folder.join(".lock")).ok()?;
        file.try_lock().ok()?;
        Some(file)
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.letters().is_empty()
    }

    /// Sends each run that `tracker` does not have whole, the oldest first, up to the first that cannot be sent.
    pub(super) fn each(
        &self,
        tracker: &str,
        send: impl Fn(&Report, &mut Done<'_>) -> Result<()>,
    ) -> Result<()> {
        for path in self.letters() {
            // What cannot be read is of another refire, or damaged: it goes with `clear`.
            let Some(letter) = read(&path) else { continue };
            let words = letter.done.get(tracker).cloned().unwrap_or_default();
            if words.contains_key(ALL) {
                continue;
            }
            let save = |words: &BTreeMap<String, String>| {
                let mut letter =
                    read(&path).ok_or_else(|| Error::stage("what was to be sent has gone"))?;
                letter.done.insert(tracker.into(), words.clone());
                write(&path, &letter)
            };
            let mut done = Done { words, save: &save };
            send(&letter.report, &mut done)?;
            done.set(ALL, "")?;
        }
        Ok(())
    }

    /// Drops what all `trackers` have, what nobody can read, and what is too old.
    pub(super) fn clear(&self, trackers: &[&str]) {
        let mut left = Vec::new();
        for path in self.letters() {
            let has = |letter: &Letter, tracker: &&str| {
                let words = letter.done.get(*tracker);
                words.is_some_and(|words| words.contains_key(ALL))
            };
            match read(&path) {
                Some(letter) if !trackers.iter().all(|tracker| has(&letter, tracker)) => {
                    left.push(path);
                }
                _ => drop(fs::remove_file(path)),
            }
        }
        let old = left.len().saturating_sub(MOST);
        for path in &left[..old] {
            let _ = fs::remove_file(path);
        }
    }

    /// The files, in the order of their names, which is that of the runs.
    fn letters(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path());
        let mut letters: Vec<PathBuf> = paths
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "json")
            })
            .collect();
        letters.sort();
        letters
    }
}

fn read(path: &Path) -> Option<Letter> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn write(path: &Path, letter: &Letter) -> Result<()> {
    let json = serde_json::to_vec(letter).or_stage(|| "cannot write what is to be sent")?;
    write_atomic(path, &json)
}
