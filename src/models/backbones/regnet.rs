//! RegNets (Radosavovic et al., arXiv:2003.13678): RegNetX, and RegNetY with squeeze-and-excitation. Names and numbers are those of
//! Hugging Face's `RegNetForImageClassification`.
//!
//! It reads top to bottom: config, blocks, forward, weight names.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::Deserialize;

use super::convolution::{ConvNorm, ConvNormConfig, Flow, fan_out, global_mean, torch_name};
use super::excitation::{Excitation, ExcitationConfig, Gate};
use super::stages;
use super::transformer::{self, Act, wrong};
use crate::error::Result;
use crate::models::architecture::{Architecture, Blocks, Built, LibraryHead};
use crate::models::cpu::convolution::Activation;
use crate::models::export::Library;
use crate::models::folder::ModelFolder;
use crate::models::heads::HeadKind;
use crate::models::initial::{Initial, Rule, is_bias};
use crate::models::naming::{Naming, is_count};
use crate::models::weights::Shapes;
use crate::models::{Activations, Modality};

// ------------------------------------------------------------------------------------------------------------ config

/// The part of `config.json` that decides what the network is.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
struct RegNetConfig {
    num_channels: usize,
    embedding_size: usize,
    hidden_sizes: Vec<usize>,
    depths: Vec<usize>,
    groups_width: usize,
    layer_type: Kind,
    hidden_act: Act,
    downsample_in_first_stage: bool,
}

/// Whether layers have squeeze-and-excitation.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    X,
    Y,
}

impl Default for RegNetConfig {
    /// transformers' `RegNetConfig`.
    fn default() -> Self {
        Self {
            num_channels: 3,
            embedding_size: 32,
            hidden_sizes: vec![128, 192, 512, 1088],
            depths: vec![2, 6, 12, 2],
            groups_width: 64,
            layer_type: Kind::Y,
            hidden_act: Act::Relu,
            downsample_in_first_stage: true,
        }
    }
}

impl RegNetConfig {
    /// Checks what the types cannot say.
    fn check(&self) -> Result<()> {
        transformer::check_colours(self.num_channels)?;
        stages::check_stages("hidden_sizes", &self.hidden_sizes, "depths", &self.depths)?;
        let sizes = [
            ("embedding_size", self.embedding_size),
            ("groups_width", self.groups_width),
        ];
        transformer::check_sizes(&sizes)?;
        transformer::check_widths(&sizes)?;
        let uneven = |size: &&usize| !size.is_multiple_of(self.groups(**size));
        if let Some(size) = self.hidden_sizes.iter().find(uneven) {
            return wrong(&format!(
                "`hidden_sizes` has {size}, which does not fall into {} groups of `groups_width` {}",
                self.groups(*size),
                self.groups_width
            ));
        }
        if self.layer_type == Kind::Y && self.inputs().any(|inputs| narrow(inputs) == 0) {
            return wrong(
                "`embedding_size` or `hidden_sizes` has a size of which no quarter is left",
            );
        }
        Ok(())
    }

    /// Groups of the 3×3 convolution of a layer of `size` channels.
    fn groups(&self, size: usize) -> usize {
        (size / self.groups_width.max(1)).max(1)
    }

    /// Channels that come into each stage, and into each layer after the first of one.
    fn inputs(&self) -> impl Iterator<Item = usize> {
        std::iter::once(self.embedding_size).chain(self.hidden_sizes.iter().copied())
    }
}

/// A quarter of the channels that come into a layer, rounded to the nearest number, and halves to the even one.
fn narrow(inputs: usize) -> usize {
    let (quarter, rest) = (inputs / 4, inputs % 4);
    match rest {
        0 | 1 => quarter,
        2 => quarter + quarter % 2,
        _ => quarter + 1,
    }
}

// ------------------------------------------------------------------------------------------------------------ blocks

/// The network below the head.
#[derive(Module, Debug)]
pub(in crate::models) struct RegNet {
    stem: ConvNorm,
    stages: Vec<Vec<Layer>>,
    #[module(skip)]
    config: RegNetConfig,
}

/// Convolutions, and a shortcut around them.
#[derive(Module, Debug)]
struct Layer {
    parts: Vec<Part>,
    shortcut: Option<ConvNorm>,
    #[module(skip)]
    act: Act,
}

#[derive(Module, Debug)]
enum Part {
    /// With the layers' function behind it.
    Activated(ConvNorm),
    Excitation(Excitation),
    Plain(ConvNorm),
}

