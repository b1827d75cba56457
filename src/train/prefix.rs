//! The frozen prefix of a network: the blocks before the first one with a parameter that trains.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Tensor};

use crate::error::Result;
use crate::models::{self, Activations, Network};

/// The frozen prefix; it may be empty.
///
/// It runs on a plain device, so without dropout and without autodiff.
#[derive(Clone, Debug)]
pub struct Prefix {
    network: Network,
    blocks: usize,
    /// The digests of the network's weights, once they are needed.
    weights: Arc<OnceLock<Weights>>,
    device: Device,
    device_class: String,
}

impl Prefix {
    /// The first `blocks` blocks of `network`, which is on the plain device called `device`.
    ///
    /// # Errors
    /// A device that does not exist.
    pub fn new(network: Network, blocks: usize, device: &str) -> Result<Self> {
        Ok(Self {
            network,
            blocks,
            weights: Arc::default(),
            device: models::device(device)?,
            device_class: models::device_class(device),
        })
    }

    /// The first `blocks` blocks of the same network.
    #[must_use]
    pub fn cut(&self, blocks: usize) -> Self {
        Self {
            blocks,
            ..self.clone()
        }
    }

    /// How many blocks it has.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// The device that it runs on.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What the blocks make of a batch as a network takes it: the batch itself if there are no blocks.
    #[must_use]
    pub fn run(&self, batch: Activations) -> Activations {
        self.run_from(0, batch)
    }

    /// What the blocks from block `from` on make of what the blocks before it made.
    #[must_use]
    pub(super) fn run_from(&self, from: usize, activations: Activations) -> Activations {
        self.network.forward(from..self.blocks, activations)
    }

    /// Everything but the samples that decides what [`run`](Self::run) gives: how the network is built, how deep the prefix is, the
    /// names, sizes and bytes of its weights and running statistics, the class of the device.
    ///
    /// Weights of later blocks do not enter, so a network keeps its features when its head is tuned.
    #[must_use]
    pub fn digest(&self) -> String {
        let weights = self.weights.get_or_init(|| Weights::of(&self.network));
        let mut hasher = blake3::Hasher::new_derive_key("refire frozen prefix, version 2");
        let mut text = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        text(&self.network.signature());
        text(&format!("{} blocks", self.blocks));
        text(&self.device_class);
        if let Some(adapters) = self.network.adapters_below(self.blocks) {
            text(&adapters);
        }
        let mut parameters = self.network.parameters();
        parameters.extend(self.network.statistics());
        parameters.retain(|parameter| parameter.block < self.blocks && parameter.used);
        parameters.sort_by(|a, b| a.name.cmp(&b.name));
        for parameter in parameters {
            text(&parameter.name);
            text(&format!("{:?}", parameter.shape));
            text(&weights.digests[&parameter.id]);
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// The digest of each parameter's bytes.
#[derive(Debug, Default)]
pub(super) struct Weights {
    pub(super) digests: BTreeMap<ParamId, String>,
}

impl Weights {
    pub(super) fn of(network: &Network) -> Self {
        let mut weights = Self::default();
        network.visit(&mut weights);
        weights
    }
}

impl ModuleVisitor for Weights {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        let data = parameter.val().into_data();
        let digest = blake3::Hasher::new()
            .update_rayon(data.as_bytes())
            .finalize();
        self.digests
            .insert(parameter.id, digest.to_hex().to_string());
    }
}
