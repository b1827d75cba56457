//! Texts of no tokens: an answer in training, evaluation and prediction, for every network that takes texts.

use refire::models::{ARCHITECTURES, Modality};
use serde_json::Value;

use crate::support::Project;
use crate::tiny;

const PIPELINE: &str = r#"
[stage.encoder]
kind = "pretrained"
source = "tiny-bert"
files = ["config.json", "model.safetensors", "tokenizer.json"]

[stage.reviews]
kind = "dataset"
source = "reviews.csv"

[stage.frozen]
kind = "freeze"
model = "encoder"
trainable_layers = "${matrix.layers}"
matrix = { layers = [0, 2] }

[stage.tune]
kind = "finetune"
model = "frozen@layers=${matrix.layers}"
train = "reviews"
validation = "reviews"
task = "text-classification"
labels = ["bad", "good"]
pooling = "${matrix.pooling}"
epochs = 2
batch_size = 4
learning_rate = 0.01
matrix = { layers = [0, 2], pooling = ["mean", "cls", "pooler"] }

[stage.test]
kind = "evaluate"
model = "tune@layers=${matrix.layers},pooling=${matrix.pooling}"
table = "reviews"
matrix = { layers = [0, 2], pooling = ["mean", "cls", "pooler"] }

[stage.labelled]
kind = "predict"
model = "tune@layers=${matrix.layers},pooling=${matrix.pooling}"
table = "reviews"
prefix = "new_"
matrix = { layers = [0, 2], pooling = ["mean", "cls", "pooler"] }
"#;

/// Small models of the architectures that take texts, by their names in the registry.
const MODELS: [(&str, &str); 1] = [("BERT", "tiny-bert")];

/// A project in which five of the 17 texts are empty: whole batches are.
fn project(model: &str, adds_special_tokens: bool) -> Project {
    let project = tiny::project();
    project.write("refire.toml", PIPELINE.replace("tiny-bert", model));
    let empty = "\"\",good\n\"\",bad\n\"  \",good\n\"\",bad\n\"\",good\n";
    project.write("reviews.csv", tiny::reviews(12) + empty);
    if !adds_special_tokens {
        let file = format!("{model}/tokenizer.json");
        let mut tokenizer: Value = serde_json::from_str(&project.read(&file)).expect("JSON");
        tokenizer["post_processor"] = Value::Null;
        project.write(&file, tokenizer.to_string());
    }
    project
}

#[test]
fn every_text_network_answers_to_texts_without_tokens() {
    for architecture in ARCHITECTURES {
        if architecture.modality != Modality::Texts {
            continue;
        }
        let model = MODELS.iter().find(|(name, _)| *name == architecture.name);
        let (name, model) = model.unwrap_or_else(|| panic!("no model of {}", architecture.name));
        for adds_special_tokens in [false, true] {
            let project = project(model, adds_special_tokens);
            let ran = project.refire(&["run", "-j", "2"]).succeeds();
            let told = ran.stderr().matches("have no token").count();
            // Training and validation, evaluation, prediction: of each of six models.
            let expected = if adds_special_tokens { 0 } else { 6 * 4 };
            assert_eq!(told, expected, "{name}:\n{}", ran.stderr());
            answers_alone_as_among_others(&project);
        }
    }
}

/// What the model says about an empty text does not depend on the texts around it.
fn answers_alone_as_among_others(project: &Project) {
    project.write("alone.csv", "text\n\"\"\n");
    project.write("among.csv", "text\na very good film\n\"\"\nbad food\n");
    for pooling in ["mean", "cls", "pooler"] {
        let model = format!("tune@layers=2,pooling={pooling}");
        let label = |input: &str| {
            let arguments = ["predict", &model, input, "-o", "out.jsonl"];
            project.refire(&arguments).succeeds();
            let rows: Vec<Value> = project
                .read("out.jsonl")
                .lines()
                .map(|line| serde_json::from_str(line).expect("JSON"))
                .collect();
            let row = rows.into_iter().find(|row| row["text"] == "");
            let probability = &row.expect("the empty text")["probability_good"];
            probability.as_f64().expect("a number")
        };
        let (alone, among) = (label("alone.csv"), label("among.csv"));
        assert!((alone - among).abs() < 1e-6, "{pooling}: {alone}, {among}");
    }
}
