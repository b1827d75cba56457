//! A network as a row of named blocks, whatever its architecture.

use std::ops::Range;
use std::path::{Path, PathBuf};

use burn::module::{Module, ParamGroup, ParamId};
use burn::tensor::{Device, Int, Tensor};

use super::bert::Bert;
use super::folder::ModelFolder;
use super::weights::{Account, Reading};
use super::{Card, FreezePlan, Head, Resolved, Task};
use crate::error::{Error, Result};

/// A kind of network, and how to recognise and load it.
#[derive(Debug)]
pub struct Architecture {
    /// Its name.
    pub name: &'static str,
    /// The `model_type` in `config.json`.
    pub model_type: &'static str,
    load: fn(&ModelFolder, &Head, Reading, &Device) -> Result<(Network, Account)>,
}

/// Every architecture.
pub const ARCHITECTURES: &[Architecture] = &[Architecture {
    name: "BERT",
    model_type: "bert",
    load: |folder, head, reading, device| {
        Bert::load(folder, head, reading, device)
            .map(|(bert, account)| (Network::Bert(bert), account))
    },
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

impl Parameter {
    /// How many numbers it holds.
    #[must_use]
    pub fn size(&self) -> usize {
        self.shape.iter().product()
    }
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
        read(ModelFolder::open(folder)?, head, Reading::Values, device)
    }

    /// Loads a tuned model from `folder`, with its own head.
    ///
    /// # Errors
    /// As [`load`](Self::load); also a model without labels or without a classifier.
    pub fn open(folder: &Path, device: &Device) -> Result<Loaded> {
        let folder = ModelFolder::open(folder)?;
        let head = own_head(&folder);
        let path = folder.path.clone();
        let loaded = read(folder, &head, Reading::Values, device)?;
        if head.labels.is_empty() || !loaded.missing.is_empty() {
            return Err(Error::stage(format!(
                "the model in `{}` has no classifier yet",
                path.display()
            ))
            .help("tune it first: a stage of kind `finetune`"));
        }
        Ok(loaded)
    }

    /// The network in `folder` without the values of its weights, for looking at its blocks and parameters. Its head is
    /// the one that it has, or one without labels.
    ///
    /// # Errors
    /// As [`load`](Self::load), except for what only reading the values would show.
    pub fn outline(folder: &Path) -> Result<Loaded> {
        let folder = ModelFolder::open(folder)?;
        let head = own_head(&folder);
        read(folder, &head, Reading::Headers, &Device::flex())
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
        match self {
            Self::Bert(bert) => bert.parameters(),
        }
    }

    /// Applies a freeze plan to its parameters.
    ///
    /// # Errors
    /// As [`FreezePlan::resolve`].
    pub fn resolve(&self, plan: &FreezePlan) -> Result<Resolved> {
        plan.resolve(&self.blocks(), &self.parameters())
    }

    /// The network with gradients turned off for what `resolved` freezes.
    #[must_use]
    pub fn freeze(self, resolved: &Resolved) -> Self {
        let frozen = self
            .parameters()
            .into_iter()
            .zip(&resolved.frozen)
            .filter(|(_, frozen)| **frozen)
            .map(|(parameter, _)| parameter.id);
        let group = ParamGroup::from_ids(frozen.collect());
        self.set_require_grad_group(group, false)
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

    /// Everything but its weights that decides what its blocks compute, in words.
    #[must_use]
    pub fn signature(&self) -> String {
        match self {
            Self::Bert(bert) => bert.signature(),
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
        let mut card = card.clone();
        match self {
            Self::Bert(bert) => {
                card.pooling = Some(bert.pooling());
                bert.save(folder, &card.labels)?;
            }
        }
        card.write(folder)
    }
}

/// The head that the model in `folder` has.
fn own_head(folder: &ModelFolder) -> Head {
    Head {
        task: folder.card.task.unwrap_or(Task::TextClassification),
        labels: folder.labels(),
        pooling: None,
        dropout: None,
        seed: 0,
    }
}

fn read(folder: ModelFolder, head: &Head, reading: Reading, device: &Device) -> Result<Loaded> {
    let model_type = folder
        .config
        .get("model_type")
        .and_then(|value| value.as_str())
        .unwrap_or_default();
    let Some(architecture) = ARCHITECTURES
        .iter()
        .find(|known| known.model_type == model_type)
    else {
        let known: Vec<&str> = ARCHITECTURES.iter().map(|known| known.model_type).collect();
        return Err(Error::stage(format!(
            "`{}` names the model type `{model_type}`, which refire does not know",
            folder.path.join("config.json").display()
        ))
        .note(format!("known model types: {}", known.join(", "))));
    };
    let (network, account) = (architecture.load)(&folder, head, reading, device)?;
    Ok(Loaded {
        network,
        card: folder.card,
        missing: account.missing,
        unused: account.unused,
        file: account.file,
    })
}
