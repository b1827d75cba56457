//! Networks out of a model's folder: the backbone that it describes, filled with its checkpoint, and a head.

use std::path::{Path, PathBuf};

use burn::tensor::Device;

use super::Network;
use crate::error::{Error, Result};
use crate::models::architecture::{Architecture, Built, Source, architecture, recognise};
use crate::models::export::OwnLayers;
use crate::models::folder::ModelFolder;
use crate::models::heads::{HeadConfig, PredictionHead};
use crate::models::naming::Names;
use crate::models::own_head::OwnHead;
use crate::models::weights::{Account, Checkpoint, Reading};
use crate::models::{Card, Head, Modality, Problem, adapters};

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

impl Loaded {
    /// How many of its weights trained when it was tuned; 0 if it was not.
    ///
    /// # Errors
    /// A card whose plan of what was frozen does not fit the network.
    pub fn trained_weights(&self) -> Result<usize> {
        let Some(training) = &self.card.training else {
            return Ok(0);
        };
        let anatomy = self.network.anatomy();
        let plan = training.freeze.clone().unwrap_or_default();
        let frozen = plan.resolve(&anatomy)?.frozen;
        let trained = anatomy.parameters.iter().zip(frozen);
        let sizes = trained
            .filter(|(_, frozen)| !frozen)
            .map(|(known, _)| known.size());
        Ok(sizes.sum())
    }
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
        if head.labels.is_empty() && head.problem.has_labels() {
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

    /// Loads the model in `folder`, which need not be tuned, with the vector of a sample for its output, or what its own layer for
    /// that makes of it.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn open_encoder(folder: &Path, modality: Modality, device: &Device) -> Result<Loaded> {
        if Card::read(folder)?.problem == Problem::Embedding {
            return Self::open(folder, device);
        }
        let head = Head {
            modality,
            problem: Problem::Embedding,
            labels: Vec::new(),
            embedding_size: None,
            pooling: None,
            dropout: None,
            seed: 0,
        };
        let mut loaded = Self::load(folder, &head, device)?;
        loaded.card.problem = Problem::Embedding;
        loaded.card.labels.clear();
        Ok(loaded)
    }

