//! Which tensors of a checkpoint are a network's weights: a training script keeps them under a name of its own, beside the state of its
//! optimizer and, maybe, a second set that is their running average.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{advice, list};
use crate::error::{Error, Result};

/// What `torch.compile`, FSDP and activation checkpointing put into names wherever they wrap a part of a network.
const WITHIN: [&str; 3] = [
    "_orig_mod",
    "_fsdp_wrapped_module",
    "_checkpoint_wrapped_module",
];

/// Names under which training scripts keep a network's weights, and under which wrappers, such as `DataParallel` and the modules of
/// Lightning, keep a network.
const LIKELY: [&str; 16] = [
    "model",
    "module",
    "net",
    "network",
    "weights",
    "params",
    "student",
    "teacher",
    "ema",
    "model_ema",
    "ema_model",
    "net_ema",
    "params_ema",
    "module_ema",
    "ema_network",
    "_forward_module",
];

/// What optimizers call their moments: Adam and its relatives, and SGD with momentum.
const MOMENTS: [&str; 3] = ["exp_avg", "exp_avg_sq", "momentum_buffer"];

/// How many averages `torch.optim.swa_utils.AveragedModel` has taken, beside the network in it.
const COUNT: &str = "n_averaged";

/// More wrappers than any network is in.
const DEEPEST: usize = 16;

/// The tensors of a checkpoint that are a network's weights.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Set {
    /// What all their names begin with, with its last dot; empty for the whole file.
    prefix: String,
    /// First parts of names, behind the prefix, that belong to a training script.
    beside: BTreeSet<String>,
}

impl Set {
    /// The weights among the tensors `names` of the checkpoint `file`, those under `key` if that is given; and what the user should know
    /// of the choice.
    ///
    /// # Errors
    /// Several sets of weights, if there is no key; nothing under the key; an optimizer's state alone.
    pub(super) fn choose(
        file: &Path,
        names: &BTreeSet<&str>,
        key: Option<&str>,
    ) -> Result<(Self, Option<String>)> {
        let mut prefix = match key {
            None | Some("") => String::new(),
            Some(key) => format!("{key}."),
        };
        let mut passed = BTreeSet::new();
        if !names.is_empty() && !names.iter().any(|name| name.starts_with(&prefix)) {
            return Err(nothing_under(file, names, key.unwrap_or_default()));
        }
        for depth in 0.. {
            let groups = Groups::of(names, &prefix);
            groups.refuse_optimizer_alone(file)?;
            if prefix.is_empty() && key == Some("") {
                return Ok((Self::default(), None));
            }
            let sets = if depth < DEEPEST {
                groups.sets()
            } else {
                Vec::new()
            };
            let set = match sets.as_slice() {
                [] => {
                    let beside = groups.with_moments();
                    passed.extend(beside.iter().map(|name| format!("{prefix}{name}")));
                    let told = told(file, &prefix, &passed);
                    return Ok((Self { prefix, beside }, told));
                }
                [set] => *set,
                sets => return Err(several(file, &prefix, sets, &groups)),
            };
            let others = groups.names().filter(|name| *name != set && *name != COUNT);
            passed.extend(others.map(|name| format!("{prefix}{name}")));
            prefix = format!("{prefix}{set}.");
        }
        Ok((Self::default(), None))
    }

    /// Whether the tensor called `name` in the file is one of them.
    pub(super) fn holds(&self, name: &str) -> bool {
        let rest = name.strip_prefix(&self.prefix);
        rest.is_some_and(|rest| !self.beside.contains(first(rest)))
    }

    /// The name of one of them without what is only the training script's.
    pub(super) fn name(&self, name: &str) -> String {
        let rest = name.strip_prefix(&self.prefix).unwrap_or(name);
        if !WITHIN.iter().any(|wrapper| rest.contains(wrapper)) {
            return rest.to_string();
        }
        let parts = rest.split('.').filter(|part| !WITHIN.contains(part));
        parts.collect::<Vec<_>>().join(".")
    }

    /// Whether it is the whole file.
    pub(super) fn is_all(&self) -> bool {
        self.prefix.is_empty() && self.beside.is_empty()
    }
}

/// The part of a name before its first dot.
fn first(name: &str) -> &str {
    name.split('.').next().unwrap_or_default()
}

/// The tensors under a prefix by the first part of their names: that part → the rest of each; an empty rest if there is none.
struct Groups<'n>(BTreeMap<&'n str, BTreeSet<&'n str>>);

impl<'n> Groups<'n> {
    fn of(names: &BTreeSet<&'n str>, prefix: &str) -> Self {
        let mut groups: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for name in names.iter().filter_map(|name| name.strip_prefix(prefix)) {
            let (first, rest) = name.split_once('.').unwrap_or((name, ""));
            groups.entry(first).or_default().insert(rest);
        }
        Self(groups)
    }

