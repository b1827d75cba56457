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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trainable: Option<Vec<String>>,
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
        let named_trainable = self
            .trainable
            .as_ref()
            .map(|list| all(list, parameters))
            .transpose()?;
        let named_frozen = all(&self.frozen, parameters)?;
        let first_block = self.first_block(blocks)?;
        let trains = |index: usize, parameter: &Parameter| {
            let wanted = named_trainable
                .as_ref()
                .is_none_or(|named| named.contains(&index))
                && parameter.block >= first_block;
            (wanted || parameter.head) && parameter.used && !named_frozen.contains(&index)
        };
        let frozen: Vec<bool> = parameters
            .iter()
            .enumerate()
            .map(|(index, parameter)| !trains(index, parameter))
            .collect();
        let prefix = parameters
            .iter()
            .zip(&frozen)
            .filter(|(_, frozen)| !**frozen)
            .map(|(parameter, _)| parameter.block)
            .min()
            .ok_or_else(|| {
                Error::stage("nothing is left to train: every parameter is frozen, the head too")
                    .help("take the head out of `frozen`, or let more train")
            })?;
        Ok(Resolved { frozen, prefix })
    }

    /// Checks that `pattern` is one.
    ///
    /// # Errors
    /// Broken glob syntax, as a mistake in the file.
    pub fn check_pattern(pattern: &str) -> Result<()> {
        compile(pattern).map(|_| ())
    }

    /// The indices of the parameters that `pattern` matches.
    ///
    /// # Errors
    /// Broken glob syntax; a pattern that matches nothing.
    pub fn matching(pattern: &str, parameters: &[Parameter]) -> Result<Vec<usize>> {
        let glob = compile(pattern)?;
        let is_match =
            |name: &Parameter| glob.is_match(&name.name) || glob.is_match(&name.full_name);
        let found: Vec<usize> = (0..parameters.len())
            .filter(|index| is_match(&parameters[*index]))
            .collect();
        if found.is_empty() {
            return Err(matches_nothing(pattern, parameters));
        }
        Ok(found)
    }

    /// The indices of those `blocks` that are a row of like layers: their names end in a number.
    #[must_use]
    pub fn layers(blocks: &[String]) -> Vec<usize> {
        let is_layer = |name: &String| {
            let last = name.rsplit('.').next();
            last.is_some_and(|last| last.parse::<usize>().is_ok())
        };
        (0..blocks.len())
            .filter(|index| is_layer(&blocks[*index]))
            .collect()
    }

    /// The first block that `trainable_layers` lets train.
    fn first_block(&self, blocks: &[String]) -> Result<usize> {
        let Some(wanted) = self.trainable_layers else {
            return Ok(0);
        };
        let layers = Self::layers(blocks);
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

/// The indices of the parameters that any of `patterns` matches.
fn all(patterns: &[String], parameters: &[Parameter]) -> Result<BTreeSet<usize>> {
    let mut found = BTreeSet::new();
    for pattern in patterns {
        found.extend(FreezePlan::matching(pattern, parameters)?);
    }
    Ok(found)
}

fn compile(pattern: &str) -> Result<GlobMatcher> {
    GlobBuilder::new(pattern)
        .literal_separator(false)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|error| {
            Error::usage(format!("`{pattern}` is not a pattern"))
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

#[cfg(test)]
mod tests {
    use burn::module::ParamId;

    use super::*;

    fn blocks() -> Vec<String> {
        [
            "embeddings",
            "encoder.layer.0",
            "encoder.layer.1",
            "pooler",
            "classifier",
        ]
        .map(String::from)
        .to_vec()
    }

    /// A weight and a bias a block; the pooler is used or not.
    fn parameters(pooler: bool) -> Vec<Parameter> {
        let blocks = blocks();
        let of_block = |(block, name): (usize, &String)| {
            ["weight", "bias"].map(|part| Parameter {
                name: format!("{name}.{part}"),
                full_name: format!("bert.{name}.{part}"),
                shape: vec![2],
                block,
                head: name == "classifier",
                used: pooler || name != "pooler",
                id: ParamId::new(),
            })
        };
        blocks.iter().enumerate().flat_map(of_block).collect()
    }

    /// The names of what trains, and the prefix.
    fn resolve(plan: &FreezePlan, pooler: bool) -> (Vec<String>, usize) {
        let parameters = parameters(pooler);
        let resolved = plan.resolve(&blocks(), &parameters).expect("a good plan");
        let trains = parameters.into_iter().zip(resolved.frozen);
        let names = trains
            .filter(|(_, frozen)| !frozen)
            .map(|(parameter, _)| parameter.name);
        (names.collect(), resolved.prefix)
    }

    fn layers(count: usize) -> FreezePlan {
        FreezePlan {
            trainable_layers: Some(count),
            ..FreezePlan::default()
        }
    }

    #[test]
    fn an_empty_plan_trains_what_is_used() {
        let (trains, prefix) = resolve(&FreezePlan::default(), false);
        assert_eq!((trains.len(), prefix), (8, 0));
        assert!(!trains.contains(&"pooler.weight".to_string()));
        assert_eq!(resolve(&FreezePlan::default(), true).0.len(), 10);
    }

    #[test]
    fn trainable_layers_counts_from_the_end() {
        let head = ["classifier.weight", "classifier.bias"];
        assert_eq!(
            resolve(&layers(0), true),
            (head.map(String::from).to_vec(), 4)
        );
        let (trains, prefix) = resolve(&layers(1), true);
        assert_eq!(trains[0], "encoder.layer.1.weight");
        assert_eq!(trains[2], "pooler.weight");
        assert_eq!((trains.len(), prefix), (6, 2));
        assert_eq!(resolve(&layers(2), true).1, 1);
    }

    #[test]
    fn only_what_is_named_trainable_trains_and_frozen_wins() {
        let plan = FreezePlan {
            trainable: Some(vec!["*.bias".into()]),
            frozen: vec!["bert.embeddings.*".into()],
            trainable_layers: None,
        };
        let (trains, prefix) = resolve(&plan, false);
        let expected = [
            "encoder.layer.0.bias",
            "encoder.layer.1.bias",
            "classifier.weight",
            "classifier.bias",
        ];
        assert_eq!(trains, expected);
        assert_eq!(prefix, 1);
        let nothing_but_head = FreezePlan {
            trainable: Some(Vec::new()),
            ..FreezePlan::default()
        };
        assert_eq!(resolve(&nothing_but_head, false).1, 4);
    }

    #[test]
    fn the_head_stays_only_if_it_is_named() {
        let plan = FreezePlan {
            frozen: vec!["classifier.*".into()],
            trainable_layers: Some(1),
            ..FreezePlan::default()
        };
        let (trains, prefix) = resolve(&plan, false);
        assert_eq!(trains, ["encoder.layer.1.weight", "encoder.layer.1.bias"]);
        assert_eq!(prefix, 2);
    }

    #[test]
    fn a_plan_survives_its_json() {
        let plan = FreezePlan {
            trainable: Some(Vec::new()),
            ..layers(3)
        };
        let json = serde_json::to_string(&plan).expect("serialises");
        assert_eq!(
            serde_json::from_str::<FreezePlan>(&json).expect("reads"),
            plan
        );
    }
}
