//! RoBERTa (Liu et al., arXiv:1907.11692), XLM-RoBERTa (arXiv:1911.02116) and CamemBERT (arXiv:1911.03894): BERT's layers, positions that
//! are counted from the padding token's id on, and a classifier with a layer of its own in place of a pooler; names and numbers are those of
//! Hugging Face's `RobertaModel`.
//!
//! It reads top to bottom: config, blocks, forward, weight names.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::encoder::{self, Counting, Embeddings, EmbeddingsConfig, Encoder, LayerConfig, Steps};
use super::pooling::{self, Choice};
use super::transformer::{
    self, Act, PositionEmbedding, default_dropout, default_initializer_range,
    default_layer_norm_eps, default_tied, default_types, wrong,
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

/// The part of `config.json` that decides what the network is. What it does not say is as in transformers' `RobertaConfig`.
#[derive(Clone, Debug, Deserialize)]
struct RobertaConfig {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    #[serde(default = "default_types")]
    type_vocab_size: usize,
    #[serde(default = "default_padding")]
    pad_token_id: Option<usize>,
    #[serde(default)]
    hidden_act: Act,
    #[serde(default = "default_dropout")]
    hidden_dropout_prob: f64,
    #[serde(default = "default_dropout")]
    attention_probs_dropout_prob: f64,
    classifier_dropout: Option<f64>,
    #[serde(default = "default_layer_norm_eps")]
    layer_norm_eps: f64,
    #[serde(default = "default_initializer_range")]
    initializer_range: f64,
    #[serde(default)]
    #[expect(
        dead_code,
        reason = "read so that other kinds of positions are refused"
    )]
    position_embedding_type: PositionEmbedding,
    #[serde(default)]
    is_decoder: bool,
    #[serde(default = "default_tied")]
    tie_word_embeddings: bool,
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's type")]
fn default_padding() -> Option<usize> {
    Some(1)
}

impl RobertaConfig {
    /// Checks what the types cannot say.
    fn check(&self) -> Result<()> {
        if self.is_decoder {
            return wrong("`is_decoder` is true, and refire has RoBERTa as an encoder only");
        }
        transformer::check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("vocab_size", self.vocab_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("type_vocab_size", self.type_vocab_size),
        ])?;
        transformer::check_padding(
            self.pad_token_id,
            self.vocab_size,
            self.max_position_embeddings,
        )?;
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
                ("classifier_dropout", self.classifier_dropout.unwrap_or(0.0)),
            ],
        )
    }

    /// How tokens are counted. [`check`](Self::check) has refused a config without a padding token.
    fn counting(&self) -> Counting {
        Counting::Tokens {
            padding: self.pad_token_id.unwrap_or_default(),
        }
    }
}

// ------------------------------------------------------------------------------------------------------------ blocks

/// The network below the head. Its fields are named as Hugging Face's, so that their paths are the names of the weights.
#[derive(Module, Debug)]
pub(in crate::models) struct Roberta {
    embeddings: Embeddings,
    encoder: Encoder,
    #[module(skip)]
    pooling: Pooling,
    #[module(skip)]
    family: &'static str,
    #[module(skip)]
    config: RobertaConfig,
}

impl Roberta {
    /// The network with nothing in its weights yet.
    fn new(config: RobertaConfig, family: &'static str, pooling: Pooling, device: &Device) -> Self {
        let embeddings = EmbeddingsConfig {
            vocabulary: config.vocab_size,
            positions: config.max_position_embeddings,
            counting: config.counting(),
            types: Some(config.type_vocab_size),
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
            encoder: Encoder::new(config.num_hidden_layers, &layer, device),
            pooling,
            family,
            config,
        }
    }
}

// ----------------------------------------------------------------------------------------------------------- forward

impl Blocks for Roberta {
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
            "roberta, {:?} pooling, {} heads, {:?}, layer norm {:e}, {:?}",
            self.pooling,
            config.num_attention_heads,
            config.hidden_act,
            config.layer_norm_eps,
            config.counting(),
        )
    }

    fn base(&self) -> &'static str {
        BASE
    }

    fn family(&self) -> &'static str {
        self.family
    }

    /// transformers' own classes take the first token's state alone.
    fn library(&self, head: &LibraryHead) -> Library {
        pooling::library(head, self.pooling)
    }

    fn complete(&self, config: &mut Map<String, Value>) {
        // What an export says about the class that came with it.
        config.insert("model_type".into(), self.family.into());
        for key in ["auto_map", "pooling"] {
            config.shift_remove(key);
        }
        if let Some(dropout) = self.config.classifier_dropout {
            config.insert("classifier_dropout".into(), dropout.into());
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
        let config = &self.config;
        Some(config.counting().longest(config.max_position_embeddings))
    }

    fn vocabulary(&self) -> Option<usize> {
        Some(self.config.vocab_size)
    }

    fn token_types(&self) -> Option<usize> {
        Some(self.config.type_vocab_size)
    }
}

