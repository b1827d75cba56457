//! What trains in which epochs: at once, the head before the rest, or layer by layer.

use std::collections::BTreeMap;

use super::EpochFigures;
use crate::error::{Error, Result};
use crate::models::{Anatomy, Resolved};

/// When the parameters that a freeze plan lets train begin to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Unfreezing {
    /// All in the first epoch.
    #[default]
    AtOnce,
    /// The head in the first epoch, and one layer more in each that follows (arXiv:1801.06146).
    LayerByLayer,
    /// From an epoch on, counted from 1, what lies at this depth. Before the first of them the head alone trains.
    ByEpoch(BTreeMap<usize, Depth>),
}

/// How much of a network trains, as far as the freeze plan lets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// The head, and so many of the last layers with what comes after them.
    Layers(usize),
    /// Everything.
    All,
}

/// Epochs in which the same parameters train.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// The first of them, counted from 1. The last is the one before the next phase.
    pub from: usize,
    /// What is frozen in them.
    pub plan: Resolved,
}

impl Phase {
    /// How often it was measured in the phase after the best of `history`, counted from 1.
    pub(super) fn waited(&self, history: &[EpochFigures], best: usize) -> usize {
        let own = history.iter().filter(|known| known.epoch >= self.from);
        own.count().min(history.len() - best)
    }
}

impl Unfreezing {
    /// The phases of a training of so many `epochs`, in order; each freezes no more than the one before it, and none more than `plan`.
    ///
    /// # Errors
    /// More layers than the network has; epochs in which nothing trains.
    pub fn phases(&self, plan: &Resolved, anatomy: &Anatomy, epochs: usize) -> Result<Vec<Phase>> {
        let mut phases = match self {
            Self::AtOnce => vec![Phase {
                from: 1,
                plan: plan.clone(),
            }],
            Self::LayerByLayer => layer_by_layer(plan, anatomy),
            Self::ByEpoch(depths) => by_epoch(depths, plan, anatomy)?,
        };
        phases.retain(|phase| phase.from <= epochs);
        Ok(phases)
    }
}

/// A phase of one epoch for each layer that has something to train.
fn layer_by_layer(plan: &Resolved, anatomy: &Anatomy) -> Vec<Phase> {
    let layers = anatomy.layers().into_iter().rev();
    let blocks = std::iter::once(anatomy.blocks.len())
        .chain(layers)
        .chain([0]);
    let mut steps: Vec<Resolved> = blocks
        .filter_map(|block| plan.above(block, &anatomy.parameters))
        .collect();
    steps.dedup();
    let phase = |(index, plan)| Phase {
        from: index + 1,
        plan,
    };
    steps.into_iter().enumerate().map(phase).collect()
}

