//! Folders for work in progress, and what is done about those that a killed process left behind.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::disk::{OnDisk, temporary};
use super::folder::{Folder, Seen};
use super::stamp;
use super::{Store, lock};
use crate::error::Result;
use crate::names::{TEMPORARY, is_temporary};

/// What the names of scratch folders begin with.
const OURS: &str = "refire-";
/// Between making a folder and locking it, it must not be taken for a leftover.
const YOUNG: Duration = Duration::from_mins(1);
/// A file is not locked; what writes or reads it may take its time.
const YOUNG_FILE: Duration = Duration::from_hours(1);
/// When a folder counts as left behind on a disk that cannot lock.
const OLD: Duration = Duration::from_hours(7 * 24);

/// An empty folder on the store's own disk, removed with all that is in it when this is dropped.
///
/// As long as it lives its folder is locked; the lock of a killed process is gone, by which its folder is recognised.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
    _lock: Option<File>,
}

impl Scratch {
    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl AsRef<Path> for Scratch {
    fn as_ref(&self) -> &Path {
        self.path()
    }
}

impl Store {
    /// The scratch folder that was given back, else a new one.
    ///
    /// # Errors
    /// If the cache is not writable.
    pub fn take_scratch(&self, prefix: &str) -> Result<Scratch> {
        let spare = lock(&self.spare).take();
        spare.map_or_else(|| self.scratch(prefix), Ok)
    }

    /// Keeps a scratch folder for the next piece of work, which must find nothing in it that disturbs.
    ///
    /// A file system is slow to make again what was just removed (ext4 passes over inodes for a minute or more), so
    /// thousands of short stages are better off with one folder.
    pub fn give_back_scratch(&self, scratch: Scratch) {
        *lock(&self.spare) = Some(scratch);
    }

    /// A new scratch folder, from which [`Store::publish`] moves files instead of copying them. Its name holds `prefix`.
    ///
    /// # Errors
    /// If the cache is not writable.
    pub fn scratch(&self, prefix: &str) -> Result<Scratch> {
        let parent = self.tmp()?;
        self.swept.call_once(|| {
            let ages = self.ages();
            sweep_own(&parent, YOUNG, &ages);
            sweep(&self.root);
        });
        let plain = |letter: char| match letter {
            'a'..='z' | 'A'..='Z' | '0'..='9' => letter,
            _ => '-',
        };
        let prefix: String = prefix.chars().map(plain).take(40).collect();
        loop {
            let folder = tempfile::Builder::new()
                .prefix(&format!("{OURS}{prefix}-"))
                .tempdir_in(&parent)
                .doing("make a folder in", &parent)?;
            let lock = File::open(folder.path())
                .ok()
                .filter(|file| file.lock().is_ok());
            // Before it was locked it may have been taken for a leftover.
            if folder.path().exists() {
                return Ok(Scratch {
                    folder,
                    _lock: lock,
                });
            }
        }
    }

    /// The same for what is only read; in the system's folder for temporary files if the cache cannot be written.
    ///
    /// # Errors
    /// If neither can be written.
    pub fn scratch_for_reading(&self, prefix: &str) -> Result<Scratch> {
        self.scratch(prefix).or_else(|error| {
            let folder = tempfile::Builder::new().prefix(OURS).tempdir();
            let folder = folder.map_err(|_| error)?;
            Ok(Scratch {
                folder,
                _lock: None,
            })
        })
    }

    /// Shows to those who collect, until [`run_has_ended`](Self::run_has_ended) or this store is dropped, that a run is under way:
    /// what is written to the cache from now on stays, whatever clocks say. In a cache that can only be read there is nothing
    /// to show.
    pub fn run_is_under_way(&self) {
        let mut under_way = lock(&self.under_way);
        if under_way.is_none() {
            *under_way = self.scratch("run").ok();
        }
    }

    /// Shows that no run of this process is under way any more.
    pub fn run_has_ended(&self) {
        drop(lock(&self.under_way).take());
    }

    /// How old things in the cache are.
    pub(super) fn ages(&self) -> Ages {
        Ages {
            now: self.disk_clock(),
            since: in_use_since(&self.root.join("tmp")),
        }
    }

    /// The time by the clock of the cache's disk, which may be another machine's; by this machine's if the cache cannot be
    /// written.
    fn disk_clock(&self) -> Duration {
        let probe = self.tmp().ok().and_then(|tmp| temporary(&tmp).ok());
        let metadata = probe.and_then(|probe| probe.as_file().metadata().ok());
        metadata.map_or_else(stamp::now, |metadata| stamp::changed(&metadata))
    }
}

/// How old things in a cache are. A clock may be wrong, and be set while a run goes on, so ages alone do not say what a run under
/// way needs: whatever changed after the oldest of those who work in the cache came counts as of now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ages {
    /// The time by the clock of the cache's disk.
    pub(super) now: Duration,
    /// When the scratch folder of the first of them was made.
    pub(super) since: Option<Duration>,
}

impl Ages {
    /// How long ago what looks like `seen` last changed.
    pub(super) fn of(&self, seen: &Seen) -> Duration {
        match self.since {
            // The clock was set back since; no time that it has told then says anything.
            Some(since) if since > self.now || seen.changed >= since => Duration::ZERO,
            _ => self.now.saturating_sub(seen.changed),
        }
    }
}

