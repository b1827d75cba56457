//! The head over one vector a sample: dropout and a linear layer.

use burn::module::{Initializer, Module};
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::Device;

use super::HeadConfig;
use crate::models::operations::dropout;
use crate::models::{Activations, head};

/// Dropout and a linear layer.
#[derive(Module, Debug)]
pub(in crate::models) struct Pooled {
    dropout: Dropout,
    linear: Linear,
}

impl Pooled {
    pub(super) fn new(config: HeadConfig, device: &Device) -> Self {
        let linear = LinearConfig::new(config.inputs, config.outputs.unwrap_or_default())
            .with_initializer(Initializer::Zeros)
            .init(device);
        Self {
            dropout: DropoutConfig::new(config.dropout).init(),
            linear: head::classifier(linear, config.initializer_range, config.seed, device),
        }
    }

    /// [`Activations::Pooled`] → [`Activations::Logits`].
    pub(super) fn forward(&self, x: Activations) -> Activations {
        match x {
            Activations::Pooled(x) => {
                Activations::Logits(self.linear.forward(dropout(&self.dropout, x)))
            }
            x => panic!("a head over one vector a sample cannot take {x:?}"),
        }
    }
}
