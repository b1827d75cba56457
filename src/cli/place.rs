//! Models and data that a verb is given: each is a path, or a stage of a pipeline.

use std::path::{Path, PathBuf};

use super::pipeline;
use crate::config::Overrides;
use crate::error::{Error, Result};
use crate::run::{Lent, Project};
use crate::stages::ArtifactType;

/// Where to look.
pub(super) struct Places {
    overrides: Overrides,
    /// Whether the command line names the pipeline.
    named: bool,
    /// The pipeline, which is opened only if it is needed.
    path: Result<PathBuf>,
    project: Option<Project>,
}

/// Where something is.
pub(super) enum Place {
    Path(PathBuf),
    Lent(Lent),
}

impl Place {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Path(path) => path,
            Self::Lent(lent) => lent.path(),
        }
    }

    /// An error about it: the path that it may name is not the user's if it is a stage's.
    pub(super) fn blame(&self, what: &str, error: Error) -> Error {
        match self {
            Self::Path(_) => error,
            Self::Lent(lent) => {
                let lent = lent.path().display().to_string();
                let message = error.message().replace(&lent, what);
                error.with_message(message)
            }
        }
    }
}

impl Places {
    /// Takes the pipeline off the front of a verb's arguments, if it is named there.
    ///
    /// # Errors
    /// If it is named and not there.
    pub(super) fn new(arguments: &mut Vec<String>, overrides: Overrides) -> Result<Self> {
        let before = arguments.len();
        let path = pipeline::take(arguments);
        let named = arguments.len() < before;
        Ok(Self {
            path: if named { Ok(path?) } else { path },
            overrides,
            named,
            project: None,
        })
    }

    /// What `what` names: with a pipeline on the command line rather one of its stages, otherwise rather a path.
    ///
    /// # Errors
    /// If it is neither; a pipeline that is wrong, a result that is not in the cache or of another type.
    pub(super) fn find(&mut self, what: &str, accepts: &[ArtifactType]) -> Result<Place> {
        let path = PathBuf::from(what);
        if !self.named && path.exists() {
            return Ok(Place::Path(path));
        }
        let named = self.named;
        let project = match self.project() {
            Ok(project) => project,
            Err(error) if named => return Err(error),
            Err(error) => {
                return Err(Error::usage(format!("there is no file or folder `{what}`"))
                    .note(format!("it is no stage either: {error}")));
            }
        };
        match project.plan.resolve(what) {
            Ok(_) => project.lend(what, accepts).map(Place::Lent),
            Err(_) if path.exists() => Ok(Place::Path(path)),
            Err(error) => Err(error.note(format!("there is no file or folder `{what}` either"))),
        }
    }

    fn project(&mut self) -> Result<&Project> {
        if self.project.is_none() {
            let path = self.path.clone()?;
            self.project = Some(Project::open(&path, &self.overrides)?);
        }
        self.project
            .as_ref()
            .ok_or_else(|| Error::usage("no pipeline"))
    }
}
