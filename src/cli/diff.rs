//! What `metrics diff` and `params diff` share: a pipeline and two states of its files.

use std::path::PathBuf;

use super::flags::Changes;
use super::pipeline;
use crate::error::{Error, Result};
use crate::run::Version;

/// Compare two revisions.
///
/// Without REV, the last commit is compared with the files as they are now; with one, that revision with the files as
/// they are now. A pipeline file may stand before them, or before `diff`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The pipeline file, if the first one ends in .toml, then what git knows as a revision: a commit, a branch, a tag
    #[arg(value_name = "PIPELINE] [REV] [REV", num_args = 0..=3)]
    what: Vec<String>,

    #[command(flatten)]
    pub(super) changes: Changes,

    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Args {
    /// Puts what stands before the word `diff` in front.
    ///
    /// # Errors
    /// If a word stands there that is no pipeline file.
    pub(super) fn after(
        mut self,
        pipeline: Option<String>,
        changes: Changes,
        json: bool,
    ) -> Result<Self> {
        if let Some(named) = pipeline {
            pipeline::only(Some(named.clone()))?;
            self.what.insert(0, named);
        }
        self.changes = changes.then(self.changes);
        self.json |= json;
        Ok(self)
    }

    /// The pipeline file, the old and the new state.
    pub(super) fn resolve(&self) -> Result<(PathBuf, Version, Version)> {
        let mut what = self.what.clone();
        let path = pipeline::take(&mut what)?;
        let mut revisions = what.into_iter().map(Version::At);
        let old = revisions
            .next()
            .unwrap_or_else(|| Version::At("HEAD".into()));
        let new = revisions.next().unwrap_or(Version::Now);
        match revisions.next() {
            None => Ok((path, old, new)),
            Some(_) => Err(Error::usage("two revisions are compared, not three")),
        }
    }
}
