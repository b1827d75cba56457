//! What transformer encoders of texts and of images share: attention, the function between wide layers, what is wrong in a
//! config.

use burn::module::{Initializer, Module};
use burn::nn::{Dropout, DropoutConfig, Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::activation::{gelu_approximate, relu, sigmoid, silu, tanh};
use burn::tensor::{Device, Tensor};
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::models::adapters::adapted;
use crate::models::backbones::layer_norm::{LayerNorm, LayerNormConfig};
use crate::models::cpu::attention::{Heads, attend};
use crate::models::cpu::is_flex;
use crate::models::cpu::operations::{attention, dropout, gelu, seed_of};
use crate::models::initial::WIDEST;
use crate::models::{Head, Problem};

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
    /// What transformers calls it.
    pub(in crate::models) fn name(self) -> &'static str {
        match self {
            Self::Gelu => "gelu",
            Self::GeluNew => "gelu_new",
            Self::Relu => "relu",
            Self::Silu => "silu",
            Self::Tanh => "tanh",
            Self::QuickGelu => "quick_gelu",
        }
    }

    /// The class that sentence-transformers computes it by.
    pub(in crate::models) fn module(self) -> &'static str {
        match self {
            Self::Gelu => "torch.nn.modules.activation.GELU",
            Self::GeluNew => "transformers.activations.NewGELUActivation",
            Self::Relu => "torch.nn.modules.activation.ReLU",
            Self::Silu => "torch.nn.modules.activation.SiLU",
            Self::Tanh => "torch.nn.modules.activation.Tanh",
            Self::QuickGelu => "transformers.activations.QuickGELUActivation",
        }
    }

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

/// A linear layer whose weights come later; nothing is allocated for them until then.
pub(super) fn linear(from: usize, to: usize, device: &Device) -> Linear {
    linear_with(from, to, true, device)
}

/// The same with a bias or without.
pub(super) fn linear_with(from: usize, to: usize, bias: bool, device: &Device) -> Linear {
    LinearConfig::new(from, to)
        .with_bias(bias)
        .with_initializer(Initializer::Zeros)
        .init(device)
}

/// A normalisation of `width` numbers that changes nothing else yet.
pub(super) fn norm(width: usize, epsilon: f64, device: &Device) -> LayerNorm {
    LayerNormConfig::new(width)
        .with_epsilon(epsilon)
        .init(device)
}

/// A table of vectors that come later.
pub(super) fn table(rows: usize, width: usize, device: &Device) -> Embedding {
    EmbeddingConfig::new(rows, width)
        .with_initializer(Initializer::Zeros)
        .init(device)
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
        self.forward_biased(states, mask, None)
    }

    /// The same, where `bias`, `[1, heads, queries, keys]`, is added to the scaled scores.
    pub(super) fn forward_biased(
        &self,
        states: Tensor<3>,
        mask: &Tensor<2>,
        bias: Option<Tensor<4>>,
    ) -> Tensor<3> {
        let [batch, tokens, width] = states.dims();
        let width_of_head = width / self.heads;
        #[expect(clippy::cast_precision_loss, reason = "the width of a head is small")]
        let scale = (width_of_head as f64).sqrt().recip();
        let query = adapted(&self.query, states.clone());
        let key = adapted(&self.key, states.clone());
        let value = adapted(&self.value, states);
        if bias.is_none() && is_flex(&query) && query.device().is_autodiff() {
            #[expect(clippy::cast_possible_truncation, reason = "the numbers are f32")]
            let heads = Heads {
                count: self.heads,
                scale: scale as f32,
                drop: seed_of(&self.dropout),
            };
            return attend([query, key, value], mask.clone(), heads);
        }
        let split = |x: Tensor<3>| {
            x.reshape([batch, tokens, self.heads, width_of_head])
                .swap_dims(1, 2)
        };
        let (query, key, value) = (split(query), split(key), split(value));
        let scores = query.matmul(key.transpose());
        let scores = match bias {
            Some(bias) => scores + bias.div_scalar(scale),
            None => scores,
        };
        let weights = attention(scores, mask.clone(), scale);
        let weights = dropout(&self.dropout, weights);
        weights
            .matmul(value)
            .swap_dims(1, 2)
            .reshape([batch, tokens, width])
    }
}

