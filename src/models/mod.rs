//! Networks and what belongs to them: architectures, weights, tokenizers, freezing, devices. It knows no stage and no
//! training loop.
//!
//! A network is a backbone and a head on it. A new architecture is one file in `backbones/`, and two lines in its `mod.rs`.

mod activations;
mod adapters;
mod architecture;
mod backbones;
mod card;
mod cpu;
mod device;
mod export;
mod folder;
mod freeze;
mod head;
mod heads;
#[cfg(test)]
mod hostile;
mod image_input;
mod initial;
mod naming;
mod network;
mod own_head;
mod repository;
#[cfg(test)]
pub(crate) mod small;
mod tokenizer;
mod weights;

pub use activations::{Activations, TokenBatch};
pub use adapters::{Layers, Lora, Part};
pub use architecture::Architecture;
pub use backbones::ARCHITECTURES;
pub use card::{CARD_FILE, Card, Frozen, Masking, RandomWeights, Training, TunedBy};
pub use device::{DEVICES, DeviceKind, check_device, device, device_class, reseed};
pub use export::{export, export_adapter};
pub use folder::{config, copy_companions, copy_folder, copy_inputs, labels, write_config};
pub use freeze::{Anatomy, FreezePlan, Pattern, Resolved};
pub use head::{Head, Modality, Pooling, Problem};
pub use image_input::{ImageInput, architectures, bare_config};
pub use initial::Blank;
pub use network::{Loaded, Network, Parameter};
pub use repository::{DESCRIPTIONS, Wanted, wanted};
pub use tokenizer::{
    Cut, Cutting, Encoded, Piece, Pieces, Tokenizer, Truncation, Window, Windows, WordPiece,
    WordTokens, copy_tokenizer, has_tokenizer,
};
pub use weights::{Saved, check_weights, is_index, is_weights, shards};
