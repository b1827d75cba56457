//! Folders for work in progress, and what is done about those that a killed process left behind.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::claim::TEMPORARY;
use super::disk::OnDisk;
use super::folder::Folder;
use super::{Store, lock};
use crate::error::Result;

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
        self.swept.call_once(|| sweep(&parent, YOUNG));
        let plain = |letter: char| match letter {
            'a'..='z' | 'A'..='Z' | '0'..='9' => letter,
            _ => '-',
        };
        let prefix: String = prefix.chars().map(plain).take(40).collect();
        let folder = tempfile::Builder::new()
            .prefix(&format!("{OURS}{prefix}-"))
            .tempdir_in(&parent)
            .doing("make a folder in", &parent)?;
        let lock = File::open(folder.path())
            .ok()
            .filter(|file| file.try_lock().is_ok());
        Ok(Scratch {
            folder,
            _lock: lock,
        })
    }
}

/// Removes what killed processes left in `folder`. What cannot be removed is left to the next time.
fn sweep(folder: &Path, young: Duration) {
    let Ok(Some(folder)) = Folder::open(folder) else {
        return;
    };
    for name in folder.names().unwrap_or_default() {
        let is_ours = name.starts_with(OURS) || name.starts_with(TEMPORARY);
        if is_ours && is_left_behind(&folder, &name, young) {
            let _ = folder.remove(&name);
        }
    }
}

fn is_left_behind(folder: &Folder, name: &str, young: Duration) -> bool {
    let Some(seen) = folder.look(name) else {
        return false;
    };
    if !seen.is_folder {
        return seen.age >= YOUNG_FILE;
    }
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
        sweep(tmp, YOUNG);
        assert!(left.exists(), "it may be about to be locked");
        sweep(tmp, Duration::ZERO);
        assert!(!left.exists());
        assert!(used.path().exists());
        assert!(tmp.join("thesis/chapter").exists(), "it is not ours");
        assert!(mine.join("chapter").exists(), "links are not followed");

        // A link in place of the whole folder.
        let moved = place.path.join("moved");
        std::fs::rename(tmp, &moved).expect("moved");
        write(&mine.join("refire-x/chapter"), "mine");
        std::os::unix::fs::symlink(&mine, tmp).expect("linked");
        sweep(tmp, Duration::ZERO);
        assert!(mine.join("refire-x/chapter").exists());
        std::fs::remove_file(tmp).expect("removed");
        std::fs::rename(&moved, tmp).expect("moved back");
    }
}
