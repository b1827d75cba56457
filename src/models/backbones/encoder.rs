//! What encoders of texts that are built like BERT (arXiv:1810.04805) share: embeddings of tokens, and post-norm transformer layers.
//! The fields are named as in Hugging Face's BERT, so that their paths are the names of its weights.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Embedding, Linear};
use burn::tensor::{Device, Int, Tensor};

use super::transformer::{Act, SelfAttention, linear, norm, table};
use crate::error::Result;
use crate::models::adapters::adapted;
use crate::models::backbones::layer_norm::LayerNorm;
use crate::models::cpu::operations::dropout;
use crate::models::export;
use crate::models::folder::ModelFolder;
use crate::models::initial::{self, Initial, Rule, is_bias};
use crate::models::weights::Shapes;
use crate::models::{Activations, TokenBatch};

// -------------------------------------------------------------------------------------------------------- embeddings

/// What the embeddings of tokens are.
#[derive(Clone, Copy, Debug)]
pub(super) struct EmbeddingsConfig {
    /// How many tokens there are.
    pub(super) vocabulary: usize,
    /// How many rows positions have.
    pub(super) positions: usize,
    /// How tokens are counted.
    pub(super) counting: Counting,
    /// How many types of tokens there are; none for a network without a table of them.
    pub(super) types: Option<usize>,
    /// How many numbers an embedding has.
    pub(super) width: usize,
    pub(super) layer_norm_eps: f64,
    pub(super) dropout: f64,
}

/// Which position a token has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counting {
    /// Its place in the batch, from 0 on.
    Places,
    /// The place among those tokens of its text that are not padding, from one more than the padding token's id on; that id for
    /// padding: fairseq's way, which RoBERTa has.
    Tokens {
        /// The padding token's id.
        padding: usize,
    },
}

impl Counting {
    /// How many tokens a text may have where positions have so many rows.
    pub(super) fn longest(self, rows: usize) -> usize {
        match self {
            Self::Places => rows,
            Self::Tokens { padding } => rows.saturating_sub(padding + 1),
        }
    }
}

/// Sums of the vectors of tokens, positions and types, normalised.
#[derive(Module, Debug)]
#[expect(
    clippy::struct_field_names,
    reason = "the names that the checkpoint has"
)]
pub(super) struct Embeddings {
    word_embeddings: Embedding,
    position_embeddings: Embedding,
    token_type_embeddings: Option<Embedding>,
    layer_norm: LayerNorm,
    dropout: Dropout,
    #[module(skip)]
    counting: Counting,
}

impl Embeddings {
    /// With nothing in their weights yet.
    pub(super) fn new(config: &EmbeddingsConfig, device: &Device) -> Self {
        let table = |rows| table(rows, config.width, device);
        Self {
            word_embeddings: table(config.vocabulary),
            position_embeddings: table(config.positions),
            token_type_embeddings: config.types.map(table),
            layer_norm: norm(config.width, config.layer_norm_eps, device),
            dropout: DropoutConfig::new(config.dropout).init(),
            counting: config.counting,
        }
    }

    /// The vectors of tokens, `[tokens, width]`.
    pub(super) fn words(&self) -> Tensor<2> {
        self.word_embeddings.weight.val()
    }

    /// `[batch, tokens]` → `[batch, tokens, width]`. Without `types` every token is of type 0, as it is for a network that knows no
    /// other, such as RoBERTa: its tokenizer in transformers gives both texts of a pair type 0.
    pub(super) fn forward(&self, ids: Tensor<2, Int>, types: Option<Tensor<2, Int>>) -> Tensor<3> {
        let positions = self.positions(&ids);
        let around = match &self.token_type_embeddings {
            None => positions,
            Some(of_types) => {
                let [known, _] = of_types.weight.shape().dims();
                match types.filter(|_| known > 1) {
                    Some(types) => positions + of_types.forward(types),
                    None => positions + of_types.weight.val().slice(0..1).unsqueeze::<3>(),
                }
            }
        };
        let states = self.word_embeddings.forward(ids) + around;
        dropout(&self.dropout, self.layer_norm.forward(states))
    }

    /// The vectors of the positions of `ids`, `[batch or 1, tokens, width]`.
    fn positions(&self, ids: &Tensor<2, Int>) -> Tensor<3> {
        match self.counting {
            Counting::Places => {
                let [_, tokens] = ids.dims();
                let positions = self.position_embeddings.weight.val();
                positions.slice(0..tokens).unsqueeze::<3>()
            }
            Counting::Tokens { padding } => {
                let padding = i64::try_from(padding).unwrap_or(i64::MAX);
                let is_token = ids.clone().not_equal_elem(padding).int();
                let counted = is_token.clone().cumsum(1) * is_token + padding;
                self.position_embeddings.forward(counted)
            }
        }
    }
}

