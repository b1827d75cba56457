//! `evaluate`: measures a tuned model on a table.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::finetune::encode;
use super::{ArtifactType, Gate, Input, Output, Port, Stage, StageContext, StageKind};
use crate::config::{Spanned, Table, from_table};
use crate::data::text::read_examples;
use crate::error::{Context, Error, Result};
use crate::fingerprint::{Manifest, describe};
use crate::models::{self, Card, Network, Tokenizer};
use crate::store::write_atomic;
use crate::train::metrics::{self, METRICS, Report};
use crate::train::{Feed, Prefix, predict};

/// The kind `evaluate`.
pub(super) struct EvaluateKind;

/// Measures a tuned model on a table of labelled texts.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The tuned model.
    model: Port,
    /// The table to measure it on.
    table: Port,
    /// The column with the texts. Default: the one that the model was tuned on.
    #[serde(default)]
    text_column: Option<String>,
    /// The column with the labels. Default: the one that the model was tuned on.
    #[serde(default)]
    target_column: Option<String>,
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
        "measures a tuned model on a table, and stops what depends on it unless the gates pass"
    }

    fn version(&self) -> u32 {
        1
    }

    fn parse(&self, table: &Table) -> Result<Box<dyn Stage>> {
        let settings: Settings = from_table(table)?;
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
        vec![
            input("model", &[ArtifactType::Model], &self.settings.model),
            input("table", &[ArtifactType::Table], &self.settings.table),
        ]
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
        let card = &loaded.card;
        let text_column = column(self.settings.text_column.as_ref(), "text_column", card)?;
        let target_column = column(self.settings.target_column.as_ref(), "target_column", card)?;
        let examples = read_examples(
            cx.input("table"),
            &text_column,
            &target_column,
            &card.labels,
        )
        .map_err(|error| error.note("`labels` are those that the model was tuned on"))?;
        if examples.texts.is_empty() {
            return Err(Error::stage("the table has no row to measure the model on"));
        }
        let tokenizer = Tokenizer::load(cx.input("model"))?;
        let most = loaded.network.max_tokens().unwrap_or(usize::MAX);
        let samples = encode(
            &tokenizer,
            "table",
            examples,
            card.max_length.unwrap_or(most),
            cx,
        )?;

        let plan = loaded
            .network
            .resolve(&card.freeze.clone().unwrap_or_default())?;
        let prefix = Prefix::new(
            loaded.network.clone(),
            plan.prefix,
            tokenizer.pad_id(),
            cx.device(),
        )?;
        let feed = Feed::new(&samples, &prefix, cx)?;
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
                "`{name}` is undefined on this table: a label has no row"
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
fn column(setting: Option<&String>, name: &str, card: &Card) -> Result<String> {
    let tuned_on = || card.training.get("settings")?.get(name)?.as_str();
    setting
        .map(String::as_str)
        .or_else(tuned_on)
        .map(String::from)
        .ok_or_else(|| {
            Error::stage(format!(
                "the model does not say which `{name}` it was tuned on"
            ))
            .help(format!("set `{name}` in this stage"))
        })
}
