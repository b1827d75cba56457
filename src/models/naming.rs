//! What the parameters of a network are called, and which block each belongs to: one account for all architectures, by the tables
//! that they give.

use std::collections::BTreeMap;

use burn::module::Module;

use super::adapters;
use super::architecture::{Architecture, LibraryHead};
use super::image_input::Variant;
use super::weights::{self, Seen, Shapes};

/// How the tensors of a backbone are called.
#[derive(Debug)]
pub(super) struct Naming {
    /// A module's path → the name that the library of the weights uses, without what the library calls the backbone.
    pub(super) parameter: fn(&str) -> String,
    /// A name in a checkpoint, maybe another library's, of what `config.json` calls its `architecture` → the same.
    pub(super) checkpoint: fn(&str, &str) -> String,
    /// Whether a checkpoint's tensor is no weight, but something that nothing depends on.
    pub(super) constant: fn(&str) -> bool,
    /// Whether a checkpoint's tensor belongs to something that the network goes without, such as the head of another task.
    pub(super) spare: fn(&str) -> bool,
    /// What belongs to a block of another name: `bn1` to `conv1`.
    pub(super) beside: &'static [(&'static str, &'static str)],
}

/// Whether a checkpoint's tensor only says how many batches a normalisation has seen. PyTorch makes it anew where it is
/// missing, and nothing here depends on it.
pub(super) fn is_count(name: &str) -> bool {
    name.ends_with(".num_batches_tracked")
}

/// Whether `name` is that of something in `part`.
pub(super) fn is_in(name: &str, part: &str) -> bool {
    name.strip_prefix(part)
        .is_some_and(|rest| rest.starts_with('.'))
}

/// The index of the block that the parameter `name` belongs to, by [`Naming::beside`]; none if it is in none of `blocks`. What is beside
/// several blocks, such as the last ones of several heads, is in the one of them that is there.
pub(super) fn block_of(name: &str, blocks: &[String], beside: &[(&str, &str)]) -> Option<usize> {
    let mut others = beside
        .iter()
        .filter(|(part, _)| is_in(name, part))
        .peekable();
    if others.peek().is_none() {
        return blocks.iter().position(|block| is_in(name, block));
    }
    others.find_map(|(_, other)| blocks.iter().position(|block| block == other))
}

/// The first field of a path into a [`Network`](super::Network) that leads to its head.
const HEAD_FIELD: &str = "head";

/// The names of a network's parameters: its backbone's and its head's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names {
    pub(super) architecture: &'static Architecture,
    pub(super) head: &'static LibraryHead,
    /// What the library calls the backbone in a class with a head; nothing if it does not nest the one in the other.
    pub(super) base: &'static str,
    /// Which of the networks of its architecture the backbone is.
    pub(super) family: &'static str,
}

impl Names {
    /// The name of the parameter at `path` in a network, and whether it is the head's.
    pub(super) fn of(&self, path: &str) -> (String, bool) {
        if let Some((weight, part)) = adapters::of_path(path) {
            let (name, is_head) = self.of(&weight);
            return (adapters::beside(&name, part), is_head);
        }
        match path.split_once('.') {
            Some((HEAD_FIELD, path)) => (self.head.name(path), true),
            Some((_, path)) => ((self.architecture.naming.parameter)(path), false),
            None => (path.to_string(), false),
        }
    }

    /// The name of the parameter at `path` in the library's class with this head.
    pub(super) fn full(&self, path: &str) -> String {
        match self.of(path) {
            (name, false) if !self.base.is_empty() => format!("{}.{name}", self.base),
            (name, _) => name,
        }
    }

    /// The library's class with this head, if that stands in `config.json`.
    pub(super) fn class(&self) -> Option<&'static str> {
        self.head.class(self.family)
    }

    /// Whether a checkpoint's tensor is the head's.
    pub(super) fn is_head(&self, name: &str) -> bool {
        self.architecture.is_of(self.head, name)
    }

    /// The block of the parameter `name` among `blocks`.
    pub(super) fn block(&self, name: &str, blocks: &[String]) -> Option<usize> {
        block_of(name, blocks, self.architecture.naming.beside)
    }
}

/// The variant whose every parameter is among `shapes`. `outline` is a variant's backbone without values.
pub(super) fn recognise<M: Module>(
    variants: &'static [Variant],
    outline: impl Fn(&Variant) -> M,
    naming: &Naming,
    shapes: &Shapes<'_>,
) -> Option<&'static str> {
    let has_all = |variant: &&Variant| {
        let names = shapes.keys();
        let names = names.map(|name| ((naming.checkpoint)(name, variant.name), *name));
        let names: BTreeMap<String, &str> = names.collect();
        let is_there = |seen: &Seen| {
            let name = names.get(&(naming.parameter)(&seen.path));
            name.is_some_and(|name| shapes[name] == &seen.shape[..])
        };
        weights::parameters(&outline(variant)).iter().all(is_there)
    };
    // Where one variant is the beginning of another, the one that explains more of the tensors comes last.
    let variant = variants.iter().rfind(has_all)?;
    Some(variant.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_in_the_block_that_its_name_begins_with_or_in_none() {
        let blocks = ["conv1", "layer1.1", "layer1.10", "fc"].map(str::to_string);
        let block = |name: &str| block_of(name, &blocks, &[("bn1", "conv1")]);
        assert_eq!(block("conv1.weight"), Some(0));
        assert_eq!(block("bn1.bias"), Some(0));
        assert_eq!(block("layer1.1.bn1.bias"), Some(1));
        assert_eq!(block("layer1.10.bn1.bias"), Some(2));
        assert_eq!(block("fc.bias"), Some(3));
        for nowhere in ["layer1.2.conv1.weight", "bn2.bias", "fc2.weight", "fc", ""] {
            assert_eq!(block(nowhere), None, "{nowhere}");
        }
    }
}