// ------------------------------------------------------------------------------------------------------------ layers

/// What a layer is.
#[derive(Clone, Copy, Debug)]
pub(super) struct LayerConfig {
    /// How many numbers the state of a token has.
    pub(super) width: usize,
    /// How many it has between a layer's two wide linear layers.
    pub(super) wide: usize,
    pub(super) heads: usize,
    pub(super) act: Act,
    pub(super) layer_norm_eps: f64,
    /// Dropout behind the wide layers.
    pub(super) dropout: f64,
    /// Dropout behind the linear layer that attention ends with.
    pub(super) dropout_behind_attention: f64,
    /// Dropout of attention's weights.
    pub(super) attention_dropout: f64,
}

/// A row of layers.
#[derive(Module, Debug)]
pub(super) struct Encoder {
    layer: Vec<Layer>,
}

#[derive(Module, Debug)]
struct Layer {
    attention: Attention,
    intermediate: Intermediate,
    output: Output,
}

#[derive(Module, Debug)]
struct Attention {
    self_: SelfAttention,
    output: Output,
}

/// The wide linear layer, and the function behind it.
#[derive(Module, Debug)]
pub(super) struct Intermediate {
    dense: Linear,
    #[module(skip)]
    act: Act,
}

/// A linear layer, added to what went around it, and normalised.
#[derive(Module, Debug)]
pub(super) struct Output {
    dense: Linear,
    layer_norm: LayerNorm,
    dropout: Dropout,
}

impl Encoder {
    /// So many layers with nothing in their weights yet.
    pub(super) fn new(layers: usize, config: &LayerConfig, device: &Device) -> Self {
        Self {
            layer: (0..layers).map(|_| Layer::new(config, device)).collect(),
        }
    }

    /// How many layers there are.
    pub(super) fn layers(&self) -> usize {
        self.layer.len()
    }

    /// A layer: `[batch, tokens, width]` → the same. What `mask`, `[batch, tokens]`, is 0 for is not looked at.
    pub(super) fn forward(&self, layer: usize, states: Tensor<3>, mask: &Tensor<2>) -> Tensor<3> {
        self.layer[layer].forward(states, mask, None)
    }

    /// The same, where `bias`, `[1, heads, queries, keys]`, is added to the scores of attention.
    pub(super) fn forward_biased(
        &self,
        layer: usize,
        states: Tensor<3>,
        mask: &Tensor<2>,
        bias: Tensor<4>,
    ) -> Tensor<3> {
        self.layer[layer].forward(states, mask, Some(bias))
    }
}

impl Layer {
    fn new(config: &LayerConfig, device: &Device) -> Self {
        let LayerConfig { width, wide, .. } = *config;
        Self {
            attention: Attention {
                self_: SelfAttention::new(
                    width,
                    config.heads,
                    true,
                    config.attention_dropout,
                    device,
                ),
                output: Output::new(width, config.dropout_behind_attention, config, device),
            },
            intermediate: Intermediate::new(config, device),
            output: Output::new(wide, config.dropout, config, device),
        }
    }

    fn forward(&self, states: Tensor<3>, mask: &Tensor<2>, bias: Option<Tensor<4>>) -> Tensor<3> {
        let attention = &self.attention.self_;
        let context = attention.forward_biased(states.clone(), mask, bias);
        let states = self.attention.output.forward(context, states);
        let wide = self.intermediate.forward(states.clone());
        self.output.forward(wide, states)
    }
}

impl Intermediate {
    /// With nothing in its weights yet.
    pub(super) fn new(config: &LayerConfig, device: &Device) -> Self {
        Self {
            dense: linear(config.width, config.wide, device),
            act: config.act,
        }
    }

    /// `[batch, tokens, width]` → `[batch, tokens, wide]`.
    pub(super) fn forward(&self, states: Tensor<3>) -> Tensor<3> {
        self.act.apply(adapted(&self.dense, states))
    }
}

impl Output {
    /// With nothing in its weights yet, behind `from` numbers.
    pub(super) fn new(from: usize, dropout: f64, config: &LayerConfig, device: &Device) -> Self {
        Self {
            dense: linear(from, config.width, device),
            layer_norm: norm(config.width, config.layer_norm_eps, device),
            dropout: DropoutConfig::new(dropout).init(),
        }
    }

    /// `[batch, tokens, from]` and what went around it, `[batch, tokens, width]`, → the latter's shape.
    pub(super) fn forward(&self, states: Tensor<3>, around: Tensor<3>) -> Tensor<3> {
        let states = dropout(&self.dropout, adapted(&self.dense, states));
        self.layer_norm.forward(states + around)
    }
}

