//! `NAME.lock` beside a pipeline: what it last resolved to, for git. One table a stage, sorted, so that it merges well.

mod lines;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use crate::config::{self, Named, Overrides};
use crate::error::{Context, Error, Kind, Result, Source, Span};
use crate::event::Figure;
use crate::fingerprint::{Fingerprint, Role};
use crate::names;
use crate::store::{Digest, LOCK_MARK, Record, write_atomic};

/// The version of the lock's format.
const VERSION: u32 = 1;

/// A pipeline's lock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u32,
    /// Stage → what it resolved to.
    #[serde(default, rename = "stage")]
    pub stages: BTreeMap<String, Entry>,
}

/// What a stage resolved to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Digest of everything that the files say, the same on every machine.
    pub recipe: Digest,
    /// Digest of everything that can change the result on a device of this class.
    pub key: Digest,
    /// The device class, for stages that compute floats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Port → digest of what came in.
    #[serde(default, skip_serializing_if = "Named::is_empty")]
    pub inputs: Named<Digest>,
    /// Port → digest of what came out.
    #[serde(default, skip_serializing_if = "Named::is_empty")]
    pub outputs: Named<Digest>,
    /// The figures of the result.
    #[serde(default, skip_serializing_if = "Named::is_empty")]
    #[serde(serialize_with = "counted")]
    pub metrics: Named<f64>,
}

impl Entry {
    /// The entry for a stage with this result.
    #[must_use]
    pub fn new(recipe: Digest, record: &Record) -> Self {
        let fingerprint = Fingerprint::from_explanation(record.explanation.iter());
        let of = |role: Role| {
            fingerprint
                .fields()
                .iter()
                .filter(move |field| field.role == role)
        };
        Self {
            recipe,
            key: record.key,
            device: of(Role::Device).next().map(|field| field.value.clone()),
            inputs: of(Role::Input)
                .filter_map(|field| Some((field.name.clone(), field.value.parse().ok()?)))
                .collect(),
            outputs: (&record.outputs).into(),
            metrics: (&record.metrics).into(),
        }
    }
}

impl Entry {
    /// What of `record` is other than the entry says although the key is the same: `outputs`, or only `figures`.
    #[must_use]
    pub fn contradiction(&self, record: &Record) -> Option<&'static str> {
        let is_same = |(name, figure): (&String, &f64)| {
            let known = self.metrics.get(name);
            known.is_some_and(|known| {
                known.to_bits() == figure.to_bits() || (known.is_nan() && figure.is_nan())
            })
        };
        if self.key != record.key {
            None
        } else if self.outputs != record.outputs {
            Some("outputs")
        } else {
            let are_same =
                self.metrics.len() == record.metrics.len() && record.metrics.iter().all(is_same);
            (!are_same).then_some("figures")
        }
    }
}

/// Writes figures by name, counts as whole numbers.
fn counted<S: Serializer>(figures: &Named<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    let figures = figures.iter();
    serializer.collect_map(figures.map(|(name, value)| (name, Figure(name, *value))))
}

impl Default for Lock {
    fn default() -> Self {
        Self {
            version: VERSION,
            stages: BTreeMap::new(),
        }
    }
}

impl Lock {
    /// Where the lock of the pipeline at `pipeline` is: `NAME.lock`. Each profile has its own, `NAME.P.lock`, and so has
    /// each row of them, `NAME.P1+P2.lock`.
    #[must_use]
    pub fn path(pipeline: &Path, overrides: &Overrides) -> PathBuf {
        match overrides.profiles.as_slice() {
            [] => pipeline.with_extension("lock"),
            profiles if profiles.iter().all(|name| names::is_name(name)) => {
                pipeline.with_extension(format!("{}.lock", profiles.join("+")))
            }
            // No profile is called so, which the file will tell.
            _ => pipeline.with_extension("lock"),
        }
    }

