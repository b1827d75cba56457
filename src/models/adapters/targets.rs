//! Which layers of a network patterns mean, as peft's `target_modules` and `modules_to_save` do.

use std::collections::BTreeSet;

use super::{Lora, layer};
use crate::error::{Error, Result};
use crate::models::{Parameter, Pattern};

/// The layers of a network that can have adapters, and its other modules.
#[derive(Debug)]
pub struct Layers {
    /// The weights of the linear layers below the head, those too that the forward pass does not use.
    linear: Vec<Parameter>,
    /// All parameters.
    parameters: Vec<Parameter>,
    /// What stands before the names of what is below the head in the library's class with this head.
    base: String,
}

impl Layers {
    /// Those of a network with these `parameters`, of which `linear` are the weights of linear layers.
    pub(in crate::models) fn new(linear: Vec<Parameter>, parameters: Vec<Parameter>) -> Self {
        let mut below = parameters.iter().filter(|known| !known.head);
        let base = below.find_map(|known| known.full_name.strip_suffix(&known.name));
        Self {
            base: base.unwrap_or_default().into(),
            linear,
            parameters,
        }
    }

    /// The names of all linear layers.
    ///
    /// # Errors
    /// A network without any.
    pub fn all(&self) -> Result<Vec<String>> {
        let all = names(self.used());
        if all.is_empty() {
            return Err(Error::stage(
                "the network has no linear layer below its head, and adapters are for those",
            )
            .help("choose what trains with a stage `freeze`"));
        }
        Ok(all)
    }

    /// The names of the linear layers that `pattern` means: a [`Pattern`] of the whole name, with or without the base model's, or the last
    /// parts of one, as in peft.
    ///
    /// # Errors
    /// A pattern that is none, or that means no linear layer.
    pub fn matching(&self, pattern: &str) -> Result<Vec<String>> {
        let means = Meaning::new(pattern, &self.base)?;
        let of_pattern =
            |known: &&Parameter| layer(&known.name).is_some_and(|layer| means.is(layer));
        let found = names(self.used().filter(of_pattern));
        if !found.is_empty() {
            return Ok(found);
        }
        let known = self.used().filter_map(|known| layer(&known.name));
        let known: Vec<&str> = known.collect();
        let tails: BTreeSet<&str> = known.iter().flat_map(|name| tails(name)).collect();
        let last: BTreeSet<&str> = known
            .iter()
            .filter_map(|name| name.rsplit('.').next())
            .collect();
        let error = Error::stage(format!("`{pattern}` means no linear layer below the head"))
            .did_you_mean(pattern, tails)
            .note(format!(
                "the linear layers end in: {}",
                last.into_iter().collect::<Vec<_>>().join(", ")
            ));
        let other = self.modules().into_iter().find(|module| means.is(module));
        Err(match other {
            Some(other) => error.note(format!("it means `{other}`, which can have no adapter")),
            None => self.with_unused(error, &means),
        })
    }

    /// The names of the modules below the head that `pattern` means, those inside others left out; none if it means the head, which is
    /// always saved.
    ///
    /// # Errors
    /// A pattern that is none, or that means nothing.
    pub fn to_save(&self, pattern: &str) -> Result<Vec<String>> {
        let means = Meaning::new(pattern, &self.base)?;
        let of_head =
            |known: &Parameter| known.head && parents(&known.name).any(|name| means.is(name));
        let found: Vec<&str> = self
            .modules()
            .into_iter()
            .filter(|name| means.is(name))
            .collect();
        if found.is_empty() && !self.parameters.iter().any(of_head) {
            let tails: BTreeSet<&str> = self.modules().into_iter().flat_map(tails).collect();
            let error = Error::stage(format!("`{pattern}` means no part of the network"))
                .did_you_mean(pattern, tails);
            return Err(self.with_unused(error, &means));
        }
        let outer = |name: &&str| !parents(name).any(|parent| found.contains(&parent));
        Ok(found
            .iter()
            .filter(|name| outer(name))
            .map(ToString::to_string)
            .collect())
    }

