//! The head over one vector a sample, or over the state of each token: dropout and a linear layer, as in transformers'
//! `BertForSequenceClassification` and `BertForTokenClassification`; in front of it a layer of the head's own, where the library has one, as in
//! `RobertaForSequenceClassification`.

use burn::module::{Initializer, Module};
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use super::{HeadConfig, InnerConfig};
use crate::models::adapters::adapted;
use crate::models::operations::dropout;
use crate::models::{Activations, head};
use crate::random::derive;

/// A layer of its own, if it has one, dropout and a linear layer.
#[derive(Module, Debug)]
pub(in crate::models) struct Classifier {
    dropout: Dropout,
    inner: Option<Inner>,
    linear: Linear,
}

/// A layer that gives as many numbers as it takes, and the function behind it.
#[derive(Module, Debug)]
struct Inner {
    dense: Linear,
    #[module(skip)]
    config: InnerConfig,
}

impl Classifier {
    /// With a layer of its own only where `config` says what that is, and `inner` that it has one.
    pub(super) fn new(config: HeadConfig, inner: bool, device: &Device) -> Self {
        let linear = LinearConfig::new(config.inputs, config.outputs.unwrap_or_default())
            .with_initializer(Initializer::Zeros)
            .init(device);
        Self {
            dropout: DropoutConfig::new(config.dropout).init(),
            inner: config
                .inner
                .filter(|_| inner)
                .map(|inner| Inner::new(inner, config, device)),
            linear: head::classifier(linear, config.initializer_range, config.seed, device),
        }
    }

    /// What its layer before the last is, if it has one.
    pub(super) fn inner(&self) -> Option<InnerConfig> {
        self.inner.as_ref().map(|inner| inner.config)
    }

    /// Vectors of samples, or the states of some tokens, a row each, → [`Activations::Logits`]; the states of all tokens → their
    /// logits, still with the mask.
    pub(super) fn forward(&self, x: Activations) -> Activations {
        match x {
            Activations::Pooled(x) => {
                let x = match &self.inner {
                    Some(inner) => inner.forward(x, &self.dropout),
                    None => x,
                };
                Activations::Logits(adapted(&self.linear, dropout(&self.dropout, x)))
            }
            Activations::Hidden { states, mask } => Activations::Hidden {
                states: adapted(&self.linear, dropout(&self.dropout, states)),
                mask,
            },
            x => panic!("a head over vectors cannot take {x:?}"),
        }
    }
}

impl Inner {
    fn new(inner: InnerConfig, config: HeadConfig, device: &Device) -> Self {
        let dense = LinearConfig::new(config.inputs, config.inputs)
            .with_initializer(Initializer::Zeros)
            .init(device);
        let seed = derive(config.seed, "the layer before the last", &[]);
        Self {
            dense: head::classifier(dense, config.initializer_range, seed, device),
            config: inner,
        }
    }

    /// `[rows, width]` → the same.
    fn forward(&self, x: Tensor<2>, before: &Dropout) -> Tensor<2> {
        let x = if self.config.dropout {
            dropout(before, x)
        } else {
            x
        };
        self.config.act.apply(adapted(&self.dense, x))
    }
}
