//! The files of a folder, links followed.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use super::claim;
use super::disk::{OnDisk, disk_error, is_folder, open};
use crate::error::{Error, Result};
use crate::names;

/// The first line of a lock: what refire writes beside a user's files says so.
pub const LOCK_MARK: &str =
    "# What the pipeline beside this file last resolved to. Written by `refire run`; commit it.\n";

/// Whose folder it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Walked<'a> {
    /// A stage has made what is in it. Links may lead within this folder only: what is kept must be complete, and nothing
    /// outside of it is read.
    Made(&'a Path),
    /// The user's. Links may lead anywhere, because data sets are often linked to another disk; what [`is_own`] is passed
    /// over.
    Users,
}

/// A file in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its path within the folder, with `/` between the parts.
    pub relative: String,
    /// Whether it is reached by a link.
    pub linked: bool,
}

/// The content of a folder of the user's: the files that count for its digest and are copied where it is laid out, which are
/// the same. Links are followed; version control and what refire itself puts there are passed over ([`is_own`]).
///
/// # Errors
/// Links that lead nowhere or in a cycle; sockets, pipes and devices; names that are not UTF-8; folders that cannot be read.
pub fn content(folder: &Path) -> Result<Vec<Found>> {
    walk(folder, Walked::Users)
}

/// The files in `folder` that a program has made, which runs in the folder `home`.
///
/// # Errors
/// The same, and links that lead out of `home`; nothing outside of it is opened.
pub fn made(folder: &Path, home: &Path) -> Result<Vec<Found>> {
    walk(folder, Walked::Made(home))
}

/// Refuses a link out of `home`, and what is neither a file nor a folder. Nothing is opened.
///
/// # Errors
/// If there is nothing at `path`, too.
pub fn refuse_outside(path: &Path, home: &Path) -> Result<()> {
    let kind = fs::symlink_metadata(path).doing("read", path)?.file_type();
    let kind = if kind.is_symlink() {
        target(path, Walked::Made(home))?.1
    } else {
        kind
    };
    refuse_special(path, kind)
}

/// Whether `path` is version control, or something that refire itself puts into projects: its state, a cache, a lock, a page
/// of `refire report`, a file that is being written. All of it changes without the user's doing.
#[must_use]
pub fn is_own(path: &Path) -> bool {
    is_own_as(path, is_folder(path))
}

fn is_own_as(path: &Path, is_folder: bool) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let is_known = name.is_some_and(names::is_passed_over);
    is_known
        || if is_folder {
            claim::is_cache(path)
        } else {
            begins(path, "lock", LOCK_MARK) || begins(path, "html", names::PAGE_MARK)
        }
}

/// Whether there is a file whose name ends so and that begins with `mark`: a lock, say, and not one of another tool.
fn begins(path: &Path, ending: &str, mark: &str) -> bool {
    let mut first = vec![0; mark.len()];
    path.extension().is_some_and(|found| found == ending)
        && path.is_file()
        && open(path).is_ok_and(|mut file| file.read_exact(&mut first).is_ok())
        && first == mark.as_bytes()
}

/// All files under `root`, in no particular order.
///
/// # Errors
/// Those of [`content`] and [`made`].
pub(super) fn walk(root: &Path, walked: Walked<'_>) -> Result<Vec<Found>> {
    let mut walk = Walk {
        walked,
        trail: Vec::new(),
        found: Vec::new(),
    };
    walk.folder(root, "", false)?;
    Ok(walk.found)
}

/// Where the link at `path` leads, and what is there.
fn target(path: &Path, walked: Walked<'_>) -> Result<(PathBuf, fs::FileType)> {
    let shown = path.display();
    let target = fs::canonicalize(path).map_err(|error| {
        let leads = fs::read_link(path).unwrap_or_default();
        match error.kind() {
            ErrorKind::NotFound => Error::stage(format!(
                "`{shown}` is a link to `{}`, which does not exist",
                leads.display()
            )),
            _ => disk_error(&error, "follow the link", path),
        }
    })?;
    if let Walked::Made(home) = walked {
        let home = fs::canonicalize(home).doing("read", home)?;
        if !target.starts_with(&home) {
            return Err(Error::stage(format!(
                "`{shown}` is a link to `{}`, which is outside of the folder that is to be kept",
                target.display()
            ))
            .help("copy the file instead of linking to it"));
        }
    }
    let kind = fs::metadata(&target).doing("read", &target)?.file_type();
    Ok((target, kind))
}

fn refuse_special(path: &Path, kind: fs::FileType) -> Result<()> {
    if kind.is_file() || kind.is_dir() {
        return Ok(());
    }
    Err(Error::stage(format!(
        "`{}` is a socket, a pipe or a device, not a file",
        path.display()
    )))
}

struct Walk<'a> {
    walked: Walked<'a>,
    /// Real paths of the folders that hold the links followed on the way here.
    trail: Vec<PathBuf>,
    found: Vec<Found>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, prefix: &str, linked: bool) -> Result<()> {
        for item in fs::read_dir(folder).doing("list", folder)? {
            let item = item.doing("list", folder)?;
            let path = item.path();
            let name = item.file_name();
            let name = name.to_str().ok_or_else(|| {
                Error::stage(format!("the name of `{}` is not UTF-8", path.display()))
                    .help("rename it: other systems could not hold it")
            })?;
            let kind = item.file_type().doing("read", &path)?;
            if self.walked == Walked::Users && is_own_as(&path, kind.is_dir()) {
                continue;
            }
            let relative = if prefix.is_empty() {
                name.to_owned()
            } else {
                format!("{prefix}/{name}")
            };
            if kind.is_symlink() {
                self.link(&path, relative)?;
            } else {
                self.item(&path, relative, kind, linked)?;
            }
        }
        Ok(())
    }

    fn item(
        &mut self,
        path: &Path,
        relative: String,
        kind: fs::FileType,
        linked: bool,
    ) -> Result<()> {
        refuse_special(path, kind)?;
        if kind.is_dir() {
            return self.folder(path, &relative, linked);
        }
        self.found.push(Found { relative, linked });
        Ok(())
    }

    fn link(&mut self, path: &Path, relative: String) -> Result<()> {
        let (target, kind) = target(path, self.walked)?;
        if self.walked == Walked::Users && is_own(&target) {
            return Ok(());
        }
        if !kind.is_dir() {
            return self.item(path, relative, kind, true);
        }
        let parent = path.parent().unwrap_or(path);
        self.trail
            .push(fs::canonicalize(parent).doing("read", parent)?);
        if self.trail.iter().any(|real| real.starts_with(&target)) {
            return Err(Error::stage(format!(
                "`{}` is a link to `{}`, which it lies in: a cycle",
                path.display(),
                target.display()
            )));
        }
        self.item(path, relative, kind, true)?;
        self.trail.pop();
        Ok(())
    }
}
