//! The head of a checkpoint: kept for its labels, refused for the same ones in another order, told of when a new one takes its place.

use crate::support::{Project, Ran};
use crate::tiny;

/// A project whose model is a classifier as transformers saves one: `config.json` alone names its labels.
fn with_classifier(labels: &str) -> Project {
    let trained = tiny::project();
    trained.edit(
        "labels = [\"bad\", \"good\"]",
        &format!("labels = {labels}"),
    );
    trained.refire(&["run", "tune"]).succeeds();
    trained.refire(&["export", "tune", "model"]).succeeds();
    let project = tiny::project();
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        let bytes = std::fs::read(trained.path(format!("model/{file}"))).expect("exported");
        project.write(&format!("tiny-bert/{file}"), bytes);
    }
    project
}

fn tune(project: &Project, labels: &str) -> Ran {
    project.edit(
        "labels = [\"bad\", \"good\"]",
        &format!("labels = {labels}"),
    );
    project.refire(&["run", "tune"])
}

#[test]
fn the_labels_of_a_config_in_another_order_are_refused() {
    let project = with_classifier(r#"["bad", "good"]"#);
    insta::assert_snapshot!(tune(&project, r#"["good", "bad"]"#).fails_with(1).error());
}

#[test]
fn the_labels_of_a_config_keep_its_head() {
    let project = with_classifier(r#"["bad", "good"]"#);
    let shown = tune(&project, r#"["bad", "good"]"#).succeeds().stderr();
    assert!(!shown.contains("new head"), "{shown}");
    // It goes on from what it learnt: one epoch at a rate of almost nothing leaves it as good as it was.
    project.edit("epochs = 4", "epochs = 1");
    project.edit("learning_rate = 0.05", "learning_rate = 1e-9");
    let row = |project: &Project| {
        let printed = project.refire(&["run"]).succeeds().stdout();
        let row = printed.lines().find(|line| line.starts_with("test "));
        row.expect("a row of figures").to_owned()
    };
    assert_eq!(row(&project), row(&tiny::project()));
}

#[test]
fn a_new_head_is_told_with_the_reason() {
    let plain = tiny::project();
    plain
        .refire(&["run", "tune"])
        .succeeds()
        .shows("a new head is drawn for bad, good: the model has none");

    let project = with_classifier(r#"["bad", "good"]"#);
    let upper = "SELECT text, upper(label) AS label FROM";
    project.edit("SELECT text, label FROM", upper);
    tune(&project, r#"["GOOD", "BAD"]"#).succeeds().shows(
        "a new head is drawn for GOOD, BAD: the model's own is for bad, good; to keep it, write labels = [\"bad\", \"good\"]",
    );

    let more = with_classifier(r#"["bad", "good"]"#);
    let third =
        "SELECT text, CASE WHEN text LIKE '%film%' THEN 'film' ELSE label END AS label FROM";
    more.edit("SELECT text, label FROM", third);
    tune(&more, r#"["bad", "good", "film"]"#)
        .succeeds()
        .shows("a new head is drawn for bad, good, film: the model's own is for bad, good");
}
