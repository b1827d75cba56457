//! A download that is not complete yet: its bytes, and what is needed to go on with it in a later run.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
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

/// After so many bytes it is noted how many there are, and their digest.
const NOTED: u64 = 8 << 20;

/// What stands beside the bytes.
#[derive(Serialize, Deserialize)]
struct Note {
    #[serde(flatten)]
    version: Version,
    /// None in notes of earlier versions, whose bytes nothing vouches for.
    received: Option<Received>,
}

/// What was received when the note was written.
#[derive(Serialize, Deserialize)]
struct Received {
    bytes: u64,
    /// The BLAKE3 digest of so many bytes.
    blake3: String,
}

/// The bytes that are there so far, owned by this process alone.
pub(super) struct Partial {
    file: File,
    bytes: PathBuf,
    note_file: PathBuf,
    version: Version,
    length: u64,
    /// Takes in the bytes as they come.
    hasher: blake3::Hasher,
    /// How many bytes the note vouches for.
    noted: u64,
    pieced: bool,
    damaged: bool,
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
        let mut partial = Self {
            note_file: bytes.with_extension("part.json"),
            file,
            bytes,
            version: Version::unknown(url),
            length: 0,
            hasher: blake3::Hasher::new(),
            noted: 0,
            pieced: true,
            damaged: false,
        };
        let note = std::fs::read(&partial.note_file)
            .ok()
            .and_then(|json| serde_json::from_slice::<Note>(&json).ok())
            .filter(|note| note.version.url == url);
        let Some((version, received)) = note.and_then(|note| Some((note.version, note.received?)))
        else {
            partial.forget()?;
            return Ok(partial);
        };
        if partial.is_as_received(&received).or_stage(cannot)? {
            partial.version = version;
        } else {
            partial.damaged = true;
            partial.forget()?;
        }
        Ok(partial)
    }

    /// Takes up the bytes that were received, if they still are what they were. What came after the note was written is
    /// received again.
    fn is_as_received(&mut self, received: &Received) -> std::io::Result<bool> {
        self.file.rewind()?;
        let mut piece = vec![0; 1 << 20];
        let mut left = received.bytes;
        while left > 0 {
            let most = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match self.file.read(&mut piece[..most])? {
                0 => return Ok(false),
                read => {
                    self.hasher.update(&piece[..read]);
                    left -= read as u64;
                }
            }
        }
        if self.hasher.finalize().to_hex().as_str() != received.blake3 {
            return Ok(false);
        }
        self.file.set_len(received.bytes)?;
        self.length = received.bytes;
        self.noted = received.bytes;
        Ok(true)
    }

    /// Whether an earlier download left bytes that had changed meanwhile; they are forgotten.
    pub(super) fn is_damaged(&self) -> bool {
        self.damaged
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
        self.hasher.reset();
        self.pieced = false;
        self.version = version;
        // After the truncation, so that bytes never stand beside a version that is not theirs.
        self.note()
    }

    /// Writes down what has been received.
    fn note(&mut self) -> Result<()> {
        let note = Note {
            version: self.version.clone(),
            received: Some(Received {
                bytes: self.length,
                blake3: self.hasher.finalize().to_hex().to_string(),
            }),
        };
        let json = serde_json::to_vec(&note).or_stage(|| "cannot describe a download")?;
        let folder = self.bytes.parent().unwrap_or(Path::new("."));
        let name = self.bytes.file_stem().unwrap_or_default().to_string_lossy();
        let written = tempfile::Builder::new()
            .prefix(&format!("{name}-"))
            .suffix(".part.json")
            .tempfile_in(folder)
            .and_then(|mut file| {
                file.write_all(&json)?;
                file.persist(&self.note_file).map_err(|error| error.error)
            });
        written.map_err(|error| self.cannot(&error))?;
        self.noted = self.length;
        Ok(())
    }

    /// Adds `bytes`.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<()> {
        self.file
            .write_all(bytes)
            .map_err(|error| self.cannot(&error))?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        if self.length >= self.noted + NOTED {
            self.note()?;
        }
        Ok(())
    }

    /// The digest of the bytes.
    pub(super) fn sha256(&self, tick: &dyn Fn() -> Result<()>) -> Result<Sha256> {
        Sha256::of_file(&self.bytes, tick)
    }

    /// Moves the bytes, which are complete, to `dest`.
    pub(super) fn finish(mut self, dest: &Path) -> Result<()> {
        let cannot = |error| cannot_write(dest, &error);
        // As long as the bytes are locked no other process begins anew, whose note this would be.
        self.remove_note().map_err(cannot)?;
        if std::fs::rename(&self.bytes, dest).is_err() {
            // Another file system.
            std::fs::copy(&self.bytes, dest).map_err(cannot)?;
            std::fs::remove_file(&self.bytes).map_err(cannot)?;
        }
        Ok(())
    }

    fn remove_note(&mut self) -> std::io::Result<()> {
        // There is nothing to be noted any more.
        self.noted = self.length;
        match std::fs::remove_file(&self.note_file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes all traces of it.
    pub(super) fn discard(mut self) -> Result<()> {
        self.remove_note()
            .and_then(|()| std::fs::remove_file(&self.bytes))
            .map_err(|error| self.cannot(&error))
    }

    fn cannot(&self, error: &std::io::Error) -> Error {
        cannot_write(&self.bytes, error)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.length > self.noted {
            // What is not noted is received again.
            let _ = self.note();
        }
    }
}

/// Opens `path` with an exclusive lock, which the system releases when the process ends in whatever way; none if
/// another process holds it, or if it is a link, which is none of ours.
fn open_alone(path: &Path) -> std::io::Result<Option<File>> {
    loop {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
        }
        let file = match options.open(path) {
            Err(_) if path.is_symlink() => return Ok(None),
            file => file?,
        };
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
