//! BERT (Devlin et al., arXiv:1810.04805) and what is built like it, such as MiniLM: an encoder of post-norm transformer
//! layers, with names and numbers of Hugging Face's `BertModel`.
//!
//! It reads top to bottom: config, blocks, forward, weight names.

use burn::module::{Initializer, Module};
use burn::nn::{
    Dropout, DropoutConfig, Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear,
    LinearConfig,
};
use burn::tensor::activation::tanh;
use burn::tensor::{Device, Int, Tensor};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::pooling::{self, Choice};
use super::transformer::{self, Act, SelfAttention, default_layer_norm_eps, wrong};
use crate::error::Result;
use crate::models::architecture::{Architecture, Blocks, Built, LibraryHead, Source};
use crate::models::export::{self, Library};
use crate::models::folder::ModelFolder;
use crate::models::heads::{HeadKind, MaskedConfig};
use crate::models::initial::{self, Initial, Rule, is_bias};
use crate::models::naming::Naming;
use crate::models::operations::dropout;
use crate::models::weights::{Reading, Shapes};
use crate::models::{Activations, Modality, Pooling, TokenBatch};

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
    #[serde(default = "default_type_vocab_size")]
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

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PositionEmbedding {
    #[default]
    Absolute,
}

fn default_type_vocab_size() -> usize {
    2
}

fn default_dropout() -> f64 {
    0.1
}

fn default_initializer_range() -> f64 {
    0.02
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
#[expect(
    clippy::struct_field_names,
    reason = "the names that the checkpoint has"
)]
struct Embeddings {
    word_embeddings: Embedding,
    position_embeddings: Embedding,
    token_type_embeddings: Embedding,
    layer_norm: LayerNorm,
    dropout: Dropout,
}

#[derive(Module, Debug)]
struct Encoder {
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

#[derive(Module, Debug)]
struct Intermediate {
    dense: Linear,
    #[module(skip)]
    act: Act,
}

/// A linear layer, added to what went around it, and normalised.
#[derive(Module, Debug)]
struct Output {
    dense: Linear,
    layer_norm: LayerNorm,
    dropout: Dropout,
}

#[derive(Module, Debug)]
struct Pooler {
    dense: Linear,
}

impl Bert {
    /// The network with nothing in its weights yet. `pooler` says whether it has one.
    fn new(config: BertConfig, pooler: bool, pooling: Pooling, device: &Device) -> Self {
        let width = config.hidden_size;
        let layer = |_| Layer {
            attention: Attention {
                self_: SelfAttention::new(
                    width,
                    config.num_attention_heads,
                    true,
                    config.attention_probs_dropout_prob,
                    device,
                ),
                output: Output::new(width, &config, device),
            },
            intermediate: Intermediate {
                dense: linear(width, config.intermediate_size, device),
                act: config.hidden_act,
            },
            output: Output::new(config.intermediate_size, &config, device),
        };
        Self {
            embeddings: Embeddings::new(&config, device),
            encoder: Encoder {
                layer: (0..config.num_hidden_layers).map(layer).collect(),
            },
            pooler: pooler.then(|| Pooler {
                dense: linear(width, width, device),
            }),
            pooling,
            config,
        }
    }
}

impl Embeddings {
    fn new(config: &BertConfig, device: &Device) -> Self {
        let table = |rows| {
            EmbeddingConfig::new(rows, config.hidden_size)
                .with_initializer(Initializer::Zeros)
                .init(device)
        };
        Self {
            word_embeddings: table(config.vocab_size),
            position_embeddings: table(config.max_position_embeddings),
            token_type_embeddings: table(config.type_vocab_size),
            layer_norm: norm(config, device),
            dropout: DropoutConfig::new(config.hidden_dropout_prob).init(),
        }
    }
}

impl Output {
    fn new(from: usize, config: &BertConfig, device: &Device) -> Self {
        Self {
            dense: linear(from, config.hidden_size, device),
            layer_norm: norm(config, device),
            dropout: DropoutConfig::new(config.hidden_dropout_prob).init(),
        }
    }
}

/// A linear layer whose weights come later; nothing is allocated for them until then.
fn linear(from: usize, to: usize, device: &Device) -> Linear {
    LinearConfig::new(from, to)
        .with_initializer(Initializer::Zeros)
        .init(device)
}

fn norm(config: &BertConfig, device: &Device) -> LayerNorm {
    LayerNormConfig::new(config.hidden_size)
        .with_epsilon(config.layer_norm_eps)
        .init(device)
}

// ----------------------------------------------------------------------------------------------------------- forward

impl Blocks for Bert {
    /// `embeddings`, `encoder.layer.0` …, `pooler` (whatever the pooling is).
    fn blocks(&self) -> Vec<String> {
        let layers = (0..self.encoder.layer.len()).map(|index| format!("encoder.layer.{index}"));
        std::iter::once("embeddings".to_string())
            .chain(layers)
            .chain(["pooler".to_string()])
            .collect()
    }

