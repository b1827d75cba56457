//! A comparison as lines for people, as a table, and for programs.

use serde_json::{Map, Value, json};
use unicode_width::UnicodeWidthStr as _;

use super::rows::{Cell, GAIN, Row, Rows};
use super::statistics::Estimate;
use crate::data::Table;
use crate::error::Result;

/// The columns of a terminal that the lines are made for: a stage does not know which one they will stand on.
const WIDTH: usize = 80;

/// Columns that stay together: the cells of each, its title first.
type Block = Vec<Vec<String>>;

impl Rows<'_> {
    /// A line a row, the best marked, under a head. Figures that do not fit beside the others stand below, in further lines.
    pub(super) fn lines(&self) -> Vec<String> {
        let names = self.names();
        let mut lines = Vec::new();
        let mut block = beside(&names, &self.facts());
        let mut is_bare = true;
        for place in 0..self.metrics.len() {
            let figure = self.figure(place);
            let wider = beside(&block, &figure);
            let is_too_wide = aligned(&wider).iter().any(|line| line.width() > WIDTH);
            if is_too_wide && !is_bare {
                lines.extend(aligned(&block));
                lines.push(String::new());
                block = beside(&names, &figure);
            } else {
                block = wider;
            }
            is_bare = false;
        }
        lines.extend(aligned(&block));
        lines
    }

    /// The cells of a column for all rows, under its title.
    fn column(&self, title: &str, cell: impl Fn(&Row<'_>) -> String) -> Vec<String> {
        let cells = self.all.iter().map(cell);
        std::iter::once(title.to_owned()).chain(cells).collect()
    }

    /// What tells rows apart, behind the mark of the best.
    fn names(&self) -> Block {
        let mut marks = vec![String::new(); self.all.len() + 1];
        if let Some(best) = self.best {
            marks[best + 1] = "*".into();
        }
        let mut columns = vec![marks];
        columns.extend(
            self.named
                .then(|| self.column("results", |row| row.group.name.clone())),
        );
        columns.extend(
            self.keys.iter().map(|key| {
                self.column(key, |row| row.group.value(key).cloned().unwrap_or_default())
            }),
        );
        columns
    }

    /// How many runs they are, and what those were like.
    fn facts(&self) -> Block {
        let mut columns = vec![self.column("runs", |row| row.group.runs.len().to_string())];
        if self.all.iter().any(|row| row.trained.is_some()) {
            let trained = |row: &Row<'_>| row.trained.map(|count| format!("{count:.0}"));
            columns.push(self.column("trained", |row| trained(row).unwrap_or_default()));
        }
        if self.is_timed() {
            columns.push(self.column("seconds", |row| row.seconds.map(brief).unwrap_or_default()));
        }
        columns
    }

    /// A figure, and what is gained by it.
    fn figure(&self, place: usize) -> Block {
        let estimate = |estimate: Option<Estimate>, signed| {
            estimate
                .map(|estimate| written(estimate, signed))
                .unwrap_or_default()
        };
        let value = self.column(&self.metrics[place], |row| {
            estimate(row.cells[place].value, false)
        });
        let gain = || self.column("gain", |row| estimate(row.cells[place].gain, true));
        [value]
            .into_iter()
            .chain(self.has_baseline.then(gain))
            .collect()
    }

    /// Whether it is known how long runs took. That is for the lines alone: what the table and the figures hold is the same every time.
    pub(super) fn is_timed(&self) -> bool {
        self.all.iter().any(|row| row.seconds.is_some())
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

/// Seconds with about three digits.
fn brief(seconds: f64) -> String {
    let decimals = match seconds {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{seconds:.decimals$}")
}

/// The columns of `one`, and behind them those of `other`.
fn beside(one: &Block, other: &Block) -> Block {
    one.iter().chain(other).cloned().collect()
}

/// Columns as lines, each as wide as its widest cell.
fn aligned(columns: &Block) -> Vec<String> {
    let padded = |column: &Vec<String>| -> Vec<String> {
        let width = column.iter().map(|cell| cell.width()).max().unwrap_or(0);
        let pad = |cell: &String| {
            let gap = " ".repeat(width - cell.width());
            if cell.starts_with(|first: char| first.is_ascii_digit() || "+-".contains(first)) {
                format!("{gap}{cell}")
            } else {
                format!("{cell}{gap}")
            }
        };
        column.iter().map(pad).collect()
    };
    let columns: Vec<Vec<String>> = columns.iter().map(padded).collect();
    let count = columns.first().map_or(0, Vec::len);
    let line = |place: usize| {
        let cells: Vec<&str> = columns
            .iter()
            .map(|column| column[place].as_str())
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    (0..count).map(line).collect()
}
