//! Figures of numbers, with scipy's and scikit-learn's definitions; of several numbers a sample the mean over them. Where a row of
//! numbers is constant, its correlations are 0, and `r2` is 1 if all is right and 0 otherwise: never NaN.

use std::fmt::Write as _;

use serde_json::json;

use crate::tasks::report::figures;
use crate::tasks::{Report, rank};
use crate::train::{Metric, Rows};

/// A metric, and how it is computed from what was found and what is true.
pub(super) struct Figure {
    pub(super) metric: Metric,
    compute: fn(&[f64], &[f64]) -> f64,
}

/// By this figure epochs that are equally good are told apart.
pub(super) static MSE: Metric = Metric {
    name: "mse",
    about: "mean squared error",
    higher_is_better: false,
};

/// Every metric, in the order of documentation.
#[rustfmt::skip]
pub(super) static METRICS: &[Figure] = figures![
    ("spearman", "Spearman's rank correlation; 0 where one side is constant", true, rank::spearman),
    ("pearson", "Pearson's correlation; 0 where one side is constant", true, rank::pearson),
    ("rmse", "root of the mean squared error", false, |found, truth| mse(found, truth).sqrt()),
    ("mae", "mean absolute error", false,
        |found, truth| mean(found.iter().zip(truth).map(|(found, truth)| (found - truth).abs()))),
    ("mse", "mean squared error", false, mse),
    ("r2", "share of the variance that is explained", true, r2),
];

fn mse(found: &[f64], truth: &[f64]) -> f64 {
    mean(
        found
            .iter()
            .zip(truth)
            .map(|(found, truth)| (found - truth).powi(2)),
    )
}

fn r2(found: &[f64], truth: &[f64]) -> f64 {
    let middle = mean(truth.iter().copied());
    let variance = mean(truth.iter().map(|truth| (truth - middle).powi(2)));
    let left = mse(found, truth);
    match (variance == 0.0, left == 0.0) {
        (true, true) => 1.0,
        (true, false) => 0.0,
        (false, _) => 1.0 - left / variance,
    }
}

/// All figures; none of nothing.
pub(super) fn report(outputs: &[f32], truth: &Rows, names: &[String]) -> Report {
    let column = |numbers: &[f32], place: usize| -> Vec<f64> {
        let numbers = numbers.iter().skip(place).step_by(names.len());
        numbers.map(|number| f64::from(*number)).collect()
    };
    let columns: Vec<_> = (0..names.len())
        .map(|place| (column(outputs, place), column(&truth.numbers, place)))
        .collect();
    let figures = METRICS.iter().map(|figure| {
        let of_columns = columns.iter();
        let of_columns = of_columns.map(|(found, truth)| (figure.compute)(found, truth));
        let defined = !truth.is_empty();
        (figure.metric.name, defined.then(|| mean(of_columns)))
    });
    let mut report = Report::new(truth.len(), figures);
    let width = names.iter().map(|name| name.chars().count()).max();
    let width = width.unwrap_or(0).max("target".len());
    let titles = METRICS
        .iter()
        .map(|figure| format!("{:>9}", figure.metric.name));
    let titles: Vec<String> = titles.collect();
    report
        .table
        .push(format!("{:width$}{}", "target", titles.concat()));
    let mut targets = Vec::new();
    for (name, (found, truth)) in names.iter().zip(&columns) {
        let figures = METRICS.iter().map(|figure| (figure.compute)(found, truth));
        let figures: Vec<f64> = figures.collect();
        let mut row = format!("{name:width$}");
        for figure in &figures {
            let _ = write!(row, "{figure:9.4}");
        }
        report.table.push(row);
        let mut target = serde_json::Map::from_iter([("target".to_string(), json!(name))]);
        let all = METRICS.iter().zip(figures);
        target.extend(all.map(|(figure, value)| (figure.metric.name.into(), json!(value))));
        targets.push(target);
    }
    report.details.insert("targets".into(), json!(targets));
    report
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of samples stay far below 2^53"
)]
pub(super) fn mean(figures: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0_usize);
    for figure in figures {
        sum += figure;
        count += 1;
    }
    if count == 0 { 0.0 } else { sum / count as f64 }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Reference {
        scores: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        name: String,
        targets: usize,
        truth: Vec<f32>,
        predicted: Vec<f32>,
        expected: Expected,
        /// What refire says where scipy has no answer.
        stated: BTreeMap<String, f64>,
    }

    #[derive(Deserialize)]
    struct Expected {
        figures: BTreeMap<String, Option<f64>>,
    }

    #[test]
    fn figures_agree_with_scipy_and_scikit_learn() {
        let json = include_str!("../../../tests/reference/figures.json");
        let reference: Reference = serde_json::from_str(json).expect("what the script writes");
        for case in reference.scores {
            let names: Vec<String> = (0..case.targets).map(|name| format!("n {name}")).collect();
            let truth = Rows {
                width: case.targets,
                numbers: case.truth,
            };
            let found = report(&case.predicted, &truth, &names);
            assert!(found.undefined.is_empty(), "{}: {found:?}", case.name);
            for (metric, expected) in case.expected.figures {
                let expected = case.stated.get(&metric).copied().or(expected);
                let expected = expected.expect("an answer, or what refire says");
                let found = found.figures[&metric];
                assert!(
                    (found - expected).abs() <= 1e-6 * expected.abs().max(1e-6),
                    "{}: {metric} is {found}, not {expected}",
                    case.name
                );
            }
        }
    }
}
