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
    assert_eq!(config["pooling"], "cls");
    // With a class of its own for the config, a tokenizer could not be loaded without trust.
    let classes = config["auto_map"].as_object().expect("classes");
    assert_eq!(
        classes.keys().collect::<Vec<_>>(),
        ["AutoModelForSequenceClassification"]
    );
    let bytes = std::fs::read(project.path("model/model.safetensors")).expect("weights");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    let shape = |name: &str| tensors.tensor(name).expect(name).shape().to_vec();
    assert_eq!(shape("classifier.weight"), [0]);
    assert_eq!(
        (shape("head.weight"), shape("head.bias")),
        (vec![2, 32], vec![2])
    );
    let tokenizer = json(&project, "model/tokenizer_config.json");
    assert_eq!(tokenizer["pad_token"], "[PAD]");
    assert_eq!(tokenizer["tokenizer_class"], "PreTrainedTokenizerFast");
    assert_eq!(tokenizer["model_max_length"], 48);
    let pools = json(&project, "model/1_Pooling/config.json");
    assert_eq!(pools["pooling_mode_cls_token"], true);
    assert_eq!(pools["pooling_mode_mean_tokens"], false);
    assert_eq!(
        json(&project, "model/2_Dense/config.json")["out_features"],
        2
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
    let read = |path: String| std::fs::read(project.path(path)).expect("exported");
    for file in [
        "config.json",
        "model.safetensors",
        "tokenizer_config.json",
        "modeling_refire.py",
        "modules.json",
        "2_Dense/model.safetensors",
        "README.md",
    ] {
        assert_eq!(
            read(format!("again/{file}")),
            read(format!("model/{file}")),
            "{file}"
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
    for file in ["modules.json", "2_Dense"] {
        assert!(!project.path(format!("model/{file}")).exists(), "{file}");
    }
    assert_eq!(logits(&project, "./model"), logits(&project, "tune"));
}

/// The README of an export of a model that is tuned so, on texts that have what every task asks for.
fn readme_of(task: &str) -> String {
    let project = tiny::project();
    let row = |row: usize| {
        let (word, labels) = match row % 3 {
            0 => ("good", "good|warm"),
            1 => ("bad", "bad"),
            _ => ("cold", ""),
        };
        let label = if row.is_multiple_of(2) { "good" } else { "bad" };
        let score = row % 3;
        format!("{word} food {row},a {word} place,{labels},{score}.5,{label}\n")
    };
    let rows: Vec<String> = (0..40).map(row).collect();
    let header = "text,second,labels,score,label\n";
    project.write("reviews.csv", format!("{header}{}", rows.concat()));
    project.edit("SELECT text, label", "SELECT *");
    project.edit("stratify = \"label\"\n", "");
    project.edit(
        "metrics = [\"accuracy\", \"f1\"]\ngate = { accuracy = \">= 0\" }\n",
        "",
    );
    project.edit(
        "task = \"text-classification\"\nlabels = [\"bad\", \"good\"]\nepochs = 4",
        &format!("epochs = 1\nmax_length = 12\n{task}"),
    );
    project.refire(&["run", "tune"]).succeeds();
    project.refire(&["export", "tune", "model"]).succeeds();
    // Without the name, transformers' tokenizer does not say which text of a pair a token is of.
    let tokenizer = json(&project, "model/tokenizer_config.json");
    let names = tokenizer["model_input_names"].as_array();
    let types = names.is_some_and(|names| names.iter().any(|name| name == "token_type_ids"));
    assert_eq!(types, task.contains("text_pair_column"), "{tokenizer}");
    let config = json(&project, "model/config.json");
    let problem = config["problem_type"].as_str().expect("a problem");
    format!("{problem}\n{}", project.read("model/README.md"))
}

#[test]
fn an_export_says_what_its_outputs_mean() {
    let pairs = readme_of(
        "task = \"text-classification\"\ntext_pair_column = \"second\"\ntruncation = \"only_first\"\npooling = \"pooler\"",
    );
    assert!(
        pairs.starts_with("single_label_classification\n"),
        "{pairs}"
    );
    assert!(pairs.contains("Pairs of texts"), "{pairs}");
    assert!(
        pairs.contains("tokenizer([\"a text\"], [\"another\"], truncation=\"only_first\","),
        "{pairs}"
    );
    assert!(!pairs.contains("sentence-transformers"), "{pairs}");
    let several = readme_of(
        "task = \"text-multi-label\"\nlabel_separator = \"|\"\nthreshold = 0.25\npooling = \"mean\"",
    );
    assert!(
        several.starts_with("multi_label_classification\n"),
        "{several}"
    );
    assert!(several.contains("sigmoid"), "{several}");
    assert!(several.contains("2. `warm`, from 0.25 on"), "{several}");
    let one =
        readme_of("task = \"text-regression\"\ntarget_column = \"score\"\npooling = \"mean\"");
    assert!(one.starts_with("regression\n"), "{one}");
    assert!(
        one.contains("0. `score`") && !one.contains("logit for each"),
        "{one}"
    );
    // What transformers would make small, if it trained the exported model.
    let class = include_str!("../../src/models/export/modeling_refire.py");
    for problem in ["multi_label_classification", "regression"] {
        assert!(class.contains(problem), "{problem}");
    }
}

#[test]
fn an_export_belongs_to_the_user_and_replaces_nothing() {
    let project = tuned("mean");
    project
        .refire(&["export", "refire.toml", "tune", "model"])
        .succeeds();
    // What the user does to it does not reach the cache.
    let entries = std::fs::read_dir(project.path("model")).expect("readable");
    for entry in entries.flatten().filter(|entry| entry.path().is_file()) {
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

#[test]
fn an_export_says_what_goes_in_and_what_comes_out_and_is_readable_by_all() {
    let project = tiny::project();
    project.edit(
        "epochs = 4",
        "epochs = 1\npooling = \"mean\"\nmax_length = 9",
    );
    project.refire(&["run", "tune"]).succeeds();
    project.refire(&["export", "tune", "model"]).succeeds();
    insta::assert_snapshot!(project.read("model/README.md"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mut files = vec!["model".to_owned()];
        let mut seen = 0;
        while let Some(path) = files.pop() {
            let place = project.path(&path);
            if place.is_dir() {
                let entries = std::fs::read_dir(place).expect("readable").flatten();
                files.extend(
                    entries.map(|entry| format!("{path}/{}", entry.file_name().to_string_lossy())),
                );
                continue;
            }
            let mode = std::fs::metadata(place)
                .expect("there")
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o644, "{path}");
            seen += 1;
        }
        assert!(seen > 8, "{seen} files");
    }
}
