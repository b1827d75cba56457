//! Digests of what lies outside of the store: the user's files and folders, by content.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::digest::Digest;
use super::disk::OnDisk;
use super::hash::hash_file;
use super::manifest::{Entry, Manifest};
use super::spread::try_map;
use super::stamp::Stamp;
use super::walk::content;
use super::{Store, lock};
use crate::error::{Error, Result};
use crate::event;

/// How often a file that changes while it is read is read again.
const ATTEMPTS: usize = 3;
/// Racy files are hashed a second time at the end of a run, if they are not larger than this.
const CHEAP: u64 = 64 << 20;

impl Store {
    /// The digest of the content of a local file or folder; links are followed.
    ///
    /// For a file it is the BLAKE3 digest of its bytes. For a folder it is that of a manifest of its
    /// [`content`], without permissions, which a copy on another system may not keep. A file that looks as
    /// it did when it was last hashed is not read again.
    ///
    /// # Errors
    /// A usage error if there is nothing at `path`; else if something cannot be read or changes all the time.
    pub fn hash_path(&self, path: &Path) -> Result<Digest> {
        let path = std::path::absolute(path).doing("find", path)?;
        let metadata = match fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Error::usage(format!("`{}` does not exist", path.display())));
            }
            metadata => metadata.doing("read", &path)?,
        };
        if metadata.is_dir() {
            return self.hash_folder(&path);
        }
        if !metadata.is_file() {
            return Err(Error::usage(format!(
                "`{}` is neither a file nor a folder",
                path.display()
            )));
        }
        Ok(self.hash_local(&path, &metadata)?.0)
    }

    /// Whether `path` still has the content that gave `digest`. To be asked after a stage has read it: if not, what the
    /// stage made belongs to no key.
    pub fn is_unchanged(&self, path: &Path, digest: &Digest) -> bool {
        self.hash_path(path).is_ok_and(|now| now == *digest)
    }

    fn hash_folder(&self, folder: &Path) -> Result<Digest> {
        let files = content(folder)?;
        let files = try_map(files, |file| {
            let path = folder.join(&file.relative);
            let metadata = fs::metadata(&path).doing("read", &path)?;
            let (digest, size) = self.hash_local(&path, &metadata)?;
            Ok::<_, Error>(Entry {
                path: file.relative,
                digest,
                size,
                executable: false,
            })
        })?;
        Ok(Manifest::sorted(files).digest())
    }

    /// Digest and size of a file that has just looked like `metadata`.
    fn hash_local(&self, path: &Path, metadata: &fs::Metadata) -> Result<(Digest, u64)> {
        let stamp = Stamp::of(metadata);
        if let Some(digest) = self.stat.get(path, &stamp) {
            return Ok((digest, stamp.size));
        }
        for _ in 0..ATTEMPTS {
            let started = event::now();
            let Some((stamp, digest)) = hash_steady(path).doing("read", path)? else {
                continue;
            };
            if stamp.is_older_than(started) {
                self.stat.put(path, stamp, digest);
            } else if stamp.size <= CHEAP {
                lock(&self.racy).insert(path.to_owned());
            }
            return Ok((digest, stamp.size));
        }
        Err(Error::stage(format!(
            "`{}` keeps changing while it is read",
            path.display()
        ))
        .help("wait until whatever writes it is done"))
    }

    /// Hashes once more what was written to so shortly before it was hashed that its stamp proved nothing, so that the
    /// next run finds it in the stat cache.
    pub(super) fn settle(&self) {
        let racy: BTreeSet<PathBuf> = std::mem::take(&mut lock(&self.racy));
        for path in racy {
            // It may have gone, which the next run will say.
            if let Ok(metadata) = fs::metadata(&path) {
                let _ = self.hash_local(&path, &metadata);
            }
        }
    }
}

/// Digest and stamp of a file; none if it changed while it was read.
fn hash_steady(path: &Path) -> io::Result<Option<(Stamp, Digest)>> {
    let file = File::open(path)?;
    let before = Stamp::of(&file.metadata()?);
    let digest = match hash_file(&file, before.size) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        digest => digest?,
    };
    let after = Stamp::of(&fs::metadata(path)?);
    Ok((before == after).then_some((after, digest)))
}
