//! A download that is not complete yet: its bytes, and what is needed to go on with it in a later run.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::checksum::Sha256;
use super::path::cannot_write;
use crate::error::{Context, Error, Result};

/// Which version of the file the bytes belong to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Version {
    /// The address, as asked for.
    pub(super) url: String,
    /// The server's strong entity tag.
    pub(super) etag: Option<String>,
    /// When the server says that the file was last changed.
    pub(super) modified: Option<String>,
    /// The size of the whole file.
    pub(super) total: Option<u64>,
}

impl Version {
    fn unknown(url: &str) -> Self {
        Self {
            url: url.into(),
            etag: None,
            modified: None,
            total: None,
        }
    }
}

/// The bytes that are there so far, owned by this process alone.
pub(super) struct Partial {
    file: File,
    bytes: PathBuf,
    version_file: PathBuf,
    version: Version,
    length: u64,
    pieced: bool,
}

impl Partial {
    /// What an earlier download of `url` left in `folder`; empty if there is nothing, or if another process is
    /// downloading the same right now.
    pub(super) fn open(folder: &Path, url: &str) -> Result<Self> {
        let cannot = || format!("cannot write to `{}`", folder.display());
        std::fs::create_dir_all(folder).or_stage(cannot)?;
        let name = file_name(url);
        let shared = folder.join(format!("{name}.part"));
        let (file, bytes) = match open_alone(&shared).or_stage(cannot)? {
            Some(file) => (file, shared),
            None => tempfile::Builder::new()
                .prefix(&format!("{name}-"))
                .suffix(".part")
                .tempfile_in(folder)
                .and_then(|file| file.keep().map_err(|error| error.error))
                .or_stage(cannot)?,
        };
        let version_file = bytes.with_extension("part.json");
        let version = std::fs::read(&version_file)
            .ok()
            .and_then(|json| serde_json::from_slice::<Version>(&json).ok())
            .filter(|version| version.url == url);
        let mut partial = Self {
            file,
            bytes,
            version_file,
            version: Version::unknown(url),
            length: 0,
            pieced: true,
        };
        match version {
            Some(version) => {
                partial.version = version;
                partial.length = partial.file.seek(SeekFrom::End(0)).or_stage(cannot)?;
            }
            None => partial.forget()?,
        }
        Ok(partial)
    }

    /// How many bytes are there.
    pub(super) fn len(&self) -> u64 {
        self.length
    }

    /// Which version they belong to.
    pub(super) fn version(&self) -> &Version {
        &self.version
    }

    /// Whether the bytes come from several answers.
    pub(super) fn is_pieced(&self) -> bool {
        self.pieced
    }

    /// Says that the next bytes come from another answer than those that are there, of a file of `total` bytes.
    pub(super) fn resume(&mut self, total: u64) {
        self.pieced = true;
        self.version.total = Some(total);
    }

    /// Forgets the bytes.
    pub(super) fn forget(&mut self) -> Result<()> {
        self.start(Version::unknown(&self.version.url))
    }

    /// Forgets the bytes and begins with those of `version`.
    pub(super) fn start(&mut self, version: Version) -> Result<()> {
        self.file.set_len(0).map_err(|error| self.cannot(&error))?;
        self.file.rewind().map_err(|error| self.cannot(&error))?;
        self.length = 0;
        self.pieced = false;
        // After the truncation, so that bytes never stand beside a version that is not theirs.
        let json = serde_json::to_vec(&version).or_stage(|| "cannot describe a download")?;
        File::create(&self.version_file)
            .and_then(|mut file| file.write_all(&json))
            .map_err(|error| self.cannot(&error))?;
        self.version = version;
        Ok(())
    }

    /// Adds `bytes`.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<()> {
        self.file
            .write_all(bytes)
            .map_err(|error| self.cannot(&error))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// The digest of the bytes.
    pub(super) fn sha256(&self, tick: &dyn Fn() -> Result<()>) -> Result<Sha256> {
        Sha256::of_file(&self.bytes, tick)
    }

    /// Moves the bytes, which are complete, to `dest`.
    pub(super) fn finish(self, dest: &Path) -> Result<()> {
        let cannot = |error| cannot_write(dest, &error);
        // As long as the bytes are locked no other process begins anew, whose version this would be.
        self.forget_version().map_err(cannot)?;
        if std::fs::rename(&self.bytes, dest).is_err() {
            // Another file system.
            std::fs::copy(&self.bytes, dest).map_err(cannot)?;
            std::fs::remove_file(&self.bytes).map_err(cannot)?;
        }
        Ok(())
    }

    fn forget_version(&self) -> std::io::Result<()> {
        match std::fs::remove_file(&self.version_file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes all traces of it.
    pub(super) fn discard(self) -> Result<()> {
        self.forget_version()
            .and_then(|()| std::fs::remove_file(&self.bytes))
            .map_err(|error| self.cannot(&error))
    }

    fn cannot(&self, error: &std::io::Error) -> Error {
        cannot_write(&self.bytes, error)
    }
}

/// Opens `path` with an exclusive lock, which the system releases when the process ends in whatever way; none if
/// another process holds it.
fn open_alone(path: &Path) -> std::io::Result<Option<File>> {
    loop {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        match file.try_lock() {
            Ok(()) if is_still_at(&file, path) => return Ok(Some(file)),
            // The other process was done in between and took the file away.
            Ok(()) => {}
            // Taken, or on a file system without locks.
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => return Ok(None),
        }
    }
}

#[cfg(unix)]
fn is_still_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), path.metadata()) {
        (Ok(open), Ok(named)) => identity(open) == identity(named),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_still_at(_: &File, path: &Path) -> bool {
    // An open file cannot be renamed there.
    path.exists()
}

/// A name for the download of `url` that a person recognises and that no other address shares.
fn file_name(url: &str) -> String {
    let last = super::address::path(url)
        .rsplit('/')
        .next()
        .unwrap_or_default();
    let readable: String = last
        .chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(*letter))
        .take(60)
        .collect();
    let digest = Sha256::of(url.as_bytes()).to_string();
    let digest = digest.trim_start_matches("sha256:");
    format!("{}-{readable}", &digest[..16])
}
