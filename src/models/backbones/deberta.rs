//! DeBERTa v2 and v3 (He et al., arXiv:2006.03654 and arXiv:2111.09543): BERT's layers with disentangled attention, which knows how far
//! tokens are apart; names and numbers are those of Hugging Face's `DebertaV2Model`. States of padding, which nothing looks at, are others
//! than there.
//!
//! It reads top to bottom: blocks, forward, weight names; the config, the layers and their attention are files of their own.

mod attention;
mod config;
mod layers;

use burn::module::Module;
use burn::nn::Embedding;
use burn::tensor::{Device, Int, Tensor};
use serde_json::{Map, Value};

use self::config::DebertaConfig;
use self::layers::{Convolution, Embeddings, Layer};
use super::encoder::{self, Steps};
use super::pooling::{self, Choice};
use super::transformer::{self, norm, table, wrong};
use crate::error::Result;
use crate::models::architecture::{Architecture, Blocks, Built, LibraryHead, Source};
use crate::models::backbones::layer_norm::LayerNorm;
use crate::models::export::{self, Library};
use crate::models::folder::ModelFolder;
use crate::models::heads::{HeadKind, InnerConfig, MaskedConfig};
use crate::models::initial::Rule;
use crate::models::naming::Naming;
use crate::models::weights::Shapes;
use crate::models::{Activations, Modality, Pooling};

// ------------------------------------------------------------------------------------------------------------ blocks

/// The network below the head. Its fields are named as Hugging Face's, but for what all layers share.
#[derive(Module, Debug)]
pub(in crate::models) struct Deberta {
    embeddings: Embeddings,
    /// A vector for each distance, `[2 · span, width]`. It belongs to the first block, because every layer needs it.
    rel_embeddings: Option<Embedding>,
    layer_norm: Option<LayerNorm>,
    /// Beside the first layer.
    conv: Option<Convolution>,
    layer: Vec<Layer>,
    #[module(skip)]
    pooling: Pooling,
    #[module(skip)]
    config: DebertaConfig,
}

impl Deberta {
    /// The network with nothing in its weights yet.
    fn new(config: DebertaConfig, pooling: Pooling, device: &Device) -> Self {
        let width = config.hidden_size;
        let layers = (0..config.num_hidden_layers).map(|_| Layer::new(&config, device));
        let distances = config.distances();
        let norm = || norm(width, config.layer_norm_eps, device);
        Self {
            embeddings: Embeddings::new(&config, device),
            rel_embeddings: distances.map(|distances| table(2 * distances.span, width, device)),
            layer_norm: config.normalises_distances().then(norm),
            conv: (config.conv_kernel_size > 0).then(|| Convolution::new(&config, device)),
            layer: layers.collect(),
            pooling,
            config,
        }
    }
}

// ----------------------------------------------------------------------------------------------------------- forward

impl Blocks for Deberta {
    /// `embeddings`, `encoder.layer.0` …, `pooling`, which has no weights.
    fn blocks(&self) -> Vec<String> {
        encoder::blocks("encoder.layer", self.layer.len(), "pooling")
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
            "deberta-v2, {:?} pooling, {} heads, {:?}, layer norm {:e}, {:?}, {:?}, shared {}, convolution {} {:?}",
            self.pooling,
            config.num_attention_heads,
            config.hidden_act,
            config.layer_norm_eps,
            config.distances(),
            ["c2p", "p2c"].map(|what| config.compares(what)),
            config.share_att_key,
            config.conv_groups,
            config.conv_act,
        )
    }

    fn base(&self) -> &'static str {
        BASE
    }

    fn family(&self) -> &'static str {
        FAMILY
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
        if let Some(dropout) = self.config.cls_dropout {
            config.insert("cls_dropout".into(), dropout.into());
        }
    }

    fn pooling(&self) -> Option<Pooling> {
        Some(self.pooling)
    }

    fn hidden_blocks(&self) -> Option<usize> {
        Some(self.layer.len() + 1)
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
        Some(self.config.type_vocab_size.max(1))
    }
}

impl Steps for Deberta {
    fn layers(&self) -> usize {
        self.layer.len()
    }

    fn embed(
        &self,
        ids: Tensor<2, Int>,
        types: Option<Tensor<2, Int>>,
        mask: &Tensor<2>,
    ) -> Tensor<3> {
        self.embeddings.forward(ids, types, mask)
    }

    fn layer(&self, layer: usize, states: Tensor<3>, mask: &Tensor<2>) -> Tensor<3> {
        let vectors = self.rel_embeddings.as_ref().map(|table| table.weight.val());
        let vectors = match (vectors, &self.layer_norm) {
            (Some(vectors), Some(norm)) => Some(norm.forward(vectors)),
            (vectors, _) => vectors,
        };
        let found = self.layer[layer].forward(states.clone(), mask, vectors);
        match &self.conv {
            Some(conv) if layer == 0 => conv.forward(states, found, mask),
            _ => found,
        }
    }

    fn pool(&self, states: Tensor<3>, mask: Tensor<2>) -> Tensor<2> {
        pooling::pool(states, mask, self.pooling)
    }
}

