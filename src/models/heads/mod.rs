//! What stands on a backbone, one file a kind of head. Which heads an architecture has, and what their layers are called, is said by
//! its row ([`LibraryHead`](super::architecture::LibraryHead)).

mod classifier;
mod embedding;
mod masked;

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use self::classifier::Classifier;
use self::embedding::Embedding;
use self::masked::Masked;
use super::Activations;
use super::backbones::Act;

/// The kinds of heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadKind {
    /// Dropout and a layer `linear` over the vector of a sample, in some libraries behind a layer `inner.dense`: a number for each label.
    Pooled,
    /// Dropout and a layer `linear` over the state of each token: a number for each label.
    Tokens,
    /// The vector of a sample itself, or what a layer `linear` makes of it.
    Embedding,
    /// Layers over the state of a token, and a number for each token that may stand there: `predictions`.
    Masked,
}

impl HeadKind {
    /// What it is for, in words.
    pub(super) fn description(self) -> &'static str {
        match self {
            Self::Pooled => "one vector a sample",
            Self::Tokens => "a vector a token",
            Self::Embedding => "embeddings",
            Self::Masked => "masked tokens",
        }
    }

    /// Whether it takes what the backbone gives before the pooling: the states of all tokens.
    pub(super) fn takes_tokens(self) -> bool {
        match self {
            Self::Pooled | Self::Embedding => false,
            Self::Tokens | Self::Masked => true,
        }
    }
}

/// A head of any kind.
#[derive(Module, Debug)]
pub(super) enum PredictionHead {
    /// Of the kind [`HeadKind::Pooled`].
    Pooled(Classifier),
    /// Of the kind [`HeadKind::Tokens`].
    Tokens(Classifier),
    /// Of the kind [`HeadKind::Embedding`].
    Embedding(Embedding),
    /// Of the kind [`HeadKind::Masked`].
    Masked(Masked),
}

/// What a new head is.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadConfig {
    /// How many numbers it takes for a sample.
    pub(super) inputs: usize,
    /// How many it gives; none for an embedding that has as many.
    pub(super) outputs: Option<usize>,
    /// Dropout before its layers.
    pub(super) dropout: f64,
    /// Standard deviation of its weights.
    pub(super) initializer_range: f64,
    /// What they are drawn from.
    pub(super) seed: u64,
    /// What the layer before the last is in a head over one vector a sample, if its library has one.
    pub(super) inner: Option<InnerConfig>,
    /// What a head for masked tokens is beyond that, if the backbone has one.
    pub(super) masked: Option<MaskedConfig>,
}

/// What the layer before the last is in a head over one vector a sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct InnerConfig {
    /// The function behind it.
    pub(super) act: Act,
    /// Whether there is dropout before it, too.
    pub(super) dropout: bool,
}

/// What a head for masked tokens is.
#[derive(Clone, Copy, Debug)]
pub(super) struct MaskedConfig {
    /// How many numbers the vector of a token has, which its first layer gives.
    pub(super) width: usize,
    /// The function behind its first layer.
    pub(super) act: Act,
    pub(super) layer_norm_eps: f64,
    /// How many tokens there are.
    pub(super) vocabulary: usize,
}

impl PredictionHead {
    /// A head with weights that are drawn anew.
    ///
    /// # Panics
    /// If a head for masked tokens is asked for of a backbone that has none: its architecture's row is wrong.
    pub(super) fn new(kind: HeadKind, config: HeadConfig, device: &Device) -> Self {
        match kind {
            HeadKind::Pooled => Self::Pooled(Classifier::new(config, true, device)),
            HeadKind::Tokens => Self::Tokens(Classifier::new(config, false, device)),
            HeadKind::Embedding => Self::Embedding(Embedding::new(config, device)),
            HeadKind::Masked => {
                let masked = config.masked.expect("the backbone says what its head is");
                Self::Masked(Masked::new(config, masked, device))
            }
        }
    }

    /// What the layer before the last is, if there is one over one vector a sample.
    pub(super) fn inner(&self) -> Option<InnerConfig> {
        match self {
            Self::Pooled(head) => head.inner(),
            _ => None,
        }
    }

    /// What the backbone gives → a number for each output. `embedding` is that of the backbone's tokens, which some heads share.
    pub(super) fn forward(
        &self,
        x: Activations,
        embedding: impl FnOnce() -> Option<Tensor<2>>,
    ) -> Activations {
        match self {
            Self::Pooled(head) | Self::Tokens(head) => head.forward(x),
            Self::Embedding(head) => head.forward(x),
            Self::Masked(head) => {
                let embedding = embedding().expect("a network with such a head takes tokens");
                head.forward(x, embedding)
            }
        }
    }
}
