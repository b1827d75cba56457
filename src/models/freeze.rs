//! Which parameters train: a plan of patterns over Hugging Face parameter names, and what it comes to for one network.

use std::collections::BTreeSet;

use globset::{GlobBuilder, GlobMatcher};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Parameter;
use crate::error::{Error, Result};

/// What to freeze. An empty plan freezes nothing.
///
/// A pattern is a glob over whole parameter names, as Hugging Face names them, with or without the name of the base
/// model in front: `encoder.layer.0.*`, `*.LayerNorm.*`, `bert.embeddings.*`; `*` crosses dots. The head trains unless
/// `frozen` names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FreezePlan {
    /// Patterns of parameters that stay as they are, whatever the other settings say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub frozen: Vec<String>,
    /// Patterns of the only parameters that train, beside the head.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trainable: Vec<String>,
    /// How many of the last layers train, with what comes after them; 0 for the head alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trainable_layers: Option<usize>,
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
    /// Applies the plan to the `parameters` of a network with these `blocks`.
    ///
    /// # Errors
    /// A pattern that is not a glob or that matches nothing; more trainable layers than there are; nothing left to train.
    pub fn resolve(&self, blocks: &[String], parameters: &[Parameter]) -> Result<Resolved> {
        let trainable = matches(&self.trainable, parameters)?;
        let named_frozen = matches(&self.frozen, parameters)?;
        let first_trained_block = self.first_trained_block(blocks)?;
        let frozen: Vec<bool> = parameters
            .iter()
            .enumerate()
            .map(|(index, parameter)| {
                let trains = parameter.head
                    || ((self.trainable.is_empty() || trainable.contains(&index))
                        && parameter.block >= first_trained_block);
                !trains || !parameter.used || named_frozen.contains(&index)
            })
            .collect();
        let prefix = parameters
            .iter()
            .zip(&frozen)
            .filter(|(_, frozen)| !**frozen)
            .map(|(parameter, _)| parameter.block)
            .min()
            .ok_or_else(|| {
                Error::stage("nothing is left to train: the freeze settings cover every parameter")
                    .help("name fewer parameters in `frozen`")
            })?;
        Ok(Resolved { frozen, prefix })
    }

    /// The first block that `trainable_layers` lets train.
    fn first_trained_block(&self, blocks: &[String]) -> Result<usize> {
        let Some(wanted) = self.trainable_layers else {
            return Ok(0);
        };
        let layers: Vec<usize> = (0..blocks.len())
            .filter(|index| is_layer(&blocks[*index]))
            .collect();
        if wanted > layers.len() {
            return Err(Error::stage(format!(
                "`trainable_layers` is {wanted}, but the network has {} layers",
                layers.len()
            )));
        }
        // With no layer left, what comes after the layers was pretrained too, and stays as it is; the head trains anyway.
        Ok(match wanted {
            0 => blocks.len(),
            _ => layers[layers.len() - wanted],
        })
    }
}

/// Whether the block is one of a row of equal layers: its name ends in a number.
pub(super) fn is_layer(block: &str) -> bool {
    block
        .rsplit('.')
        .next()
        .is_some_and(|last| last.parse::<usize>().is_ok())
}

/// The indices of the parameters that any of `patterns` matches.
fn matches(patterns: &[String], parameters: &[Parameter]) -> Result<BTreeSet<usize>> {
    let mut all = BTreeSet::new();
    for pattern in patterns {
        let matcher = compile(pattern)?;
        let found: Vec<usize> = (0..parameters.len())
            .filter(|index| {
                let parameter = &parameters[*index];
                matcher.is_match(&parameter.name) || matcher.is_match(&parameter.full_name)
            })
            .collect();
        if found.is_empty() {
            return Err(matches_nothing(pattern, parameters));
        }
        all.extend(found);
    }
    Ok(all)
}

fn compile(pattern: &str) -> Result<GlobMatcher> {
    GlobBuilder::new(pattern)
        .literal_separator(false)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|error| {
            Error::stage(format!("`{pattern}` is not a pattern"))
                .because(&error)
                .help("a pattern is a glob over parameter names, such as \"encoder.layer.0.*\"")
        })
}

fn matches_nothing(pattern: &str, parameters: &[Parameter]) -> Error {
    let mut known = BTreeSet::new();
    for parameter in parameters {
        for name in [&parameter.name, &parameter.full_name] {
            let parents = name
                .match_indices('.')
                .map(|(dot, _)| format!("{}.*", &name[..dot]));
            known.extend(parents);
            known.insert(name.clone());
        }
    }
    Error::stage(format!("the pattern `{pattern}` matches no parameter"))
        .did_you_mean(pattern, known.iter().map(String::as_str))
        .note(format!(
            "the parameters go from `{}` to `{}`; `*` stands for any part of a name",
            parameters.first().map_or("", |first| &first.name),
            parameters.last().map_or("", |last| &last.name),
        ))
}
