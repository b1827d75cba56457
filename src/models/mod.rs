//! Networks and what belongs to them: architectures, weights, tokenizers, freezing, devices. It knows no stage and no
//! training loop.
//!
//! A new architecture is one file here, a variant of [`Network`] and a row of [`ARCHITECTURES`].

mod activations;
mod architecture;
mod batch_norm;
mod bert;
mod card;
mod convolution;
mod device;
mod efficientnet;
mod export;
mod folder;
mod freeze;
mod head;
#[cfg(test)]
mod hostile;
mod image_input;
mod kernels;
mod mobilenet;
mod network;
mod operations;
mod own_head;
mod pooling;
mod resnet;
mod resnet_cifar;
#[cfg(test)]
pub(crate) mod small;
mod tokenizer;
mod transformer;
mod vision;
mod vit;
mod weights;

pub use activations::{Activations, TokenBatch};
pub use architecture::{ARCHITECTURES, Architecture};
pub use card::{CARD_FILE, Card, Frozen, Training, TunedBy};
pub use device::{DEVICES, DeviceKind, device, device_class, reseed};
pub use export::export;
pub use folder::{copy_companions, copy_folder, labels, write_config};
pub use freeze::{Anatomy, FreezePlan, Pattern, Resolved};
pub use head::{Head, Modality, Pooling, Problem};
pub use image_input::{ImageInput, architectures, bare_config};
pub use network::{Loaded, Network, Parameter};
pub use tokenizer::{Encoded, Tokenizer, Truncation, copy_tokenizer};
pub use weights::Saved;
