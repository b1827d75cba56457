//! `finetune`: trains a pretrained model on a table of labelled texts.
//!
//! It reads as a story: load, check, compute features, train, write.

mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use settings::Settings;

use super::{ArtifactType, Input, Output, Stage, StageContext, StageKind};
use crate::config::{Table, from_table};
use crate::data::text::{Examples, read_examples, shared};
use crate::error::{Context, Error, Result};
use crate::fingerprint::{Manifest, describe};
use crate::models::{self, Card, Head, Loaded, Network, Resolved, Tokenizer};
use crate::train::metrics::{Metric, Predictions, Report};
use crate::train::{Feed, Outcome, Prefix, Recipe, Samples, Training, check_step};

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
        let tokenizer = Tokenizer::load(cx.input("model"))?;
        if let Some(rows) = loaded.network.vocabulary() {
            tokenizer.check_fits(rows)?;
        }
        let max_length = self.max_length(&loaded.network)?;
        let train = self.read("train", cx)?;
        let validation = cx
            .optional_input("validation")
            .map(|_| self.read("validation", cx))
            .transpose()?;
        let class_counts = train.class_counts(self.settings.labels.len());
        let recipe = self.settings.recipe(&class_counts, cx.seed())?;
        self.check_labels(&train, validation.as_ref(), &recipe, cx)?;
        let samples =
            |name: &str, examples: Examples| encode(&tokenizer, name, examples, max_length, cx);
        let train = samples("train", train)?;
        let validation = validation
            .map(|examples| samples("validation", examples))
            .transpose()?;
        report_frozen(
            &loaded.network,
            &plan,
            self.settings.learning_rate.value,
            cx,
        );

        let prefix = Prefix::new(
            loaded.network.clone(),
            plan.prefix,
            tokenizer.pad_id(),
            cx.device(),
        )?;
        let labels = self.settings.label_names();
        let feed = Feed::without_features(&train, &prefix);
        let training = |train, validation| Training {
            recipe: &recipe,
            labels: &labels,
            train,
            validation,
            host: cx,
        };
        check_step(&training(&feed, None), &loaded.network, &plan)?;

        let feed = Feed::new(&train, &prefix, cx)?;
        let validation = validation
            .as_ref()
            .map(|samples| Feed::new(samples, &prefix, cx))
            .transpose()?;
        let outcome = training(&feed, validation.as_ref()).run(&loaded.network, &plan)?;
        let card = self.card(loaded.card, max_length, &outcome, cx.seed());
        outcome.network.save(cx.output("model"), &card)?;
        copy_tokenizer(cx.input("model"), cx.output("model"))?;
        cx.set_metrics(figures(&outcome, recipe.metric));
        Ok(())
    }
}

