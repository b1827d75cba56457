//! Speed of MiniLM, side by side with `peer.py`: tokens a second forwards, seconds a training step.
//!
//! `cargo bench --bench bert -- MODEL_FOLDER`, with `RAYON_NUM_THREADS` set to the peer's number of threads. The figures are
//! the least of several rounds. With `--cpu-time` they are processor time, which a busy machine disturbs less (Linux only).

#[path = "../clock/mod.rs"]
mod clock;

use std::path::PathBuf;

use burn::module::{Module, ParamGroup};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Int, Tensor, TensorData};
use refire::models::{self, Activations, Head, Modality, Network, Pooling, Problem, TokenBatch};

use clock::now;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 32;
const ROUNDS: usize = 7;

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn main() {
    let folder = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with("--"));
    let Some(folder) = folder.map(PathBuf::from) else {
        println!("usage: cargo bench --bench bert -- MODEL_FOLDER");
        return;
    };
    let device = models::device("cpu").expect("every build has a CPU");
    let head = Head {
        modality: Modality::Texts,
        problem: Problem::default(),
        labels: vec!["negative".into(), "positive".into()],
        embedding_size: None,
        pooling: Some(Pooling::Mean),
        dropout: None,
        seed: 0,
    };
    let network = Network::load(&folder, &head, &device)
        .expect("the model loads")
        .network;
    for tokens in [32, 128] {
        let time = forward(&network, tokens, &device);
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let rate = (BATCH * tokens) as f64 / time;
        println!(
            "forward {BATCH} x {tokens}: {:.1} ms, {rate:.0} tokens/s",
            time * 1e3
        );
        let (gradients, whole) = step(&network, tokens, &device.clone().autodiff());
        println!(
            "training step {BATCH} x {tokens}: {:.1} ms, {:.1} ms without the optimizer",
            whole * 1e3,
            gradients * 1e3
        );
    }
}

/// Full rows of made-up token ids.
fn batch(tokens: usize, device: &Device) -> TokenBatch {
    let ids: Vec<i32> = (1000..)
        .step_by(7919)
        .map(|id| id % 20000)
        .take(BATCH * tokens)
        .collect();
    TokenBatch {
        ids: Tensor::<2, Int>::from_data(TensorData::new(ids, [BATCH, tokens]), device),
        mask: Tensor::ones([BATCH, tokens], device),
        types: None,
    }
}

fn forward(network: &Network, tokens: usize, device: &Device) -> f64 {
    let blocks = 0..network.blocks().len();
    least(|| {
        let tokens = Activations::Tokens(batch(tokens, device));
        let start = now();
        let _ = network
            .forward(blocks.clone(), tokens)
            .into_logits()
            .into_data();
        now() - start
    })
}

/// Forwards and backwards; and with AdamW too.
fn step(network: &Network, tokens: usize, device: &Device) -> (f64, f64) {
    let mut trained = Some(network.clone().train());
    let adamw = AdamWConfig::new().with_epsilon(1e-8);
    let none = ParamGroup::from_ids(Vec::new());
    let mut optimizer = adamw.init().with_group(none, adamw.build(), None);
    let blocks = 0..network.blocks().len();
    let mut gradients = Vec::new();
    let whole = least(|| {
        let network = trained.take().expect("put back");
        let targets: Vec<i32> = (0..2).cycle().take(BATCH).collect();
        let start = now();
        let tokens = Activations::Tokens(batch(tokens, device));
        let logits = network.forward(blocks.clone(), tokens).into_logits();
        let targets = Tensor::<1, Int>::from_data(&targets[..], device);
        let loss = CrossEntropyLossConfig::new()
            .init(device)
            .forward(logits, targets);
        let found = GradientsParams::from_grads(loss.backward(), &network);
        gradients.push(now() - start);
        trained = Some(optimizer.step(3e-5, network, found));
        now() - start
    });
    let gradients = gradients.into_iter().fold(f64::INFINITY, f64::min);
    (gradients, whole)
}

fn least(mut once: impl FnMut() -> f64) -> f64 {
    once();
    (0..ROUNDS).map(|_| once()).fold(f64::INFINITY, f64::min)
}
