//! Stages with a matrix: their instances side by side.

use percent_encoding::percent_decode_str;

use super::stages::direction;
use crate::page::{Instance, Matrix, Page, Stage};

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

/// The values in an instance's name, as the pipeline writes them, with their keys.
pub(super) fn values(instance: &str) -> Vec<(String, String)> {
    let parts = instance.split(',').filter(|part| !part.is_empty());
    let value = |part: &str| {
        let (key, value) = part.split_once('=').unwrap_or(("instance", part));
        let value = percent_decode_str(value).decode_utf8_lossy();
        (key.to_owned(), value.into_owned())
    };
    parts.map(value).collect()
}

fn add(matrix: &mut Matrix, place: usize, stage: &Stage, values: &str) {
    let mut instance = Instance {
        place,
        values: vec![String::new(); matrix.keys.len()],
        standing: stage.standing,
        seconds: stage.seconds,
        figures: stage.figures.clone(),
    };
    for (key, value) in self::values(values) {
        let at = matrix.keys.iter().position(|known| *known == key);
        if let Some(at) = at {
            instance.values[at] = value;
            continue;
        }
        matrix.keys.push(key);
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