impl Finetune {
    /// The model with a head for our labels on it, every tensor accounted for.
    fn load(&self, cx: &StageContext<'_>) -> Result<Loaded> {
        let head = Head {
            task: self.settings.task,
            labels: self.settings.label_names(),
            pooling: self.settings.pooling,
            dropout: self
                .settings
                .classifier_dropout
                .as_ref()
                .map(|dropout| dropout.value),
            seed: cx.seed(),
        };
        let loaded = Network::load(cx.input("model"), &head, &models::device(cx.device())?)?;
        let old = &loaded.card.labels;
        if *old != head.labels
            && old.len() == head.labels.len()
            && head.labels.iter().all(|label| old.contains(label))
        {
            return Err(
                Error::stage("the model has the same labels in another order")
                    .note(format!("the model's labels: {}", old.join(", ")))
                    .help("write `labels` in the model's order, so that it keeps what it learnt"),
            );
        }
        if !loaded.missing.is_empty() {
            cx.log(format!(
                "new weights, drawn from the seed: {}",
                loaded.missing.join(", ")
            ));
        }
        if !loaded.unused.is_empty() {
            cx.log(format!(
                "weights of the checkpoint that this task leaves out: {}",
                loaded.unused.join(", ")
            ));
        }
        Ok(loaded)
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

    fn read(&self, port: &str, cx: &StageContext<'_>) -> Result<Examples> {
        let settings = &self.settings;
        read_examples(
            cx.input(port),
            &settings.text_column,
            &settings.target_column,
            &settings.label_names(),
        )
        .map_err(|error| error.note(format!("in the table of port `{port}`")))
    }

    /// Reports how often each label comes and which texts come twice; refuses labels that cannot be learnt and a metric that cannot be
    /// measured.
    fn check_labels(
        &self,
        train: &Examples,
        validation: Option<&Examples>,
        recipe: &Recipe,
        cx: &StageContext<'_>,
    ) -> Result<()> {
        let labels = self.settings.label_names();
        let counts = train.class_counts(labels.len());
        cx.log(format!("train: {}", counted(&labels, &counts)));
        if let Some(missing) = counts.iter().position(|count| *count == 0) {
            return Err(Error::stage(format!(
                "no row of the training table has the label `{}`",
                labels[missing]
            ))
            .help("take it out of `labels`, or look at how the table was made"));
        }
        let Some(validation) = validation else {
            return Ok(());
        };
        let counts = validation.class_counts(labels.len());
        cx.log(format!("validation: {}", counted(&labels, &counts)));
        if validation.texts.is_empty() {
            return Err(Error::stage("the validation table has no row"));
        }
        let nothing = vec![0.0; validation.labels.len() * labels.len()];
        let report = Report::new(
            &Predictions::from_logits(&nothing, &validation.labels, labels.len())?,
            &labels,
        );
        let metric = recipe.metric.name;
        if report.undefined.iter().any(|name| name == metric) {
            return Err(Error::stage(format!(
                "`{metric}` cannot be measured: a label has no row in the validation table"
            ))
            .note(format!(
                "rows of the validation table: {}",
                counted(&labels, &counts)
            ))
            .help("choose another `metric_for_best_model`, or stratify the split"));
        }
        let twice = shared(&train.texts, &validation.texts);
        if twice.rows > 0 {
            cx.notice(format!(
                "{} of {} validation texts are also in the training table",
                twice.rows,
                validation.texts.len()
            ));
        }
        Ok(())
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

/// `negative 400, positive 400`.
fn counted(labels: &[String], counts: &[usize]) -> String {
    let pairs = labels
        .iter()
        .zip(counts)
        .map(|(label, count)| format!("{label} {count}"));
    pairs.collect::<Vec<_>>().join(", ")
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
    let cut = encoded.iter().filter(|text| text.truncated).count();
    if cut > 0 {
        let percent = 100 * cut / encoded.len();
        cx.notice(format!("{cut} of {} {name} texts ({percent} %) are longer than {max_length} tokens and are cut", encoded.len()));
    }
    Ok(Samples {
        tokens: encoded.into_iter().map(|text| text.ids).collect(),
        labels: examples.labels,
    })
}

/// Says what trains, and what learning rate is usual for it.
fn report_frozen(network: &Network, plan: &Resolved, learning_rate: f64, cx: &StageContext<'_>) {
    let (mut trained, mut total, mut head_only) = (0, 0, true);
    for (parameter, frozen) in network.parameters().iter().zip(&plan.frozen) {
        let size = parameter.shape.iter().product::<usize>();
        total += size;
        if !frozen {
            trained += size;
            head_only &= parameter.head;
        }
    }
    cx.log(format!(
        "{trained} of {total} weights train; the first {} of {} blocks are frozen",
        plan.prefix,
        network.blocks().len()
    ));
    if head_only && learning_rate < 2e-4 {
        cx.notice(format!(
            "only the head trains: `learning_rate` {learning_rate} is low for it, 1e-3 is usual"
        ));
    } else if !head_only && learning_rate > 2e-4 {
        cx.notice(format!("pretrained layers train: `learning_rate` {learning_rate} is high for them, 3e-5 is usual"));
    }
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
