//! A comparison as lines for people, as a table, and for programs.

use serde_json::{Map, Value, json};

use super::rows::{Cell, GAIN, Row, Rows};
use super::statistics::Estimate;
use crate::data::Table;
use crate::error::Result;

impl Rows<'_> {
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
