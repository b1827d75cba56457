//! The layers of a DeBERTa, and what stands before and beside them.

use burn::module::{Initializer, Module};
use burn::nn::conv::{Conv1d, Conv1dConfig};
use burn::nn::{Dropout, DropoutConfig, Embedding, Linear, PaddingConfig1d};
use burn::tensor::{Device, Int, Tensor};

use super::super::encoder::{Intermediate, LayerConfig, Output};
use super::super::transformer::{Act, linear_with, norm, table};
use super::attention::Disentangled;
use super::config::DebertaConfig;
use crate::models::adapters::adapted;
use crate::models::backbones::layer_norm::LayerNorm;
use crate::models::cpu::operations::dropout;

/// Vectors of tokens and, where the config has them, of positions and types.
#[derive(Module, Debug)]
#[expect(
    clippy::struct_field_names,
    reason = "the names that the checkpoint has"
)]
pub(super) struct Embeddings {
    pub(super) word_embeddings: Embedding,
    position_embeddings: Option<Embedding>,
    token_type_embeddings: Option<Embedding>,
    embed_proj: Option<Linear>,
    layer_norm: LayerNorm,
    dropout: Dropout,
}

/// A layer of BERT but for its attention.
#[derive(Module, Debug)]
pub(super) struct Layer {
    attention: Attention,
    intermediate: Intermediate,
    output: Output,
}

#[derive(Module, Debug)]
struct Attention {
    self_: Disentangled,
    output: Output,
}

/// What stands beside the first layer of large networks.
#[derive(Module, Debug)]
pub(super) struct Convolution {
    conv: Conv1d,
    layer_norm: LayerNorm,
    dropout: Dropout,
    #[module(skip)]
    act: Act,
}

impl Layer {
    /// With nothing in its weights yet.
    pub(super) fn new(config: &DebertaConfig, device: &Device) -> Self {
        let layer = LayerConfig {
            width: config.hidden_size,
            wide: config.intermediate_size,
            heads: config.num_attention_heads,
            act: config.hidden_act,
            layer_norm_eps: config.layer_norm_eps,
            dropout: config.hidden_dropout_prob,
            dropout_behind_attention: config.hidden_dropout_prob,
            attention_dropout: config.attention_probs_dropout_prob,
        };
        let (width, behind) = (layer.width, layer.dropout_behind_attention);
        Self {
            attention: Attention {
                self_: Disentangled::new(config, device),
                output: Output::new(width, behind, &layer, device),
            },
            intermediate: Intermediate::new(&layer, device),
            output: Output::new(layer.wide, layer.dropout, &layer, device),
        }
    }
}

impl Embeddings {
    /// With nothing in its weights yet.
    pub(super) fn new(config: &DebertaConfig, device: &Device) -> Self {
        let (narrow, width) = (config.narrow(), config.hidden_size);
        let (positions, types) = (config.max_position_embeddings, config.type_vocab_size);
        let table = |rows| table(rows, narrow, device);
        Self {
            word_embeddings: table(config.vocab_size),
            position_embeddings: config.position_biased_input.then(|| table(positions)),
            token_type_embeddings: (types > 0).then(|| table(types)),
            embed_proj: (narrow != width).then(|| linear_with(narrow, width, false, device)),
            layer_norm: norm(width, config.layer_norm_eps, device),
            dropout: DropoutConfig::new(config.hidden_dropout_prob).init(),
        }
    }
}

impl Convolution {
    /// With nothing in its weights yet.
    pub(super) fn new(config: &DebertaConfig, device: &Device) -> Self {
        let (width, size) = (config.hidden_size, config.conv_kernel_size);
        let around = (size - 1) / 2;
        Self {
            conv: Conv1dConfig::new(width, width, size)
                .with_padding(PaddingConfig1d::Explicit(around, around))
                .with_groups(config.conv_groups)
                .with_initializer(Initializer::Zeros)
                .init(device),
            layer_norm: norm(width, config.layer_norm_eps, device),
            dropout: DropoutConfig::new(config.hidden_dropout_prob).init(),
            act: config.conv_act,
        }
    }
}

impl Embeddings {
    /// `[batch, tokens]` → `[batch, tokens, width]`; 0 for padding.
    pub(super) fn forward(
        &self,
        ids: Tensor<2, Int>,
        types: Option<Tensor<2, Int>>,
        mask: &Tensor<2>,
    ) -> Tensor<3> {
        let [batch, tokens] = ids.dims();
        let mut states = self.word_embeddings.forward(ids);
        if let Some(positions) = &self.position_embeddings {
            let positions = positions.weight.val().slice(0..tokens);
            states = states + positions.unsqueeze::<3>();
        }
        if let Some(of_types) = &self.token_type_embeddings {
            let [known, _] = of_types.weight.shape().dims();
            states = match types.filter(|_| known > 1) {
                Some(types) => states + of_types.forward(types),
                None => states + of_types.weight.val().slice(0..1).unsqueeze::<3>(),
            };
        }
        if let Some(project) = &self.embed_proj {
            states = adapted(project, states);
        }
        let states = self.layer_norm.forward(states) * mask.clone().reshape([batch, tokens, 1]);
        dropout(&self.dropout, states)
    }
}

impl Layer {
    /// `[batch, tokens, width]` → the same.
    pub(super) fn forward(
        &self,
        states: Tensor<3>,
        mask: &Tensor<2>,
        of_distances: Option<Tensor<2>>,
    ) -> Tensor<3> {
        let attention = &self.attention;
        let context = attention.self_.forward(states.clone(), mask, of_distances);
        let states = attention.output.forward(context, states);
        let wide = self.intermediate.forward(states.clone());
        self.output.forward(wide, states)
    }
}

impl Convolution {
    /// What goes into the first layer and what comes out of it, `[batch, tokens, width]` each, → the same; 0 for padding.
    pub(super) fn forward(
        &self,
        before: Tensor<3>,
        states: Tensor<3>,
        mask: &Tensor<2>,
    ) -> Tensor<3> {
        let [batch, tokens, _] = states.dims();
        let mask = mask.clone().reshape([batch, tokens, 1]);
        let around = self.conv.forward(before.swap_dims(1, 2)).swap_dims(1, 2);
        let around = dropout(&self.dropout, around * mask.clone());
        self.layer_norm.forward(states + self.act.apply(around)) * mask
    }
}
