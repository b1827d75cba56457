//! MPNet (Song et al., arXiv:2004.09297): BERT's layers, with a bias of attention for each distance between two tokens that all layers share
//! (arXiv:1910.10683, section 2.1), and RoBERTa's positions and classifier; names and numbers are those of Hugging Face's `MPNetModel`.
//!
//! It reads top to bottom: config, blocks, forward, weight names.

use burn::module::Module;
use burn::nn::Embedding;
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::encoder::{self, Counting, Embeddings, EmbeddingsConfig, Encoder, LayerConfig, Steps};
use super::pooling::{self, Choice};
use super::transformer::{
    self, Act, default_dropout, default_initializer_range, default_layer_norm_eps, default_tied,
    table, wrong,
};
use crate::error::Result;
use crate::models::architecture::{Architecture, Blocks, Built, LibraryHead, Source};
use crate::models::export::{self, Library};
use crate::models::folder::ModelFolder;
use crate::models::heads::{HeadKind, InnerConfig, MaskedConfig};
use crate::models::initial::{self, Initial, Rule, is_bias};
use crate::models::naming::Naming;
use crate::models::weights::Shapes;
use crate::models::{Activations, Modality, Pooling};

// ------------------------------------------------------------------------------------------------------------ config

/// The part of `config.json` that decides what the network is. What it does not say is as in transformers' `MPNetConfig`.
#[derive(Clone, Debug, Deserialize)]
struct MpNetConfig {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    #[serde(default = "default_buckets")]
    relative_attention_num_buckets: usize,
    #[serde(default)]
    hidden_act: Act,
    #[serde(default = "default_dropout")]
    hidden_dropout_prob: f64,
    #[serde(default = "default_dropout")]
    attention_probs_dropout_prob: f64,
    #[serde(default = "default_layer_norm_eps")]
    layer_norm_eps: f64,
    #[serde(default = "default_initializer_range")]
    initializer_range: f64,
    #[serde(default = "default_tied")]
    tie_word_embeddings: bool,
}

fn default_buckets() -> usize {
    BUCKETS
}

/// How many kinds of distances transformers tells apart, however many rows their table has.
const BUCKETS: usize = 32;

/// The distance from which on all are of one kind.
const FAR: f32 = 128.0;

/// The id of the padding token, whatever `pad_token_id` says.
const PADDING: usize = 1;

/// How tokens are counted.
const COUNTING: Counting = Counting::Tokens { padding: PADDING };

impl MpNetConfig {
    /// Checks what the types cannot say.
    fn check(&self) -> Result<()> {
        let buckets = self.relative_attention_num_buckets;
        if buckets < BUCKETS {
            return wrong(&format!(
                "`relative_attention_num_buckets` is {buckets}, and there are {BUCKETS} kinds of distances"
            ));
        }
        transformer::check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("vocab_size", self.vocab_size),
            ("max_position_embeddings", self.max_position_embeddings),
        ])?;
        transformer::check_padding(Some(PADDING), self.vocab_size, self.max_position_embeddings)?;
        transformer::check_norm(self.layer_norm_eps)?;
        transformer::check(
            self.hidden_size,
            self.num_attention_heads,
            &[
                ("hidden_dropout_prob", self.hidden_dropout_prob),
                (
                    "attention_probs_dropout_prob",
                    self.attention_probs_dropout_prob,
                ),
            ],
        )
    }
}

// ------------------------------------------------------------------------------------------------------------ blocks

/// The network below the head. Its fields are named as those of a BERT; the names of the weights are [`parameter_name`]'s.
#[derive(Module, Debug)]
pub(in crate::models) struct MpNet {
    embeddings: Embeddings,
    /// A bias for each kind of distance and each head, `[kinds, heads]`. It belongs to the first block, because every layer needs it.
    relative_attention_bias: Embedding,
    encoder: Encoder,
    #[module(skip)]
    pooling: Pooling,
    #[module(skip)]
    config: MpNetConfig,
}

