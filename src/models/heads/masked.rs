//! The head that says which token stands behind a mask: transformers' `BertLMPredictionHead`. Its last layer has the embedding of tokens
//! as its weights.

use burn::module::{Initializer, Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use super::{HeadConfig, MaskedConfig};
use crate::models::adapters::adapted;
use crate::models::backbones::layer_norm::{LayerNorm, LayerNormConfig};
use crate::models::{Activations, head};

/// The layers, by their names in transformers.
#[derive(Module, Debug)]
pub(in crate::models) struct Masked {
    predictions: Predictions,
}

#[derive(Module, Debug)]
struct Predictions {
    transform: Transform,
    /// What is added to the logit of each token.
    bias: Option<Param<Tensor<1>>>,
}

#[derive(Module, Debug)]
struct Transform {
    dense: Linear,
    layer_norm: LayerNorm,
    #[module(skip)]
    act: crate::models::backbones::Act,
}

impl Masked {
    pub(super) fn new(config: HeadConfig, masked: MaskedConfig, device: &Device) -> Self {
        let width = masked.width;
        let dense = LinearConfig::new(config.inputs, width)
            .with_bias(masked.bias)
            .with_initializer(Initializer::Zeros)
            .init(device);
        let layer_norm = LayerNormConfig::new(width)
            .with_epsilon(masked.layer_norm_eps)
            .with_bias(masked.norm_bias)
            .init(device);
        Self {
            predictions: Predictions {
                transform: Transform {
                    dense: head::classifier(dense, config.initializer_range, config.seed, device),
                    layer_norm,
                    act: masked.act,
                },
                bias: masked
                    .output_bias
                    .then(|| Initializer::Zeros.init([masked.vocabulary], device)),
            },
        }
    }

    /// The states of some tokens, a row each, → the logits of all tokens for each of them. `embedding` is `[tokens, width]`.
    pub(super) fn forward(&self, x: Activations, embedding: Tensor<2>) -> Activations {
        let Activations::Pooled(x) = x else {
            panic!("a head for masked tokens cannot take {x:?}");
        };
        let Predictions { transform, bias } = &self.predictions;
        let x = adapted(&transform.dense, x);
        let x = transform.layer_norm.forward(transform.act.apply(x));
        let logits = x.matmul(embedding.transpose());
        Activations::Logits(match bias {
            Some(bias) => logits + bias.val().unsqueeze(),
            None => logits,
        })
    }
}
