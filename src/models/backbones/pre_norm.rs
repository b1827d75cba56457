//! A layer of a transformer that normalises what its parts take.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::{Device, Tensor};

use super::transformer::{self, Act, SelfAttention};
use crate::models::adapters::adapted;
use crate::models::backbones::layer_norm::LayerNorm;
use crate::models::cpu::operations::dropout;

/// What a [`PreNormLayer`] is.
#[derive(Clone, Copy, Debug)]
pub(super) struct PreNormConfig {
    pub(super) width: usize,
    /// Numbers between its two wide linear layers.
    pub(super) wide: usize,
    pub(super) heads: usize,
    /// Whether queries, keys and values have a bias.
    pub(super) bias: bool,
    pub(super) dropout: f64,
    pub(super) attention_dropout: f64,
    pub(super) epsilon: f64,
    pub(super) act: Act,
}

/// A layer of a transformer that normalises what each of its parts takes (Xiong et al., arXiv:2002.04745).
#[derive(Module, Debug)]
pub(super) struct PreNormLayer {
    before: LayerNorm,
    attention: SelfAttention,
    attended: Linear,
    after: LayerNorm,
    wide: Linear,
    narrow: Linear,
    dropout: Dropout,
    #[module(skip)]
    act: Act,
}

impl PreNormConfig {
    /// The layer with nothing in its weights yet.
    pub(super) fn init(self, device: &Device) -> PreNormLayer {
        let linear = |from, to| transformer::linear(from, to, device);
        let norm = || transformer::norm(self.width, self.epsilon, device);
        PreNormLayer {
            before: norm(),
            attention: SelfAttention::new(
                self.width,
                self.heads,
                self.bias,
                self.attention_dropout,
                device,
            ),
            attended: linear(self.width, self.width),
            after: norm(),
            wide: linear(self.width, self.wide),
            narrow: linear(self.wide, self.width),
            dropout: DropoutConfig::new(self.dropout).init(),
            act: self.act,
        }
    }
}

impl PreNormLayer {
    /// `[batch, tokens, width]` → the same.
    pub(super) fn forward(&self, x: Tensor<3>, mask: &Tensor<2>) -> Tensor<3> {
        let attended = self.attention.forward(self.before.forward(x.clone()), mask);
        let x = x + dropout(&self.dropout, adapted(&self.attended, attended));
        let wide = adapted(&self.wide, self.after.forward(x.clone()));
        let narrow = adapted(&self.narrow, self.act.apply(wide));
        x + dropout(&self.dropout, narrow)
    }
}