    /// Loads the model in `folder` with the adapters in the folder `adapter`, as peft or an export of refire's wrote it, and the head that is
    /// there. It is for `labels`, or for those that one of the folders names.
    ///
    /// # Errors
    /// As [`load`](Self::load); also adapters that refire does not know or that are not for this model, a model that has some, and a
    /// head that nobody says the labels of.
    pub fn load_adapter(
        folder: &Path,
        adapter: &Path,
        labels: Option<&[String]>,
        device: &Device,
    ) -> Result<Loaded> {
        let mut folder = ModelFolder::open(folder)?;
        if folder.card.lora.is_some() {
            return Err(Error::stage("the model has adapters already")
                .help("begin with the model that they were put on"));
        }
        let architecture = architecture(&folder)?;
        let known_as = folder.word("architecture").unwrap_or_default().to_string();
        let renamed = |name: &str| (architecture.naming.checkpoint)(name, &known_as);
        let (mut lora, tensors) = adapters::read(adapter, renamed)?;
        let written = Card::read(adapter)?;
        if written != Card::default() {
            folder.card = Card {
                freeze: folder.card.freeze.take(),
                checkpoint_key: folder.card.checkpoint_key.take(),
                ..written
            };
        }
        if let Some(labels) = labels {
            folder.card.labels = labels.to_vec();
        }
        let mut head = own_head(&folder)?;
        let of_head = architecture.head(head.problem.head_kind())?;
        let shapes = tensors.shapes();
        let others = shapes.keys().filter(|name| !adapters::is_adapter(name));
        let (of_head, saved): (Vec<&str>, Vec<&str>) =
            others.partition(|name| architecture.is_of(of_head, name));
        if head.labels.is_empty() && head.problem.has_labels() {
            if !of_head.is_empty() {
                return Err(Error::stage(
                    "the adapter comes with a head, and nothing says which labels that is for",
                )
                .help("name them in the order of its outputs: labels = [\"…\", \"…\"]"));
            }
            head.problem = Problem::Embedding;
        }
        let modules = saved
            .iter()
            .filter_map(|name| Some(name.rsplit_once('.')?.0));
        lora.modules_to_save = modules.map(String::from).collect();
        lora.modules_to_save.dedup();
        folder.card.lora = Some(lora);
        read_with(folder, &head, Reading::Values, device, Some(tensors))
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
}

/// The head that the model in `folder` has.
fn own_head(folder: &ModelFolder) -> Result<Head> {
    Ok(Head {
        modality: architecture(folder)?.modality,
        problem: folder.problem()?,
        labels: folder.labels()?,
        embedding_size: folder.card.embedding_size,
        pooling: None,
        dropout: None,
        seed: 0,
    })
}

fn read(folder: ModelFolder, head: &Head, reading: Reading, device: &Device) -> Result<Loaded> {
    read_with(folder, head, reading, device, None)
}

/// The same with the tensors of `adapter` beside those of the folder, or in place of them.
fn read_with(
    folder: ModelFolder,
    head: &Head,
    reading: Reading,
    device: &Device,
    adapter: Option<Checkpoint>,
) -> Result<Loaded> {
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
    let loaded = assemble(architecture, &folder, head, reading, device, adapter);
    let (network, account) = loaded.map_err(|error| match recognise(&folder, architecture) {
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

/// Builds the network that `folder` describes, with `head` on it, and fills it with `reading` the checkpoint. The checkpoint's head is
/// taken if it is for the labels of `head`; else it is drawn anew.
fn assemble(
    architecture: &'static Architecture,
    folder: &ModelFolder,
    head: &Head,
    reading: Reading,
    device: &Device,
    adapter: Option<Checkpoint>,
) -> Result<(Network, Account)> {
    let naming = &architecture.naming;
    let exported = OwnLayers::of(folder, architecture);
    let key = folder.card.checkpoint_key.as_deref();
    let known_as = folder.word("architecture").unwrap_or_default();
    let renamed = |name: &str| match &exported {
        Some(head) => (naming.checkpoint)(&head.elsewhere(name), known_as),
        None => (naming.checkpoint)(name, known_as),
    };
    let renamed = |name: &str| adapters::renamed(name, renamed);
    let mut checkpoint = Checkpoint::open(&folder.path, key, renamed)?;
    checkpoint.remove(naming.constant);
    let mut of_folder = checkpoint.split_off(adapters::is_adapter);
    let built = (architecture.build)(&Source {
        folder,
        checkpoint: &checkpoint,
        head,
        reading,
        device,
    })?;
    let (network, mut choices) = with_head(built, architecture, folder, head, device)?;
    network.placed()?;
    let names = network.names;
    let is_head = |name: &str| names.is_head(name);
    if let Some(adapter) = adapter {
        let known =
            |name: &str| checkpoint.has(name) || is_head(name) || adapters::is_adapter(name);
        adapters::refuse_strange(&adapter, known)?;
        of_folder.file.clone_from(&adapter.file);
        checkpoint.overlay(adapter);
        of_folder.overlay(checkpoint.split_off(adapters::is_adapter));
    }
    let own_head = OwnHead::settle(head, folder, &mut checkpoint, is_head)?;
    let (network, mut account) =
        checkpoint.fill(network, |path| names.of(path).0, is_head, reading)?;
    account.refuse_left_over(naming.spare)?;
    account.choices.append(&mut choices);
    own_head.report(head, &mut account);
    let lora = folder.card.lora.as_ref();
    let (network, told) = network.with_adapters(lora, of_folder, reading, head.seed)?;
    account.choices.extend(told);
    Ok((network, account))
}

/// The network of a backbone and a new `head`, and what was decided about it.
fn with_head(
    built: Built,
    architecture: &'static Architecture,
    folder: &ModelFolder,
    head: &Head,
    device: &Device,
) -> Result<(Network, Vec<String>)> {
    let library_head = architecture.head(head.problem.head_kind())?;
    let backbone = built.backbone.inner();
    let config = HeadConfig {
        inputs: backbone.width(),
        outputs: match head.problem {
            Problem::Embedding => head.embedding_size,
            _ => Some(head.labels.len()),
        },
        dropout: head.dropout.unwrap_or(built.dropout),
        initializer_range: built.initializer_range,
        seed: head.seed,
        inner: built.inner,
        masked: built.masked,
    };
    let network = Network {
        names: Names {
            architecture,
            head: library_head,
            base: backbone.base(),
            family: backbone.family(),
        },
        head: PredictionHead::new(library_head.kind, config, device),
        config: folder.config.clone(),
        lora: None,
        backbone: built.backbone,
    };
    Ok((network, built.choices))
}
