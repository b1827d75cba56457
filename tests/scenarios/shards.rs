//! Weights in several files: written so that what a model has in common with its base is stored once, and read wherever a model is.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

use crate::photos;
use crate::support::Project;
use crate::tiny;

const INDEX: &str = "model.safetensors.index.json";

/// The sizes of all files below `folder`, added.
fn bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    let size = |path: &Path| {
        if path.is_dir() {
            bytes(path)
        } else {
            std::fs::metadata(path).expect("there").len()
        }
    };
    entries.map(|entry| size(&entry.path())).sum()
}

fn index(project: &Project, folder: &str) -> BTreeMap<String, String> {
    let json: Value =
        serde_json::from_str(&project.read(&format!("{folder}/{INDEX}"))).expect("JSON");
    let map = json["weight_map"].as_object().expect("a map").iter();
    let text = |value: &Value| value.as_str().expect("a name").to_owned();
    map.map(|(name, file)| (name.clone(), text(file))).collect()
}

#[test]
fn eleven_heads_cost_little_more_than_their_encoder() {
    let project = tiny::project();
    project.refire(&["run", "frozen", "split"]).succeeds();
    let cache = project.path(".refire/cache");
    let before = bytes(&cache);
    let rates: Vec<String> = (1..=11).map(|rate| format!("{rate}e-2")).collect();
    project.edit(
        "learning_rate = 0.05",
        &format!(
            "learning_rate = \"${{matrix.lr}}\"\nmatrix = {{ lr = [{}] }}",
            rates.join(", ")
        ),
    );
    project.edit("model = \"tune\"", "model = \"tune@lr=3e-2\"");
    project.refire(&["run"]).succeeds().shows("12 ran");
    let grown = bytes(&cache) - before;
    let encoder = std::fs::metadata(project.path("tiny-bert/model.safetensors")).expect("there");
    assert!(
        grown < 2 * encoder.len(),
        "{grown} bytes for eleven heads on an encoder of {}",
        encoder.len()
    );

    project.refire(&["get", "tune@lr=3e-2", "tuned"]).succeeds();
    let read = |path: &str| std::fs::read(project.path(path)).expect("a file");
    assert!(read("tuned/model-00001-of-00002.safetensors") == read("tiny-bert/model.safetensors"));
    let index = index(&project, "tuned");
    assert_eq!(index["classifier.bias"], "model-00002-of-00002.safetensors");
    assert_eq!(
        index["embeddings.word_embeddings.weight"],
        "model-00001-of-00002.safetensors"
    );
    assert_eq!(index.len(), tiny::weights(&project.path("tuned")).len());
}

#[test]
fn fifty_adapters_on_one_model_cost_megabytes() {
    let project = tiny::project();
    // Rows that no text reaches make the model large, and training no slower.
    project.edit(
        "[stage.frozen]\nkind = \"freeze\"\nmodel = \"encoder\"\ntrainable_layers = 0\n",
        "[stage.large]\nkind = \"initialize\"\nmodel = \"encoder\"\nconfig = { max_position_embeddings = 80000 }\n\n\
         [stage.adapted]\nkind = \"lora\"\nmodel = \"large\"\nr = 2\n",
    );
    project.edit("model = \"frozen\"", "model = \"adapted\"");
    project.edit("epochs = 4", "epochs = 1");
    project.refire(&["run", "adapted", "split"]).succeeds();
    let cache = project.path(".refire/cache");
    let before = bytes(&cache);
    let rates: Vec<String> = (1..=50).map(|rate| format!("{rate}e-4")).collect();
    project.edit(
        "learning_rate = 0.05",
        &format!(
            "learning_rate = \"${{matrix.lr}}\"\nmatrix = {{ lr = [{}] }}",
            rates.join(", ")
        ),
    );
    project.edit("model = \"tune\"", "model = \"tune@lr=50e-4\"");
    project.refire(&["run"]).succeeds().shows("51 ran");
    let grown = bytes(&cache) - before;
    project
        .refire(&["get", "tune@lr=50e-4", "tuned"])
        .succeeds();
    let tuned = bytes(&project.path("tuned"));
    assert!(tuned > 10_000_000, "each of them is whole: {tuned} bytes");
    assert!(grown < 50 * 40_000, "{grown} bytes for fifty adapters");
}

#[test]
fn what_is_tuned_in_part_has_a_file_for_what_is_frozen() {
    let project = tiny::project();
    project.edit("trainable_layers = 0", "trainable_layers = 1");
    project.edit("learning_rate = 0.05", "learning_rate = 0.005");
    project.refire(&["run"]).succeeds();
    project.refire(&["get", "tune", "tuned"]).succeeds();
    let index = index(&project, "tuned");
    for (name, file) in &index {
        let trains = name.starts_with("bert.encoder.layer.1.")
            || name.starts_with("classifier.")
            || name.starts_with("bert.pooler.");
        let expected = if trains { 2 } else { 1 };
        assert_eq!(
            file,
            &format!("model-0000{expected}-of-00002.safetensors"),
            "{name}"
        );
    }
    assert_eq!(index.len(), tiny::weights(&project.path("tuned")).len());
    // Another experiment with the same plan has the same frozen file.
    let frozen = |project: &Project| {
        std::fs::read(project.path("tuned/model-00001-of-00002.safetensors")).expect("a file")
    };
    let first = frozen(&project);
    std::fs::remove_dir_all(project.path("tuned")).expect("it goes");
    project.edit("learning_rate = 0.005", "learning_rate = 0.004");
    project.refire(&["run"]).succeeds();
    project.refire(&["get", "tune", "tuned"]).succeeds();
    assert!(frozen(&project) == first);
}

