//! Training: the loop and its parts. Knows no pipeline, no stage and no cache; what it needs of them comes by `Host`.

mod batches;
mod gradients;
pub mod metrics;
mod objective;
mod optimizer;
mod schedule;
mod seeds;

pub use gradients::Gradients;
pub use optimizer::{AdamW, AdamWSettings, Trained};
pub use schedule::{Schedule, Shape};
