//! What an architecture has to give, and how to find the right one.

use burn::tensor::{Device, Tensor};
use serde_json::{Map, Value};

use super::backbones::Backbone;
use super::export::Library;
use super::folder::ModelFolder;
use super::heads::{HeadKind, InnerConfig, MaskedConfig};
use super::image_input::Variant;
use super::initial::Rule;
use super::naming::{Naming, is_in};
use super::weights::{Checkpoint, Reading, Shapes};
use super::{ARCHITECTURES, Activations, Head, Modality, Pooling};
use crate::error::{Error, Result};

/// A kind of network, and how to recognise and build it.
#[derive(Debug)]
pub struct Architecture {
    /// Its name.
    pub name: &'static str,
    /// The values of `model_type` in `config.json` that Hugging Face writes for it.
    pub model_types: &'static [&'static str],
    /// What it takes.
    pub modality: Modality,
    /// Its public checkpoints, each a value of `architecture` in `config.json`.
    pub(super) variants: &'static [Variant],
    /// What its tensors are called.
    pub(super) naming: Naming,
    /// The heads that it has in its library.
    pub(super) heads: &'static [LibraryHead],
    /// Builds its backbone, with nothing in its weights yet.
    pub(super) build: fn(&Source<'_>) -> Result<Built>,
    /// What its library draws the backbone's parameters from.
    pub(super) initial: fn(&ModelFolder) -> Result<Rule>,
    /// The name under which weights with these names and shapes are known, if they are those of this architecture.
    pub(super) recognise: fn(&Shapes<'_>) -> Option<&'static str>,
}

/// A head as the library of an architecture has it.
#[derive(Debug)]
pub(super) struct LibraryHead {
    /// What it computes.
    pub(super) kind: HeadKind,
    /// The name of its block.
    pub(super) block: &'static str,
    /// Its layers, as [`HeadKind`] calls them, and as the library does: `linear`, `classifier.1`.
    pub(super) layers: &'static [(&'static str, &'static str)],
    /// What loads a network with it in Python.
    pub(super) library: Library,
    /// A [`Blocks::family`] → the library's class of such a backbone with this head: `bert`, `BertForSequenceClassification`.
    /// Empty if the class does not stand in `config.json`.
    pub(super) classes: &'static [(&'static str, &'static str)],
}

/// What a backbone is built from.
pub(super) struct Source<'a> {
    /// The model's folder.
    pub(super) folder: &'a ModelFolder,
    /// Its tensors, by the names of [`Naming::checkpoint`].
    pub(super) checkpoint: &'a Checkpoint,
    /// The head that is asked for.
    pub(super) head: &'a Head,
    /// Whether values are read.
    pub(super) reading: Reading,
    /// Where the network is to be.
    pub(super) device: &'a Device,
}

/// A backbone, and what a head on it is like unless something else is asked for.
pub(super) struct Built {
    pub(super) backbone: Backbone,
    /// Dropout before the head.
    pub(super) dropout: f64,
    /// Standard deviation of a new head's weights.
    pub(super) initializer_range: f64,
    /// What the layer before the last is like in a head over one vector a sample, if there is one.
    pub(super) inner: Option<InnerConfig>,
    /// What a head for masked tokens is like, if there is one.
    pub(super) masked: Option<MaskedConfig>,
    /// What was decided that nobody asked for, as sentences for the user.
    pub(super) choices: Vec<String>,
}

impl Built {
    /// A backbone that wants no dropout, and a head drawn as torchvision draws that of MobileNetV2.
    pub(super) fn new(backbone: impl Into<Backbone>) -> Self {
        Self {
            backbone: backbone.into(),
            dropout: 0.0,
            initializer_range: 0.01,
            inner: None,
            masked: None,
            choices: Vec::new(),
        }
    }
}

/// What the file of a backbone gives; [`Network`](super::Network) passes its calls on to it.
///
/// The last of its blocks gives one vector a sample, [`Activations::Pooled`].
pub(super) trait Blocks {
    /// The names of the blocks, in order.
    fn blocks(&self) -> Vec<String>;

    /// Runs one block.
    fn forward(&self, block: usize, x: Activations) -> Activations;

    /// How many numbers the vector of a sample has.
    fn width(&self) -> usize;

    /// Everything but its weights that decides what its blocks compute, in words.
    fn signature(&self) -> String;

