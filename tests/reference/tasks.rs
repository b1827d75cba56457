//! Every task against transformers and PyTorch, by `tasks.py`: the losses of AdamW's first ten steps without dropout, on texts, on pairs
//! of texts and on images.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::tensor::Tensor;
use refire::config::{Parts, Table};
use refire::error::Source;
use refire::inputs::texts::{Encoder, Sentences};
use refire::models::{self, Activations, Head, Loaded, Network, Pooling, TokenBatch, Truncation};
use refire::tasks;
use refire::train::{Gradients, Loss, Optimizer, Rows, Targets, Texts, Trained};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::vision::{Made, folder, named_images, report};

#[derive(Deserialize)]
struct Reference {
    pos_weight: Vec<f64>,
    huber_delta: f64,
    max_length: usize,
    texts: Vec<String>,
    seconds: Vec<String>,
    tokens: BTreeMap<String, Tokens>,
    text: Vec<TextCase>,
    image: Vec<ImageCase>,
}

#[derive(Deserialize)]
struct Tokens {
    input_ids: Vec<Vec<u32>>,
    token_type_ids: Vec<Vec<u32>>,
}

#[derive(Deserialize)]
struct TextCase {
    pairs: bool,
    pooling: Pooling,
    #[serde(flatten)]
    case: Case,
}

#[derive(Deserialize)]
struct ImageCase {
    network: Made,
    #[serde(flatten)]
    case: Case,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    task: String,
    outputs: usize,
    loss: String,
    settings: Settings,
    targets: Vec<Value>,
    batches: Vec<Vec<usize>>,
    losses: Vec<f64>,
}

#[derive(Deserialize)]
struct Settings {
    learning_rate: f64,
    weight_decay: f64,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("tasks.json")).expect("what the script writes")
}

impl Case {
    fn names(&self) -> Vec<String> {
        (0..self.outputs)
            .map(|output| format!("output {output}"))
            .collect()
    }

    fn task(&self) -> &'static tasks::Task {
        tasks::find(&self.task).expect("a task")
    }

    /// What training makes small, as a pipeline asks for it.
    fn loss(&self, reference: &Reference) -> std::sync::Arc<dyn Loss> {
        let weights = self.names().into_iter().zip(&reference.pos_weight);
        let weights = weights.map(|(name, weight)| format!("\"{name}\" = {weight}"));
        let settings = match self.loss.as_str() {
            "cross_entropy" | "bce" | "mse" => String::new(),
            "bce_pos_weight" => {
                format!(
                    "pos_weight = {{ {} }}",
                    weights.collect::<Vec<_>>().join(", ")
                )
            }
            "mae" => "loss = \"mae\"".into(),
            "huber" => format!(
                "loss = \"huber\"\nhuber_delta = {:.1}",
                reference.huber_delta
            ),
            other => panic!("the script writes no loss {other}"),
        };
        let source = std::sync::Arc::new(Source::new("settings", settings));
        let table = Table::parse(&source).expect("TOML");
        let task = self.task();
        let reading = task.targets.parse(&mut Parts::new(&table), task.modality);
        let loss = reading
            .expect("settings")
            .loss(&self.names(), &self.targets(0..self.targets.len()));
        loss.expect("a loss")
    }

    fn targets(&self, rows: impl IntoIterator<Item = usize>) -> Targets {
        let rows = rows.into_iter().map(|row| &self.targets[row]);
        let number = |value: &Value| {
            #[expect(clippy::cast_possible_truncation, reason = "targets are f32")]
            let number = value.as_f64().expect("a number") as f32;
            number
        };
        if self.loss == "cross_entropy" {
            let class = |value: &Value| u32::try_from(value.as_u64().expect("a class"));
            return Targets::Classes(rows.map(|row| class(row).expect("small")).collect());
        }
        let numbers = rows.flat_map(|row| match row {
            Value::Array(numbers) => numbers.iter().map(number).collect(),
            one => vec![number(one)],
        });
        let rows = Rows {
            width: self.outputs,
            numbers: numbers.collect(),
        };
        if self.loss.starts_with("bce") {
            Targets::Sets(rows)
        } else {
            Targets::Numbers(rows)
        }
    }

    fn head(&self, pooling: Option<Pooling>) -> Head {
        let task = self.task();
        Head {
            modality: task.modality,
            problem: task.targets.problem(),
            labels: self.names(),
            embedding_size: None,
            pooling,
            dropout: Some(0.0),
            seed: 0,
        }
    }

    /// The worst relative difference of a step's loss.
    fn train(
        &self,
        network: Network,
        loss: &dyn Loss,
        input: impl Fn(&[usize]) -> Activations,
    ) -> f64 {
        let mut network = network.train();
        let trained = network.parameters().into_iter().filter(|known| known.used);
        let trained = trained.map(|parameter| Trained::new(parameter, 1.0));
        let mut optimizer = Optimizer::adamw(self.settings.weight_decay, trained.collect());
        let mut worst = 0.0_f64;
        for (step, expected) in self.losses.iter().enumerate() {
            let batch = &self.batches[step % self.batches.len()];
            let targets = self.targets(batch.iter().copied());
            let blocks = 0..network.blocks().len();
            let outputs = network.forward(blocks, input(batch)).into_logits();
            let found = loss.sum(outputs, &targets, loss.weight(&targets));
            let value = f64::from(found.clone().into_scalar::<f32>());
            worst = worst.max((value - expected).abs() / expected);
            let gradients = Gradients::new(&network, found.backward());
            (network, _) = optimizer.step(network, &gradients, self.settings.learning_rate);
        }
        report(&format!(
            "{}: worst relative difference {worst:e}",
            self.name
        ));
        worst
    }

    fn load(&self, folder: &Path, pooling: Option<Pooling>) -> Loaded {
        let device = models::device("cpu").expect("every build has a CPU");
        let loaded = Network::load(folder, &self.head(pooling), &device).expect("it loads");
        assert!(
            loaded.missing.is_empty(),
            "{}: {:?}",
            self.name,
            loaded.missing
        );
        loaded
    }
}

