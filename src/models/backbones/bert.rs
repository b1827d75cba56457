//! BERT (Devlin et al., arXiv:1810.04805) and what is built like it, such as MiniLM: an encoder of post-norm transformer
//! layers, with names and numbers of Hugging Face's `BertModel`.
//!
//! It reads top to bottom: config, blocks, forward, weight names.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::tanh;
use burn::tensor::{Device, Int, Tensor};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::encoder::{self, Counting, Embeddings, EmbeddingsConfig, Encoder, LayerConfig, Steps};
use super::pooling::{self, Choice};
use super::transformer::{
    self, Act, PositionEmbedding, default_dropout, default_initializer_range,
    default_layer_norm_eps, default_types, linear, wrong,
};
use crate::error::Result;
use crate::models::adapters::adapted;
use crate::models::architecture::{Architecture, Blocks, Built, LibraryHead, Source};
use crate::models::export::Library;
use crate::models::folder::ModelFolder;
use crate::models::heads::{HeadKind, MaskedConfig};
use crate::models::initial::Rule;
use crate::models::naming::Naming;
use crate::models::weights::Shapes;
use crate::models::{Activations, Modality, Pooling};

// ------------------------------------------------------------------------------------------------------------ config

/// The part of `config.json` that decides what the network is.
#[derive(Clone, Debug, Deserialize)]
struct BertConfig {
    vocab_size: usize,
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
}

