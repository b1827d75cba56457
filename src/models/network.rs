//! A network as a row of named blocks, whatever its architecture.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use burn::module::{Module, ParamGroup, ParamId};
use burn::tensor::{Tensor, TensorData};

use serde_json::{Map, Value};

use super::architecture::Blocks;
use super::backbones::Backbone;
use super::export::Library;
use super::heads::{InnerConfig, PredictionHead};
use super::naming::Names;
use super::weights::{self, Base, Target};
use super::{
    Activations, Anatomy, Card, FreezePlan, Lora, Part, Pooling, Resolved, adapters, folder,
};
use crate::error::{Error, Result};

mod adapted;
mod load;
#[cfg(test)]
mod tests;

pub use load::Loaded;

/// A network of any architecture: a backbone, whose blocks end with one vector a sample, and a head, the last block. Where the head takes
/// the state of every token, the blocks that pool let them pass.
///
/// It is loaded on a plain device. `Module::train` gives a copy on the autodiff device, where dropout is active;
/// `Module::valid` gives back a plain one.
#[derive(Module, Debug)]
pub struct Network {
    backbone: Backbone,
    head: PredictionHead,
    #[module(skip)]
    names: Names,
    /// The `config.json` that it was loaded with.
    #[module(skip)]
    config: Map<String, Value>,
    /// What its adapters are, if layers have some.
    #[module(skip)]
    lora: Option<Lora>,
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
    /// What it has to do with adapters.
    pub part: Part,
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

impl Network {
    fn backbone(&self) -> &dyn Blocks {
        self.backbone.inner()
    }

    /// The names of its blocks, in order: `embeddings`, `encoder.layer.0`, …, `pooler`, `classifier`.
    #[must_use]
    pub fn blocks(&self) -> Vec<String> {
        let mut blocks = self.backbone().blocks();
        blocks.push(self.names.head.block.into());
        blocks
    }

    /// Its parameters in the order of their blocks.
    ///
    /// # Panics
    /// Never: loading refuses a network with a parameter in no block.
    #[must_use]
    pub fn parameters(&self) -> Vec<Parameter> {
        self.placed().expect("loading has placed every parameter")
    }

    /// Its parameters, each with its block.
    ///
    /// # Errors
    /// A parameter that belongs to none.
    fn placed(&self) -> Result<Vec<Parameter>> {
        let blocks = self.blocks();
        let parameters = weights::parameters(self).into_iter().map(|seen| {
            let (name, head) = self.names.of(&seen.path);
            let block = self.names.block(&name, &blocks).ok_or_else(|| {
                Error::stage(format!(
                    "the parameter `{name}` belongs to no block of {}",
                    self.names.architecture.name
                ))
                .note(format!("its blocks: {}", blocks.join(", ")))
                .help("this is a mistake in refire: its names of this architecture need mending")
            })?;
            Ok(Parameter {
                full_name: self.names.full(&seen.path),
                shape: seen.shape,
                block,
                head,
                used: self.is_used(&name) && !self.lets_pass(block),
                part: self.part(&name),
                id: seen.id,
                name,
            })
        });
        parameters.collect()
    }

    /// What a freeze plan is applied to.
    #[must_use]
    pub fn anatomy(&self) -> Anatomy {
        let parameters = self.parameters();
        let norms = weights::norms(self).into_iter();
        let of_norms: BTreeSet<ParamId> = norms.flat_map(|norm| [norm.weight, norm.bias]).collect();
        let batch_norms = (0..parameters.len())
            .filter(|index| of_norms.contains(&parameters[*index].id))
            .collect();
        Anatomy {
            blocks: self.blocks(),
            parameters,
            batch_norms,
            shared: self.backbone().shares_layers(),
        }
    }

    /// Applies a freeze plan to its parameters.
    ///
    /// # Errors
    /// As [`FreezePlan::resolve`].
    pub fn resolve(&self, plan: &FreezePlan) -> Result<Resolved> {
        plan.resolve(&self.anatomy())
    }

