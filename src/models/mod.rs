//! Networks and what belongs to them: architectures, weights, tokenizers, freezing, devices. It knows no stage and no
//! training loop.
//!
//! A new architecture is one file here, a variant of [`Network`] and a row in [`ARCHITECTURES`].

pub mod bert;
mod card;

mod device;
mod dropout;
mod folder;
mod freeze;
mod head;
mod network;
mod tokenizer;
mod weights;

pub use card::{CARD_FILE, Card, Frozen};
pub use device::{device, device_class};
pub use folder::{copy_companions, copy_folder};
pub use freeze::{FreezePlan, Resolved};
pub use head::{Head, Pooling, Task};
pub use network::{
    ARCHITECTURES, Activations, Architecture, Loaded, Network, Parameter, TokenBatch,
};
pub use tokenizer::{Encoded, Tokenizer};
