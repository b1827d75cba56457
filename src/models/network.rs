//! A network as a row of named blocks, whatever its architecture.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use burn::module::{Module, ParamGroup, ParamId};
use burn::tensor::{Device, TensorData};

use super::architecture::{Blocks, architecture, recognise};
use super::bert::Bert;
use super::efficientnet::EfficientNetLite;
use super::export::Library;
use super::folder::ModelFolder;
use super::mobilenet::MobileNetV2;
use super::resnet::ResNet;
use super::resnet_cifar::CifarResNet;
use super::vit::Vit;
use super::weights::{self, Reading, Target};
use super::{Activations, Anatomy, Card, FreezePlan, Head, Modality, Resolved};
use crate::error::{Error, Result};

/// A network of any architecture.
///
/// It is loaded on a plain device. `Module::train` gives a copy on the autodiff device, where dropout is active;
/// `Module::valid` gives back a plain one.
#[derive(Module, Debug)]
pub enum Network {
    /// BERT and its descendants.
    Bert(Bert),
    /// MobileNetV2.
    MobileNetV2(MobileNetV2),
    /// EfficientNet-Lite0.
    EfficientNetLite(EfficientNetLite),
    /// ResNet-18, -34 and -50.
    ResNet(ResNet),
    /// The ResNets for CIFAR-10.
    CifarResNet(CifarResNet),
    /// ViT and DeiT.
    Vit(Vit),
}

/// One parameter of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name without the base model's: `encoder.layer.0.attention.self.query.weight`, `classifier.bias`.
    pub name: String,
    /// Its name in Hugging Face's class for the task: `bert.encoder.layer.0.attention.self.query.weight`.
    pub full_name: String,
    /// Its sizes, as in the checkpoint.
    pub shape: Vec<usize>,
    /// The block that it belongs to.
    pub block: usize,
    /// Whether it belongs to the head that the task adds.
    pub head: bool,
    /// Whether the forward pass uses it: a checkpoint's pooler is kept, but mean pooling goes past it.
    pub used: bool,
    /// Burn's name for it.
    pub id: ParamId,
}

impl Parameter {
    /// How many numbers it holds.
    #[must_use]
    pub fn size(&self) -> usize {
        self.shape.iter().product()
    }
}

/// A loaded network, and the account of its checkpoint.
#[derive(Debug)]
pub struct Loaded {
    /// The network.
    pub network: Network,
    /// What it takes.
    pub modality: Modality,
    /// What `refire.json` says.
    pub card: Card,
    /// Tensors of the network that the checkpoint did not have, so that they are new: the head's, or none.
    pub missing: Vec<String>,
    /// Tensors of the checkpoint that the network has no place for, such as the heads of other tasks.
    pub unused: Vec<String>,
    /// What loading decided that neither the caller nor refire.json said, as sentences for the user.
    pub choices: Vec<String>,
    /// The checkpoint's file.
    pub file: PathBuf,
}

impl Network {
    /// Loads the model in `folder` and puts `head` on it. A head that the checkpoint already has is kept if its labels
    /// are the same, in the same order; for other labels a new one is drawn from the head's seed.
    ///
    /// # Errors
    /// A folder that is not a model that refire knows, a damaged checkpoint, missing tensors, wrong shapes, a setting
    /// that does not suit the architecture, a head for the same labels in another order.
    pub fn load(folder: &Path, head: &Head, device: &Device) -> Result<Loaded> {
        read(ModelFolder::open(folder)?, head, Reading::Values, device)
    }

    /// Loads a tuned model from `folder`, with its own head.
    ///
    /// # Errors
    /// As [`load`](Self::load); also a model without labels or without a classifier.
    pub fn open(folder: &Path, device: &Device) -> Result<Loaded> {
        let folder = ModelFolder::open(folder)?;
        let head = own_head(&folder)?;
        let untuned = Error::stage(format!(
            "the model in `{}` has no classifier yet",
            folder.path.display()
        ))
        .help("tune it first: a stage of kind `finetune`");
        if head.labels.is_empty() {
            return Err(untuned);
        }
        let mut loaded = read(folder, &head, Reading::Values, device)?;
        if !loaded.missing.is_empty() {
            return Err(untuned);
        }
        loaded.card.problem = head.problem;
        loaded.card.labels = head.labels;
        Ok(loaded)
    }

