//! From a folder to an artifact: sealed, hashed, synced, renamed; the manifest last.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use super::digest::Digest;
use super::disk::{OnDisk, hard_links, is_executable, is_sealed, place, seal, temporary, touch};
use super::durable::Durable;
use super::hash::hash_file;
use super::manifest::{Entry, Manifest};
use super::restore::{Defect, Problem, Unrestored};
use super::spread::try_map;
use super::stamp::Stamp;
use super::walk::{Found, made};
use super::{Store, lock};
use crate::error::{Error, Result};

/// What was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The name of the artifact.
    pub digest: Digest,
    /// The size of its files together.
    pub bytes: u64,
    /// How many files it has.
    pub files: usize,
}

/// A file that is on its way into the store.
struct Incoming {
    entry: Entry,
    source: Source,
}

/// Where its bytes are.
enum Source {
    /// In the folder that is published.
    Folder(PathBuf),
    /// In a copy made on the way, which is removed if it is not moved on.
    Copy(TempPath),
}

impl Source {
    fn path(&self) -> &Path {
        match self {
            Self::Folder(path) => path,
            Self::Copy(path) => path,
        }
    }
}

impl Store {
    /// Makes an artifact of all files in `folder`, which move into the store. Nothing that remains there is of use.
    ///
    /// Links are followed within the folder. Empty folders, times and owners are not kept. When this returns, the
    /// artifact is on the disk for good; if it fails, no artifact can be seen.
    ///
    /// # Errors
    /// Links out of the folder, special files, names that some system cannot hold or that differ only in case, a full
    /// disk, a cache that is not writable.
    pub fn publish(&self, folder: &Path) -> Result<Published> {
        self.publish_durably(folder, Durable::Now)
    }

    /// The same, on the disk for good now or later.
    ///
    /// # Errors
    /// Those of [`publish`](Self::publish).
    pub fn publish_durably(&self, folder: &Path, durable: Durable) -> Result<Published> {
        let files = made(folder, folder)?;
        let incoming = try_map(files, |file| self.take_in(folder, &file))?;
        let manifest = Manifest::new(incoming.iter().map(|file| file.entry.clone()).collect())?;
        let mut touched = self.add_objects(incoming, durable)?;
        let published = Published {
            digest: manifest.digest(),
            bytes: manifest.bytes(),
            files: manifest.files().len(),
        };
        touched.extend(self.add_manifest(&published.digest, &manifest, durable)?);
        // The manifest is the last, so the sync of it carries the renames before it on most file systems.
        touched.reverse();
        durable.sync(&self.root, &touched)?;
        Ok(published)
    }

    /// Seals and hashes a file, in this order, so that a write that comes later shows.
    ///
    /// A file that has other names, by which it could be changed, is copied first; unless the store has it, as when a
    /// stage moves an input to an output.
    fn take_in(&self, folder: &Path, file: &Found) -> Result<Incoming> {
        let path = folder.join(&file.relative);
        let metadata = fs::metadata(&path).doing("read", &path)?;
        let size = metadata.len();
        let incoming = |digest, source| Incoming {
            entry: Entry {
                path: file.relative.clone(),
                digest,
                size,
                executable: is_executable(&metadata),
            },
            source,
        };
        let source = if file.linked || hard_links(&metadata) > 1 {
            let digest = File::open(&path)
                .and_then(|file| hash_file(&file, size))
                .doing("read", &path)?;
            if self.has_object(&digest, size) {
                return Ok(incoming(digest, Source::Folder(path)));
            }
            Source::Copy(self.copy_in(&path)?)
        } else {
            Source::Folder(path)
        };
        let path = source.path();
        let digest = seal(path, false)
            .and_then(|file| hash_file(&file, size))
            .doing("read", path)?;
        if !is_sealed(&fs::metadata(path).doing("read", path)?, size) {
            return Err(Error::stage(format!(
                "`{}` was written to while it was published",
                file.relative
            ))
            .help(
                "a process that the stage started may still be running: let the stage wait for it",
            ));
        }
        Ok(incoming(digest, source))
    }

    /// A copy of a file on the store's disk.
    fn copy_in(&self, path: &Path) -> Result<TempPath> {
        let tmp = self.tmp()?;
        let copied = temporary(&tmp).and_then(|copy| {
            let copy = copy.into_temp_path();
            fs::copy(path, &copy)?;
            Ok(copy)
        });
        copied.doing("copy a file into", &tmp)
    }

