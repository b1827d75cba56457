//! When what is published survives a power cut.
//!
//! A kill of any process loses nothing that can be seen: it has been handed to the system. A power cut may take what the
//! system has not yet written to the disk. Waiting for the disk takes longer than many a stage, so short ones are
//! published without and the run waits once, at its end. What a power cut takes until then is found out: a record that
//! is not whole is no record, an object that is not whole is made again.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Store;
use super::disk::{is_folder, make_folder, sync_all};
use super::record::Record;
use crate::error::Result;

/// When what is published is on the disk for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durable {
    /// Before publishing returns.
    Now,
    /// When [`Store::make_durable`] returns.
    Later,
}

impl Durable {
    /// Now, except where waiting for the disk again and again costs more than it protects: work of less than a second,
    /// on a system that can write back a whole disk at once.
    #[must_use]
    pub fn after(seconds: f64) -> Self {
        if cfg!(target_os = "linux") && seconds < 1.0 {
            Self::Later
        } else {
            Self::Now
        }
    }

    /// Syncs `paths`, which lie on the disk of `root`, if it has to be now.
    pub(super) fn sync(self, root: &Path, paths: &[PathBuf]) -> Result<()> {
        match self {
            Self::Now => sync_all(root, paths),
            Self::Later => Ok(()),
        }
    }

    /// Makes a folder and those above it.
    pub(super) fn make_folder(self, folder: &Path) -> io::Result<()> {
        match self {
            Self::Now => make_folder(folder),
            Self::Later if is_folder(folder) => Ok(()),
            Self::Later => fs::create_dir_all(folder),
        }
    }
}

impl Store {
    /// Waits until `records` and all that they name are on the disk for good.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn make_durable<'r>(&self, records: impl Iterator<Item = &'r Record>) -> Result<()> {
        let mut files = BTreeSet::new();
        for record in records {
            files.insert(self.record_path(&record.key));
            for artifact in record.outputs.values() {
                files.insert(self.manifest_path(artifact));
                let manifest = self.manifest(artifact).ok();
                let objects = manifest.iter().flat_map(|manifest| manifest.files());
                files.extend(objects.map(|file| self.object_path(&file.digest)));
            }
        }
        // A file is in a shard, a shard in a folder of the store.
        let folders: BTreeSet<PathBuf> = files
            .iter()
            .flat_map(|file| file.ancestors().skip(1).take(2))
            .map(Path::to_path_buf)
            .collect();
        let there = |path: &PathBuf| path.exists();
        let paths: Vec<PathBuf> = files.into_iter().chain(folders).filter(there).collect();
        sync_all(&self.root, &paths)
    }
}
