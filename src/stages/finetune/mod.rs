//! `finetune`: trains a pretrained model on labelled texts or images.
//!
//! It reads as a story: load, check, compute features, train, write.

mod checks;
mod images;
mod labels;
mod plan;
mod settings;
#[cfg(test)]
mod tests;
mod texts;

use std::collections::BTreeMap;
use std::path::Path;

pub(super) use checks::report_missing_labels;
use plan::Plan;
use serde_json::{Value, json};
use settings::Settings;
pub(super) use texts::{encode, report_positions, tokenizer};

use super::{ArtifactType, Input, LocalFile, Output, Stage, StageContext, StageKind};
use crate::config::{Table, from_table};
use crate::error::Result;
use crate::fingerprint::{Manifest, describe};
use crate::models::{self, Card, Head, ImageInput, Loaded, Network, Task};
use crate::train::metrics::Metric;
use crate::train::{Outcome, Prefix, Samples, Training, check_step, resumes_at};

/// The kind `finetune`.
pub(super) struct FinetuneKind;

impl StageKind for FinetuneKind {
    fn name(&self) -> &'static str {
        "finetune"
    }

    fn about(&self) -> &'static str {
        "trains a pretrained model on labelled texts or images"
    }

    /// 2: booleans and numbers are the labels of the same value, the folder
    /// says how photos were prepared, and `do_normalize` and the like are honoured; images
    /// keep every token of their features, a training that goes on its running statistics; batches of texts do not depend on
    /// `feature_cache_max`, and what follows the layers learns as the last of them.
    fn version(&self) -> u32 {
        2
    }

    fn parse(&self, table: &Table) -> Result<Box<dyn Stage>> {
        let mut settings: Settings = from_table(table)?;
        settings
            .complete()
            .map_err(|error| error.or_at(&table.span, ""))?;
        let labels = labels::file(&settings, &table.span);
        Ok(Box::new(Finetune { settings, labels }))
    }

    fn schema(&self, generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        generator.subschema_for::<Settings>()
    }
}

struct Finetune {
    settings: Settings,
    /// The file that lists the labels.
    labels: Option<LocalFile>,
}

impl Stage for Finetune {
    fn inputs(&self) -> Vec<Input> {
        let input = |port: &str, accepts, from: &super::Port| Input {
            port: port.into(),
            accepts,
            from: from.clone(),
        };
        let settings = &self.settings;
        let samples: &[_] = match settings.task {
            Task::TextClassification => &[ArtifactType::Table],
            Task::ImageClassification => &[ArtifactType::Images],
        };
        let mut inputs = vec![
            input("model", &[ArtifactType::Model], &settings.model),
            input("train", samples, &settings.train),
        ];
        if let Some(validation) = &settings.validation {
            inputs.push(input("validation", samples, validation));
        }
        inputs
    }

    fn outputs(&self) -> Vec<Output> {
        vec![Output::new("model", ArtifactType::Model)]
    }

    fn files(&self) -> Vec<LocalFile> {
        self.labels.iter().cloned().collect()
    }

    fn describe(&self, key: &mut dyn Manifest) {
        let skipped: &[_] = match self.labels {
            Some(_) => &[("labels_file", "the file enters by its content")],
            None => &[],
        };
        describe(key, &self.settings, skipped);
        key.seed();
        key.device();
    }

    fn notes(&self) -> Vec<String> {
        self.settings.notes()
    }

    fn check(&self) -> Result<()> {
        let labels = self.labels.as_ref();
        let labels = labels.map(|file| labels::read(&self.settings, file));
        labels.transpose().map(drop)
    }

    fn resumes(&self, checkpoint: &Path) -> Option<String> {
        let epoch = resumes_at(checkpoint)?;
        Some(format!("goes on at epoch {epoch}"))
    }

    fn run(&self, cx: &mut StageContext<'_>) -> Result<()> {
        let labels = labels::decide(&self.settings, self.labels.as_ref(), cx)?;
        let loaded = self.load(&labels, cx)?;
        let plan = Plan::new(&self.settings, &loaded.network, &loaded.card, cx)?;
        let data = self.data(&labels, &loaded, cx)?;
        let outcome = self.train(&loaded.network, &plan, &labels, &data, cx)?;
        let card = self.card(loaded.card, labels, &data, &outcome, cx.seed());
        let (base, folder) = (cx.input("model"), cx.output("model"));
        outcome.network.save_beside(base, folder, &card)?;
        data.extra.write(cx)?;
        cx.set_metrics(figures(&outcome, self.settings.metric()?));
        Ok(())
    }
}

