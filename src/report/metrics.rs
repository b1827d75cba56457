//! The table of figures: a row a stage, or turned round where that is too wide.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anstyle::Style;
use serde::{Serialize, Serializer};

use super::figures::{amount, metric, seconds};
use super::table::{Align, Cell, Table};
use super::views::{BAD, ODD, QUIET};
use super::visible::visible;
use crate::event::counted;

/// The columns that say what stages used.
const TIME: &str = "time";
const MEMORY: &str = "memory";

/// A stage and its figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricsRow {
    /// The stage.
    pub stage: String,
    /// Name → figure.
    #[serde(serialize_with = "counted")]
    pub metrics: BTreeMap<String, f64>,
    /// What they were by the lock before the run; empty where that is not asked, or they are the same.
    #[serde(skip)]
    pub before: BTreeMap<String, f64>,
    /// How long the stage took, in seconds, and how many bytes of memory, as far as that is known and asked.
    #[serde(
        rename = "seconds",
        serialize_with = "seconds_of",
        skip_serializing_if = "Option::is_none"
    )]
    pub used: Option<(f64, Option<u64>)>,
    /// Whether they are of what the files say now.
    pub state: Standing,
    /// Why they are not fresh; empty if they are.
    pub reason: String,
}

/// How figures stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// They are of what the files say now.
    #[default]
    Fresh,
    /// They are of other settings or inputs.
    Stale,
    /// They are of what the files say now and do not pass a gate.
    Failed,
    /// That cannot be told, because a file cannot be read.
    Unknown,
}

/// Writes of what a stage used how long it took.
#[expect(clippy::ref_option, reason = "serde calls it")]
fn seconds_of<S: Serializer>(
    used: &Option<(f64, Option<u64>)>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    used.map(|(seconds, _)| seconds).serialize(serializer)
}

impl MetricsRow {
    /// A cell with `text`, and how the figures stand if they are not fresh.
    fn cell(&self, text: &str) -> Cell {
        let (word, style) = match self.state {
            Standing::Fresh => return text.into(),
            Standing::Stale => ("stale", ODD),
            Standing::Failed => ("failed", BAD),
            Standing::Unknown => ("unknown", ODD),
        };
        Cell::styled(format!("{text} ({word})"), style)
    }

    /// A figure, and how far it is from what it was: `0.7543 ▲ 0.0100`.
    fn figure(&self, name: &str) -> Cell {
        let Some(figure) = self.metrics.get(name) else {
            return Cell::from(self.used(name).unwrap_or_default());
        };
        let shown = metric(name, *figure);
        match self.before.get(name) {
            Some(before) if metric(name, *before) != shown => {
                let arrow = if figure > before { '▲' } else { '▼' };
                let by = metric(name, (figure - before).abs());
                Cell::from(format!("{shown} {arrow} {by}"))
            }
            _ => Cell::from(shown),
        }
    }

    /// What the stage used, as a column of that name says it.
    fn used(&self, name: &str) -> Option<String> {
        let (took, memory) = self.used?;
        match name {
            TIME => Some(seconds(took)),
            MEMORY => Some(amount(memory?, "bytes")),
            _ => None,
        }
    }

    /// The stage without what tells the instances of its matrix apart.
    fn base(&self) -> &str {
        self.stage.split('@').next().unwrap_or(&self.stage)
    }
}

/// Metrics, and below them why some are not fresh. The instances of a matrix are a table of their own, with a column for each of its keys.
/// Other stages are a row each; where that is wider than `width`, a column each if there are few. Empty without rows.
#[must_use]
pub fn metrics(rows: &[MetricsRow], width: usize) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut text = tables(rows, width);
    for line in reasons(rows) {
        let _ = writeln!(text, "{QUIET}{}{QUIET:#}", visible(&line));
    }
    text
}

/// Why figures are not fresh: a line for each stage, and one for all instances of a matrix that have the same reason.
fn reasons(rows: &[MetricsRow]) -> Vec<String> {
    let mut told: Vec<(&MetricsRow, String, usize)> = Vec::new();
    for row in rows.iter().filter(|row| !row.reason.is_empty()) {
        // What it says of an instance with the same values is the same of each.
        let reason = match row.stage.split_once('@') {
            Some((_, values)) => row.reason.replace(&format!("@{values}"), "@…"),
            None => row.reason.clone(),
        };
        let same = told
            .iter_mut()
            .find(|(other, known, _)| other.base() == row.base() && *known == reason);
        match same {
            Some((_, _, count)) => *count += 1,
            None => told.push((row, reason, 1)),
        }
    }
    let line = |(row, reason, count): (&MetricsRow, String, usize)| match count {
        1 => format!("{}: {}", row.stage, row.reason),
        _ => format!("{}@… ({count}): {reason}", row.base()),
    };
    told.into_iter().map(line).collect()
}