    /// The network in `folder` without the values of its weights, for looking at its blocks and parameters. Its head is
    /// the one that it has, or one without labels.
    ///
    /// # Errors
    /// As [`load`](Self::load), except for what only reading the values would show.
    pub fn outline(folder: &Path) -> Result<Loaded> {
        let folder = ModelFolder::open(folder)?;
        let head = own_head(&folder)?;
        read(folder, &head, Reading::Headers, &Device::flex())
    }

    fn architecture(&self) -> &dyn Blocks {
        match self {
            Self::Bert(network) => network,
            Self::MobileNetV2(network) => network,
            Self::EfficientNetLite(network) => network,
            Self::ResNet(network) => network,
            Self::CifarResNet(network) => network,
            Self::Vit(network) => network,
        }
    }

    /// The names of its blocks, in order: `embeddings`, `encoder.layer.0`, …, `pooler`, `classifier`.
    #[must_use]
    pub fn blocks(&self) -> Vec<String> {
        self.architecture().blocks()
    }

    /// Its parameters in the order of their blocks.
    #[must_use]
    pub fn parameters(&self) -> Vec<Parameter> {
        self.architecture().parameters()
    }

    /// What a freeze plan is applied to.
    #[must_use]
    pub fn anatomy(&self) -> Anatomy {
        let parameters = self.parameters();
        let norms = weights::norms(self).into_iter();
        let of_norms: BTreeSet<ParamId> = norms.flat_map(|norm| [norm.weight, norm.bias]).collect();
        let batch_norms = (0..parameters.len())
            .filter(|index| of_norms.contains(&parameters[*index].id))
            .collect();
        Anatomy {
            blocks: self.blocks(),
            parameters,
            batch_norms,
        }
    }

    /// Applies a freeze plan to its parameters.
    ///
    /// # Errors
    /// As [`FreezePlan::resolve`].
    pub fn resolve(&self, plan: &FreezePlan) -> Result<Resolved> {
        plan.resolve(&self.anatomy())
    }

    /// The running statistics of its batch normalisations: no parameters, but numbers that its blocks depend on.
    #[must_use]
    pub fn statistics(&self) -> Vec<Parameter> {
        let parameters = self.parameters();
        let mut statistics = Vec::new();
        for norm in weights::norms(self) {
            let Some(weight) = parameters.iter().find(|known| known.id == norm.weight) else {
                continue;
            };
            let renamed = |name: &str, to: &str| {
                format!("{}{to}", name.strip_suffix("weight").unwrap_or(name))
            };
            statistics.extend(norm.statistics.into_iter().map(|(field, id)| Parameter {
                name: renamed(&weight.name, field),
                full_name: renamed(&weight.full_name, field),
                id,
                ..weight.clone()
            }));
        }
        statistics
    }

    /// The network with gradients turned off for what `resolved` freezes, and on for the rest. Batch normalisations in blocks that are
    /// frozen as a whole keep their running statistics, and normalise with them.
    #[must_use]
    pub fn freeze(self, resolved: &Resolved) -> Self {
        let parameters = self.parameters();
        let (frozen, trained): (Vec<_>, Vec<_>) = parameters
            .iter()
            .zip(&resolved.frozen)
            .partition(|(_, frozen)| **frozen);
        let (moving, still): (Vec<_>, Vec<_>) = weights::norms(&self)
            .into_iter()
            .filter_map(|norm| {
                let weight = parameters.iter().find(|known| known.id == norm.weight)?;
                Some((norm.training, weight.block))
            })
            .partition(|(_, block)| resolved.trains(*block, &parameters));
        let group = |ids: Vec<(ParamId, usize)>| {
            ParamGroup::from_ids(ids.into_iter().map(|(id, _)| id).collect())
        };
        let ids = |parameters: &[(&Parameter, &bool)]| {
            ParamGroup::from_ids(
                parameters
                    .iter()
                    .map(|(parameter, _)| parameter.id)
                    .collect(),
            )
        };
        self.set_require_grad_group(ids(&frozen), false)
            .set_require_grad_group(ids(&trained), true)
            .freeze_group(group(still))
            .unfreeze_group(group(moving))
    }