fn by_epoch(
    depths: &BTreeMap<usize, Depth>,
    plan: &Resolved,
    anatomy: &Anatomy,
) -> Result<Vec<Phase>> {
    let head_first = (!depths.contains_key(&1)).then_some((1, Depth::Layers(0)));
    let all = depths.iter().map(|(epoch, depth)| (*epoch, *depth));
    let mut phases: Vec<Phase> = Vec::new();
    for (from, depth) in head_first.into_iter().chain(all) {
        let block = match depth {
            Depth::All => 0,
            Depth::Layers(count) => anatomy.first_of_last_layers(count).ok_or_else(|| {
                anatomy.sharing(Error::stage(format!(
                    "{count} layers are to train from epoch {from} on, but the network has {}",
                    anatomy.layers().len()
                )))
            })?,
        };
        let plan = plan.above(block, &anatomy.parameters).ok_or_else(|| {
            Error::stage(format!(
                "nothing trains in epoch {from}: the `freeze` stage leaves neither the head nor a layer as deep"
            ))
            .help("let more train from the first epoch on")
        })?;
        if phases.last().is_none_or(|last| last.plan != plan) {
            phases.push(Phase { from, plan });
        }
    }
    Ok(phases)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use burn::module::ParamId;

    use super::*;
    use crate::models::{FreezePlan, Parameter, Part};

    /// A parameter a block.
    fn anatomy() -> Anatomy {
        let blocks = ["embeddings", "layer.0", "layer.1", "layer.2", "head"].map(String::from);
        let parameter = |(block, name): (usize, &String)| Parameter {
            name: format!("{name}.weight"),
            full_name: format!("{name}.weight"),
            shape: vec![1],
            block,
            head: name == "head",
            used: true,
            part: Part::Own,
            id: ParamId::new(),
        };
        Anatomy {
            parameters: blocks.iter().enumerate().map(parameter).collect(),
            blocks: blocks.to_vec(),
            batch_norms: BTreeSet::new(),
            shared: None,
        }
    }

    /// The first epoch and the prefix of each phase.
    fn phases(unfreezing: &Unfreezing, plan: &FreezePlan, epochs: usize) -> Vec<(usize, usize)> {
        let anatomy = anatomy();
        let plan = plan.resolve(&anatomy).expect("a good plan");
        let phases = unfreezing.phases(&plan, &anatomy, epochs).expect("phases");
        let pair = |phase: &Phase| (phase.from, phase.plan.prefix);
        phases.iter().map(pair).collect()
    }

    fn by_epoch(depths: &[(usize, Depth)]) -> Unfreezing {
        Unfreezing::ByEpoch(depths.iter().copied().collect())
    }

    #[test]
    fn layers_unfreeze_one_by_one_from_the_last() {
        let all = FreezePlan::default();
        let expected = [(1, 4), (2, 3), (3, 2), (4, 1), (5, 0)];
        assert_eq!(phases(&Unfreezing::LayerByLayer, &all, 9), expected);
        assert_eq!(phases(&Unfreezing::LayerByLayer, &all, 2), expected[..2]);
        assert_eq!(phases(&Unfreezing::AtOnce, &all, 9), [(1, 0)]);
    }

    #[test]
    fn what_the_plan_freezes_stays_frozen_and_costs_no_epoch() {
        let plan = FreezePlan {
            frozen: vec!["layer.2.*".into(), "embeddings.*".into()],
            ..FreezePlan::default()
        };
        let expected = [(1, 4), (2, 2), (3, 1)];
        assert_eq!(phases(&Unfreezing::LayerByLayer, &plan, 9), expected);
        let last = by_epoch(&[(3, Depth::All)]);
        assert_eq!(phases(&last, &plan, 9), [(1, 4), (3, 1)]);
    }

    #[test]
    fn a_table_says_how_many_layers_train_from_an_epoch_on() {
        let table = by_epoch(&[
            (1, Depth::Layers(1)),
            (2, Depth::Layers(3)),
            (5, Depth::All),
        ]);
        assert_eq!(
            phases(&table, &FreezePlan::default(), 9),
            [(1, 3), (2, 1), (5, 0)]
        );
        let layers = FreezePlan {
            trainable_layers: Some(1),
            ..FreezePlan::default()
        };
        assert_eq!(phases(&table, &layers, 9), [(1, 3)]);
    }

    #[test]
    fn what_has_just_begun_to_train_gets_its_chance() {
        let phases = Unfreezing::LayerByLayer
            .phases(
                &FreezePlan::default().resolve(&anatomy()).expect("a plan"),
                &anatomy(),
                9,
            )
            .expect("phases");
        let waited = |phase: usize, epoch, best| {
            let figures = |epoch| EpochFigures {
                epoch,
                step: None,
                train_loss: 1.0,
                validation: BTreeMap::new(),
            };
            let history: Vec<_> = (1..=epoch).map(figures).collect();
            phases[phase].waited(&history, best)
        };
        assert_eq!(waited(0, 4, 1), 3);
        assert_eq!(waited(3, 4, 1), 1);
        assert_eq!(waited(3, 6, 5), 1);
    }

    #[test]
    fn too_many_layers_and_epochs_without_anything_are_refused() {
        let refusal = |unfreezing: &Unfreezing, plan: &FreezePlan| {
            let plan = plan.resolve(&anatomy()).expect("a good plan");
            let error = unfreezing
                .phases(&plan, &anatomy(), 9)
                .expect_err("refused");
            error.message().to_string()
        };
        let four = by_epoch(&[(2, Depth::Layers(4))]);
        let message = refusal(&four, &FreezePlan::default());
        assert!(message.contains("the network has 3"), "{message}");
        let no_head = FreezePlan {
            frozen: vec!["head.*".into()],
            ..FreezePlan::default()
        };
        let message = refusal(&by_epoch(&[(2, Depth::All)]), &no_head);
        assert!(
            message.starts_with("nothing trains in epoch 1"),
            "{message}"
        );
        assert_eq!(phases(&Unfreezing::LayerByLayer, &no_head, 9)[0], (1, 3));
    }
}