/// How a config says where tokens are.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PositionEmbedding {
    /// A vector for each position.
    #[default]
    Absolute,
}

/// `layer_norm_eps` where `config.json` does not say it.
pub(super) fn default_layer_norm_eps() -> f64 {
    1e-12
}

/// `type_vocab_size` where `config.json` does not say it.
pub(super) fn default_types() -> usize {
    2
}

/// Probabilities of dropout that `config.json` does not say.
pub(super) fn default_dropout() -> f64 {
    0.1
}

/// `initializer_range` where `config.json` does not say it.
pub(super) fn default_initializer_range() -> f64 {
    0.02
}

/// Switches that are on where `config.json` does not say them, such as `tie_word_embeddings`.
pub(super) fn default_true() -> bool {
    true
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

/// Checks the id of the padding token of a network that counts positions from it on.
///
/// # Errors
/// No such token, none of `tokens`, or one that leaves none of `positions` for others.
pub(super) fn check_padding(id: Option<usize>, tokens: usize, positions: usize) -> Result<()> {
    let Some(id) = id else {
        return wrong("`pad_token_id` is null, and positions are counted from it on");
    };
    if id >= tokens {
        return wrong(&format!(
            "`pad_token_id` is none of the {tokens} tokens that `vocab_size` is for"
        ));
    }
    if positions < 2 || id > positions - 2 {
        return wrong(&format!(
            "`max_position_embeddings` {positions} leaves no position behind `pad_token_id` {id}"
        ));
    }
    Ok(())
}

/// Refuses a head for masked tokens whose last layer has weights of its own: refire's has the vectors of tokens.
///
/// # Errors
/// Where such a `head` is asked for and `config.json` says that the two are not `tied`.
pub(super) fn check_tied(head: &Head, tied: bool) -> Result<()> {
    if !tied && head.problem == Problem::MaskedLanguage {
        return wrong(
            "`tie_word_embeddings` is false, and refire has heads for masked tokens only where it is true",
        );
    }
    Ok(())
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
    check_norm_of("layer_norm_eps", epsilon)
}

/// The same, where a config calls it `name`.
///
/// # Errors
/// A number below 0.
pub(super) fn check_norm_of(name: &str, epsilon: f64) -> Result<()> {
    if epsilon.is_finite() && epsilon >= 0.0 {
        return Ok(());
    }
    wrong(&format!("`{name}` is {epsilon}, not at least 0"))
}

/// Refuses a size of which so many `times` are more than there are numbers.
///
/// # Errors
/// Such a size, with its name.
pub(super) fn check_times(name: &str, size: usize, times: usize) -> Result<()> {
    match size.checked_mul(times) {
        Some(_) => Ok(()),
        None => wrong(&format!("`{name}` is {size}, and nothing is so large")),
    }
}

/// Checks what the types of a config cannot say.
///
/// # Errors
/// States that cannot be divided among the heads; `dropouts` that are no probabilities below 1.
pub(super) fn check(width: usize, heads: usize, dropouts: &[(&str, f64)]) -> Result<()> {
    check_heads(("hidden_size", width), ("num_attention_heads", heads))?;
    check_dropouts(dropouts)
}

/// Checks that states can be divided among the heads, by the names of both in a config.
///
/// # Errors
/// Where they cannot.
pub(super) fn check_heads(
    (of_width, width): (&str, usize),
    (of_heads, heads): (&str, usize),
) -> Result<()> {
    if heads == 0 || !width.is_multiple_of(heads) {
        return wrong(&format!(
            "`{of_width}` {width} is not a multiple of `{of_heads}` {heads}"
        ));
    }
    Ok(())
}

/// Checks probabilities of dropout.
///
/// # Errors
/// One that is no probability below 1, with its name.
pub(super) fn check_dropouts(dropouts: &[(&str, f64)]) -> Result<()> {
    match dropouts
        .iter()
        .find(|(_, value)| !(0.0..1.0).contains(value))
    {
        Some((name, _)) => wrong(&format!("`{name}` must be at least 0 and below 1")),
        None => Ok(()),
    }
}
