//! Models that give no labels: embeddings of texts, also by an encoder that is not tuned, and what stands behind masks.

use serde_json::Value;

use super::json_lines;
use crate::tiny;

/// The lists of numbers that are JSON in a field of each row of a CSV file.
fn json_fields(csv: &str) -> Vec<Vec<f64>> {
    let lists = csv.split("\"[").skip(1);
    let list = |rest: &str| {
        let (numbers, _) = rest.split_once("]\"").expect("the field ends");
        serde_json::from_str(&format!("[{numbers}]")).expect("JSON")
    };
    lists.map(list).collect()
}

#[test]
fn an_encoder_that_is_not_tuned_embeds_texts() {
    let project = tiny::project();
    project.refire(&["run", "encoder"]).succeeds();
    project.write(
        "new.csv",
        "id,text\n007,\"good, lovely food\"\n008,awful place\n009,\"good, lovely food\"\n",
    );
    let embed = |output: &str, more: &[&str]| {
        let task = ["--task", "sentence-similarity"];
        let arguments = ["predict", "encoder", "new.csv", "-o", output];
        project.refire(&[&arguments[..], &task, more].concat())
    };
    embed("out.csv", &[])
        .succeeds()
        .shows("labelled 3 rows of `new.csv`");
    embed("out.jsonl", &[]).succeeds();
    let csv = project.read("out.csv");
    assert!(
        csv.starts_with("id,text,embedding\n007,\"good, lovely food\",\"["),
        "{csv}"
    );
    let vectors = json_fields(&csv);
    let rows = json_lines(&project, "out.jsonl");
    assert_eq!(vectors.len(), rows.len());
    for (vector, row) in vectors.iter().zip(&rows) {
        let numbers = row["embedding"].as_array().expect("a list").iter();
        let numbers: Vec<f64> = numbers.filter_map(Value::as_f64).collect();
        assert_eq!(*vector, numbers);
        assert_eq!(vector.len(), 32);
    }
    assert_eq!(vectors[0], vectors[2]);
    assert_ne!(vectors[0], vectors[1]);
    embed("out.csv", &["--text-pair-column", "id"])
        .fails_with(2)
        .shows("takes no pairs");
    project
        .refire(&["predict", "encoder", "new.csv", "-o", "x.csv"])
        .fails_with(1)
        .shows("has no classifier yet");
}

#[test]
fn masks_are_filled_and_the_figures_are_gates() {
    let project = tiny::project();
    project.edit(
        "task = \"text-classification\"\nlabels = [\"bad\", \"good\"]",
        "task = \"fill-mask\"\nmask_probability = 0.3",
    );
    project.edit("trainable_layers = 0", "trainable_layers = 2");
    project.edit(
        "[\"accuracy\", \"f1\"]",
        "[\"perplexity\", \"masked_accuracy\"]",
    );
    project.edit("accuracy = \">= 0\"", "perplexity = \"<= 1000\"");
    project.refire(&["run"]).succeeds();
    project.write("new.csv", "id,text\n1,very [MASK] [MASK]\n2,good film\n");
    let fill = |output: &str| {
        let ran = project.refire(&["predict", "tune", "new.csv", "-o", output]);
        ran.succeeds().shows("1 of 2 texts have no mask");
    };
    fill("out.csv");
    fill("out.jsonl");
    let csv = project.read("out.csv");
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "id,text,filled,tokens,probabilities");
    let rows = json_lines(&project, "out.jsonl");
    let texts = |name: &str| -> Vec<&str> {
        let list = rows[0][name].as_array().expect("a list").iter();
        list.filter_map(Value::as_str).collect()
    };
    let tokens = texts("tokens").join(" ");
    let filled = rows[0]["filled"].as_str().expect("a text");
    let begins = format!("1,very [MASK] [MASK],{filled},{tokens},\"[");
    assert!(lines[1].starts_with(&begins), "{csv}");
    assert_eq!(json_fields(&csv)[0].len(), 2);
    // An empty text is quoted, since nothing between two commas is no value.
    assert_eq!(lines[2], "2,good film,good film,\"\",[]");
}
