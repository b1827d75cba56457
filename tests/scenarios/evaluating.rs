//! `evaluate`: the figures of a tuned model without a pipeline are those that a stage measures, whatever holds the data; what is refused.

use std::fmt::Write as _;

use serde_json::Value;

use crate::support::Project;
use crate::{photos, tiny};

/// The figures of the stage `stage`.
fn of_stage(project: &Project, stage: &str) -> Value {
    let folder = format!("figures-of-{stage}");
    let port = format!("{stage}.metrics");
    project.refire(&["get", &port, &folder]).succeeds();
    let text = project.read(&format!("{folder}/metrics.json"));
    let json: Value = serde_json::from_str(&text).expect("JSON");
    json["figures"].clone()
}

/// The figures that the verb measures.
fn of_verb(project: &Project, arguments: &[&str]) -> Value {
    let arguments = [&["evaluate", "--json"], arguments].concat();
    let printed = project.refire(&arguments).succeeds().stdout();
    let json: Value = serde_json::from_str(&printed).expect("JSON");
    json["figures"].clone()
}

#[test]
fn the_figures_are_those_of_the_stage_whatever_holds_the_rows() {
    let project = tiny::project();
    project.edit("metrics = [\"accuracy\", \"f1\"]\n", "");
    project.refire(&["run"]).succeeds();
    let expected = of_stage(&project, "test");
    assert!(expected["accuracy"].is_number(), "{expected}");
    assert_eq!(of_verb(&project, &["tune", "split.test"]), expected);
    // The same rows in files, and the model in a folder that no pipeline knows of.
    for name in ["test.csv", "test.jsonl", "test.parquet"] {
        let arguments = [
            "predict",
            "tune",
            "split.test",
            "-o",
            name,
            "--prefix",
            "my_",
        ];
        project.refire(&arguments).succeeds();
        assert_eq!(of_verb(&project, &["tune", name]), expected, "{name}");
    }
    project.refire(&["get", "tune", "model"]).succeeds();
    project.write("refire.toml", "");
    assert_eq!(of_verb(&project, &["./model", "test.csv"]), expected);
    let semicolons = project.read("test.csv").replace(',', ";");
    project.write("other.txt", semicolons.replace("text;label", "words;truth"));
    let arguments = [
        "model",
        "other.txt",
        "--format",
        "csv",
        "--separator",
        ";",
        "--text-column",
        "words",
        "--target-column",
        "truth",
    ];
    assert_eq!(of_verb(&project, &arguments), expected);
    let shown = project
        .refire(&["evaluate", "model", "test.csv"])
        .succeeds();
    let accuracy = format!("{:.4}", expected["accuracy"].as_f64().expect("a number"));
    for part in ["accuracy", accuracy.as_str(), "precision", "good"] {
        assert!(shown.stdout().contains(part), "{}", shown.stdout());
    }
    shown.shows("on 24 samples");
}

#[test]
fn every_kind_of_targets_is_measured() {
    let mut rows = String::from("text,topics,price,first,second\n");
    for row in 0..60 {
        let word = ["good", "bad", "warm"][row % 3];
        let topics = ["a", "a|b", ""][row % 3];
        let _ = writeln!(
            rows,
            "{word} food {row},{topics},{}.5,{}.25,{row}",
            row % 3,
            row % 5
        );
    }
    for (task, columns) in [
        (
            "text-multi-label",
            "target_column = \"topics\"\nlabel_separator = \"|\"",
        ),
        ("text-regression", "target_column = \"price\""),
        ("text-regression", "target_columns = [\"price\", \"first\"]"),
    ] {
        let project = tiny::project();
        project.write("reviews.csv", &rows);
        project.edit("SELECT text, label FROM", "SELECT * FROM");
        project.edit("stratify = \"label\"\n", "");
        project.edit(
            "task = \"text-classification\"\nlabels = [\"bad\", \"good\"]",
            &format!("task = \"{task}\"\n{columns}"),
        );
        project.edit(
            "metrics = [\"accuracy\", \"f1\"]\ngate = { accuracy = \">= 0\" }\n",
            "",
        );
        project.refire(&["run"]).succeeds();
        let expected = of_stage(&project, "test");
        assert_eq!(
            of_verb(&project, &["tune", "split.test"]),
            expected,
            "{task}"
        );
        let arguments = [
            "predict",
            "tune",
            "split.test",
            "-o",
            "t.csv",
            "--prefix",
            "my_",
        ];
        project.refire(&arguments).succeeds();
        assert_eq!(of_verb(&project, &["tune", "t.csv"]), expected, "{task}");
        if columns.contains("price\", ") {
            let other = [
                "tune",
                "t.csv",
                "--target-column",
                "first",
                "--target-column",
                "second",
            ];
            assert_ne!(of_verb(&project, &other), expected);
        }
    }
}

