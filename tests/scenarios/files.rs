//! Pipeline files that are wrong: exit code 2 and a message that points to the place.

use crate::support::Project;

/// A file in which everything is right.
const RIGHT: &str = r#"[pipeline]
name = "reviews"
seed = 1

[params]
parts = { train = 0.8, test = 0.2 }

[stage.reviews]
kind = "dataset"
source = "reviews.csv"

[stage.split]
kind = "split"
table = "reviews"
parts = "${params.parts}"

[stage.frozen]
kind = "freeze"
model = "encoder"
trainable_layers = 0

[stage.encoder]
kind = "pretrained"
source = "tiny-bert"
files = { "config.json" = "sha256:0000000000000000000000000000000000000000000000000000000000000000" }
"#;

/// What `refire check` says to the right file with `old` replaced by `new`.
fn wrong(old: &str, new: &str) -> String {
    assert!(RIGHT.contains(old), "`{old}` is not in the file");
    let project = Project::with(&RIGHT.replacen(old, new, 1));
    project.write("reviews.csv", "text,label\ngood,1\n");
    let check = project.refire(&["check"]).fails_with(2);
    let run = project.refire(&["run"]).fails_with(2);
    assert_eq!(run.error(), check.error(), "`run` and `check` must agree");
    check.error()
}

#[test]
fn broken_toml() {
    insta::assert_snapshot!(wrong("table = \"reviews\"", "table = \"reviews"));
}

#[test]
fn a_key_twice() {
    insta::assert_snapshot!(wrong("seed = 1", "seed = 1\nseed = 2"));
}

#[test]
fn an_unknown_section() {
    insta::assert_snapshot!(wrong("[params]", "[parms]"));
}

#[test]
fn an_unknown_key() {
    insta::assert_snapshot!(wrong("trainable_layers = 0", "trainable_layer = 0"));
}

#[test]
fn an_unknown_kind() {
    insta::assert_snapshot!(wrong("kind = \"freeze\"", "kind = \"freze\""));
}

#[test]
fn no_kind() {
    insta::assert_snapshot!(wrong("kind = \"freeze\"\n", ""));
}

#[test]
fn a_value_of_the_wrong_type() {
    insta::assert_snapshot!(wrong("trainable_layers = 0", "trainable_layers = \"none\""));
}

#[test]
fn a_stage_that_does_not_exist() {
    insta::assert_snapshot!(wrong("model = \"encoder\"", "model = \"encode\""));
}

#[test]
fn a_port_that_does_not_exist() {
    insta::assert_snapshot!(wrong("table = \"reviews\"", "table = \"reviews.tabel\""));
}

#[test]
fn a_table_where_a_model_belongs() {
    insta::assert_snapshot!(wrong("model = \"encoder\"", "model = \"split.train\""));
}

#[test]
fn one_of_several_outputs_must_be_named() {
    insta::assert_snapshot!(wrong("table = \"reviews\"", "table = \"split\""));
}

#[test]
fn a_cycle() {
    insta::assert_snapshot!(wrong("table = \"reviews\"", "table = \"split.train\""));
}

#[test]
fn a_longer_cycle() {
    let error = wrong(
        "table = \"reviews\"",
        "table = \"clean\"\nparts = \"${params.parts}\"\n\n[stage.clean]\nkind = \"preprocess\"\ntables = { part = \"split.test\" }\nsql = \"SELECT * FROM part\"\n\n[stage.rest]\nkind = \"split\"\ntable = \"reviews\"",
    );
    insta::assert_snapshot!(error);
}

#[test]
fn an_unknown_param() {
    insta::assert_snapshot!(wrong("${params.parts}", "${params.part}"));
}

#[test]
fn a_profile_that_does_not_exist() {
    let project = Project::with(RIGHT);
    insta::assert_snapshot!(
        project
            .refire(&["run", "--profile", "smoke"])
            .fails_with(2)
            .error()
    );
}

#[test]
fn a_file_that_is_not_text() {
    let project = Project::new();
    project.write("refire.toml", b"[stage.a]\nkind = \"\xff\"\n");
    insta::assert_snapshot!(project.refire(&["run"]).fails_with(2).error());
}

#[test]
fn a_file_without_a_stage() {
    let project = Project::with("[params]\nx = 1\n");
    insta::assert_snapshot!(project.refire(&["run"]).fails_with(2).error());
}