// ------------------------------------------------------------------------------------------------------ weight names

/// A module's path → its Hugging Face name without the base model's.
fn parameter_name(path: &str) -> String {
    let name = encoder::parameter_name(path);
    let shared = ["rel_embeddings.", "LayerNorm.", "layer.", "conv."];
    if shared.iter().any(|part| name.starts_with(part)) {
        format!("encoder.{name}")
    } else {
        name
    }
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

/// Whether a checkpoint's tensor belongs to the head of another task, or is a vector of a position in a network that goes without: to none of
/// the parts that every DeBERTa has.
fn is_spare(name: &str) -> bool {
    let parts = ["embeddings.", "encoder."];
    name.starts_with("embeddings.position_embeddings.")
        || !parts.iter().any(|part| name.starts_with(part))
}

/// What Hugging Face's classes call the network below the head.
const BASE: &str = "deberta";

/// Its `model_type`, which is that of version 3, too.
const FAMILY: &str = "deberta-v2";

// -------------------------------------------------------------------------------------------------------------- row

/// DeBERTa's row in the registry.
pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "DeBERTa v2",
    model_types: &[FAMILY],
    modality: Modality::Texts,
    variants: &[],
    naming: Naming {
        parameter: parameter_name,
        checkpoint: |name, _| checkpoint_name(name),
        constant: is_constant,
        spare: is_spare,
        beside: &[
            ("encoder.rel_embeddings", "embeddings"),
            ("encoder.LayerNorm", "embeddings"),
            ("encoder.conv", "encoder.layer.0"),
            ("pooler", "classifier"),
        ],
    },
    heads: &[
        LibraryHead {
            kind: HeadKind::Pooled,
            block: "classifier",
            layers: &[("inner.dense", "pooler.dense"), ("linear", "classifier")],
            library: Library::Transformers("AutoModelForSequenceClassification"),
            classes: &[(FAMILY, "DebertaV2ForSequenceClassification")],
        },
        LibraryHead {
            kind: HeadKind::Tokens,
            block: "classifier",
            layers: &[("linear", "classifier")],
            library: Library::Transformers("AutoModelForTokenClassification"),
            classes: &[(FAMILY, "DebertaV2ForTokenClassification")],
        },
        LibraryHead {
            kind: HeadKind::Embedding,
            block: "projection",
            layers: &[("linear", "projection")],
            library: Library::SentenceTransformers,
            classes: &[(FAMILY, "DebertaV2Model")],
        },
        LibraryHead {
            kind: HeadKind::Masked,
            block: "cls",
            layers: &[("predictions", "cls.predictions")],
            library: Library::Transformers("AutoModelForMaskedLM"),
            classes: &[(FAMILY, "DebertaV2ForMaskedLM")],
        },
    ],
    build,
    initial,
    recognise,
};

/// Builds the network that the folder describes, with the pooling that is asked for or that the folder says.
fn build(source: &Source<'_>) -> Result<Built> {
    let mut config: DebertaConfig = source.folder.config_as()?;
    let kind = source.head.problem.head_kind();
    if kind == HeadKind::Pooled {
        config.cls_dropout = source.head.dropout.or(config.cls_dropout);
    }
    config.check()?;
    transformer::check_tied(source.head, config.tie_word_embeddings)?;
    if kind == HeadKind::Masked && !config.legacy {
        wrong("`legacy` is false, and refire has heads for masked tokens only where it is true")?;
    }
    let layers = config.num_hidden_layers;
    source
        .checkpoint
        .refuse_layers("num_hidden_layers", layers)?;
    let Choice { pooling, told, .. } = pooling::choose_without_pooler(source, ARCHITECTURE.name)?;
    let hidden = config.hidden_dropout_prob;
    Ok(Built {
        dropout: match kind {
            HeadKind::Pooled => config.cls_dropout.unwrap_or(hidden),
            _ => hidden,
        },
        initializer_range: config.initializer_range,
        inner: Some(InnerConfig::new(
            config.pooler_hidden_act,
            Some(config.pooler_dropout).filter(|rate| *rate > 0.0),
        )),
        masked: Some(MaskedConfig::new(
            config.narrow(),
            config.hidden_act,
            config.layer_norm_eps,
            config.vocab_size,
        )),
        choices: told,
        ..Built::new(Deberta::new(config, pooling, source.device))
    })
}

/// As transformers draws them: `PreTrainedModel._init_weights` in `modeling_utils.py`, and the embedding's `padding_idx` in
/// `models/deberta_v2/modeling_deberta_v2.py`.
fn initial(folder: &ModelFolder) -> Result<Rule> {
    let config: DebertaConfig = folder.config_as()?;
    encoder::initial(folder, config.vocab_size)
}

/// Whether weights are those of a DeBERTa.
fn recognise(shapes: &Shapes<'_>) -> Option<&'static str> {
    let mark = "encoder.layer.0.attention.self.query_proj.weight";
    let mut names = shapes.keys();
    names
        .any(|name| name.ends_with(mark))
        .then_some(ARCHITECTURE.name)
}
