//! `finetune`: trains a pretrained model on a table of labelled texts.
//!
//! It reads as a story: load, check, compute features, train, write.

mod checks;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use settings::Settings;

use super::{ArtifactType, Input, Output, Stage, StageContext, StageKind};
use crate::config::{Table, from_table};
use crate::data::text::{Examples, read_examples};
use crate::error::{Context, Error, Result};
use crate::fingerprint::{Manifest, describe};
use crate::models::{self, Card, Head, Loaded, Network, Resolved, Tokenizer};
use crate::train::metrics::Metric;
use crate::train::{Feed, Outcome, Prefix, Samples, Training, check_step};

/// The kind `finetune`.
pub(super) struct FinetuneKind;

/// The most tokens of a text that count unless `max_length` says otherwise.
const MAX_LENGTH: usize = 256;

impl StageKind for FinetuneKind {
    fn name(&self) -> &'static str {
        "finetune"
    }

    fn about(&self) -> &'static str {
        "trains a pretrained model on labelled samples"
    }

    fn version(&self) -> u32 {
        1
    }

    fn parse(&self, table: &Table) -> Result<Box<dyn Stage>> {
        let settings: Settings = from_table(table)?;
        settings
            .check()
            .map_err(|error| error.or_at(&table.span, ""))?;
        Ok(Box::new(Finetune { settings }))
    }

    fn schema(&self, generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        generator.subschema_for::<Settings>()
    }
}

struct Finetune {
    settings: Settings,
}

impl Stage for Finetune {
    fn inputs(&self) -> Vec<Input> {
        let input = |port: &str, accepts, from: &super::Port| Input {
            port: port.into(),
            accepts,
            from: from.clone(),
        };
        let settings = &self.settings;
        let mut inputs = vec![
            input("model", &[ArtifactType::Model], &settings.model),
            input("train", &[ArtifactType::Table], &settings.train),
        ];
        if let Some(validation) = &settings.validation {
            inputs.push(input("validation", &[ArtifactType::Table], validation));
        }
        inputs
    }

    fn outputs(&self) -> Vec<Output> {
        vec![Output::new("model", ArtifactType::Model)]
    }

    fn describe(&self, key: &mut dyn Manifest) {
        describe(key, &self.settings, &[]);
        key.seed();
        key.device();
    }

    fn run(&self, cx: &mut StageContext<'_>) -> Result<()> {
        let loaded = self.load(cx)?;
        let plan = loaded
            .network
            .resolve(&loaded.card.freeze.clone().unwrap_or_default())?;
        checks::report_frozen(
            &loaded.network,
            &plan,
            self.settings.learning_rate.value,
            cx,
        );
        let data = self.data(&loaded.network, cx)?;
        let outcome = self.train(&loaded.network, &plan, &data, cx)?;
        let card = self.card(loaded.card, data.max_length, &outcome, cx.seed());
        outcome.network.save(cx.output("model"), &card)?;
        copy_tokenizer(cx.input("model"), cx.output("model"))?;
        cx.set_metrics(figures(&outcome, self.settings.metric()?));
        Ok(())
    }
}

/// The tables as the network takes them.
struct Data {
    train: Samples,
    validation: Option<Samples>,
    /// The most tokens of a text that count.
    max_length: usize,
    /// The token that fills shorter texts of a batch.
    pad_id: u32,
}

impl Finetune {
    /// The model with a head for our labels on it, every tensor accounted for.
    fn load(&self, cx: &StageContext<'_>) -> Result<Loaded> {
        let dropout = self.settings.classifier_dropout.as_ref();
        let head = Head {
            task: self.settings.task,
            labels: self.settings.label_names(),
            pooling: self.settings.pooling,
            dropout: dropout.map(|dropout| dropout.value),
            seed: cx.seed(),
        };
        let loaded = Network::load(cx.input("model"), &head, &models::device(cx.device())?)?;
        checks::label_order(&loaded.card.labels, &head.labels)?;
        checks::report_tensors(&loaded, cx);
        Ok(loaded)
    }

    /// Reads the tables, checks them, and turns texts into tokens.
    fn data(&self, network: &Network, cx: &StageContext<'_>) -> Result<Data> {
        let labels = self.settings.label_names();
        let train = self.read("train", &labels, cx)?;
        checks::every_label_comes(&labels, &train)?;
        let validation = cx.optional_input("validation");
        let validation = validation
            .map(|_| self.read("validation", &labels, cx))
            .transpose()?;
        if let Some(validation) = &validation {
            checks::metric_is_defined(self.settings.metric()?, &labels, validation)?;
            checks::report_shared(&train, validation, cx);
        }
        let tokenizer = Tokenizer::load(cx.input("model"))?;
        checks::token_ids(&tokenizer, network)?;
        let max_length = self.max_length(network)?;
        let samples = |name, examples| encode(&tokenizer, name, examples, max_length, cx);
        Ok(Data {
            train: samples("train", train)?,
            validation: validation
                .map(|examples| samples("validation", examples))
                .transpose()?,
            max_length,
            pad_id: tokenizer.pad_id(),
        })
    }

