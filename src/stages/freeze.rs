//! `freeze`: decides which parameters of a model train, by name, before anything is trained.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{ArtifactType, Input, Output, Port, Stage, StageContext, StageKind};
use crate::config::{Spanned, Table, from_table};
use crate::error::{Error, Result, Span};
use crate::fingerprint::{Manifest, describe};
use crate::models::{self, Anatomy, FreezePlan, Frozen, Network, Parameter, Pattern};
use crate::tasks::Task;

/// The kind `freeze`.
pub(super) struct FreezeKind;

const MODEL: &str = "model";

const RANDOM: &str = "the model's weights are random: what is frozen here will never have learnt anything, so that the layers after it learn \
                      from what chance makes of the samples; leave this stage out, or begin with a model that was trained";

/// A model with a plan of what stays as it is when the model is tuned. The head that a task adds always trains, unless
/// `frozen` names it.
///
/// On a model that was frozen before, `frozen` adds to what is frozen; the other settings replace what they said there and leave the rest
/// as it is. `frozen = []` and `trainable = ["*"]` free everything.
///
/// A pattern is a glob over whole parameter names as Hugging Face or torchvision writes them, with or without the base
/// model's name in front: `encoder.layer.0.*`, `*.LayerNorm.*`, `bert.embeddings.*`. A `*` stands for any part of a name,
/// dots included. A pattern that begins with `re:` is a regular expression: `re:encoder\.layer\.[0-3]\..*`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The model.
    model: Port,
    /// How many of the last layers train, with what comes after them. 0: nothing but the head; 2: the last two as well.
    trainable_layers: Option<Spanned<usize>>,
    /// Patterns of what trains; everything else stays as it is. Not together with `trainable_layers`.
    trainable: Option<Spanned<Vec<Spanned<String>>>>,
    /// Patterns of what stays as it is, whatever the other settings say.
    frozen: Option<Spanned<Vec<Spanned<String>>>>,
    /// Whether only biases train, beside the head (arXiv:2106.10199); with `trainable_layers` those of the last layers.
    /// Default: false.
    bitfit: Option<Spanned<bool>>,
    /// Whether batch normalisations train even in blocks that are frozen otherwise, as in fastai. Unless it is set, they
    /// are frozen with their block, their running statistics too. Default: false.
    train_bn: Option<Spanned<bool>>,
}

impl StageKind for FreezeKind {
    fn name(&self) -> &'static str {
        "freeze"
    }

    fn about(&self) -> &'static str {
        "decides which parameters of a model stay as they are when it is tuned"
    }

    fn version(&self) -> u32 {
        2
    }

    fn parse(&self, table: &Table) -> Result<Box<dyn Stage>> {
        let settings: Settings = from_table(table)?;
        settings.check(&table.span)?;
        Ok(Box::new(Freeze {
            settings,
            span: table.span.clone(),
        }))
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Settings>()
    }
}

impl Settings {
    /// Refuses settings that contradict each other, that say nothing, and patterns that are none.
    fn check(&self, place: &Span) -> Result<()> {
        if let (Some(layers), Some(trainable)) = (&self.trainable_layers, &self.trainable) {
            let both = Error::usage("`trainable_layers` and `trainable` both say what trains");
            return Err(layers
                .blame_also(trainable, both)
                .help("keep one of them; `frozen` goes with either"));
        }
        self.check_bitfit()?;
        let layers = self.trainable_layers.is_some();
        let says_what = layers || self.trainable.is_some() || self.frozen.is_some();
        if !says_what && !is_on(self.bitfit.as_ref()) {
            return Err(Error::usage("this stage does not say what to freeze")
                .at(place, "")
                .help("set `trainable_layers`, `trainable`, `frozen` or `bitfit`"));
        }
        for pattern in self.patterns() {
            Pattern::parse(&pattern.value).map_err(|error| pattern.blame(error, ""))?;
        }
        Ok(())
    }