    /// Reads a lock; none if there is no file.
    ///
    /// # Errors
    /// A file that is no lock, or one of a later version.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        Self::parse(&config::read(path)?, path).map(Some)
    }

    /// Whether the file at `path` is the lock of a pipeline, and not of another tool.
    #[must_use]
    pub fn is_at(path: &Path) -> bool {
        std::fs::read_to_string(path).is_ok_and(|text| text.contains("[stage."))
    }

    /// Reads a lock that is, or once was, at `path`.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(source: &Arc<Source>, path: &Path) -> Result<Self> {
        if let Some(lock) = lines::read(&source.text) {
            return Ok(lock);
        }
        let lock: Self = toml::from_str(&source.text).map_err(|error| {
            let span = Span::new(source, error.span().unwrap_or(0..0));
            Error::usage(format!(
                "`{}` is not a lock: {}",
                path.display(),
                error.message()
            ))
            .at(&span, "")
            .help("take the version from git, or delete it and run the pipeline again")
        })?;
        if lock.version != VERSION {
            return Err(Error::usage(format!(
                "`{}` has version {}, but this refire reads version {VERSION}",
                path.display(),
                lock.version
            ))
            .help("use the refire that wrote it, or delete it and run the pipeline again"));
        }
        Ok(lock)
    }

    /// Keeps other processes from writing the lock at `path` until what is returned is dropped. None where a disk cannot
    /// do that: then two that write at the same moment may lose an entry, which their next run writes again.
    #[must_use]
    pub fn alone(path: &Path) -> Option<std::fs::File> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let folder = std::fs::File::open(folder).ok()?;
        folder.lock().ok()?;
        Some(folder)
    }

    /// Writes the lock if it differs from the file.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = self.to_text()?;
        if std::fs::read(path).is_ok_and(|old| old == text.as_bytes()) {
            return Ok(());
        }
        write_atomic(path, text.as_bytes())
    }

    fn to_text(&self) -> Result<String> {
        let body = toml::to_string(self).or_stage(|| "cannot write the lock")?;
        Ok(format!("{LOCK_MARK}{body}"))
    }

    /// Fails if the lock does not describe a pipeline with these recipes.
    ///
    /// # Errors
    /// [`Kind::Locked`], naming every stage that differs.
    pub fn check(&self, path: &Path, recipes: &BTreeMap<&str, Digest>) -> Result<()> {
        let mut differences = Vec::new();
        for (stage, recipe) in recipes {
            match self.stages.get(*stage) {
                None => differences.push(format!("`{stage}` is not in the lock")),
                Some(entry) if entry.recipe != *recipe => {
                    differences.push(format!("`{stage}` has changed"));
                }
                Some(_) => {}
            }
        }
        if differences.is_empty() {
            return Ok(());
        }
        let error = Error::new(Kind::Locked, format!("`{}` is out of date", path.display()));
        let error = differences.into_iter().fold(error, Error::note);
        Err(error.help("run without --locked and commit the new lock"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_survive_a_round_trip_and_name_what_changed() {
        let digest = |byte: u8| Digest::from([byte; 32]);
        let entry = Entry {
            recipe: digest(1),
            key: digest(2),
            device: Some("cpu x86-64-v4".into()),
            inputs: Named::from_iter([("train".into(), digest(3))]),
            outputs: Named::from_iter([("model".into(), digest(4))]),
            metrics: Named::from_iter([("accuracy".into(), 0.76), ("best_epoch".into(), 1.0)]),
        };
        let lock = Lock {
            stages: BTreeMap::from([("tune".into(), entry)]),
            ..Lock::default()
        };
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("p.lock");
        assert_eq!(Lock::read(&path).expect("no file"), None);
        lock.write(&path).expect("written");
        assert_eq!(Lock::read(&path).expect("readable"), Some(lock.clone()));
        let text = lock.to_text().expect("it can be written");
        assert!(text.contains("best_epoch = 1\n"), "{text}");

        lock.check(&path, &BTreeMap::from([("tune", digest(1))]))
            .expect("as locked");
        let error = lock
            .check(
                &path,
                &BTreeMap::from([("new", digest(1)), ("tune", digest(9))]),
            )
            .expect_err("changed");
        assert_eq!(error.kind(), Kind::Locked);
        assert_eq!(
            error.notes(),
            ["`new` is not in the lock", "`tune` has changed"]
        );
    }
}