impl Steps for Roberta {
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

/// A name in a checkpoint → its form in the network.
fn checkpoint_name(name: &str) -> String {
    encoder::checkpoint_name(name, BASE)
}

/// Whether a checkpoint's tensor is no weight, but a constant that older versions of transformers stored, or the empty one of an
/// export.
fn is_constant(name: &str) -> bool {
    let constants = [
        "embeddings.position_ids",
        "embeddings.token_type_ids",
        export::GUARD,
    ];
    constants.contains(&name)
}

/// Whether a checkpoint's tensor belongs to the head of another task, or to the pooler, which no class with a head that refire has uses:
/// to none of the parts that every RoBERTa has.
fn is_spare(name: &str) -> bool {
    let parts = ["embeddings.", "encoder."];
    !parts.iter().any(|part| name.starts_with(part))
}

/// What Hugging Face's classes call the network below the head, whichever of the three it is.
const BASE: &str = "roberta";

// -------------------------------------------------------------------------------------------------------------- row

/// RoBERTa's row in the registry.
pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "RoBERTa",
    model_types: FAMILIES,
    modality: Modality::Texts,
    variants: &[],
    naming: Naming {
        parameter: encoder::parameter_name,
        checkpoint: checkpoint_name,
        constant: is_constant,
        spare: is_spare,
        beside: &[],
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
            classes: &[
                (FAMILIES[0], "RobertaForSequenceClassification"),
                (FAMILIES[1], "XLMRobertaForSequenceClassification"),
                (FAMILIES[2], "CamembertForSequenceClassification"),
            ],
        },
        LibraryHead {
            kind: HeadKind::Tokens,
            block: "classifier",
            layers: &[("linear", "classifier")],
            library: Library::Transformers("AutoModelForTokenClassification"),
            classes: &[
                (FAMILIES[0], "RobertaForTokenClassification"),
                (FAMILIES[1], "XLMRobertaForTokenClassification"),
                (FAMILIES[2], "CamembertForTokenClassification"),
            ],
        },
        LibraryHead {
            kind: HeadKind::Embedding,
            block: "projection",
            layers: &[("linear", "projection")],
            library: Library::SentenceTransformers,
            classes: &[
                (FAMILIES[0], "RobertaModel"),
                (FAMILIES[1], "XLMRobertaModel"),
                (FAMILIES[2], "CamembertModel"),
            ],
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
            classes: &[
                (FAMILIES[0], "RobertaForMaskedLM"),
                (FAMILIES[1], "XLMRobertaForMaskedLM"),
                (FAMILIES[2], "CamembertForMaskedLM"),
            ],
        },
    ],
    build,
    initial,
    recognise,
};

/// The values of `model_type`.
const FAMILIES: &[&str] = &["roberta", "xlm-roberta", "camembert"];

/// Builds the network that the folder describes, with the pooling that is asked for or that the folder says.
fn build(source: &Source<'_>) -> Result<Built> {
    let mut config: RobertaConfig = source.folder.config_as()?;
    config.classifier_dropout = source.head.dropout.or(config.classifier_dropout);
    config.check()?;
    transformer::check_tied(source.head, config.tie_word_embeddings)?;
    source
        .checkpoint
        .refuse_layers("num_hidden_layers", config.num_hidden_layers)?;
    let Choice { pooling, told } = pooling::choose_without_pooler(source, ARCHITECTURE.name)?;
    Ok(Built {
        dropout: config
            .classifier_dropout
            .unwrap_or(config.hidden_dropout_prob),
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
        ..Built::new(Roberta::new(
            config,
            source.folder.family(FAMILIES),
            pooling,
            source.device,
        ))
    })
}

/// As transformers draws them: `PreTrainedModel._init_weights` in `modeling_utils.py`, and the `padding_idx` of the tables of tokens and of
/// positions in `models/roberta/modeling_roberta.py`.
fn initial(folder: &ModelFolder) -> Result<Rule> {
    let std = initial::initializer_range(folder)?;
    let config: RobertaConfig = folder.config_as()?;
    config.check()?;
    let row = config.pad_token_id.unwrap_or_default();
    Ok(Box::new(move |name, _| match name {
        name if is_bias(name) => Initial::Zeros,
        name if name.ends_with("LayerNorm.weight") => Initial::Ones,
        "embeddings.word_embeddings.weight" | "embeddings.position_embeddings.weight" => {
            Initial::Padded { std, row }
        }
        _ => Initial::Normal(std),
    }))
}

/// Whether weights are those of a RoBERTa.
fn recognise(shapes: &Shapes<'_>) -> Option<&'static str> {
    encoder::recognise(shapes, |base| ["", BASE].contains(&base)).then_some(ARCHITECTURE.name)
}
