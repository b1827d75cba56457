//! Parity with scikit-learn, and the cases that have no answer.

use serde::Deserialize;
use serde_json::Value;

use super::*;

#[derive(Deserialize)]
struct Reference {
    multi: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    labels: usize,
    truth: Vec<Vec<f32>>,
    logits: Vec<f32>,
    thresholds: Vec<f32>,
    expected: Expected,
    /// What refire says where scikit-learn has no answer.
    stated: BTreeMap<String, Option<f64>>,
}

#[derive(Deserialize)]
struct Expected {
    figures: BTreeMap<String, Option<f64>>,
    labels: Vec<BTreeMap<String, Value>>,
}

use std::collections::BTreeMap;

#[test]
fn figures_agree_with_scikit_learn() {
    let json = include_str!("../../../../tests/reference/figures.json");
    let reference: Reference = serde_json::from_str(json).expect("what the script writes");
    for case in reference.multi {
        let name = &case.name;
        let labels: Vec<String> = (0..case.labels)
            .map(|label| format!("label {label}"))
            .collect();
        let truth = Rows {
            width: case.labels,
            numbers: case.truth.concat(),
        };
        let found = report(&case.logits, &truth, &case.thresholds, &labels).expect("finite");
        for figure in METRICS {
            let metric = figure.metric.name;
            let expected = case
                .stated
                .get(metric)
                .or(case.expected.figures.get(metric));
            let expected = expected.unwrap_or_else(|| panic!("no {metric} in the reference"));
            let found = found.figures.get(metric);
            match (found, expected) {
                (Some(found), Some(expected)) => assert!(
                    (found - expected).abs() <= 1e-6 * expected.abs().max(1.0),
                    "{name}: {metric} is {found}, not {expected}"
                ),
                (None, None) => {}
                (found, expected) => panic!("{name}: {metric} is {found:?}, not {expected:?}"),
            }
        }
        for (row, expected) in case.expected.labels.iter().enumerate() {
            let found = &found.details["labels"][row];
            for figure in ["precision", "recall", "f1"] {
                let (found, expected) = (&found[figure], &expected[figure]);
                let apart =
                    found.as_f64().expect("a number") - expected.as_f64().expect("a number");
                assert!(apart.abs() <= 1e-6, "{name}: {figure} of label {row}");
            }
            let probabilities = probabilities(&case.logits, case.labels).expect("finite");
            let threshold = best_threshold(&probabilities, &truth, row..row + 1);
            let column = probabilities.iter().skip(row).step_by(case.labels);
            let decisions = column.map(|found| is_there(*found, threshold));
            let there = truth.column(row).map(|there| there > 0.0);
            let best = Found::counts(decisions.zip(there)).f1();
            let expected = expected["best_f1"].as_f64().expect("a number");
            assert!(
                (best - expected).abs() <= 1e-6,
                "{name}: {best}, not {expected}"
            );
        }
    }
}

#[test]
fn a_logit_that_is_not_a_number_is_refused_with_its_sample() {
    let truth = Rows {
        width: 1,
        numbers: vec![1.0, 0.0],
    };
    let error = report(&[0.0, f32::NAN], &truth, &[0.5], &["a".into()]).expect_err("NaN");
    assert!(error.message().contains("sample 2"), "{error}");
}
