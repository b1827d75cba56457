//! Stages with a matrix: their instances side by side.

use percent_encoding::percent_decode_str;

use super::Known;
use super::artifacts::Artifacts;
use super::curves;
use super::stages::direction;
use crate::page::{Chart, Instance, Line, Matrix, Page, Stage};

/// So many curves over each other can be told apart.
const MOST_CURVES: usize = 6;

/// The matrices whose instances have figures, from the page's stages.
pub(super) fn matrices(page: &Page) -> Vec<Matrix> {
    let mut matrices: Vec<Matrix> = Vec::new();
    for (place, stage) in page.stages.iter().enumerate() {
        let Some((base, values)) = stage.name.split_once('@') else {
            continue;
        };
        let known = matrices.iter().position(|matrix| matrix.stage == base);
        let at = known.unwrap_or_else(|| {
            matrices.push(Matrix {
                stage: base.into(),
                ..Matrix::default()
            });
            matrices.len() - 1
        });
        add(&mut matrices[at], place, stage, values);
    }
    matrices.retain(|matrix| {
        matrix
            .instances
            .iter()
            .any(|instance| !instance.figures.is_empty())
    });
    for matrix in &mut matrices {
        matrix.headline = headline(matrix);
        let direction = matrix.headline.as_deref().and_then(direction);
        matrix.higher_is_better = direction.unwrap_or(true);
    }
    matrices
}

fn add(matrix: &mut Matrix, place: usize, stage: &Stage, values: &str) {
    let mut instance = Instance {
        place,
        values: vec![String::new(); matrix.keys.len()],
        standing: stage.standing,
        seconds: stage.seconds,
        figures: stage.figures.clone(),
    };
    for part in values.split(',') {
        let (key, value) = part.split_once('=').unwrap_or(("instance", part));
        let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
        let at = matrix.keys.iter().position(|known| known == key);
        if let Some(at) = at {
            instance.values[at] = value;
            continue;
        }
        matrix.keys.push(key.into());
        instance.values.push(value);
        for other in &mut matrix.instances {
            other.values.push(String::new());
        }
    }
    matrix.instances.push(instance);
}

/// The figure by which instances are told apart: one with a gate, else the accuracy, else one that is known to be good or bad.
fn headline(matrix: &Matrix) -> Option<String> {
    let figures = || {
        matrix
            .instances
            .iter()
            .flat_map(|instance| &instance.figures)
    };
    let gated = figures().find(|figure| figure.gate.is_some());
    let named = || {
        figures().find(|figure| figure.name == "accuracy" || figure.name == "validation_accuracy")
    };
    let validated = || {
        figures().find(|figure| {
            figure.name.starts_with("validation_") && figure.higher_is_better == Some(true)
        })
    };
    let known = || figures().find(|figure| figure.higher_is_better.is_some());
    let figure = gated
        .or_else(named)
        .or_else(validated)
        .or_else(known)
        .or_else(|| figures().next())?;
    Some(figure.name.clone())
}

/// Draws the curves of the best instances over each other.
pub(super) fn overlay(artifacts: &Artifacts<'_>, known: &[Known<'_>], page: &mut Page) {
    for matrix in &mut page.matrices {
        let best = matrix.ranked().into_iter().take(MOST_CURVES);
        let lines = best.filter_map(|at| {
            let instance = &matrix.instances[at];
            let known = &known[instance.place];
            let history = curves::history(artifacts, known.node, known.record?)?;
            let across = if history.iter().any(|line| line.get("step").is_some()) {
                "step"
            } else {
                "epoch"
            };
            let name = matrix.headline.as_deref()?.strip_prefix("validation_")?;
            let points = curves::points(&history, across, &format!("/validation/{name}"));
            let differs = instance.values.iter().filter(|value| !value.is_empty());
            let line = Line {
                name: differs.cloned().collect::<Vec<_>>().join(" "),
                points,
            };
            (line.points.len() > 1).then_some((across, line))
        });
        let lines: Vec<(&str, Line)> = lines.collect();
        let Some((across, _)) = lines.first() else {
            continue;
        };
        let count = lines.len();
        let title = match &matrix.headline {
            Some(name) if count < matrix.instances.len() => format!("{name} of the {count} best"),
            Some(name) => name.clone(),
            None => continue,
        };
        let across = (*across).into();
        matrix.curves.push(Chart {
            title,
            across,
            lines: lines.into_iter().map(|(_, line)| line).collect(),
        });
    }
}
