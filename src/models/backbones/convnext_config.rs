//! What a ConvNeXt is: the part of transformers' `config.json` that decides it, and what it comes to whichever library describes it.

use serde::Deserialize;

use super::drop_path;
use super::patches::Side;
use super::transformer::{self, Act, wrong};
use crate::error::Result;

/// The part of transformers' `config.json` that decides what the network is.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Written {
    pub(super) model_type: Family,
    #[serde(default = "default_hidden_sizes")]
    hidden_sizes: Vec<usize>,
    #[serde(default = "default_depths")]
    depths: Vec<usize>,
    num_stages: Option<usize>,
    #[serde(default = "default_patch_size")]
    patch_size: Side,
    #[serde(default = "default_num_channels")]
    num_channels: usize,
    #[serde(default)]
    hidden_act: Act,
    #[serde(default = "transformer::default_layer_norm_eps")]
    layer_norm_eps: f64,
    #[serde(default = "default_layer_scale")]
    pub(super) layer_scale_init_value: f64,
    #[serde(default)]
    drop_path_rate: f64,
}

/// Which of the two networks it is.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(super) enum Family {
    #[serde(rename = "convnext")]
    V1,
    /// With a normalisation of responses in place of a scale for what a layer adds.
    #[serde(rename = "convnextv2")]
    V2,
}

fn default_hidden_sizes() -> Vec<usize> {
    vec![96, 192, 384, 768]
}

fn default_depths() -> Vec<usize> {
    vec![3, 3, 9, 3]
}

fn default_patch_size() -> Side {
    Side::Number(4)
}

fn default_num_channels() -> usize {
    3
}

fn default_layer_scale() -> f64 {
    1e-6
}

/// What the network is, whichever library describes it.
#[derive(Clone, Debug)]
pub(super) struct ConvNextConfig {
    pub(super) names: Names,
    pub(super) family: Family,
    /// Channels of each stage.
    pub(super) widths: Vec<usize>,
    /// Layers of each stage.
    pub(super) depths: Vec<usize>,
    /// Height and width of the patches at the beginning.
    pub(super) patch: usize,
    pub(super) act: Act,
    /// What is added to variances, but to that of the pooled vector.
    pub(super) epsilon: f64,
    /// What is added to the variance of the pooled vector.
    pub(super) last_epsilon: f64,
    /// Whether what a layer adds has a factor for each channel.
    pub(super) scaled: bool,
    /// How the weights that mix channels are kept.
    pub(super) mixing: Mixing,
    /// The rate of stochastic depth in the last layer.
    pub(super) drop_path: f64,
}

/// Whose names the blocks have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    Transformers,
    Timm,
}

/// What the weights that mix the channels of a place are in the library, which computes the same with both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mixing {
    /// Those of linear layers.
    Linear,
    /// Those of 1×1 convolutions.
    Convolution,
}

impl Written {
    /// The network, if there is such a one.
    pub(super) fn resolved(self) -> Result<ConvNextConfig> {
        let stages = self.num_stages.unwrap_or(self.depths.len());
        for (name, list) in [
            ("depths", &self.depths),
            ("hidden_sizes", &self.hidden_sizes),
        ] {
            let count = list.len();
            if count != stages {
                return wrong(&format!(
                    "`{name}` has {count} numbers, but there are {stages} stages"
                ));
            }
        }
        transformer::check_colours(self.num_channels)?;
        transformer::check_norm(self.layer_norm_eps)?;
        drop_path::check("drop_path_rate", self.drop_path_rate)?;
        transformer::check_factor("layer_scale_init_value", self.layer_scale_init_value)?;
        let config = ConvNextConfig {
            names: Names::Transformers,
            family: self.model_type,
            scaled: self.model_type == Family::V1 && self.layer_scale_init_value > 0.0,
            widths: self.hidden_sizes,
            depths: self.depths,
            patch: self.patch_size.of_square("patch_size")?,
            act: self.hidden_act,
            epsilon: 1e-6,
            last_epsilon: self.layer_norm_eps,
            mixing: Mixing::Linear,
            drop_path: self.drop_path_rate,
        };
        config.check(["hidden_sizes", "depths"])?;
        Ok(config)
    }
}

impl ConvNextConfig {
    /// Checks sizes, which the config has under these names.
    pub(super) fn check(&self, [widths, depths]: [&str; 2]) -> Result<()> {
        if self.widths.is_empty() {
            return wrong(&format!("`{widths}` names no stage"));
        }
        let sizes = self.widths.iter().map(|width| (widths, *width));
        let sizes: Vec<(&str, usize)> = sizes.chain([("patch_size", self.patch)]).collect();
        transformer::check_sizes(&sizes)?;
        transformer::check_widths(&sizes)?;
        if self.depths.contains(&0) {
            return wrong(&format!("`{depths}` has a stage without layers"));
        }
        Ok(())
    }

    /// Layers of all stages.
    pub(super) fn layers(&self) -> usize {
        self.depths
            .iter()
            .fold(0, |sum, depth| sum.saturating_add(*depth))
    }

    /// The least height and width of an image of which something is left after the last stage.
    pub(super) fn least_side(&self) -> usize {
        let halvings = u32::try_from(self.widths.len().saturating_sub(1)).unwrap_or(u32::MAX);
        self.patch.saturating_mul(2_usize.saturating_pow(halvings))
    }
}
