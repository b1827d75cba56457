//! The curves of a training: from its `history.jsonl`, else by epoch from its card.

use serde_json::Value;

use super::artifacts::{Artifacts, of_type};
use crate::page::{Chart, Line};
use crate::plan::Node;
use crate::stages::ArtifactType;
use crate::store::Record;

/// The file with a training's figures by step.
const HISTORY: &str = "history.jsonl";

/// So many figures of a validation are drawn over each other.
const MOST_FIGURES: usize = 4;

/// Which of them come first, where a training has more.
const FIRST: [&str; 8] = [
    "accuracy", "f1", "macro_f1", "mcc", "auroc", "spearman", "mAP", "recall",
];

/// What a training told as it went on: lines in the order of its steps.
pub(super) fn history(
    artifacts: &Artifacts<'_>,
    node: &Node,
    record: &Record,
) -> Option<Vec<Value>> {
    let files = of_type(node, record, ArtifactType::Files).into_iter();
    let mut lines = files.filter_map(|(_, artifact)| artifacts.json_lines(&artifact, HISTORY));
    lines
        .find(|lines| !lines.is_empty())
        .or_else(|| by_epoch(artifacts, node, record))
}

fn by_epoch(artifacts: &Artifacts<'_>, node: &Node, record: &Record) -> Option<Vec<Value>> {
    if node.kind.name() != "finetune" {
        return None;
    }
    let (_, model) = of_type(node, record, ArtifactType::Model).pop()?;
    let card = artifacts.json(&model, "refire.json")?;
    card.pointer("/training/history")?.as_array().cloned()
}

/// All curves of a training.
pub(super) fn curves(artifacts: &Artifacts<'_>, node: &Node, record: &Record) -> Vec<Chart> {
    history(artifacts, node, record)
        .map(|lines| of_history(&lines))
        .unwrap_or_default()
}

fn of_history(lines: &[Value]) -> Vec<Chart> {
    let across = across(lines);
    let curve = |name: &str, pointer: &str| Line {
        name: name.into(),
        points: points(lines, across, pointer),
    };
    let training = Line {
        name: "training".into(),
        points: losses(lines),
    };
    let (losses, others): (Vec<String>, Vec<String>) = names(lines)
        .into_iter()
        .partition(|name| name.ends_with("loss"));
    let validation = |name: &String| curve(name, &format!("/validation/{name}"));
    let loss = std::iter::once(training).chain(losses.iter().map(|name| Line {
        name: if losses.len() == 1 {
            "validation".into()
        } else {
            name.clone()
        },
        ..validation(name)
    }));
    let is_share = |line: &Line| line.points.iter().all(|(_, y)| (-1.0..=1.0).contains(y));
    let (shares, counts): (Vec<Line>, Vec<Line>) =
        others.iter().map(validation).partition(is_share);
    let chart = |title: &str, lines: Vec<Line>| Chart {
        title: title.into(),
        across: across.into(),
        lines: lines
            .into_iter()
            .filter(|line| !line.points.is_empty())
            .collect(),
        ..Chart::default()
    };
    let mut charts = vec![
        chart("Loss", loss.collect()),
        chart(
            "Validation",
            shares.into_iter().take(MOST_FIGURES).collect(),
        ),
    ];
    let alone = counts.into_iter().take(MOST_FIGURES);
    charts.extend(alone.map(|line| chart(&format!("Validation: {}", line.name), vec![line])));
    charts.push(chart(
        "Learning rate",
        vec![curve("learning rate", "/learning_rate")],
    ));
    charts.push(chart(
        "Gradient norm",
        vec![curve("gradient norm", "/gradient_norm")],
    ));
    charts.retain(|chart| !chart.lines.is_empty());
    charts
}

/// What the figures of a training go over: steps where they are told, else epochs.
pub(super) fn across(lines: &[Value]) -> &'static str {
    if lines.iter().any(|line| line.get("step").is_some()) {
        "step"
    } else {
        "epoch"
    }
}

/// The loss that was trained on: by step where that is told, else by epoch.
pub(super) fn losses(lines: &[Value]) -> Vec<(f64, f64)> {
    let across = across(lines);
    let by_step = points(lines, across, "/loss");
    if by_step.is_empty() {
        points(lines, across, "/train_loss")
    } else {
        by_step
    }
}

/// The names of the figures of validations, those of which one asks first in front.
pub(super) fn names(lines: &[Value]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for figures in lines
        .iter()
        .filter_map(|line| line.get("validation")?.as_object())
    {
        for name in figures.keys() {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    names.sort_by_key(|name| {
        FIRST
            .iter()
            .position(|first| first == name)
            .unwrap_or(FIRST.len())
    });
    names
}

/// The numbers at a pointer of lines, over what goes across. Names of figures hold nothing that a pointer would not.
pub(super) fn points(lines: &[Value], across: &str, pointer: &str) -> Vec<(f64, f64)> {
    let point = |line: &Value| {
        Some((
            line.get(across)?.as_f64()?,
            line.pointer(pointer)?.as_f64()?,
        ))
    };
    lines.iter().filter_map(point).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn steps_and_epochs_become_curves() {
        let lines = [
            json!({"step": 1, "epoch": 1, "loss": 0.7, "learning_rate": 1e-3, "gradient_norm": 1.5}),
            json!({"step": 2, "epoch": 1, "loss": 0.6, "learning_rate": 5e-4, "gradient_norm": 1.25}),
            json!({"step": 2, "epoch": 1, "train_loss": 0.65, "validation": {"log_loss": 0.5, "rmse": 3.5, "accuracy": 0.75}}),
            json!("strange"),
            json!({"step": "three", "loss": null}),
        ];
        let charts = of_history(&lines);
        let titles: Vec<&str> = charts.iter().map(|chart| chart.title.as_str()).collect();
        assert_eq!(
            titles,
            [
                "Loss",
                "Validation",
                "Validation: rmse",
                "Learning rate",
                "Gradient norm"
            ]
        );
        assert_eq!(charts[0].lines[0].points, [(1.0, 0.7), (2.0, 0.6)]);
        assert_eq!(
            charts[0].lines[1],
            Line {
                name: "validation".into(),
                points: vec![(2.0, 0.5)]
            }
        );
        assert!(charts.iter().all(|chart| chart.across == "step"));
        let by_epoch = [json!({"epoch": 1, "train_loss": 0.5, "validation": {"f1": 0.5}})];
        let charts = of_history(&by_epoch);
        assert_eq!((charts.len(), charts[0].across.as_str()), (2, "epoch"));
        assert!(of_history(&[]).is_empty());
    }
}
