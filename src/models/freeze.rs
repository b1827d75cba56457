//! Which parameters train: a plan over parameter names, and what it comes to for one network.

mod pattern;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

pub use pattern::Pattern;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Parameter, Part};
use crate::error::{Error, Result};

/// What to freeze. An empty plan freezes nothing.
///
/// The lists hold [patterns](Pattern) of parameter names. The head trains unless `frozen` names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FreezePlan {
    /// Patterns of parameters that stay as they are, whatever the other settings say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub frozen: Vec<String>,
    /// Patterns of the only parameters that train, beside the head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trainable: Option<Vec<String>>,
    /// How many of the last layers train, with what comes after them; 0 for the head alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trainable_layers: Option<usize>,
    /// Whether only biases train, beside the head (Ben Zaken et al. 2022, arXiv:2106.10199).
    #[serde(skip_serializing_if = "is_off")]
    pub bitfit: bool,
    /// Whether batch normalisations train even in blocks that are frozen otherwise, as in fastai.
    #[serde(skip_serializing_if = "is_off")]
    pub train_bn: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_off(setting: &bool) -> bool {
    !setting
}

impl FreezePlan {
    /// Whether it freezes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// As it is written in a `freeze` stage: `trainable_layers = 2, frozen = ["*.bias"]`.
impl fmt::Display for FreezePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = serde_json::to_value(self).map_err(|_| fmt::Error)?;
        let settings = settings.as_object().into_iter().flatten();
        let settings = settings.map(|(name, value)| format!("{name} = {value}"));
        f.write_str(&settings.collect::<Vec<_>>().join(", "))
    }
}

/// What a plan is applied to: the parts of a network by name.
#[derive(Clone, Debug)]
pub struct Anatomy {
    /// The names of the blocks, in order.
    pub blocks: Vec<String>,
    /// The parameters, in the order of their blocks.
    pub parameters: Vec<Parameter>,
    /// The indices of the parameters that are weights and biases of batch normalisations.
    pub batch_norms: BTreeSet<usize>,
    /// How many layers run with the weights of these blocks, where these are fewer.
    pub shared: Option<usize>,
}

/// What a plan comes to for one network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// For each parameter whether it stays as it is, in the order of [`Network::parameters`](super::Network::parameters).
    pub frozen: Vec<bool>,
    /// How many blocks come before the first one with a parameter that trains.
    pub prefix: usize,
}

impl FreezePlan {
    /// Applies the plan to a network.
    ///
    /// # Errors
    /// A pattern that is none or that matches nothing; more trainable layers than there are; batch normalisations or biases to train
    /// where there are none; nothing left to train.
    pub fn resolve(&self, anatomy: &Anatomy) -> Result<Resolved> {
        Resolved::new(self.stays(anatomy)?, &anatomy.parameters).ok_or_else(|| {
            Error::stage("nothing is left to train: every parameter is frozen, the head too")
                .help("take the head out of `frozen`, or let more train")
        })
    }

    /// How many blocks of a network come before the first one with a parameter that trains: all but the last, the head's, if none does.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve), but that nothing is left to train.
    pub fn prefix(&self, anatomy: &Anatomy) -> Result<usize> {
        let resolved = Resolved::new(self.stays(anatomy)?, &anatomy.parameters);
        let below_head = anatomy.blocks.len().saturating_sub(1);
        Ok(resolved.map_or(below_head, |resolved| resolved.prefix))
    }

    /// For each parameter whether it stays as it is, which may be so for all.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve), but that nothing is left to train.
    pub fn stays(&self, anatomy: &Anatomy) -> Result<Vec<bool>> {
        let parameters = &anatomy.parameters;
        let named_trainable = self
            .trainable
            .as_ref()
            .map(|list| all(list, parameters))
            .transpose()?;
        let named_frozen = all(&self.frozen, parameters)?;
        let first_block = self.first_block(anatomy)?;
        self.check_train_bn(anatomy)?;
        self.check_bitfit(anatomy)?;
        let adapted = anatomy.has_adapters();
        let trains = |index: usize, parameter: &Parameter| {
            let wanted = named_trainable
                .as_ref()
                .is_none_or(|named| named.contains(&index))
                && parameter.block >= first_block
                && (!self.bitfit || is_bias(parameter))
                && (!adapted || parameter.part != Part::Own);
            let norm = self.train_bn && anatomy.batch_norms.contains(&index);
            (wanted || norm || parameter.head) && parameter.used && !named_frozen.contains(&index)
        };
        let frozen = parameters
            .iter()
            .enumerate()
            .map(|(index, parameter)| !trains(index, parameter));
        let frozen: Vec<bool> = frozen.collect();
        let mut adapters = parameters.iter().zip(&frozen);
        if adapted && adapters.all(|(known, frozen)| *frozen || known.part != Part::Adapter) {
            return Err(Error::stage(
                "the network has adapters, and the freeze plan lets none train",
            )
            .note(format!("the plan: {self}"))
            .help("leave out the stage `freeze`: with adapters the rest stays as it is"));
        }
        Ok(frozen)
    }

