//! Models that are not as they should be, and freeze plans that cannot be meant.

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::Value;

use crate::support::Project;
use crate::tiny;

const WEIGHTS: &str = "tiny-bert/model.safetensors";

/// The error of a run of the tiny pipeline with its model changed.
fn with_model(change: impl Fn(&Project)) -> String {
    let project = tiny::project();
    change(&project);
    project.refire(&["run"]).fails_with(1).error()
}

/// The error of the tiny pipeline with another freeze plan.
fn with_plan(plan: &str, code: i32) -> String {
    let project = tiny::project();
    project.edit("trainable_layers = 0", plan);
    project.refire(&["run"]).fails_with(code).error()
}

/// Writes the weights again, each as `change` says: its new shape, or nothing to leave it out.
fn change_weights(project: &Project, change: impl Fn(&str, &[usize]) -> Option<Vec<usize>>) {
    let bytes = std::fs::read(project.path(WEIGHTS)).expect("readable");
    let tensors = SafeTensors::deserialize(&bytes).expect("well-formed");
    let changed: Vec<(String, TensorView<'_>)> = tensors
        .iter()
        .filter_map(|(name, view)| {
            let shape = change(name, view.shape())?;
            let view = TensorView::new(view.dtype(), shape, view.data())
                .expect("as many values as before");
            Some((name.to_string(), view))
        })
        .collect();
    project.write(
        WEIGHTS,
        safetensors::serialize(changed, None).expect("well-formed"),
    );
}

fn change_config(project: &Project, key: &str, value: Value) {
    let mut config: Value =
        serde_json::from_str(&project.read("tiny-bert/config.json")).expect("JSON");
    config[key] = value;
    project.write("tiny-bert/config.json", config.to_string());
}

#[test]
fn weights_that_are_cut_off() {
    insta::assert_snapshot!(with_model(|project| {
        let bytes = std::fs::read(project.path(WEIGHTS)).expect("readable");
        project.write(WEIGHTS, &bytes[..bytes.len() / 2]);
    }));
}

/// A tokenizer that would cut the words otherwise each time.
fn draw_tokens(project: &Project) {
    let mut json: Value =
        serde_json::from_str(&project.read("tiny-bert/tokenizer.json")).expect("JSON");
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(String::from);
    let letters = ('a'..='z').map(String::from);
    let merges = [
        ["g", "o"],
        ["o", "d"],
        ["go", "od"],
        ["b", "a"],
        ["ba", "d"],
        ["f", "i"],
    ];
    let longer = merges.iter().map(|[left, right]| format!("{left}{right}"));
    let vocab = special.into_iter().chain(letters).chain(longer).zip(0..);
    let vocab: serde_json::Map<String, Value> = vocab
        .map(|(token, id): (String, i32)| (token, id.into()))
        .collect();
    json["model"] = serde_json::json!({
        "type": "BPE", "dropout": 0.5, "unk_token": "[UNK]", "vocab": vocab, "merges": merges,
    });
    project.write("tiny-bert/tokenizer.json", json.to_string());
}

#[test]
fn a_tokenizer_with_dropout_gives_the_same_model_each_time() {
    let tuned = || {
        let project = tiny::project();
        project.edit("epochs = 4", "epochs = 1");
        draw_tokens(&project);
        let run = project.refire(&["run", "--format", "plain"]).succeeds();
        let said = run
            .stderr()
            .matches("tune: note: `dropout` in tokenizer.json")
            .count();
        assert_eq!(said, 1, "{}", run.stderr());
        assert!(
            !run.stderr().contains("test: note: `dropout`"),
            "{}",
            run.stderr()
        );
        project.refire(&["get", "tune", "model"]).succeeds();
        let json: Value =
            serde_json::from_str(&project.read("model/tokenizer.json")).expect("JSON");
        assert_eq!(json["model"]["dropout"], Value::Null);
        project.read("refire.lock")
    };
    assert_eq!(tuned(), tuned());
}

#[test]
fn weights_that_are_a_web_page() {
    insta::assert_snapshot!(with_model(
        |project| project.write(WEIGHTS, "<!doctype html><title>Sign in</title>")
    ));
}

#[test]
fn a_tensor_of_another_shape() {
    insta::assert_snapshot!(with_model(|project| {
        change_weights(project, |name, shape| {
            let swapped = name.ends_with("layer.1.intermediate.dense.weight");
            Some(if swapped {
                shape.iter().rev().copied().collect()
            } else {
                shape.to_vec()
            })
        });
    }));
}

#[test]
fn a_tensor_that_is_missing() {
    insta::assert_snapshot!(with_model(|project| {
        change_weights(project, |name, shape| {
            (!name.ends_with("layer.0.output.LayerNorm.bias")).then(|| shape.to_vec())
        });
    }));
}

#[test]
fn weights_of_layers_that_the_config_does_not_have() {
    insta::assert_snapshot!(with_model(|project| change_config(
        project,
        "num_hidden_layers",
        1.into()
    )));
}

#[test]
fn a_tokenizer_that_is_larger_than_the_embedding() {
    insta::assert_snapshot!(with_model(|project| {
        let mut tokenizer: Value =
            serde_json::from_str(&project.read("tiny-bert/tokenizer.json")).expect("JSON");
        tokenizer["model"]["vocab"]["lovely"] = 5000.into();
        project.write("tiny-bert/tokenizer.json", tokenizer.to_string());
    }));
}

#[test]
fn an_architecture_that_refire_does_not_know() {
    insta::assert_snapshot!(with_model(|project| change_config(
        project,
        "model_type",
        "llama".into()
    )));
}

#[test]
fn a_config_that_is_not_json() {
    insta::assert_snapshot!(with_model(
        |project| project.write("tiny-bert/config.json", "{\"hidden_size\": 32,")
    ));
}

#[test]
fn a_pattern_that_matches_nothing() {
    insta::assert_snapshot!(with_plan("trainable = [\"encoder.layer.2.*\"]", 1));
}

#[test]
fn more_layers_than_there_are() {
    insta::assert_snapshot!(with_plan("trainable_layers = 3", 1));
}

#[test]
fn nothing_left_to_train() {
    insta::assert_snapshot!(with_plan("frozen = [\"*\"]", 1));
}

#[test]
fn settings_that_contradict_each_other() {
    insta::assert_snapshot!(with_plan(
        "trainable_layers = 1\ntrainable = [\"pooler.*\"]",
        2
    ));
}

#[test]
fn a_device_that_this_binary_does_not_have() {
    let project = tiny::project();
    project.edit("seed = 7", "seed = 7\ndevice = \"cuda:0\"");
    insta::assert_snapshot!(project.refire(&["run"]).fails_with(2).error());
}
