//! Random changes of images during training, in timm's words and its order: random resized crop, flips, colour jitter,
//! random erasing.
//!
//! What happens to a sample depends on the seed, the look's number and the sample alone, so neither threads nor resuming change it;
//! and each kind of change draws from a generator of its own, so that switching one on leaves the others as they were.

mod colour;
mod variant;

pub use variant::{Augmentation, Moment, Variant};
