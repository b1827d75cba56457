//! Settings that fit neither the data nor each other.

use crate::tiny;

/// The error of the tiny pipeline with `old` replaced by `new`.
fn wrong(old: &str, new: &str, code: i32) -> String {
    let project = tiny::project();
    project.edit(old, new);
    project.refire(&["run"]).fails_with(code).error()
}

#[test]
fn a_text_column_that_is_not_there() {
    let task = "task = \"text-classification\"";
    insta::assert_snapshot!(wrong(task, &format!("{task}\ntext_column = \"review\""), 1));
}

#[test]
fn a_file_that_is_not_there() {
    insta::assert_snapshot!(wrong(
        "source = \"reviews.csv\"",
        "source = \"data/reviews.csv\"",
        2
    ));
}

#[test]
fn shares_that_do_not_sum_to_one() {
    insta::assert_snapshot!(wrong("train = 0.6", "train = 0.7", 2));
}

#[test]
fn a_gate_on_a_metric_that_is_not_recorded() {
    insta::assert_snapshot!(wrong("gate = { accuracy", "gate = { mcc", 2));
}

#[test]
fn a_training_without_labels_takes_those_of_the_samples() {
    let project = tiny::project();
    project.edit("labels = [\"bad\", \"good\"]\n", "");
    let ran = project.refire(&["run"]).succeeds();
    ran.shows("`labels` are those of the samples: bad, good");
}
