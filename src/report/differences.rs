//! What differs between two states of metrics or params, as tables.

use anstyle::Style;
use serde::ser::{Serialize, SerializeStruct as _, Serializer};

use super::figures::metric;
use super::table::{Align, Cell, Table};
use super::views::ODD;
use crate::event::Figure;

/// A metric in two states of the lock.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricChange {
    /// The stage.
    pub stage: String,
    /// The metric.
    pub metric: String,
    /// What it was; none if it was not there.
    pub old: Option<f64>,
    /// What it is; none if it is gone.
    pub new: Option<f64>,
}

impl Serialize for MetricChange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let figure = |value: Option<f64>| value.map(|value| Figure(&self.metric, value));
        let mut row = serializer.serialize_struct("MetricChange", 4)?;
        row.serialize_field("stage", &self.stage)?;
        row.serialize_field("metric", &self.metric)?;
        row.serialize_field("old", &figure(self.old))?;
        row.serialize_field("new", &figure(self.new))?;
        row.end()
    }
}

/// A param in two states of the file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ParamChange {
    /// Its name.
    pub param: String,
    /// What it was, as TOML; none if it was not there.
    pub old: Option<String>,
    /// What it is; none if it is gone.
    pub new: Option<String>,
}

/// Metrics that differ.
#[must_use]
pub fn metric_changes(rows: &[MetricChange]) -> String {
    let mut table = Table::new([
        ("stage", Align::Left),
        ("metric", Align::Left),
        ("old", Align::Right),
        ("new", Align::Right),
        ("change", Align::Right),
    ]);
    for row in rows {
        let metric = |value| metric(&row.metric, value);
        let figure = |value: Option<f64>| value.map_or("–".into(), metric);
        let change = match (row.old, row.new) {
            (Some(old), Some(new)) if new > old => format!("+{}", metric(new - old)),
            (Some(old), Some(new)) => metric(new - old),
            _ => String::new(),
        };
        table.row([
            row.stage.as_str().into(),
            row.metric.as_str().into(),
            figure(row.old).into(),
            figure(row.new).into(),
            Cell::styled(change, ODD),
        ]);
    }
    table.render()
}

/// Params that differ.
#[must_use]
pub fn param_changes(rows: &[ParamChange]) -> String {
    let mut table = Table::new([
        ("param", Align::Left),
        ("old", Align::Left),
        ("new", Align::Left),
    ]);
    for row in rows {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "–".into());
        table.row([
            row.param.as_str().into(),
            value(&row.old).into(),
            Cell::styled(value(&row.new), Style::new().bold()),
        ]);
    }
    table.render()
}
