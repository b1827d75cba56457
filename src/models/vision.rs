//! What the image architectures have in common: the account of a checkpoint, parameters by block, `config.json` as timm
//! writes it.

use std::collections::BTreeMap;

use burn::module::Initializer;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::Device;
use serde_json::{Map, Value};

use super::folder::{self, ModelFolder};
use super::image_input::Variant;
use super::own_head::OwnHead;
use super::weights::{self, Account, Checkpoint, Reading, Seen, Shapes, Target};
use super::{Head, Parameter, head};
use crate::error::Result;

/// How the tensors of an architecture are called.
pub(super) struct Naming {
    /// A module's path → the name that the library of the weights uses.
    pub(super) parameter: fn(&str) -> String,
    /// A name in a checkpoint, maybe another library's → the same.
    pub(super) checkpoint: fn(&str) -> String,
    /// A name → the name of the block that it belongs to.
    pub(super) block: fn(&str) -> &str,
    /// Whether a checkpoint's tensor belongs to something that the network goes without, such as the head of another task.
    pub(super) spare: fn(&str) -> bool,
    /// The block of the head.
    pub(super) head: &'static str,
    /// What stands before all names but the head's in a checkpoint, for libraries that nest a base model in a classifier.
    pub(super) base: &'static str,
}

impl Naming {
    fn is_head(&self, name: &str) -> bool {
        (self.block)(name) == self.head
    }

    fn full(&self, name: &str) -> String {
        if self.base.is_empty() || self.is_head(name) {
            name.to_string()
        } else {
            format!("{}.{name}", self.base)
        }
    }
}

/// Fills `network`, which has a head of its own that is drawn anew, with the checkpoint in `folder`. The checkpoint's
/// head is taken if it is for the labels of `head`.
pub(super) fn fill<M: Module>(
    network: M,
    naming: &'static Naming,
    folder: &ModelFolder,
    head: &Head,
    reading: Reading,
) -> Result<(M, Account)> {
    let checkpoint = open(naming, folder)?;
    fill_from(checkpoint, network, naming, folder, head, reading)
}

/// The checkpoint in `folder`.
pub(super) fn open(naming: &Naming, folder: &ModelFolder) -> Result<Checkpoint> {
    let mut checkpoint = Checkpoint::open(&folder.path, naming.checkpoint)?;
    checkpoint.remove(is_count);
    Ok(checkpoint)
}

/// [`fill`] with the checkpoint of `folder` that is open already.
pub(super) fn fill_from<M: Module>(
    mut checkpoint: Checkpoint,
    network: M,
    naming: &'static Naming,
    folder: &ModelFolder,
    head: &Head,
    reading: Reading,
) -> Result<(M, Account)> {
    let own_head = OwnHead::settle(head, folder, &mut checkpoint, |name| naming.is_head(name))?;
    let (network, mut account) = checkpoint.fill(
        network,
        naming.parameter,
        |name| naming.is_head(name),
        reading,
    )?;
    account.refuse_left_over(naming.spare)?;
    own_head.report(head, &mut account);
    Ok((network, account))
}

/// Whether a checkpoint's tensor only says how many batches a normalisation has seen. PyTorch makes it anew where it is
/// missing, and nothing here depends on it.
fn is_count(name: &str) -> bool {
    name.ends_with(".num_batches_tracked")
}

/// A linear layer for the labels of `head`, with weights drawn from its seed.
pub(super) fn new_head(inputs: usize, head: &Head, device: &Device) -> Linear {
    let linear = LinearConfig::new(inputs, head.labels.len())
        .with_initializer(Initializer::Zeros)
        .init(device);
    head::classifier(linear, HEAD_STD, head.seed, device)
}

/// A head for no label, where only the rest of a network matters.
pub(super) fn no_head(inputs: usize, device: &Device) -> Linear {
    LinearConfig::new(inputs, 0)
        .with_initializer(Initializer::Zeros)
        .init(device)
}

/// Standard deviation of a new head's weights, as torchvision draws those of MobileNetV2.
const HEAD_STD: f64 = 0.01;

/// The first `parts` parts of a dotted name.
pub(super) fn first(name: &str, parts: usize) -> &str {
    match name.match_indices('.').nth(parts - 1) {
        Some((end, _)) => &name[..end],
        None => name,
    }
}

/// The parameters of `network`, without the running statistics.
pub(super) fn parameters<M: Module>(
    network: &M,
    naming: &Naming,
    blocks: &[String],
) -> Vec<Parameter> {
    weights::parameters(network)
        .into_iter()
        .map(|seen| {
            let name = (naming.parameter)(&seen.path);
            let block = (naming.block)(&name);
            Parameter {
                full_name: naming.full(&name),
                shape: seen.shape,
                block: blocks
                    .iter()
                    .position(|known| known == block)
                    .unwrap_or_default(),
                head: block == naming.head,
                used: true,
                id: seen.id,
                name,
            }
        })
        .collect()
}

/// Writes `config.json`, which is `config` with these labels, and the weights.
pub(super) fn save<M: Module>(
    network: &M,
    naming: &Naming,
    to: Target<'_>,
    config: &Map<String, Value>,
    labels: &[String],
) -> Result<()> {
    let mut config = config.clone();
    config.insert("num_classes".into(), labels.len().into());
    config.insert("label_names".into(), labels.into());
    folder::write_config(to.folder, &config)?;
    write(network, naming, to)
}

/// Writes the weights.
pub(super) fn write<M: Module>(network: &M, naming: &Naming, to: Target<'_>) -> Result<()> {
    let name_of = |path: &str| naming.full(&(naming.parameter)(path));
    weights::write(network, to, name_of, naming.checkpoint)
}

/// The variant whose every parameter below the head is among `shapes`. `outline` is a variant's network without values.
pub(super) fn recognise<M: Module>(
    variants: &'static [Variant],
    outline: impl Fn(&Variant) -> M,
    naming: &Naming,
    shapes: &Shapes<'_>,
) -> Option<&'static str> {
    let renamed: BTreeMap<String, &[usize]> = shapes
        .iter()
        .map(|(name, shape)| ((naming.checkpoint)(name), *shape))
        .collect();
    let is_there = |seen: &Seen| {
        let name = (naming.parameter)(&seen.path);
        naming.is_head(&name) || renamed.get(&name) == Some(&&seen.shape[..])
    };
    let has_all = |variant: &&Variant| weights::parameters(&outline(variant)).iter().all(is_there);
    // Where one variant is the beginning of another, the one that explains more of the tensors comes last.
    let variant = variants.iter().rfind(has_all)?;
    Some(variant.name)
}

#[cfg(test)]
mod tests;
