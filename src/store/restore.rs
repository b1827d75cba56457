//! From an artifact to a folder: every object verified, then linked or copied; and what is said of one that is damaged.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::digest::Digest;
use super::disk::{OnDisk, SEAL, disk_error, is_sealed, open, read_small, seal};
use super::hash::hash_file;
use super::manifest::{Entry, Manifest};
use super::spread::try_each;
use super::stamp::Stamp;
use super::{Store, lock};
use crate::error::{Error, Result};
use crate::names;

/// How often an object is linked to before it counts as missing: it cannot be in the moment in which another process
/// that published the same content replaces it.
const ATTEMPTS: usize = 10;

/// What is wrong with something in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// It is not there.
    Missing,
    /// It does not have the content that it is named by. It has been removed.
    Changed,
}

/// Why an object cannot be used.
pub(super) enum Problem {
    Defect(Defect),
    /// The disk does not give it.
    Unreadable(io::Error),
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::Defect(Defect::Missing),
            _ => Self::Unreadable(error),
        }
    }
}

/// An artifact that the store cannot give back; whatever made it has to run again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The artifact.
    pub artifact: Digest,
    /// The file in it; none if it is the manifest.
    pub file: Option<String>,
    /// Where in the store it is, or should be.
    pub path: PathBuf,
    /// What is wrong.
    pub defect: Defect,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "the cached file `{file}`")?,
            None => f.write_str("the manifest")?,
        }
        write!(f, " of artifact {}", self.artifact.short())?;
        match self.defect {
            Defect::Missing => write!(f, " is missing (`{}`)", self.path.display()),
            Defect::Changed => write!(f, " was changed on disk (`{}`)", self.path.display()),
        }
    }
}

/// Why an artifact was not given back.
#[derive(Clone, Debug)]
pub enum Unrestored {
    /// It is not in the store, or not as it was: make it again.
    Damaged(Damage),
    /// Reading or writing failed: making it again would not help.
    Failed(Error),
}

impl From<Damage> for Unrestored {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}

impl From<Error> for Unrestored {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Unrestored> for Error {
    fn from(unrestored: Unrestored) -> Self {
        match unrestored {
            Unrestored::Damaged(damage) => {
                Error::stage(damage.to_string()).help("run again: what made it will run anew")
            }
            Unrestored::Failed(error) => error,
        }
    }
}

/// Whose files the restored ones will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// The store's: read-only, shared with it where the disk can.
    Store,
    /// The user's: writable, and independent of the store.
    User,
}

/// Which ways of not copying a disk has refused so far. To try again costs a file made and removed.
#[derive(Debug, Default)]
pub(super) struct Refused {
    reflink: AtomicBool,
    hard_link: AtomicBool,
}

impl Refused {
    /// Makes `to` a file that shares its blocks with `from`; whether that was possible.
    fn reflink(&self, from: &Path, to: &Path) -> bool {
        if self.reflink.load(Ordering::Relaxed) {
            return false;
        }
        let Err(error) = reflink_copy::reflink(from, to) else {
            return true;
        };
        // These say something about the two files, not about the disk.
        let about_files = matches!(
            error.kind(),
            ErrorKind::CrossesDevices | ErrorKind::NotFound | ErrorKind::PermissionDenied
        );
        if !about_files {
            self.reflink.store(true, Ordering::Relaxed);
        }
        false
    }
}

impl Store {
    /// Which files `artifact` consists of.
    ///
    /// # Errors
    /// [`Unrestored::Damaged`] if it is not in the store, or its manifest is not what was published.
    pub fn manifest(&self, artifact: &Digest) -> Result<Arc<Manifest>, Unrestored> {
        if let Some(manifest) = lock(&self.described).get(artifact) {
            return Ok(Arc::clone(manifest));
        }
        self.read_manifest(artifact).map(Arc::new)
    }

    /// The same from the manifest's own file, which a record that describes it does not replace for other processes.
    pub(super) fn read_manifest(&self, artifact: &Digest) -> Result<Manifest, Unrestored> {
        let path = self.manifest_path(artifact);
        let json = match open(&path).and_then(read_small) {
            Ok(json) => Some(json),
            // A link.
            Err(error) if error.kind() == ErrorKind::InvalidData => Some(Vec::new()),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(disk_error(&error, "read", &path).into()),
        };
        let defect = match json {
            None => Defect::Missing,
            Some(json) => {
                if let Some(manifest) = Manifest::from_json(&json, artifact) {
                    return Ok(manifest);
                }
                self.discard(&path);
                Defect::Changed
            }
        };
        Err(Unrestored::Damaged(Damage {
            artifact: *artifact,
            file: None,
            path,
            defect,
        }))
    }

