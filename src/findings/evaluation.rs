//! What a test came to, from its `metrics.json`.

use serde_json::{Map, Value};

use super::artifacts::{Artifacts, of_type};
use super::stages::direction;
use crate::page::{Bin, Class, Evaluation, Figure, Slice};
use crate::plan::Node;
use crate::stages::ArtifactType;
use crate::store::Record;

/// What a stage that measures wrote.
pub(super) fn report(artifacts: &Artifacts<'_>, node: &Node, record: &Record) -> Option<Value> {
    let (_, artifact) = of_type(node, record, ArtifactType::Metrics).pop()?;
    artifacts.json(&artifact, "metrics.json")
}

/// The figures that it says, of a stage that records none, such as a command: those of `figures`, else all that are numbers.
pub(super) fn figures(report: &Value) -> Vec<Figure> {
    let figures = report.get("figures").unwrap_or(report).as_object();
    let figures = figures.into_iter().flat_map(numbers);
    let figure = |(name, value): (String, f64)| Figure {
        higher_is_better: direction(&name),
        name,
        value,
        ..Figure::default()
    };
    figures.map(figure).collect()
}

/// Adds the intervals that it has to figures of the same names.
pub(super) fn add_intervals(report: &Value, figures: &mut [Figure]) {
    let Some(intervals) = report.get("intervals") else {
        return;
    };
    for figure in figures {
        figure.interval = interval(intervals.get(&figure.name));
    }
}

fn interval(value: Option<&Value>) -> Option<(f64, f64)> {
    let ends = value?.as_array()?;
    Some((ends.first()?.as_f64()?, ends.get(1)?.as_f64()?))
}

/// What it says besides figures; none if it is no report of a test.
pub(super) fn evaluation(report: &Value) -> Option<Evaluation> {
    let samples = count(report.get("samples"))?;
    let list = |name: &str| {
        report
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    Some(Evaluation {
        samples,
        classes: list("classes").filter_map(class).collect(),
        confusion: list("confusion").filter_map(counts).collect(),
        reliability: list("reliability").filter_map(bin).collect(),
        slices: list("slices").filter_map(slice).collect(),
        undefined: list("undefined")
            .filter_map(|name| Some(name.as_str()?.to_owned()))
            .collect(),
    })
}

fn count(value: Option<&Value>) -> Option<usize> {
    usize::try_from(value?.as_u64()?).ok()
}

fn counts(row: &Value) -> Option<Vec<usize>> {
    row.as_array()?
        .iter()
        .map(|cell| count(Some(cell)))
        .collect()
}

fn numbers(object: &Map<String, Value>) -> Vec<(String, f64)> {
    object
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), value.as_f64()?)))
        .collect()
}

fn class(value: &Value) -> Option<Class> {
    let object = value.as_object()?;
    let names = ["label", "name", "type", "target"];
    let label = names.iter().find_map(|name| object.get(*name)?.as_str())?;
    Some(Class {
        label: label.into(),
        figures: numbers(object),
    })
}

fn bin(value: &Value) -> Option<Bin> {
    let number = |name: &str| value.get(name)?.as_f64();
    Some(Bin {
        from: number("from")?,
        to: number("to")?,
        samples: count(value.get("samples"))?,
        confidence: number("confidence").unwrap_or_default(),
        accuracy: number("accuracy").unwrap_or_default(),
    })
}

fn slice(value: &Value) -> Option<Slice> {
    let figures = value.get("figures")?.as_object()?;
    let intervals = value.get("intervals");
    let figures = numbers(figures).into_iter().map(|(name, value)| Figure {
        interval: interval(intervals.and_then(|all| all.get(&name))),
        higher_is_better: direction(&name),
        name,
        value,
        ..Figure::default()
    });
    Some(Slice {
        name: value.get("slice")?.as_str()?.into(),
        samples: count(value.get("samples"))?,
        figures: figures.collect(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_strange_is_left_out_and_the_rest_is_shown() {
        let report = json!({
            "samples": 8,
            "figures": {"accuracy": 0.5},
            "intervals": {"accuracy": [0.25, 0.75], "f1": "?"},
            "classes": [{"label": "a", "f1": 0.5, "support": 4}, {"precision": 1}, 7],
            "confusion": [[3, 1], [2, "two"]],
            "reliability": [{"from": 0.5, "to": 0.6, "samples": 4, "confidence": 0.55, "accuracy": 0.5}, {"from": 0.9}],
            "slices": [{"slice": "source = x", "samples": 3, "figures": {"accuracy": 1.0}, "intervals": {"accuracy": [0.5, 1.0]}}, {}],
        });
        let found = evaluation(&report).expect("a test");
        assert_eq!(
            (found.samples, found.classes.len(), found.reliability.len()),
            (8, 1, 1)
        );
        assert_eq!(
            found.confusion,
            [[3, 1]],
            "which does not fit the labels, and is not drawn"
        );
        assert_eq!(found.slices[0].figures[0].interval, Some((0.5, 1.0)));
        let mut figures = vec![Figure {
            name: "accuracy".into(),
            ..Figure::default()
        }];
        add_intervals(&report, &mut figures);
        assert_eq!(figures[0].interval, Some((0.25, 0.75)));
        assert_eq!(evaluation(&json!({"figures": {}, "rows": []})), None);
        assert_eq!(evaluation(&json!([1])), None);
    }
}