    fn forward(&self, block: usize, x: Activations) -> Activations {
        let layers = self.encoder.layer.len();
        match (block, x) {
            (0, Activations::Tokens(TokenBatch { ids, mask, types })) => Activations::Hidden {
                states: self.embeddings.forward(ids, types),
                mask,
            },
            (block, Activations::Hidden { states, mask }) if (1..=layers).contains(&block) => {
                Activations::Hidden {
                    states: self.encoder.layer[block - 1].forward(states, &mask),
                    mask,
                }
            }
            (block, Activations::Hidden { states, mask }) if block == layers + 1 => {
                Activations::Pooled(self.pool(states, mask))
            }
            (block, x) => panic!("block {block} of a BERT cannot take {x:?}"),
        }
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
        if head.kind.takes_tokens() {
            return head.library;
        }
        match (head.library, self.pooling) {
            (Library::SentenceTransformers, _) => head.library,
            (library, Pooling::Pooler) if self.pooler.is_some() => library,
            (Library::Transformers(class), Pooling::Mean) => {
                Library::OwnClass(class, Pooling::Mean)
            }
            (Library::Transformers(class), _) => Library::OwnClass(class, Pooling::Cls),
            (library, _) => library,
        }
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
        Some(self.encoder.layer.len() + 1)
    }