impl MpNet {
    /// The network with nothing in its weights yet.
    fn new(config: MpNetConfig, pooling: Pooling, device: &Device) -> Self {
        let embeddings = EmbeddingsConfig {
            vocabulary: config.vocab_size,
            positions: config.max_position_embeddings,
            counting: COUNTING,
            types: None,
            width: config.hidden_size,
            layer_norm_eps: config.layer_norm_eps,
            dropout: config.hidden_dropout_prob,
        };
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
        Self {
            embeddings: Embeddings::new(&embeddings, device),
            relative_attention_bias: table(
                config.relative_attention_num_buckets,
                config.num_attention_heads,
                device,
            ),
            encoder: Encoder::new(config.num_hidden_layers, &layer, device),
            pooling,
            config,
        }
    }
}

// ----------------------------------------------------------------------------------------------------------- forward

impl Blocks for MpNet {
    /// `embeddings`, `encoder.layer.0` …, `pooling`, which has no weights.
    fn blocks(&self) -> Vec<String> {
        encoder::blocks("encoder.layer", self.encoder.layers(), "pooling")
    }

    fn forward(&self, block: usize, x: Activations) -> Activations {
        encoder::run(self, block, x)
    }

    fn width(&self) -> usize {
        self.config.hidden_size
    }

    /// Dropout, which is for training, does not enter.
    fn signature(&self) -> String {
        let config = &self.config;
        format!(
            "mpnet, {:?} pooling, {} heads, {:?}, layer norm {:e}",
            self.pooling, config.num_attention_heads, config.hidden_act, config.layer_norm_eps,
        )
    }

    fn base(&self) -> &'static str {
        BASE
    }

    /// transformers' own class takes the first token's state alone.
    fn library(&self, head: &LibraryHead) -> Library {
        pooling::library(head, self.pooling)
    }

    fn complete(&self, config: &mut Map<String, Value>) {
        // What an export says about the class that came with it.
        for key in ["auto_map", "pooling"] {
            config.shift_remove(key);
        }
    }

    fn pooling(&self) -> Option<Pooling> {
        Some(self.pooling)
    }

    fn hidden_blocks(&self) -> Option<usize> {
        Some(self.encoder.layers() + 1)
    }

    fn embedding(&self) -> Option<Tensor<2>> {
        Some(self.embeddings.words())
    }

    fn max_tokens(&self) -> Option<usize> {
        Some(COUNTING.longest(self.config.max_position_embeddings))
    }

    fn vocabulary(&self) -> Option<usize> {
        Some(self.config.vocab_size)
    }

    fn token_types(&self) -> Option<usize> {
        Some(1)
    }
}

impl Steps for MpNet {
    fn layers(&self) -> usize {
        self.encoder.layers()
    }

    fn embed(&self, ids: Tensor<2, Int>, types: Option<Tensor<2, Int>>) -> Tensor<3> {
        self.embeddings.forward(ids, types)
    }

    fn layer(&self, layer: usize, states: Tensor<3>, mask: &Tensor<2>) -> Tensor<3> {
        let [_, tokens, _] = states.dims();
        let bias = self.bias(tokens, &states.device());
        self.encoder.forward_biased(layer, states, mask, bias)
    }

    fn pool(&self, states: Tensor<3>, mask: Tensor<2>) -> Tensor<2> {
        pooling::pool(states, mask, self.pooling)
    }
}

impl MpNet {
    /// What is added to the scores of attention among so many tokens: `[1, heads, queries, keys]`.
    fn bias(&self, tokens: usize, device: &Device) -> Tensor<4> {
        let kinds = (0..tokens).flat_map(|query| (0..tokens).map(move |key| kind(query, key)));
        let data = TensorData::new(kinds.collect::<Vec<i64>>(), [tokens, tokens]);
        let kinds = Tensor::<2, Int>::from_data(data, device);
        let bias = self.relative_attention_bias.forward(kinds);
        bias.permute([2, 0, 1]).unsqueeze()
    }
}