impl RegNet {
    /// The network with nothing in its weights yet.
    fn new(config: RegNetConfig, device: &Device) -> Self {
        let stem = ConvNormConfig {
            kernel: 3,
            stride: 2,
            activation: in_one_pass(config.hidden_act),
            ..ConvNormConfig::new(3, config.embedding_size)
        };
        let mut inputs = config.embedding_size;
        let mut stages = Vec::new();
        for (stage, (outputs, depth)) in config.hidden_sizes.iter().zip(&config.depths).enumerate()
        {
            let halves = stage > 0 || config.downsample_in_first_stage;
            let layers = (0..*depth).map(|index| {
                let stride = if halves && index == 0 { 2 } else { 1 };
                let layer = Layer::new(&config, inputs, *outputs, stride, device);
                inputs = *outputs;
                layer
            });
            stages.push(layers.collect());
        }
        Self {
            stem: stem.init(device),
            stages,
            config,
        }
    }
}

impl Layer {
    fn new(
        config: &RegNetConfig,
        inputs: usize,
        outputs: usize,
        stride: usize,
        device: &Device,
    ) -> Self {
        let layer = |inputs| ConvNormConfig {
            activation: in_one_pass(config.hidden_act),
            ..ConvNormConfig::new(inputs, outputs)
        };
        let grouped = ConvNormConfig {
            kernel: 3,
            stride,
            groups: config.groups(outputs),
            ..layer(outputs)
        };
        let plain = |inputs, stride| ConvNormConfig {
            stride,
            activation: Activation::Identity,
            ..ConvNormConfig::new(inputs, outputs)
        };
        let excitation = (config.layer_type == Kind::Y).then_some(ExcitationConfig {
            narrow: narrow(inputs),
            act: Act::Relu,
            gate: Gate::Sigmoid,
        });
        let mut parts = vec![
            Part::Activated(layer(inputs).init(device)),
            Part::Activated(grouped.init(device)),
        ];
        parts.extend(excitation.map(|config| Part::Excitation(config.init(outputs, device))));
        parts.push(Part::Plain(plain(outputs, 1).init(device)));
        Self {
            parts,
            shortcut: (stride != 1 || inputs != outputs)
                .then(|| plain(inputs, stride).init(device)),
            act: config.hidden_act,
        }
    }
}

/// What of `act` is done in one pass with a convolution; [`after`] does the rest.
fn in_one_pass(act: Act) -> Activation {
    match act {
        Act::Relu => Activation::Relu,
        _ => Activation::Identity,
    }
}

/// What is left to do of `act`.
fn after(act: Act, x: Tensor<4>) -> Tensor<4> {
    match act {
        Act::Relu => x,
        act => act.apply(x),
    }
}

// ----------------------------------------------------------------------------------------------------------- forward

impl Layer {
    /// `[batch, inputs, height, width]` → `[batch, outputs, height / stride, width / stride]`.
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let shortcut = match &self.shortcut {
            Some(shortcut) => shortcut.forward(x.clone()),
            None => x.clone(),
        };
        let made = self.parts.iter().fold(Flow::from(x), |x, part| match part {
            Part::Activated(layer) if matches!(self.act, Act::Relu) => layer.flow(x),
            Part::Activated(layer) => self.act.apply(layer.flow(x).settle()).into(),
            Part::Excitation(excitation) => excitation.forward(x.settle()).into(),
            Part::Plain(layer) => layer.flow(x),
        });
        self.act.after_sum(made, shortcut)
    }
}

impl Blocks for RegNet {
    /// `embedder`, `encoder.stages.0.layers.0` ….
    fn blocks(&self) -> Vec<String> {
        let layers = self.stages.iter().enumerate().flat_map(|(stage, layers)| {
            (0..layers.len()).map(move |index| format!("encoder.stages.{stage}.layers.{index}"))
        });
        std::iter::once("embedder".into()).chain(layers).collect()
    }

    /// The last layer ends with the mean over the map.
    fn forward(&self, block: usize, x: Activations) -> Activations {
        let layers: usize = self.config.depths.iter().sum();
        match (block, x) {
            (0, Activations::Images(x)) => {
                Activations::Map(after(self.config.hidden_act, self.stem.forward(x)))
            }
            (block, Activations::Map(x)) if (1..=layers).contains(&block) => {
                let mut all = self.stages.iter().flatten();
                match all.nth(block - 1).map(|layer| layer.forward(x)) {
                    Some(x) if block == layers => Activations::Pooled(global_mean(x)),
                    Some(x) => Activations::Map(x),
                    None => unreachable!("the stages have {layers} layers"),
                }
            }
            (block, x) => panic!("block {block} of a RegNet cannot take {x:?}"),
        }
    }

