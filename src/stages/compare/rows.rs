//! The rows of a comparison: a combination each, with its figures and what it gains over the baseline.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::results::{Group, Results};
use super::statistics::{Estimate, estimate};
use crate::data::Table;
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
    fn value(&self, key: &str) -> Option<&String> {
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
struct Cell {
    value: Option<Estimate>,
    gain: Option<Estimate>,
}

#[derive(Debug)]
struct Row<'r> {
    group: &'r Group,
    is_baseline: bool,
    /// In the order of the figures.
    cells: Vec<Cell>,
    /// How many weights train, on average over the runs.
    trained: Option<f64>,
}

/// A comparison.
#[derive(Debug)]
pub(super) struct Rows<'r> {
    keys: Vec<&'r str>,
    named: bool,
    metrics: &'r [String],
    all: Vec<Row<'r>>,
    /// The best by the first figure.
    best: Option<usize>,
    has_baseline: bool,
    lower: Vec<bool>,
}

impl<'r> Rows<'r> {
    /// Compares `results` by `metrics`.
    ///
    /// # Errors
    /// A baseline that no result is; results that have no figure in common.
    pub(super) fn new(
        results: &'r Results,
        metrics: &'r [String],
        baseline: Option<&Baseline>,
        order: Order,
        lower_is_better: &dyn Fn(&str) -> bool,
    ) -> Result<Self> {
        if metrics.is_empty() {
            return Err(Error::stage("the results have no figure in common")
                .help("name figures that they have in `metrics`"));
        }
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

    /// A line a row, the best marked, under a head.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut head: Vec<String> = vec![String::new()];
        head.extend(self.named.then(|| "results".into()));
        head.extend(self.keys.iter().map(|key| (*key).to_owned()));
        head.push("runs".into());
        let trains = self.all.iter().any(|row| row.trained.is_some());
        head.extend(trains.then(|| "trained".into()));
        for name in self.metrics {
            head.push(name.clone());
            head.extend(self.has_baseline.then(|| "gain".into()));
        }
        let mut cells = vec![head];
        for (place, row) in self.all.iter().enumerate() {
            let mark = if self.best == Some(place) { "*" } else { "" };
            let mut line = vec![mark.to_owned()];
            line.extend(self.named.then(|| row.group.name.clone()));
            let value = |key: &&str| row.group.value(key).cloned().unwrap_or_default();
            line.extend(self.keys.iter().map(value));
            line.push(row.group.runs.len().to_string());
            line.extend(trains.then(|| {
                row.trained
                    .map(|count| format!("{count:.0}"))
                    .unwrap_or_default()
            }));
            for cell in &row.cells {
                line.push(
                    cell.value
                        .map(|value| written(value, false))
                        .unwrap_or_default(),
                );
                let gain = || {
                    cell.gain
                        .map(|gain| written(gain, true))
                        .unwrap_or_default()
                };
                line.extend(self.has_baseline.then(gain));
            }
            cells.push(line);
        }
        aligned(&cells)
    }

    /// A row a combination.
    ///
    /// # Errors
    /// Keys of a matrix that are called like another column.
    pub(super) fn table(&self) -> Result<Table> {
        let mut table = Table::of_rows(self.all.len());
        let column = |of: &dyn Fn(&Row) -> Option<f64>| self.all.iter().map(of).collect::<Vec<_>>();
        if self.named {
            let names: Vec<&str> = self.all.iter().map(|row| row.group.name.as_str()).collect();
            table = table.with_text("results", &names)?;
        }
        for key in &self.keys {
            let value = |row: &Row| row.group.value(key).cloned();
            let values: Vec<Option<String>> = self.all.iter().map(value).collect();
            table = table.with_values(key, &values)?;
        }
        #[expect(clippy::cast_precision_loss, reason = "there are few runs")]
        let runs = column(&|row| Some(row.group.runs.len() as f64));
        table = table.with_figures("runs", &runs)?;
        if self.all.iter().any(|row| row.trained.is_some()) {
            table = table.with_figures("trained_weights", &column(&|row| row.trained))?;
        }
        for (place, name) in self.metrics.iter().enumerate() {
            let of = |cell: &Cell, gain: bool| if gain { cell.gain } else { cell.value };
            for gain in [false, true]
                .into_iter()
                .take(1 + usize::from(self.has_baseline))
            {
                let name = if gain {
                    format!("{name}{GAIN}")
                } else {
                    name.clone()
                };
                let estimate = |row: &Row| of(&row.cells[place], gain);
                table = table
                    .with_figures(&name, &column(&|row| Some(estimate(row)?.mean)))?
                    .with_figures(
                        &format!("{name}_low"),
                        &column(&|row| Some(estimate(row)?.interval?.0)),
                    )?
                    .with_figures(
                        &format!("{name}_high"),
                        &column(&|row| Some(estimate(row)?.interval?.1)),
                    )?;
            }
        }
        Ok(table)
    }

    /// The same for programs, with what is recorded.
    pub(super) fn json(&self) -> Value {
        let rows = self.all.iter().enumerate().map(|(place, row)| {
            let values: Map<String, Value> = row
                .group
                .values
                .iter()
                .map(|(key, value)| (key.clone(), json!(value)))
                .collect();
            let figures: Map<String, Value> = self
                .metrics
                .iter()
                .zip(&row.cells)
                .map(|(name, cell)| {
                    (
                        name.clone(),
                        json!({ "value": of_estimate(cell.value), "gain": of_estimate(cell.gain) }),
                    )
                })
                .collect();
            json!({
                "results": row.group.name,
                "matrix": values,
                "runs": row.group.runs.keys().collect::<Vec<_>>(),
                "trained_weights": row.trained,
                "best": self.best == Some(place),
                "baseline": row.is_baseline,
                "figures": figures,
            })
        });
        json!({ "figures": self.figures(), "rows": rows.collect::<Vec<_>>() })
    }
}

fn of_estimate(estimate: Option<Estimate>) -> Value {
    estimate.map_or(Value::Null, |estimate| {
        let (low, high) = estimate.interval.unzip();
        json!({ "mean": estimate.mean, "low": low, "high": high })
    })
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

/// A mean and how far it may be off.
fn written(estimate: Estimate, signed: bool) -> String {
    let mean = if signed {
        format!("{:+.4}", estimate.mean)
    } else {
        format!("{:.4}", estimate.mean)
    };
    match estimate.interval {
        Some((low, high)) => format!("{mean} ± {:.4}", (high - low) / 2.0),
        None => mean,
    }
}

/// Lines of cells, columns as wide as their widest cell.
fn aligned(cells: &[Vec<String>]) -> Vec<String> {
    let columns = cells.first().map_or(0, Vec::len);
    let width = |column: usize| cells.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns).filter_map(width).collect();
    let line = |line: &Vec<String>| {
        let cells = line.iter().zip(&widths).map(|(cell, width)| {
            let gap = width - cell.chars().count();
            if cell.starts_with(|first: char| first.is_ascii_digit() || "+-".contains(first)) {
                format!("{}{cell}", " ".repeat(gap))
            } else {
                format!("{cell}{}", " ".repeat(gap))
            }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        line.trim_end().to_owned()
    };
    cells.iter().map(line).collect()
}
