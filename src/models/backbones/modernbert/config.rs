//! What `config.json` says of a ModernBERT.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::super::transformer::{self, Act, default_initializer_range, default_true, wrong};
use crate::error::Result;

/// The part of `config.json` that decides what the network is. What it does not say is as in transformers' `ModernBertConfig`.
#[derive(Clone, Debug, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the switches that the file has"
)]
pub(super) struct ModernBertConfig {
    pub(super) vocab_size: usize,
    pub(super) hidden_size: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) num_attention_heads: usize,
    pub(super) intermediate_size: usize,
    #[serde(default = "default_positions")]
    pub(super) max_position_embeddings: usize,
    #[serde(default)]
    pub(super) hidden_activation: Act,
    #[serde(default = "default_norm_eps")]
    pub(super) norm_eps: f64,
    #[serde(default)]
    pub(super) norm_bias: bool,
    #[serde(default)]
    pub(super) attention_bias: bool,
    #[serde(default)]
    pub(super) mlp_bias: bool,
    #[serde(default)]
    pub(super) attention_dropout: f64,
    #[serde(default)]
    pub(super) embedding_dropout: f64,
    #[serde(default)]
    pub(super) mlp_dropout: f64,
    #[serde(default = "default_window")]
    pub(super) local_attention: usize,
    layer_types: Option<Vec<Reach>>,
    #[serde(default = "default_every")]
    global_attn_every_n_layers: usize,
    rope_parameters: Option<BTreeMap<Reach, Option<Rope>>>,
    rope_scaling: Option<Value>,
    global_rope_theta: Option<f64>,
    local_rope_theta: Option<f64>,
    #[serde(default)]
    pub(super) classifier_pooling: ClassifierPooling,
    #[serde(default)]
    pub(super) classifier_dropout: f64,
    #[serde(default)]
    pub(super) classifier_bias: bool,
    #[serde(default)]
    pub(super) classifier_activation: Act,
    #[serde(default = "default_true")]
    pub(super) decoder_bias: bool,
    #[serde(default = "default_initializer_range")]
    pub(super) initializer_range: f64,
    #[serde(default = "default_cutoff")]
    pub(super) initializer_cutoff_factor: f64,
    #[serde(default = "default_true")]
    pub(super) tie_word_embeddings: bool,
}

/// Which tokens a layer looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) enum Reach {
    /// All of them.
    #[serde(rename = "full_attention")]
    Global,
    /// Those within half a window to each side.
    #[serde(rename = "sliding_attention")]
    Local,
}

/// How the positions of layers are turned.
#[derive(Clone, Debug, Deserialize)]
struct Rope {
    rope_type: Option<String>,
    rope_theta: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ClassifierPooling {
    #[default]
    Cls,
    Mean,
}

fn default_positions() -> usize {
    8192
}

fn default_norm_eps() -> f64 {
    1e-5
}

fn default_window() -> usize {
    128
}

fn default_every() -> usize {
    3
}

fn default_cutoff() -> f64 {
    2.0
}

impl ModernBertConfig {
    /// Checks what the types cannot say.
    pub(super) fn check(&self) -> Result<()> {
        transformer::check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("vocab_size", self.vocab_size),
            ("max_position_embeddings", self.max_position_embeddings),
            (
                "global_attn_every_n_layers",
                self.global_attn_every_n_layers,
            ),
        ])?;
        transformer::check_times("hidden_size", self.hidden_size, 3)?;
        transformer::check_times("intermediate_size", self.intermediate_size, 2)?;
        transformer::check_norm_of("norm_eps", self.norm_eps)?;
        let (width, heads) = (self.hidden_size, self.num_attention_heads);
        transformer::check_heads(("hidden_size", width), ("num_attention_heads", heads))?;
        if !(width / heads).is_multiple_of(2) {
            return wrong(&format!(
                "heads of {} numbers, by `hidden_size` and `num_attention_heads`, are no pairs to turn",
                width / heads
            ));
        }
        self.check_positions()?;
        transformer::check_dropouts(&[
            ("attention_dropout", self.attention_dropout),
            ("embedding_dropout", self.embedding_dropout),
            ("mlp_dropout", self.mlp_dropout),
            ("classifier_dropout", self.classifier_dropout),
        ])
    }

    /// Checks what is said of layers and of positions.
    fn check_positions(&self) -> Result<()> {
        if let Some(types) = &self.layer_types
            && types.len() != self.num_hidden_layers
        {
            return wrong(&format!(
                "`layer_types` names {} layers, and `num_hidden_layers` is {}",
                types.len(),
                self.num_hidden_layers
            ));
        }
        if self
            .rope_scaling
            .as_ref()
            .is_some_and(|scaling| !scaling.is_null())
        {
            return wrong("`rope_scaling` is set, and refire turns positions without scaling");
        }
        let ropes = self.rope_parameters.iter().flatten();
        for rope in ropes.filter_map(|(_, rope)| rope.as_ref()) {
            if let Some(kind) = &rope.rope_type
                && kind != "default"
            {
                return wrong(&format!(
                    "`rope_type` is `{kind}` in `rope_parameters`, and refire has `default` alone"
                ));
            }
        }
        for reach in [Reach::Global, Reach::Local] {
            let theta = self.theta(reach);
            if !theta.is_finite() || theta <= 0.0 {
                return wrong(&format!("a `rope_theta` is {theta}, not above 0"));
            }
        }
        Ok(())
    }

    /// What the frequencies of positions follow from.
    pub(super) fn theta(&self, reach: Reach) -> f64 {
        let written = self.rope_parameters.as_ref();
        let written = written.and_then(|ropes| ropes.get(&reach)?.as_ref()?.rope_theta);
        let (older, usual) = match reach {
            Reach::Global => (self.global_rope_theta, 160_000.0),
            Reach::Local => (self.local_rope_theta, 10_000.0),
        };
        written.or(older).unwrap_or(usual)
    }

    /// Which tokens a layer looks at.
    pub(super) fn reach(&self, layer: usize) -> Reach {
        match &self.layer_types {
            Some(types) => types.get(layer).copied().unwrap_or(Reach::Global),
            None if layer.is_multiple_of(self.global_attn_every_n_layers) => Reach::Global,
            None => Reach::Local,
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "widths and depths are far below 2^53"
)]
impl ModernBertConfig {
    /// The standard deviation of what is added to states, which is less the more layers add to them.
    pub(super) fn deep(&self) -> f64 {
        self.initializer_range / (2.0 * self.num_hidden_layers as f64).sqrt()
    }

    /// That of the last layer of a classifier.
    pub(super) fn last(&self) -> f64 {
        (self.hidden_size as f64).sqrt().recip()
    }
}
