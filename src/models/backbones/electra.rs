//! ELECTRA (Clark et al., arXiv:2003.10555): BERT's layers on embeddings that may be narrower than these, and a classifier with a layer of its
//! own in place of a pooler. Discriminators and generators are the same network of other sizes; names and numbers are those of Hugging Face's
//! `ElectraModel`.
//!
//! It reads top to bottom: config, blocks, forward, weight names.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Int, Tensor};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::encoder::{self, Counting, Embeddings, EmbeddingsConfig, Encoder, LayerConfig, Steps};
use super::pooling::{self, Choice};
use super::transformer::{
    self, Act, PositionEmbedding, default_dropout, default_initializer_range,
    default_layer_norm_eps, default_true, default_types, linear, wrong,
};
use crate::error::Result;
use crate::models::adapters::adapted;
use crate::models::architecture::{Architecture, Blocks, Built, LibraryHead, Source};
use crate::models::export::Library;
use crate::models::folder::ModelFolder;
use crate::models::heads::{HeadKind, InnerConfig, MaskedConfig};
use crate::models::initial::Rule;
use crate::models::naming::Naming;
use crate::models::weights::Shapes;
use crate::models::{Activations, Modality, Pooling};

// ------------------------------------------------------------------------------------------------------------ config

/// The part of `config.json` that decides what the network is. What it does not say is as in transformers' `ElectraConfig`.
#[derive(Clone, Debug, Deserialize)]
struct ElectraConfig {
    vocab_size: usize,
    #[serde(default = "default_embedding_size")]
    embedding_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    #[serde(default = "default_types")]
    type_vocab_size: usize,
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
    #[serde(default = "default_true")]
    tie_word_embeddings: bool,
}

fn default_embedding_size() -> usize {
    128
}

