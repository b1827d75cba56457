//! Networks with adapters: how they come by them, what that makes of their parameters, and how they lose them again.

use burn::module::Module;
use serde_json::Value;

use super::Network;
use crate::error::{Error, Result};
use crate::models::adapters::{self, Attacher};
use crate::models::naming::is_in;
use crate::models::weights::{self, Checkpoint, Reading, list};
use crate::models::{Layers, Lora, Parameter, Part};

impl Network {
    /// The layers that can have adapters.
    ///
    /// # Panics
    /// As [`parameters`](Self::parameters).
    #[must_use]
    pub fn layers(&self) -> Layers {
        let parameters = self.parameters();
        let seen = weights::parameters(self).into_iter().zip(&parameters);
        let linear = seen.filter(|(seen, known)| {
            let can = !known.head && known.part != Part::Adapter;
            seen.is_linear && can && adapters::layer(&known.name).is_some()
        });
        let linear = linear.map(|(_, known)| known.clone()).collect();
        Layers::new(linear, parameters)
    }

    /// What its adapters are, if layers have some.
    #[must_use]
    pub fn lora(&self) -> Option<&Lora> {
        self.lora.as_ref()
    }

    /// With the adapters that `lora` names, out of `checkpoint`, which holds no other tensors; new ones, from `seed`, if it holds none.
    /// What was decided comes with it, as a sentence.
    ///
    /// # Errors
    /// Adapters that are not for this network; tensors without a word on what they are; damaged ones.
    pub(super) fn with_adapters(
        self,
        lora: Option<&Lora>,
        checkpoint: Checkpoint,
        reading: Reading,
        seed: u64,
    ) -> Result<(Self, Option<String>)> {
        let found: Vec<String> = checkpoint
            .shapes()
            .keys()
            .map(ToString::to_string)
            .collect();
        let Some(lora) = lora else {
            if found.is_empty() {
                return Ok((self, None));
            }
            return Err(Error::stage(format!(
                "`{}` holds adapters, and nothing says by how much they count",
                checkpoint.file.display()
            ))
            .note(format!("adapters: {}", list(&found)))
            .help("a folder that peft wrote is the `adapter` of a stage `lora`"));
        };
        let drawn = found.is_empty() && reading == Reading::Values;
        let network = self.attach(lora, drawn.then_some(seed))?;
        if found.is_empty() {
            let new = network.parameters().into_iter();
            let new = new.filter(|known| known.used && known.name.ends_with(adapters::FIRST));
            let told = format!(
                "adapters of rank {} are new on {} layers",
                lora.r,
                new.count()
            );
            return Ok((network, drawn.then_some(told)));
        }
        adapters::account(&checkpoint, &network.parameters())?;
        let names = network.names;
        let stays = |name: &str| !adapters::is_adapter(name);
        let (network, _) = checkpoint.fill(network, |path| names.of(path).0, stays, reading)?;
        Ok((network, None))
    }

    /// With the adapters that `lora` names and nothing in them, for looking at its parameters.
    ///
    /// # Errors
    /// Adapters that are not for this network.
    pub fn adapted(self, lora: &Lora) -> Result<Self> {
        self.attach(lora, None)
    }

    /// With adapters that change nothing yet, drawn from `seed`, or with nothing in them.
    fn attach(mut self, lora: &Lora, seed: Option<u64>) -> Result<Self> {
        let layers = self.layers();
        layers.check(lora)?;
        let weights = lora.target_modules.iter();
        let weights = weights.filter_map(|name| layers.weight(name));
        let weights = weights.map(|known| (known.id, known.clone())).collect();
        self.lora = Some(lora.clone());
        Ok(self.apply_reparameterization(Attacher {
            lora,
            weights,
            seed,
        }))
    }

    /// With its adapters in the weights of their layers.
    #[must_use]
    pub fn merged(self) -> Self {
        let mut network = self.materialize();
        network.lora = None;
        network
    }

    /// What of the adapters in its first `blocks` blocks no weight of them says, in words; none if these have none.
    #[must_use]
    pub fn adapters_below(&self, blocks: usize) -> Option<String> {
        let lora = self.lora.as_ref()?;
        let parameters = self.parameters().into_iter();
        let mut below = parameters.filter(|known| known.block < blocks && known.used);
        below
            .any(|known| known.part == Part::Adapter)
            .then(|| format!("adapters, scale {:e}", lora.scale()))
    }

    /// Why peft cannot load its adapters onto the model that it was made from, if it cannot.
    pub(in crate::models) fn not_for_peft(&self) -> Option<&'static str> {
        let model_type = self.config.get("model_type").and_then(Value::as_str);
        let is_tower = model_type.is_some_and(|name| name.ends_with("_vision_model"));
        let tower =
            "transformers' class with a head does not take the files of a vision tower alone";
        let tower = is_tower.then_some(tower);
        self.backbone().not_for_peft().or(tower)
    }

    /// What its library calls a parameter in memory.
    pub(in crate::models) fn in_memory(&self, known: &Parameter) -> String {
        if known.head {
            return known.full_name.clone();
        }
        let base = known.full_name.strip_suffix(&known.name);
        let name = adapters::renamed(&known.name, |name| self.backbone().in_memory(name));
        format!("{}{name}", base.unwrap_or_default())
    }

    /// What the parameter `name` has to do with adapters.
    pub(super) fn part(&self, name: &str) -> Part {
        let Some(lora) = &self.lora else {
            return Part::Own;
        };
        let mut saved = lora.modules_to_save.iter();
        match adapters::adapted_layer(name) {
            Some((layer, _)) if lora.target_modules.iter().any(|target| target == layer) => {
                Part::Adapter
            }
            _ if saved.any(|module| is_in(name, module)) => Part::Saved,
            _ => Part::Own,
        }
    }

    /// Whether the backbone's forward pass uses the parameter `name`: an adapter if it uses the layer.
    pub(super) fn is_used(&self, name: &str) -> bool {
        match adapters::adapted_layer(name) {
            Some((layer, _)) => self.backbone().uses(&format!("{layer}.weight")),
            None => self.backbone().uses(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::models::Network;
    use crate::models::adapters::renamed;
    use crate::models::small::small_models;

    /// Those of which `save_pretrained` of transformers 5.23 writes other names than the network has, as far as
    /// [`in_memory`](Network::in_memory) does not know them.
    #[test]
    fn networks_that_peft_would_not_know_are_told() {
        let models = small_models();
        let told = models.iter().filter(|model| {
            let outline = Network::outline(model.path()).expect("an outline");
            outline.network.not_for_peft().is_some()
        });
        let mut told: Vec<&str> = told.map(|model| model.name.as_str()).collect();
        told.sort_unstable();
        assert_eq!(told, ["dinov2", "swin"]);
    }

    #[test]
    fn names_in_memory_are_read_as_those_in_files() {
        for model in small_models() {
            let network = Network::outline(model.path()).expect("an outline").network;
            let naming = &network.names().architecture.naming;
            let architecture = network.config.get("architecture");
            let architecture = architecture.and_then(|name| name.as_str());
            let architecture = architecture.unwrap_or_default();
            let parameters = network.parameters().into_iter();
            for known in parameters.filter(|known| !known.head) {
                let name = network.in_memory(&known);
                let read = renamed(&name, |name| (naming.checkpoint)(name, architecture));
                assert_eq!(read, known.name, "{}: {name}", model.name);
            }
        }
    }
}
