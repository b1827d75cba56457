//! Folders for work in progress.

use std::fs::{self, File};
use std::path::Path;

use fs4::FileExt;
use tempfile::TempDir;

use super::Store;
use super::disk::OnDisk;
use crate::error::Result;

/// An empty folder on the store's own disk, removed with all that is in it when this is dropped.
///
/// As long as it lives its folder is locked, so that what a killed process left behind can be told apart.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
    /// Not every file system can lock; age decides there.
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
    /// A new scratch folder, from which [`Store::publish`] moves files instead of copying them. Its name starts with `prefix`.
    ///
    /// # Errors
    /// If the cache is not writable.
    pub fn scratch(&self, prefix: &str) -> Result<Scratch> {
        let parent = self.root.join("tmp");
        fs::create_dir_all(&parent).doing("make the folder", &parent)?;
        let folder = tempfile::Builder::new()
            .prefix(&format!("{prefix}-"))
            .tempdir_in(&parent)
            .doing("make a folder in", &parent)?;
        let lock = File::open(folder.path())
            .ok()
            .filter(|file| FileExt::try_lock(file).is_ok());
        Ok(Scratch {
            folder,
            _lock: lock,
        })
    }
}
