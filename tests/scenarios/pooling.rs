//! How a text model pools: what its files say is told, and what they should say and do not is an error.

use crate::support::Project;
use crate::tiny;

const MODULES: &str = r#"[
  {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
  {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
  {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}
]"#;

/// The tiny pipeline with another file of its model.
fn with_file(project: &Project, name: &str, text: &str) {
    project.write(&format!("tiny-bert/{name}"), text);
    project.edit(
        "\"tokenizer.json\"]",
        &format!("\"tokenizer.json\", \"{name}\"]"),
    );
}

#[test]
fn a_sentence_encoder_without_its_pooling_is_refused() {
    for (name, text) in [
        ("modules.json", MODULES),
        ("sentence_bert_config.json", "{\"max_seq_length\": 32}"),
    ] {
        let project = tiny::project();
        with_file(&project, name, text);
        let refused = project.refire(&["run"]).fails_with(1);
        refused.shows("`1_Pooling/config.json`");
        project.edit("epochs = 4", "epochs = 4\npooling = \"mean\"");
        let shown = project.refire(&["run"]).succeeds().stderr();
        assert!(!shown.contains("pools by"), "{shown}");
    }
    let project = tiny::project();
    with_file(&project, "modules.json", MODULES);
    insta::assert_snapshot!(project.refire(&["run"]).fails_with(1).error());
}

#[test]
fn what_the_files_say_is_told_and_done() {
    let tuned = |pooling: &str, modes: &str| {
        let project = tiny::project();
        if !modes.is_empty() {
            with_file(&project, "1_Pooling/config.json", modes);
        }
        if !pooling.is_empty() {
            project.edit(
                "epochs = 4",
                &format!("epochs = 4\npooling = \"{pooling}\""),
            );
        }
        let shown = project.refire(&["run", "tune"]).succeeds().stderr();
        project.refire(&["get", "tune", "tuned"]).succeeds();
        let card: serde_json::Value =
            serde_json::from_str(&project.read("tuned/refire.json")).expect("a card");
        (shown, card["pooling"].as_str().map(str::to_owned))
    };
    for (modes, pooling, told) in [
        (
            "{\"pooling_mode_mean_tokens\": true}",
            "mean",
            "the mean over a text's tokens",
        ),
        (
            "{\"pooling_mode\": \"cls\"}",
            "cls",
            "the first token's state",
        ),
    ] {
        let (shown, found) = tuned("", modes);
        assert_eq!(found.as_deref(), Some(pooling));
        let told = format!("pools by {told}, as `1_Pooling/config.json` says");
        assert!(shown.contains(&told), "{shown}");
    }
    let (shown, found) = tuned("", "");
    assert_eq!(found.as_deref(), Some("pooler"));
    assert!(
        shown.contains("pools by the checkpoint's pooler over the first token, because nothing"),
        "{shown}"
    );
    // What the settings say needs no word, and holds against the files.
    let (shown, found) = tuned("cls", "{\"pooling_mode_mean_tokens\": true}");
    assert_eq!(found.as_deref(), Some("cls"));
    assert!(!shown.contains("pools by"), "{shown}");
}

#[test]
fn modules_that_refire_goes_without_are_named() {
    let project = tiny::project();
    project.write(
        "tiny-bert/1_Pooling/config.json",
        "{\"pooling_mode\": \"mean\"}",
    );
    project.write("tiny-bert/modules.json", MODULES);
    project.edit(
        "\"tokenizer.json\"]",
        "\"tokenizer.json\", \"modules.json\", \"1_Pooling/config.json\"]",
    );
    project
        .refire(&["run"])
        .succeeds()
        .shows("of `modules.json` the encoder and the pooling are taken; left out: Normalize");
}
