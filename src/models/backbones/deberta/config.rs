//! What `config.json` says of a DeBERTa.

use serde::Deserialize;

use super::super::transformer::{
    self, Act, default_dropout, default_initializer_range, default_true, wrong,
};
use super::attention::Distances;
use crate::error::Result;

/// The part of `config.json` that decides what the network is. What it does not say is as in transformers' `DebertaV2Config`.
#[derive(Clone, Debug, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the switches that the file has"
)]
pub(super) struct DebertaConfig {
    pub(super) vocab_size: usize,
    pub(super) embedding_size: Option<usize>,
    pub(super) hidden_size: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) num_attention_heads: usize,
    pub(super) attention_head_size: Option<usize>,
    pub(super) intermediate_size: usize,
    #[serde(default = "default_positions")]
    pub(super) max_position_embeddings: usize,
    #[serde(default)]
    pub(super) type_vocab_size: usize,
    #[serde(default)]
    pub(super) hidden_act: Act,
    #[serde(default = "default_dropout")]
    pub(super) hidden_dropout_prob: f64,
    #[serde(default = "default_dropout")]
    pub(super) attention_probs_dropout_prob: f64,
    #[serde(default = "default_norm_eps")]
    pub(super) layer_norm_eps: f64,
    #[serde(default = "default_initializer_range")]
    pub(super) initializer_range: f64,
    #[serde(default = "default_true")]
    pub(super) position_biased_input: bool,
    #[serde(default)]
    pub(super) relative_attention: bool,
    max_relative_positions: Option<i64>,
    position_buckets: Option<i64>,
    pos_att_type: Option<Compared>,
    norm_rel_ebd: Option<String>,
    #[serde(default)]
    pub(super) share_att_key: bool,
    #[serde(default)]
    pub(super) conv_kernel_size: usize,
    #[serde(default = "one")]
    pub(super) conv_groups: usize,
    #[serde(default = "default_conv_act")]
    pub(super) conv_act: Act,
    #[serde(default)]
    pub(super) pooler_dropout: f64,
    #[serde(default)]
    pub(super) pooler_hidden_act: Act,
    pub(super) pooler_hidden_size: Option<usize>,
    pub(super) cls_dropout: Option<f64>,
    #[serde(default = "default_true")]
    pub(super) legacy: bool,
    #[serde(default = "default_true")]
    pub(super) tie_word_embeddings: bool,
}

/// What is compared with distances: `c2p|p2c`, or a list.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Compared {
    Words(String),
    List(Vec<String>),
}

fn default_positions() -> usize {
    512
}

fn default_norm_eps() -> f64 {
    1e-7
}

fn default_conv_act() -> Act {
    Act::Tanh
}

fn one() -> usize {
    1
}

impl DebertaConfig {
    /// Checks what the types cannot say.
    pub(super) fn check(&self) -> Result<()> {
        transformer::check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("embedding_size", self.narrow()),
            ("intermediate_size", self.intermediate_size),
            ("vocab_size", self.vocab_size),
            ("max_position_embeddings", self.max_position_embeddings),
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
                ("pooler_dropout", self.pooler_dropout),
                ("cls_dropout", self.cls_dropout.unwrap_or(0.0)),
            ],
        )?;
        let of_head = self.hidden_size / self.num_attention_heads;
        for (name, written, size) in [
            ("attention_head_size", self.attention_head_size, of_head),
            (
                "pooler_hidden_size",
                self.pooler_hidden_size,
                self.hidden_size,
            ),
        ] {
            if written.is_some_and(|written| written != size) {
                return wrong(&format!(
                    "`{name}` is {}, and refire has DeBERTa with {size} for these sizes alone",
                    written.unwrap_or_default()
                ));
            }
        }
        self.check_convolution()?;
        self.check_distances()
    }

    fn check_convolution(&self) -> Result<()> {
        let (size, groups) = (self.conv_kernel_size, self.conv_groups);
        if size == 0 {
            return Ok(());
        }
        if size.is_multiple_of(2) || size > MOST_CONVOLVED {
            return wrong(&format!(
                "`conv_kernel_size` is {size}, not an odd number up to {MOST_CONVOLVED}"
            ));
        }
        if groups == 0 || !self.hidden_size.is_multiple_of(groups) {
            return wrong(&format!(
                "`hidden_size` {} is not a multiple of `conv_groups` {groups}",
                self.hidden_size
            ));
        }
        Ok(())
    }

    fn check_distances(&self) -> Result<()> {
        for what in self.compared() {
            if !["c2p", "p2c"].contains(&what.as_str()) {
                return wrong(&format!(
                    "`pos_att_type` names `{what}`, which is neither `c2p` nor `p2c`"
                ));
            }
        }
        let Some(distances) = self.distances() else {
            return Ok(());
        };
        transformer::check_times("max_relative_positions", distances.span, 2)?;
        if let Some((buckets, longest)) = distances.buckets
            && (buckets < 2 || longest < 2 || longest - 1 <= buckets / 2)
        {
            return wrong(&format!(
                "`position_buckets` is {buckets} for distances up to {longest}, and buckets grow from half their number to that"
            ));
        }
        Ok(())
    }

    /// How many numbers the vector of a token has.
    pub(super) fn narrow(&self) -> usize {
        self.embedding_size.unwrap_or(self.hidden_size)
    }

    fn compared(&self) -> Vec<String> {
        match &self.pos_att_type {
            None => Vec::new(),
            Some(Compared::Words(words)) => {
                let words = words.split('|').map(|word| word.trim().to_lowercase());
                words.filter(|word| !word.is_empty()).collect()
            }
            Some(Compared::List(list)) => list.clone(),
        }
    }

    /// Whether `what`, `c2p` or `p2c`, is compared.
    pub(super) fn compares(&self, what: &str) -> bool {
        self.compared().iter().any(|compared| compared == what)
    }

    /// How distances are grouped, where they count.
    pub(super) fn distances(&self) -> Option<Distances> {
        if !self.relative_attention {
            return None;
        }
        let above = |written: Option<i64>| {
            let written = written.and_then(|written| usize::try_from(written).ok());
            written.filter(|written| *written > 0)
        };
        let longest = above(self.max_relative_positions).unwrap_or(self.max_position_embeddings);
        let buckets = above(self.position_buckets).map(|buckets| (buckets, longest));
        Some(Distances {
            span: buckets.map_or(longest, |(buckets, _)| buckets),
            buckets,
        })
    }

    /// Whether the vectors of distances are normalised.
    pub(super) fn normalises_distances(&self) -> bool {
        let written = self
            .norm_rel_ebd
            .as_deref()
            .unwrap_or("none")
            .to_lowercase();
        written.split('|').any(|word| word.trim() == "layer_norm")
    }
}

/// The most tokens that a convolution looks at.
const MOST_CONVOLVED: usize = 1001;
