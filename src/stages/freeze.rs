//! `freeze`: decides which parameters of a model train, by name, before anything is trained.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{ArtifactType, Input, Output, Port, Stage, StageContext, StageKind};
use crate::config::{Spanned, Table, from_table};
use crate::error::{Error, Result, Span};
use crate::fingerprint::{Manifest, describe};
use crate::models::{self, FreezePlan, Frozen, Network, Parameter};

/// The kind `freeze`.
pub(super) struct FreezeKind;

const MODEL: &str = "model";

/// A model with a plan of what stays as it is when the model is tuned. The head that a task adds always trains, unless
/// `frozen` names it.
///
/// A pattern is a glob over parameter names as Hugging Face writes them, with or without the base model's name in
/// front: `encoder.layer.0.*`, `*.LayerNorm.*`, `bert.embeddings.*`. A `*` stands for any part of a name, dots included.
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
}

impl StageKind for FreezeKind {
    fn name(&self) -> &'static str {
        "freeze"
    }

    fn about(&self) -> &'static str {
        "decides which parameters of a model stay as they are when it is tuned"
    }

    fn version(&self) -> u32 {
        1
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
            let both = layers.blame(both, "");
            let both = match &trainable.span {
                Some(span) => both.at(span, ""),
                None => both,
            };
            return Err(both.help("keep one of them; `frozen` goes with either"));
        }
        if self.trainable_layers.is_none() && self.trainable.is_none() && self.frozen.is_none() {
            return Err(Error::usage("this stage does not say what to freeze")
                .at(place, "")
                .help("set `trainable_layers`, `trainable` or `frozen`"));
        }
        for pattern in self.patterns() {
            FreezePlan::check_pattern(&pattern.value).map_err(|error| pattern.blame(error, ""))?;
        }
        Ok(())
    }

    fn patterns(&self) -> impl Iterator<Item = &Spanned<String>> {
        let trainable = self.trainable.iter().flat_map(|list| &list.value);
        trainable.chain(self.frozen.iter().flat_map(|list| &list.value))
    }

    fn plan(&self) -> FreezePlan {
        let texts = |list: &Spanned<Vec<Spanned<String>>>| {
            list.value
                .iter()
                .map(|pattern| pattern.value.clone())
                .collect()
        };
        FreezePlan {
            frozen: self.frozen.as_ref().map(texts).unwrap_or_default(),
            trainable: self.trainable.as_ref().map(texts),
            trainable_layers: self.trainable_layers.as_ref().map(|layers| layers.value),
        }
    }
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

    fn describe(&self, key: &mut dyn Manifest) {
        describe(key, &self.settings, &[]);
    }

    fn run(&self, cx: &mut StageContext<'_>) -> Result<()> {
        let outline = Network::outline(cx.input(MODEL))?;
        let blocks = outline.network.blocks();
        let parameters = outline.network.parameters();
        let plan = self.settings.plan();
        let frozen = self.resolve(&plan, &blocks, &parameters)?;
        cx.notice(notice(&blocks, &parameters, &frozen));

        let mut card = outline.card;
        card.frozen = Some(summary(&parameters, &frozen));
        card.freeze = Some(plan);
        models::copy_folder(cx.input(MODEL), cx.output(MODEL))?;
        card.write(cx.output(MODEL))
    }
}

impl Freeze {
    /// For each parameter whether it stays as it is. Errors point to the setting that they are about.
    fn resolve(
        &self,
        plan: &FreezePlan,
        blocks: &[String],
        parameters: &[Parameter],
    ) -> Result<Vec<bool>> {
        for pattern in self.settings.patterns() {
            FreezePlan::matching(&pattern.value, parameters)
                .map_err(|error| pattern.blame(error, "matches nothing"))?;
        }
        let resolved = plan.resolve(blocks, parameters).map_err(|error| {
            let layers = self.settings.trainable_layers.as_ref();
            let span = layers.and_then(|layers| layers.span.as_ref());
            error.or_at(span.unwrap_or(&self.span), "")
        })?;
        Ok(resolved.frozen)
    }
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

/// `0 of 6 encoder layers train: 0 of 22,713,216 parameters, and the head`.
fn notice(blocks: &[String], parameters: &[Parameter], frozen: &[bool]) -> String {
    let trains = |block: usize| {
        below_head(parameters, frozen)
            .any(|(parameter, frozen)| parameter.block == block && !frozen)
    };
    let layers = FreezePlan::layers(blocks);
    let training = layers.iter().filter(|layer| trains(**layer)).count();
    let head_trains = parameters
        .iter()
        .zip(frozen)
        .any(|(parameter, frozen)| parameter.head && !frozen);
    let Frozen {
        trainable, total, ..
    } = summary(parameters, frozen);
    format!(
        "{training} of {} encoder layers train: {} of {} parameters, {} the head",
        layers.len(),
        thousands(trainable),
        thousands(total),
        if head_trains { "and" } else { "but not" },
    )
}

/// `22713216` → `22,713,216`.
fn thousands(number: usize) -> String {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::error::{Kind, Source};
    use crate::event::Event;
    use crate::models::Card;
    use crate::stages::Job;
    use crate::store::Store;

    fn parse(toml: &str) -> Result<Box<dyn Stage>> {
        let source = Arc::new(Source::new("pipeline.toml", toml));
        FreezeKind.parse(&Table::parse(&source)?)
    }

    fn tiny_bert() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-bert")
    }