    /// The first block that `trainable_layers` lets train.
    fn first_block(&self, anatomy: &Anatomy) -> Result<usize> {
        self.trainable_layers.map_or(Ok(0), |wanted| {
            anatomy.first_of_last_layers(wanted).ok_or_else(|| {
                anatomy.sharing(Error::stage(format!(
                    "`trainable_layers` is {wanted}, but the network has {} layers",
                    anatomy.layers().len()
                )))
            })
        })
    }

    /// Refuses `train_bn` for a network to which it means nothing.
    ///
    /// # Errors
    /// A network without batch normalisations.
    pub fn check_train_bn(&self, anatomy: &Anatomy) -> Result<()> {
        if self.train_bn && anatomy.batch_norms.is_empty() {
            return Err(Error::stage(
                "`train_bn` is set, but the network has no batch normalisation",
            )
            .help("leave it out"));
        }
        Ok(())
    }

    /// Refuses `bitfit` for a network to which it means nothing.
    ///
    /// # Errors
    /// A network without biases below its head.
    pub fn check_bitfit(&self, anatomy: &Anatomy) -> Result<()> {
        if self.bitfit && anatomy.has_adapters() {
            return Err(Error::stage(
                "`bitfit` lets biases alone train, and the network has adapters",
            )
            .help("keep either the stage `lora` or `bitfit`"));
        }
        let bias = |parameter: &Parameter| !parameter.head && is_bias(parameter);
        if self.bitfit && !anatomy.parameters.iter().any(bias) {
            return Err(
                Error::stage("`bitfit` is set, but no parameter below the head is a bias")
                    .help("choose what trains with `trainable_layers` or `trainable`"),
            );
        }
        Ok(())
    }
}

impl Anatomy {
    /// Whether layers have adapters, so that nothing else below the head trains.
    #[must_use]
    pub fn has_adapters(&self) -> bool {
        let mut parameters = self.parameters.iter();
        parameters.any(|known| known.part == Part::Adapter)
    }

    /// The indices of those blocks that are a row of like layers: their names end in a number.
    #[must_use]
    pub fn layers(&self) -> Vec<usize> {
        let is_layer = |name: &String| {
            let last = name.rsplit('.').next();
            last.is_some_and(|last| last.parse::<usize>().is_ok())
        };
        (0..self.blocks.len())
            .filter(|index| is_layer(&self.blocks[*index]))
            .collect()
    }

    /// Adds to an error about the number of layers that some of them are the same.
    #[must_use]
    pub fn sharing(&self, error: Error) -> Error {
        match self.shared {
            Some(shared) => error.note(format!(
                "its {shared} layers share the weights of {}, which freeze and train as one layer each",
                self.layers().len()
            )),
            None => error,
        }
    }

    /// The first block of the last `count` layers; none if there are fewer layers.
    ///
    /// For no layer it is the end of the network: what comes after the layers was pretrained too.
    #[must_use]
    pub fn first_of_last_layers(&self, count: usize) -> Option<usize> {
        let layers = self.layers();
        match count {
            0 => Some(self.blocks.len()),
            _ => Some(layers[layers.len().checked_sub(count)?]),
        }
    }
}

impl Resolved {
    /// None if everything is frozen.
    fn new(frozen: Vec<bool>, parameters: &[Parameter]) -> Option<Self> {
        let trained = parameters
            .iter()
            .zip(&frozen)
            .filter(|(_, frozen)| !**frozen);
        let prefix = trained.map(|(parameter, _)| parameter.block).min()?;
        Some(Self { frozen, prefix })
    }

    /// Whether any of the parameters of `block` trains.
    #[must_use]
    pub fn trains(&self, block: usize, parameters: &[Parameter]) -> bool {
        let mut parameters = parameters.iter().zip(&self.frozen);
        parameters.any(|(parameter, frozen)| parameter.block == block && !frozen)
    }

    /// The same with everything below `block` frozen too, but for the head. None if nothing is left.
    #[must_use]
    pub fn above(&self, block: usize, parameters: &[Parameter]) -> Option<Self> {
        let frozen = self.frozen.iter().zip(parameters);
        let frozen =
            frozen.map(|(frozen, parameter)| *frozen || !parameter.head && parameter.block < block);
        Self::new(frozen.collect(), parameters)
    }
}

/// The indices of the parameters that any of `patterns` matches.
fn all(patterns: &[String], parameters: &[Parameter]) -> Result<BTreeSet<usize>> {
    let mut found = BTreeSet::new();
    for pattern in patterns {
        found.extend(Pattern::parse(pattern)?.matching(parameters)?);
    }
    Ok(found)
}

/// Whether a parameter is what a layer adds, of a norm or of anything else.
fn is_bias(parameter: &Parameter) -> bool {
    parameter.name.rsplit('.').next() == Some("bias")
}