impl ElectraConfig {
    /// Checks what the types cannot say.
    fn check(&self) -> Result<()> {
        if self.is_decoder {
            return wrong("`is_decoder` is true, and refire has ELECTRA as an encoder only");
        }
        transformer::check_sizes(&[
            ("embedding_size", self.embedding_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("vocab_size", self.vocab_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("type_vocab_size", self.type_vocab_size),
        ])?;
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
}

// ------------------------------------------------------------------------------------------------------------ blocks

/// The network below the head. Its fields are named as Hugging Face's, so that their paths are the names of the weights.
#[derive(Module, Debug)]
pub(in crate::models) struct Electra {
    embeddings: Embeddings,
    /// From the width of embeddings to that of layers, where these differ.
    embeddings_project: Option<Linear>,
    encoder: Encoder,
    #[module(skip)]
    pooling: Pooling,
    #[module(skip)]
    config: ElectraConfig,
}

impl Electra {
    /// The network with nothing in its weights yet.
    fn new(config: ElectraConfig, pooling: Pooling, device: &Device) -> Self {
        let (narrow, width) = (config.embedding_size, config.hidden_size);
        let embeddings = EmbeddingsConfig {
            vocabulary: config.vocab_size,
            positions: config.max_position_embeddings,
            counting: Counting::Places,
            types: Some(config.type_vocab_size),
            width: narrow,
            layer_norm_eps: config.layer_norm_eps,
            dropout: config.hidden_dropout_prob,
        };
        let layer = LayerConfig {
            width,
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
            embeddings_project: (narrow != width).then(|| linear(narrow, width, device)),
            encoder: Encoder::new(config.num_hidden_layers, &layer, device),
            pooling,
            config,
        }
    }
}

// ----------------------------------------------------------------------------------------------------------- forward

impl Blocks for Electra {
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
            "electra, {:?} pooling, {} heads, {:?}, layer norm {:e}",
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
        Some(self.config.max_position_embeddings)
    }

    fn vocabulary(&self) -> Option<usize> {
        Some(self.config.vocab_size)
    }

    fn token_types(&self) -> Option<usize> {
        Some(self.config.type_vocab_size)
    }
}

impl Steps for Electra {
    fn layers(&self) -> usize {
        self.encoder.layers()
    }

    fn embed(
        &self,
        ids: Tensor<2, Int>,
        types: Option<Tensor<2, Int>>,
        _mask: &Tensor<2>,
    ) -> Tensor<3> {
        let narrow = self.embeddings.forward(ids, types);
        match &self.embeddings_project {
            Some(project) => adapted(project, narrow),
            None => narrow,
        }
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

/// Whether a checkpoint's tensor belongs to the head of another task, such as a discriminator's: to none of the parts that an ELECTRA has.
fn is_spare(name: &str) -> bool {
    let parts = ["embeddings.", "embeddings_project.", "encoder."];
    !parts.iter().any(|part| name.starts_with(part))
}

/// What Hugging Face's classes call the network below the head.
const BASE: &str = "electra";

// -------------------------------------------------------------------------------------------------------------- row

/// ELECTRA's row in the registry.
pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "ELECTRA",
    model_types: &[BASE],
    modality: Modality::Texts,
    variants: &[],
    naming: Naming {
        parameter: encoder::parameter_name,
        checkpoint: |name, _| checkpoint_name(name),
        constant: encoder::is_constant,
        spare: is_spare,
        beside: &[
            ("embeddings_project", "embeddings"),
            ("generator_predictions", "generator_lm_head"),
        ],
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
            classes: &[(BASE, "ElectraForSequenceClassification")],
        },
        LibraryHead {
            kind: HeadKind::Tokens,
            block: "classifier",
            layers: &[("linear", "classifier")],
            library: Library::Transformers("AutoModelForTokenClassification"),
            classes: &[(BASE, "ElectraForTokenClassification")],
        },
        LibraryHead {
            kind: HeadKind::Embedding,
            block: "projection",
            layers: &[("linear", "projection")],
            library: Library::SentenceTransformers,
            classes: &[(BASE, "ElectraModel")],
        },
        LibraryHead {
            kind: HeadKind::Masked,
            block: "generator_lm_head",
            layers: &[
                ("predictions.transform", "generator_predictions"),
                ("predictions", "generator_lm_head"),
            ],
            library: Library::Transformers("AutoModelForMaskedLM"),
            classes: &[(BASE, "ElectraForMaskedLM")],
        },
    ],
    build,
    initial,
    recognise,
};

/// Builds the network that the folder describes, with the pooling that is asked for or that the folder says.
fn build(source: &Source<'_>) -> Result<Built> {
    let mut config: ElectraConfig = source.folder.config_as()?;
    config.classifier_dropout = source.head.dropout.or(config.classifier_dropout);
    config.check()?;
    transformer::check_tied(source.head, config.tie_word_embeddings)?;
    let layers = config.num_hidden_layers;
    source
        .checkpoint
        .refuse_layers("num_hidden_layers", layers)?;
    let Choice { pooling, told, .. } = pooling::choose_without_pooler(source, ARCHITECTURE.name)?;
    // Whatever `hidden_act` says.
    let act = Act::Gelu;
    let dropout = config.classifier_dropout;
    let dropout = dropout.unwrap_or(config.hidden_dropout_prob);
    Ok(Built {
        dropout,
        initializer_range: config.initializer_range,
        inner: Some(InnerConfig::new(act, Some(dropout))),
        masked: Some(MaskedConfig::new(
            config.embedding_size,
            act,
            config.layer_norm_eps,
            config.vocab_size,
        )),
        choices: told,
        ..Built::new(Electra::new(config, pooling, source.device))
    })
}

/// As transformers draws them: `PreTrainedModel._init_weights` in `modeling_utils.py`, and the embedding's `padding_idx` in
/// `models/electra/modeling_electra.py`.
fn initial(folder: &ModelFolder) -> Result<Rule> {
    let config: ElectraConfig = folder.config_as()?;
    encoder::initial(folder, config.vocab_size)
}

/// Whether weights are those of an ELECTRA.
fn recognise(shapes: &Shapes<'_>) -> Option<&'static str> {
    encoder::recognise(shapes, |base| ["", BASE].contains(&base)).then_some(ARCHITECTURE.name)
}