/// The tiny BERT without dropout, with the head of a case.
fn tiny_bert(case: &Case) -> tempfile::TempDir {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let folder = tempfile::tempdir().expect("a temporary folder");
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        let from = root.join("data/tiny-bert").join(file);
        if from.exists() {
            std::fs::copy(from, folder.path().join(file)).expect("copied");
        }
    }
    let read = |path: &str| std::fs::read(root.join(path)).expect("it is committed");
    let config = read("data/tiny-bert/config.json");
    let mut config: Map<String, Value> = serde_json::from_slice(&config).expect("JSON");
    for (key, value) in &mut config {
        if key.contains("dropout") {
            *value = json!(0.0);
        }
    }
    let names = case.names().into_iter().enumerate();
    let names: Map<String, Value> = names
        .map(|(id, name)| (id.to_string(), json!(name)))
        .collect();
    config.insert("id2label".into(), names.into());
    config.insert(
        "problem_type".into(),
        json!(case.task().targets.problem().name()),
    );
    models::write_config(folder.path(), &config).expect("written");
    let (body, heads) = (
        read("data/tiny-bert/model.safetensors"),
        read("reference/tasks.safetensors"),
    );
    let body = safetensors::SafeTensors::deserialize(&body).expect("safetensors");
    let heads = safetensors::SafeTensors::deserialize(&heads).expect("safetensors");
    let prefix = format!("{}/", case.name);
    let own = heads
        .iter()
        .filter_map(|(name, view)| Some((name.strip_prefix(&prefix)?, view)));
    let all = body
        .iter()
        .filter(|(name, _)| !name.contains("classifier"))
        .chain(own);
    let all = all.map(|(name, view)| (name.to_owned(), view));
    let path = folder.path().join("model.safetensors");
    safetensors::serialize_to_file(all, None, &path).expect("written");
    folder
}