/// Sorts the instances of each matrix by the figure `name`, the best first, and keeps only the first `most` of each, if that is given.
/// Other stages stay as they are.
pub fn rank(
    rows: &mut Vec<MetricsRow>,
    name: Option<&str>,
    lower_is_better: bool,
    most: Option<usize>,
) {
    let mut bases: Vec<String> = Vec::new();
    for row in &*rows {
        if !bases.iter().any(|base| base == row.base()) {
            bases.push(row.base().into());
        }
    }
    let place = |row: &MetricsRow| bases.iter().position(|base| base == row.base());
    let figure = |row: &MetricsRow| {
        let figure = name.and_then(|name| row.metrics.get(name)).copied();
        // What has no figure comes last.
        figure.map_or(f64::INFINITY, |figure| {
            if lower_is_better { figure } else { -figure }
        })
    };
    rows.sort_by(|one, other| {
        let by_base = place(one).cmp(&place(other));
        by_base.then_with(|| figure(one).total_cmp(&figure(other)))
    });
    if let Some(most) = most {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        rows.retain(|row| {
            let seen = seen.entry(row.base().into()).or_default();
            *seen += 1;
            *seen <= most || !row.stage.contains('@')
        });
    }
}

fn tables(rows: &[MetricsRow], width: usize) -> String {
    let (instances, others): (Vec<_>, Vec<_>) =
        rows.iter().partition(|row| row.stage.contains('@'));
    let mut bases: Vec<&str> = Vec::new();
    for row in &instances {
        if !bases.contains(&row.base()) {
            bases.push(row.base());
        }
    }
    let of_base = |base: &&str| {
        let rows: Vec<&MetricsRow> = instances
            .iter()
            .filter(|row| row.base() == *base)
            .copied()
            .collect();
        columns_that_fit(&rows, width)
    };
    let mut groups: Vec<String> = bases.iter().map(of_base).collect();
    if !others.is_empty() {
        let names = names(&others);
        let whole = wide(&others, &names);
        let turned = tall(&others, &names);
        groups.push(if whole.width() <= width {
            whole.render()
        } else if turned.width() <= width {
            turned.render()
        } else {
            columns_that_fit(&others, width)
        });
    }
    groups.join("\n")
}

/// The rows with as many columns as fit, below that with the next ones, and so on.
fn columns_that_fit(rows: &[&MetricsRow], width: usize) -> String {
    let names = names(rows);
    let mut text = String::new();
    let mut from = 0;
    while from < names.len() {
        let fits = |to: &usize| wide(rows, &names[from..*to]).width() <= width;
        let to = (from + 1..=names.len())
            .rev()
            .find(fits)
            .unwrap_or(from + 1);
        if from > 0 {
            text.push('\n');
        }
        text.push_str(&wide(rows, &names[from..to]).render());
        from = to;
    }
    text
}

fn names<'r>(rows: &[&'r MetricsRow]) -> Vec<&'r str> {
    let names = rows.iter().flat_map(|row| row.metrics.keys());
    let figures: BTreeSet<&str> = names.map(String::as_str).collect();
    let says = |name: &&str| rows.iter().any(|row| row.used(name).is_some());
    let used = [TIME, MEMORY].into_iter().filter(says);
    let used = used.filter(|name| !figures.contains(name));
    figures.iter().copied().chain(used).collect()
}

