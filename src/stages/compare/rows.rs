//! The rows of a comparison: a combination each, with its figures and what it gains over the baseline.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::results::{Group, Results};
use super::statistics::{Estimate, estimate};
use crate::error::{Error, Result};
use crate::stages::Ports;

/// What the names of figures end with that say how much is gained: the mean, and the lower end of its interval.
pub(super) const GAIN: &str = "_gain";
pub(super) const GAIN_LOW: &str = "_gain_low";

/// What rows are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// The best first.
    #[default]
    Metrics,
    /// By the values of the matrices, in the order of their keys.
    Matrix,
}

/// What others are held against.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Baseline {
    /// The results of this name.
    Name(String),
    /// Those with these values.
    Values(Vec<(String, String)>),
}

impl Baseline {
    /// Reads the name of some `results`, or `key=value,key=value`.
    pub(super) fn parse(text: &str, results: &Ports) -> Result<Self> {
        if results.contains_key(text) {
            return Ok(Self::Name(text.into()));
        }
        let value = |part: &str| {
            let (key, value) = part.split_once('=')?;
            Some((key.trim().to_owned(), value.trim().to_owned()))
        };
        let values: Option<Vec<_>> = text.split(',').map(value).collect();
        values.map(Self::Values).ok_or_else(|| {
            let names = results.keys().map(String::as_str);
            Error::usage(format!("`results` has no `{text}`"))
                .did_you_mean(text, names)
                .or_help("name one of `results`, or values of the matrix: \"learning_rate=1e-3\"")
        })
    }

    /// Whether `group` is one that others are held against.
    fn is(&self, group: &Group) -> bool {
        match self {
            Self::Name(name) => group.name == *name,
            Self::Values(values) => values.iter().all(|value| group.values.contains(value)),
        }
    }

    /// Whether `group`, which is a baseline, is that of `other`: alike in all but what makes it one.
    fn is_of(&self, group: &Group, other: &Group) -> bool {
        let same = |(key, value): &&(String, String)| {
            other.value(key).is_none_or(|others| others == value)
        };
        match self {
            Self::Name(_) => group.values.iter().all(|value| same(&value)),
            Self::Values(own) => {
                let mut rest = group.values.iter().filter(|value| !own.contains(value));
                group.name == other.name && rest.all(|value| same(&value))
            }
        }
    }
}

impl Group {
    pub(super) fn value(&self, key: &str) -> Option<&String> {
        let found = self.values.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value)
    }

    /// A figure of all runs; none if one of them lacks it.
    fn figure(&self, name: &str) -> Option<Vec<f64>> {
        let runs = self.runs.values();
        runs.map(|run| run.figures.get(name).copied()).collect()
    }

    /// The differences of a figure from that of another group, over the runs that both have.
    fn differences(&self, other: &Self, name: &str) -> Vec<f64> {
        let difference = |(repetition, run): (&String, &super::results::Run)| {
            let other = other.runs.get(repetition)?;
            Some(run.figures.get(name)? - other.figures.get(name)?)
        };
        self.runs.iter().filter_map(difference).collect()
    }
}

/// A figure of a row.
#[derive(Debug, Default)]
pub(super) struct Cell {
    pub(super) value: Option<Estimate>,
    /// How much it is better than the baseline.
    pub(super) gain: Option<Estimate>,
}

/// A combination.
#[derive(Debug)]
pub(super) struct Row<'r> {
    pub(super) group: &'r Group,
    pub(super) is_baseline: bool,
    /// In the order of the figures.
    pub(super) cells: Vec<Cell>,
    /// How many weights train, on average over the runs.
    pub(super) trained: Option<f64>,
    /// How many seconds the runs took, on average over those of which that is known.
    pub(super) seconds: Option<f64>,
}

/// A comparison.
#[derive(Debug)]
pub(super) struct Rows<'r> {
    pub(super) keys: Vec<&'r str>,
    pub(super) named: bool,
    pub(super) metrics: &'r [String],
    pub(super) all: Vec<Row<'r>>,
    /// The best by the first figure.
    pub(super) best: Option<usize>,
    pub(super) has_baseline: bool,
    lower: Vec<bool>,
}

