//! Files and folders on this machine: a relative or absolute path.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{Location, Transfer};
use crate::error::{Context, Error, Result};

/// A file, or a folder that files are taken from.
#[derive(Debug)]
pub(super) struct Local {
    path: PathBuf,
}

impl Local {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

impl Location for Local {
    fn join(&self, file: &str) -> Box<dyn Location> {
        Box::new(Self::new(self.path.join(file)))
    }

    fn local_path(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn fetch(&self, _: &Transfer<'_>, dest: &Path) -> Result<()> {
        let path = &self.path;
        if !path.exists() {
            return Err(Error::stage(format!("`{}` does not exist", path.display())));
        }
        if path.is_dir() {
            return Err(Error::stage(format!(
                "`{}` is a folder, not a file",
                path.display()
            )));
        }
        reflink_copy::reflink_or_copy(path, dest)
            .or_stage(|| format!("cannot copy `{}`", path.display()))?;
        Ok(())
    }
}
