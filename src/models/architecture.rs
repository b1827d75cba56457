//! The architectures: what each has to give, and how to find the right one.

use burn::tensor::Device;

use super::bert::{self, Bert};
use super::efficientnet::{self, EfficientNetLite};
use super::export::Library;
use super::folder::ModelFolder;
use super::image_input::Variant;
use super::mobilenet::{self, MobileNetV2};
use super::resnet::{self, ResNet};
use super::resnet_cifar::{self, CifarResNet};
use super::vit::{self, Vit};
use super::weights::{Account, Checkpoint, Reading, Shapes, Target};
use super::{Activations, Card, Head, Modality, Network, Parameter};
use crate::error::{Error, Result};

/// A kind of network, and how to recognise and load it.
#[derive(Debug)]
pub struct Architecture {
    /// Its name.
    pub name: &'static str,
    /// The values of `model_type` in `config.json` that Hugging Face writes for it.
    pub model_types: &'static [&'static str],
    /// What it takes.
    pub modality: Modality,
    /// Its public checkpoints, each a value of `architecture` in `config.json`.
    pub(super) variants: &'static [Variant],
    pub(super) load: Load,
    /// The name under which weights with these names and shapes are known, if they are those of this architecture.
    recognise: fn(&Shapes<'_>) -> Option<&'static str>,
}

/// Builds a network, and fills it with a checkpoint.
type Load = fn(&ModelFolder, &Head, Reading, &Device) -> Result<(Network, Account)>;

/// Every architecture.
pub const ARCHITECTURES: &[Architecture] = &[
    Architecture {
        name: "BERT",
        model_types: &["bert", "refire-bert"],
        modality: Modality::Texts,
        variants: &[],
        load: |folder, head, reading, device| {
            Bert::load(folder, head, reading, device)
                .map(|(network, account)| (Network::Bert(network), account))
        },
        recognise: bert::recognise,
    },
    Architecture {
        name: "MobileNetV2",
        model_types: &[],
        modality: Modality::Images,
        variants: mobilenet::VARIANTS,
        load: |folder, head, reading, device| {
            MobileNetV2::load(folder, head, reading, device)
                .map(|(network, account)| (Network::MobileNetV2(network), account))
        },
        recognise: mobilenet::recognise,
    },
    Architecture {
        name: "EfficientNet-Lite",
        model_types: &[],
        modality: Modality::Images,
        variants: efficientnet::VARIANTS,
        load: |folder, head, reading, device| {
            EfficientNetLite::load(folder, head, reading, device)
                .map(|(network, account)| (Network::EfficientNetLite(network), account))
        },
        recognise: efficientnet::recognise,
    },
    Architecture {
        name: "ResNet",
        model_types: &[],
        modality: Modality::Images,
        variants: resnet::VARIANTS,
        load: |folder, head, reading, device| {
            ResNet::load(folder, head, reading, device)
                .map(|(network, account)| (Network::ResNet(network), account))
        },
        recognise: resnet::recognise,
    },
    Architecture {
        name: "ResNet for CIFAR",
        model_types: &[],
        modality: Modality::Images,
        variants: resnet_cifar::VARIANTS,
        load: |folder, head, reading, device| {
            CifarResNet::load(folder, head, reading, device)
                .map(|(network, account)| (Network::CifarResNet(network), account))
        },
        recognise: resnet_cifar::recognise,
    },
    Architecture {
        name: "Vision Transformer",
        model_types: &["vit", "deit"],
        modality: Modality::Images,
        variants: &[],
        load: |folder, head, reading, device| {
            Vit::load(folder, head, reading, device)
                .map(|(network, account)| (Network::Vit(network), account))
        },
        recognise: vit::recognise,
    },
];

/// What the file of an architecture gives; [`Network`] passes its calls on to it.
pub(super) trait Blocks {
    /// The names of the blocks, in order.
    fn blocks(&self) -> Vec<String>;

    /// Runs one block.
    fn forward(&self, block: usize, x: Activations) -> Activations;

    /// Its parameters in the order of their blocks.
    fn parameters(&self) -> Vec<Parameter>;

    /// Everything but its weights that decides what its blocks compute, in words.
    fn signature(&self) -> String;

    /// What loads it in Python.
    fn library(&self) -> Library;

    /// Writes `config.json` and the weights, and adds to the card what else is needed to load them.
    fn save(&self, to: Target<'_>, card: &mut Card) -> Result<()>;

    /// The most tokens that a text may have.
    fn max_tokens(&self) -> Option<usize> {
        None
    }

    /// How many different token ids it knows.
    fn vocabulary(&self) -> Option<usize> {
        None
    }

    /// The only height and width that it takes.
    fn image_size(&self) -> Option<usize> {
        None
    }
}

/// The architecture that `config.json` names.
pub(super) fn architecture(folder: &ModelFolder) -> Result<&'static Architecture> {
    let model_type = folder.word("model_type");
    let name = folder.word("architecture");
    let found = ARCHITECTURES.iter().find(|known| {
        known
            .variants
            .iter()
            .any(|variant| name == Some(variant.name))
            || model_type.is_some_and(|model_type| known.model_types.contains(&model_type))
    });
    found.ok_or_else(|| {
        let known = ARCHITECTURES.iter();
        let model_types: Vec<&str> = known.flat_map(|known| known.model_types).copied().collect();
        let architectures: Vec<&str> = super::architectures().collect();
        Error::stage(format!(
            "`{}` names {}, which refire does not know",
            folder.path.join("config.json").display(),
            match (name, model_type) {
                (Some(name), _) => format!("the architecture `{name}`"),
                (None, Some(model_type)) => format!("the model type `{model_type}`"),
                (None, None) => "no `model_type` and no `architecture`".into(),
            }
        ))
        .note(format!("known model types: {}", model_types.join(", ")))
        .note(format!("known architectures: {}", architectures.join(", ")))
    })
}

/// What the weights in `folder` look like.
pub(super) fn recognise(folder: &ModelFolder) -> Option<&'static str> {
    let checkpoint = Checkpoint::open(&folder.path, str::to_string).ok()?;
    let shapes = checkpoint.shapes();
    ARCHITECTURES
        .iter()
        .find_map(|known| (known.recognise)(&shapes))
}
