//! What transformer encoders of texts and of images share: attention, the function between wide layers, what is wrong in a
//! config.

use burn::module::{Initializer, Module};
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::activation::{gelu_approximate, relu, sigmoid, silu, tanh};
use burn::tensor::{Device, Tensor};
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::models::operations::{attention, dropout, gelu};

/// The function between a layer's two wide linear layers.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::models) enum Act {
    /// x Φ(x), with the normal distribution's own Φ (arXiv:1606.08415).
    #[default]
    #[serde(alias = "gelu_python")]
    Gelu,
    /// The same with Φ approximated by tanh.
    #[serde(alias = "gelu_pytorch_tanh", alias = "gelu_fast")]
    GeluNew,
    /// x σ(1.702 x), another approximation of it.
    QuickGelu,
    Relu,
    #[serde(alias = "swish")]
    Silu,
    Tanh,
}

impl Act {
    pub(in crate::models) fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Gelu => gelu(x),
            Self::GeluNew => gelu_approximate(x),
            Self::QuickGelu => x.clone() * sigmoid(x * 1.702),
            Self::Relu => relu(x),
            Self::Silu => silu(x),
            Self::Tanh => tanh(x),
        }
    }
}

/// Scaled dot-product attention of several heads (arXiv:1706.03762), as far as the linear layer after it.
#[derive(Module, Debug)]
pub(super) struct SelfAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    dropout: Dropout,
    heads: usize,
}

impl SelfAttention {
    /// Attention with nothing in its weights yet, between states of `width` numbers.
    pub(super) fn new(
        width: usize,
        heads: usize,
        bias: bool,
        dropout: f64,
        device: &Device,
    ) -> Self {
        let linear = || {
            LinearConfig::new(width, width)
                .with_bias(bias)
                .with_initializer(Initializer::Zeros)
                .init(device)
        };
        Self {
            query: linear(),
            key: linear(),
            value: linear(),
            dropout: DropoutConfig::new(dropout).init(),
            heads,
        }
    }

    /// `[batch, tokens, width]` → the same; what `mask`, `[batch, tokens]`, is 0 for is left out.
    pub(super) fn forward(&self, states: Tensor<3>, mask: &Tensor<2>) -> Tensor<3> {
        let [batch, tokens, width] = states.dims();
        let width_of_head = width / self.heads;
        let split = |x: Tensor<3>| {
            x.reshape([batch, tokens, self.heads, width_of_head])
                .swap_dims(1, 2)
        };
        let query = split(self.query.forward(states.clone()));
        let key = split(self.key.forward(states.clone()));
        let value = split(self.value.forward(states));
        #[expect(clippy::cast_precision_loss, reason = "the width of a head is small")]
        let scale = (width_of_head as f64).sqrt().recip();
        let scores = query.matmul(key.transpose());
        let weights = attention(scores, mask.clone(), scale);
        let weights = dropout(&self.dropout, weights);
        weights
            .matmul(value)
            .swap_dims(1, 2)
            .reshape([batch, tokens, width])
    }
}

/// `layer_norm_eps` where `config.json` does not say it.
pub(super) fn default_layer_norm_eps() -> f64 {
    1e-12
}

/// An error in `config.json`.
pub(super) fn wrong<T>(what: &str) -> Result<T> {
    Err(Error::stage(format!("config.json: {what}")))
}

/// Refuses sizes of nothing.
///
/// # Errors
/// A size of 0, with its name. That the others are those of the weights is seen when these are read.
pub(super) fn check_sizes(sizes: &[(&str, usize)]) -> Result<()> {
    match sizes.iter().find(|(_, size)| *size == 0) {
        Some((name, _)) => wrong(&format!("`{name}` is 0")),
        None => Ok(()),
    }
}

/// The most numbers that a vector or a kernel of a network in a config may have on a side: far more than any network has.
const MOST_WIDE: usize = 1 << 16;

/// Refuses sizes that no network has, before anything is made of them.
///
/// # Errors
/// A size that is too large, with its name.
pub(super) fn check_widths(sizes: &[(&str, usize)]) -> Result<()> {
    match sizes.iter().find(|(_, size)| *size > MOST_WIDE) {
        Some((name, size)) => wrong(&format!(
            "`{name}` is {size}, and at most {MOST_WIDE} are made"
        )),
        None => Ok(()),
    }
}

/// Checks what numbers of a new network begin with.
///
/// # Errors
/// What is no f32, which the config calls `name`.
pub(super) fn check_factor(name: &str, factor: f64) -> Result<()> {
    if factor.abs() <= f64::from(f32::MAX) {
        return Ok(());
    }
    wrong(&format!(
        "`{name}` is {factor:e}, which is no number for a weight"
    ))
}

/// Refuses images of other than three colours.
///
/// # Errors
/// What else `num_channels` says.
pub(super) fn check_colours(channels: usize) -> Result<()> {
    if channels == 3 {
        return Ok(());
    }
    wrong(&format!(
        "`num_channels` is {channels}, and images have 3 colours"
    ))
}

/// Checks what is added to a variance before its root is taken.
///
/// # Errors
/// A number below 0.
pub(super) fn check_norm(epsilon: f64) -> Result<()> {
    if epsilon.is_finite() && epsilon >= 0.0 {
        return Ok(());
    }
    wrong(&format!("`layer_norm_eps` is {epsilon}, not at least 0"))
}

/// Checks what the types of a config cannot say.
///
/// # Errors
/// States that cannot be divided among the heads; `dropouts` that are no probabilities below 1.
pub(super) fn check(width: usize, heads: usize, dropouts: &[(&str, f64)]) -> Result<()> {
    if heads == 0 || !width.is_multiple_of(heads) {
        return wrong(&format!(
            "`hidden_size` {width} is not a multiple of `num_attention_heads` {heads}"
        ));
    }
    match dropouts
        .iter()
        .find(|(_, value)| !(0.0..1.0).contains(value))
    {
        Some((name, _)) => wrong(&format!("`{name}` must be at least 0 and below 1")),
        None => Ok(()),
    }
}