/// The kind of the distance from the token at `query` to that at `key`: one for each short distance, then as many again that grow with
/// its logarithm; other ones for each direction (T5, arXiv:1910.10683, section 2.1).
fn kind(query: usize, key: usize) -> i64 {
    const OF_A_DIRECTION: usize = BUCKETS / 2;
    const SHORT: usize = OF_A_DIRECTION / 2;
    let first = if key > query { OF_A_DIRECTION } else { 0 };
    let distance = key.abs_diff(query);
    let kind = if distance < SHORT {
        distance
    } else {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "as torch does it in f32: distances are those of tokens, and logarithms of numbers above 1"
        )]
        let longer = {
            let (distance, short) = (distance as f32, SHORT as f32);
            ((distance / short).ln() / (FAR / short).ln() * (OF_A_DIRECTION - SHORT) as f32)
                as usize
        };
        (SHORT + longer).min(OF_A_DIRECTION - 1)
    };
    i64::try_from(first + kind).unwrap_or_default()
}

// ------------------------------------------------------------------------------------------------------ weight names

/// The part of a name in a BERT → that in an MPNet. What stands inside another stands behind it.
const PARTS: &[(&str, &str)] = &[
    (
        "relative_attention_bias.",
        "encoder.relative_attention_bias.",
    ),
    (".attention.self_.query.", ".attention.attn.q."),
    (".attention.self_.key.", ".attention.attn.k."),
    (".attention.self_.value.", ".attention.attn.v."),
    (".attention.output.dense.", ".attention.attn.o."),
    (".attention.output.layer_norm.", ".attention.layer_norm."),
    ("layer_norm.gamma", "LayerNorm.weight"),
    ("layer_norm.beta", "LayerNorm.bias"),
];

/// A module's path → its Hugging Face name without the base model's.
fn parameter_name(path: &str) -> String {
    let parts = PARTS.iter();
    parts.fold(path.to_string(), |name, (from, to)| name.replace(from, to))
}

/// A name in a checkpoint → its form in the network.
fn checkpoint_name(name: &str) -> String {
    encoder::checkpoint_name(name, BASE)
}

/// Whether a checkpoint's tensor is no weight, but a constant that older versions of transformers stored, or the empty one of an
/// export.
fn is_constant(name: &str) -> bool {
    ["embeddings.position_ids", export::GUARD].contains(&name)
}

/// Whether a checkpoint's tensor belongs to the head of another task, or to the pooler, which no class with a head that refire has uses:
/// to none of the parts that every MPNet has.
fn is_spare(name: &str) -> bool {
    let parts = ["embeddings.", "encoder."];
    !parts.iter().any(|part| name.starts_with(part))
}

/// What Hugging Face's classes call the network below the head.
const BASE: &str = "mpnet";

// -------------------------------------------------------------------------------------------------------------- row

/// MPNet's row in the registry.
pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "MPNet",
    model_types: &[BASE],
    modality: Modality::Texts,
    variants: &[],
    naming: Naming {
        parameter: parameter_name,
        checkpoint: checkpoint_name,
        constant: is_constant,
        spare: is_spare,
        beside: &[("encoder.relative_attention_bias", "embeddings")],
    },
    heads: &[
        LibraryHead {
            kind: HeadKind::Pooled,
            block: "classifier",
            layers: &[
                ("inner.dense", "classifier.dense"),
                ("linear", "classifier.out_proj"),
            ],
            library: Library::Transformers("AutoModelForSequenceClassification"),
            classes: &[(BASE, "MPNetForSequenceClassification")],
        },
        LibraryHead {
            kind: HeadKind::Tokens,
            block: "classifier",
            layers: &[("linear", "classifier")],
            library: Library::Transformers("AutoModelForTokenClassification"),
            classes: &[(BASE, "MPNetForTokenClassification")],
        },
        LibraryHead {
            kind: HeadKind::Embedding,
            block: "projection",
            layers: &[("linear", "projection")],
            library: Library::SentenceTransformers,
            classes: &[(BASE, "MPNetModel")],
        },
        LibraryHead {
            kind: HeadKind::Masked,
            block: "lm_head",
            layers: &[
                ("predictions.transform.dense", "lm_head.dense"),
                ("predictions.transform.LayerNorm", "lm_head.layer_norm"),
                ("predictions", "lm_head"),
            ],
            library: Library::Transformers("AutoModelForMaskedLM"),
            classes: &[(BASE, "MPNetForMaskedLM")],
        },
    ],
    build,
    initial,
    recognise,
};