/// Adds a tensor to the encoder that a classifier has no use for.
fn with_a_head_for_another_task(project: &Project) {
    let bytes = std::fs::read(project.path("tiny-bert/model.safetensors")).expect("weights");
    let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
    let numbers = [0; 8];
    let more = TensorView::new(Dtype::F32, vec![2], &numbers).expect("two numbers");
    let all = tensors.iter().chain([("cls.predictions.bias", more)]);
    let all = safetensors::serialize(all, None).expect("well-formed");
    project.write("tiny-bert/model.safetensors", all);
}

#[test]
fn whatever_reads_a_model_reads_several_files() {
    let project = tiny::project();
    project.write("new.csv", "text\ngood food\nawful place\n");
    let again = "\n[stage.again]\nkind = \"finetune\"\nmodel = \"tune\"\ntrain = \"split.train\"\n\
                 task = \"text-classification\"\nlabels = [\"bad\", \"good\"]\nepochs = 1\nlearning_rate = 1e-9\n";
    project.write("refire.toml", project.read("refire.toml") + again);
    with_a_head_for_another_task(&project);
    project.refire(&["run"]).succeeds();
    for (stage, folder) in [("tune", "tuned"), ("again", "again")] {
        project.refire(&["get", stage, folder]).succeeds();
        let read = |path: String| std::fs::read(project.path(path)).expect("a file");
        let shared = read(format!("{folder}/model-00001-of-00002.safetensors"));
        assert!(
            shared == read("tiny-bert/model.safetensors".into()),
            "{folder}"
        );
    }
    project.refire(&["export", "./tuned", "export"]).succeeds();
    assert!(
        !project.path(format!("export/{INDEX}")).exists(),
        "one file for others"
    );
    let labelled = |model: &str| {
        let arguments = ["predict", model, "new.csv", "-o", "out.jsonl", "--logits"];
        project.refire(&arguments).succeeds();
        project.read("out.jsonl")
    };
    let expected = labelled("tune");
    assert_eq!(labelled("./tuned"), expected);
    assert_eq!(labelled("./export"), expected);
}

#[test]
fn a_tuned_image_network_that_is_tuned_again_has_no_stale_files() {
    let project = photos::project();
    project.edit("gate = { accuracy = \">= 0.9\" }", "");
    let again = "\n[stage.all]\nkind = \"freeze\"\nmodel = \"tune\"\ntrainable = [\"*\"]\n\
                 [stage.again]\nkind = \"finetune\"\nmodel = \"all\"\ntrain = \"split.train\"\n\
                 task = \"image-classification\"\nepochs = 1\nlearning_rate = 1e-4\n";
    project.write("refire.toml", project.read("refire.toml") + again);
    project.refire(&["run"]).succeeds();
    project.refire(&["get", "tune", "tuned"]).succeeds();
    assert!(project.path(format!("tuned/{INDEX}")).exists());
    project.refire(&["get", "again", "again"]).succeeds();
    assert!(!project.path(format!("again/{INDEX}")).exists());
    let tensors = |folder: &str| tiny::weights(&project.path(folder)).len();
    assert_eq!(tensors("again"), tensors("tuned"));
}

/// The tiny pipeline with its weights in two files, as Hugging Face writes larger ones.
fn in_two() -> Project {
    let project = tiny::project();
    let bytes = std::fs::read(project.path("tiny-bert/model.safetensors")).expect("weights");
    let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
    let (first, second): (Vec<_>, Vec<_>) = tensors
        .iter()
        .partition(|(name, _)| name.starts_with("embeddings."));
    let mut map = BTreeMap::new();
    for (number, part) in [first, second].into_iter().enumerate() {
        let name = format!("model-0000{}-of-00002.safetensors", number + 1);
        for (tensor, _) in &part {
            map.insert((*tensor).to_owned(), name.clone());
        }
        let part = safetensors::serialize(part, None).expect("well-formed");
        project.write(&format!("tiny-bert/{name}"), part);
    }
    let index = json!({ "metadata": { "total_size": 1 }, "weight_map": map });
    project.write(&format!("tiny-bert/{INDEX}"), index.to_string());
    std::fs::remove_file(project.path("tiny-bert/model.safetensors")).expect("it goes");
    project.edit(
        "\"model.safetensors\"",
        &format!(
            "\"{INDEX}\", \"model-00001-of-00002.safetensors\", \"model-00002-of-00002.safetensors\""
        ),
    );
    project
}

#[test]
fn a_pretrained_model_may_come_in_several_files() {
    let figures = |project: &Project| project.refire(&["run"]).succeeds().stdout();
    assert_eq!(figures(&in_two()), figures(&tiny::project()));
}

#[test]
fn an_index_that_does_not_fit_its_files_is_refused() {
    let refused = |change: &dyn Fn(&Project)| {
        let project = in_two();
        change(&project);
        project.refire(&["run"]).fails_with(1).error()
    };
    let project = in_two();
    let shard = "model-00002-of-00002.safetensors";
    std::fs::remove_file(project.path(format!("tiny-bert/{shard}"))).expect("it goes");
    project.edit(&format!(", \"{shard}\""), "");
    insta::assert_snapshot!(
        "a_file_is_missing",
        project.refire(&["run"]).fails_with(2).error()
    );
    let change_index = |project: &Project, old: &str, new: &str| {
        let path = format!("tiny-bert/{INDEX}");
        let text = project.read(&path);
        assert!(text.contains(old));
        project.write(&path, text.replace(old, new));
    };
    insta::assert_snapshot!(
        "a_tensor_is_missing",
        refused(&|project| {
            change_index(project, "\"pooler.dense.bias\"", "\"pooler.dense.shift\"");
        })
    );
    insta::assert_snapshot!(
        "a_file_is_elsewhere",
        refused(&|project| {
            change_index(project, "\"model-00002", "\"../model-00002");
        })
    );
}
