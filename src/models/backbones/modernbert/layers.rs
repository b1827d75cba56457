//! The layers of a ModernBERT.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::{Device, Tensor, TensorData};

use super::super::rotary;
use super::super::transformer::{Act, linear_with};
use super::config::{ModernBertConfig, Reach};
use crate::models::adapters::adapted;
use crate::models::backbones::layer_norm::{LayerNorm, LayerNormConfig};
use crate::models::cpu::operations::{attention, dropout};

#[derive(Module, Debug)]
pub(super) struct Layer {
    /// None in the first layer: embeddings are normalised.
    attn_norm: Option<LayerNorm>,
    attn: Attention,
    mlp_norm: LayerNorm,
    mlp: Mlp,
}

#[derive(Module, Debug)]
struct Attention {
    wqkv: Linear,
    wo: Linear,
    drop: Dropout,
    out_drop: Dropout,
    heads: usize,
    /// How far a token looks to each side; none for all the way.
    #[module(skip)]
    window: Option<usize>,
    #[module(skip)]
    theta: f64,
}

/// A gated linear unit (arXiv:2002.05202).
#[derive(Module, Debug)]
struct Mlp {
    wi: Linear,
    wo: Linear,
    drop: Dropout,
    #[module(skip)]
    act: Act,
}

impl Layer {
    /// With nothing in its weights yet.
    pub(super) fn new(config: &ModernBertConfig, layer: usize, device: &Device) -> Self {
        Self {
            attn_norm: (layer > 0).then(|| norm(config, device)),
            attn: Attention::new(config, layer, device),
            mlp_norm: norm(config, device),
            mlp: Mlp::new(config, device),
        }
    }

    /// How far its tokens look to each side, and what its positions follow from.
    pub(super) fn signature(&self) -> (Option<usize>, f64) {
        (self.attn.window, self.attn.theta)
    }
}

impl Attention {
    fn new(config: &ModernBertConfig, layer: usize, device: &Device) -> Self {
        let (width, bias) = (config.hidden_size, config.attention_bias);
        let reach = config.reach(layer);
        Self {
            wqkv: linear_with(width, 3 * width, bias, device),
            wo: linear_with(width, width, bias, device),
            drop: DropoutConfig::new(config.attention_dropout).init(),
            out_drop: DropoutConfig::new(config.attention_dropout).init(),
            heads: config.num_attention_heads,
            window: (reach == Reach::Local).then_some(config.local_attention / 2),
            theta: config.theta(reach),
        }
    }
}

impl Mlp {
    fn new(config: &ModernBertConfig, device: &Device) -> Self {
        let (width, wide, bias) = (
            config.hidden_size,
            config.intermediate_size,
            config.mlp_bias,
        );
        Self {
            wi: linear_with(width, 2 * wide, bias, device),
            wo: linear_with(wide, width, bias, device),
            drop: DropoutConfig::new(config.mlp_dropout).init(),
            act: config.hidden_activation,
        }
    }
}

/// A normalisation that changes nothing else yet.
pub(super) fn norm(config: &ModernBertConfig, device: &Device) -> LayerNorm {
    LayerNormConfig::new(config.hidden_size)
        .with_epsilon(config.norm_eps)
        .with_bias(config.norm_bias)
        .init(device)
}

impl Layer {
    /// `[batch, tokens, width]` → the same.
    pub(super) fn forward(&self, states: Tensor<3>, mask: &Tensor<2>) -> Tensor<3> {
        let normed = match &self.attn_norm {
            Some(norm) => norm.forward(states.clone()),
            None => states.clone(),
        };
        let states = states + self.attn.forward(normed, mask);
        let normed = self.mlp_norm.forward(states.clone());
        states + self.mlp.forward(normed)
    }
}

impl Attention {
    /// `[batch, tokens, width]` → the same.
    fn forward(&self, states: Tensor<3>, mask: &Tensor<2>) -> Tensor<3> {
        let [batch, tokens, width] = states.dims();
        let width_of_head = width / self.heads;
        let device = states.device();
        let all = adapted(&self.wqkv, states);
        let part = |index: usize| {
            let columns = index * width..(index + 1) * width;
            let part = all.clone().slice([0..batch, 0..tokens, columns]);
            part.reshape([batch, tokens, self.heads, width_of_head])
                .swap_dims(1, 2)
        };
        let angles = rotary::angles(tokens, width_of_head, self.theta, &device);
        let query = rotary::turn(part(0), &angles);
        let key = rotary::turn(part(1), &angles);
        #[expect(clippy::cast_precision_loss, reason = "the width of a head is small")]
        let scale = (width_of_head as f64).sqrt().recip();
        let scores = query.matmul(key.transpose());
        let scores = match self.window.filter(|window| tokens > window + 1) {
            Some(window) => scores + beyond(window, tokens, &device),
            None => scores,
        };
        let weights = dropout(&self.drop, attention(scores, mask.clone(), scale));
        let context = weights
            .matmul(part(2))
            .swap_dims(1, 2)
            .reshape([batch, tokens, width]);
        dropout(&self.out_drop, adapted(&self.wo, context))
    }
}

/// What is added to scores, `[1, 1, queries, keys]`: 0 for keys at most `window` away, and so little for others that their weight is 0.
fn beyond(window: usize, tokens: usize, device: &Device) -> Tensor<4> {
    let scores = (0..tokens).flat_map(|query| {
        (0..tokens).map(move |key| {
            if query.abs_diff(key) <= window {
                0.0_f32
            } else {
                -1e9
            }
        })
    });
    let data = TensorData::new(scores.collect::<Vec<f32>>(), [1, 1, tokens, tokens]);
    Tensor::from_data(data, device)
}

impl Mlp {
    /// `[batch, tokens, width]` → the same.
    fn forward(&self, states: Tensor<3>) -> Tensor<3> {
        let mut halves = adapted(&self.wi, states).chunk(2, 2);
        let (Some(gate), Some(input)) = (halves.pop(), halves.pop()) else {
            panic!("a gated unit has two halves");
        };
        let wide = self.act.apply(input) * gate;
        adapted(&self.wo, dropout(&self.drop, wide))
    }
}