impl BertConfig {
    /// Checks what the types cannot say.
    fn check(&self) -> Result<()> {
        if self.type_vocab_size == 0 {
            return wrong("`type_vocab_size` is 0, and every token has a type");
        }
        if self.is_decoder {
            return wrong("`is_decoder` is true, and refire has BERT as an encoder only");
        }
        transformer::check_sizes(&[
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
pub(in crate::models) struct Bert {
    embeddings: Embeddings,
    encoder: Encoder,
    pooler: Option<Pooler>,
    #[module(skip)]
    pooling: Pooling,
    #[module(skip)]
    config: BertConfig,
}

#[derive(Module, Debug)]
struct Pooler {
    dense: Linear,
}

impl Bert {
    /// The network with nothing in its weights yet. `pooler` says whether it has one.
    fn new(config: BertConfig, pooler: bool, pooling: Pooling, device: &Device) -> Self {
        let width = config.hidden_size;
        let embeddings = EmbeddingsConfig {
            vocabulary: config.vocab_size,
            positions: config.max_position_embeddings,
            counting: Counting::Places,
            types: Some(config.type_vocab_size),
            width,
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
            encoder: Encoder::new(config.num_hidden_layers, &layer, device),
            pooler: pooler.then(|| Pooler {
                dense: linear(width, width, device),
            }),
            pooling,
            config,
        }
    }
}

// ----------------------------------------------------------------------------------------------------------- forward

impl Blocks for Bert {
    /// `embeddings`, `encoder.layer.0` …, `pooler` (whatever the pooling is).
    fn blocks(&self) -> Vec<String> {
        encoder::blocks("encoder.layer", self.encoder.layers(), "pooler")
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
            "bert, {:?} pooling, {} heads, {:?}, layer norm {:e}",
            self.pooling, config.num_attention_heads, config.hidden_act, config.layer_norm_eps,
        )
    }

    fn base(&self) -> &'static str {
        BASE
    }

    fn uses(&self, name: &str) -> bool {
        self.pooling == Pooling::Pooler || !name.starts_with("pooler.")
    }

    /// transformers' own classes pool by the checkpoint's pooler alone.
    fn library(&self, head: &LibraryHead) -> Library {
        pooling::library_by_pooler(head, self.pooling, self.pooler.is_some())
    }

    fn complete(&self, config: &mut Map<String, Value>) {
        // What an export says about the class that came with it.
        config.insert("model_type".into(), BASE.into());
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

impl Steps for Bert {
    fn layers(&self) -> usize {
        self.encoder.layers()
    }

    fn embed(
        &self,
        ids: Tensor<2, Int>,
        types: Option<Tensor<2, Int>>,
        _mask: &Tensor<2>,
    ) -> Tensor<3> {
        self.embeddings.forward(ids, types)
    }

    fn layer(&self, layer: usize, states: Tensor<3>, mask: &Tensor<2>) -> Tensor<3> {
        self.encoder.forward(layer, states, mask)
    }

    fn pool(&self, states: Tensor<3>, mask: Tensor<2>) -> Tensor<2> {
        match (self.pooling, &self.pooler) {
            (Pooling::Mean, _) => pooling::mean(states, mask),
            (Pooling::Pooler, Some(pooler)) => tanh(adapted(&pooler.dense, pooling::first(states))),
            (Pooling::Cls | Pooling::Pooler, _) => pooling::first(states),
        }
    }
}

// ------------------------------------------------------------------------------------------------------ weight names

/// A name in a checkpoint → its form in the network.
fn checkpoint_name(name: &str) -> String {
    encoder::checkpoint_name(name, BASE)
}

/// Whether a checkpoint's tensor belongs to the head of another task: to none of the parts that every BERT has.
fn is_spare(name: &str) -> bool {
    let parts = ["embeddings.", "encoder.", "pooler."];
    !parts.iter().any(|part| name.starts_with(part))
}

/// What Hugging Face's classes call the network below the head.
const BASE: &str = "bert";

// -------------------------------------------------------------------------------------------------------------- row

/// BERT's row in the registry.
pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "BERT",
    model_types: &["bert", "refire-bert"],
    modality: Modality::Texts,
    variants: &[],
    naming: Naming {
        parameter: encoder::parameter_name,
        checkpoint: |name, _| checkpoint_name(name),
        constant: encoder::is_constant,
        spare: is_spare,
        beside: &[],
    },
    heads: &[
        LibraryHead {
            kind: HeadKind::Pooled,
            block: "classifier",
            layers: &[("linear", "classifier")],
            library: Library::Transformers("AutoModelForSequenceClassification"),
            classes: &[(BASE, "BertForSequenceClassification")],
        },
        LibraryHead {
            kind: HeadKind::Tokens,
            block: "classifier",
            layers: &[("linear", "classifier")],
            library: Library::Transformers("AutoModelForTokenClassification"),
            classes: &[(BASE, "BertForTokenClassification")],
        },
        LibraryHead {
            kind: HeadKind::Embedding,
            block: "projection",
            layers: &[("linear", "projection")],
            library: Library::SentenceTransformers,
            classes: &[(BASE, "BertModel")],
        },
        LibraryHead {
            kind: HeadKind::Masked,
            block: "cls",
            layers: &[("predictions", "cls.predictions")],
            library: Library::Transformers("AutoModelForMaskedLM"),
            classes: &[(BASE, "BertForMaskedLM")],
        },
    ],
    build,
    initial,
    recognise,
};

/// Builds the network that the folder describes, with the pooling that is asked for or that the folder says.
fn build(source: &Source<'_>) -> Result<Built> {
    let mut config: BertConfig = source.folder.config_as()?;
    config.classifier_dropout = source.head.dropout.or(config.classifier_dropout);
    config.check()?;
    let checkpoint = source.checkpoint;
    checkpoint.refuse_layers("num_hidden_layers", config.num_hidden_layers)?;
    let pooler = checkpoint.has("pooler.dense.weight");
    let Choice { pooling, told, .. } = pooling::choose(source, pooler)?;
    Ok(Built {
        dropout: config
            .classifier_dropout
            .unwrap_or(config.hidden_dropout_prob),
        initializer_range: config.initializer_range,
        masked: Some(MaskedConfig::new(
            config.hidden_size,
            config.hidden_act,
            config.layer_norm_eps,
            config.vocab_size,
        )),
        choices: told,
        ..Built::new(Bert::new(config, pooler, pooling, source.device))
    })
}

/// As transformers draws them: `PreTrainedModel._init_weights` in `modeling_utils.py`, and the embedding's `padding_idx` in
/// `models/bert/modeling_bert.py`.
fn initial(folder: &ModelFolder) -> Result<Rule> {
    let config: BertConfig = folder.config_as()?;
    encoder::initial(folder, config.vocab_size)
}

/// Whether weights are those of a BERT.
fn recognise(shapes: &Shapes<'_>) -> Option<&'static str> {
    encoder::recognise(shapes, |base| !["roberta", "electra"].contains(&base)).then_some("BERT")
}
