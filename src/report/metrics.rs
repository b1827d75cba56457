//! The table of figures: a row a stage, or turned round where that is too wide.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anstyle::Style;
use serde::Serialize;

use super::figures::metric;
use super::table::{Align, Cell, Table};
use super::views::{BAD, ODD, QUIET};
use super::visible::visible;
use crate::event::counted;

/// A stage and its figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricsRow {
    /// The stage.
    pub stage: String,
    /// Name → figure.
    #[serde(serialize_with = "counted")]
    pub metrics: BTreeMap<String, f64>,
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

impl MetricsRow {
    fn cell(&self) -> Cell {
        let (word, style) = match self.state {
            Standing::Fresh => return self.stage.as_str().into(),
            Standing::Stale => ("stale", ODD),
            Standing::Failed => ("failed", BAD),
            Standing::Unknown => ("unknown", ODD),
        };
        Cell::styled(format!("{} ({word})", self.stage), style)
    }

    fn figure(&self, name: &str) -> Cell {
        let figure = self.metrics.get(name);
        figure
            .map_or(String::new(), |figure| metric(name, *figure))
            .into()
    }

    /// The stage without what tells the instances of its matrix apart.
    fn base(&self) -> &str {
        self.stage.split('@').next().unwrap_or(&self.stage)
    }
}

/// Metrics, and below them why some are not fresh. A row a stage and a column a metric; where that is wider than `width`, a
/// column a stage if there are few, else a table for each stage and all instances of its matrix. Empty without rows.
#[must_use]
pub fn metrics(rows: &[MetricsRow], width: usize) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut text = tables(rows, width);
    for row in rows.iter().filter(|row| !row.reason.is_empty()) {
        let line = format!("{}: {}", row.stage, row.reason);
        let _ = writeln!(text, "{QUIET}{}{QUIET:#}", visible(&line));
    }
    text
}

fn tables(rows: &[MetricsRow], width: usize) -> String {
    let all: Vec<&MetricsRow> = rows.iter().collect();
    let names = names(&all);
    let whole = wide(&all, &names);
    if whole.width() <= width {
        return whole.render();
    }
    let is_matrix = rows.iter().any(|row| row.stage.contains('@'));
    let turned = tall(&all, &names);
    if !is_matrix && turned.width() <= width {
        return turned.render();
    }
    let mut bases: Vec<&str> = Vec::new();
    for row in rows {
        if !bases.contains(&row.base()) {
            bases.push(row.base());
        }
    }
    let group = |base: &&str| {
        let rows: Vec<&MetricsRow> = rows.iter().filter(|row| row.base() == *base).collect();
        columns_that_fit(&rows, width)
    };
    let groups: Vec<String> = bases.iter().map(group).collect();
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
    let names: BTreeSet<&str> = names.map(String::as_str).collect();
    names.into_iter().collect()
}

/// A row a stage.
fn wide(rows: &[&MetricsRow], names: &[&str]) -> Table {
    let columns = names.iter().map(|name| (*name, Align::Right));
    let mut table = Table::new([("stage", Align::Left)].into_iter().chain(columns));
    for row in rows {
        let figures = names.iter().map(|name| row.figure(name));
        table.row(std::iter::once(row.cell()).chain(figures));
    }
    table
}

/// A column a stage.
fn tall(rows: &[&MetricsRow], names: &[&str]) -> Table {
    let bold = Style::new().bold();
    let columns = rows.iter().map(|row| match row.state {
        Standing::Fresh => (Cell::styled(&row.stage, bold), Align::Right),
        _ => (row.cell(), Align::Right),
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
    fn no_metrics_no_table() {
        assert_eq!(metrics(&[], 100), "");
    }
}
