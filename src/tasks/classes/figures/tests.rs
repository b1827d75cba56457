//! Parity with scikit-learn, and the cases that have no answer.

use serde_json::Value;

use super::{METRICS, Predictions, report};

fn labels(count: usize) -> Vec<String> {
    (0..count).map(|label| format!("label {label}")).collect()
}

fn floats(value: &Value) -> Vec<f64> {
    let items = value.as_array().expect("an array");
    items
        .iter()
        .map(|item| item.as_f64().expect("a number"))
        .collect()
}

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-12 * expected.abs().max(1.0)
}

#[test]
fn figures_agree_with_scikit_learn() {
    let reference: Value =
        serde_json::from_str(include_str!("../../../../tests/reference/metrics.json"))
            .expect("the reference is JSON");
    for case in reference["cases"].as_array().expect("cases") {
        let name = &case["name"];
        let classes = usize::try_from(case["classes"].as_u64().expect("a count")).expect("a count");
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the script wrote them from 32 bits"
        )]
        let logits = floats(&case["logits"])
            .iter()
            .map(|logit| *logit as f32)
            .collect::<Vec<_>>();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "indices of labels"
        )]
        let truth = floats(&case["truth"])
            .iter()
            .map(|label| *label as u32)
            .collect::<Vec<_>>();
        let predictions =
            Predictions::from_logits(&logits, &truth, classes).expect("finite logits");
        let report = report(&predictions, &labels(classes));

        let expected = case["expected"]["figures"].as_object().expect("figures");
        assert_eq!(report.figures.len(), expected.len(), "{name}");
        for (metric, figure) in &report.figures {
            let expected = expected[metric].as_f64().expect("a number");
            assert!(
                close(*figure, expected),
                "{name}: {metric} is {figure}, not {expected}"
            );
        }
        let classes = report.details["classes"].as_array().expect("rows");
        let expected = case["expected"]["classes"].as_array().expect("rows");
        assert_eq!(classes.len(), expected.len(), "{name}");
        for (class, expected) in classes.iter().zip(expected) {
            for (figure, expected) in ["precision", "recall", "f1"].iter().zip(floats(expected)) {
                let found = class[figure].as_f64().expect("a number");
                assert!(close(found, expected), "{name}: {class}");
            }
        }
        let expected = &case["expected"]["confusion"];
        assert_eq!(&report.details["confusion"], expected, "{name}");
    }
}

#[test]
fn what_is_undefined_is_named_and_not_given() {
    let predictions = Predictions::from_logits(&[0.0, 1.0], &[1], 2).expect("finite");
    let report = report(&predictions, &labels(2));
    assert_eq!(report.undefined, ["auroc"]);
    assert!(report.figures.values().all(|figure| figure.is_finite()));
    assert_eq!(report.figures.len() + 1, METRICS.len());
}

#[test]
fn a_logit_that_is_not_a_number_is_refused_with_its_sample() {
    let error = Predictions::from_logits(&[0.0, 1.0, f32::NAN, 0.0], &[1, 0], 2).expect_err("NaN");
    assert!(error.message().contains("sample 2"), "{error}");
}

#[test]
fn the_table_lines_up() {
    let predictions = Predictions::from_logits(&[1.0, 0.0, 0.0, 1.0], &[0, 0], 2).expect("finite");
    let report = report(&predictions, &["negative".into(), "positive".into()]);
    assert_eq!(
        report.table,
        [
            "label     precision  recall      f1  support",
            "negative     1.0000  0.5000  0.6667        2",
            "positive     0.0000  0.0000  0.0000        0",
        ]
    );
}
