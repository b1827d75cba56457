//! From a folder to an artifact: sealed, hashed, synced, renamed; the manifest last.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::digest::Digest;
use super::disk::{
    OnDisk, hard_links, is_executable, is_sealed, make_folder, place, seal, sync_all,
};
use super::hash::hash_file;
use super::manifest::{Entry, Manifest};
use super::stamp::Stamp;
use super::walk::{Found, Links, walk};
use super::{Scratch, Store, lock};
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
    path: PathBuf,
}

impl Store {
    /// Makes an artifact of all files in `folder`, which is consumed: files move into the store and what remains is removed.
    ///
    /// Links are followed within the folder. Empty folders, times and owners are not kept. When this returns, the artifact is
    /// on the disk for good; if it fails, no artifact can be seen.
    ///
    /// # Errors
    /// Links out of the folder, special files, names that some system cannot hold or that differ only in case, a full
    /// disk, a cache that is not writable.
    pub fn publish(&self, folder: &Path) -> Result<Published> {
        let staging = self.scratch("publish")?;
        let incoming = walk(folder, Links::Inside, &[])?
            .into_par_iter()
            .map(|file| self.take_in(folder, &file, &staging))
            .collect::<Result<Vec<Incoming>>>()?;
        let (entries, paths): (Vec<Entry>, Vec<PathBuf>) = incoming
            .into_iter()
            .map(|file| (file.entry, file.path))
            .unzip();
        let sources: BTreeMap<Digest, (u64, PathBuf)> = entries
            .iter()
            .zip(paths)
            .map(|(entry, path)| (entry.digest, (entry.size, path)))
            .collect();
        let manifest = Manifest::new(entries)?;
        let mut touched = self.add_objects(sources, &staging)?;
        let published = Published {
            digest: manifest.digest(),
            bytes: manifest.bytes(),
            files: manifest.files().len(),
        };
        touched.extend(self.add_manifest(&published.digest, &manifest)?);
        sync_all(&self.root, &touched)?;
        // What is left are folders and files that the store had already; a rest is swept with the scratch folder.
        let _ = fs::remove_dir_all(folder);
        Ok(published)
    }

    /// Seals and hashes a file, in this order, so that a write that comes later shows.
    ///
    /// A file that has other names, by which it could be changed, is copied first; unless the store has it, as when a
    /// stage moves an input to an output.
    fn take_in(&self, folder: &Path, file: &Found, staging: &Scratch) -> Result<Incoming> {
        let mut path = folder.join(&file.relative);
        let metadata = fs::metadata(&path).doing("read", &path)?;
        let size = metadata.len();
        let incoming = |digest, path| Incoming {
            entry: Entry {
                path: file.relative.clone(),
                digest,
                size,
                executable: is_executable(&metadata),
            },
            path,
        };
        if file.linked || hard_links(&metadata) > 1 {
            let digest = File::open(&path)
                .and_then(|file| hash_file(&file, size))
                .doing("read", &path)?;
            if self.has_object(&digest, size) {
                return Ok(incoming(digest, path));
            }
            let name = Digest::of(file.relative.as_bytes()).to_string();
            let copy = staging.path().join(name);
            fs::copy(&path, &copy).doing("write", &copy)?;
            path = copy;
        }
        let digest = seal(&path, false)
            .and_then(|file| hash_file(&file, size))
            .doing("read", &path)?;
        if !is_sealed(&fs::metadata(&path).doing("read", &path)?, size) {
            return Err(Error::stage(format!(
                "`{}` was written to while it was published",
                file.relative
            ))
            .help(
                "a process that the stage started may still be running: let the stage wait for it",
            ));
        }
        Ok(incoming(digest, path))
    }

    /// Moves files into the store, synced, unless it has them whole. Gives the folders that have to be synced.
    fn add_objects(
        &self,
        sources: BTreeMap<Digest, (u64, PathBuf)>,
        staging: &Scratch,
    ) -> Result<Vec<PathBuf>> {
        let new: Vec<(Digest, PathBuf)> = sources
            .into_par_iter()
            .filter(|(digest, (size, _))| !self.has_object(digest, *size))
            .map(|(digest, (_, path))| (digest, path))
            .collect();
        let paths: Vec<PathBuf> = new.iter().map(|(_, path)| path.clone()).collect();
        sync_all(&self.root, &paths)?;
        let mut shards: Vec<PathBuf> = new
            .iter()
            .filter_map(|(digest, _)| Some(self.object_path(digest).parent()?.to_owned()))
            .collect();
        shards.sort_unstable();
        shards.dedup();
        for shard in &shards {
            make_folder(shard).doing("make the folder", shard)?;
        }
        for (digest, path) in &new {
            self.add_object(digest, path, staging)?;
        }
        Ok(shards)
    }

    fn add_object(&self, digest: &Digest, path: &Path, staging: &Scratch) -> Result<()> {
        let object = self.object_path(digest);
        match fs::rename(path, &object) {
            Err(error) if error.kind() == ErrorKind::CrossesDevices => {
                let copy = staging.path().join(digest.to_string());
                fs::copy(path, &copy)
                    .and_then(|_| seal(&copy, false))
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

    /// Whether the store has the object, whole. If so, it is made young again, so that it is not collected before
    /// the manifest that is about to name it is there.
    fn has_object(&self, object: &Digest, size: u64) -> bool {
        self.is_object_whole(object, size) && seal(&self.object_path(object), false).is_ok()
    }

    /// Writes the manifest unless it is there. Gives what has to be synced; a manifest that a power cut spoils is noticed, because its
    /// digest is its name.
    fn add_manifest(&self, artifact: &Digest, manifest: &Manifest) -> Result<Vec<PathBuf>> {
        if self.manifest(artifact).is_ok() {
            return Ok(Vec::new());
        }
        let path = self.manifest_path(artifact);
        let folder = path.parent().unwrap_or(&self.root).to_owned();
        make_folder(&folder).doing("make the folder", &folder)?;
        place(&path, &folder, &manifest.to_json()).doing("write", &path)?;
        Ok(vec![path, folder])
    }
}
