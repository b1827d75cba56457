//! The row of SigLIP's vision tower. Its blocks and names are in [`clip`](super::clip).

use super::clip::{NAMING, VisionTower, recognise};
use super::clip_config::Family;
use crate::error::Result;
use crate::models::Modality;
use crate::models::architecture::{Architecture, LibraryHead};
use crate::models::export::Library;
use crate::models::folder::ModelFolder;
use crate::models::heads::HeadKind;
use crate::models::initial::{Initial, Rule, is_bias};

/// SigLIP's row in the registry.
pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "SigLIP",
    model_types: &["siglip", "siglip_vision_model"],
    modality: Modality::Images,
    variants: &[],
    naming: NAMING,
    heads: &[LibraryHead {
        kind: HeadKind::Pooled,
        block: "classifier",
        layers: &[("linear", "classifier")],
        library: Library::Transformers("AutoModelForImageClassification"),
        classes: &[("vision_model", "SiglipForImageClassification")],
    }],
    build: |source| VisionTower::build(Family::Siglip, source),
    initial,
    recognise: |shapes| recognise(shapes, "embeddings.patch_embedding.bias", "SigLIP"),
};

/// As transformers draws them: `SiglipPreTrainedModel._init_weights`.
#[expect(clippy::cast_precision_loss, reason = "sizes are small")]
fn initial(folder: &ModelFolder) -> Result<Rule> {
    let written = Family::Siglip.written(folder)?;
    let of_width = 1.0 / (written.hidden_size as f64).sqrt();
    Ok(Box::new(move |name, shape| match shape {
        // Those between the two layers after attention are all but nothing.
        [_] if name.ends_with("fc1.bias") || name.ends_with("fc2.bias") => Initial::Normal(1e-6),
        [_] if is_bias(name) || name.ends_with("in_proj_bias") => Initial::Zeros,
        [_] => Initial::Ones,
        _ if name.ends_with("position_embedding.weight") => Initial::Normal(of_width),
        [_, fan_in @ ..] if name.ends_with("patch_embedding.weight") => {
            Initial::Truncated(lecun(fan_in.iter().product()))
        }
        _ if name.ends_with("head.attention.out_proj.weight") => {
            Initial::Truncated(lecun(shape[1]))
        }
        // The probe `[1, 1, width]`, whose first number counts as its outputs.
        [outputs, inputs, rest @ ..] => {
            let rest: usize = rest.iter().product();
            Initial::glorot(inputs * rest, outputs * rest)
        }
        [] => Initial::Zeros,
    }))
}

/// The standard deviation that a normal distribution needs for one of 1 / √`fan_in` when it is cut at two of them.
#[expect(clippy::cast_precision_loss, reason = "sizes are small")]
fn lecun(fan_in: usize) -> f64 {
    1.0 / (fan_in as f64).sqrt() / 0.879_625_661_034_239_8
}
