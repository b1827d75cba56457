//! Texts of no tokens: an answer in training, evaluation and prediction, for every network that takes texts.

use std::collections::BTreeMap;

use refire::models::{ARCHITECTURES, Modality};
use safetensors::tensor::{Dtype, TensorView};
use serde::Deserialize;
use serde_json::{Map, Value};

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
matrix = { layers = [0, 2], pooling = POOLINGS }

[stage.test]
kind = "evaluate"
model = "tune@layers=${matrix.layers},pooling=${matrix.pooling}"
table = "reviews"
matrix = { layers = [0, 2], pooling = POOLINGS }

[stage.labelled]
kind = "predict"
model = "tune@layers=${matrix.layers},pooling=${matrix.pooling}"
table = "reviews"
prefix = "new_"
matrix = { layers = [0, 2], pooling = POOLINGS }
"#;

/// The folder of the model.
const MODEL: &str = "tiny-bert";

/// A network that `make_text.py` has found in transformers: what its config says, and the shapes of its tensors.
#[derive(Deserialize)]
struct Made {
    config: Map<String, Value>,
    tensors: BTreeMap<String, Vec<usize>>,
}

impl Made {
    /// One of each architecture but BERT.
    fn all() -> Vec<Self> {
        #[derive(Deserialize)]
        struct Reference {
            made: Vec<Made>,
        }

        let json = include_str!("../reference/text.json");
        let reference: Reference = serde_json::from_str(json).expect("make_text.py made it");
        reference.made
    }

    fn is_of(&self, model_types: &[&str]) -> bool {
        let own = self.config["model_type"].as_str();
        own.is_some_and(|own| model_types.contains(&own))
    }

    /// Writes it with random weights in place of the tiny BERT, whose tokenizer it takes. Where it has another padding token, that token
    /// and BERT's have each other's ids.
    fn write(&self, project: &Project) {
        let numbers = |name: &str, shape: &[usize]| -> Vec<u8> {
            let numbers = 0..shape.iter().product::<usize>();
            let draw = |place: usize| {
                let byte = blake3::hash(format!("{name} {place}").as_bytes()).as_bytes()[0];
                let noise = f32::from(byte) / 128.0 - 1.0;
                let is_factor = shape.len() == 1 && name.ends_with("weight");
                if is_factor { 1.0 } else { 0.2 * noise }
            };
            numbers
                .flat_map(|place| draw(place).to_le_bytes())
                .collect()
        };
        let tensors = self.tensors.iter();
        let tensors = tensors.map(|(name, shape)| (name, shape, numbers(name, shape)));
        let tensors: Vec<_> = tensors.collect();
        let views = tensors.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, (*shape).clone(), bytes);
            (*name, view.expect("as many numbers as the shape says"))
        });
        let weights = safetensors::serialize(views, None).expect("well-formed");
        project.write(&format!("{MODEL}/model.safetensors"), weights);
        let config = serde_json::to_string(&self.config).expect("JSON");
        project.write(&format!("{MODEL}/config.json"), config);
        let file = format!("{MODEL}/tokenizer.json");
        let mut tokenizer: Value = serde_json::from_str(&project.read(&file)).expect("JSON");
        let padding = self.config["pad_token_id"].as_u64().expect("an id");
        let swapped = |id: &Value| match id.as_u64() {
            Some(0) => padding.into(),
            Some(id) if id == padding => 0.into(),
            _ => id.clone(),
        };
        let added = tokenizer["added_tokens"].as_array_mut().expect("a list");
        for token in &mut *added {
            token["id"] = swapped(&token["id"]);
        }
        added.sort_by_key(|token| token["id"].as_u64());
        let pieces = tokenizer["model"]["vocab"].as_object_mut();
        for id in pieces.expect("an object").values_mut() {
            *id = swapped(id);
        }
        project.write(&file, tokenizer.to_string());
    }

    /// Whether its classifier pools by a pooler.
    fn has_pooler(&self) -> bool {
        self.is_of(&["albert"])
    }
}

/// A project in which five of the 17 texts are empty: whole batches are. The tiny BERT, or the network that is `made`.
fn project(made: Option<&Made>, poolings: &[&str], adds_special_tokens: bool) -> Project {
    let project = tiny::project();
    let poolings = format!("{poolings:?}");
    project.write("refire.toml", PIPELINE.replace("POOLINGS", &poolings));
    if let Some(made) = made {
        made.write(&project);
    }
    let empty = "\"\",good\n\"\",bad\n\"  \",good\n\"\",bad\n\"\",good\n";
    project.write("reviews.csv", tiny::reviews(12) + empty);
    if !adds_special_tokens {
        let file = format!("{MODEL}/tokenizer.json");
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
        let name = architecture.name;
        let all = Made::all();
        let made = all.iter().find(|made| made.is_of(architecture.model_types));
        assert!(made.is_some() || name == "BERT", "no model of {name}");
        let poolings: &[&str] = match made {
            Some(made) if !made.has_pooler() => &["mean", "cls"],
            _ => &["mean", "cls", "pooler"],
        };
        for adds_special_tokens in [false, true] {
            let project = project(made, poolings, adds_special_tokens);
            let ran = project.refire(&["run", "-j", "2"]).succeeds();
            let told = ran.stderr().matches("have no token").count();
            // Training and validation, evaluation, prediction: of models that pool in each way, at two depths.
            let models = 2 * poolings.len();
            let expected = if adds_special_tokens { 0 } else { models * 4 };
            assert_eq!(told, expected, "{name}:\n{}", ran.stderr());
            answers_alone_as_among_others(&project, poolings);
        }
    }
}

/// What the model says about an empty text does not depend on the texts around it.
fn answers_alone_as_among_others(project: &Project, poolings: &[&str]) {
    project.write("alone.csv", "text\n\"\"\n");
    project.write("among.csv", "text\na very good film\n\"\"\nbad food\n");
    for pooling in poolings {
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
