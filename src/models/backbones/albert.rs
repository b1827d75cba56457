//! ALBERT (Lan et al., arXiv:1909.11942): BERT's layers, all of a group with the same weights, on embeddings that are narrower than these;
//! names and numbers are those of Hugging Face's `AlbertModel`.
//!
//! A group is one block, however often it runs: its weights are counted, frozen and trained once. It reads top to bottom: config, blocks,
//! forward, weight names.

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
    default_layer_norm_eps, default_true, default_types, linear, wrong,
};
use crate::error::Result;
use crate::models::adapters::adapted;
use crate::models::architecture::{Architecture, Blocks, Built, LibraryHead, Source};
use crate::models::export::Library;
use crate::models::folder::ModelFolder;
use crate::models::heads::{HeadKind, MaskedConfig};
use crate::models::initial::Rule;
use crate::models::naming::Naming;
use crate::models::weights::{MOST_LAYERS, Shapes};
use crate::models::{Activations, Modality, Pooling};

// ------------------------------------------------------------------------------------------------------------ config

/// The part of `config.json` that decides what the network is. What it does not say is as in transformers' `AlbertConfig`.
#[derive(Clone, Debug, Deserialize)]
struct AlbertConfig {
    vocab_size: usize,
    #[serde(default = "default_embedding_size")]
    embedding_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    #[serde(default = "one")]
    num_hidden_groups: usize,
    #[serde(default = "one")]
    inner_group_num: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    #[serde(default = "default_types")]
    type_vocab_size: usize,
    #[serde(default = "default_act")]
    hidden_act: Act,
    #[serde(default)]
    hidden_dropout_prob: f64,
    #[serde(default)]
    attention_probs_dropout_prob: f64,
    #[serde(default = "default_dropout")]
    classifier_dropout_prob: f64,
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
    #[serde(default = "default_true")]
    tie_word_embeddings: bool,
}

fn default_embedding_size() -> usize {
    128
}

fn one() -> usize {
    1
}

fn default_act() -> Act {
    Act::GeluNew
}

impl AlbertConfig {
    /// Checks what the types cannot say.
    fn check(&self) -> Result<()> {
        let (layers, groups) = (self.num_hidden_layers, self.num_hidden_groups);
        transformer::check_sizes(&[
            ("embedding_size", self.embedding_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("vocab_size", self.vocab_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("type_vocab_size", self.type_vocab_size),
            ("num_hidden_groups", groups),
            ("inner_group_num", self.inner_group_num),
        ])?;
        if groups > layers {
            return wrong(&format!(
                "`num_hidden_groups` is {groups}, more than the {layers} of `num_hidden_layers`"
            ));
        }
        // The weights say nothing of how often they are used.
        if layers > MOST_LAYERS {
            return wrong(&format!(
                "`num_hidden_layers` is {layers}, and at most {MOST_LAYERS} are made"
            ));
        }
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
                ("classifier_dropout_prob", self.classifier_dropout_prob),
            ],
        )
    }

    /// How many layers have the weights of a `group`.
    fn layers_of(&self, group: usize) -> usize {
        let layers = 0..self.num_hidden_layers;
        layers
            .filter(|layer| self.group_of(*layer) == group)
            .count()
    }

    /// The group whose weights a layer has, by division as transformers does it.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "there are at most a thousand layers, and their quotients are not negative"
    )]
    fn group_of(&self, layer: usize) -> usize {
        let of_each = self.num_hidden_layers as f64 / self.num_hidden_groups as f64;
        (layer as f64 / of_each) as usize
    }
}

// ------------------------------------------------------------------------------------------------------------ blocks

/// The network below the head. Its fields are named as those of a BERT; the names of the weights are [`parameter_name`]'s.
#[derive(Module, Debug)]
pub(in crate::models) struct Albert {
    embeddings: Embeddings,
    /// From the width of embeddings to that of layers.
    embedding_hidden_mapping_in: Linear,
    groups: Vec<Encoder>,
    pooler: Option<Linear>,
    #[module(skip)]
    pooling: Pooling,
    #[module(skip)]
    config: AlbertConfig,
}

