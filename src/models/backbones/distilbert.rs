//! DistilBERT (Sanh et al., arXiv:1910.01108): BERT's layers, fewer of them, without types of tokens and without a pooler; names and
//! numbers are those of Hugging Face's `DistilBertModel`.
//!
//! It reads top to bottom: config, blocks, forward, weight names.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::encoder::{self, Counting, Embeddings, EmbeddingsConfig, Encoder, LayerConfig, Steps};
use super::pooling::{self, Choice};
use super::transformer::{
    self, Act, default_dropout, default_initializer_range, default_tied, wrong,
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

/// The part of `config.json` that decides what the network is. What it does not say is as in transformers' `DistilBertConfig`.
#[derive(Clone, Debug, Deserialize)]
struct DistilBertConfig {
    vocab_size: usize,
    dim: usize,
    hidden_dim: usize,
    n_layers: usize,
    n_heads: usize,
    max_position_embeddings: usize,
    #[serde(default)]
    activation: Act,
    #[serde(default = "default_dropout")]
    dropout: f64,
    #[serde(default = "default_dropout")]
    attention_dropout: f64,
    #[serde(default = "default_classifier_dropout")]
    seq_classif_dropout: f64,
    #[serde(default = "default_initializer_range")]
    initializer_range: f64,
    #[serde(default)]
    sinusoidal_pos_embds: bool,
    #[serde(default = "default_tied")]
    tie_word_embeddings: bool,
}

fn default_classifier_dropout() -> f64 {
    0.2
}

/// What is added to variances; no config says it.
const LAYER_NORM_EPS: f64 = 1e-12;

impl DistilBertConfig {
    /// Checks what the types cannot say.
    fn check(&self) -> Result<()> {
        transformer::check_sizes(&[
            ("dim", self.dim),
            ("hidden_dim", self.hidden_dim),
            ("vocab_size", self.vocab_size),
            ("max_position_embeddings", self.max_position_embeddings),
        ])?;
        transformer::check_heads(("dim", self.dim), ("n_heads", self.n_heads))?;
        transformer::check_dropouts(&[
            ("dropout", self.dropout),
            ("attention_dropout", self.attention_dropout),
            ("seq_classif_dropout", self.seq_classif_dropout),
        ])
    }
}

// ------------------------------------------------------------------------------------------------------------ blocks

/// The network below the head. Its fields are named as those of a BERT; the names of the weights are [`parameter_name`]'s.
#[derive(Module, Debug)]
pub(in crate::models) struct DistilBert {
    embeddings: Embeddings,
    encoder: Encoder,
    #[module(skip)]
    pooling: Pooling,
    #[module(skip)]
    config: DistilBertConfig,
}

impl DistilBert {
    /// The network with nothing in its weights yet.
    fn new(config: DistilBertConfig, pooling: Pooling, device: &Device) -> Self {
        let embeddings = EmbeddingsConfig {
            vocabulary: config.vocab_size,
            positions: config.max_position_embeddings,
            counting: Counting::Places,
            types: None,
            width: config.dim,
            layer_norm_eps: LAYER_NORM_EPS,
            dropout: config.dropout,
        };
        let layer = LayerConfig {
            width: config.dim,
            wide: config.hidden_dim,
            heads: config.n_heads,
            act: config.activation,
            layer_norm_eps: LAYER_NORM_EPS,
            dropout: config.dropout,
            dropout_behind_attention: 0.0,
            attention_dropout: config.attention_dropout,
        };
        Self {
            embeddings: Embeddings::new(&embeddings, device),
            encoder: Encoder::new(config.n_layers, &layer, device),
            pooling,
            config,
        }
    }
}

// ----------------------------------------------------------------------------------------------------------- forward

impl Blocks for DistilBert {
    /// `embeddings`, `transformer.layer.0` …, `pooling`, which has no weights.
    fn blocks(&self) -> Vec<String> {
        encoder::blocks("transformer.layer", self.encoder.layers(), "pooling")
    }

    fn forward(&self, block: usize, x: Activations) -> Activations {
        encoder::run(self, block, x)
    }

    fn width(&self) -> usize {
        self.config.dim
    }

    /// Dropout, which is for training, does not enter.
    fn signature(&self) -> String {
        let config = &self.config;
        format!(
            "distilbert, {:?} pooling, {} heads, {:?}",
            self.pooling, config.n_heads, config.activation,
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
        let dropout = self.config.seq_classif_dropout;
        config.insert("seq_classif_dropout".into(), dropout.into());
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
        Some(self.config.max_position_embeddings)
    }

    fn vocabulary(&self) -> Option<usize> {
        Some(self.config.vocab_size)
    }

    fn token_types(&self) -> Option<usize> {
        Some(1)
    }
}

impl Steps for DistilBert {
    fn layers(&self) -> usize {
        self.encoder.layers()
    }

    fn embed(&self, ids: Tensor<2, Int>, types: Option<Tensor<2, Int>>) -> Tensor<3> {
        self.embeddings.forward(ids, types)
    }

    fn layer(&self, layer: usize, states: Tensor<3>, mask: &Tensor<2>) -> Tensor<3> {
        self.encoder.forward(layer, states, mask)
    }

    fn pool(&self, states: Tensor<3>, mask: Tensor<2>) -> Tensor<2> {
        pooling::pool(states, mask, self.pooling)
    }
}

// ------------------------------------------------------------------------------------------------------ weight names

/// The part of a name in a BERT → that in a DistilBERT. What stands inside another stands behind it.
const PARTS: &[(&str, &str)] = &[
    ("encoder.layer.", "transformer.layer."),
    (".attention.self_.query.", ".attention.q_lin."),
    (".attention.self_.key.", ".attention.k_lin."),
    (".attention.self_.value.", ".attention.v_lin."),
    (".attention.output.dense.", ".attention.out_lin."),
    (".attention.output.layer_norm.", ".sa_layer_norm."),
    (".intermediate.dense.", ".ffn.lin1."),
    (".output.dense.", ".ffn.lin2."),
    (".output.layer_norm.", ".output_layer_norm."),
    ("embeddings.layer_norm.", "embeddings.LayerNorm."),
    (".gamma", ".weight"),
    (".beta", ".bias"),
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

/// Whether a checkpoint's tensor belongs to the head of another task: to none of the parts that every DistilBERT has.
fn is_spare(name: &str) -> bool {
    let parts = ["embeddings.", "transformer."];
    !parts.iter().any(|part| name.starts_with(part))
}

/// What Hugging Face's classes call the network below the head.
const BASE: &str = "distilbert";

// -------------------------------------------------------------------------------------------------------------- row

/// DistilBERT's row in the registry.
pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "DistilBERT",
    model_types: &[BASE],
    modality: Modality::Texts,
    variants: &[],
    naming: Naming {
        parameter: parameter_name,
        checkpoint: checkpoint_name,
        constant: is_constant,
        spare: is_spare,
        beside: &[
            ("pre_classifier", "classifier"),
            ("vocab_transform", "vocab_projector"),
            ("vocab_layer_norm", "vocab_projector"),
        ],
    },
    heads: &[
        LibraryHead {
            kind: HeadKind::Pooled,
            block: "classifier",
            layers: &[("inner.dense", "pre_classifier"), ("linear", "classifier")],
            library: Library::Transformers("AutoModelForSequenceClassification"),
            classes: &[(BASE, "DistilBertForSequenceClassification")],
        },
        LibraryHead {
            kind: HeadKind::Tokens,
            block: "classifier",
            layers: &[("linear", "classifier")],
            library: Library::Transformers("AutoModelForTokenClassification"),
            classes: &[(BASE, "DistilBertForTokenClassification")],
        },
        LibraryHead {
            kind: HeadKind::Embedding,
            block: "projection",
            layers: &[("linear", "projection")],
            library: Library::SentenceTransformers,
            classes: &[(BASE, "DistilBertModel")],
        },
        LibraryHead {
            kind: HeadKind::Masked,
            block: "vocab_projector",
            layers: &[
                ("predictions.transform.dense", "vocab_transform"),
                ("predictions.transform.LayerNorm", "vocab_layer_norm"),
                ("predictions", "vocab_projector"),
            ],
            library: Library::Transformers("AutoModelForMaskedLM"),
            classes: &[(BASE, "DistilBertForMaskedLM")],
        },
    ],
    build,
    initial,
    recognise,
};

/// Builds the network that the folder describes, with the pooling that is asked for or that the folder says.
fn build(source: &Source<'_>) -> Result<Built> {
    let mut config: DistilBertConfig = source.folder.config_as()?;
    let kind = source.head.problem.head_kind();
    if kind == HeadKind::Pooled {
        config.seq_classif_dropout = source.head.dropout.unwrap_or(config.seq_classif_dropout);
    }
    config.check()?;
    transformer::check_tied(source.head, config.tie_word_embeddings)?;
    source
        .checkpoint
        .refuse_layers("n_layers", config.n_layers)?;
    let Choice { pooling, told } = pooling::choose_without_pooler(source, ARCHITECTURE.name)?;
    Ok(Built {
        dropout: match kind {
            HeadKind::Pooled => config.seq_classif_dropout,
            _ => config.dropout,
        },
        initializer_range: config.initializer_range,
        inner: Some(InnerConfig {
            act: Act::Relu,
            dropout: false,
        }),
        masked: Some(MaskedConfig {
            width: config.dim,
            act: config.activation,
            layer_norm_eps: LAYER_NORM_EPS,
            vocabulary: config.vocab_size,
        }),
        choices: told,
        ..Built::new(DistilBert::new(config, pooling, source.device))
    })
}

/// As transformers draws them: `PreTrainedModel._init_weights` in `modeling_utils.py`, and the embedding's `padding_idx` in
/// `models/distilbert/modeling_distilbert.py`.
///
/// # Errors
/// Positions that are not drawn.
fn initial(folder: &ModelFolder) -> Result<Rule> {
    let std = initial::initializer_range(folder)?;
    let config: DistilBertConfig = folder.config_as()?;
    if config.sinusoidal_pos_embds {
        wrong("`sinusoidal_pos_embds` is true, and refire draws the vectors of positions")?;
    }
    let padding = initial::padding_row(folder, config.vocab_size)?;
    Ok(Box::new(move |name, _| match (name, padding) {
        (name, _) if is_bias(name) => Initial::Zeros,
        (name, _) if name.contains("layer_norm.") || name.contains("LayerNorm.") => Initial::Ones,
        ("embeddings.word_embeddings.weight", Some(row)) => Initial::Padded { std, row },
        _ => Initial::Normal(std),
    }))
}

/// Whether weights are those of a DistilBERT.
fn recognise(shapes: &Shapes<'_>) -> Option<&'static str> {
    let mark = "transformer.layer.0.attention.q_lin.weight";
    let mut names = shapes.keys();
    names
        .any(|name| name.ends_with(mark))
        .then_some(ARCHITECTURE.name)
}
