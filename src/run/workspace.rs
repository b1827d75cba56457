//! Where the state of a project lives: `.refire` beside the project, or where the environment says.

use std::path::{Path, PathBuf};

use crate::error::{Context, Result};

/// The folders that runs write to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    project: PathBuf,
    cache: PathBuf,
    runs: PathBuf,
}

impl Workspace {
    /// The workspace of the pipeline at `pipeline`: `.refire` in the nearest folder upwards that has a `.refire` or a
    /// `.git`, else beside the pipeline. `REFIRE_CACHE_DIR` moves the cache.
    ///
    /// # Errors
    /// If the current folder cannot be told.
    pub fn find(pipeline: &Path) -> Result<Self> {
        let path = std::path::absolute(pipeline)
            .or_usage(|| format!("cannot find `{}`", pipeline.display()))?;
        let beside = path.parent().unwrap_or(Path::new("/"));
        let marked =
            |folder: &&Path| folder.join(".refire").is_dir() || folder.join(".git").exists();
        let project = beside.ancestors().find(marked).unwrap_or(beside);
        let root = project.join(".refire");
        let moved = std::env::var_os("REFIRE_CACHE_DIR")
            .filter(|path| !path.is_empty())
            .map(PathBuf::from);
        Ok(Self {
            project: project.into(),
            cache: moved.unwrap_or_else(|| root.join("cache")),
            runs: root.join("runs"),
        })
    }

    /// The folder that it belongs to.
    #[must_use]
    pub fn project(&self) -> &Path {
        &self.project
    }

    /// The folder of the artifact cache.
    #[must_use]
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The folder with one folder a run.
    #[must_use]
    pub fn runs(&self) -> &Path {
        &self.runs
    }
}
