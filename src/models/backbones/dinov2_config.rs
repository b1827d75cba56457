//! What a DINOv2 is: the part of transformers' `config.json` that decides it.

use serde::Deserialize;

use super::drop_path;
use super::patches::Side;
use super::transformer::{self, Act, wrong};
use crate::error::Result;

/// The part of `config.json` that decides what the network is.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(super) struct Dinov2Config {
    pub(super) hidden_size: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) num_attention_heads: usize,
    pub(super) mlp_ratio: f64,
    pub(super) hidden_act: Act,
    pub(super) hidden_dropout_prob: f64,
    pub(super) attention_probs_dropout_prob: f64,
    pub(super) layer_norm_eps: f64,
    pub(super) image_size: Side,
    pub(super) patch_size: Side,
    pub(super) num_channels: usize,
    pub(super) qkv_bias: bool,
    pub(super) layerscale_value: f64,
    pub(super) drop_path_rate: f64,
    pub(super) use_swiglu_ffn: bool,
    pub(super) use_mask_token: bool,
}

impl Default for Dinov2Config {
    /// transformers' `Dinov2Config`.
    fn default() -> Self {
        Self {
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            mlp_ratio: 4.0,
            hidden_act: Act::Gelu,
            hidden_dropout_prob: 0.0,
            attention_probs_dropout_prob: 0.0,
            layer_norm_eps: 1e-6,
            image_size: Side::Number(224),
            patch_size: Side::Number(14),
            num_channels: 3,
            qkv_bias: true,
            layerscale_value: 1.0,
            drop_path_rate: 0.0,
            use_swiglu_ffn: false,
            use_mask_token: true,
        }
    }
}

/// What has been read out of the config.
#[derive(Clone, Debug)]
pub(super) struct Sizes {
    pub(super) patch: usize,
    /// Patches on a side of the images that it was trained on.
    pub(super) side: usize,
    /// Numbers between a layer's two wide linear layers.
    pub(super) wide: usize,
}

impl Dinov2Config {
    /// Checks what the types cannot say.
    pub(super) fn sizes(&self) -> Result<Sizes> {
        let patch = self.patch_size.of_square("patch_size")?;
        let image = self.image_size.of_square("image_size")?;
        let sizes = [
            ("hidden_size", self.hidden_size),
            ("patch_size", patch),
            ("image_size", image),
        ];
        transformer::check_sizes(&sizes)?;
        transformer::check_widths(&sizes)?;
        if image < patch {
            return wrong(&format!(
                "`image_size` {image} is below `patch_size` {patch}"
            ));
        }
        transformer::check_colours(self.num_channels)?;
        transformer::check_norm(self.layer_norm_eps)?;
        transformer::check_factor("layerscale_value", self.layerscale_value)?;
        drop_path::check("drop_path_rate", self.drop_path_rate)?;
        transformer::check(
            self.hidden_size,
            self.num_attention_heads,
            &[
                ("hidden_dropout_prob", self.hidden_dropout_prob),
                (
                    "attention_probs_dropout_prob",
                    self.attention_probs_dropout_prob,
                ),
            ],
        )?;
        let wide = transformer::times(self.hidden_size, "mlp_ratio", self.mlp_ratio)?;
        Ok(Sizes {
            patch,
            side: image / patch,
            wide: if self.use_swiglu_ffn {
                // Two thirds of it, for there are three layers in place of two, rounded up to a multiple of 8.
                (wide * 2 / 3).next_multiple_of(8)
            } else {
                wide
            },
        })
    }
}
