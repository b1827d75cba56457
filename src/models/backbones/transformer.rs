//! What transformer encoders of texts and of images share: attention, the function between wide layers, what is wrong in a
//! config.

use burn::module::{Initializer, Module};
use burn::nn::{Dropout, DropoutConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::activation::{gelu_approximate, relu, sigmoid, silu, tanh};
use burn::tensor::{Device, Tensor};
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::models::initial::WIDEST;
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
        let linear = |from, to| {
            LinearConfig::new(from, to)
                .with_initializer(Initializer::Zeros)
                .init(device)
        };
        let norm = || {
            LayerNormConfig::new(self.width)
                .with_epsilon(self.epsilon)
                .init(device)
        };
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
        let x = x + dropout(&self.dropout, self.attended.forward(attended));
        let wide = self.wide.forward(self.after.forward(x.clone()));
        let narrow = self.narrow.forward(self.act.apply(wide));
        x + dropout(&self.dropout, narrow)
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

/// Checks a standard deviation, or a factor of some, which the config calls `name`.
///
/// # Errors
/// What is none, or so large that nothing can be drawn with it.
pub(super) fn check_spread(name: &str, spread: f64) -> Result<()> {
    if (0.0..=WIDEST).contains(&spread) {
        return Ok(());
    }
    wrong(&format!("`{name}` is {spread:e}, not from 0 to {WIDEST}"))
}

/// `width` times the config's ratio `name`, rounded down as transformers does.
///
/// # Errors
/// A product that is no size.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is no size is refused before it is one"
)]
pub(super) fn times(width: usize, name: &str, ratio: f64) -> Result<usize> {
    let product = width as f64 * ratio;
    if product >= 1.0 && product <= MOST_WIDE as f64 {
        return Ok(product as usize);
    }
    wrong(&format!(
        "`{name}` {ratio} of {width} is no size from 1 to {MOST_WIDE}"
    ))
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

/// Checks the two lists that say how wide and how deep the stages of a network are.
///
/// # Errors
/// Lists that differ in length, or are empty; a stage of nothing; a width that no network has.
pub(super) fn check_stages(
    widths_name: &str,
    widths: &[usize],
    depths_name: &str,
    depths: &[usize],
) -> Result<()> {
    if widths.len() != depths.len() {
        return wrong(&format!(
            "`{widths_name}` has {} numbers, but `{depths_name}` has {}",
            widths.len(),
            depths.len()
        ));
    }
    if widths.is_empty() {
        return wrong(&format!("`{widths_name}` names no stage"));
    }
    if depths.contains(&0) {
        return wrong(&format!("`{depths_name}` has a stage without layers"));
    }
    let sizes: Vec<(&str, usize)> = widths.iter().map(|width| (widths_name, *width)).collect();
    check_sizes(&sizes)?;
    check_widths(&sizes)
}

/// The sum of numbers, or the largest number if it is beyond that.
pub(super) fn sum(numbers: &[usize]) -> usize {
    numbers
        .iter()
        .fold(0, |sum, number| sum.saturating_add(*number))
}

/// Refuses networks whose batch normalisations would fill the memory before a weight is read.
///
/// # Errors
/// More layers times channels than any network has.
pub(super) fn check_total(name: &str, layers: usize, widths: &[usize]) -> Result<()> {
    const MOST: usize = 1 << 22;
    let widest = widths.iter().max().copied().unwrap_or_default();
    if layers.saturating_mul(widest) <= MOST {
        return Ok(());
    }
    wrong(&format!(
        "`{name}` asks for {layers} layers of up to {widest} channels, more than any network has"
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