    /// The content of the file at `path` in `artifact`; none if the store does not have it as it was published.
    #[must_use]
    pub fn read_file(&self, artifact: &Digest, path: &str) -> Option<Vec<u8>> {
        let manifest = self.manifest(artifact).ok()?;
        let file = manifest.files().iter().find(|file| file.path == path)?;
        let bytes = self.objects.open(&file.digest).and_then(read_small).ok()?;
        (Digest::of(&bytes) == file.digest).then_some(bytes)
    }

    /// Whether `artifact` can be given back, as far as one look at each of its objects tells; one that was written to
    /// is hashed. What is damaged is removed and noticed.
    pub fn is_whole(&self, artifact: &Digest) -> bool {
        if let Some(whole) = lock(&self.found_whole).remove(artifact) {
            return whole;
        }
        self.looks_whole(artifact, None)
    }

    /// The same for an artifact whose manifest may be at hand.
    pub(super) fn looks_whole(&self, artifact: &Digest, manifest: Option<&Manifest>) -> bool {
        let found = match manifest {
            Some(manifest) => self.check(artifact, manifest),
            None => self
                .manifest(artifact)
                .and_then(|manifest| self.check(artifact, &manifest)),
        };
        match found {
            Ok(()) => true,
            Err(Unrestored::Damaged(damage)) => {
                self.notice(damage.to_string());
                false
            }
            Err(Unrestored::Failed(_)) => false,
        }
    }

    fn check(&self, artifact: &Digest, manifest: &Manifest) -> Result<(), Unrestored> {
        try_each(manifest.files(), |file| {
            self.look_at(&file.digest, file.size)
                .map_err(|problem| self.problem(artifact, file, problem))
        })
    }

    fn problem(&self, artifact: &Digest, file: &Entry, problem: Problem) -> Unrestored {
        match problem {
            Problem::Defect(defect) => self.damage(artifact, file, defect).into(),
            Problem::Unreadable(error) => {
                disk_error(&error, "read", &self.object_path(&file.digest)).into()
            }
        }
    }

    /// Puts the files of `artifact` into `folder`, which must be missing or empty. They are read-only and share the
    /// store's bytes where the disk can do that (reflinks, else hard links, else copies). Each object is hashed before
    /// it is used, once per process.
    ///
    /// # Errors
    /// [`Unrestored::Damaged`] if the store does not have it whole; nothing is left in `folder` then.
    pub fn materialise(&self, artifact: &Digest, folder: &Path) -> Result<(), Unrestored> {
        self.restore(artifact, folder, Owner::Store)
    }

    /// The same for good: the files are the user's, writable, and no hard links.
    ///
    /// # Errors
    /// Those of [`materialise`](Self::materialise).
    pub fn copy_out(&self, artifact: &Digest, folder: &Path) -> Result<(), Unrestored> {
        self.restore(artifact, folder, Owner::User)
    }

    /// Copies a file from anywhere to a folder on the store's disk, sharing blocks where the disk can.
    ///
    /// # Errors
    /// Those of [`fs::copy`].
    pub fn copy_file(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.refused.reflink(from, to) {
            return Ok(());
        }
        fs::copy(from, to).map(|_| ())
    }

    fn restore(&self, artifact: &Digest, folder: &Path, owner: Owner) -> Result<(), Unrestored> {
        let manifest = self.manifest(artifact)?;
        manifest.check()?;
        fs::create_dir_all(folder).doing("make the folder", folder)?;
        if fs::read_dir(folder).doing("list", folder)?.next().is_some() {
            return Err(Error::stage(format!("`{}` is not empty", folder.display())).into());
        }
        let elsewhere = Refused::default();
        let refused = if folder.starts_with(&self.root) {
            &self.refused
        } else {
            &elsewhere
        };
        let result = make_folders(&manifest, folder)
            .map_err(Unrestored::from)
            .and_then(|()| {
                try_each(manifest.files(), |file| {
                    self.restore_file(artifact, file, folder, owner, refused)
                })
            });
        if result.is_err() {
            // The error says more than a failure to clean up would.
            let _ = fs::remove_dir_all(folder).and_then(|()| fs::create_dir(folder));
        }
        result
    }

