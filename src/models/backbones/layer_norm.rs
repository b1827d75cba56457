//! Layer normalisation (Ba et al., arXiv:1607.06450), with the numbers of PyTorch's `LayerNorm`.
//!
//! It stands in for Burn's, whose way back goes through each of its steps.

use burn::module::{Initializer, Module, Param};
use burn::tensor::module::layer_norm;
use burn::tensor::{Device, Tensor};

use crate::models::cpu::{is_flex, norms};

/// Layer normalisation, a number of each kind for every place of a row.
#[derive(Module, Debug)]
pub(in crate::models) struct LayerNorm {
    /// What each place is multiplied by: `[width]`.
    gamma: Param<Tensor<1>>,
    /// What is added to each after that.
    beta: Option<Param<Tensor<1>>>,
    epsilon: f64,
}

/// What a [`LayerNorm`] is.
#[derive(Clone, Copy, Debug)]
pub(in crate::models) struct LayerNormConfig {
    width: usize,
    epsilon: f64,
    bias: bool,
}

impl LayerNormConfig {
    /// Of rows of `width` numbers, with PyTorch's defaults.
    pub(in crate::models) fn new(width: usize) -> Self {
        Self {
            width,
            epsilon: 1e-5,
            bias: true,
        }
    }

    /// With another summand of the variance.
    pub(in crate::models) fn with_epsilon(self, epsilon: f64) -> Self {
        Self { epsilon, ..self }
    }

    /// With something added to each place, or with nothing.
    pub(in crate::models) fn with_bias(self, bias: bool) -> Self {
        Self { bias, ..self }
    }

    /// A normalisation that changes nothing else yet.
    pub(in crate::models) fn init(self, device: &Device) -> LayerNorm {
        LayerNorm {
            gamma: Initializer::Ones.init([self.width], device),
            beta: self
                .bias
                .then(|| Initializer::Zeros.init([self.width], device)),
            epsilon: self.epsilon,
        }
    }
}

impl LayerNorm {
    /// `[…, width]` → the same.
    pub(in crate::models) fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let (gamma, beta) = (self.gamma.val(), self.beta.as_ref().map(Param::val));
        if is_flex(&x) && x.device().is_autodiff() {
            norms::layer_norm(x, gamma, beta, self.epsilon)
        } else {
            layer_norm(x, gamma, beta, self.epsilon)
        }
    }
}
