//! Adapters of linear layers (LoRA, arXiv:2106.09685): what they are, which layers have them, what they are called. The words are peft's.
//!
//! They stand on Burn's reparameterisations, so that a network of any architecture takes them and all walks over a module see their
//! parameters. Burn's own LoRA adds B A to the weight before the product: that has no place for dropout, and its backward pass computes a
//! gradient of the size of the weight. Here the product goes through the low rank ([`adapted`]).

mod attach;
mod files;
mod layer;
mod names;
mod targets;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) use attach::{Attacher, account, refuse_strange};
pub(super) use files::{CONFIG_FILE, PREFIX, WEIGHTS_FILE, read};
pub(super) use layer::adapted;
pub(super) use names::{FIRST, adapted_layer, beside, is_adapter, layer, of_path, renamed};
pub use targets::Layers;

/// The adapters of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lora {
    /// Their rank.
    pub r: usize,
    /// What they add is multiplied by this over `r`, or over the root of `r`.
    pub lora_alpha: f64,
    /// Dropout before them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lora_dropout: f64,
    /// The layers that have one, by their names without the base model's.
    pub target_modules: Vec<String>,
    /// Whether `lora_alpha` counts over the root of `r` (rsLoRA, arXiv:2312.03732).
    #[serde(default, skip_serializing_if = "is_off")]
    pub use_rslora: bool,
    /// Whether the length of each row of a weight trains on its own (DoRA, arXiv:2402.09353).
    #[serde(default, skip_serializing_if = "is_off")]
    pub use_dora: bool,
    /// What trains as a whole beside them, by the names of its modules without the base model's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules_to_save: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_off(setting: &bool) -> bool {
    !setting
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(setting: &f64) -> bool {
    *setting == 0.0
}

/// What a parameter has to do with adapters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// Nothing: it stays as it is where a network has any.
    #[default]
    Own,
    /// It is one's.
    Adapter,
    /// It trains beside them: [`Lora::modules_to_save`] names it.
    Saved,
}

impl Lora {
    /// What their product is multiplied by.
    #[must_use]
    pub fn scale(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "ranks are small")]
        let r = self.r as f64;
        self.lora_alpha / if self.use_rslora { r.sqrt() } else { r }
    }

    /// Checks what its types cannot say.
    ///
    /// # Errors
    /// The setting that cannot be meant, and what is wrong with it.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let Self {
            r,
            lora_alpha: alpha,
            lora_dropout: dropout,
            ..
        } = self;
        if *r == 0 {
            return Err((
                "r",
                "`r` is 0, and adapters of no rank learn nothing".into(),
            ));
        }
        if !(*alpha > 0.0 && *alpha <= f64::from(f32::MAX)) {
            return Err((
                "lora_alpha",
                format!("`lora_alpha` must be above 0, and is {alpha}"),
            ));
        }
        if !(0.0..1.0).contains(dropout) {
            return Err((
                "lora_dropout",
                format!("`lora_dropout` must be at least 0 and below 1, and is {dropout}"),
            ));
        }
        Ok(())
    }
}