    fn width(&self) -> usize {
        self.config.hidden_sizes[self.config.hidden_sizes.len() - 1]
    }

    fn signature(&self) -> String {
        let RegNetConfig {
            groups_width,
            layer_type,
            hidden_act,
            downsample_in_first_stage,
            ..
        } = &self.config;
        format!(
            "RegNet{layer_type:?}, groups of {groups_width}, {hidden_act:?}, first stage halves: {downsample_in_first_stage}"
        )
    }

    fn base(&self) -> &'static str {
        "regnet"
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
        "conv" => "convolution",
        "norm" => "normalization",
        "reduce" => "attention.0",
        _ => "attention.2",
    };
    match parts[..] {
        ["stem", part, field] => {
            format!("embedder.embedder.{}.{}", part_of(part), torch_name(field))
        }
        ["stages", stage, layer, "shortcut", part, field] => {
            let (part, field) = (part_of(part), torch_name(field));
            format!("encoder.stages.{stage}.layers.{layer}.shortcut.{part}.{field}")
        }
        ["stages", stage, layer, "parts", index, part, field] => {
            let (part, field) = (part_of(part), torch_name(field));
            format!("encoder.stages.{stage}.layers.{layer}.layer.{index}.{part}.{field}")
        }
        _ => path.to_string(),
    }
}

/// A name in a checkpoint → the form of [`parameter_name`].
fn checkpoint_name(name: &str) -> String {
    name.strip_prefix("regnet.").unwrap_or(name).to_string()
}

// -------------------------------------------------------------------------------------------------------------- row

/// RegNet's row in the registry.
pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "RegNet",
    model_types: &["regnet"],
    modality: Modality::Images,
    variants: &[],
    naming: NAMING,
    heads: &[LibraryHead {
        kind: HeadKind::Pooled,
        block: "classifier",
        layers: &[("linear", "classifier.1")],
        library: Library::Transformers("AutoModelForImageClassification"),
        classes: &[("regnet", "RegNetForImageClassification")],
    }],
    build: |source| {
        let config: RegNetConfig = source.folder.config_as()?;
        config.check()?;
        let layers = stages::sum(&config.depths);
        source.checkpoint.refuse_layers("depths", layers)?;
        stages::check_total("hidden_sizes", layers, &config.hidden_sizes)?;
        Ok(Built::new(RegNet::new(config, source.device)))
    },
    initial,
    recognise,
};

/// As transformers draws them: `RegNetPreTrainedModel._init_weights`, which leaves the biases of squeeze-and-excitation as PyTorch's
/// convolutions begin with them: by how many numbers come in.
fn initial(folder: &ModelFolder) -> Result<Rule> {
    let config: RegNetConfig = folder.config_as()?;
    let inputs: Vec<usize> = config.inputs().collect();
    Ok(Box::new(move |name, shape| match shape {
        [_] if name.contains(".attention.") => {
            let parts: Vec<&str> = name.split('.').collect();
            let number = |place: usize| parts.get(place)?.parse::<usize>().ok();
            let (stage, layer) = (number(2).unwrap_or(0), number(4).unwrap_or(0));
            let outputs = inputs.get(stage + 1).copied().unwrap_or(1);
            let fan_in = if name.ends_with("attention.0.bias") {
                outputs
            } else if layer == 0 {
                narrow(inputs[stage])
            } else {
                narrow(outputs)
            };
            Initial::linear_bias(fan_in)
        }
        [_] if is_bias(name) => Initial::Zeros,
        [_] => Initial::Ones,
        shape => fan_out(shape),
    }))
}

/// Whether weights are those of a RegNet with transformers' names: those of ResNets are the same but for the size of the first kernel.
fn recognise(shapes: &Shapes<'_>) -> Option<&'static str> {
    let stem = "embedder.embedder.convolution.weight";
    let stem = shapes.iter().find(|(name, _)| name.ends_with(stem));
    let is_one = stem.is_some_and(|(_, shape)| shape.last() == Some(&3));
    is_one.then_some(ARCHITECTURE.name)
}
