//! The head over one vector a sample, or over the state of each token: dropout and a linear layer, as in transformers'
//! `BertForSequenceClassification` and `BertForTokenClassification`.

use burn::module::{Initializer, Module};
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::Device;

use super::HeadConfig;
use crate::models::operations::dropout;
use crate::models::{Activations, head};

/// Dropout and a linear layer.
#[derive(Module, Debug)]
pub(in crate::models) struct Classifier {
    dropout: Dropout,
    linear: Linear,
}

impl Classifier {
    pub(super) fn new(config: HeadConfig, device: &Device) -> Self {
        let linear = LinearConfig::new(config.inputs, config.outputs.unwrap_or_default())
            .with_initializer(Initializer::Zeros)
            .init(device);
        Self {
            dropout: DropoutConfig::new(config.dropout).init(),
            linear: head::classifier(linear, config.initializer_range, config.seed, device),
        }
    }

    /// Vectors of samples, or the states of some tokens, a row each, → [`Activations::Logits`]; the states of all tokens → their
    /// logits, still with the mask.
    pub(super) fn forward(&self, x: Activations) -> Activations {
        match x {
            Activations::Pooled(x) => {
                Activations::Logits(self.linear.forward(dropout(&self.dropout, x)))
            }
            Activations::Hidden { states, mask } => Activations::Hidden {
                states: self.linear.forward(dropout(&self.dropout, states)),
                mask,
            },
            x => panic!("a head over vectors cannot take {x:?}"),
        }
    }
}
