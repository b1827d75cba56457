//! The row of the EfficientNets from B0 to B4 that are no Lite, by timm's names. Their blocks and names are in
//! [`efficientnet`](super::efficientnet).

use super::efficientnet::{
    COLOURS, HALF, HEADS, NAMING, build, fan_out_of_group, imagenet, recognise,
};
use crate::models::Modality;
use crate::models::architecture::Architecture;
use crate::models::image_input::Variant;
use crate::models::initial;

/// The checkpoints that have these names and sizes. Tensors do not tell a network of TensorFlow's from the other.
const VARIANTS: &[Variant] = &[
    imagenet("efficientnet_b0", 224, 256, COLOURS),
    imagenet("tf_efficientnet_b0", 224, 256, COLOURS),
    imagenet("efficientnet_b1", 240, 266, HALF),
    imagenet("tf_efficientnet_b1", 240, 272, COLOURS),
    imagenet("efficientnet_b2", 256, 292, COLOURS),
    imagenet("tf_efficientnet_b2", 260, 292, COLOURS),
    imagenet("efficientnet_b3", 288, 329, COLOURS),
    imagenet("tf_efficientnet_b3", 300, 331, COLOURS),
    imagenet("efficientnet_b4", 320, 365, COLOURS),
    imagenet("tf_efficientnet_b4", 380, 412, COLOURS),
];

/// EfficientNet's row in the registry.
pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "EfficientNet",
    model_types: &[],
    modality: Modality::Images,
    variants: VARIANTS,
    naming: NAMING,
    heads: HEADS,
    build,
    initial: |_| Ok(initial::convolutions(fan_out_of_group)),
    recognise: |shapes| recognise(VARIANTS, shapes),
};