/// The samples as the network takes them.
struct Data {
    train: Samples,
    validation: Option<Samples>,
    extra: Extra,
}

/// What the tuned model's folder says beside its weights about how samples become its input.
enum Extra {
    Texts {
        /// The most tokens of a text that count.
        max_length: usize,
    },
    Images {
        /// Size and colours.
        input: ImageInput,
    },
}

impl Extra {
    fn write(&self, cx: &StageContext<'_>) -> Result<()> {
        let (from, to) = (cx.input("model"), cx.output("model"));
        match self {
            Self::Texts { .. } => models::copy_tokenizer(from, to),
            Self::Images { input } => {
                models::copy_companions(from, to)?;
                input.write(to)
            }
        }
    }
}

impl Finetune {
    /// The model with a head for our labels on it, every tensor accounted for.
    fn load(&self, labels: &[String], cx: &StageContext<'_>) -> Result<Loaded> {
        let dropout = self.settings.classifier_dropout.as_ref();
        let head = Head {
            task: self.settings.task,
            labels: labels.to_vec(),
            pooling: self.settings.pooling.as_ref().map(|pooling| pooling.value),
            dropout: dropout.map(|dropout| dropout.value),
            seed: cx.seed(),
        };
        let loaded = Network::load(cx.input("model"), &head, &models::device(cx.device())?)?;
        checks::report_loaded(&loaded, cx);
        Ok(loaded)
    }

    /// Reads the samples and checks their labels.
    fn data(&self, labels: &[String], loaded: &Loaded, cx: &StageContext<'_>) -> Result<Data> {
        let settings = &self.settings;
        let data = match settings.task {
            Task::TextClassification => texts::data(settings, labels, loaded, cx)?,
            Task::ImageClassification => images::data(settings, labels, &loaded.network, cx)?,
        };
        cx.log(format!("train: {}", checks::counted(labels, &data.train)));
        checks::report_missing_labels("train", labels, &data.train, cx)?;
        if let Some(validation) = &data.validation {
            checks::report_missing_labels("validation", labels, validation, cx)?;
            cx.log(format!(
                "validation: {}",
                checks::counted(labels, validation)
            ));
            checks::metric_is_defined(self.settings.metric()?, labels, validation)?;
        }
        Ok(data)
    }

    /// Checks one step, computes the features of the frozen layers, and trains.
    fn train(
        &self,
        network: &Network,
        plan: &Plan,
        labels: &[String],
        data: &Data,
        cx: &StageContext<'_>,
    ) -> Result<Outcome> {
        let counts = data.train.class_counts(labels.len());
        let recipe = self.settings.recipe(labels, &counts, cx.seed())?;
        let training = Training {
            recipe: &recipe,
            labels,
            phases: &plan.phases,
            rate_scales: &plan.rate_scales,
            train: &data.train,
            validation: data.validation.as_ref(),
            prefix: &Prefix::new(network.clone(), 0, cx.device())?,
            host: cx,
        };
        check_step(&training, network)?;
        training.run(network)
    }

    /// What the tuned model's folder says about it.
    fn card(
        &self,
        old: Card,
        labels: Vec<String>,
        data: &Data,
        outcome: &Outcome,
        seed: u64,
    ) -> Card {
        let mut settings = serde_json::to_value(&self.settings).unwrap_or_default();
        if let Value::Object(settings) = &mut settings {
            settings.retain(|_, value| !value.is_null());
            settings.insert("seed".into(), json!(seed));
        }
        let mut training = BTreeMap::from([
            ("settings".into(), settings),
            ("best_epoch".into(), json!(outcome.best_epoch)),
            ("history".into(), json!(outcome.history)),
        ]);
        if let Some(plan) = &old.freeze {
            training.insert(plan::FREEZE.into(), json!(plan));
        }
        Card {
            task: Some(self.settings.task),
            labels,
            max_length: match data.extra {
                Extra::Texts { max_length } => Some(max_length),
                Extra::Images { .. } => None,
            },
            training,
            ..old
        }
    }
}

/// The headline of the best epoch, for the record and the lock.
fn figures(outcome: &Outcome, metric: &Metric) -> BTreeMap<String, f64> {
    let mut figures = outcome.history[outcome.best_epoch - 1].headline(metric);
    #[expect(clippy::cast_precision_loss, reason = "numbers of epochs are small")]
    figures.insert("best_epoch".into(), outcome.best_epoch as f64);
    figures
}
