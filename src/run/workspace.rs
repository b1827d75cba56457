//! Where the state of a project lives: `.refire` beside the project, or where the environment says.

use std::path::{Path, PathBuf};

use crate::config::Overrides;
use crate::error::{Context, Result};
use crate::event::Configuration;
use crate::store::write_atomic;

/// What `.refire/.gitignore` says.
const HIDDEN: &[u8] = b"# made by refire\n*\n";

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

    /// What a run of the pipeline at `pipeline` is called after. The file is named relative to the project, however the
    /// command line spells it; one behind a link is called after the link, as its lock is.
    #[must_use]
    pub fn configuration(&self, pipeline: &Path, overrides: &Overrides) -> Configuration {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.into());
        let path = std::path::absolute(pipeline).unwrap_or_else(|_| pipeline.into());
        let folder = real(path.parent().unwrap_or(&path));
        let below = folder.strip_prefix(real(&self.project)).unwrap_or(&folder);
        let file = below.join(path.file_name().unwrap_or_default());
        Configuration {
            file: file.display().to_string(),
            profiles: overrides.profiles.clone(),
            set: overrides.set.clone(),
        }
    }

    /// Keeps git from taking `.refire` along, if it is there: it holds nothing that a run would not make again.
    pub fn hide(&self) {
        let Some(root) = self.runs.parent() else {
            return;
        };
        let file = root.join(".gitignore");
        if !file.exists() && root.is_dir() {
            // A project that can only be read is not committed from here either.
            let _ = write_atomic(&file, HIDDEN);
        }
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

    /// The folder with what trackers are to hear of a pipeline with these profiles: others may have other trackers. Settings of the command
    /// line make no other pipeline of it.
    #[must_use]
    pub(super) fn outbox(&self, configuration: &Configuration) -> PathBuf {
        let mut hasher = blake3::Hasher::new();
        for name in std::iter::once(&configuration.file).chain(&configuration.profiles) {
            hasher.update(&(name.len() as u64).to_le_bytes());
            hasher.update(name.as_bytes());
        }
        let name = &hasher.finalize().to_hex()[..16];
        self.runs.with_file_name("outbox").join(name)
    }

    /// The folder with one folder a run.
    #[must_use]
    pub fn runs(&self) -> &Path {
        &self.runs
    }
}
