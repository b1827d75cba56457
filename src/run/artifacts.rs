//! Results of stages, taken out of the cache.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use tempfile::TempDir;

use super::Project;
use crate::error::{Context, Error, Result};
use crate::exec::Forecast;
use crate::models;
use crate::names::TEMPORARY;
use crate::plan::Goal;
use crate::stages::ArtifactType;
use crate::store::{self, Digest, Scratch, Store, Unrestored};

/// An artifact for reading, as long as this lives.
pub struct Lent(Scratch);

impl Lent {
    /// Its folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// An artifact that was asked for.
struct Found<'p> {
    /// The stage that makes it.
    stage: &'p str,
    digest: Digest,
    artifact: ArtifactType,
    /// The gate that the stage's figures do not pass.
    broken: Option<Error>,
}

/// Writes the tuned model in `folder` as Python's libraries load it, to `destination`, which must not exist; returns how they do.
///
/// # Errors
/// As [`models::export`]; also a destination that exists, or whose folder does not. Nothing is left there then.
pub fn export(folder: &Path, destination: &Path) -> Result<String> {
    refuse_existing(destination)?;
    let beside = folder_of(destination);
    if !beside.is_dir() {
        return Err(Error::usage(format!(
            "cannot make `{}`: its folder does not exist",
            destination.display()
        )));
    }
    let cannot = || format!("cannot make `{}`", destination.display());
    store::sweep(beside);
    let whole = tempfile::Builder::new()
        .prefix(TEMPORARY.0)
        .suffix(TEMPORARY.1)
        .tempdir_in(beside)
        .or_stage(cannot)?;
    // Without a lock it would be taken for what a killed process has left.
    let _lock = File::open(whole.path()).and_then(|folder| folder.lock().map(|()| folder));
    let made = whole.path().join("model");
    fs::create_dir(&made).or_stage(cannot)?;
    let how = models::export(folder, &made)?;
    fs::rename(&made, destination).or_stage(cannot)?;
    Ok(how)
}

/// Removes what killed processes were writing in the folder of `path`.
pub fn sweep_beside(path: &Path) {
    if let Some(folder) = path.parent() {
        store::sweep(folder);
    }
}

/// The folder that `path` is in; a bare name is in the current one.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Where a folder is filled before it appears under its name, on the same disk.
enum Workshop {
    /// In the cache, from which what a kill leaves is removed.
    Cache(Scratch),
    /// Beside the folder. Without the lock it would be taken for what a killed process has left.
    Beside {
        folder: TempDir,
        _lock: io::Result<File>,
    },
}

impl Workshop {
    /// One on the disk of the folder `beside`, which is there.
    fn new(cache: &Store, beside: &Path) -> io::Result<Self> {
        // A cache that can only be read has none.
        let scratch = cache.scratch("get").ok();
        let near = scratch.filter(|scratch| is_same_disk(scratch.path(), beside));
        if let Some(scratch) = near {
            return Ok(Self::Cache(scratch));
        }
        store::sweep(beside);
        let folder = tempfile::Builder::new()
            .prefix(TEMPORARY.0)
            .suffix(TEMPORARY.1)
            .tempdir_in(beside)?;
        let lock = File::open(folder.path());
        let lock = lock.and_then(|folder| folder.lock().map(|()| folder));
        Ok(Self::Beside {
            folder,
            _lock: lock,
        })
    }

    fn path(&self) -> &Path {
        match self {
            Self::Cache(scratch) => scratch.path(),
            Self::Beside { folder, .. } => folder.path(),
        }
    }
}

#[cfg(unix)]
fn is_same_disk(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let disk = |path: &Path| path.metadata().map(|metadata| metadata.dev()).ok();
    disk(a).is_some() && disk(a) == disk(b)
}

#[cfg(not(unix))]
fn is_same_disk(_: &Path, _: &Path) -> bool {
    false
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
    /// Copies the artifact `from`, `STAGE` or `STAGE.PORT`, to `destination`, which must not exist. A result that does not
    /// pass a gate can be looked at, too: what it does not pass comes back. The copy appears when it is whole.
    ///
    /// # Errors
    /// A stage or port that is not there, a result that is not in the cache, a destination that exists.
    pub fn get(&self, from: &str, destination: &Path) -> Result<Option<Error>> {
        let found = self.artifact(from)?;
        refuse_existing(destination)?;
        let cannot = || format!("cannot make `{}`", destination.display());
        let beside = folder_of(destination);
        fs::create_dir_all(beside).or_stage(cannot)?;
        let workshop = Workshop::new(&self.store, beside).or_stage(cannot)?;
        let made = workshop.path().join("whole");
        let copied = self.store.copy_out(&found.digest, &made);
        copied.map_err(|error| self.lost(found.stage, error))?;
        fs::rename(&made, destination).or_stage(cannot)?;
        Ok(found.broken)
    }

    /// The artifact `from`: `STAGE` or `STAGE.PORT`. It has to be one of the types that `accepts` names.
    ///
    /// # Errors
    /// As [`get`](Self::get); also an artifact of another type, and one of a stage that does not pass a gate.
    pub fn lend(&self, from: &str, accepts: &[ArtifactType]) -> Result<Lent> {
        let Found {
            stage,
            digest,
            artifact: found,
            broken,
        } = self.artifact(from)?;
        if let Some(error) = broken {
            let text = format!("stage `{stage}` failed: {}", error.message());
            return Err(error.with_message(text));
        }
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
        let folder = self.store.scratch_for_reading("lent")?;
        self.store
            .materialise(&digest, folder.path())
            .map_err(|error| self.lost(stage, error))?;
        Ok(Lent(folder))
    }

    /// The artifact `from`, to be looked at: also one of a stage that does not pass a gate, which comes back then.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn look_at(&self, from: &str) -> Result<(Lent, Option<Error>)> {
        let found = self.artifact(from)?;
        let folder = self.store.scratch_for_reading("shown")?;
        self.store
            .materialise(&found.digest, folder.path())
            .map_err(|error| self.lost(found.stage, error))?;
        Ok((Lent(folder), found.broken))
    }

    /// The artifact `from`.
    fn artifact(&self, from: &str) -> Result<Found<'_>> {
        let (index, port) = self.plan.resolve(from)?;
        let stage = self.plan.nodes[index].name.as_str();
        let output = self.plan.output(index, port)?;
        let goal = Goal {
            stages: vec![stage.into()],
            single: true,
            ..Goal::default()
        };
        let forecast = self
            .preview(&goal, false)?
            .pop()
            .map(|preview| preview.forecast);
        let (record, broken) = match forecast {
            Some(Forecast::Cached(record)) => (record, None),
            Some(Forecast::Fails(record, error)) => (record, Some(error)),
            _ => {
                return Err(Error::stage(format!(
                    "stage `{stage}` has no up-to-date result in the cache"
                ))
                .help(format!(
                    "run it first: refire run {} {stage}",
                    self.command_line()
                )));
            }
        };
        let digest = record.outputs.get(&output.port).copied();
        Ok(Found {
            stage,
            digest: digest.unwrap_or(Digest::from([0; 32])),
            artifact: output.artifact,
            broken,
        })
    }

    fn lost(&self, stage: &str, error: Unrestored) -> Error {
        match error {
            Unrestored::Failed(error) => error,
            Unrestored::Damaged(damage) => Error::stage(damage.to_string()).help(format!(
                "run the stage again: refire run {} {stage}",
                self.command_line()
            )),
        }
    }
}