impl<'r> Rows<'r> {
    /// Compares `results` by `metrics`.
    ///
    /// # Errors
    /// A baseline that no result is.
    ///
    /// # Panics
    /// Without metrics.
    pub(super) fn new(
        results: &'r Results,
        metrics: &'r [String],
        baseline: Option<&Baseline>,
        order: Order,
        lower_is_better: &dyn Fn(&str) -> bool,
    ) -> Result<Self> {
        let bases: Vec<&Group> = match baseline {
            None => Vec::new(),
            Some(baseline) => results
                .groups
                .iter()
                .filter(|group| baseline.is(group))
                .collect(),
        };
        if let Some(Baseline::Values(_)) = baseline
            && bases.is_empty()
        {
            return Err(Error::stage("no result has these values").note(format!(
                "the keys of the matrices: {}",
                results.keys().join(", ")
            )));
        }
        let lower: Vec<bool> = metrics.iter().map(|name| lower_is_better(name)).collect();
        let row = |group: &'r Group| {
            let is_baseline = bases.iter().any(|base| std::ptr::eq(*base, group));
            let base = (!is_baseline)
                .then(|| {
                    bases
                        .iter()
                        .find(|base| baseline.is_some_and(|one| one.is_of(base, group)))
                })
                .flatten();
            let cell = |(name, lower): (&String, &bool)| {
                let gains = base.map(|base| group.differences(base, name));
                let gains = gains.map(|gains| signed(gains, *lower));
                Cell {
                    value: group.figure(name).and_then(|runs| estimate(&runs)),
                    gain: gains.and_then(|gains| estimate(&gains)),
                }
            };
            Row {
                group,
                is_baseline,
                cells: metrics.iter().zip(&lower).map(cell).collect(),
                trained: trained(group),
                seconds: seconds(group),
            }
        };
        let mut rows = Self {
            keys: results.keys(),
            named: results.named,
            metrics,
            all: results.groups.iter().map(row).collect(),
            best: None,
            has_baseline: baseline.is_some(),
            lower,
        };
        rows.sort(order);
        Ok(rows)
    }

    fn sort(&mut self, order: Order) {
        let lower = self.lower[0];
        let first = |row: &Row| row.cells[0].value.map(|value| value.mean);
        let better = |one: &Row, other: &Row| match (first(one), first(other)) {
            (Some(one), Some(other)) if lower => one.total_cmp(&other),
            (Some(one), Some(other)) => other.total_cmp(&one),
            (one, other) => other.is_some().cmp(&one.is_some()),
        };
        let keys = std::mem::take(&mut self.keys);
        let by_values = |one: &Row, other: &Row| {
            let mut keys = keys
                .iter()
                .map(|key| by_value(one.group.value(key), other.group.value(key)));
            let by_keys = keys.find(|order| order.is_ne()).unwrap_or(Ordering::Equal);
            by_keys.then_with(|| one.group.name.cmp(&other.group.name))
        };
        self.all.sort_by(|one, other| match order {
            Order::Metrics => better(one, other).then_with(|| by_values(one, other)),
            Order::Matrix => by_values(one, other),
        });
        self.keys = keys;
        let best =
            (0..self.all.len()).min_by(|one, other| better(&self.all[*one], &self.all[*other]));
        self.best = best.filter(|best| first(&self.all[*best]).is_some());
    }

    /// What the user may not expect, in sentences.
    pub(super) fn told(&self) -> impl Iterator<Item = String> {
        let mut told = Vec::new();
        let single = self
            .all
            .iter()
            .filter(|row| row.group.runs.len() == 1)
            .count();
        let all = self.all.len();
        if single == all {
            told.push(
                "every row is a single run: nothing says how far its figures are off by chance"
                    .into(),
            );
        } else if single > 0 {
            told.push(format!("{single} of {all} rows are a single run: nothing says how far their figures are off by chance"));
        }
        for (place, name) in self.metrics.iter().enumerate() {
            let without = self
                .all
                .iter()
                .filter(|row| row.cells[place].value.is_none())
                .count();
            if without > 0 {
                told.push(format!(
                    "{without} of {all} rows have runs without `{name}`: it is left out there"
                ));
            }
        }
        if self.has_baseline {
            let lonely =
                |row: &&Row| !row.is_baseline && row.cells.iter().all(|cell| cell.gain.is_none());
            let lonely = self.all.iter().filter(lonely).count();
            if lonely > 0 {
                told.push(format!(
                    "{lonely} of {all} rows have no run in common with the baseline: what they gain is unknown"
                ));
            }
        }
        told.into_iter()
    }

    /// The figures to record: of each the best mean, and the least gains.
    pub(super) fn figures(&self) -> BTreeMap<String, f64> {
        let mut figures = BTreeMap::new();
        for (place, name) in self.metrics.iter().enumerate() {
            let cells = || self.all.iter().map(|row| &row.cells[place]);
            let means = cells().filter_map(|cell| Some(cell.value?.mean));
            let best = if self.lower[place] {
                means.reduce(f64::min)
            } else {
                means.reduce(f64::max)
            };
            let gains = cells().filter_map(|cell| Some(cell.gain?.mean));
            let lows = cells().filter_map(|cell| Some(cell.gain?.interval?.0));
            let named = [
                (name.clone(), best),
                (format!("{name}{GAIN}"), gains.reduce(f64::min)),
                (format!("{name}{GAIN_LOW}"), lows.reduce(f64::min)),
            ];
            figures.extend(
                named
                    .into_iter()
                    .filter_map(|(name, figure)| Some((name, figure?))),
            );
        }
        figures
    }
}

/// What is gained by differences: the other way round where lower is better.
fn signed(differences: Vec<f64>, lower: bool) -> Vec<f64> {
    if lower {
        differences
            .into_iter()
            .map(|difference| -difference)
            .collect()
    } else {
        differences
    }
}

fn trained(group: &Group) -> Option<f64> {
    let counts: Option<Vec<usize>> = group.runs.values().map(|run| run.trained).collect();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let counts: Vec<f64> = counts?.into_iter().map(|count| count as f64).collect();
    estimate(&counts).map(|estimate| estimate.mean)
}

fn seconds(group: &Group) -> Option<f64> {
    let known: Vec<f64> = group.runs.values().filter_map(|run| run.seconds).collect();
    estimate(&known).map(|estimate| estimate.mean)
}

/// Numbers by what they are, then words by letter.
fn by_value(one: Option<&String>, other: Option<&String>) -> Ordering {
    let number = |text: Option<&String>| text?.parse::<f64>().ok();
    match (number(one), number(other)) {
        (Some(one), Some(other)) => one.total_cmp(&other),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => one.cmp(&other),
    }
}
