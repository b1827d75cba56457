//! `evaluate`: measures a tuned model on a table of texts or on images.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::finetune::{encode, report_missing_labels, report_positions, tokenizer};
use super::{
    ArtifactType, Gate, Input, Output, Port, Stage, StageContext, StageKind, feature_cache, photos,
};
use crate::config::{Spanned, Table, from_table};
use crate::data::text::read_examples;
use crate::error::{Context, Error, Result};
use crate::fingerprint::{Manifest, describe};
use crate::models::{self, Card, Loaded, Network, Task};
use crate::store::write_atomic;
use crate::train::metrics::{self, METRICS, Report};
use crate::train::{Feed, Prefix, Samples, predict};

/// The kind `evaluate`.
pub(super) struct EvaluateKind;

const TABLE: &str = "table";
const IMAGES: &str = "images";

/// Measures a tuned model on labelled texts or images.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The tuned model.
    model: Port,
    /// The table of texts to measure it on.
    table: Option<Port>,
    /// The images to measure it on.
    images: Option<Port>,
    /// The column with the texts. Default: the one that the model was tuned on.
    text_column: Option<Spanned<String>>,
    /// The column with the labels of texts. Default: the one that the model was tuned on.
    target_column: Option<Spanned<String>>,
    /// The figures to record. Default: all of them.
    #[serde(default = "all")]
    metrics: Vec<Spanned<String>>,
    /// Conditions that must hold for what depends on this stage to run, such as `{ accuracy = ">= 0.75" }`. They are checked against
    /// the recorded figures on every run.
    #[serde(default)]
    gate: BTreeMap<String, Spanned<String>>,
    /// Samples in a batch.
    #[serde(default = "batch_size")]
    batch_size: NonZeroUsize,
    /// The most room that what the frozen layers give may take, such as "500MiB"; beyond it, it is not kept. Default: what the model
    /// was tuned with.
    feature_cache_max: Option<Spanned<String>>,
}

fn all() -> Vec<Spanned<String>> {
    let names = METRICS.iter().map(|metric| metric.name.to_string());
    names.map(Spanned::from).collect()
}

fn batch_size() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(31)
}

impl StageKind for EvaluateKind {
    fn name(&self) -> &'static str {
        "evaluate"
    }

    fn about(&self) -> &'static str {
        "measures a tuned model on texts or images, and stops what depends on it unless the gates pass"
    }

    /// 2: booleans and numbers are the labels of the same value, and what a
    /// `preprocessor_config.json` says about colours is honoured; images
    /// keep every token of their features.
    fn version(&self) -> u32 {
        2
    }

    fn parse(&self, table: &Table) -> Result<Box<dyn Stage>> {
        let settings: Settings = from_table(table)?;
        settings
            .samples()
            .map_err(|error| error.or_at(&table.span, ""))?;
        feature_cache::most_bytes(settings.feature_cache_max.as_ref())?;
        for name in &settings.metrics {
            metrics::find(&name.value).map_err(|error| name.blame(error, ""))?;
        }
        let gates = settings
            .gate
            .iter()
            .map(|(metric, condition)| gate(&settings, metric, condition, table))
            .collect::<Result<_>>()?;
        Ok(Box::new(Evaluate { settings, gates }))
    }

    fn schema(&self, generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        generator.subschema_for::<Settings>()
    }
}

impl Settings {
    /// The port of the samples, what it takes, and where they come from.
    fn samples(&self) -> Result<(&'static str, &'static [ArtifactType], &Port)> {
        match (&self.table, &self.images) {
            (Some(table), None) => Ok((TABLE, &[ArtifactType::Table], table)),
            (None, Some(images)) => {
                let columns = [
                    ("text_column", &self.text_column),
                    ("target_column", &self.target_column),
                ];
                for (name, column) in columns {
                    if let Some(column) = column {
                        let error = Error::usage(format!("`{name}` is for texts, not for images"));
                        return Err(column.blame(error, ""));
                    }
                }
                Ok((IMAGES, &[ArtifactType::Images], images))
            }
            (Some(Port(table)), Some(Port(images))) => Err(images.blame_also(
                table,
                Error::usage("`table` and `images` both say what to measure the model on"),
            )),
            (None, None) => Err(Error::usage("missing key `table`")
                .help("name a `table` of texts, or `images`, to measure the model on")),
        }
    }
}

/// A gate on a metric that exists and is recorded.
fn gate(
    settings: &Settings,
    metric: &str,
    condition: &Spanned<String>,
    table: &Table,
) -> Result<Gate> {
    metrics::find(metric).map_err(|error| condition.blame(error, ""))?;
    if !settings.metrics.iter().any(|name| name.value == metric) {
        let error = Error::usage(format!("the gate on `{metric}` needs it among `metrics`"));
        return Err(condition.blame(error.help(format!("add \"{metric}\" to `metrics`")), ""));
    }
    Gate::parse(
        metric,
        &condition.value,
        condition.span.as_ref().unwrap_or(&table.span),
    )
}

struct Evaluate {
    settings: Settings,
    gates: Vec<Gate>,
}

