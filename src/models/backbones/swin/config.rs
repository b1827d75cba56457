//! What a Swin Transformer is: the part of transformers' `config.json` that decides it.

use serde::Deserialize;

use super::super::patches::Side;
use super::super::transformer::{self, Act, wrong};
use super::super::{drop_path, stages};
use crate::error::Result;

/// The part of `config.json` that decides what the network is.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(super) struct SwinConfig {
    pub(super) image_size: Side,
    pub(super) patch_size: Side,
    pub(super) num_channels: usize,
    pub(super) embed_dim: usize,
    pub(super) depths: Vec<usize>,
    pub(super) num_heads: Vec<usize>,
    pub(super) window_size: usize,
    pub(super) mlp_ratio: f64,
    pub(super) qkv_bias: bool,
    pub(super) hidden_dropout_prob: f64,
    pub(super) attention_probs_dropout_prob: f64,
    pub(super) drop_path_rate: f64,
    pub(super) hidden_act: Act,
    pub(super) use_absolute_embeddings: bool,
    pub(super) layer_norm_eps: f64,
}

impl Default for SwinConfig {
    /// transformers' `SwinConfig`.
    fn default() -> Self {
        Self {
            image_size: Side::Number(224),
            patch_size: Side::Number(4),
            num_channels: 3,
            embed_dim: 96,
            depths: vec![2, 2, 6, 2],
            num_heads: vec![3, 6, 12, 24],
            window_size: 7,
            mlp_ratio: 4.0,
            qkv_bias: true,
            hidden_dropout_prob: 0.0,
            attention_probs_dropout_prob: 0.0,
            drop_path_rate: 0.1,
            hidden_act: Act::Gelu,
            use_absolute_embeddings: false,
            layer_norm_eps: 1e-5,
        }
    }
}

/// What has been read out of the config.
#[derive(Clone, Debug)]
pub(super) struct Sizes {
    pub(super) image: usize,
    pub(super) patch: usize,
    /// Numbers of a place in each stage: twice as many as in the one before.
    pub(super) widths: Vec<usize>,
}

/// The most stages: each has twice as many numbers a place as the one before it.
const MOST_STAGES: usize = 16;

/// The widest windows, in places. Each two of a window's places have a bias.
const MOST_WINDOW: usize = 64;

impl SwinConfig {
    /// Checks what the types cannot say.
    pub(super) fn sizes(&self) -> Result<Sizes> {
        let patch = self.patch_size.of_square("patch_size")?;
        let image = self.image_size.of_square("image_size")?;
        let sizes = [
            ("embed_dim", self.embed_dim),
            ("patch_size", patch),
            ("image_size", image),
            ("window_size", self.window_size),
        ];
        transformer::check_sizes(&sizes)?;
        transformer::check_widths(&sizes)?;
        stages::check_stages("num_heads", &self.num_heads, "depths", &self.depths)?;
        if self.depths.len() > MOST_STAGES {
            return wrong(&format!("`depths` has more than {MOST_STAGES} stages"));
        }
        let widths = (0..self.depths.len()).map(|stage| self.embed_dim << stage);
        let widths: Vec<usize> = widths.collect();
        for (width, heads) in widths.iter().zip(&self.num_heads) {
            transformer::check_widths(&[("embed_dim", *width)])?;
            if !width.is_multiple_of(*heads) {
                return wrong(&format!(
                    "`num_heads` has {heads}, of which the {width} numbers of a place are no multiple"
                ));
            }
            transformer::times(*width, "mlp_ratio", self.mlp_ratio)?;
        }
        if self.window_size > MOST_WINDOW {
            return wrong(&format!(
                "`window_size` is {}, not from 1 to {MOST_WINDOW}",
                self.window_size
            ));
        }
        if image < patch {
            return wrong(&format!(
                "`image_size` {image} is below `patch_size` {patch}"
            ));
        }
        transformer::check_colours(self.num_channels)?;
        transformer::check_norm(self.layer_norm_eps)?;
        drop_path::check("drop_path_rate", self.drop_path_rate)?;
        transformer::check(
            self.embed_dim,
            self.num_heads[0],
            &[
                ("hidden_dropout_prob", self.hidden_dropout_prob),
                (
                    "attention_probs_dropout_prob",
                    self.attention_probs_dropout_prob,
                ),
            ],
        )?;
        Ok(Sizes {
            image,
            patch,
            widths,
        })
    }
}
