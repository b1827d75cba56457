//! Pairs of texts against transformers, by `make_pairs.py`: states and pooled vectors of a batch with token types.

use std::path::Path;

use burn::tensor::Tensor;
use refire::models::{self, Activations, Head, Modality, Network, Pooling, Problem, TokenBatch};
use serde::Deserialize;

use crate::lessons::{folder, report};

#[derive(Deserialize)]
struct Reference {
    samples: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    ids: Vec<u32>,
    types: Vec<u32>,
    /// Token by token.
    states: Vec<f32>,
    pooled: Vec<f32>,
}

/// The first numbers of each row of a tensor, as many as `expected` has, beside those.
fn worst<const D: usize>(ours: Tensor<D>, expected: impl Iterator<Item = Vec<f32>>) -> f32 {
    let row: usize = ours.dims()[1..].iter().product();
    let ours: Vec<f32> = ours.into_data().try_to_vec().expect("floats");
    let pairs = ours
        .chunks_exact(row)
        .zip(expected)
        .flat_map(|(ours, theirs)| ours.iter().copied().zip(theirs));
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn states_and_pooled_vectors_of_pairs_are_those_of_transformers() {
    let json = std::fs::read(folder().join("pair_states.json")).expect("it is committed");
    let Reference { samples } = serde_json::from_slice(&json).expect("make_pairs.py wrote it");
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-bert");
    let head = Head {
        modality: Modality::Texts,
        problem: Problem::default(),
        labels: vec!["no".into(), "yes".into()],
        embedding_size: None,
        pooling: Some(Pooling::Pooler),
        dropout: None,
        seed: 0,
    };
    let device = models::device("cpu").expect("every build has a CPU");
    let loaded = Network::load(&model, &head, &device).expect("the model loads");
    let network = loaded.network;
    assert_eq!(network.token_types(), Some(2));

    let typed: Vec<(&[u32], &[u32])> = samples
        .iter()
        .map(|sample| (&sample.ids[..], &sample.types[..]))
        .collect();
    let batch = TokenBatch::with_types(&typed, 0, &device);
    let hidden = network.hidden_blocks().expect("it takes texts");
    let x = network.forward(0..hidden, Activations::Tokens(batch));
    let Activations::Hidden { states, .. } = x.clone() else {
        panic!("the encoder gives hidden states");
    };
    let Activations::Pooled(pooled) = network.forward(hidden..hidden + 1, x) else {
        panic!("the pooler gives a vector a sample");
    };
    let states = worst(states, samples.iter().map(|sample| sample.states.clone()));
    let pooled = worst(pooled, samples.iter().map(|sample| sample.pooled.clone()));
    report(&format!(
        "states of pairs: max |Δ| {states:e}, pooled {pooled:e}"
    ));
    assert!(states <= 1e-5, "max |Δ| of the states is {states:e}");
    assert!(
        pooled <= 1e-5,
        "max |Δ| of the pooled vectors is {pooled:e}"
    );
}