    fn restore_file(
        &self,
        artifact: &Digest,
        file: &Entry,
        folder: &Path,
        owner: Owner,
        refused: &Refused,
    ) -> Result<(), Unrestored> {
        self.verify(&file.digest, file.size)
            .map_err(|problem| self.problem(artifact, file, problem))?;
        let object = self.object_path(&file.digest);
        let target = names::join(folder, &file.path)?;
        for _ in 0..ATTEMPTS {
            match place(&object, &target, file.executable, owner, refused) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                result => return Ok(result.doing("write", &target)?),
            }
        }
        Err(self.damage(artifact, file, Defect::Missing).into())
    }

    fn damage(&self, artifact: &Digest, file: &Entry, defect: Defect) -> Damage {
        Damage {
            artifact: *artifact,
            file: Some(file.path.clone()),
            path: self.object_path(&file.digest),
            defect,
        }
    }

    fn look_at(&self, object: &Digest, size: u64) -> Result<(), Problem> {
        if self.objects.looks(object, size, SEAL) {
            return Ok(());
        }
        match fs::symlink_metadata(self.object_path(object)) {
            Ok(metadata) if is_sealed(&metadata, size) => Ok(()),
            _ => self.verify(object, size),
        }
    }

    /// Hashes the object unless this process has done so, seals it if its seal was lost, removes it if it is not what
    /// it should be. One that cannot be read may be whole: it stays.
    pub(super) fn verify(&self, object: &Digest, size: u64) -> Result<(), Problem> {
        let path = self.object_path(object);
        let metadata = fs::symlink_metadata(&path)?;
        let stamp = Stamp::of(&metadata);
        let known = lock(&self.verified).get(object).copied();
        if known.is_some_and(|known| known.same_content(&stamp)) {
            return Ok(());
        }
        let is_same = || -> io::Result<bool> {
            match open(&path).and_then(|file| hash_file(&file, size)) {
                // It became shorter meanwhile.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
                digest => Ok(digest? == *object),
            }
        };
        if !metadata.is_file() || metadata.len() != size || !is_same()? {
            self.discard(&path);
            return Err(Problem::Defect(Defect::Changed));
        }
        let sealed = if is_sealed(&metadata, size) {
            Ok(metadata)
        } else {
            // A cache that was copied without its times. One that can only be read is hashed by every process.
            seal(&path, false).and_then(|file| file.metadata())
        };
        lock(&self.verified).insert(*object, sealed.map_or(stamp, |sealed| Stamp::of(&sealed)));
        Ok(())
    }
}

fn make_folders(manifest: &Manifest, root: &Path) -> Result<()> {
    let folders: BTreeSet<&str> = manifest
        .files()
        .iter()
        .filter_map(|file| Some(file.path.rsplit_once('/')?.0))
        .collect();
    for folder in folders {
        let folder = names::join(root, folder)?;
        fs::create_dir_all(&folder).doing("make the folder", &folder)?;
    }
    Ok(())
}

/// Makes `target` a new file with the content of `object`, in the cheapest way that the disk and the owner allow. What is
/// there already, which may be another object by its hard link, is not written to.
fn place(
    object: &Path,
    target: &Path,
    executable: bool,
    owner: Owner,
    refused: &Refused,
) -> io::Result<()> {
    if refused.reflink(object, target) {
        return finish(target, executable, owner);
    }
    // A hard link shares its permissions with the object, which is not executable.
    if owner == Owner::Store && !executable && !refused.hard_link.load(Ordering::Relaxed) {
        match fs::hard_link(object, target) {
            Ok(()) => return Ok(()),
            Err(error) if is_about_files(&error) => return Err(error),
            Err(_) => refused.hard_link.store(true, Ordering::Relaxed),
        }
    }
    let (mut from, mut to) = (open(object)?, File::create_new(target)?);
    io::copy(&mut from, &mut to)?;
    finish(target, executable, owner)
}

/// Whether an error of linking says something about the two files, and not about what the disk can do.
fn is_about_files(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists)
}

#[cfg(unix)]
fn finish(target: &Path, executable: bool, owner: Owner) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    match owner {
        Owner::Store => seal(target, executable).map(|_| ()),
        Owner::User => {
            let mode = if executable { 0o755 } else { 0o644 };
            fs::set_permissions(target, fs::Permissions::from_mode(mode))
        }
    }
}

#[cfg(not(unix))]
#[expect(
    clippy::permissions_set_readonly_false,
    reason = "there it means what it says"
)]
fn finish(target: &Path, executable: bool, owner: Owner) -> io::Result<()> {
    match owner {
        Owner::Store => seal(target, executable).map(|_| ()),
        Owner::User => {
            let mut permissions = fs::metadata(target)?.permissions();
            permissions.set_readonly(false);
            fs::set_permissions(target, permissions)
        }
    }
}
