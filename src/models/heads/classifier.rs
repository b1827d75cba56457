//! The head over one vector a sample, or over the state of each token: dropout and a linear layer, as in transformers'
//! `BertForSequenceClassification` and `BertForTokenClassification`; in front of it a layer of the head's own, where the library has one, as in
//! `RobertaForSequenceClassification`.

use burn::module::{Initializer, Module};
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use super::{HeadConfig, InnerConfig};
use crate::models::adapters::adapted;
use crate::models::backbones::layer_norm::{LayerNorm, LayerNormConfig};
use crate::models::cpu::operations::dropout;
use crate::models::{Activations, head};
use crate::random::derive;

/// A layer of its own, if it has one, dropout and a linear layer.
#[derive(Module, Debug)]
pub(in crate::models) struct Classifier {
    dropout: Dropout,
    inner: Option<Inner>,
    linear: Linear,
}

/// A layer that gives as many numbers as it takes, with dropout before it, and a function and a norm behind it.
#[derive(Module, Debug)]
struct Inner {
    dropout: Option<Dropout>,
    dense: Linear,
    layer_norm: Option<LayerNorm>,
    #[module(skip)]
    config: InnerConfig,
}

impl Classifier {
    /// With an `inner` layer, if it is to have one.
    pub(super) fn new(config: HeadConfig, inner: Option<InnerConfig>, device: &Device) -> Self {
        let linear = LinearConfig::new(config.inputs, config.outputs.unwrap_or_default())
            .with_initializer(Initializer::Zeros)
            .init(device);
        Self {
            dropout: DropoutConfig::new(config.dropout).init(),
            inner: inner.map(|inner| Inner::new(inner, config, device)),
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
            Activations::Pooled(x) => Activations::Logits(self.outputs(x)),
            Activations::Hidden { states, mask } => Activations::Hidden {
                states: self.outputs(states),
                mask,
            },
            x => panic!("a head over vectors cannot take {x:?}"),
        }
    }

    /// `[…, width]` → `[…, outputs]`.
    fn outputs<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let x = match &self.inner {
            Some(inner) => inner.forward(x),
            None => x,
        };
        adapted(&self.linear, dropout(&self.dropout, x))
    }
}

impl Inner {
    fn new(inner: InnerConfig, config: HeadConfig, device: &Device) -> Self {
        let width = config.inputs;
        let dense = LinearConfig::new(width, width)
            .with_bias(inner.bias)
            .with_initializer(Initializer::Zeros)
            .init(device);
        let seed = derive(config.seed, "the layer before the last", &[]);
        let std = inner.initializer_range.unwrap_or(config.initializer_range);
        let norm = |(epsilon, bias)| {
            LayerNormConfig::new(width)
                .with_epsilon(epsilon)
                .with_bias(bias)
                .init(device)
        };
        Self {
            dropout: inner.dropout.map(|rate| DropoutConfig::new(rate).init()),
            dense: head::classifier(dense, std, seed, device),
            layer_norm: inner.norm.map(norm),
            config: inner,
        }
    }

    /// `[…, width]` → the same.
    fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let x = match &self.dropout {
            Some(before) => dropout(before, x),
            None => x,
        };
        let x = self.config.act.apply(adapted(&self.dense, x));
        match &self.layer_norm {
            Some(norm) => norm.forward(x),
            None => x,
        }
    }
}