    /// All its numbers, running statistics too: path → values.
    #[must_use]
    pub fn numbers(&self) -> BTreeMap<String, TensorData> {
        weights::numbers(self)
    }

    /// The network with `numbers`, as [`numbers`](Self::numbers) gives them, in place of its own; what they leave out stays. None if
    /// they are not of such a network.
    #[must_use]
    pub fn with_numbers(self, numbers: BTreeMap<String, TensorData>) -> Option<Self> {
        weights::with_numbers(self, numbers)
    }

    /// Runs the blocks `blocks` on the activations that the block before them gives.
    ///
    /// # Panics
    /// If the activations are not of the kind that the first block takes.
    #[must_use]
    pub fn forward(&self, blocks: Range<usize>, x: Activations) -> Activations {
        let network = self.architecture();
        blocks.fold(x, |x, block| network.forward(block, x))
    }

    /// What loads it in Python.
    pub(super) fn library(&self) -> Library {
        self.architecture().library()
    }

    /// Everything but its weights that decides what its blocks compute, in words.
    #[must_use]
    pub fn signature(&self) -> String {
        self.architecture().signature()
    }

    /// The most tokens that a text may have; none for networks without such a limit.
    #[must_use]
    pub fn max_tokens(&self) -> Option<usize> {
        self.architecture().max_tokens()
    }

    /// How many different token ids it knows; none for networks that take no tokens.
    #[must_use]
    pub fn vocabulary(&self) -> Option<usize> {
        self.architecture().vocabulary()
    }

    /// The only height and width that its images may have, in pixels; none for networks that take any.
    #[must_use]
    pub fn image_size(&self) -> Option<usize> {
        self.architecture().image_size()
    }

    /// Writes `config.json`, `model.safetensors` and `refire.json` into `folder`. The same weights and card give the
    /// same bytes; what `transformers`, `timm` or torchvision need to load it is there.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn save(&self, folder: &Path, card: &Card) -> Result<()> {
        self.save_to(Target { folder, base: None }, card)
    }

    /// The same for a network that was made from the model in the folder `base`: its files of weights that hold nothing but what is the
    /// same as there are used again, and what else is the same has a file of its own, so that it need not be stored anew.
    ///
    /// # Errors
    /// Those of the disk; a base that cannot be read.
    pub fn save_beside(&self, base: &Path, folder: &Path, card: &Card) -> Result<()> {
        let base = Some(base);
        self.save_to(Target { folder, base }, card)
    }

    fn save_to(&self, to: Target<'_>, card: &Card) -> Result<()> {
        let mut card = card.clone();
        self.architecture().save(to, &mut card)?;
        card.write(to.folder)
    }
}

/// The head that the model in `folder` has.
fn own_head(folder: &ModelFolder) -> Result<Head> {
    Ok(Head {
        modality: architecture(folder)?.modality,
        problem: folder.problem()?,
        labels: folder.labels()?,
        pooling: None,
        dropout: None,
        seed: 0,
    })
}

fn read(folder: ModelFolder, head: &Head, reading: Reading, device: &Device) -> Result<Loaded> {
    let architecture = architecture(&folder)?;
    if architecture.modality != head.modality {
        return Err(Error::stage(format!(
            "the model in `{}` is a {}, which takes {}, not {}",
            folder.path.display(),
            architecture.name,
            architecture.modality.name(),
            head.modality.name(),
        )));
    }
    let loaded = (architecture.load)(&folder, head, reading, device);
    let (network, account) = loaded.map_err(|error| match recognise(&folder) {
        Some(name)
            if ![folder.word("architecture"), Some(architecture.name)].contains(&Some(name)) =>
        {
            error.note(format!("these weights look like {name}"))
        }
        _ => error,
    })?;
    Ok(Loaded {
        modality: architecture.modality,
        network,
        card: folder.card,
        missing: account.missing,
        unused: account.unused,
        choices: account.choices,
        file: account.file,
    })
}