/// A row a stage; of instances of one matrix, with a column a key, called as they stand in the instances' names.
fn wide(rows: &[&MetricsRow], names: &[&str]) -> Table {
    let values = |row: &MetricsRow| -> Option<Vec<(String, String)>> {
        let (_, values) = row.stage.split_once('@')?;
        let value = |part: &str| {
            part.split_once('=')
                .map(|(key, value)| (key.into(), value.into()))
        };
        values.split(',').map(value).collect()
    };
    let mut keys: Vec<String> = Vec::new();
    for (key, _) in rows.iter().filter_map(|row| values(row)).flatten() {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let first = match (rows.first(), keys.first()) {
        (Some(row), Some(key)) => format!("{}@{key}", row.base()),
        _ => "stage".into(),
    };
    let further = keys.iter().skip(1).cloned();
    let columns = names.iter().map(|name| ((*name).to_owned(), Align::Right));
    let head = std::iter::once(first)
        .chain(further)
        .map(|title| (title, Align::Left));
    let mut table = Table::new(head.chain(columns));
    for row in rows {
        let figures = names.iter().map(|name| row.figure(name));
        let values = values(row).unwrap_or_default();
        let value = |key: &String| {
            let found = values.iter().find(|(known, _)| known == key);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let first = keys.first().map_or_else(|| row.stage.clone(), &value);
        let further = keys.iter().skip(1).map(|key| Cell::from(value(key)));
        table.row(
            std::iter::once(row.cell(&first))
                .chain(further)
                .chain(figures),
        );
    }
    table
}

/// A column a stage.
fn tall(rows: &[&MetricsRow], names: &[&str]) -> Table {
    let bold = Style::new().bold();
    let columns = rows.iter().map(|row| match row.state {
        Standing::Fresh => (Cell::styled(&row.stage, bold), Align::Right),
        _ => (row.cell(&row.stage), Align::Right),
    });
    let first = (Cell::styled("metric", bold), Align::Left);
    let mut table = Table::with_head(std::iter::once(first).chain(columns));
    for name in names {
        let figures = rows.iter().map(|row| row.figure(name));
        table.row(std::iter::once(Cell::from(*name)).chain(figures));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    fn row(stage: &str, figures: &[(&str, f64)]) -> MetricsRow {
        MetricsRow {
            stage: stage.into(),
            metrics: figures
                .iter()
                .map(|(name, value)| ((*name).to_string(), *value))
                .collect(),
            before: BTreeMap::new(),
            used: None,
            state: Standing::Fresh,
            reason: String::new(),
        }
    }

    fn rows() -> [MetricsRow; 2] {
        let mut rows = [
            row("tune", &[("loss", 0.4873), ("accuracy", 0.754_32)]),
            row("test", &[("accuracy", 1.0), ("f1", 0.75)]),
        ];
        rows[1].state = Standing::Stale;
        rows[1].reason = "input `model` changed".into();
        rows
    }

    #[test]
    fn metrics_have_a_row_a_stage() {
        insta::assert_snapshot!(plain(&metrics(&rows(), 100)));
    }

    #[test]
    fn what_has_changed_stands_beside_the_figure() {
        let mut rows = rows();
        rows[0].before = [("loss".into(), 0.5), ("accuracy".into(), 0.754_321)].into();
        rows[1].before = [("accuracy".into(), 0.9), ("f1".into(), 0.75)].into();
        insta::assert_snapshot!(plain(&metrics(&rows, 100)));
    }

    #[test]
    fn what_stages_used_stands_behind_their_figures() {
        let mut rows = rows();
        rows[0].used = Some((12.4, Some(1_200_000_000)));
        let table = plain(&metrics(&rows, 100));
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[0].ends_with("time  memory"), "{table}");
        assert!(lines[1].ends_with("12.4 s  1.2 GB"), "{table}");
    }

    #[test]
    fn metrics_that_do_not_fit_are_turned_round() {
        insta::assert_snapshot!(plain(&metrics(&rows(), 32)));
    }

    #[test]
    fn instances_of_a_matrix_are_rows_however_narrow_it_is() {
        let tuned = |lr: &str, loss| {
            let figures = [
                ("best_epoch", 1.0),
                ("train_loss", loss),
                ("validation_accuracy", 0.75),
            ];
            row(&format!("tune@lr={lr}"), &figures)
        };
        let rows = [
            tuned("1e-3", 0.4),
            tuned("3e-4", 0.5),
            row("test@lr=1e-3", &[("accuracy", 0.75)]),
            row("test@lr=3e-4", &[("accuracy", 0.5)]),
        ];
        insta::assert_snapshot!(plain(&metrics(&rows, 40)));
    }

    #[test]
    fn a_reason_that_instances_share_is_told_once() {
        let stale = |stage: &str, reason: &str| MetricsRow {
            state: Standing::Stale,
            reason: reason.into(),
            ..row(stage, &[("loss", 0.5)])
        };
        let rows = [
            stale("tune@seed=0", "epochs: 4 → 5"),
            stale("tune@seed=1", "epochs: 4 → 5"),
            stale("test@seed=0", "`tune@seed=0` runs first"),
            stale("test@seed=1", "`tune@seed=1` runs first"),
            stale("best", "2 of `tune` run first"),
        ];
        assert_eq!(
            reasons(&rows),
            [
                "tune@… (2): epochs: 4 → 5",
                "test@… (2): `tune@…` runs first",
                "best: 2 of `tune` run first"
            ]
        );
        assert_eq!(reasons(&rows[1..2]), ["tune@seed=1: epochs: 4 → 5"]);
    }

    #[test]
    fn instances_are_ranked_within_their_matrix() {
        let tested = |stage: &str, accuracy| row(stage, &[("accuracy", accuracy)]);
        let mut rows = vec![
            tested("a@lr=1,depth=0", 0.5),
            tested("a@lr=2,depth=0", 0.75),
            row("a@lr=3,depth=0", &[]),
            tested("test", 0.25),
            tested("b@lr=1", 0.5),
            tested("b@lr=2", 0.625),
        ];
        rank(&mut rows, Some("accuracy"), false, Some(2));
        insta::assert_snapshot!(plain(&metrics(&rows, 80)));
        rank(&mut rows, Some("accuracy"), true, Some(1));
        let names: Vec<&str> = rows.iter().map(|row| row.stage.as_str()).collect();
        assert_eq!(names, ["a@lr=1,depth=0", "test", "b@lr=1"]);
    }

    #[test]
    fn no_metrics_no_table() {
        assert_eq!(metrics(&[], 100), "");
    }
}
