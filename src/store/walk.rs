//! The files of a folder, links followed.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::disk::{OnDisk, disk_error};
use crate::error::{Error, Result};

/// Where links may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Links {
    /// Within the folder only: what is published must be complete.
    Inside,
    /// Anywhere: data sets are often linked to another disk.
    Anywhere,
}

/// A file in a folder.
#[derive(Debug)]
pub(super) struct Found {
    /// Its path within the folder, with `/` between the parts.
    pub(super) relative: String,
    /// Whether it is reached by a link.
    pub(super) linked: bool,
}

/// All files under `root`, in no particular order; names in `ignored` are passed over at every depth.
///
/// # Errors
/// Links that lead nowhere, in a cycle or, with [`Links::Inside`], out of the folder; sockets, pipes and devices;
/// names that are not UTF-8; folders that cannot be read.
pub(super) fn walk(root: &Path, links: Links, ignored: &[&str]) -> Result<Vec<Found>> {
    let mut walk = Walk {
        root,
        links,
        ignored,
        trail: Vec::new(),
        found: Vec::new(),
    };
    walk.folder(root, "", false)?;
    Ok(walk.found)
}

struct Walk<'a> {
    root: &'a Path,
    links: Links,
    ignored: &'a [&'a str],
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
            if self.ignored.contains(&name) {
                continue;
            }
            let relative = if prefix.is_empty() {
                name.to_owned()
            } else {
                format!("{prefix}/{name}")
            };
            let kind = item.file_type().doing("read", &path)?;
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
        if kind.is_dir() {
            self.folder(path, &relative, linked)
        } else if kind.is_file() {
            self.found.push(Found { relative, linked });
            Ok(())
        } else {
            Err(Error::stage(format!(
                "`{}` is a socket, a pipe or a device, not a file",
                path.display()
            )))
        }
    }

    fn link(&mut self, path: &Path, relative: String) -> Result<()> {
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
        if self.links == Links::Inside {
            let root = fs::canonicalize(self.root).doing("read", self.root)?;
            if !target.starts_with(&root) {
                return Err(Error::stage(format!(
                    "`{shown}` is a link to `{}`, which is outside of the folder that is to be kept",
                    target.display()
                ))
                .help("copy the file instead of linking to it"));
            }
        }
        let kind = fs::metadata(&target).doing("read", &target)?.file_type();
        if !kind.is_dir() {
            return self.item(path, relative, kind, true);
        }
        let parent = path.parent().unwrap_or(path);
        self.trail
            .push(fs::canonicalize(parent).doing("read", parent)?);
        if self.trail.iter().any(|real| real.starts_with(&target)) {
            return Err(Error::stage(format!(
                "`{shown}` is a link to `{}`, which it lies in: a cycle",
                target.display()
            )));
        }
        self.item(path, relative, kind, true)?;
        self.trail.pop();
        Ok(())
    }
}