    /// Runs the stage on the tiny BERT: its output and its notices.
    fn run(toml: &str) -> Result<(tempfile::TempDir, Vec<String>)> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open(&folder.path().join("cache")).expect("opened");
        let output = folder.path().join("output");
        std::fs::create_dir(&output).expect("made");
        let job = Job {
            stage: "frozen".into(),
            inputs: BTreeMap::from([(MODEL.into(), tiny_bert())]),
            outputs: BTreeMap::from([(MODEL.into(), output)]),
            ..Job::default()
        };
        let notices = Mutex::new(Vec::new());
        let sink = |event: &Event| {
            if let Event::Notice { text, .. } = event {
                notices.lock().expect("no panic").push(text.clone());
            }
        };
        parse(toml)?.run(&mut StageContext::new(&job, &store, &sink, &|| false))?;
        Ok((folder, notices.into_inner().expect("no panic")))
    }

    #[test]
    fn the_plan_and_what_it_freezes_are_in_the_card() {
        let (folder, notices) = run("model = 'a'\ntrainable_layers = 1").expect("it runs");
        let card = Card::read(&folder.path().join("output")).expect("a card");
        assert_eq!(card.freeze.expect("a plan").trainable_layers, Some(1));
        let frozen = card.frozen.expect("what it comes to");
        // A layer has four 32 × 32 and two 32 × 64 matrices, seven biases of 32 or 64 and two norms.
        let layer = 4 * 32 * 32 + 2 * 32 * 64 + 5 * 32 + 64 + 4 * 32;
        assert_eq!(frozen.trainable, layer);
        assert_eq!(frozen.total, 24_128);
        assert_eq!(
            frozen.names.first().map(String::as_str),
            Some("bert.embeddings.word_embeddings.weight")
        );
        assert_eq!(
            notices,
            ["1 of 2 encoder layers train: 8,544 of 24,128 parameters, and the head"]
        );
    }

    #[test]
    fn every_other_file_is_the_models_own() {
        let (folder, _) = run("model = 'a'\ntrainable_layers = 0").expect("it runs");
        for name in [
            "config.json",
            "model.safetensors",
            "tokenizer.json",
            "1_Pooling/config.json",
        ] {
            let copy = std::fs::read(folder.path().join("output").join(name)).expect("copied");
            assert_eq!(
                copy,
                std::fs::read(tiny_bert().join(name)).expect("there"),
                "{name}"
            );
        }
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused_where_they_stand() {
        let error = parse("model = 'a'\ntrainable_layers = 1\ntrainable = ['*.bias']")
            .err()
            .expect("refused");
        assert_eq!(error.kind(), Kind::Usage);
        let lines: Vec<usize> = error
            .labels()
            .iter()
            .map(|label| label.span.line())
            .collect();
        assert_eq!(lines, [2, 3]);
        let error = parse("model = 'a'").err().expect("refused");
        assert_eq!(error.message(), "this stage does not say what to freeze");
    }

    #[test]
    fn a_broken_pattern_is_a_mistake_in_the_file() {
        let error = parse("model = 'a'\nfrozen = ['*.bias', 'encoder.[']")
            .err()
            .expect("refused");
        assert_eq!(error.kind(), Kind::Usage);
        assert_eq!(error.labels()[0].span.range, 32..43);
    }

    #[test]
    fn a_pattern_that_matches_nothing_fails_the_stage_at_its_place() {
        let error = run("model = 'a'\nfrozen = ['encoder.layers.0.*']").expect_err("fails");
        assert_eq!(error.kind(), Kind::Stage);
        assert_eq!(error.labels()[0].span.line(), 2);
        assert_eq!(error.help_text(), Some("did you mean `encoder.layer.0.*`?"));
    }

    #[test]
    fn something_must_be_left_to_train() {
        let error =
            run("model = 'a'\ntrainable_layers = 0\nfrozen = ['classifier.*']").expect_err("fails");
        assert_eq!(
            error.message(),
            "nothing is left to train: every parameter is frozen, the head too"
        );
        let error = run("model = 'a'\ntrainable_layers = 3").expect_err("fails");
        assert_eq!(
            error.message(),
            "`trainable_layers` is 3, but the network has 2 layers"
        );
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(22_713_216), "22,713,216");
    }
}
