//! `lora`: gives layers of a model adapters, which train in place of its weights.

mod settings;
#[cfg(test)]
mod tests;

use schemars::{Schema, SchemaGenerator};

use super::freeze::thousands;
use super::{ArtifactType, Input, Output, Stage, StageContext, StageKind};
use crate::config::{Table, from_table};
use crate::error::{Error, Result};
use crate::fingerprint::{Manifest, describe};
use crate::models::{self, Card, Lora, Network, Parameter, Part};
use crate::tasks::Task;
use settings::Settings;

/// The kind `lora`.
pub(super) struct LoraKind;

const MODEL: &str = "model";
const ADAPTER: &str = "adapter";

const RANDOM: &str = "the model's weights are random: beside adapters they stay so, and what trains learns from what chance makes of the \
                      samples; leave this stage out, or begin with a model that was trained";

impl StageKind for LoraKind {
    fn name(&self) -> &'static str {
        "lora"
    }

    fn about(&self) -> &'static str {
        "gives layers of a model adapters, which train in place of its weights"
    }

    fn version(&self) -> u32 {
        1
    }

    fn parse(&self, table: &Table) -> Result<Box<dyn Stage>> {
        let settings: Settings = from_table(table)?;
        settings.check()?;
        Ok(Box::new(LoraStage { settings }))
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Settings>()
    }
}

struct LoraStage {
    settings: Settings,
}

impl Stage for LoraStage {
    fn inputs(&self) -> Vec<Input> {
        let Settings { model, adapter, .. } = &self.settings;
        let ports = [(MODEL, Some(model)), (ADAPTER, adapter.as_ref())];
        let ports = ports.into_iter().filter_map(|(port, from)| {
            Some(Input {
                port: port.into(),
                accepts: &[ArtifactType::Model],
                from: from?.clone(),
            })
        });
        ports.collect()
    }

    fn outputs(&self) -> Vec<Output> {
        vec![Output::new(MODEL, ArtifactType::Model)]
    }

    fn task(&self, upstream: &dyn Fn(&str) -> Option<&'static Task>) -> Option<&'static Task> {
        upstream(MODEL)
    }

    fn describe(&self, key: &mut dyn Manifest) {
        describe(key, &self.settings, &[]);
    }

    fn run(&self, cx: &mut StageContext<'_>) -> Result<()> {
        if self.settings.adapter.is_some() {
            return self.read(cx);
        }
        let outline = Network::outline(cx.input(MODEL))?;
        let mut card = outline.card;
        if let Some(lora) = outline.network.lora() {
            return Err(Error::stage(format!(
                "the model has adapters of rank {} on {} layers already",
                lora.r,
                lora.target_modules.len()
            ))
            .help("tune it as it is, or begin with the model that they were put on"));
        }
        let lora = self.settings.adapters(&outline.network.layers())?;
        report(outline.network, &lora, &card, cx)?;
        card.frozen = None;
        card.lora = Some(lora);
        models::copy_folder(cx.input(MODEL), cx.output(MODEL))?;
        card.write(cx.output(MODEL))
    }
}

impl LoraStage {
    /// Gives the model the adapters that somebody else has trained.
    fn read(&self, cx: &StageContext<'_>) -> Result<()> {
        let labels = self.settings.labels.as_ref();
        let labels = labels.map(|labels| &labels.value[..]);
        let (base, device) = (cx.input(MODEL), models::device("cpu")?);
        let loaded = Network::load_adapter(base, cx.input(ADAPTER), labels, &device)?;
        let (network, card) = (&loaded.network, &loaded.card);
        if !loaded.missing.is_empty() && !card.labels.is_empty() {
            return Err(Error::stage(format!(
                "neither the adapter nor the model has a head for {}",
                card.labels.join(", ")
            ))
            .help("leave `labels` out, and `refire.json` of the adapter: `finetune` gives the model a new head"));
        }
        let lora = card.lora.as_ref();
        let (layers, r) = lora.map_or((0, 0), |lora| (lora.target_modules.len(), lora.r));
        let head = if loaded.missing.is_empty() && !card.labels.is_empty() {
            format!("a head for {}", card.labels.join(", "))
        } else {
            "no head".into()
        };
        cx.notice(format!(
            "the adapter has adapters of rank {r} for {layers} linear layers, and {head}"
        ));
        models::copy_companions(base, cx.output(MODEL))?;
        network.save_beside(base, cx.output(MODEL), card)
    }
}

/// Tells how many layers have adapters and how much of `network` trains with them.
///
/// # Errors
/// A freeze plan that leaves none of them to train.
fn report(network: Network, lora: &Lora, card: &Card, cx: &StageContext<'_>) -> Result<()> {
    let layers = network.layers().all()?.len();
    let anatomy = network.adapted(lora)?.anatomy();
    let plan = card.freeze.clone().unwrap_or_default();
    if !plan.is_empty() {
        cx.notice(format!(
            "what the model's freeze plan says of them holds, too: {plan}"
        ));
    }
    let frozen = plan.stays(&anatomy)?;
    let below = anatomy.parameters.iter().zip(&frozen);
    let below = below.filter(|(known, _)| !known.head);
    let size = |parameters: &mut dyn Iterator<Item = &Parameter>| {
        thousands(parameters.map(Parameter::size).sum())
    };
    let trained = below.clone().filter(|(_, frozen)| !**frozen);
    cx.notice(format!(
        "{} of {layers} linear layers get adapters of rank {}: {} of {} parameters train, and the head",
        lora.target_modules.len(),
        lora.r,
        size(&mut trained.map(|(known, _)| known)),
        size(&mut below.map(|(known, _)| known)),
    ));
    let mut saved = anatomy.parameters.iter();
    if !lora.modules_to_save.is_empty() && saved.any(|known| known.part == Part::Saved) {
        cx.notice(format!(
            "beside them train as a whole: {}",
            lora.modules_to_save.join(", ")
        ));
    }
    if card.random_weights.is_some() {
        cx.notice(RANDOM);
    }
    Ok(())
}
