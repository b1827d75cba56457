//! What flows through a network.

use burn::tensor::{Int, Tensor};

/// A batch of token ids.
#[derive(Clone, Debug)]
pub struct TokenBatch {
    /// Token ids, `[batch, tokens]`, filled up with the padding token.
    pub ids: Tensor<2, Int>,
    /// 1 for a token, 0 for padding; `[batch, tokens]`.
    pub mask: Tensor<2>,
}

/// What flows from block to block.
#[derive(Clone, Debug)]
pub enum Activations {
    /// The input of a text network.
    Tokens(TokenBatch),
    /// A vector a token.
    Hidden {
        /// `[batch, tokens, width]`.
        states: Tensor<3>,
        /// 1 for a token, 0 for padding; `[batch, tokens]`.
        mask: Tensor<2>,
    },
    /// The input of an image network: `[batch, 3, height, width]`, normalised.
    Images(Tensor<4>),
    /// A vector for every place of an image: `[batch, channels, height, width]`.
    Map(Tensor<4>),
    /// One vector a sample: `[batch, width]`.
    Pooled(Tensor<2>),
    /// One number a label: `[batch, labels]`.
    Logits(Tensor<2>),
}

impl Activations {
    /// The logits `[batch, labels]`.
    ///
    /// # Panics
    /// If these are the activations of an earlier block.
    #[must_use]
    pub fn into_logits(self) -> Tensor<2> {
        match self {
            Self::Logits(logits) => logits,
            _ => panic!("these activations are not the last block's"),
        }
    }
}
