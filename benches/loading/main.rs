//! Loading weights: how much memory that takes at most, and how long it takes to open and hash them beside reading and hashing alone.
//!
//! `cargo bench --bench loading -- MODEL_FOLDER`, where `make.py` makes such folders. Memory is the most that the process ever had, less
//! what it had before (Linux only). Times are of pairs, one after the other, and their ratio is the median of the pairs', which a busy
//! machine disturbs less.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use refire::models::{self, Modality, Network};
use refire::store::Store;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PAIRS: usize = 9;

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#[expect(
    clippy::cast_precision_loss,
    reason = "sizes of memory stay far below 2^53"
)]
fn main() {
    let folder = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with("--"));
    let Some(folder) = folder.map(PathBuf::from) else {
        println!("usage: cargo bench --bench loading -- MODEL_FOLDER");
        return;
    };
    let mut ratios: Vec<f64> = (0..PAIRS).map(|_| ratio(&folder)).collect();
    ratios.sort_by(f64::total_cmp);
    println!(
        "opening and hashing / reading and hashing: {:.2} ({:.2} to {:.2})",
        ratios[PAIRS / 2],
        ratios[0],
        ratios[PAIRS - 1]
    );
    let before = most_memory();
    let begun = Instant::now();
    let device = models::device("cpu").expect("every build has a CPU");
    let loaded = Network::open_encoder(&folder, Modality::Texts, &device);
    let network = loaded.expect("the model loads").network;
    let seconds = begun.elapsed().as_secs_f64();
    let weights: usize = network
        .parameters()
        .iter()
        .map(|known| 4 * known.size())
        .sum();
    let peak = most_memory() - before;
    println!(
        "loading {} MB: {seconds:.2} s, {} MB at most, {:.2} of the weights as f32",
        weights / 1_000_000,
        peak / 1_000_000,
        peak as f64 / weights as f64
    );
}

/// How much longer it takes to open and hash the weights than to read and hash them.
fn ratio(folder: &Path) -> f64 {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let files = entries.map(|entry| entry.expect("readable").path());
    let files: Vec<PathBuf> = files.filter(|path| models::is_weights(path)).collect();
    let begun = Instant::now();
    let mut piece = vec![0; 1 << 20];
    for file in &files {
        let mut hasher = blake3::Hasher::new();
        let mut file = File::open(file).expect("readable");
        loop {
            match file.read(&mut piece).expect("readable") {
                0 => break,
                read => hasher.update_rayon(&piece[..read]),
            };
        }
        std::hint::black_box(hasher.finalize());
    }
    let alone = begun.elapsed();
    let cache = tempfile::tempdir().expect("a folder");
    let store = Store::open(&cache.path().join("cache")).expect("a cache");
    let begun = Instant::now();
    for file in &files {
        std::hint::black_box(store.hash_path(file).expect("readable"));
    }
    std::hint::black_box(Network::outline(folder).expect("it opens"));
    begun.elapsed().as_secs_f64() / alone.as_secs_f64()
}

/// The most memory in bytes that the process has had.
fn most_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    1024 * kilobytes
        .and_then(|number| number.parse::<usize>().ok())
        .expect("a number")
}
