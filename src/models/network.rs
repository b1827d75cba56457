//! A network as a row of named blocks, whatever its architecture.

use std::ops::Range;
use std::path::{Path, PathBuf};

use burn::module::{Module, ParamId};
use burn::tensor::{Device, Int, Tensor};

use super::bert::Bert;
use super::{Card, Head};
use crate::error::Result;

/// A kind of network, and how to recognise it.
#[derive(Debug)]
pub struct Architecture {
    /// Its name.
    pub name: &'static str,
    /// The `model_type` in `config.json`.
    pub model_type: &'static str,
}

/// Every architecture.
pub const ARCHITECTURES: &[Architecture] = &[Architecture {
    name: "BERT",
    model_type: "bert",
}];

/// A network of any architecture.
///
/// It is loaded on a plain device. `Module::train` gives a copy on the autodiff device, where dropout is active;
/// `Module::valid` gives back a plain one.
#[derive(Module, Debug)]
pub enum Network {
    /// BERT and its descendants.
    Bert(Bert),
}

/// A batch of token ids.
#[derive(Clone, Debug)]
pub struct TokenBatch {
    /// Token ids, `[batch, tokens]`, filled up with the padding token.
    pub ids: Tensor<2, Int>,
    /// 1 for a token, 0 for padding; `[batch, tokens]`.
    pub mask: Tensor<2>,
}

/// What flows from block to block.
#[derive(Clone, Debug)]
pub enum Activations {
    /// The input of a text network.
    Tokens(TokenBatch),
    /// A vector a token.
    Hidden {
        /// `[batch, tokens, width]`.
        states: Tensor<3>,
        /// 1 for a token, 0 for padding; `[batch, tokens]`.
        mask: Tensor<2>,
    },
    /// One vector a sample: `[batch, width]`.
    Pooled(Tensor<2>),
    /// One number a label: `[batch, labels]`.
    Logits(Tensor<2>),
}

impl Activations {
    /// The logits `[batch, labels]`.
    ///
    /// # Panics
    /// If these are the activations of an earlier block.
    #[must_use]
    pub fn into_logits(self) -> Tensor<2> {
        match self {
            Self::Logits(logits) => logits,
            _ => panic!("these activations are not the last block's"),
        }
    }
}

/// One parameter of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name without the base model's: `encoder.layer.0.attention.self.query.weight`, `classifier.bias`.
    pub name: String,
    /// Its name in Hugging Face's class for the task: `bert.encoder.layer.0.attention.self.query.weight`.
    pub full_name: String,
    /// Its sizes, as in the checkpoint.
    pub shape: Vec<usize>,
    /// The block that it belongs to.
    pub block: usize,
    /// Whether it belongs to the head that the task adds.
    pub head: bool,
    /// Whether the forward pass uses it: a checkpoint's pooler is kept, but mean pooling goes past it.
    pub used: bool,
    /// Burn's name for it.
    pub id: ParamId,
}

/// A loaded network, and the account of its checkpoint.
#[derive(Debug)]
pub struct Loaded {
    /// The network.
    pub network: Network,
    /// What `refire.json` says.
    pub card: Card,
    /// Tensors of the network that the checkpoint did not have, so that they are new: the head's, or none.
    pub missing: Vec<String>,
    /// Tensors of the checkpoint that the network has no place for, such as the heads of other tasks.
    pub unused: Vec<String>,
    /// The checkpoint's file.
    pub file: PathBuf,
}

impl Network {
    /// Loads the model in `folder` and puts `head` on it. A head that the checkpoint already has is kept if its labels
    /// are the same, in the same order; otherwise a new one is drawn from the head's seed.
    ///
    /// # Errors
    /// A folder that is not a model that refire knows, a damaged checkpoint, missing tensors, wrong shapes, a setting
    /// that does not suit the architecture.
    pub fn load(folder: &Path, head: &Head, device: &Device) -> Result<Loaded> {
        let _ = (folder, head, device);
        unimplemented!()
    }

    /// Loads a tuned model from `folder`, with its own head.
    ///
    /// # Errors
    /// As [`load`](Self::load); also a model that was never tuned.
    pub fn open(folder: &Path, device: &Device) -> Result<Loaded> {
        let _ = (folder, device);
        unimplemented!()
    }

    /// The names of its blocks, in order: `embeddings`, `encoder.layer.0`, …, `pooler`, `classifier`.
    #[must_use]
    pub fn blocks(&self) -> Vec<String> {
        match self {
            Self::Bert(bert) => bert.blocks(),
        }
    }

    /// Its parameters in the order of their blocks.
    #[must_use]
    pub fn parameters(&self) -> Vec<Parameter> {
        unimplemented!()
    }

    /// Runs the blocks `blocks` on the activations that the block before them gives.
    ///
    /// # Panics
    /// If the activations are not of the kind that the first block takes.
    #[must_use]
    pub fn forward(&self, blocks: Range<usize>, x: Activations) -> Activations {
        match self {
            Self::Bert(bert) => bert.forward(blocks, x),
        }
    }

    /// The most tokens that a text may have; none for networks without such a limit.
    #[must_use]
    pub fn max_tokens(&self) -> Option<usize> {
        match self {
            Self::Bert(bert) => Some(bert.max_tokens()),
        }
    }

    /// How many different token ids it knows; none for networks that take no tokens.
    #[must_use]
    pub fn vocabulary(&self) -> Option<usize> {
        match self {
            Self::Bert(bert) => Some(bert.vocabulary()),
        }
    }

    /// Writes `config.json`, `model.safetensors` and `refire.json` into `folder`. The same weights and card give the
    /// same bytes; what `transformers` needs to load it is there.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn save(&self, folder: &Path, card: &Card) -> Result<()> {
        let _ = (folder, card);
        unimplemented!()
    }
}