#[test]
fn losses_of_steps_on_texts_and_pairs_are_those_of_transformers() {
    let reference = reference();
    for TextCase {
        pairs,
        pooling,
        case,
    } in &reference.text
    {
        let folder = tiny_bert(case);
        let loaded = case.load(folder.path(), Some(*pooling));
        let sentences = Sentences {
            first: reference.texts.clone(),
            second: pairs.then(|| reference.seconds.clone()),
            apart: Vec::new(),
        };
        let cut = Some(Truncation::LongestFirst);
        let length = Some(reference.max_length);
        let (encoder, _) = Encoder::new(folder.path(), &loaded, length, cut).expect("an encoder");
        let Texts {
            tokens,
            types,
            pad_id,
            ..
        } = encoder.encode(&sentences).expect("encoded").inputs;
        let expected = &reference.tokens[if *pairs { "pairs" } else { "texts" }];
        assert_eq!(tokens, expected.input_ids, "{}", case.name);
        if let Some(types) = &types {
            assert_eq!(types, &expected.token_type_ids, "{}", case.name);
        }
        let device = models::device("cpu").expect("every build has a CPU");
        let worst = case.train(loaded.network, &*case.loss(&reference), |batch| {
            let types = types.as_ref();
            let pair = |row: &usize| {
                let of_row = types.map_or(&[][..], |types| &types[*row][..]);
                (&tokens[*row][..], of_row)
            };
            let pairs: Vec<_> = batch.iter().map(pair).collect();
            Activations::Tokens(TokenBatch::with_types(&pairs, pad_id, &device))
        });
        assert!(worst <= 1e-4, "{}: {worst:e}", case.name);
    }
}

#[test]
fn losses_of_steps_on_images_are_those_of_transformers_and_pytorch() {
    let reference = reference();
    for ImageCase { network, case } in &reference.image {
        let mut config = network.config.clone();
        config.insert("label_names".into(), json!(case.names()));
        let names = case.names().into_iter().enumerate();
        let names: Map<String, Value> = names
            .map(|(id, name)| (id.to_string(), json!(name)))
            .collect();
        config.insert("id2label".into(), names.into());
        config.insert(
            "problem_type".into(),
            json!(case.task().targets.problem().name()),
        );
        let folder = folder(&network.tensors, &config);
        let loaded = case.load(folder.path(), None);
        let images = named_images("images", network.shape);
        let worst = case.train(loaded.network, &*case.loss(&reference), |batch| {
            let rows = batch.iter().map(|row| images.clone().slice(*row..*row + 1));
            let rows: Vec<Tensor<4>> = rows.collect();
            Activations::Images(Tensor::from_inner(Tensor::cat(rows, 0)))
        });
        assert!(worst <= 1e-4, "{}: {worst:e}", case.name);
    }
}

/// One row of `pairs.json`: the tokenizer, both texts, the greatest length, the strategy, and what comes out; nothing if it is refused.
type Row = (
    String,
    String,
    String,
    usize,
    String,
    Option<Vec<u32>>,
    Option<Vec<u32>>,
);

#[test]
fn pairs_are_cut_as_transformers_cuts_them() {
    #[derive(Deserialize)]
    struct Pairs {
        roberta: Value,
        rows: Vec<Row>,
    }
    let pairs: Pairs =
        serde_json::from_str(include_str!("pairs.json")).expect("what the script writes");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-bert");
    let roberta = tempfile::tempdir().expect("a temporary folder");
    for (file, json) in [
        ("tokenizer.json", pairs.roberta),
        ("config.json", json!({ "pad_token_id": 1 })),
    ] {
        let json = serde_json::to_vec(&json).expect("JSON");
        refire::store::write_atomic(&roberta.path().join(file), &json).expect("written");
    }
    let bert = models::Tokenizer::load(&root).expect("a tokenizer");
    let roberta = models::Tokenizer::load(roberta.path()).expect("a tokenizer");
    let mut refused = 0;
    for (tokenizer, first, second, length, strategy, ids, types) in pairs.rows {
        let tokenizer = if tokenizer == "bert" { &bert } else { &roberta };
        let what = format!("{first:?}, {second:?}, {length}, {strategy}");
        let strategy = Truncation::find(&strategy).expect("known");
        let found = tokenizer.encode(&[first], Some(&[second]), length, strategy);
        match (found, ids) {
            (Ok(found), Some(ids)) => {
                assert_eq!(found[0].ids, ids, "{what}");
                assert_eq!(Some(&found[0].types), types.as_ref(), "{what}");
            }
            (Err(_), None) => refused += 1,
            (found, ids) => panic!("{what}: {found:?}, not {ids:?}"),
        }
    }
    assert!(refused > 0, "nothing was too short to be cut");
}
