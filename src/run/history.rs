//! What the pipeline was at another revision of the repository: its lock, its params, the keys of its stages.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::{Project, git};
use crate::config::{self, Data, Named, Overrides, Pipeline, Table};
use crate::error::{Error, Result, Source};
use crate::exec::{Forecast, Preview};
use crate::fingerprint::{Fingerprint, Manifest as _, Reason, Role, Walk};
use crate::lock::{Entry, Lock};
use crate::plan::{Goal, Plan};

/// Which state of the files is meant.
#[derive(Clone, Debug)]
pub enum Version {
    /// A revision that git knows.
    At(String),
    /// The files as they are now.
    Now,
}

/// Stage → name of each metric → its figure, from the lock of the pipeline at `path` at `revision`.
///
/// # Errors
/// An unknown revision, one without a lock, a file that is no lock.
pub fn metrics(
    path: &Path,
    overrides: &Overrides,
    revision: &str,
) -> Result<BTreeMap<String, Named<f64>>> {
    let stages = lock(path, overrides, revision)?.stages;
    let stages = stages
        .into_iter()
        .map(|(stage, entry)| (stage, entry.metrics));
    Ok(stages.collect())
}

/// Name of each param → its value as TOML, with the profile and the settings of the command line applied; tables inside
/// tables have dotted names.
///
/// # Errors
/// An unknown revision, a pipeline file that was not there or was wrong.
pub fn params(
    path: &Path,
    overrides: &Overrides,
    version: &Version,
) -> Result<BTreeMap<String, String>> {
    let pipeline = match version {
        Version::Now => config::load(path, overrides)?,
        Version::At(revision) => pipeline(path, overrides, revision)?,
    };
    Ok(flat(&pipeline.params))
}

/// Name of each param → its value as TOML; tables inside tables have dotted names.
pub(super) fn flat(table: &Table) -> BTreeMap<String, String> {
    let mut params = BTreeMap::new();
    flatten("", table, &mut params);
    params
}

fn flatten(prefix: &str, table: &Table, into: &mut BTreeMap<String, String>) {
    for (name, (_, value)) in &table.entries {
        let name = format!("{prefix}{name}");
        match &value.data {
            Data::Table(inner) => flatten(&format!("{name}."), inner, into),
            _ => {
                into.insert(name, value.to_toml());
            }
        }
    }
}

fn lock(path: &Path, overrides: &Overrides, revision: &str) -> Result<Lock> {
    let path = Lock::path(path, overrides);
    let text = git::text_at(&path, revision)?;
    Lock::parse(&named(&path, revision, text), &path)
}

fn pipeline(path: &Path, overrides: &Overrides, revision: &str) -> Result<Pipeline> {
    let text = git::text_at(path, revision)?;
    config::parse(&named(path, revision, text), overrides)
}

/// A file of another revision: errors name both, relative paths still mean what they mean now.
fn named(path: &Path, revision: &str, text: String) -> Arc<Source> {
    let mut source = Source::new(path.display().to_string(), text);
    source.name = format!("{} at {revision}", path.display());
    Arc::new(source)
}

/// What differs between a stage now and the same stage at a revision.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// What differs, old → new.
    pub reasons: Vec<Reason>,
    /// Whether inputs are compared: not while something that the stage needs has to run first.
    pub knows_inputs: bool,
    /// Whether local files are compared: only if the result of that time is in the cache.
    pub knows_files: bool,
}

impl Project {
    /// Compares `stage` with what the lock and the pipeline file said at `revision`.
    ///
    /// # Errors
    /// An unknown stage or revision, files of that revision that are wrong, a stage that was not there.
    pub fn compare(
        &self,
        stage: &str,
        overrides: &Overrides,
        revision: &str,
    ) -> Result<Comparison> {
        let index = self.plan.find(stage)?;
        let mut lock = lock(&self.path, overrides, revision)?;
        let entry = lock.stages.remove(stage).ok_or_else(|| {
            Error::usage(format!(
                "the lock at {revision} does not hold stage `{stage}`"
            ))
            .help("compare with a revision at which the stage had been run and the lock committed")
        })?;
        let recorded = self.store.record(&entry.key)?;
        let old = match &recorded {
            Some(record) => Fingerprint::from_explanation(record.explanation.iter()),
            None => self.reconstructed(stage, &entry, overrides, revision)?,
        };
        let goal = Goal {
            stages: vec![stage.into()],
            ..Goal::default()
        };
        let preview = self.preview(&goal, false)?.pop();
        let known = preview
            .as_ref()
            .and_then(|preview| preview.fingerprint.clone());
        let knows_inputs = known.is_some();
        let new = match known {
            Some(fingerprint) => fingerprint,
            None => self.decider().fingerprint(index, |_| [0; 32].into())?,
        };
        let knows_files = recorded.is_some();
        let compared = |reason: &Reason| match reason {
            Reason::Changed { role, .. } => {
                (knows_inputs || *role != Role::Input) && (knows_files || *role != Role::File)
            }
            _ => true,
        };
        let mut reasons = Reason::between(&old, &new);
        reasons.retain(compared);
        if let Some(Preview {
            forecast: Forecast::Run(upstream) | Forecast::Depends(upstream),
            ..
        }) = preview
        {
            let waits = |reason: &Reason| matches!(reason, Reason::Upstream { .. });
            reasons.extend(upstream.into_iter().filter(waits));
        }
        Ok(Comparison {
            reasons,
            knows_inputs,
            knows_files,
        })
    }

    /// What the key of `stage` was made of at `revision`, without local files: from the pipeline file of that time and
    /// from the lock.
    fn reconstructed(
        &self,
        stage: &str,
        entry: &Entry,
        overrides: &Overrides,
        revision: &str,
    ) -> Result<Fingerprint> {
        let gone = || {
            Error::usage(format!(
                "`{}` at {revision} has no stage `{stage}`",
                self.path.display()
            ))
            .help("the file and its lock must have been committed together")
        };
        let mut pipeline = pipeline(&self.path, overrides, revision)?;
        pipeline.stages.retain(|table| table.name == stage);
        let table = pipeline.stages.first().ok_or_else(gone)?;
        let node = Plan::alone(table, pipeline.seed)?;
        let mut walk = Walk::new(node.kind.name(), node.kind.version());
        node.stage.describe(&mut walk);
        for (port, digest) in &entry.inputs {
            walk.input(port, digest.to_string());
        }
        if entry.device.is_some() {
            walk.device();
        }
        Ok(walk.finish(node.seed, entry.device.as_deref()))
    }
}