    fn embedding(&self) -> Option<Tensor<2>> {
        Some(self.embeddings.word_embeddings.weight.val())
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

impl Bert {
    /// `[batch, tokens, width]` → `[batch, width]`.
    fn pool(&self, states: Tensor<3>, mask: Tensor<2>) -> Tensor<2> {
        let [batch, tokens, width] = states.dims();
        let first = |states: Tensor<3>| states.slice([0..batch, 0..1]).reshape([batch, width]);
        match (self.pooling, &self.pooler) {
            (Pooling::Mean, _) => {
                let counts = mask.clone().sum_dim(1).clamp_min(1.0);
                let weights = (mask / counts).reshape([batch, 1, tokens]);
                weights.matmul(states).reshape([batch, width])
            }
            (Pooling::Pooler, Some(pooler)) => tanh(pooler.dense.forward(first(states))),
            (Pooling::Cls | Pooling::Pooler, _) => first(states),
        }
    }
}

impl Embeddings {
    /// `[batch, tokens]` → `[batch, tokens, width]`. Without `types` every token is of type 0, as it is for a network that knows no
    /// other, such as RoBERTa: its tokenizer in transformers gives both texts of a pair type 0.
    fn forward(&self, ids: Tensor<2, Int>, types: Option<Tensor<2, Int>>) -> Tensor<3> {
        let [_, tokens] = ids.dims();
        let positions = self.position_embeddings.weight.val().slice(0..tokens);
        let of_types = &self.token_type_embeddings;
        let [known, _] = of_types.weight.shape().dims();
        let around = match types.filter(|_| known > 1) {
            Some(types) => positions.unsqueeze::<3>() + of_types.forward(types),
            None => (positions + of_types.weight.val().slice(0..1)).unsqueeze::<3>(),
        };
        let states = self.word_embeddings.forward(ids) + around;
        dropout(&self.dropout, self.layer_norm.forward(states))
    }
}

impl Layer {
    /// `[batch, tokens, width]` → the same.
    fn forward(&self, states: Tensor<3>, mask: &Tensor<2>) -> Tensor<3> {
        let context = self.attention.self_.forward(states.clone(), mask);
        let states = self.attention.output.forward(context, states);
        let wide = self.intermediate.dense.forward(states.clone());
        self.output
            .forward(self.intermediate.act.apply(wide), states)
    }
}

impl Output {
    fn forward(&self, states: Tensor<3>, around: Tensor<3>) -> Tensor<3> {
        let states = dropout(&self.dropout, self.dense.forward(states));
        self.layer_norm.forward(states + around)
    }
}

// ------------------------------------------------------------------------------------------------------ weight names

/// A module's path → its Hugging Face name without the base model's.
fn parameter_name(path: &str) -> String {
    path.replace(".self_.", ".self.")
        .replace("layer_norm.gamma", "LayerNorm.weight")
        .replace("layer_norm.beta", "LayerNorm.bias")
}

/// A name in a checkpoint → the form of [`parameter_name`]. Checkpoints converted from TensorFlow call a norm's tensors
/// gamma and beta.
fn checkpoint_name(name: &str) -> String {
    name.strip_prefix(BASE)
        .and_then(|rest| rest.strip_prefix('.'))
        .unwrap_or(name)
        .replace("LayerNorm.gamma", "LayerNorm.weight")
        .replace("LayerNorm.beta", "LayerNorm.bias")
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
        parameter: parameter_name,
        checkpoint: |name, _| checkpoint_name(name),
        constant: is_constant,
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
    let Source {
        folder, checkpoint, ..
    } = source;
    checkpoint.refuse_layers(config.num_hidden_layers)?;
    let pooler = checkpoint.has("pooler.dense.weight");
    // A head that takes the states of tokens has no use for the pooling: nothing is missed, and nothing told.
    let by_token = source.head.problem.head_kind().takes_tokens();
    let reading = if by_token {
        Reading::Headers
    } else {
        source.reading
    };
    let Choice { pooling, mut told } =
        pooling::choose(source.head, folder, &checkpoint.file, pooler, reading)?;
    if by_token {
        told.clear();
    }
    Ok(Built {
        dropout: config
            .classifier_dropout
            .unwrap_or(config.hidden_dropout_prob),
        initializer_range: config.initializer_range,
        masked: Some(MaskedConfig {
            act: config.hidden_act,
            layer_norm_eps: config.layer_norm_eps,
            vocabulary: config.vocab_size,
        }),
        choices: told,
        ..Built::new(Bert::new(config, pooler, pooling, source.device))
    })
}

/// As transformers draws them: `PreTrainedModel._init_weights` in `modeling_utils.py`, and the embedding's `padding_idx` in
/// `models/bert/modeling_bert.py`.
fn initial(folder: &ModelFolder) -> Result<Rule> {
    let std = initial::initializer_range(folder)?;
    let config: BertConfig = folder.config_as()?;
    let padding = initial::padding_row(folder, config.vocab_size)?;
    Ok(Box::new(move |name, _| match (name, padding) {
        (name, _) if is_bias(name) => Initial::Zeros,
        (name, _) if name.ends_with("LayerNorm.weight") => Initial::Ones,
        ("embeddings.word_embeddings.weight", Some(row)) => Initial::Padded { std, row },
        _ => Initial::Normal(std),
    }))
}

/// Whether weights are those of a BERT.
fn recognise(shapes: &Shapes<'_>) -> Option<&'static str> {
    let mark = "encoder.layer.0.attention.self.query.weight";
    shapes
        .keys()
        .any(|name| name.ends_with(mark))
        .then_some("BERT")
}
