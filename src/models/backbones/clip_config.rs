//! What a vision tower of CLIP or SigLIP is: what its config says.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::patches::Side;
use super::pre_norm::PreNormConfig;
use super::transformer::{self, Act, wrong};
use crate::error::{Context, Result};
use crate::models::folder::ModelFolder;

/// Which of the two networks it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// With a first token that is no patch, and a normalisation before the layers.
    Clip,
    Siglip,
}

/// The part of a tower's config that decides what the network is.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Written {
    #[serde(default = "default_hidden_size")]
    pub(super) hidden_size: usize,
    #[serde(default = "default_intermediate_size")]
    intermediate_size: usize,
    #[serde(default = "default_layers")]
    pub(super) num_hidden_layers: usize,
    #[serde(default = "default_layers")]
    num_attention_heads: usize,
    #[serde(default = "default_num_channels")]
    num_channels: usize,
    image_size: Option<Side>,
    patch_size: Option<Side>,
    hidden_act: Option<Act>,
    layer_norm_eps: Option<f64>,
    attention_dropout: Option<f64>,
    #[serde(default = "default_vision_use_head")]
    vision_use_head: bool,
    #[serde(default = "default_initializer_range")]
    pub(super) initializer_range: f64,
    #[serde(default = "default_initializer_factor")]
    pub(super) initializer_factor: f64,
}

fn default_hidden_size() -> usize {
    768
}

fn default_intermediate_size() -> usize {
    3072
}

fn default_layers() -> usize {
    12
}

fn default_num_channels() -> usize {
    3
}

fn default_vision_use_head() -> bool {
    true
}

fn default_initializer_range() -> f64 {
    0.02
}

fn default_initializer_factor() -> f64 {
    1.0
}

/// The key of the tower's config in that of both towers.
pub(super) const VISION: &str = "vision_config";
/// The key of the same in the first versions of transformers, which goes before the other.
const VISION_BEFORE: &str = "vision_config_dict";

impl Family {
    /// The `model_type`s of both towers, and of this one alone.
    pub(super) fn model_types(self) -> [&'static str; 2] {
        match self {
            Self::Clip => ["clip", "clip_vision_model"],
            Self::Siglip => ["siglip", "siglip_vision_model"],
        }
    }

    /// What `config.json` says of the tower.
    ///
    /// # Errors
    /// A config of no such tower.
    pub(super) fn written(self, folder: &ModelFolder) -> Result<Written> {
        let [both, _] = self.model_types();
        let written: Written = if folder.word("model_type") == Some(both) {
            let object = |key: &str| folder.config.get(key).filter(|value| !value.is_null());
            let tower = object(VISION_BEFORE).or(object(VISION));
            let tower = tower.map_or_else(|| Value::Object(Map::new()), Clone::clone);
            serde_json::from_value(tower).or_stage(|| {
                format!("config.json: `{VISION}` describes no network that refire can build")
            })?
        } else {
            folder.config_as()?
        };
        transformer::check_spread("initializer_factor", written.initializer_factor)?;
        transformer::check_spread("initializer_range", written.initializer_range)?;
        Ok(written)
    }

    pub(super) fn config(self, written: &Written) -> Result<TowerConfig> {
        let (patch, act, epsilon) = match self {
            Self::Clip => (32, Act::QuickGelu, 1e-5),
            Self::Siglip => (16, Act::GeluNew, 1e-6),
        };
        let image = written.image_size.unwrap_or(Side::Number(224));
        let config = TowerConfig {
            family: self,
            image: image.of_square("image_size")?,
            patch: written
                .patch_size
                .unwrap_or(Side::Number(patch))
                .of_square("patch_size")?,
            layers: written.num_hidden_layers,
            layer: PreNormConfig {
                width: written.hidden_size,
                wide: written.intermediate_size,
                heads: written.num_attention_heads,
                bias: true,
                dropout: 0.0,
                attention_dropout: written.attention_dropout.unwrap_or(0.0),
                epsilon: written.layer_norm_eps.unwrap_or(epsilon),
                act: written.hidden_act.unwrap_or(act),
            },
            pools: self == Self::Siglip && written.vision_use_head,
        };
        transformer::check_colours(written.num_channels)?;
        config.check()?;
        Ok(config)
    }
}

/// What the network is.
#[derive(Clone, Debug)]
pub(super) struct TowerConfig {
    pub(super) family: Family,
    pub(super) image: usize,
    pub(super) patch: usize,
    pub(super) layers: usize,
    pub(super) layer: PreNormConfig,
    /// Whether it has the layers that pool by attention, which a classifier goes without.
    pub(super) pools: bool,
}

impl TowerConfig {
    /// Checks what the types cannot say.
    fn check(&self) -> Result<()> {
        let sizes = [
            ("hidden_size", self.layer.width),
            ("intermediate_size", self.layer.wide),
            ("patch_size", self.patch),
            ("image_size", self.image),
        ];
        transformer::check_sizes(&sizes)?;
        transformer::check_widths(&sizes)?;
        if self.image < self.patch {
            return wrong(&format!(
                "`image_size` {} is below `patch_size` {}",
                self.image, self.patch
            ));
        }
        transformer::check_norm(self.layer.epsilon)?;
        transformer::check(
            self.layer.width,
            self.layer.heads,
            &[("attention_dropout", self.layer.attention_dropout)],
        )
    }

    /// Tokens of an image: one for each patch, and the one that stands before them.
    pub(super) fn tokens(&self) -> usize {
        let side = self.image / self.patch;
        side * side + usize::from(self.family == Family::Clip)
    }
}

impl Written {
    /// The standard deviation of a new classifier's weights, as transformers draws them.
    #[expect(clippy::cast_precision_loss, reason = "widths are small")]
    pub(super) fn spread_of_head(&self) -> f64 {
        self.initializer_factor / (self.hidden_size.max(1) as f64).sqrt()
    }
}