    fn names(&self) -> impl Iterator<Item = &'n str> {
        self.0.keys().copied()
    }

    /// The groups that hold the moments of an optimizer.
    fn with_moments(&self) -> BTreeSet<String> {
        let held = self.0.iter().filter(|(_, rests)| hold_moments(rests));
        held.map(|(name, _)| (*name).to_string()).collect()
    }

    fn refuse_optimizer_alone(&self, file: &Path) -> Result<()> {
        if !self.0.is_empty() && self.0.values().all(hold_moments) {
            return Err(advice::only_optimizer(file));
        }
        Ok(())
    }

    /// The names of the groups that are a network's weights each; none if the tensors are those of one network as they are.
    fn sets(&self) -> Vec<&'n str> {
        let left = self.0.iter().filter(|(name, rests)| {
            // Averages that are a list have no names by which a network could take them.
            let is_list = is_likely(name) && !are_weights(rests);
            !is_training_state(name) && !hold_moments(rests) && !is_list
        });
        let left: Vec<(&str, &BTreeSet<&str>)> = left.map(|(name, rests)| (*name, rests)).collect();
        let of = |which: &dyn Fn(&str, &BTreeSet<&str>) -> bool| -> Vec<Group<'n>> {
            let chosen = left.iter().filter(|(name, rests)| which(name, rests));
            chosen
                .map(|(name, rests)| Group::new(name, rests))
                .collect()
        };
        let sure = of(&|name, rests| name.contains("state_dict") && are_weights(rests));
        let likely = of(&|name, _| is_likely(name));
        let known = if !sure.is_empty() {
            sure
        } else if likely.len() == left.len() || likely.iter().any(|set| set.has_twin(&likely)) {
            likely
        } else {
            return Vec::new();
        };
        if known.len() > MANY {
            return known.into_iter().map(|set| set.name).collect();
        }
        // What has the same tensors as a set is one, whatever it is called.
        let chosen = left.into_iter().filter(|(name, rests)| {
            known.iter().any(|set| set.name == *name) || Group::new(name, rests).has_twin(&known)
        });
        chosen.map(|(name, _)| name).collect()
    }
}

/// More sets of weights than any training script saves.
const MANY: usize = 16;

/// A group of tensors, and what those are called that can be weights, without wrappers.
struct Group<'n> {
    name: &'n str,
    weights: BTreeSet<&'n str>,
}

impl<'n> Group<'n> {
    fn new(name: &'n str, rests: &BTreeSet<&'n str>) -> Self {
        let weights = rests.iter().map(|rest| bare(rest));
        Self {
            name,
            weights: weights.filter(|rest| is_of_weight(rest)).collect(),
        }
    }

    /// Whether it has most of its names in common with another one of `sets`.
    fn has_twin(&self, sets: &[Self]) -> bool {
        let mut others = sets.iter().filter(|set| set.name != self.name);
        self.weights.len() > 1
            && others.any(|set| {
                let common = self
                    .weights
                    .iter()
                    .filter(|name| set.weights.contains(*name));
                common.count() * 2 > self.weights.len()
            })
    }
}

/// A name without the wrappers that it begins with.
fn bare(name: &str) -> &str {
    let mut name = name;
    while let Some((wrapper, rest)) = name.split_once('.')
        && is_likely(wrapper)
    {
        name = rest;
    }
    name
}

fn is_likely(name: &str) -> bool {
    LIKELY.contains(&name) || WITHIN.contains(&name)
}

fn are_weights(rests: &BTreeSet<&str>) -> bool {
    rests.iter().any(|rest| is_of_weight(rest))
}

/// Whether it can be the name of a weight behind that of its set: it is there, and does not end in a number, as the names of tensors in a
/// list do.
fn is_of_weight(rest: &str) -> bool {
    let last = rest.rsplit('.').next().unwrap_or_default();
    !last.is_empty() && !last.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether training scripts call so what is not a network's: optimizers, schedules, generators, losses, figures.
fn is_training_state(name: &str) -> bool {
    let parts = [
        "optim",
        "sched",
        "scaler",
        "rng",
        "loss",
        "criterion",
        "metric",
        "callback",
    ];
    let whole = [
        COUNT,
        "loops",
        "amp",
        "epoch",
        "step",
        "global_step",
        "iteration",
        "args",
    ];
    let name = name.to_lowercase();
    whole.contains(&name.as_str()) || parts.iter().any(|part| name.contains(part))
}

fn hold_moments(rests: &BTreeSet<&str>) -> bool {
    let is_moment = |rest: &&str| MOMENTS.contains(&rest.rsplit('.').next().unwrap_or_default());
    rests.iter().any(is_moment)
}

/// What was chosen, if something else was `passed` by.
fn told(file: &Path, prefix: &str, passed: &BTreeSet<String>) -> Option<String> {
    let passed: Vec<String> = passed.iter().map(|name| format!("`{name}`")).collect();
    if passed.is_empty() {
        return None;
    }
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let under = prefix
        .split('.')
        .filter(|part| !part.is_empty() && !WITHIN.contains(part));
    let under = match under.collect::<Vec<_>>().join(".") {
        none if none.is_empty() => "weights are taken from".into(),
        under => format!("the weights under `{under}` are taken from"),
    };
    Some(format!(
        "{under} `{name}`, the checkpoint of a training script, and {} left there",
        match passed.len() {
            1 => format!("{} is", passed[0]),
            _ => format!("{} are", list(&passed)),
        }
    ))
}

fn several(file: &Path, prefix: &str, sets: &[&str], groups: &Groups<'_>) -> Error {
    let counted = sets.iter().map(|set| {
        let count = groups.0.get(set).map_or(0, BTreeSet::len);
        format!("`{prefix}{set}` with {count} tensors")
    });
    let counted: Vec<String> = counted.collect();
    Error::stage(format!(
        "`{}` holds {} sets of weights: {}",
        file.display(),
        sets.len(),
        list(&counted)
    ))
    .help(format!(
        "say which: checkpoint_key = \"{prefix}{}\" in the stage `pretrained`",
        sets[0]
    ))
}

fn nothing_under(file: &Path, names: &BTreeSet<&str>, key: &str) -> Error {
    let groups = Groups::of(names, "");
    let known: Vec<&str> = groups.names().collect();
    let shown: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    Error::stage(format!(
        "`{}` holds no weights under `{key}`, which `checkpoint_key` names",
        file.display()
    ))
    .note(format!("it has {}", list(&shown)))
    .did_you_mean(key, known)
}

#[cfg(test)]
mod tests;