    /// Moves files into the store, synced, unless it has them whole. Gives the folders that have to be synced.
    fn add_objects(&self, incoming: Vec<Incoming>, durable: Durable) -> Result<Vec<PathBuf>> {
        let unique: BTreeMap<Digest, Incoming> = incoming
            .into_iter()
            .map(|file| (file.entry.digest, file))
            .collect();
        let new = try_map(unique.into_values().collect(), |file| {
            let known = self.has_object(&file.entry.digest, file.entry.size);
            Ok::<_, Error>((!known).then_some(file))
        })?;
        let new: Vec<Incoming> = new.into_iter().flatten().collect();
        let paths: Vec<PathBuf> = new
            .iter()
            .map(|file| file.source.path().to_owned())
            .collect();
        durable.sync(&self.root, &paths)?;
        let shards: BTreeSet<PathBuf> = new
            .iter()
            .filter_map(|file| Some(self.object_path(&file.entry.digest).parent()?.to_owned()))
            .collect();
        for shard in &shards {
            durable.make_folder(shard).doing("make the folder", shard)?;
        }
        for file in &new {
            self.add_object(&file.entry.digest, file.source.path())?;
        }
        Ok(shards.into_iter().collect())
    }

    fn add_object(&self, digest: &Digest, path: &Path) -> Result<()> {
        let object = self.object_path(digest);
        match fs::rename(path, &object) {
            Err(error) if error.kind() == ErrorKind::CrossesDevices => {
                let copy = self.copy_in(path)?;
                seal(&copy, false)
                    .and_then(|file| file.sync_all())
                    .and_then(|()| fs::rename(&copy, &object))
            }
            result => result,
        }
        .doing("write", &object)?;
        let metadata = fs::metadata(&object).doing("read", &object)?;
        lock(&self.verified).insert(*digest, Stamp::of(&metadata));
        Ok(())
    }

    /// Whether the store has the object, whole. It is hashed, once per process, whatever it looks like: the bytes that are at
    /// hand now may be the last that are right. If so, it is made young again, so that it is not collected before the manifest
    /// that is about to name it is there.
    fn has_object(&self, object: &Digest, size: u64) -> bool {
        match self.verify(object, size) {
            Ok(()) => seal(&self.object_path(object), false).is_ok(),
            Err(Problem::Defect(Defect::Changed)) => {
                let path = self.object_path(object);
                let text = format!("`{}` was changed on disk and is replaced", path.display());
                self.notice(text);
                false
            }
            Err(_) => false,
        }
    }

    /// Whether `artifact` is whole for all processes. If nothing but its manifest is lost, and a record that this process has
    /// read describes it, the manifest is written again.
    ///
    /// # Errors
    /// If the cache cannot be read or is not writable.
    pub fn mend(&self, artifact: &Digest) -> Result<bool> {
        match self.read_manifest(artifact) {
            Ok(_) => {}
            Err(Unrestored::Failed(error)) => return Err(error),
            Err(Unrestored::Damaged(_)) => {
                let described = lock(&self.described).get(artifact).cloned();
                let Some(manifest) = described else {
                    return Ok(false);
                };
                manifest.check()?;
                let touched = self.add_manifest(artifact, &manifest, Durable::Now)?;
                Durable::Now.sync(&self.root, &touched)?;
            }
        }
        Ok(self.looks_whole(artifact, None))
    }

    /// Writes the manifest unless it is there, in which case it is made young. Gives what has to be synced; a manifest
    /// that a power cut spoils is noticed, because its digest is its name.
    fn add_manifest(
        &self,
        artifact: &Digest,
        manifest: &Manifest,
        durable: Durable,
    ) -> Result<Vec<PathBuf>> {
        let path = self.manifest_path(artifact);
        if self.read_manifest(artifact).is_ok() && touch(&path).is_ok() {
            return Ok(Vec::new());
        }
        let folder = path.parent().unwrap_or(&self.root).to_owned();
        durable
            .make_folder(&folder)
            .doing("make the folder", &folder)?;
        place(&path, &self.tmp()?, &manifest.to_json()).doing("write", &path)?;
        Ok(vec![path, folder])
    }
}
