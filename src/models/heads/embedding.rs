//! The head that gives the vector of a sample, as it is or through a linear layer (sentence-transformers' `Dense` without an activation).

use burn::module::{Initializer, Module};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::Device;

use super::HeadConfig;
use crate::models::adapters::adapted;
use crate::models::{Activations, head};

/// A linear layer, or nothing.
#[derive(Module, Debug)]
pub(in crate::models) struct Embedding {
    linear: Option<Linear>,
}

impl Embedding {
    /// A layer, if there is one, is drawn with the standard deviation 1 / √inputs: such a projection keeps angles as well as its
    /// size allows (Johnson and Lindenstrauss 1984), so that training begins with what the encoder knows.
    pub(super) fn new(config: HeadConfig, device: &Device) -> Self {
        let linear = config.outputs.map(|outputs| {
            let linear = LinearConfig::new(config.inputs, outputs)
                .with_initializer(Initializer::Zeros)
                .init(device);
            #[expect(
                clippy::cast_precision_loss,
                reason = "vectors have a few thousand numbers"
            )]
            let spread = 1.0 / (config.inputs.max(1) as f64).sqrt();
            head::classifier(linear, spread, config.seed, device)
        });
        Self { linear }
    }

    /// [`Activations::Pooled`] → [`Activations::Logits`].
    pub(super) fn forward(&self, x: Activations) -> Activations {
        match (x, &self.linear) {
            (Activations::Pooled(x), Some(linear)) => Activations::Logits(adapted(linear, x)),
            (Activations::Pooled(x), None) => Activations::Logits(x),
            (x, _) => panic!("a head over one vector a sample cannot take {x:?}"),
        }
    }
}
