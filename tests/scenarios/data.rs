//! Data that is wrong: the exit code, and a message that points to the place in the file, the query or the data.

use crate::support::Project;

/// From a file to two parts.
const PIPELINE: &str = r#"[stage.reviews]
kind = "dataset"
source = "reviews.csv"
schema = "reviews.schema.toml"

[stage.clean]
kind = "preprocess"
tables = { reviews = "reviews" }
sql = """
SELECT text, label
FROM reviews
WHERE label IS NOT NULL
"""

[stage.split]
kind = "split"
table = "clean"
stratify = "label"
parts = { train = 0.75, test = 0.25 }
"#;

const REVIEWS: &str =
    "text,label\ngood,1\nbad,0\nfine,1\nawful,0\ngreat,1\npoor,0\nnice,1\ndull,0\n";

const SCHEMA: &str =
    "[columns.text]\ntype = \"string\"\n\n[columns.label]\ntype = \"integer\"\nallowed = [0, 1]\n";

fn project() -> Project {
    let project = Project::with(PIPELINE);
    project.write("reviews.csv", REVIEWS);
    project.write("reviews.schema.toml", SCHEMA);
    project
}

/// The error of a run whose pipeline has `old` replaced by `new`.
fn wrong_pipeline(old: &str, new: &str, code: i32) -> String {
    let project = project();
    project.edit(old, new);
    project.refire(&["run"]).fails_with(code).error()
}

/// The error of a run on other reviews.
fn wrong_reviews(bytes: impl AsRef<[u8]>) -> String {
    let project = project();
    project.write("reviews.csv", bytes);
    project.refire(&["run"]).fails_with(1).error()
}

#[test]
fn what_is_right_runs_once() {
    let project = project();
    assert_eq!(
        project.outcomes(&[]),
        ["reviews ran", "clean ran", "split ran"]
    );
    assert_eq!(
        project.outcomes(&[]),
        ["reviews cached", "clean cached", "split cached"]
    );
}

#[test]
fn the_same_rows_from_another_query_stop_what_is_downstream() {
    let project = project();
    project.refire(&["run"]).succeeds();
    project.edit("label IS NOT NULL", "label >= 0");
    assert_eq!(
        project.outcomes(&[]),
        ["reviews cached", "clean ran", "split cached"]
    );
}

#[test]
fn another_schema_reads_the_file_again() {
    let project = project();
    project.refire(&["run"]).succeeds();
    project.write("reviews.schema.toml", SCHEMA.replace("[0, 1]", "[0, 1, 2]"));
    project
        .refire(&["why", "reviews"])
        .succeeds()
        .prints("schema.columns.label.allowed: [0,1] → [0,1,2]");
    assert_eq!(
        project.outcomes(&[]),
        ["reviews ran", "clean cached", "split cached"]
    );
}

#[test]
fn a_query_that_is_not_sql() {
    insta::assert_snapshot!(wrong_pipeline("WHERE label", "WHRE label", 2));
}

#[test]
fn a_query_over_an_unknown_table() {
    insta::assert_snapshot!(wrong_pipeline("FROM reviews", "FROM review", 2));
}

#[test]
fn a_query_with_a_missing_column() {
    insta::assert_snapshot!(wrong_pipeline(
        "SELECT text, label",
        "SELECT text, lable",
        1
    ));
}

#[test]
fn a_schema_that_cannot_be_meant() {
    let project = project();
    project.write("reviews.schema.toml", SCHEMA.replace("allowed", "alowed"));
    project.refire(&["run"]).fails_with(2);
    insta::assert_snapshot!(project.refire(&["check"]).fails_with(2).error());
}

#[test]
fn a_missing_column_to_split_by() {
    insta::assert_snapshot!(wrong_pipeline(
        "stratify = \"label\"",
        "stratify = \"lable\"",
        1
    ));
}

#[test]
fn an_empty_part() {
    insta::assert_snapshot!(wrong_pipeline(
        "parts = { train = 0.75, test = 0.25 }",
        "parts = { train = 0.95, test = 0.05 }",
        1
    ));
}

#[test]
fn bytes_that_are_not_utf8() {
    insta::assert_snapshot!(wrong_reviews(b"text,label\ncaf\xe9,1\n"));
}

#[test]
fn a_row_with_a_field_too_many() {
    insta::assert_snapshot!(wrong_reviews("text,label\ngood, but dear,1\n"));
}

#[test]
fn rows_that_break_the_schema() {
    insta::assert_snapshot!(wrong_reviews("text,label\ngood,1\n,0\nbad,2\nodd,x\n"));
}
