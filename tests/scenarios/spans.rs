//! Texts with spans, from a file as labelling tools write it to entities in a table of plain texts.

use std::fmt::Write as _;

use serde_json::Value;

use crate::support::Project;
use crate::tiny;

const PIPELINE: &str = r#"
[pipeline]
name = "spans"
seed = 7

[stage.encoder]
kind = "pretrained"
source = "tiny-bert"
files = ["config.json", "model.safetensors", "tokenizer.json"]

[stage.letters]
kind = "dataset"
source = "letters.jsonl"

[stage.clean]
kind = "preprocess"
tables = { letters = "letters" }
sql = "SELECT * FROM letters WHERE length(text) > 3"

[stage.tune]
kind = "finetune"
model = "encoder"
train = "clean"
task = "token-classification"
text_column = "text"
target_column = "label"
classifier_dropout = 0.0
epochs = 60
batch_size = 8
learning_rate = 0.01

[stage.test]
kind = "evaluate"
model = "tune"
table = "clean"
"#;

/// A project whose spans are as doccano writes them, of the words that tell how a review is meant.
fn project(spans: impl Fn(usize, usize) -> String) -> Project {
    let project = tiny::project();
    project.write("refire.toml", PIPELINE);
    let mut lines = String::new();
    for (row, word) in ["good", "bad", "lovely", "awful", "warm", "cold"]
        .iter()
        .enumerate()
    {
        let spans = spans(row, word.chars().count());
        let _ = writeln!(
            lines,
            "{{\"id\": {row}, \"text\": \"\u{1f600} the {word} film\", \"label\": [{spans}], \"Comments\": []}}"
        );
    }
    project.write("letters.jsonl", lines);
    project
}

#[test]
fn files_of_labelling_tools_become_models_for_plain_texts() {
    let label = |row: usize| if row.is_multiple_of(2) { "GOOD" } else { "BAD" };
    let project = project(|row, word| format!("[6, {}, \"{}\"]", 6 + word, label(row)));
    project
        .refire(&["run"])
        .succeeds()
        .shows("nested values of `letters.jsonl` stay JSON text, in the columns `label`")
        .shows("spans become tags of the scheme IOB2");
    project.write(
        "new.csv",
        "text,label\n\u{1f600}  the lovely film,x\n\u{e9} the bad film,y\n\"\",z\n",
    );
    let arguments = [
        "predict",
        "tune",
        "new.csv",
        "-o",
        "said.jsonl",
        "--prefix",
        "said_",
    ];
    project.refire(&arguments).succeeds();
    let said = project.read("said.jsonl");
    let said: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let entity = |row: usize, name: &str| said[row]["said_entities"][0][name].clone();
    assert_eq!(
        said[0]["said_words"],
        serde_json::json!(["\u{1f600}", "the", "lovely", "film"])
    );
    assert_eq!(
        (entity(0, "start"), entity(0, "end")),
        (7.into(), 13.into())
    );
    assert_eq!(
        (entity(1, "text"), entity(1, "start")),
        ("bad".into(), 6.into())
    );
    assert_eq!(entity(1, "label"), "BAD");
    assert_eq!(said[2]["said_entities"], serde_json::json!([]));
}

#[test]
fn a_span_outside_its_text_is_refused() {
    let project =
        project(|row, word| format!("[6, {}, \"X\"]", if row == 3 { 99 } else { 6 + word }));
    project
        .refire(&["run"])
        .fails_with(1)
        .shows("row 4 has a span in column `label` from 6 to 99, and its text has 16 characters")
        .shows("in the table of port `train`");
}
