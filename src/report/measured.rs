//! The figures that a model was measured by, as tables.

use std::fmt::Write as _;

use serde_json::Value;

use super::figures;
use super::line;
use super::table::{Align, Table};

/// The figures of a `metrics.json`, with the interval of each where there is one, then those of each label and each slice.
#[must_use]
pub fn measured(measured: &Value) -> String {
    let intervals = &measured["intervals"];
    let mut table = if intervals.is_object() {
        Table::new([
            ("metric", Align::Left),
            ("figure", Align::Right),
            ("95 % interval", Align::Left),
        ])
    } else {
        Table::new([("metric", Align::Left), ("figure", Align::Right)])
    };
    for (name, figure) in measured["figures"].as_object().into_iter().flatten() {
        let figure = figure.as_f64().unwrap_or(f64::NAN);
        let bound = |place: usize| intervals[name][place].as_f64();
        let interval = match (bound(0), bound(1)) {
            (Some(low), Some(high)) => format!(
                "{} – {}",
                figures::metric(name, low),
                figures::metric(name, high)
            ),
            _ => String::new(),
        };
        table.row([
            name.as_str().into(),
            figures::metric(name, figure).into(),
            interval.into(),
        ]);
    }
    let mut text = table.render();
    let classes = measured["classes"].as_array();
    if let Some(classes) = classes.filter(|classes| !classes.is_empty()) {
        let columns = ["precision", "recall", "f1", "support"];
        let head = columns.map(|name| (name, Align::Right));
        let mut table = Table::new([("label", Align::Left)].into_iter().chain(head));
        for class in classes {
            let label = class["label"].as_str().unwrap_or_default();
            let figure = |name: &str| match class[name].as_f64() {
                Some(count) if name == "support" => format!("{count}"),
                Some(figure) => figures::metric(name, figure),
                None => String::new(),
            };
            let label = line(label).into();
            table.row(std::iter::once(label).chain(columns.map(|name| figure(name).into())));
        }
        let _ = write!(text, "\n{}", table.render());
    }
    let slices = measured["slices"].as_array();
    if let Some(slices) = slices.filter(|slices| !slices.is_empty()) {
        let mut table = Table::new([
            ("slice", Align::Left),
            ("samples", Align::Right),
            ("figures", Align::Left),
        ]);
        for slice in slices {
            let named = slice["figures"].as_object().into_iter().flatten();
            let named = named.filter_map(|(name, figure)| Some((name, figure.as_f64()?)));
            let all: Vec<String> = named
                .map(|(name, figure)| format!("{name} {}", figures::metric(name, figure)))
                .collect();
            table.row([
                line(slice["slice"].as_str().unwrap_or_default()).into(),
                slice["samples"].to_string().into(),
                all.join(", ").into(),
            ]);
        }
        let _ = write!(text, "\n{}", table.render());
    }
    text
}