#[test]
fn an_encoder_that_is_not_tuned_is_measured_on_pairs() {
    let project = tiny::project();
    let mut pairs = String::from("question,answer\n");
    for row in 0..20 {
        let _ = writeln!(pairs, "good food {row},very good food {row}");
    }
    project.write("pairs.csv", pairs);
    project.refire(&["run", "encoder"]).succeeds();
    let arguments = [
        "encoder",
        "pairs.csv",
        "--task",
        "sentence-similarity",
        "--text-column",
        "question",
        "--text-pair-column",
        "answer",
    ];
    let figures = of_verb(&project, &arguments);
    assert!(figures["mrr@10"].as_f64() > Some(0.0), "{figures}");
}

#[test]
fn photos_in_folders_and_tables_are_measured_as_in_a_pipeline() {
    let project = photos::project();
    let pipeline = project.read("refire.toml");
    project.write(
        "refire.toml",
        format!(
            "{pipeline}\n[stage.all]\nkind = \"evaluate\"\nmodel = \"tune\"\nimages = \"photos\"\n"
        ),
    );
    project.refire(&["run"]).succeeds();
    let expected = of_stage(&project, "all");
    assert_eq!(of_verb(&project, &["tune", "./photos"]), expected);
    assert_eq!(
        of_verb(&project, &["refire.toml", "tune", "photos"]),
        expected
    );
    let mut table = String::from("path,truth\n");
    for label in ["day", "dusk"] {
        for index in 0..40 {
            let _ = writeln!(table, "photos/{label}/{index}.png,{label}");
        }
    }
    project.write("photos.csv", table);
    let arguments = ["tune", "photos.csv", "--target-column", "truth"];
    let figures = of_verb(&project, &arguments);
    assert_eq!(figures["accuracy"], expected["accuracy"]);
    project.refire(&["get", "tune", "model"]).succeeds();
    project.write("photos/day/broken.png", "no photo");
    project
        .refire(&["evaluate", "./model", "./photos"])
        .fails_with(1)
        .shows("broken.png");
    let arguments = ["./model", "./photos", "--skip-broken"];
    assert_eq!(of_verb(&project, &arguments), expected);
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let project = tiny::project();
    project.refire(&["run", "tune"]).succeeds();
    let refused = |arguments: &[&str], code: i32, shown: &str| {
        let arguments = [&["evaluate"], arguments].concat();
        let ran = project.refire(&arguments).fails_with(code);
        let said = ran.stderr();
        assert!(said.contains(shown), "{arguments:?}:\n{said}");
        assert!(
            !said.contains("/tmp/") && !said.contains("[stage."),
            "{said}"
        );
        assert_eq!(ran.stdout(), "");
    };
    project.write("plain.csv", "text\ngood food\n");
    project.write("odd.csv", "text,label\ngood food,so-so\n");
    project.write("gap.csv", "text,label\ngood food,good\n,bad\n");
    project.write("none.csv", "text,label\n");
    project.write("numbers.csv", "text,label\n17,good\n18,bad\n");
    refused(&["tune"], 2, "2 values required");
    refused(
        &["tune", "no.csv"],
        2,
        "there is no file or folder `no.csv`",
    );
    refused(&["tune", "plain.csv"], 1, "no column `label`");
    refused(&["tune", "odd.csv"], 1, "`so-so`");
    refused(
        &["tune", "gap.csv"],
        1,
        "row 2 has no value in column `text`",
    );
    refused(&["tune", "none.csv"], 1, "has no rows");
    refused(&["tune", "tiny-bert"], 2, "takes texts");
    refused(&["tune", "odd.csv", "--task", "no-task"], 2, "no-task");
    refused(&["tiny-bert", "odd.csv"], 1, "classifier");
    refused(&["tune", "split.test", "--format", "csv"], 2, "`--format`");
    refused(&[".refire", "odd.csv"], 2, "there is no model");
    refused(&["tune", "odd.csv", "--device", "abacus"], 2, "abacus");
    // A text that looks like a number is a text.
    assert!(of_verb(&project, &["tune", "numbers.csv"])["accuracy"].is_number());
}
