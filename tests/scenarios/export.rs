//! Exports: what is in the folder, that refire reads it as it does the model, and what is refused. That Python's libraries read it is
//! tested by `tests/python/export.py`.

use serde_json::Value;

use crate::support::Project;
use crate::tiny;

fn tuned(pooling: &str) -> Project {
    let project = tiny::project();
    project.edit(
        "epochs = 4",
        &format!("epochs = 1\npooling = \"{pooling}\""),
    );
    project.refire(&["run", "tune"]).succeeds();
    project.write("new.csv", "text\ngood food\nawful place\n");
    project
}

fn json(project: &Project, path: &str) -> Value {
    serde_json::from_str(&project.read(path)).expect("JSON")
}

fn logits(project: &Project, model: &str) -> String {
    let arguments = ["predict", model, "new.csv", "-o", "out.jsonl", "--logits"];
    project.refire(&arguments).succeeds();
    project.read("out.jsonl")
}

#[test]
fn a_pooling_of_its_own_brings_its_class_and_no_other_class_can_load_it() {
    let project = tuned("cls");
    let arguments = ["export", "tune", "model"];
    project
        .refire(&arguments)
        .succeeds()
        .prints("trust_remote_code=True");
    let config = json(&project, "model/config.json");
    assert_eq!(config["model_type"], "refire-bert");
    assert_eq!(config["pooling"], "cls");
    assert!(
        project
            .read("model/modeling_refire.py")
            .contains("class RefireBertConfig")
    );
    assert_eq!(
        json(&project, "model/tokenizer_config.json")["pad_token"],
        "[PAD]"
    );

    let expected = logits(&project, "tune");
    assert_eq!(logits(&project, "./model"), expected);
    // The config alone says how it pools.
    let mut card = json(&project, "model/refire.json");
    card.as_object_mut().expect("a card").remove("pooling");
    project.write("model/refire.json", card.to_string());
    assert_eq!(logits(&project, "./model"), expected);
    // An export of an export is the same.
    project.refire(&["export", "./model", "again"]).succeeds();
    for file in ["config.json", "tokenizer_config.json", "modeling_refire.py"] {
        assert_eq!(
            project.read(&format!("again/{file}")),
            project.read(&format!("model/{file}"))
        );
    }
}

#[test]
fn what_transformers_pools_by_itself_needs_no_class() {
    let project = tuned("pooler");
    project
        .refire(&["export", "tune", "model"])
        .succeeds()
        .prints("from_pretrained(\".\")");
    let config = json(&project, "model/config.json");
    assert_eq!(config["architectures"][0], "BertForSequenceClassification");
    assert_eq!(config["model_type"], "bert");
    assert!(!project.path("model/modeling_refire.py").exists());
    assert!(
        project
            .read("model/README.md")
            .contains("AutoModelForSequenceClassification")
    );
    assert_eq!(logits(&project, "./model"), logits(&project, "tune"));
}

#[test]
fn an_export_belongs_to_the_user_and_replaces_nothing() {
    let project = tuned("mean");
    project
        .refire(&["export", "refire.toml", "tune", "model"])
        .succeeds();
    // What the user does to it does not reach the cache.
    for entry in std::fs::read_dir(project.path("model"))
        .expect("readable")
        .flatten()
    {
        let file = std::fs::OpenOptions::new().append(true).open(entry.path());
        std::io::Write::write_all(&mut file.expect("writable"), b" ").expect("written");
    }
    project.refire(&["export", "tune", "other"]).succeeds();
    assert_ne!(
        project.read("model/tokenizer.json"),
        project.read("other/tokenizer.json")
    );

    project
        .refire(&["export", "tune", "model"])
        .fails_with(2)
        .shows("exists already");
    project
        .refire(&["export", "tune", "no/model"])
        .fails_with(2)
        .shows("its folder does not exist");
    project
        .refire(&["export", "split.test", "new"])
        .fails_with(2)
        .shows("is a table, not a model");
    project
        .refire(&["export", "frozen", "new"])
        .fails_with(1)
        .shows("has no classifier yet");
    assert!(!project.path("new").exists());
}