/// Builds the network that the folder describes, with the pooling that is asked for or that the folder says.
fn build(source: &Source<'_>) -> Result<Built> {
    let config: MpNetConfig = source.folder.config_as()?;
    config.check()?;
    transformer::check_tied(source.head, config.tie_word_embeddings)?;
    let layers = config.num_hidden_layers;
    source
        .checkpoint
        .refuse_layers("num_hidden_layers", layers)?;
    let Choice { pooling, told } = pooling::choose_without_pooler(source, ARCHITECTURE.name)?;
    Ok(Built {
        dropout: config.hidden_dropout_prob,
        initializer_range: config.initializer_range,
        inner: Some(InnerConfig {
            act: Act::Tanh,
            dropout: true,
        }),
        masked: Some(MaskedConfig {
            width: config.hidden_size,
            // Whatever `hidden_act` says.
            act: Act::Gelu,
            layer_norm_eps: config.layer_norm_eps,
            vocabulary: config.vocab_size,
        }),
        choices: told,
        ..Built::new(MpNet::new(config, pooling, source.device))
    })
}

/// As transformers draws them: `PreTrainedModel._init_weights` in `modeling_utils.py`, and the `padding_idx` of the tables of tokens and of
/// positions in `models/mpnet/modeling_mpnet.py`.
///
/// # Errors
/// A padding token of another id than the one that is taken for padding. Weights that are trained may have been trained so.
fn initial(folder: &ModelFolder) -> Result<Rule> {
    let std = initial::initializer_range(folder)?;
    let config: MpNetConfig = folder.config_as()?;
    config.check()?;
    let written = folder.config.get("pad_token_id");
    if written.is_some_and(|id| id.as_u64() != Some(PADDING as u64)) {
        wrong(&format!(
            "`pad_token_id` must be {PADDING}: MPNet counts tokens from that id on, whatever is written here"
        ))?;
    }
    Ok(Box::new(move |name, _| match name {
        name if is_bias(name) => Initial::Zeros,
        name if name.ends_with("LayerNorm.weight") => Initial::Ones,
        "embeddings.word_embeddings.weight" | "embeddings.position_embeddings.weight" => {
            Initial::Padded { std, row: PADDING }
        }
        _ => Initial::Normal(std),
    }))
}

/// Whether weights are those of an MPNet.
fn recognise(shapes: &Shapes<'_>) -> Option<&'static str> {
    let mark = "encoder.layer.0.attention.attn.q.weight";
    let mut names = shapes.keys();
    names
        .any(|name| name.ends_with(mark))
        .then_some(ARCHITECTURE.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_distances_are_those_of_transformers() {
        #[derive(Deserialize)]
        struct Reference {
            /// For each distance back, from 0 on, its kind, and that of the same distance forth.
            mpnet_buckets: [Vec<i64>; 2],
        }

        let json = include_str!("../../../tests/reference/text.json");
        let reference: Reference = serde_json::from_str(json).expect("make_text.py made it");
        let [back, forth] = reference.mpnet_buckets;
        let far = back.len();
        assert!(far > 512);
        let ours: Vec<i64> = (0..far).map(|distance| kind(distance, 0)).collect();
        assert_eq!(ours, back);
        let ours: Vec<i64> = (0..far).map(|distance| kind(0, distance)).collect();
        assert_eq!(ours, forth);
    }
}
