//! Results of stages, taken out of the cache.

use std::path::Path;

use super::Project;
use crate::error::{Context, Error, Result};
use crate::exec::{Forecast, Preview};
use crate::models;
use crate::plan::Goal;
use crate::stages::ArtifactType;
use crate::store::{Digest, Scratch, Unrestored};

/// An artifact for reading, as long as this lives.
pub struct Lent(Scratch);

impl Lent {
    /// Its folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Writes the tuned model in `folder` as Python's libraries load it, to `destination`, which must not exist; returns how they do.
///
/// # Errors
/// As [`models::export`]; also a destination that exists, or whose folder does not. Nothing is left there then.
pub fn export(folder: &Path, destination: &Path) -> Result<String> {
    refuse_existing(destination)?;
    let beside = match destination.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !beside.is_dir() {
        return Err(Error::usage(format!(
            "cannot make `{}`: its folder does not exist",
            destination.display()
        )));
    }
    let cannot = || format!("cannot make `{}`", destination.display());
    let whole = tempfile::Builder::new()
        .prefix(".refire-")
        .tempdir_in(beside)
        .or_stage(cannot)?;
    let made = whole.path().join("model");
    std::fs::create_dir(&made).or_stage(cannot)?;
    let how = models::export(folder, &made)?;
    std::fs::rename(&made, destination).or_stage(cannot)?;
    Ok(how)
}

/// Refuses a destination that exists.
fn refuse_existing(destination: &Path) -> Result<()> {
    if destination.exists() {
        return Err(
            Error::usage(format!("`{}` exists already", destination.display()))
                .help("name a folder that does not exist yet"),
        );
    }
    Ok(())
}

impl Project {
    /// Copies the artifact `from`, `STAGE` or `STAGE.PORT`, to `destination`, which must not exist.
    ///
    /// # Errors
    /// A stage or port that is not there, a result that is not in the cache, a destination that exists.
    pub fn get(&self, from: &str, destination: &Path) -> Result<()> {
        let (stage, artifact, _) = self.artifact(from)?;
        refuse_existing(destination)?;
        let copied = self.store.copy_out(&artifact, destination);
        copied.map_err(|error| self.lost(stage, error))
    }

    /// The artifact `from`: `STAGE` or `STAGE.PORT`. It has to be one of the types that `accepts` names.
    ///
    /// # Errors
    /// As [`get`](Self::get); also an artifact of another type.
    pub fn lend(&self, from: &str, accepts: &[ArtifactType]) -> Result<Lent> {
        let (stage, artifact, found) = self.artifact(from)?;
        if !accepts.contains(&found) {
            let wanted: Vec<_> = accepts
                .iter()
                .map(|accepted| accepted.with_article())
                .collect();
            return Err(Error::usage(format!(
                "`{from}` is {}, not {}",
                found.with_article(),
                wanted.join(" or ")
            )));
        }
        let folder = self.store.scratch("lent")?;
        self.store
            .materialise(&artifact, folder.path())
            .map_err(|error| self.lost(stage, error))?;
        Ok(Lent(folder))
    }

    /// The stage that makes the artifact `from`, the artifact and its type.
    fn artifact(&self, from: &str) -> Result<(&str, Digest, ArtifactType)> {
        let (index, port) = self.plan.resolve(from)?;
        let stage = self.plan.nodes[index].name.as_str();
        let output = self.plan.output(index, port)?;
        let goal = Goal {
            stages: vec![stage.into()],
            single: true,
            ..Goal::default()
        };
        let preview = self.preview(&goal, false)?.pop();
        let Some(Preview {
            forecast: Forecast::Cached(record),
            ..
        }) = preview
        else {
            return Err(Error::stage(format!(
                "stage `{stage}` has no up-to-date result in the cache"
            ))
            .help(format!(
                "run it first: refire run {} {stage}",
                self.path.display()
            )));
        };
        let artifact = record.outputs.get(&output.port).copied();
        let artifact = artifact.unwrap_or(Digest::from([0; 32]));
        Ok((stage, artifact, output.artifact))
    }

    fn lost(&self, stage: &str, error: Unrestored) -> Error {
        match error {
            Unrestored::Failed(error) => error,
            Unrestored::Damaged(damage) => Error::stage(damage.to_string()).help(format!(
                "run the stage again: refire run {} {stage}",
                self.path.display()
            )),
        }
    }
}