    /// What its library calls it in a class with a head; nothing if its tensors have the same names there.
    fn base(&self) -> &'static str {
        ""
    }

    /// What its library calls the parameter `name` in memory, where that is not what it is called in files: peft goes by it.
    fn in_memory(&self, name: &str) -> String {
        name.into()
    }

    /// Why peft cannot load its adapters, if it cannot: what it is, and in what it differs.
    fn not_for_peft(&self) -> Option<&'static str> {
        None
    }

    /// Which of the networks of its architecture it is: those of a family have the same classes in their library.
    fn family(&self) -> &'static str {
        self.base()
    }

    /// Whether the forward pass uses the parameter of this name.
    fn uses(&self, _name: &str) -> bool {
        true
    }

    /// What loads it with `head` in Python.
    fn library(&self, head: &LibraryHead) -> Library {
        head.library
    }

    /// Changes what is to be written as `config.json`.
    fn complete(&self, _config: &mut Map<String, Value>) {}

    /// How the states of tokens become one vector; none for networks that have one way only.
    fn pooling(&self) -> Option<Pooling> {
        None
    }

    /// How many blocks come before the pooling: the last of them gives the last hidden state of every token of a text,
    /// [`Activations::Hidden`], for heads that want more than one vector a sample. None for networks that take no texts.
    fn hidden_blocks(&self) -> Option<usize> {
        None
    }

    /// How many layers run with the weights of its blocks, where these are fewer; none where each block has its own.
    fn shares_layers(&self) -> Option<usize> {
        None
    }

    /// The vectors of its tokens, `[tokens, width]`; none for networks that take no tokens.
    fn embedding(&self) -> Option<Tensor<2>> {
        None
    }

    /// The most tokens that a text may have.
    fn max_tokens(&self) -> Option<usize> {
        None
    }

    /// How many different token ids it knows.
    fn vocabulary(&self) -> Option<usize> {
        None
    }

    /// How many types of tokens it tells apart, such as those of the first and the second text of a pair.
    fn token_types(&self) -> Option<usize> {
        None
    }

    /// The least height and width of an image of which something is left at its end.
    fn least_image_size(&self) -> usize {
        1
    }

    /// The only height and width that it takes.
    fn image_size(&self) -> Option<usize> {
        None
    }
}

impl Architecture {
    /// The names of its public checkpoints that come as bare files: what `architecture` in `config.json` may say.
    pub fn checkpoints(&self) -> impl Iterator<Item = &'static str> {
        self.variants.iter().map(|variant| variant.name)
    }

    /// Whether a checkpoint's tensor is that of its `head`.
    pub(super) fn is_of(&self, head: &LibraryHead, name: &str) -> bool {
        let mut beside = self.naming.beside.iter();
        is_in(name, head.block) || beside.any(|(part, of)| *of == head.block && is_in(name, part))
    }

    /// Its head of this kind.
    ///
    /// # Errors
    /// An architecture whose library has no such head.
    pub(super) fn head(&self, kind: HeadKind) -> Result<&'static LibraryHead> {
        let found = self.heads.iter().find(|head| head.kind == kind);
        found.ok_or_else(|| {
            Error::stage(format!(
                "{} has no head for {}",
                self.name,
                kind.description()
            ))
        })
    }
}

impl LibraryHead {
    /// The library's name for the parameter at `path` in the head.
    pub(super) fn name(&self, path: &str) -> String {
        let path = path
            .replace("layer_norm.gamma", "LayerNorm.weight")
            .replace("layer_norm.beta", "LayerNorm.bias");
        let named = self.layers.iter().find_map(|(layer, name)| {
            let field = path.strip_prefix(layer)?.strip_prefix('.')?;
            Some(format!("{name}.{field}"))
        });
        named.unwrap_or(path)
    }

    /// The library's class of a backbone of this `family` with this head, if that stands in `config.json`.
    pub(super) fn class(&self, family: &str) -> Option<&'static str> {
        let mut classes = self.classes.iter();
        classes.find_map(|(of, class)| (*of == family).then_some(*class))
    }
}

/// The architecture that `config.json` names.
pub(super) fn architecture(folder: &ModelFolder) -> Result<&'static Architecture> {
    let model_type = folder.word("model_type");
    let name = folder.word("architecture");
    let found = ARCHITECTURES.iter().find(|known| {
        known
            .variants
            .iter()
            .any(|variant| name == Some(variant.name))
            || model_type.is_some_and(|model_type| known.model_types.contains(&model_type))
    });
    found.ok_or_else(|| {
        let known = ARCHITECTURES.iter();
        let model_types: Vec<&str> = known.flat_map(|known| known.model_types).copied().collect();
        let architectures: Vec<&str> = super::architectures().collect();
        let error = Error::stage(format!(
            "`{}` names {}, which refire does not know",
            folder.path.join("config.json").display(),
            match (name, model_type) {
                (Some(name), _) => format!("the architecture `{name}`"),
                (None, Some(model_type)) => format!("the model type `{model_type}`"),
                (None, None) => "no `model_type` and no `architecture`".into(),
            }
        ))
        .note(format!("known model types: {}", model_types.join(", ")))
        .note(format!("known architectures: {}", architectures.join(", ")));
        match (name, model_type) {
            (Some(name), _) => error.did_you_mean(name, architectures),
            (None, Some(model_type)) => error.did_you_mean(model_type, model_types),
            (None, None) => error,
        }
    })
}

/// What the weights in `folder` look like: `expected`, if they may be of that.
pub(super) fn recognise(folder: &ModelFolder, expected: &Architecture) -> Option<&'static str> {
    let key = folder.card.checkpoint_key.as_deref();
    let checkpoint = Checkpoint::open(&folder.path, key, str::to_string).ok()?;
    let shapes = checkpoint.shapes();
    std::iter::once(expected)
        .chain(ARCHITECTURES)
        .find_map(|known| (known.recognise)(&shapes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_architecture_without_a_head_of_a_kind_says_so() {
        for known in ARCHITECTURES {
            assert!(known.head(HeadKind::Pooled).is_ok(), "{}", known.name);
        }
        let bare = Architecture {
            heads: &[],
            naming: Naming {
                parameter: str::to_string,
                checkpoint: |name, _| name.to_string(),
                constant: |_| false,
                spare: |_| false,
                beside: &[],
            },
            ..ARCHITECTURES[0]
        };
        let error = bare.head(HeadKind::Pooled).expect_err("it has none");
        assert!(error.message().contains("has no head for"), "{error}");
    }
}
