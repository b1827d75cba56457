//! ResNets as transformers describes and names them: `ResNetForImageClassification`. The blocks are those of
//! [`resnet`](super::resnet).

use serde::Deserialize;

use super::convolution::{fan_out, torch_name};
use super::resnet::{Kind, Names, ResNet, ResNetConfig};
use super::stages;
use super::transformer::{self, Act, wrong};
use crate::error::Result;
use crate::models::Modality;
use crate::models::architecture::{Architecture, Built, LibraryHead};
use crate::models::export::Library;
use crate::models::heads::HeadKind;
use crate::models::initial;
use crate::models::naming::{Naming, is_count};
use crate::models::weights::Shapes;

// ------------------------------------------------------------------------------------------------------------ config

/// The part of `config.json` that decides what the network is.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
struct Written {
    num_channels: usize,
    embedding_size: usize,
    hidden_sizes: Vec<usize>,
    depths: Vec<usize>,
    layer_type: LayerType,
    hidden_act: Act,
    downsample_in_first_stage: bool,
    downsample_in_bottleneck: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LayerType {
    Basic,
    Bottleneck,
}

impl Default for Written {
    /// transformers' `ResNetConfig`.
    fn default() -> Self {
        Self {
            num_channels: 3,
            embedding_size: 64,
            hidden_sizes: vec![256, 512, 1024, 2048],
            depths: vec![3, 4, 6, 3],
            layer_type: LayerType::Bottleneck,
            hidden_act: Act::Relu,
            downsample_in_first_stage: false,
            downsample_in_bottleneck: false,
        }
    }
}

/// How many times narrower a bottleneck is than what it gives.
const REDUCTION: usize = 4;

impl Written {
    /// The network, if there is such a one.
    fn resolved(self) -> Result<ResNetConfig> {
        transformer::check_colours(self.num_channels)?;
        stages::check_stages("hidden_sizes", &self.hidden_sizes, "depths", &self.depths)?;
        transformer::check_sizes(&[("embedding_size", self.embedding_size)])?;
        transformer::check_widths(&[("embedding_size", self.embedding_size)])?;
        let kind = match self.layer_type {
            LayerType::Basic => Kind::Basic,
            LayerType::Bottleneck => Kind::Bottleneck {
                expansion: REDUCTION,
                groups: 1,
                stride_first: self.downsample_in_bottleneck,
            },
        };
        if kind != Kind::Basic && self.hidden_sizes.iter().any(|size| *size < REDUCTION) {
            return wrong(
                "`hidden_sizes` has a size below 4, of which a bottleneck takes a quarter",
            );
        }
        Ok(ResNetConfig {
            names: Names::Transformers,
            stem: self.embedding_size,
            outputs: self.hidden_sizes,
            depths: self.depths,
            kind,
            first_stride: if self.downsample_in_first_stage { 2 } else { 1 },
            act: self.hidden_act,
        })
    }
}

// ------------------------------------------------------------------------------------------------------ weight names

const NAMING: Naming = Naming {
    parameter: parameter_name,
    checkpoint: |name, _| checkpoint_name(name),
    constant: is_count,
    spare: |_| false,
    beside: &[],
};

/// A module's path → its Hugging Face name without the base model's.
fn parameter_name(path: &str) -> String {
    let parts: Vec<&str> = path.split('.').collect();
    let part_of = |part: &str| match part {
        "norm" => "normalization",
        _ => "convolution",
    };
    match parts[..] {
        ["stem", part, field] => {
            format!("embedder.embedder.{}.{}", part_of(part), torch_name(field))
        }
        ["layers", stage, layer, "downsample", part, field] => {
            let (part, field) = (part_of(part), torch_name(field));
            format!("encoder.stages.{stage}.layers.{layer}.shortcut.{part}.{field}")
        }
        ["layers", stage, layer, "convolutions", index, part, field] => {
            let (part, field) = (part_of(part), torch_name(field));
            format!("encoder.stages.{stage}.layers.{layer}.layer.{index}.{part}.{field}")
        }
        _ => path.to_string(),
    }
}

/// A name in a checkpoint → the form of [`parameter_name`].
fn checkpoint_name(name: &str) -> String {
    name.strip_prefix("resnet.").unwrap_or(name).to_string()
}

// -------------------------------------------------------------------------------------------------------------- row

/// The row of transformers' ResNets in the registry.
pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "ResNet of transformers",
    model_types: &["resnet"],
    modality: Modality::Images,
    variants: &[],
    naming: NAMING,
    heads: &[LibraryHead {
        kind: HeadKind::Pooled,
        block: "classifier",
        layers: &[("linear", "classifier.1")],
        library: Library::Transformers("AutoModelForImageClassification"),
        classes: &[("resnet", "ResNetForImageClassification")],
    }],
    build: |source| {
        let written: Written = source.folder.config_as()?;
        let config = written.resolved()?;
        let layers = stages::sum(&config.depths);
        source.checkpoint.refuse_layers("depths", layers)?;
        stages::check_total("hidden_sizes", layers, &config.outputs)?;
        Ok(Built::new(ResNet::new(config, source.device)))
    },
    // `ResNetPreTrainedModel._init_weights`.
    initial: |_| Ok(initial::convolutions(fan_out)),
    recognise,
};

/// Whether weights are those of a ResNet with transformers' names: those of RegNets are the same but for the size of the first kernel.
fn recognise(shapes: &Shapes<'_>) -> Option<&'static str> {
    let stem = "embedder.embedder.convolution.weight";
    let stem = shapes.iter().find(|(name, _)| name.ends_with(stem));
    let is_one = stem.is_some_and(|(_, shape)| shape.last() == Some(&7));
    is_one.then_some(ARCHITECTURE.name)
}
