//! The head over the state of each token: dropout and a linear layer, as in transformers' `BertForTokenClassification`.

use burn::module::{Initializer, Module};
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::Device;

use super::HeadConfig;
use crate::models::operations::dropout;
use crate::models::{Activations, head};

/// Dropout and a linear layer.
#[derive(Module, Debug)]
pub(in crate::models) struct Tokens {
    dropout: Dropout,
    linear: Linear,
}

impl Tokens {
    pub(super) fn new(config: HeadConfig, device: &Device) -> Self {
        let linear = LinearConfig::new(config.inputs, config.outputs.unwrap_or_default())
            .with_initializer(Initializer::Zeros)
            .init(device);
        Self {
            dropout: DropoutConfig::new(config.dropout).init(),
            linear: head::classifier(linear, config.initializer_range, config.seed, device),
        }
    }

    /// The states of all tokens → their logits, still with the mask; the states of some tokens, a row each, → [`Activations::Logits`].
    pub(super) fn forward(&self, x: Activations) -> Activations {
        match x {
            Activations::Hidden { states, mask } => Activations::Hidden {
                states: self.linear.forward(dropout(&self.dropout, states)),
                mask,
            },
            Activations::Pooled(x) => {
                Activations::Logits(self.linear.forward(dropout(&self.dropout, x)))
            }
            x => panic!("a head over a vector a token cannot take {x:?}"),
        }
    }
}
