//! ModernBERT (Warner et al., arXiv:2412.13663): pre-norm transformer layers with rotary positions and gated linear units, of which most
//! look no further than a window; names and numbers are those of Hugging Face's `ModernBertModel`, whose batches may be padded or not.
//!
//! It reads top to bottom: blocks, forward, weight names; the config and the layers are files of their own.

mod config;
mod layers;

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Embedding};
use burn::tensor::{Device, Int, Tensor};
use serde_json::{Map, Value};

use self::config::{ClassifierPooling, ModernBertConfig};
use self::layers::Layer;
use super::encoder::{self, Steps};
use super::pooling::{self, Choice};
use super::transformer::{self, table, wrong};
use crate::error::Result;
use crate::models::architecture::{Architecture, Blocks, Built, LibraryHead, Source};
use crate::models::backbones::layer_norm::LayerNorm;
use crate::models::cpu::operations::dropout;
use crate::models::export::Library;
use crate::models::folder::ModelFolder;
use crate::models::heads::{HeadKind, InnerConfig, MaskedConfig};
use crate::models::initial::{self, Initial, Rule, is_bias};
use crate::models::naming::Naming;
use crate::models::weights::Shapes;
use crate::models::{Activations, Modality, Pooling};

// ------------------------------------------------------------------------------------------------------------ blocks

/// The network below the head. Its fields are named as Hugging Face's, so that their paths are the names of the weights.
#[derive(Module, Debug)]
pub(in crate::models) struct ModernBert {
    embeddings: Embeddings,
    layers: Vec<Layer>,
    final_norm: LayerNorm,
    #[module(skip)]
    pooling: Pooling,
    #[module(skip)]
    config: ModernBertConfig,
}

#[derive(Module, Debug)]
#[expect(
    clippy::struct_field_names,
    reason = "the names that the checkpoint has"
)]
struct Embeddings {
    tok_embeddings: Embedding,
    norm: LayerNorm,
    drop: Dropout,
}

impl ModernBert {
    /// The network with nothing in its weights yet.
    fn new(config: ModernBertConfig, pooling: Pooling, device: &Device) -> Self {
        let norm = || layers::norm(&config, device);
        let layers = 0..config.num_hidden_layers;
        let layers = layers.map(|layer| Layer::new(&config, layer, device));
        Self {
            embeddings: Embeddings {
                tok_embeddings: table(config.vocab_size, config.hidden_size, device),
                norm: norm(),
                drop: DropoutConfig::new(config.embedding_dropout).init(),
            },
            layers: layers.collect(),
            final_norm: norm(),
            pooling,
            config,
        }
    }
}

// ----------------------------------------------------------------------------------------------------------- forward

impl Blocks for ModernBert {
    /// `embeddings`, `layers.0` …, `final_norm`, `pooling`, which has no weights.
    fn blocks(&self) -> Vec<String> {
        let mut blocks = encoder::blocks("layers", self.layers.len(), "final_norm");
        blocks.push("pooling".into());
        blocks
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
        let layers = self.layers.iter().map(Layer::signature);
        format!(
            "modernbert, {:?} pooling, {} heads, {:?}, layer norm {:e}, windows and thetas {:?}",
            self.pooling,
            config.num_attention_heads,
            config.hidden_activation,
            config.norm_eps,
            layers.collect::<Vec<_>>(),
        )
    }

