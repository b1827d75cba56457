//! ConvNeXt and ConvNeXt V2 by the names that timm has: what its networks are, and what it calls their tensors. The blocks are those of
//! [`convnext`](super::convnext).

use burn::tensor::Device;

use super::convnext::ConvNext;
use super::convnext_config::{ConvNextConfig, Family, Mixing, Names};
use super::convolution::torch_name;
use super::transformer::Act;
use crate::data::images::Interpolation;
use crate::error::Result;
use crate::models::Modality;
use crate::models::architecture::{Architecture, Built, LibraryHead};
use crate::models::export::Library;
use crate::models::folder::ModelFolder;
use crate::models::heads::HeadKind;
use crate::models::image_input::{IMAGENET, ImageInput, Variant};
use crate::models::initial::{Initial, Rule, is_bias};
use crate::models::naming::{self, Naming, is_count};

// ------------------------------------------------------------------------------------------------------------ config

/// The checkpoints that have these names, with the input of the weights that timm takes by the name alone; a deeper one holds all tensors
/// of a shallower one of its kind.
const VARIANTS: &[Variant] = &[
    Variant {
        input: ImageInput {
            size: 160,
            resize: 168,
            mean: [0.5; 3],
            std: [0.5; 3],
            ..BICUBIC
        },
        ..imagenet(TEST, 256)
    },
    imagenet("convnext_atto", 256),
    imagenet("convnext_femto", 256),
    imagenet("convnext_pico", 256),
    imagenet("convnext_nano", 235),
    imagenet("convnext_tiny", 235),
    imagenet("convnext_small", 235),
    imagenet("convnext_base", 256),
    imagenet("convnext_large", 256),
    imagenet("convnext_xlarge", 256),
    imagenet("convnextv2_atto", 256),
    imagenet("convnextv2_femto", 256),
    imagenet("convnextv2_pico", 256),
    imagenet("convnextv2_nano", 256),
    imagenet("convnextv2_tiny", 256),
    imagenet("convnextv2_base", 256),
    imagenet("convnextv2_large", 256),
];

const BICUBIC: ImageInput = ImageInput {
    interpolation: Interpolation::Bicubic,
    ..IMAGENET
};

const fn imagenet(name: &'static str, resize: usize) -> Variant {
    Variant {
        name,
        classes: 1000,
        labels: &[],
        input: ImageInput { resize, ..BICUBIC },
    }
}

/// The one that timm tries its own code with.
const TEST: &str = "test_convnext";

impl ConvNextConfig {
    /// timm's network of this name.
    fn of(architecture: &str) -> Self {
        let (family, size) = match architecture.split_once('_') {
            Some(("convnextv2", size)) => (Family::V2, size),
            Some(("convnext", size)) => (Family::V1, size),
            _ => (Family::V1, TEST),
        };
        let (depths, widths) = match size {
            "atto" => ([2, 2, 6, 2], doubling(40)),
            "femto" => ([2, 2, 6, 2], doubling(48)),
            "pico" => ([2, 2, 6, 2], doubling(64)),
            "nano" => ([2, 2, 8, 2], doubling(80)),
            "tiny" => ([3, 3, 9, 3], doubling(96)),
            "small" => ([3, 3, 27, 3], doubling(96)),
            "base" => ([3, 3, 27, 3], doubling(128)),
            "large" => ([3, 3, 27, 3], doubling(192)),
            "xlarge" => ([3, 3, 27, 3], doubling(256)),
            _ => ([1, 2, 4, 2], [24, 32, 48, 64]),
        };
        let is_test = size == TEST;
        let epsilon = if is_test { 1e-5 } else { 1e-6 };
        Self {
            names: Names::Timm,
            family,
            widths: widths.to_vec(),
            depths: depths.to_vec(),
            patch: 4,
            act: if is_test { Act::GeluNew } else { Act::Gelu },
            epsilon,
            last_epsilon: epsilon,
            scaled: family == Family::V1,
            mixing: match size {
                "atto" | "femto" | "pico" | "nano" => Mixing::Convolution,
                _ => Mixing::Linear,
            },
            drop_path: 0.0,
        }
    }
}

const fn doubling(first: usize) -> [usize; 4] {
    [first, 2 * first, 4 * first, 8 * first]
}

// ------------------------------------------------------------------------------------------------------ weight names

const NAMING: Naming = Naming {
    parameter: parameter_name,
    checkpoint: str::to_string,
    constant: is_count,
    spare: |_| false,
    beside: &[],
};

/// A module's path → timm's name.
fn parameter_name(path: &str) -> String {
    let parts: Vec<&str> = path.split('.').collect();
    match parts[..] {
        ["embeddings", part, field] => {
            format!("stem.{}.{}", usize::from(part == "norm"), torch_name(field))
        }
        ["stages", stage, "downsampling", part, field] => {
            let place = usize::from(part == "projection");
            format!("stages.{stage}.downsample.{place}.{}", torch_name(field))
        }
        ["stages", stage, "layers", layer, "scale"] => {
            format!("stages.{stage}.blocks.{layer}.gamma")
        }
        ["stages", stage, "layers", layer, part, field] => {
            let part = match part {
                "depthwise" => "conv_dw",
                "wide" => "mlp.fc1",
                "response" => "mlp.grn",
                "narrow" => "mlp.fc2",
                other => other,
            };
            format!("stages.{stage}.blocks.{layer}.{part}.{}", torch_name(field))
        }
        ["norm", field] => format!("head.norm.{}", torch_name(field)),
        _ => path.to_string(),
    }
}

// -------------------------------------------------------------------------------------------------------------- row

/// The row of ConvNeXt by timm's names in the registry.
pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "ConvNeXt of timm",
    model_types: &[],
    modality: Modality::Images,
    variants: VARIANTS,
    naming: NAMING,
    heads: &[LibraryHead {
        kind: HeadKind::Pooled,
        block: "head.fc",
        layers: &[("linear", "head.fc")],
        library: Library::Timm,
        classes: &[],
    }],
    build: |source| {
        source.folder.refuse_model_args()?;
        let architecture = source.folder.word("architecture").unwrap_or_default();
        let config = ConvNextConfig::of(architecture);
        Ok(Built {
            initializer_range: SPREAD,
            ..Built::new(ConvNext::new(config, source.device))
        })
    },
    initial,
    recognise: |shapes| {
        let outline =
            |variant: &Variant| ConvNext::new(ConvNextConfig::of(variant.name), &Device::flex());
        naming::recognise(VARIANTS, outline, &NAMING, shapes)
    },
};

/// The standard deviation of new weights.
const SPREAD: f64 = 0.02;

/// timm's `_init_weights` in `models/convnext.py`.
#[expect(clippy::unnecessary_wraps, reason = "it is one of a table's functions")]
fn initial(_: &ModelFolder) -> Result<Rule> {
    Ok(Box::new(move |name, shape| match shape {
        [_] if is_bias(name) || name.contains(".grn.") => Initial::Zeros,
        [_] if name.rsplit('.').next() == Some("gamma") => Initial::Constant(1e-6),
        [_] => Initial::Ones,
        _ => Initial::Truncated(SPREAD),
    }))
}
