//! A whole pipeline that runs in a second: a BERT of two tiny layers, and reviews whose words give their label away.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::support::Project;

const GOOD: [&str; 6] = ["good", "lovely", "superb", "delicious", "warm", "excellent"];
const BAD: [&str; 6] = ["bad", "awful", "bland", "cold", "boring", "dirty"];
const THINGS: [&str; 5] = ["food", "film", "service", "plot", "place"];

/// The pipeline, with every kind of stage that a text classifier needs.
pub(crate) const PIPELINE: &str = r#"
[pipeline]
name = "tiny"
seed = 7

[stage.encoder]
kind = "pretrained"
source = "tiny-bert"
files = ["config.json", "model.safetensors", "tokenizer.json"]

[stage.reviews]
kind = "dataset"
source = "reviews.csv"

[stage.clean]
kind = "preprocess"
tables = { reviews = "reviews" }
sql = "SELECT text, label FROM reviews WHERE length(text) > 3"

[stage.split]
kind = "split"
table = "clean"
stratify = "label"
parts = { train = 0.6, validation = 0.2, test = 0.2 }

[stage.frozen]
kind = "freeze"
model = "encoder"
trainable_layers = 0

[stage.tune]
kind = "finetune"
model = "frozen"
train = "split.train"
validation = "split.validation"
task = "text-classification"
labels = ["bad", "good"]
epochs = 4
batch_size = 8
learning_rate = 0.05

[stage.test]
kind = "evaluate"
model = "tune"
table = "split.test"
metrics = ["accuracy", "f1"]
gate = { accuracy = ">= 0" }
"#;

/// A project with the pipeline, its model and its reviews.
pub(crate) fn project() -> Project {
    let project = Project::with(PIPELINE);
    project.write("reviews.csv", reviews(120));
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-bert");
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        let bytes = std::fs::read(model.join(file)).expect("it is in the repository");
        project.write(&format!("tiny-bert/{file}"), bytes);
    }
    project
}

/// Rows of a table with the columns `text` and `label`; of 120 rows every text is another.
pub(crate) fn reviews(rows: usize) -> String {
    let mut table = String::from("text,label\n");
    for row in 0..rows {
        let (words, label) = if row % 2 == 0 {
            (GOOD, "good")
        } else {
            (BAD, "bad")
        };
        let (word, thing) = (words[row / 2 % 6], THINGS[row / 12 % 5]);
        let very = "very ".repeat(row / 60);
        let _ = writeln!(table, "{very}{word} {thing},{label}");
    }
    table
}

/// The tensors of the model in `folder`, in all its files: name → shape and bytes.
pub(crate) fn weights(folder: &Path) -> BTreeMap<String, (Vec<usize>, Vec<u8>)> {
    let mut tensors = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path
            .extension()
            .is_none_or(|extension| extension != "safetensors")
        {
            continue;
        }
        let bytes = std::fs::read(&path).expect("readable");
        let file = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
        for (name, tensor) in file.iter() {
            let value = (tensor.shape().to_vec(), tensor.data().to_vec());
            let twice = tensors.insert(name.to_string(), value);
            assert!(twice.is_none(), "{name} is in two files");
        }
    }
    tensors
}