/// Since when somebody works with a scratch folder in `tmp`.
fn in_use_since(tmp: &Path) -> Option<Duration> {
    let folder = Folder::open(tmp).ok()??;
    let names = folder.names().unwrap_or_default().into_iter();
    let in_use = names
        .filter(|name| name.starts_with(OURS))
        .filter_map(|name| {
            let seen = folder.look(&name).filter(|seen| seen.is_folder)?;
            let inside = folder.inside(&name).ok()??;
            let is_in_use = match inside.try_lock() {
                Ok(()) => false,
                Err(TryLockError::WouldBlock) => true,
                Err(TryLockError::Error(_)) => seen.age <= OLD,
            };
            is_in_use.then_some(seen.changed)
        });
    in_use.min()
}

/// Removes what killed processes left in `folder`, the store's own for work in progress. What cannot be removed is left to the
/// next time.
fn sweep_own(folder: &Path, young: Duration, ages: &Ages) {
    let Ok(Some(folder)) = Folder::open(folder) else {
        return;
    };
    for name in folder.names().unwrap_or_default() {
        let Some(seen) = folder.look(&name) else {
            continue;
        };
        let is_left = if seen.is_folder {
            name.starts_with(OURS) && is_folder_left(&folder, &name, &seen, young)
        } else {
            let is_ours = name.starts_with(OURS) || name.starts_with(TEMPORARY.0);
            is_ours && ages.of(&seen) >= YOUNG_FILE && is_file_left(&folder, &name, &seen)
        };
        if is_left {
            let _ = folder.remove(&name);
        }
    }
}

/// Removes what killed processes were writing in `folder`, which is the user's or the root of the cache: what is called as refire
/// calls it, is not of the last minute, and is held by no process. What cannot be removed is left to the next time.
pub fn sweep(folder: &Path) {
    let is_here = folder.as_os_str().is_empty();
    let folder = if is_here { Path::new(".") } else { folder };
    let Ok(folder) = std::fs::canonicalize(folder) else {
        return;
    };
    let Ok(Some(folder)) = Folder::open(&folder) else {
        return;
    };
    let names = folder.names().unwrap_or_default().into_iter();
    for name in names.filter(|name| is_temporary(name)) {
        let is_left = |seen: Seen| match seen {
            Seen { is_file: true, .. } => seen.age >= YOUNG && is_file_left(&folder, &name, &seen),
            Seen {
                is_folder: true, ..
            } => is_folder_left(&folder, &name, &seen, YOUNG),
            // A link is none of ours.
            _ => false,
        };
        if folder.look(&name).is_some_and(is_left) {
            let _ = folder.remove(&name);
        }
    }
}

/// Whether no process holds the file.
fn is_file_left(folder: &Folder, name: &str, seen: &Seen) -> bool {
    match folder.try_lock_file(name) {
        Ok(()) => true,
        Err(TryLockError::WouldBlock) => false,
        // A link, or a disk that cannot lock.
        Err(TryLockError::Error(_)) => seen.age > OLD,
    }
}

fn is_folder_left(folder: &Folder, name: &str, seen: &Seen, young: Duration) -> bool {
    let Ok(Some(inside)) = folder.inside(name) else {
        return seen.age > OLD;
    };
    match inside.try_lock() {
        Ok(()) => seen.age >= young,
        Err(TryLockError::WouldBlock) => false,
        Err(TryLockError::Error(_)) => seen.age > OLD,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::super::tests::{place, write};
    use super::*;

    #[test]
    fn any_name_of_a_stage_will_do() {
        let place = place();
        for name in ["", "a/../b@lr=1e-4", &"long".repeat(200), "ä"] {
            let scratch = place.store.scratch(name).expect("a scratch folder");
            assert!(scratch.path().starts_with(place.path.join("cache/tmp")));
            assert!(scratch.path().is_dir());
        }
    }

    #[test]
    fn what_a_killed_process_left_is_swept_and_what_is_in_use_is_not() {
        let place = place();
        let used = place.store.scratch("used").expect("a scratch folder");
        let tmp = used.path().parent().expect("the store's tmp");
        let (left, mine) = (tmp.join("refire-left"), place.path.join("mine"));
        write(&left.join("deep/file"), "half");
        write(&tmp.join("thesis/chapter"), "mine");
        write(&mine.join("chapter"), "mine");
        let link = tmp.join("refire-link");
        std::os::unix::fs::symlink(&mine, &link).expect("linked");
        std::os::unix::fs::symlink(&mine, left.join("link")).expect("linked");
        let sweep_own = |young| super::sweep_own(tmp, young, &place.store.ages());
        sweep_own(YOUNG);
        assert!(left.exists(), "it may be about to be locked");
        sweep_own(Duration::ZERO);
        assert!(!left.exists());
        assert!(used.path().exists());
        assert!(tmp.join("thesis/chapter").exists(), "it is not ours");
        assert!(mine.join("chapter").exists(), "links are not followed");

        // A link in place of the whole folder.
        let moved = place.path.join("moved");
        std::fs::rename(tmp, &moved).expect("moved");
        write(&mine.join("refire-x/chapter"), "mine");
        std::os::unix::fs::symlink(&mine, tmp).expect("linked");
        sweep_own(Duration::ZERO);
        assert!(mine.join("refire-x/chapter").exists());
        std::fs::remove_file(tmp).expect("removed");
        std::fs::rename(&moved, tmp).expect("moved back");
    }
}
