//! `predict --text`: what a model says of texts on the command line.

use std::fmt::Write as _;

use serde_json::Value;

use super::tuned;
use crate::{photos, tiny};

#[test]
fn a_text_is_labelled_as_the_row_of_a_file_is() {
    let project = tuned();
    let texts = ["good, lovely \"food\"", "awful\u{1b}[2J\nplace", ""];
    let mut arguments = vec!["predict", "tune"];
    for text in texts {
        arguments.extend(["--text", text]);
    }
    let printed = project.refire(&arguments).succeeds().stdout();
    assert!(!printed.contains('\u{1b}'), "{printed:?}");
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[0], texts[0]);
    assert_eq!(lines[1], "  label        good");
    assert!(lines[2].starts_with("  probability  good 0."), "{printed}");
    assert_eq!(lines[4], "awful\\u001b[2J\\nplace");
    assert_eq!(lines[5], "  label        bad");

    let json = project
        .refire(&[&arguments[..], &["--json"]].concat())
        .succeeds();
    let rows: Vec<Value> = json
        .stdout()
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let mut file = String::new();
    for (row, text) in rows.iter().zip(texts) {
        assert_eq!(row["text"], text);
        let _ = writeln!(file, "{}", serde_json::json!({ "text": text }));
    }
    project.write("same.jsonl", file);
    let arguments = ["predict", "tune", "same.jsonl", "-o", "said.jsonl"];
    project.refire(&arguments).succeeds();
    assert_eq!(super::json_lines(&project, "said.jsonl"), rows);
    let logits = ["predict", "tune", "--text", "good", "--logits"];
    project.refire(&logits).succeeds().prints("  logit  good ");
}

#[test]
fn pairs_and_embeddings_are_said_too() {
    let project = tiny::project();
    let mut pairs = String::new();
    for (row, line) in tiny::reviews(60).lines().enumerate() {
        let second = if row == 0 { "second" } else { "food" };
        let _ = writeln!(pairs, "{line},{second}");
    }
    project.write("reviews.csv", pairs);
    project.edit("SELECT text, label", "SELECT text, second, label");
    project.edit(
        "labels = [\"bad\"",
        "text_pair_column = \"second\"\nlabels = [\"bad\"",
    );
    project.refire(&["run", "tune"]).succeeds();
    let pair = ["predict", "tune", "--text", "good", "--text-pair", "film"];
    project
        .refire(&pair)
        .succeeds()
        .prints("good\nfilm\n  label");
    project
        .refire(&["predict", "tune", "--text", "good"])
        .fails_with(1)
        .shows("--text-pair");
    let one = [
        "predict",
        "tune",
        "--text",
        "a",
        "--text",
        "b",
        "--text-pair",
        "c",
    ];
    project
        .refire(&one)
        .fails_with(2)
        .shows("2 texts and 1 second");
    let task = ["--task", "sentence-similarity"];
    let embed = [&["predict", "encoder", "--text", "good food"][..], &task].concat();
    project
        .refire(&embed)
        .succeeds()
        .prints("  embedding  32 numbers: ");
}

#[test]
fn what_does_not_go_with_texts_is_refused() {
    let project = tuned();
    let refused = |more: &[&str], shown: &str| {
        let arguments = [&["predict", "tune"], more].concat();
        project.refire(&arguments).fails_with(2).shows(shown);
    };
    refused(&["--text", "a", "-o", "x.csv"], "cannot be used with");
    refused(&["new.csv", "--text", "a"], "a model and no input");
    refused(&["--text", "a", "--no-header"], "in no file");
    refused(&["--text", "a", "--text-column", "b"], "no column");
    refused(&["--json", "new.csv", "-o", "x.csv"], "--text");
    refused(&["new.csv"], "--output");
    let photos = photos::project();
    photos.refire(&["run", "tune"]).succeeds();
    let arguments = ["predict", "tune", "--text", "a"];
    photos
        .refire(&arguments)
        .fails_with(2)
        .shows("takes photos");
}
