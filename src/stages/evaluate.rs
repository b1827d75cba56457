//! `evaluate`: measures a tuned model on a table of texts or on images, by the figures of its task.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::samples::{AtPort, MEASURED, artifacts};
use super::{
    ArtifactType, Gate, Input, Output, Port, Stage, StageContext, StageKind, feature_cache, photos,
};
use crate::config::{Spanned, Table, from_table};
use crate::error::{Context, Error, Result};
use crate::fingerprint::{Manifest, describe};
use crate::inputs::Changes;
use crate::inputs::texts::{Columns, Encoder};
use crate::models::{self, Loaded, Modality};
use crate::store::write_atomic;
use crate::tasks::{self, Outputs, Report, Task, TaskName};
use crate::train::{Loader, Prefix, Samples, outputs};

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
    /// What to measure a model as that is not tuned, where that needs no layer of a task's own: `sentence-similarity`. Default: what it
    /// was tuned to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<Spanned<TaskName>>,
    /// The column with the texts. Default: the one that the model was tuned on.
    text_column: Option<Spanned<String>>,
    /// The column with the second texts of pairs. Default: the one that the model was tuned on.
    text_pair_column: Option<Spanned<String>>,
    /// The column with the labels, or the number, of texts. Default: the one that the model was tuned on.
    target_column: Option<Spanned<String>>,
    /// The columns with the targets, where there are several. Default: those that the model was tuned on.
    target_columns: Option<Vec<Spanned<String>>>,
    /// The figures to record. Default: all that the model's task has.
    metrics: Option<Vec<Spanned<String>>>,
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

    /// 3: `metrics` that are not set are those of the model's task.
    fn version(&self) -> u32 {
        3
    }

    fn parse(&self, table: &Table) -> Result<Box<dyn Stage>> {
        let settings: Settings = from_table(table)?;
        settings
            .samples()
            .map_err(|error| error.or_at(&table.span, ""))?;
        feature_cache::most_bytes(settings.feature_cache_max.as_ref())?;
        if let Some(task) = &settings.task {
            let checked = task.value.0.check_goes_untuned();
            checked.map_err(|error| task.blame(error, ""))?;
        }
        for name in settings.metrics.iter().flatten() {
            tasks::check_metric(&name.value).map_err(|error| name.blame(error, ""))?;
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
            (Some(table), None) => Ok((TABLE, artifacts(Modality::Texts), table)),
            (None, Some(images)) => {
                let several = self.target_columns.as_ref();
                let columns = [
                    ("text_column", self.text_column.as_ref()),
                    ("text_pair_column", self.text_pair_column.as_ref()),
                    ("target_column", self.target_column.as_ref()),
                    ("target_columns", several.and_then(|all| all.first())),
                ];
                for (name, column) in columns {
                    if let Some(column) = column {
                        let error = Error::usage(format!("`{name}` is for texts, not for images"));
                        return Err(column.blame(error, ""));
                    }
                }
                Ok((IMAGES, artifacts(Modality::Images), images))
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
    tasks::check_metric(metric).map_err(|error| condition.blame(error, ""))?;
    let wanted = settings.metrics.as_ref();
    if wanted.is_some_and(|wanted| !wanted.iter().any(|name| name.value == metric)) {
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

    fn suits(&self, upstream: &dyn Fn(&str) -> Option<&'static Task>) -> Result<()> {
        let Some(task) = self.task().or_else(|| upstream("model")) else {
            return Ok(());
        };
        self.check_metrics(task)?;
        let (port, ..) = self.settings.samples()?;
        match (task.modality, port) {
            (Modality::Texts, IMAGES) | (Modality::Images, TABLE) => Err(wrong_port(task)),
            _ => Ok(()),
        }
    }

    fn run(&self, cx: &mut StageContext<'_>) -> Result<()> {
        let device = models::device(cx.device())?;
        let (task, loaded) = Task::open(self.task(), cx.input("model"), &device)?;
        let card = &loaded.card;
        if self.settings.task.is_some() {
            loaded.choices.iter().for_each(|choice| cx.notice(choice));
        }
        self.check_metrics(task)?;
        let mut found = task
            .targets
            .open(card, task.modality, self.target_columns())?;
        if let Some(column) = &self.settings.text_column {
            found.set_text_column(&column.value);
        }
        let samples = self.read(task, &*found, &loaded, cx)?;
        let plan = card.freeze.clone().unwrap_or_default();
        let frozen = plan.prefix(&loaded.network.anatomy())?;
        let prefix = Prefix::new(loaded.network.clone(), frozen, cx.device())?;
        let setting = self.settings.feature_cache_max.as_ref();
        let most_bytes = feature_cache::most_bytes_or_tuned(setting, card)?;
        let batches = Loader::new(&samples, prefix, most_bytes, cx)?;
        let batch_size = self.settings.batch_size.get();
        let numbers = outputs(&loaded.network, &batches, batch_size, "evaluation", cx)?;
        self.publish(found.score(&numbers, &samples.targets)?, cx)
    }
}

/// The error for samples of another modality than the model's.
fn wrong_port(task: &Task) -> Error {
    match task.modality {
        Modality::Images => Error::stage("the model is for images, and `table` has none")
            .help("name images to measure it on: images = \"…\""),
        Modality::Texts => Error::stage("the model is for texts, and `images` has none")
            .help("name a table to measure it on: table = \"…\""),
    }
}

impl Evaluate {
    /// Refuses metrics and gates that the task does not have.
    fn check_metrics(&self, task: &Task) -> Result<()> {
        for name in self.settings.metrics.iter().flatten() {
            task.metric(&name.value)
                .map_err(|error| name.blame(error, ""))?;
        }
        for gate in &self.gates {
            task.metric(&gate.metric)
                .map_err(|error| error.or_at(&gate.span, "the gate"))?;
        }
        Ok(())
    }

    /// What to measure the model as, where that is not what it was tuned to do.
    fn task(&self) -> Option<&'static Task> {
        self.settings.task.as_ref().map(|task| task.value.0)
    }

    /// The columns with targets that the settings name.
    fn target_columns(&self) -> Option<Vec<String>> {
        let settings = &self.settings;
        let one = settings.target_column.iter();
        let named = one.chain(settings.target_columns.iter().flatten());
        let named: Vec<_> = named.map(|column| column.value.clone()).collect();
        (!named.is_empty()).then_some(named)
    }

    /// The samples as the model takes them.
    fn read(
        &self,
        task: &Task,
        found: &dyn Outputs,
        loaded: &Loaded,
        cx: &StageContext<'_>,
    ) -> Result<Samples> {
        let (port, ..) = self.settings.samples()?;
        let is_for_images = task.modality == Modality::Images;
        if is_for_images != (port == IMAGES) {
            return Err(wrong_port(task));
        }
        let samples = AtPort::open(port, task.modality, cx)?;
        if samples.len() == 0 {
            return Err(Error::stage(match port {
                IMAGES => "there is no image to measure the model on",
                _ => "the table has no row to measure the model on",
            }));
        }
        if let Some(masking) = found.masking() {
            let columns = self.columns(found, loaded)?;
            let encoder = Encoder::of_tuned(cx.input("model"), loaded)?;
            let told = encoder.notice().into_iter();
            told.for_each(|told| cx.notice(told));
            return Ok(samples
                .masked(&columns.first, &encoder, masking, MEASURED, cx)?
                .fixed());
        }
        let targets = samples
            .targets(found, cx)
            .map_err(|error| error.note("`labels` are those that the model was tuned on"))?;
        if task.targets.by_word() {
            let columns = self.columns(found, loaded)?;
            if let Some(second) = &self.settings.text_pair_column {
                let error = Error::stage(
                    "the model takes lists of words, and `text_pair_column` is for pairs of texts",
                );
                return Err(second.blame(error, ""));
            }
            let encoder = Encoder::of_tuned(cx.input("model"), loaded)?;
            let told = encoder.notice().into_iter();
            told.for_each(|told| cx.notice(told));
            return samples.words(&columns.first, &targets, &encoder, None, cx);
        }
        let inputs = match task.modality {
            Modality::Images => {
                let asked = photos::asked("model", &loaded.network, cx)?;
                samples.seen(asked, cx);
                samples.images(&loaded.network, asked, Changes::default())?
            }
            Modality::Texts => {
                let columns = self.columns(found, loaded)?;
                let encoder = Encoder::of_tuned(cx.input("model"), loaded)?;
                encoder
                    .notice()
                    .into_iter()
                    .for_each(|told| cx.notice(told));
                samples.tokens(&samples.sentences(&columns)?, &encoder, cx)?
            }
        };
        Ok(Samples::new(inputs, targets))
    }

    /// The columns of texts: those that the settings name, or those that the model was tuned on.
    fn columns(&self, found: &dyn Outputs, loaded: &Loaded) -> Result<Columns> {
        let tuned = Columns::of_tuned(&loaded.card);
        let named =
            |column: &Option<Spanned<String>>| column.as_ref().map(|name| name.value.clone());
        let first = named(&self.settings.text_column)
            .or_else(|| tuned.as_ref().map(|tuned| tuned.first.clone()));
        let apart = found.apart().map(<[String]>::to_vec);
        let second =
            named(&self.settings.text_pair_column).or_else(|| tuned.and_then(|tuned| tuned.second));
        if apart.is_some() && second.is_none() {
            return Err(tasks::unknown_column("text_pair_column"));
        }
        Ok(Columns {
            first: first.ok_or_else(|| tasks::unknown_column("text_column"))?,
            second,
            apart,
        })
    }

    /// Writes `metrics.json`, the table by label to the log, and the figures to the record.
    fn publish(&self, mut report: Report, cx: &mut StageContext<'_>) -> Result<()> {
        let mut asked = self.settings.metrics.iter().flatten();
        let refused = asked.find_map(|name| Some((name, report.elsewhere.get(&name.value)?)));
        if let Some((name, why)) = refused {
            let error = Error::stage(format!("`{}` cannot be measured: {why}", name.value));
            return Err(name.blame(error, ""));
        }
        if let Some(metrics) = &self.settings.metrics {
            let wanted = |name: &str| metrics.iter().any(|metric| metric.value == name);
            report.figures.retain(|name, _| wanted(name));
            report.undefined.retain(|name| wanted(name));
        }
        for name in &report.undefined {
            cx.notice(format!(
                "`{name}` is undefined on these samples: a label has none"
            ));
        }
        for line in &report.table {
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