    /// The running statistics of its batch normalisations: no parameters, but numbers that its blocks depend on.
    #[must_use]
    pub fn statistics(&self) -> Vec<Parameter> {
        let parameters = self.parameters();
        let mut statistics = Vec::new();
        for norm in weights::norms(self) {
            let Some(weight) = parameters.iter().find(|known| known.id == norm.weight) else {
                continue;
            };
            let renamed = |name: &str, to: &str| {
                format!("{}{to}", name.strip_suffix("weight").unwrap_or(name))
            };
            statistics.extend(norm.statistics.into_iter().map(|(field, id)| Parameter {
                name: renamed(&weight.name, field),
                full_name: renamed(&weight.full_name, field),
                id,
                ..weight.clone()
            }));
        }
        statistics
    }

    /// The network with gradients turned off for what `resolved` freezes, and on for the rest. Batch normalisations in blocks that are
    /// frozen as a whole keep their running statistics, and normalise with them.
    #[must_use]
    pub fn freeze(self, resolved: &Resolved) -> Self {
        let parameters = self.parameters();
        let (frozen, trained): (Vec<_>, Vec<_>) = parameters
            .iter()
            .zip(&resolved.frozen)
            .partition(|(_, frozen)| **frozen);
        let (moving, still): (Vec<_>, Vec<_>) = weights::norms(&self)
            .into_iter()
            .filter_map(|norm| {
                let weight = parameters.iter().find(|known| known.id == norm.weight)?;
                Some((norm.training, weight.block))
            })
            .partition(|(_, block)| resolved.trains(*block, &parameters));
        let group = |ids: Vec<(ParamId, usize)>| {
            ParamGroup::from_ids(ids.into_iter().map(|(id, _)| id).collect())
        };
        let ids = |parameters: &[(&Parameter, &bool)]| {
            ParamGroup::from_ids(
                parameters
                    .iter()
                    .map(|(parameter, _)| parameter.id)
                    .collect(),
            )
        };
        self.set_require_grad_group(ids(&frozen), false)
            .set_require_grad_group(ids(&trained), true)
            .freeze_group(group(still))
            .unfreeze_group(group(moving))
    }

    /// All its numbers, running statistics too: path → values.
    #[must_use]
    pub fn numbers(&self) -> BTreeMap<String, TensorData> {
        weights::numbers(self)
    }

    /// The network with `numbers`, as [`numbers`](Self::numbers) gives them, in place of its own; what they leave out stays. None if
    /// they are not of such a network.
    #[must_use]
    pub fn with_numbers(self, numbers: BTreeMap<String, TensorData>) -> Option<Self> {
        weights::with_numbers(self, numbers)
    }

    /// Runs the blocks `blocks` on the activations that the block before them gives.
    ///
    /// # Panics
    /// If the activations are not of the kind that the first block takes.
    #[must_use]
    pub fn forward(&self, blocks: Range<usize>, x: Activations) -> Activations {
        let backbone = self.backbone();
        let depth = backbone.blocks().len();
        blocks.fold(x, |x, block| {
            if self.lets_pass(block) {
                x
            } else if block < depth {
                backbone.forward(block, x)
            } else {
                self.head.forward(x, || backbone.embedding())
            }
        })
    }

    /// The outputs for a batch, `[rows, outputs]`: runs the blocks from block `from` on. With `places` there is a row for each of these
    /// tokens, sample by sample, and the head sees no others; without, there is a row for each text or image of the batch.
    ///
    /// # Panics
    /// As [`forward`](Self::forward) and [`Activations::at`].
    #[must_use]
    pub fn outputs(&self, from: usize, x: Activations, places: Option<&[Vec<u32>]>) -> Tensor<2> {
        let head = self.backbone().blocks().len();
        let Some(places) = places else {
            return self.forward(from..head + 1, x).into_logits();
        };
        if from > head {
            // The head is frozen, too, and has given what it has to say of every token.
            return match x.at(places) {
                Activations::Pooled(logits) => logits,
                _ => unreachable!("tokens that are picked out are a row each"),
            };
        }
        let x = self.forward(from..head, x).at(places);
        self.forward(head..head + 1, x).into_logits()
    }

    /// Whether a block of the backbone pools although the head wants the state of every token, and is passed by.
    fn lets_pass(&self, block: usize) -> bool {
        let backbone = self.backbone();
        self.names.head.kind.takes_tokens()
            && block < backbone.blocks().len()
            && backbone
                .hidden_blocks()
                .is_some_and(|hidden| block >= hidden)
    }