    /// Refuses what leaves `bitfit` without a meaning.
    fn check_bitfit(&self) -> Result<()> {
        let Some(bitfit) = self.bitfit.as_ref().filter(|bitfit| bitfit.value) else {
            return Ok(());
        };
        if let Some(trainable) = &self.trainable {
            let both = Error::usage("`bitfit` and `trainable` both say what trains");
            let both = bitfit.blame_also(trainable, both);
            return Err(
                both.help("`bitfit` is short for trainable = [\"*.bias\"]; keep one of them")
            );
        }
        match &self.trainable_layers {
            Some(layers) if layers.value == 0 => {
                let none =
                    Error::usage("`bitfit` trains biases, and `trainable_layers` leaves none");
                Err(bitfit
                    .blame_also(layers, none)
                    .help("leave one of them out"))
            }
            _ => Ok(()),
        }
    }

    fn patterns(&self) -> impl Iterator<Item = &Spanned<String>> {
        let trainable = self.trainable.iter().flat_map(|list| &list.value);
        trainable.chain(self.frozen.iter().flat_map(|list| &list.value))
    }

    /// The plan for a model that has an `earlier` one, which holds on: `frozen` adds to it, and what else is set here replaces what
    /// says the same there.
    fn plan(&self, earlier: FreezePlan) -> FreezePlan {
        let texts = |list: &Spanned<Vec<Spanned<String>>>| {
            let patterns = list.value.iter();
            patterns.map(|pattern| pattern.value.clone()).collect()
        };
        let mut plan = earlier;
        if self.trainable.is_some() || self.trainable_layers.is_some() {
            plan.trainable = self.trainable.as_ref().map(texts);
            plan.trainable_layers = self.trainable_layers.as_ref().map(|layers| layers.value);
        }
        match self.frozen.as_ref().map(texts) {
            Some(none) if none.is_empty() => plan.frozen.clear(),
            more => plan.frozen.extend(more.unwrap_or_default()),
        }
        let mut seen = BTreeSet::new();
        plan.frozen.retain(|pattern| seen.insert(pattern.clone()));
        let set = |switch: &mut bool, setting: Option<&Spanned<bool>>| {
            *switch = setting.map_or(*switch, |setting| setting.value);
        };
        set(&mut plan.bitfit, self.bitfit.as_ref());
        set(&mut plan.train_bn, self.train_bn.as_ref());
        plan
    }
}

/// Whether a setting is written, and true.
fn is_on(setting: Option<&Spanned<bool>>) -> bool {
    setting.is_some_and(|setting| setting.value)
}

struct Freeze {
    settings: Settings,
    span: Span,
}

impl Stage for Freeze {
    fn inputs(&self) -> Vec<Input> {
        vec![Input {
            port: MODEL.into(),
            accepts: &[ArtifactType::Model],
            from: self.settings.model.clone(),
        }]
    }

    fn outputs(&self) -> Vec<Output> {
        vec![Output::new(MODEL, ArtifactType::Model)]
    }

