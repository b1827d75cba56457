//! Artifacts by digest: atomic, verified, collected. Knows no stage and no pipeline.
//!
//! ```text
//! objects/ab/cdef…         the bytes of files, each once, named by their BLAKE3 digest; read-only
//! artifacts/ab/cdef….json  manifests: which objects an artifact consists of, under which paths
//! records/ab/cdef….json    what a key led to
//! tmp/                     work in progress; nothing in it counts
//! downloads/               interrupted downloads, which `sources` keeps there
//! checkpoints/             interrupted trainings, by the key of their stage
//! pins/                    what the locks of those who share the cache need
//! stat                     digests of local files, to spare hashing them again
//! CACHEDIR.TAG             says whose the folder is; one that holds anything else is no cache
//! ```
//!
//! Everything appears by a rename of a finished file, objects before the manifest that names them, the manifest
//! before the record; so whatever can be seen is whole, after a crash too, and any number of processes and machines
//! may share the folder without locks. What two of them make at once is made twice and kept once.
//!
//! Finished files are *sealed*: read-only, with one fixed modification time that any write moves. A sealed object of
//! the right size is trusted where that decides only whether work is repeated ([`Store::is_whole`]), any other is
//! hashed again; what is handed out ([`Store::materialise`]) is always hashed first, once per process.
//!
//! Somebody else may have filled the cache, so nothing in it is believed: digests prove contents, paths are checked when they
//! are read and again before they become files, and no link is followed.

mod claim;
mod collect;
mod digest;
mod disk;
mod durable;
mod explanation;
mod folder;
mod hash;
mod inputs;
mod manifest;
mod memo;
mod pins;
mod publish;
mod record;
mod restore;
mod scratch;
mod shelf;
mod spread;
mod stamp;
mod stat;
mod walk;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

pub use collect::{Collected, Filed, Interrupted, Keep};
pub use digest::Digest;
pub use disk::{disk_error, write_atomic, write_if_changed};
pub use durable::Durable;
pub use explanation::Explanation;
pub use manifest::{Entry, Manifest};
pub use memo::{memo, recall};
pub use pins::Pin;
pub use publish::Published;
use record::Foreseen;
pub use record::Record;
pub use restore::{Damage, Defect, Unrestored};
pub use scratch::{Scratch, sweep};
pub use walk::{Found, LOCK_MARK, content, is_own, made, refuse_outside};

use crate::error::Result;
use claim::claim;
use disk::{OnDisk, make_folder};
use restore::Refused;
use shelf::Shelf;
use stamp::Stamp;
use stat::StatCache;

/// A cache folder, opened. It can be used from any number of threads.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    objects: Shelf,
    artifacts: Shelf,
    records: Shelf,
    stat: StatCache,
    /// Objects hashed by this process, and what they looked like then.
    verified: Mutex<BTreeMap<Digest, Stamp>>,
    /// Manifests that were read with a record.
    described: Mutex<BTreeMap<Digest, Arc<Manifest>>>,
    /// Records that were read before they are asked for.
    foreseen: Mutex<HashMap<Digest, Foreseen>>,
    /// Whether the artifacts of those that were asked for were found whole.
    found_whole: Mutex<HashMap<Digest, bool>>,
    /// Local files that were written to just before they were hashed.
    racy: Mutex<BTreeSet<PathBuf>>,
    notices: Mutex<Vec<String>>,
    /// A scratch folder that waits for the next piece of work.
    spare: Mutex<Option<Scratch>>,
    /// What the store's own disk cannot do.
    refused: Refused,
    /// Whether leftovers of killed processes have been removed.
    swept: Once,
    /// Shows that a run is under way.
    under_way: Mutex<Option<Scratch>>,
}

impl Drop for Store {
    fn drop(&mut self) {
        // What is not written down is hashed again.
        let _ = self.save();
    }
}

impl Store {
    /// Opens the cache in the folder `root`, which is made if it is missing.
    ///
    /// # Errors
    /// If it is missing and cannot be made; if it holds something else. A cache that can only be read opens well, and so does
    /// one that is missing where nothing may be written: nothing is in it.
    pub fn open(root: &Path) -> Result<Self> {
        let root = std::path::absolute(root).doing("find the cache folder", root)?;
        let taken_over = claim(&root)?;
        let store = Self {
            objects: Shelf::new(&root, "objects", ""),
            artifacts: Shelf::new(&root, "artifacts", ".json"),
            records: Shelf::new(&root, "records", ".json"),
            stat: StatCache::new(root.join("stat")),
            root,
            verified: Mutex::default(),
            described: Mutex::default(),
            foreseen: Mutex::default(),
            found_whole: Mutex::default(),
            racy: Mutex::default(),
            notices: Mutex::default(),
            spare: Mutex::default(),
            refused: Refused::default(),
            swept: Once::new(),
            under_way: Mutex::default(),
        };
        if taken_over {
            store.notice(format!(
                "`{}` holds a cache of an earlier refire and is marked as one from now on",
                store.root.display()
            ));
        }
        Ok(store)
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the stage with this key keeps how far it has come.
    #[must_use]
    pub fn checkpoint(&self, key: &Digest) -> PathBuf {
        self.root.join("checkpoints").join(key.to_string())
    }

    /// Takes what the user should know: damage that was found and mended. One line each.
    pub fn take_notices(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.notices))
    }

    /// Writes down the digests of local files that were hashed, if there are new ones. Dropping the store does so too,
    /// but silently.
    ///
    /// # Errors
    /// If the cache is not writable or the disk is full; only speed is lost.
    pub fn save(&self) -> Result<()> {
        self.settle();
        self.stat.save()
    }

    fn notice(&self, text: String) {
        lock(&self.notices).push(text);
    }

    fn object_path(&self, object: &Digest) -> PathBuf {
        self.objects.path(object)
    }

    fn manifest_path(&self, artifact: &Digest) -> PathBuf {
        self.artifacts.path(artifact)
    }

    fn record_path(&self, key: &Digest) -> PathBuf {
        self.records.path(key)
    }

    /// The folder for work in progress.
    fn tmp(&self) -> Result<PathBuf> {
        let tmp = self.root.join("tmp");
        make_folder(&tmp).doing("make the folder", &tmp)?;
        Ok(tmp)
    }

    /// Removes a damaged file. One that cannot be removed, in a cache that can only be read, is found damaged again.
    #[expect(clippy::unused_self, reason = "only a store may remove its files")]
    fn discard(&self, path: &Path) {
        let _ = fs::remove_file(path);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that is guarded here can be left half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
