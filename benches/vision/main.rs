//! Speed of the frozen prefix of MobileNetV2, side by side with `peer.py`: images a second forwards.
//!
//! `cargo bench --bench vision -- MODEL_FOLDER`, a folder of MobileNetV2, with `RAYON_NUM_THREADS` set to the number of threads of the
//! peer. The figures are the least of several rounds. With `--cpu-time` they are processor time, which a busy machine
//! disturbs less (Linux only).

#[path = "../clock/mod.rs"]
mod clock;

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use refire::models::{self, Activations, Network};

use clock::now;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 32;
const SIZES: [usize; 2] = [160, 224];
const ROUNDS: usize = 9;

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn main() {
    let folder = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with("--"));
    let Some(folder) = folder else {
        println!("usage: cargo bench --bench vision -- MODEL_FOLDER");
        return;
    };
    let device = models::device("cpu").expect("every build has a CPU");
    let network = Network::open(Path::new(&folder), &device)
        .expect("the model loads")
        .network;
    for size in SIZES {
        let time = forward(&network, size, &device);
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let rate = BATCH as f64 / time;
        println!(
            "forward {BATCH} x {size}²: {:.1} ms, {rate:.0} images/s",
            time * 1e3
        );
    }
}

/// Everything but the head.
fn forward(network: &Network, size: usize, device: &Device) -> f64 {
    let blocks = 0..network.blocks().len() - 1;
    let pixels: Vec<f32> = (0..BATCH * 3 * size * size)
        .map(|place| f32::from(u8::try_from(place % 251).expect("a byte")) / 125.0 - 1.0)
        .collect();
    let once = || {
        let pixels = TensorData::new(pixels.clone(), [BATCH, 3, size, size]);
        let images = Activations::Images(Tensor::from_data(pixels, device));
        let start = now();
        let _ = network.forward(blocks.clone(), images);
        now() - start
    };
    once();
    (0..ROUNDS).map(|_| once()).fold(f64::INFINITY, f64::min)
}