impl Stage for Evaluate {
    fn inputs(&self) -> Vec<Input> {
        let input = |port: &str, accepts, from: &Port| Input {
            port: port.into(),
            accepts,
            from: from.clone(),
        };
        let mut inputs = vec![input("model", &[ArtifactType::Model], &self.settings.model)];
        if let Ok((port, accepts, from)) = self.settings.samples() {
            inputs.push(input(port, accepts, from));
        }
        inputs
    }

    fn outputs(&self) -> Vec<Output> {
        vec![Output::new("metrics", ArtifactType::Metrics)]
    }

    fn describe(&self, key: &mut dyn Manifest) {
        let skipped = [("gate", "checked against the recorded figures on every run")];
        describe(key, &self.settings, &skipped);
        key.device();
    }

    fn gates(&self) -> &[Gate] {
        &self.gates
    }

    fn run(&self, cx: &mut StageContext<'_>) -> Result<()> {
        let loaded = Network::open(cx.input("model"), &models::device(cx.device())?)?;
        let samples = self.read(&loaded, cx)?;
        let card = &loaded.card;
        let plan = loaded
            .network
            .resolve(&card.freeze.clone().unwrap_or_default())?;
        let prefix = Prefix::new(loaded.network.clone(), plan.prefix, cx.device())?;
        let setting = self.settings.feature_cache_max.as_ref();
        let most_bytes = feature_cache::most_bytes_or_tuned(setting, card)?;
        let feed = Feed::new(&samples, prefix, most_bytes, cx)?;
        let batch_size = self.settings.batch_size.get();
        let predictions = predict(
            &loaded.network,
            &feed,
            card.labels.len(),
            batch_size,
            "evaluation",
            cx,
        )?;
        self.publish(Report::new(&predictions, &card.labels), cx)
    }
}

impl Evaluate {
    /// The samples as the model takes them.
    fn read(&self, loaded: &Loaded, cx: &StageContext<'_>) -> Result<Samples> {
        let (port, ..) = self.settings.samples()?;
        let samples = match (loaded.card.task, port) {
            (Some(Task::ImageClassification), IMAGES) => {
                let asked = photos::asked("model", &loaded.network, cx)?;
                photos::seen(port, asked, cx)?;
                photos::samples(
                    port,
                    &loaded.card.labels,
                    &loaded.network,
                    asked,
                    photos::Changes::default(),
                    cx,
                )?
            }
            (Some(Task::ImageClassification), _) => {
                return Err(
                    Error::stage("the model is for images, and `table` has none")
                        .help("name images to measure it on: images = \"…\""),
                );
            }
            (_, IMAGES) => {
                return Err(
                    Error::stage("the model is for texts, and `images` has none")
                        .help("name a table to measure it on: table = \"…\""),
                );
            }
            _ => self.read_texts(loaded, cx)?,
        };
        if samples.is_empty() {
            return Err(Error::stage(match port {
                IMAGES => "there is no image to measure the model on",
                _ => "the table has no row to measure the model on",
            }));
        }
        report_missing_labels(port, &loaded.card.labels, &samples, cx)?;
        Ok(samples)
    }

    fn read_texts(&self, loaded: &Loaded, cx: &StageContext<'_>) -> Result<Samples> {
        let card = &loaded.card;
        let text_column = column(self.settings.text_column.as_ref(), "text_column", card)?;
        let target_column = column(self.settings.target_column.as_ref(), "target_column", card)?;
        let examples =
            read_examples(cx.input(TABLE), &text_column, &target_column, &card.labels)
                .map_err(|error| error.note("`labels` are those that the model was tuned on"))?;
        report_positions([Some(&examples)], cx);
        let tokenizer = tokenizer(cx)?;
        let most = loaded.network.max_tokens().unwrap_or(usize::MAX);
        let max_length = card.max_length.unwrap_or(most).min(most);
        encode(&tokenizer, TABLE, examples, max_length, cx)
    }

    /// Writes `metrics.json`, the table by label to the log, and the figures to the record.
    fn publish(&self, mut report: Report, cx: &mut StageContext<'_>) -> Result<()> {
        let wanted = |name: &str| {
            self.settings
                .metrics
                .iter()
                .any(|metric| metric.value == name)
        };
        report.figures.retain(|name, _| wanted(name));
        report.undefined.retain(|name| wanted(name));
        for name in &report.undefined {
            cx.notice(format!(
                "`{name}` is undefined on these samples: a label has none"
            ));
        }
        for line in report.table() {
            cx.log(line);
        }
        let mut json =
            serde_json::to_vec_pretty(&json!(report)).or_stage(|| "cannot write the figures")?;
        json.push(b'\n');
        write_atomic(&cx.output("metrics").join("metrics.json"), &json)?;
        cx.set_metrics(report.figures);
        Ok(())
    }
}

/// The column that the settings name, or the one that the model was tuned on.
fn column(setting: Option<&Spanned<String>>, name: &str, card: &Card) -> Result<String> {
    let tuned_on = || card.training.get("settings")?.get(name)?.as_str();
    setting
        .map(|setting| setting.value.as_str())
        .or_else(tuned_on)
        .map(String::from)
        .ok_or_else(|| {
            Error::stage(format!(
                "the model does not say which `{name}` it was tuned on"
            ))
            .help(format!("set `{name}` in this stage"))
        })
}