    fn task(&self, upstream: &dyn Fn(&str) -> Option<&'static Task>) -> Option<&'static Task> {
        upstream("model")
    }

    fn describe(&self, key: &mut dyn Manifest) {
        describe(key, &self.settings, &[]);
    }

    fn run(&self, cx: &mut StageContext<'_>) -> Result<()> {
        let outline = Network::outline(cx.input(MODEL))?;
        let anatomy = outline.network.anatomy();
        let mut card = outline.card;
        let earlier = card.freeze.take().unwrap_or_default();
        let plan = self.settings.plan(earlier.clone());
        let frozen = self.resolve(&plan, &anatomy).map_err(|error| {
            if earlier.is_empty() {
                return error;
            }
            error.note(format!("the model comes with an earlier plan: {earlier}"))
        })?;
        if !earlier.is_empty() {
            let alone = self.settings.plan(FreezePlan::default());
            cx.notice(if plan == alone {
                format!("the model's earlier plan, {earlier}, is replaced")
            } else {
                format!("the model's earlier plan, {earlier}, holds on; together: {plan}")
            });
        }
        cx.notice(notice(&anatomy, &frozen));
        let frozen_and_used = |(known, frozen): (&Parameter, bool)| frozen && known.used;
        if card.random_weights.is_some()
            && below_head(&anatomy.parameters, &frozen).any(frozen_and_used)
        {
            cx.notice(RANDOM);
        }

        card.frozen = Some(summary(&anatomy.parameters, &frozen));
        card.freeze = Some(plan);
        models::copy_folder(cx.input(MODEL), cx.output(MODEL))?;
        card.write(cx.output(MODEL))
    }
}

impl Freeze {
    /// For each parameter whether it stays as it is. Errors point to the setting that they are about.
    fn resolve(&self, plan: &FreezePlan, anatomy: &Anatomy) -> Result<Vec<bool>> {
        for pattern in self.settings.patterns() {
            Pattern::parse(&pattern.value)?
                .matching(&anatomy.parameters)
                .map_err(|error| pattern.blame(error, "matches nothing"))?;
        }
        let blame = |setting: Option<&Spanned<bool>>, error| match setting {
            Some(setting) => setting.blame(error, ""),
            None => error,
        };
        let Settings {
            bitfit, train_bn, ..
        } = &self.settings;
        plan.check_bitfit(anatomy)
            .map_err(|error| blame(bitfit.as_ref(), error))?;
        plan.check_train_bn(anatomy)
            .map_err(|error| blame(train_bn.as_ref(), error))?;
        // What has no head may stay as it is as a whole: what trains is put on it later.
        let resolved = if has_head(anatomy) {
            plan.resolve(anatomy).map(|resolved| resolved.frozen)
        } else {
            plan.stays(anatomy)
        };
        resolved.map_err(|error| {
            let layers = self.settings.trainable_layers.as_ref();
            let span = layers.and_then(|layers| layers.span.as_ref());
            error.or_at(span.unwrap_or(&self.span), "")
        })
    }
}

/// Whether the network has a head: one of embeddings may have none.
fn has_head(anatomy: &Anatomy) -> bool {
    anatomy.parameters.iter().any(|parameter| parameter.head)
}

/// The parameters of the network below the head, each with whether it stays as it is.
fn below_head<'a>(
    parameters: &'a [Parameter],
    frozen: &'a [bool],
) -> impl Iterator<Item = (&'a Parameter, bool)> {
    parameters
        .iter()
        .zip(frozen.iter().copied())
        .filter(|(parameter, _)| !parameter.head)
}

fn summary(parameters: &[Parameter], frozen: &[bool]) -> Frozen {
    let mut summary = Frozen::default();
    for (parameter, frozen) in below_head(parameters, frozen) {
        summary.total += parameter.size();
        if frozen {
            summary.names.push(parameter.full_name.clone());
        } else {
            summary.trainable += parameter.size();
        }
    }
    summary
}

/// `0 of 6 layers train: 0 of 22,713,216 parameters, and the head`.
fn notice(anatomy: &Anatomy, frozen: &[bool]) -> String {
    let parameters = &anatomy.parameters;
    let trains = |block: usize| {
        below_head(parameters, frozen)
            .any(|(parameter, frozen)| parameter.block == block && !frozen)
    };
    let layers = anatomy.layers();
    let training = layers.iter().filter(|layer| trains(**layer)).count();
    let head_trains = parameters
        .iter()
        .zip(frozen)
        .any(|(parameter, frozen)| parameter.head && !frozen);
    let Frozen {
        trainable, total, ..
    } = summary(parameters, frozen);
    format!(
        "{training} of {} layers train: {} of {} parameters, {} the head",
        layers.len(),
        thousands(trainable),
        thousands(total),
        if head_trains || !has_head(anatomy) {
            "and"
        } else {
            "but not"
        },
    )
}

/// `22713216` → `22,713,216`.
pub(super) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