    fn base(&self) -> &'static str {
        BASE
    }

    fn family(&self) -> &'static str {
        FAMILY
    }

    fn complete(&self, config: &mut Map<String, Value>) {
        for key in ["auto_map", "pooling"] {
            config.shift_remove(key);
        }
        let pooling = match self.pooling {
            Pooling::Mean => "mean",
            Pooling::Cls | Pooling::Pooler => "cls",
        };
        config.insert("classifier_pooling".into(), pooling.into());
        let dropout = self.config.classifier_dropout;
        config.insert("classifier_dropout".into(), dropout.into());
    }

    fn pooling(&self) -> Option<Pooling> {
        Some(self.pooling)
    }

    fn hidden_blocks(&self) -> Option<usize> {
        Some(self.layers.len() + 2)
    }

    fn embedding(&self) -> Option<Tensor<2>> {
        Some(self.embeddings.tok_embeddings.weight.val())
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

impl Steps for ModernBert {
    /// With the last norm, which is a block.
    fn layers(&self) -> usize {
        self.layers.len() + 1
    }

    fn embed(
        &self,
        ids: Tensor<2, Int>,
        _types: Option<Tensor<2, Int>>,
        _mask: &Tensor<2>,
    ) -> Tensor<3> {
        let Embeddings {
            tok_embeddings,
            norm,
            drop,
        } = &self.embeddings;
        dropout(drop, norm.forward(tok_embeddings.forward(ids)))
    }

    fn layer(&self, layer: usize, states: Tensor<3>, mask: &Tensor<2>) -> Tensor<3> {
        match self.layers.get(layer) {
            Some(layer) => layer.forward(states, mask),
            None => self.final_norm.forward(states),
        }
    }

    fn pool(&self, states: Tensor<3>, mask: Tensor<2>) -> Tensor<2> {
        pooling::pool(states, mask, self.pooling)
    }
}

// ------------------------------------------------------------------------------------------------------ weight names

/// A module's path → its Hugging Face name without the base model's.
fn parameter_name(path: &str) -> String {
    path.replace(".wqkv.", ".Wqkv.")
        .replace(".wi.", ".Wi.")
        .replace(".wo.", ".Wo.")
        .replace("norm.gamma", "norm.weight")
        .replace("norm.beta", "norm.bias")
}

/// A name in a checkpoint → its form in the network.
fn checkpoint_name(name: &str) -> String {
    encoder::checkpoint_name(name, BASE)
}

/// Nothing in a checkpoint is a constant.
fn is_constant(_name: &str) -> bool {
    false
}

/// Whether a checkpoint's tensor belongs to the head of another task: to none of the parts that every ModernBERT has.
fn is_spare(name: &str) -> bool {
    let parts = ["embeddings.", "layers.", "final_norm."];
    !parts.iter().any(|part| name.starts_with(part))
}

/// What Hugging Face's classes call the network below the head.
const BASE: &str = "model";

/// Its `model_type`.
const FAMILY: &str = "modernbert";

// -------------------------------------------------------------------------------------------------------------- row

/// ModernBERT's row in the registry.
pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "ModernBERT",
    model_types: &[FAMILY],
    modality: Modality::Texts,
    variants: &[],
    naming: Naming {
        parameter: parameter_name,
        checkpoint: |name, _| checkpoint_name(name),
        constant: is_constant,
        spare: is_spare,
        beside: &[("head", "classifier"), ("head", "decoder")],
    },
    heads: &[
        LibraryHead {
            kind: HeadKind::Pooled,
            block: "classifier",
            layers: INNER,
            library: Library::Transformers("AutoModelForSequenceClassification"),
            classes: &[(FAMILY, "ModernBertForSequenceClassification")],
        },
        LibraryHead {
            kind: HeadKind::Tokens,
            block: "classifier",
            layers: INNER,
            library: Library::Transformers("AutoModelForTokenClassification"),
            classes: &[(FAMILY, "ModernBertForTokenClassification")],
        },
        LibraryHead {
            kind: HeadKind::Embedding,
            block: "projection",
            layers: &[("linear", "projection")],
            library: Library::SentenceTransformers,
            classes: &[(FAMILY, "ModernBertModel")],
        },
        LibraryHead {
            kind: HeadKind::Masked,
            block: "decoder",
            layers: &[
                ("predictions.transform.dense", "head.dense"),
                ("predictions.transform.LayerNorm", "head.norm"),
                ("predictions", "decoder"),
            ],
            library: Library::Transformers("AutoModelForMaskedLM"),
            classes: &[(FAMILY, "ModernBertForMaskedLM")],
        },
    ],
    build,
    initial,
    recognise,
};

/// The layers of its classifiers.
const INNER: &[(&str, &str)] = &[
    ("inner.dense", "head.dense"),
    ("inner.LayerNorm", "head.norm"),
    ("linear", "classifier"),
];

/// Builds the network that the folder describes, with the pooling that is asked for or that the folder says.
fn build(source: &Source<'_>) -> Result<Built> {
    let mut config: ModernBertConfig = source.folder.config_as()?;
    config.classifier_dropout = source.head.dropout.unwrap_or(config.classifier_dropout);
    config.check()?;
    transformer::check_tied(source.head, config.tie_word_embeddings)?;
    let layers = config.num_hidden_layers;
    source
        .checkpoint
        .refuse_layers("num_hidden_layers", layers)?;
    let by_class = match config.classifier_pooling {
        ClassifierPooling::Cls => Pooling::Cls,
        ClassifierPooling::Mean => Pooling::Mean,
    };
    let Choice { pooling, told, .. } =
        pooling::choose_by_class(source, ARCHITECTURE.name, by_class)?;
    let is_masked = source.head.problem.head_kind() == HeadKind::Masked;
    Ok(Built {
        dropout: config.classifier_dropout,
        initializer_range: if is_masked {
            config.deep()
        } else {
            config.last()
        },
        inner: Some(InnerConfig {
            bias: config.classifier_bias,
            norm: Some((config.norm_eps, config.norm_bias)),
            of_tokens: true,
            initializer_range: Some(config.deep()),
            ..InnerConfig::new(config.classifier_activation, None)
        }),
        masked: Some(MaskedConfig {
            bias: config.classifier_bias,
            norm_bias: config.norm_bias,
            output_bias: config.decoder_bias,
            ..MaskedConfig::new(
                config.hidden_size,
                config.classifier_activation,
                config.norm_eps,
                config.vocab_size,
            )
        }),
        choices: told,
        ..Built::new(ModernBert::new(config, pooling, source.device))
    })
}

/// As transformers draws them: `_init_weights` in `models/modernbert/modeling_modernbert.py`.
fn initial(folder: &ModelFolder) -> Result<Rule> {
    let mut config: ModernBertConfig = folder.config_as()?;
    config.initializer_range = initial::initializer_range(folder)?;
    let cutoff = config.initializer_cutoff_factor;
    if !cutoff.is_finite() || cutoff <= 0.0 {
        wrong("`initializer_cutoff_factor` is not above 0")?;
    }
    Ok(Box::new(move |name, _| {
        let std = match name {
            name if is_bias(name) => return Initial::Zeros,
            name if name.ends_with("norm.weight") => return Initial::Ones,
            name if name.ends_with(".Wo.weight") => config.deep(),
            _ => config.initializer_range,
        };
        Initial::Cut {
            std,
            at: cutoff * std,
        }
    }))
}

/// Whether weights are those of a ModernBERT.
fn recognise(shapes: &Shapes<'_>) -> Option<&'static str> {
    let mark = "layers.0.attn.Wqkv.weight";
    let mut names = shapes.keys();
    names
        .any(|name| name.ends_with(mark))
        .then_some(ARCHITECTURE.name)
}
