//! What was measured: the figures of each instance of a matrix, gathered into groups that differ in more than their seed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use serde::Deserialize;

use crate::error::{Context, Error, Result};
use crate::models::{self, Network};

/// All that is compared.
#[derive(Debug)]
pub(super) struct Results {
    /// In the order of names, then of the instances' values.
    pub(super) groups: Vec<Group>,
    /// Whether there is more than one name, so that it tells rows apart.
    pub(super) named: bool,
    repeated: bool,
}

/// Runs that differ in nothing but what tells repetitions apart.
#[derive(Debug)]
pub(super) struct Group {
    /// The name among the results.
    pub(super) name: String,
    /// The values of the matrix, in the order of its keys.
    pub(super) values: Vec<(String, String)>,
    /// What tells a repetition from the others → what it came to.
    pub(super) runs: BTreeMap<String, Run>,
}

/// One run.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) figures: BTreeMap<String, f64>,
    /// How many weights trained, if that is asked for.
    pub(super) trained: Option<usize>,
    /// How many seconds it took, if that is known.
    pub(super) seconds: Option<f64>,
}

/// What `metrics.json` holds: an object of figures, or one that has it among other things.
#[derive(Deserialize)]
#[serde(untagged)]
enum Measured {
    Report { figures: BTreeMap<String, f64> },
    Plain(BTreeMap<String, f64>),
}

impl Results {
    /// Reads the results of these names. What `results` and `models` give for a name is the folder of one artifact, or of a folder an
    /// instance, and `seconds` how long an instance of it took. `over` is the key that tells repetitions apart.
    ///
    /// # Errors
    /// A folder that holds no figures or no model, with its instance.
    pub(super) fn read<'p>(
        names: impl Iterator<Item = &'p str>,
        results: impl Fn(&str) -> &'p Path,
        models: impl Fn(&str) -> Option<&'p Path>,
        seconds: impl Fn(&str, &str) -> Option<f64>,
        over: &str,
    ) -> Result<Self> {
        let mut groups: Vec<Group> = Vec::new();
        let mut count = 0;
        let mut repeated = false;
        for name in names {
            count += 1;
            let models = models(name).map(|folder| instances(folder, "config.json"));
            let models: BTreeMap<String, PathBuf> =
                models.transpose()?.into_iter().flatten().collect();
            for (instance, folder) in instances(results(name), "metrics.json")? {
                let (values, repetition) = values(&instance, over);
                repeated |= repetition.is_some();
                // One model may have been measured by many instances.
                let model = models.get(&instance).or_else(|| {
                    let only = models.values().next();
                    only.filter(|_| models.len() == 1)
                });
                let run = Run {
                    figures: figures(&folder)?,
                    trained: model.map(|folder| trained(folder)).transpose()?,
                    seconds: seconds(name, &instance),
                };
                let same = |group: &&mut Group| group.name == name && group.values == values;
                let repetition = repetition.unwrap_or_default();
                if let Some(group) = groups.iter_mut().find(same) {
                    group.runs.insert(repetition, run);
                } else {
                    groups.push(Group {
                        name: name.into(),
                        values,
                        runs: BTreeMap::from([(repetition, run)]),
                    });
                }
            }
        }
        Ok(Self {
            groups,
            named: count > 1,
            repeated,
        })
    }

    /// Whether runs are told apart by the key that means are taken over.
    pub(super) fn has_repetitions(&self) -> bool {
        self.repeated
    }

    /// The keys of all groups, in the order in which they come.
    pub(super) fn keys(&self) -> Vec<&str> {
        let all = self.groups.iter().flat_map(|group| &group.values);
        let mut keys: Vec<&str> = Vec::new();
        for (key, _) in all {
            if !keys.contains(&key.as_str()) {
                keys.push(key);
            }
        }
        keys
    }

    fn runs(&self) -> impl Iterator<Item = &Run> {
        self.groups.iter().flat_map(|group| group.runs.values())
    }

    /// The figures that all runs have, `accuracy` in front.
    pub(super) fn common_figures(&self) -> Vec<String> {
        let all: BTreeSet<&String> = self.runs().flat_map(|run| run.figures.keys()).collect();
        let common = |name: &&String| self.runs().all(|run| run.figures.contains_key(*name));
        let mut common: Vec<String> = all.into_iter().filter(common).cloned().collect();
        common.sort_by_key(|name| name != "accuracy");
        common
    }

    /// Refuses a figure that no run has.
    pub(super) fn check_figure(&self, name: &str) -> Result<()> {
        let known: BTreeSet<&str> = self
            .runs()
            .flat_map(|run| run.figures.keys().map(String::as_str))
            .collect();
        if known.contains(name) {
            return Ok(());
        }
        let list: Vec<&str> = known.iter().copied().collect();
        Err(Error::stage(format!("no result has the figure `{name}`"))
            .note(format!("figures: {}", list.join(", ")))
            .did_you_mean(name, known))
    }
}

/// The artifacts in `folder`, which is one itself, of no instance, if it holds `file`.
pub(in crate::stages) fn instances(folder: &Path, file: &str) -> Result<Vec<(String, PathBuf)>> {
    if folder.join(file).exists() {
        return Ok(vec![(String::new(), folder.into())]);
    }
    let what = || format!("cannot read `{}`", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).or_stage(what)? {
        let entry = entry.or_stage(what)?;
        found.push((
            entry.file_name().to_string_lossy().into_owned(),
            entry.path(),
        ));
    }
    found.sort();
    Ok(found)
}

/// The values in an instance's name, as the pipeline writes them, and among them that of `over`.
fn values(instance: &str, over: &str) -> (Vec<(String, String)>, Option<String>) {
    let mut repetition = None;
    let mut values = Vec::new();
    for part in instance.split(',').filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
        if key == over {
            repetition = Some(value);
        } else {
            values.push((key.to_owned(), value));
        }
    }
    (values, repetition)
}

/// How many weights of a tuned model trained.
fn trained(folder: &Path) -> Result<usize> {
    Network::open(folder, &models::device("cpu")?)?.trained_weights()
}

/// The figures that a `metrics` artifact holds.
///
/// # Errors
/// A file that cannot be read or holds none.
pub(in crate::stages) fn figures(folder: &Path) -> Result<BTreeMap<String, f64>> {
    let path = folder.join("metrics.json");
    let bytes = std::fs::read(&path).or_stage(|| format!("cannot read `{}`", path.display()))?;
    let measured: Measured = serde_json::from_slice(&bytes)
        .or_stage(|| format!("`{}` holds no figures by name", path.display()))?;
    Ok(match measured {
        Measured::Report { figures } | Measured::Plain(figures) => figures,
    })
}