impl Albert {
    /// The network with nothing in its weights yet. `pooler` says whether it has one.
    fn new(config: AlbertConfig, pooler: bool, pooling: Pooling, device: &Device) -> Self {
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
            dropout: 0.0,
            dropout_behind_attention: config.hidden_dropout_prob,
            attention_dropout: config.attention_probs_dropout_prob,
        };
        let group = |_| Encoder::new(config.inner_group_num, &layer, device);
        Self {
            embeddings: Embeddings::new(&embeddings, device),
            embedding_hidden_mapping_in: linear(narrow, width, device),
            groups: (0..config.num_hidden_groups).map(group).collect(),
            pooler: pooler.then(|| linear(width, width, device)),
            pooling,
            config,
        }
    }
}

// ----------------------------------------------------------------------------------------------------------- forward

impl Blocks for Albert {
    /// `embeddings`, `encoder.albert_layer_groups.0` …, `pooler` (whatever the pooling is).
    fn blocks(&self) -> Vec<String> {
        encoder::blocks("encoder.albert_layer_groups", self.groups.len(), "pooler")
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
            "albert, {:?} pooling, {} layers, {} heads, {:?}, layer norm {:e}",
            self.pooling,
            config.num_hidden_layers,
            config.num_attention_heads,
            config.hidden_act,
            config.layer_norm_eps,
        )
    }

    fn base(&self) -> &'static str {
        BASE
    }

    fn uses(&self, name: &str) -> bool {
        self.pooling == Pooling::Pooler || !name.starts_with("pooler.")
    }

    /// transformers' own class pools by the checkpoint's pooler alone.
    fn library(&self, head: &LibraryHead) -> Library {
        pooling::library_by_pooler(head, self.pooling, self.pooler.is_some())
    }

    fn complete(&self, config: &mut Map<String, Value>) {
        // What an export says about the class that came with it.
        for key in ["auto_map", "pooling"] {
            config.shift_remove(key);
        }
        let dropout = self.config.classifier_dropout_prob;
        config.insert("classifier_dropout_prob".into(), dropout.into());
    }

    fn pooling(&self) -> Option<Pooling> {
        Some(self.pooling)
    }

    fn hidden_blocks(&self) -> Option<usize> {
        Some(self.groups.len() + 1)
    }

    fn shares_layers(&self) -> Option<usize> {
        let layers = self.config.num_hidden_layers * self.config.inner_group_num;
        Some(layers).filter(|layers| *layers > self.groups.len())
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

impl Steps for Albert {
    /// How many groups there are: each is a block.
    fn layers(&self) -> usize {
        self.groups.len()
    }

    fn embed(
        &self,
        ids: Tensor<2, Int>,
        types: Option<Tensor<2, Int>>,
        _mask: &Tensor<2>,
    ) -> Tensor<3> {
        let narrow = self.embeddings.forward(ids, types);
        adapted(&self.embedding_hidden_mapping_in, narrow)
    }

    /// All layers that have the weights of a group.
    fn layer(&self, group: usize, states: Tensor<3>, mask: &Tensor<2>) -> Tensor<3> {
        let layers = &self.groups[group];
        let row = (0..self.config.layers_of(group)).flat_map(|_| 0..layers.layers());
        row.fold(states, |states, layer| layers.forward(layer, states, mask))
    }

    fn pool(&self, states: Tensor<3>, mask: Tensor<2>) -> Tensor<2> {
        match (self.pooling, &self.pooler) {
            (Pooling::Pooler, Some(pooler)) => tanh(adapted(pooler, pooling::first(states))),
            (pooling, _) => pooling::pool(states, mask, pooling),
        }
    }
}

// ------------------------------------------------------------------------------------------------------ weight names

/// The part of a name in a BERT → that in an ALBERT. What stands inside another stands behind it.
const PARTS: &[(&str, &str)] = &[
    (
        "embedding_hidden_mapping_in.",
        "encoder.embedding_hidden_mapping_in.",
    ),
    ("groups.", "encoder.albert_layer_groups."),
    (".layer.", ".albert_layers."),
    (".attention.self_.", ".attention."),
    (".attention.output.dense.", ".attention.dense."),
    (".attention.output.layer_norm.", ".attention.layer_norm."),
    (".intermediate.dense.", ".ffn."),
    (".output.dense.", ".ffn_output."),
    (".output.layer_norm.gamma", ".full_layer_layer_norm.weight"),
    (".output.layer_norm.beta", ".full_layer_layer_norm.bias"),
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

/// Whether a checkpoint's tensor belongs to the head of another task: to none of the parts that every ALBERT has.
fn is_spare(name: &str) -> bool {
    let parts = ["embeddings.", "encoder.", "pooler."];
    !parts.iter().any(|part| name.starts_with(part))
}

/// What Hugging Face's classes call the network below the head.
const BASE: &str = "albert";

// -------------------------------------------------------------------------------------------------------------- row

/// ALBERT's row in the registry.
pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "ALBERT",
    model_types: &[BASE],
    modality: Modality::Texts,
    variants: &[],
    naming: Naming {
        parameter: parameter_name,
        checkpoint: |name, _| checkpoint_name(name),
        constant: encoder::is_constant,
        spare: is_spare,
        beside: &[("encoder.embedding_hidden_mapping_in", "embeddings")],
    },
    heads: &[
        LibraryHead {
            kind: HeadKind::Pooled,
            block: "classifier",
            layers: &[("linear", "classifier")],
            library: Library::Transformers("AutoModelForSequenceClassification"),
            classes: &[(BASE, "AlbertForSequenceClassification")],
        },
        LibraryHead {
            kind: HeadKind::Tokens,
            block: "classifier",
            layers: &[("linear", "classifier")],
            library: Library::Transformers("AutoModelForTokenClassification"),
            classes: &[(BASE, "AlbertForTokenClassification")],
        },
        LibraryHead {
            kind: HeadKind::Embedding,
            block: "projection",
            layers: &[("linear", "projection")],
            library: Library::SentenceTransformers,
            classes: &[(BASE, "AlbertModel")],
        },
        LibraryHead {
            kind: HeadKind::Masked,
            block: "predictions",
            layers: &[("predictions.transform", "predictions")],
            library: Library::Transformers("AutoModelForMaskedLM"),
            classes: &[(BASE, "AlbertForMaskedLM")],
        },
    ],
    build,
    initial,
    recognise,
};

/// Builds the network that the folder describes, with the pooling that is asked for or that the folder says.
fn build(source: &Source<'_>) -> Result<Built> {
    let mut config: AlbertConfig = source.folder.config_as()?;
    config.classifier_dropout_prob = source
        .head
        .dropout
        .unwrap_or(config.classifier_dropout_prob);
    config.check()?;
    transformer::check_tied(source.head, config.tie_word_embeddings)?;
    let checkpoint = source.checkpoint;
    let layers = config
        .num_hidden_groups
        .saturating_mul(config.inner_group_num);
    checkpoint.refuse_layers("inner_group_num", layers)?;
    let pooler = checkpoint.has("pooler.weight");
    let Choice { pooling, told, .. } = pooling::choose(source, pooler)?;
    Ok(Built {
        dropout: config.classifier_dropout_prob,
        initializer_range: config.initializer_range,
        masked: Some(MaskedConfig::new(
            config.embedding_size,
            config.hidden_act,
            config.layer_norm_eps,
            config.vocab_size,
        )),
        choices: told,
        ..Built::new(Albert::new(config, pooler, pooling, source.device))
    })
}

/// As transformers draws them: `PreTrainedModel._init_weights` in `modeling_utils.py`, and the embedding's `padding_idx` in
/// `models/albert/modeling_albert.py`.
fn initial(folder: &ModelFolder) -> Result<Rule> {
    let config: AlbertConfig = folder.config_as()?;
    encoder::initial(folder, config.vocab_size)
}

/// Whether weights are those of an ALBERT.
fn recognise(shapes: &Shapes<'_>) -> Option<&'static str> {
    let mark = "encoder.albert_layer_groups.0.albert_layers.0.attention.query.weight";
    let mut names = shapes.keys();
    names
        .any(|name| name.ends_with(mark))
        .then_some(ARCHITECTURE.name)
}