    fn read(&self, port: &str, labels: &[String], cx: &StageContext<'_>) -> Result<Examples> {
        let settings = &self.settings;
        let examples = read_examples(
            cx.input(port),
            &settings.text_column,
            &settings.target_column,
            labels,
        )
        .map_err(|error| error.note(format!("in the table of port `{port}`")))?;
        cx.log(format!("{port}: {}", checks::counted(labels, &examples)));
        Ok(examples)
    }

    fn max_length(&self, network: &Network) -> Result<usize> {
        let most = network.max_tokens().unwrap_or(usize::MAX);
        match self.settings.max_length {
            None => Ok(MAX_LENGTH.min(most)),
            Some(length) if length.get() <= most => Ok(length.get()),
            Some(length) => Err(Error::stage(format!(
                "`max_length` is {length}, but the model takes {most} tokens at most"
            ))
            .help(format!("set max_length = {most} or lower"))),
        }
    }

    /// Checks one step, computes the features of the frozen layers, and trains.
    fn train(
        &self,
        network: &Network,
        plan: &Resolved,
        data: &Data,
        cx: &StageContext<'_>,
    ) -> Result<Outcome> {
        let labels = self.settings.label_names();
        let recipe = self
            .settings
            .recipe(&data.train.class_counts(labels.len()), cx.seed())?;
        let prefix = Prefix::new(network.clone(), plan.prefix, data.pad_id, cx.device())?;
        let training = |train, validation| Training {
            recipe: &recipe,
            labels: &labels,
            train,
            validation,
            host: cx,
        };
        let texts = Feed::without_features(&data.train, &prefix);
        check_step(&training(&texts, None), network, plan)?;

        let feed = |samples| Feed::new(samples, &prefix, cx);
        let train = feed(&data.train)?;
        let validation = data.validation.as_ref().map(feed).transpose()?;
        training(&train, validation.as_ref()).run(network, plan)
    }

    /// What the tuned model's folder says about it.
    fn card(&self, old: Card, max_length: usize, outcome: &Outcome, seed: u64) -> Card {
        let mut settings = serde_json::to_value(&self.settings).unwrap_or_default();
        if let Value::Object(settings) = &mut settings {
            settings.retain(|_, value| !value.is_null());
            settings.insert("seed".into(), json!(seed));
        }
        Card {
            task: Some(self.settings.task),
            labels: self.settings.label_names(),
            max_length: Some(max_length),
            training: BTreeMap::from([
                ("settings".into(), settings),
                ("best_epoch".into(), json!(outcome.best_epoch)),
                ("history".into(), json!(outcome.history)),
            ]),
            ..old
        }
    }
}

/// Texts to token ids; reports how many were cut.
pub(super) fn encode(
    tokenizer: &Tokenizer,
    name: &str,
    examples: Examples,
    max_length: usize,
    cx: &StageContext<'_>,
) -> Result<Samples> {
    let encoded = tokenizer.encode(&examples.texts, max_length)?;
    checks::report_cut(name, &encoded, max_length, cx);
    Ok(Samples {
        tokens: encoded.into_iter().map(|text| text.ids).collect(),
        labels: examples.labels,
    })
}

/// The headline of the best epoch, for the record and the lock.
fn figures(outcome: &Outcome, metric: &Metric) -> BTreeMap<String, f64> {
    let mut figures = outcome.history[outcome.best_epoch - 1].headline(metric);
    #[expect(clippy::cast_precision_loss, reason = "numbers of epochs are small")]
    figures.insert("best_epoch".into(), outcome.best_epoch as f64);
    figures
}

/// Copies the files that turn texts into tokens.
fn copy_tokenizer(from: &Path, to: &Path) -> Result<()> {
    const FILES: [&str; 7] = [
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.txt",
        "vocab.json",
        "merges.txt",
    ];
    for name in FILES.iter().filter(|name| from.join(name).exists()) {
        std::fs::copy(from.join(name), to.join(name))
            .or_stage(|| format!("cannot copy `{name}` to the tuned model"))?;
    }
    Ok(())
}