    /// Holds adapters against the layers.
    ///
    /// # Errors
    /// A layer that is not there; those of [`check_rank`](Self::check_rank) and [`check_saved`](Self::check_saved).
    pub(in crate::models) fn check(&self, lora: &Lora) -> Result<()> {
        let strange = |name: &&String| self.weight(name).is_none();
        if let Some(name) = lora.target_modules.iter().find(strange) {
            return Err(Error::stage(format!(
                "the adapters are for `{name}`, which is no linear layer of this network"
            ))
            .help("take the model that they were trained on; of DINOv2 and Swin adapters by peft are not read"));
        }
        self.check_rank(lora)?;
        self.check_saved(lora)
    }

    /// Holds the rank of adapters against their layers.
    ///
    /// # Errors
    /// A layer of a lower rank.
    pub fn check_rank(&self, lora: &Lora) -> Result<()> {
        for name in &lora.target_modules {
            let Some(known) = self.weight(name) else {
                continue;
            };
            let least = known.shape.iter().min().copied().unwrap_or_default();
            if lora.r > least {
                return Err(Error::stage(format!(
                    "`r` is {}, and `{name}` is a matrix of {} × {}: adapters of a higher rank than {least} say no more than it does",
                    lora.r, known.shape[0], known.shape[1],
                ))
                .help("choose a smaller `r`"));
            }
        }
        Ok(())
    }

    /// Refuses what is to have an adapter, and to train as a whole.
    ///
    /// # Errors
    /// A layer that is both.
    pub fn check_saved(&self, lora: &Lora) -> Result<()> {
        for name in &lora.target_modules {
            let mut saved = lora.modules_to_save.iter();
            if saved.any(|saved| saved == name || parents(name).any(|parent| parent == saved)) {
                return Err(Error::stage(format!(
                    "`{name}` is to have an adapter, and to be saved as a whole"
                ))
                .help("set `target_modules` to layers without it, or leave it out of `modules_to_save`"));
            }
        }
        Ok(())
    }

    /// The weights of the linear layers that the forward pass uses.
    fn used(&self) -> impl Iterator<Item = &Parameter> {
        self.linear.iter().filter(|known| known.used)
    }

    /// The weight of the linear layer of this name.
    pub(in crate::models) fn weight(&self, name: &str) -> Option<&Parameter> {
        let mut linear = self.linear.iter();
        linear.find(|known| layer(&known.name) == Some(name))
    }

    /// The names of the modules below the head that hold parameters which the forward pass uses.
    fn modules(&self) -> BTreeSet<&str> {
        let below = self.parameters.iter();
        let below = below.filter(|known| !known.head && known.used);
        below.flat_map(|known| parents(&known.name)).collect()
    }

    /// `error` with a word on what `means` says of parts that the forward pass does not use.
    fn with_unused(&self, error: Error, means: &Meaning<'_>) -> Error {
        let unused = self.parameters.iter().filter(|known| !known.used);
        let mut unused = unused.flat_map(|known| parents(&known.name));
        match unused.find(|module| means.is(module)) {
            Some(module) => error.note(format!(
                "it means `{module}`, which the network does not use as it pools"
            )),
            None => error,
        }
    }
}

/// What a pattern means.
struct Meaning<'a> {
    text: &'a str,
    pattern: Pattern,
    base: &'a str,
}

impl<'a> Meaning<'a> {
    fn new(text: &'a str, base: &'a str) -> Result<Self> {
        let pattern = Pattern::parse(text)?;
        Ok(Self {
            text,
            pattern,
            base,
        })
    }

    fn is(&self, name: &str) -> bool {
        let full = format!("{}{name}", self.base);
        self.pattern.is_match(name)
            || self.pattern.is_match(&full)
            || tails(&full).any(|tail| tail == self.text)
    }
}

fn names<'a>(weights: impl Iterator<Item = &'a Parameter>) -> Vec<String> {
    let layers = weights.filter_map(|known| layer(&known.name));
    layers.map(String::from).collect()
}

/// `a.b.c` → `a.b.c`, `b.c`, `c`.
fn tails(name: &str) -> impl Iterator<Item = &str> {
    let dots = name.match_indices('.').map(|(dot, _)| dot + 1);
    std::iter::once(0).chain(dots).map(|start| &name[start..])
}

/// `a.b.c` → `a`, `a.b`.
fn parents(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('.').map(|(dot, _)| &name[..dot])
}
