//! Files and folders on this machine, by a relative or absolute path; `archive.zip#file` for a file in an archive.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::archive::{self, Archive, Format};
use super::checksum::Sha256;
use super::{Location, Transfer};
use crate::error::{Error, Result};

/// A file, a folder that files are taken from, or a file in an archive.
#[derive(Debug)]
pub(super) struct Local {
    path: PathBuf,
    /// The file in the archive; empty for all of it.
    member: String,
}

impl Local {
    /// Reads `text`, a path relative to `folder`.
    pub(super) fn parse(folder: &Path, text: &str) -> Result<Self> {
        let (path, member) = match text.split_once('#') {
            Some((path, member)) if Format::of(path).is_some() => (path, member),
            _ => (text, ""),
        };
        if !member.is_empty() {
            archive::check_member(member)?;
        }
        Ok(Self {
            path: folder.join(path),
            member: member.into(),
        })
    }

    fn as_archive(&self) -> Option<Archive> {
        Some(Archive {
            path: self.path.clone(),
            format: Format::of(&self.path.to_string_lossy())?,
            strip: 0,
        })
    }

    fn check_exists(&self) -> Result<()> {
        if self.path.exists() {
            return Ok(());
        }
        Err(Error::stage(format!(
            "`{}` does not exist",
            self.path.display()
        )))
    }
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if !self.member.is_empty() {
            write!(f, "#{}", self.member)?;
        }
        Ok(())
    }
}

impl Location for Local {
    fn join(&self, file: &str) -> Box<dyn Location> {
        let joined = if self.as_archive().is_some() && !self.path.is_dir() {
            Self {
                path: self.path.clone(),
                member: archive::join(&self.member, file),
            }
        } else {
            Self {
                path: self.path.join(file),
                member: String::new(),
            }
        };
        Box::new(joined)
    }

    fn local_path(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn is_path(&self) -> bool {
        self.member.is_empty()
    }

    fn fetch(&self, transfer: &Transfer<'_>, dest: &Path, _: Option<&Sha256>) -> Result<()> {
        let path = &self.path;
        self.check_exists()?;
        if let Some(archive) = self.as_archive().filter(|_| !self.member.is_empty()) {
            return archive.extract(&self.member, dest, transfer.observer);
        }
        if path.is_dir() {
            let message = format!("`{}` is a folder, not a file", path.display());
            return Err(Error::stage(message));
        }
        copy(path, dest)
    }

    fn archive(&self, _: &Transfer<'_>) -> Result<(Archive, &str)> {
        self.check_exists()?;
        let archive = self.as_archive().ok_or_else(|| {
            Error::stage(format!("`{}` is not an archive", self.path.display()))
                .help(archive::FORMATS)
        })?;
        Ok((archive, &self.member))
    }
}

/// Copies a file, sharing its blocks where the file system can.
pub(super) fn copy(path: &Path, dest: &Path) -> Result<()> {
    reflink_copy::reflink_or_copy(path, dest)
        .map(drop)
        .map_err(|error| {
            let source = format!("cannot copy `{}`", path.display());
            cannot_write(dest, &error).wrap(source)
        })
}

/// The error for a file that cannot be written, with advice for a full disk.
pub(super) fn cannot_write(path: &Path, error: &std::io::Error) -> Error {
    let refused = Error::stage(format!("cannot write `{}`", path.display())).because(error);
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => refused.help(
            "the disk is full: free some space there, or move the cache with REFIRE_CACHE_DIR",
        ),
        _ => refused,
    }
}