    /// How many of its first blocks give the last hidden states of a text's tokens, a vector each; none for networks that take no
    /// texts.
    #[must_use]
    pub fn hidden_blocks(&self) -> Option<usize> {
        self.backbone().hidden_blocks()
    }

    /// How the states of a text's tokens become one vector; none for networks that have one way only.
    pub(super) fn pooling(&self) -> Option<Pooling> {
        self.backbone().pooling()
    }

    /// How many numbers its backbone gives for a sample.
    pub(super) fn width(&self) -> usize {
        self.backbone().width()
    }

    /// What its parameters are called.
    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// What the layer before the last of its head is, if there is one over one vector a sample.
    pub(super) fn inner(&self) -> Option<InnerConfig> {
        self.head.inner()
    }

    /// What loads it in Python.
    pub(super) fn library(&self) -> Library {
        self.backbone().library(self.names.head)
    }

    /// Everything but its weights that decides what its blocks compute, in words.
    #[must_use]
    pub fn signature(&self) -> String {
        self.backbone().signature()
    }

    /// The most tokens that a text may have; none for networks without such a limit.
    #[must_use]
    pub fn max_tokens(&self) -> Option<usize> {
        self.backbone().max_tokens()
    }

    /// How many different token ids it knows; none for networks that take no tokens.
    #[must_use]
    pub fn vocabulary(&self) -> Option<usize> {
        self.backbone().vocabulary()
    }

    /// How many types of tokens it tells apart, such as those of the first and the second text of a pair; none for networks that take no
    /// tokens.
    #[must_use]
    pub fn token_types(&self) -> Option<usize> {
        self.backbone().token_types()
    }

    /// The only height and width that its images may have, in pixels; none for networks that take any.
    #[must_use]
    pub fn image_size(&self) -> Option<usize> {
        self.backbone().image_size()
    }

    /// The least height and width that its images may have, in pixels.
    #[must_use]
    pub fn least_image_size(&self) -> usize {
        self.backbone().least_image_size()
    }

    /// Writes `config.json`, `model.safetensors` and `refire.json` into `folder`. The same weights and card give the
    /// same bytes; what `transformers`, `timm` or torchvision need to load it is there.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn save(&self, folder: &Path, card: &Card) -> Result<()> {
        self.save_to(Target { folder, base: None }, card)
    }

    /// The same for a network that was made from the model in the folder `base`: its files of weights that hold nothing but what is the
    /// same as there are used again, and what else is the same has a file of its own, so that it need not be stored anew.
    ///
    /// # Errors
    /// Those of the disk; a base that cannot be read.
    pub fn save_beside(&self, base: &Path, folder: &Path, card: &Card) -> Result<()> {
        let key = Card::read(base)?.checkpoint_key;
        let base = Base {
            folder: base,
            key: key.as_deref(),
        };
        let base = Some(base);
        self.save_to(Target { folder, base }, card)
    }

    /// The `config.json` of a network with the outputs that `card` names.
    pub(super) fn written_config(&self, card: &Card) -> Map<String, Value> {
        let mut config = match self.names.class() {
            Some(class) => folder::classifier_config(&self.config, class, card),
            None => folder::timm_config(&self.config, &card.labels),
        };
        self.backbone().complete(&mut config);
        config
    }

    fn save_to(&self, to: Target<'_>, card: &Card) -> Result<()> {
        let mut card = card.clone();
        // What is written has one set of weights.
        card.checkpoint_key = None;
        card.pooling = self.backbone().pooling().or(card.pooling);
        folder::write_config(to.folder, &self.written_config(&card))?;
        // What nothing reads is kept for a later tuning, but is none of what a library expects.
        let spare = |known: &Parameter| to.base.is_none() && self.lets_pass(known.block);
        let spare = self.parameters().into_iter().filter(spare);
        let spare: BTreeSet<String> = spare.map(|known| known.full_name).collect();
        let name_of = |path: &str| {
            let name = self.names.full(path);
            (!spare.contains(&name)).then_some(name)
        };
        let architecture = self.config.get("architecture").and_then(Value::as_str);
        let architecture = architecture.unwrap_or_default();
        let checkpoint = self.names.architecture.naming.checkpoint;
        let canonical = |name: &str| checkpoint(name, architecture);
        weights::write(self, to, name_of, |name| adapters::renamed(name, canonical))?;
        card.write(to.folder)
    }
}