// ------------------------------------------------------------------------------------------------------------ blocks

/// What the blocks of an encoder compute, in their order.
pub(super) trait Steps {
    /// How many layers there are.
    fn layers(&self) -> usize;

    /// `[batch, tokens]` → `[batch, tokens, width]`.
    fn embed(
        &self,
        ids: Tensor<2, Int>,
        types: Option<Tensor<2, Int>>,
        mask: &Tensor<2>,
    ) -> Tensor<3>;

    /// A layer: `[batch, tokens, width]` → the same. What `mask`, `[batch, tokens]`, is 0 for is not looked at.
    fn layer(&self, layer: usize, states: Tensor<3>, mask: &Tensor<2>) -> Tensor<3>;

    /// `[batch, tokens, width]` → `[batch, width]`.
    fn pool(&self, states: Tensor<3>, mask: Tensor<2>) -> Tensor<2>;
}

/// Runs one of the blocks that [`blocks`] names.
///
/// # Panics
/// If `x` is not what that block takes.
pub(super) fn run(encoder: &impl Steps, block: usize, x: Activations) -> Activations {
    let layers = encoder.layers();
    match (block, x) {
        (0, Activations::Tokens(TokenBatch { ids, mask, types })) => Activations::Hidden {
            states: encoder.embed(ids, types, &mask),
            mask,
        },
        (block, Activations::Hidden { states, mask }) if (1..=layers).contains(&block) => {
            Activations::Hidden {
                states: encoder.layer(block - 1, states, &mask),
                mask,
            }
        }
        (block, Activations::Hidden { states, mask }) if block == layers + 1 => {
            Activations::Pooled(encoder.pool(states, mask))
        }
        (block, x) => panic!("block {block} of an encoder of texts cannot take {x:?}"),
    }
}

// ------------------------------------------------------------------------------------------------------------- names

/// A module's path → its Hugging Face name without the base model's.
pub(super) fn parameter_name(path: &str) -> String {
    path.replace(".self_.", ".self.")
        .replace("layer_norm.gamma", "LayerNorm.weight")
        .replace("layer_norm.beta", "LayerNorm.bias")
}

/// A name in a checkpoint → the form of [`parameter_name`], where the base model is called `base`. Checkpoints converted from TensorFlow
/// call a norm's tensors gamma and beta.
pub(super) fn checkpoint_name(name: &str, base: &str) -> String {
    name.strip_prefix(base)
        .and_then(|rest| rest.strip_prefix('.'))
        .unwrap_or(name)
        .replace("LayerNorm.gamma", "LayerNorm.weight")
        .replace("LayerNorm.beta", "LayerNorm.bias")
}

/// The names of the blocks below the head: `embeddings`, those of the `row` of layers, such as `encoder.layer.0`, and `last`, which pools.
pub(super) fn blocks(row: &str, layers: usize, last: &str) -> Vec<String> {
    let layers = (0..layers).map(|index| format!("{row}.{index}"));
    std::iter::once("embeddings".to_string())
        .chain(layers)
        .chain([last.to_string()])
        .collect()
}

/// Whether weights are those of such layers, and what they call the base model, nothing if they begin with its parts, `suits`.
pub(super) fn recognise(shapes: &Shapes<'_>, suits: impl Fn(&str) -> bool) -> bool {
    let mark = "encoder.layer.0.attention.self.query.weight";
    let mut bases = shapes.keys().filter_map(|name| name.strip_suffix(mark));
    bases.any(|base| suits(base.trim_end_matches('.')))
}

/// Whether a checkpoint's tensor is no weight, but a constant that older versions of transformers stored, or the empty one of an
/// export.
pub(super) fn is_constant(name: &str) -> bool {
    let constants = [
        "embeddings.position_ids",
        "embeddings.token_type_ids",
        export::GUARD,
    ];
    constants.contains(&name)
}

/// As transformers draws them: `PreTrainedModel._init_weights` in `modeling_utils.py`, and `padding_idx` of the embedding of `tokens`.
///
/// # Errors
/// An `initializer_range` that is no standard deviation, a padding token that is none of `tokens`.
pub(super) fn initial(folder: &ModelFolder, tokens: usize) -> Result<Rule> {
    let std = initial::initializer_range(folder)?;
    let padding = initial::padding_row(folder, tokens)?;
    Ok(Box::new(move |name, _| match (name, padding) {
        (name, _) if is_bias(name) => Initial::Zeros,
        (name, _) if name.contains("layer_norm.") || name.contains("LayerNorm.") => Initial::Ones,
        ("embeddings.word_embeddings.weight", Some(row)) => Initial::Padded { std, row },
        _ => Initial::Normal(std),
    }))
}
