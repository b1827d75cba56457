//! `evaluate`: measures a tuned model on a table of texts or on images, by the figures of its task.

mod by_sample;
mod settings;
mod slices;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use self::settings::{Settings, gate};
use self::slices::Slice;
use super::samples::{AtPort, MEASURED};
use super::{
    ArtifactType, Gate, Input, Output, Port, Stage, StageContext, StageKind, feature_cache, photos,
};
use crate::config::{Spanned, Table, from_table};
use crate::error::{Context, Error, Result, Span};
use crate::fingerprint::{Manifest, describe};
use crate::inputs::texts::{Columns, Encoder};
use crate::inputs::{Changes, words};
use crate::models::{self, Loaded, Modality};
use crate::store::write_atomic;
use crate::tasks::{self, Given, Outputs, Report, Task};
use crate::train::{Loader, Prefix, Samples, Targets, outputs};

/// The kind `evaluate`.
pub(super) struct EvaluateKind;

const TABLE: &str = "table";
const IMAGES: &str = "images";

/// The port of what the model says of each sample.
const PREDICTIONS: &str = "predictions";

impl StageKind for EvaluateKind {
    fn name(&self) -> &'static str {
        "evaluate"
    }

    fn about(&self) -> &'static str {
        "measures a tuned model on texts or images, and stops what depends on it unless the gates pass"
    }

    /// 3: `metrics` that are not set are those of the model's task. 4: intervals, slices, and the port `predictions`. 5: grouped convolutions are
    /// rounded otherwise.
    fn version(&self) -> u32 {
        5
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
        slices::check(&settings.slices, &table.span)?;
        settings.check_draws()?;
        for name in settings.metrics.iter().flatten() {
            tasks::check_metric(&name.value).map_err(|error| name.blame(error, ""))?;
        }
        let gates = settings
            .gate
            .iter()
            .map(|(metric, condition)| gate(&settings, metric, condition, table))
            .collect::<Result<_>>()?;
        Ok(Box::new(Evaluate {
            settings,
            place: table.span.clone(),
            gates,
        }))
    }

    fn schema(&self, generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        generator.subschema_for::<Settings>()
    }
}

struct Evaluate {
    settings: Settings,
    /// Where they stand.
    place: Span,
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
        vec![
            Output::new("metrics", ArtifactType::Metrics),
            Output::beside(PREDICTIONS, ArtifactType::Table),
        ]
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
        let (port, ..) = self.settings.samples()?;
        if (task.modality == Modality::Images) != (port == IMAGES) {
            return Err(wrong_port(task));
        }
        let at_port = AtPort::open(port, task.modality, cx)?;
        // Before the network is asked, which may take long.
        let slices = self.slices(&*found, &at_port)?;
        let samples = self.read(task, &*found, &loaded, &at_port, cx)?;
        let plan = card.freeze.clone().unwrap_or_default();
        let frozen = plan.prefix(&loaded.network.anatomy())?;
        let prefix = Prefix::new(loaded.network.clone(), frozen, cx.device())?;
        let setting = self.settings.feature_cache_max.as_ref();
        let most_bytes = feature_cache::most_bytes_or_tuned(setting, card)?;
        let batches = Loader::new(&samples, prefix, most_bytes, cx)?;
        let batch_size = self.settings.batch_size.get();
        let numbers = outputs(&loaded.network, &batches, batch_size, "evaluation", cx)?;
        let measured = Measured {
            meaning: &*found,
            numbers: &numbers,
            targets: &samples.targets,
        };
        let mut report = self.asked(measured.meaning.score(&numbers, &samples.targets)?)?;
        let intervals = self.intervals(&measured, "intervals", cx)?;
        report.details.insert("intervals".into(), json!(intervals));
        if !slices.is_empty() {
            let slices = self.measure(&slices, &measured, cx)?;
            report.details.insert("slices".into(), slices.into());
        }
        let words = if task.targets.by_word() {
            let column = self.columns(&*found, &loaded)?.first;
            Some(words::read(&at_port.table()?, &column, 0)?)
        } else {
            None
        };
        let given = Given {
            outputs: &numbers,
            samples: report.samples,
            words: words.as_ref().map(|words| (words, &samples.targets)),
            masks: None,
            raw: false,
        };
        let which = match task.modality {
            _ if found.masking().is_some() => by_sample::Samples::Pieces,
            Modality::Texts => by_sample::Samples::Rows,
            Modality::Images => by_sample::Samples::Images(at_port.table()?.values("path")?),
        };
        by_sample::table(&*found, &given, &samples.targets, which)?
            .write(cx.output(PREDICTIONS))?;
        Self::publish(report, &intervals, cx)
    }
}

/// What a network gives for samples, and what that means.
struct Measured<'m> {
    meaning: &'m dyn Outputs,
    numbers: &'m [f32],
    targets: &'m Targets,
}

/// Figure → between which numbers it lies.
type Intervals = BTreeMap<String, [f64; 2]>;

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
        samples: &AtPort,
        cx: &StageContext<'_>,
    ) -> Result<Samples> {
        if samples.len() == 0 {
            return Err(Error::stage(match samples.port {
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

    /// The intervals of the figures that are asked for.
    fn intervals(
        &self,
        measured: &Measured<'_>,
        activity: &str,
        cx: &StageContext<'_>,
    ) -> Result<Intervals> {
        let Measured {
            meaning,
            numbers,
            targets,
        } = measured;
        let draws = self.settings.draws(numbers.len());
        let mut found = tasks::intervals(*meaning, numbers, targets, draws, &|draw| {
            cx.check_cancelled()?;
            cx.progress(activity, draw as u64, draws as u64, "draws");
            Ok(())
        })?;
        found.retain(|name, _| self.is_asked(name));
        Ok(found)
    }

    /// The parts of the samples whose figures are to be told apart.
    fn slices(&self, meaning: &dyn Outputs, at_port: &AtPort) -> Result<Vec<Slice>> {
        let Some(first) = self.settings.slices.first() else {
            return Ok(Vec::new());
        };
        if meaning.masking().is_some() {
            let error = Error::stage("texts are cut to pieces, which have no row of their own");
            return Err(first.blame(error.help("leave `slices` out"), ""));
        }
        slices::read(&self.settings.slices, &self.place, &at_port.table()?)
    }

    /// The figures of each slice.
    fn measure(
        &self,
        parts: &[Slice],
        measured: &Measured<'_>,
        cx: &StageContext<'_>,
    ) -> Result<Vec<Value>> {
        let mut slices = Vec::new();
        for slice in parts {
            if slice.samples.is_empty() {
                cx.notice(format!("the slice `{}` has no sample", slice.name));
                slices.push(json!({ "slice": slice.name, "samples": 0, "figures": {} }));
                continue;
            }
            let (numbers, targets) =
                tasks::part_of(measured.numbers, measured.targets, &slice.samples);
            let part = Measured {
                meaning: measured.meaning,
                numbers: &numbers,
                targets: &targets,
            };
            let mut figures = part.meaning.score(&numbers, &targets)?.figures;
            figures.retain(|name, _| self.is_asked(name));
            let shown = figures.iter();
            let shown = shown.map(|(name, figure)| format!("{name} {figure:.4}"));
            let shown = shown.collect::<Vec<_>>().join("  ");
            cx.log(format!(
                "{}: {} samples  {shown}",
                slice.name,
                slice.samples.len()
            ));
            slices.push(json!({
                "slice": slice.name,
                "samples": slice.samples.len(),
                "figures": figures,
                "intervals": self.intervals(&part, &slice.name, cx)?,
            }));
        }
        Ok(slices)
    }

    /// Whether a figure is to be recorded.
    fn is_asked(&self, figure: &str) -> bool {
        let metrics = self.settings.metrics.as_ref();
        metrics.is_none_or(|metrics| metrics.iter().any(|metric| metric.value == figure))
    }

    /// The figures that are asked for.
    fn asked(&self, mut report: Report) -> Result<Report> {
        let mut asked = self.settings.metrics.iter().flatten();
        let refused = asked.find_map(|name| Some((name, report.elsewhere.get(&name.value)?)));
        if let Some((name, why)) = refused {
            let error = Error::stage(format!("`{}` cannot be measured: {why}", name.value));
            return Err(name.blame(error, ""));
        }
        report.figures.retain(|name, _| self.is_asked(name));
        report.undefined.retain(|name| self.is_asked(name));
        Ok(report)
    }

    /// Writes `metrics.json`, the table by label and the intervals to the log, and the figures to the record.
    fn publish(report: Report, intervals: &Intervals, cx: &mut StageContext<'_>) -> Result<()> {
        for name in &report.undefined {
            cx.notice(format!(
                "`{name}` is undefined on these samples: a label has none"
            ));
        }
        for line in &report.table {
            cx.log(line);
        }
        for (name, [low, high]) in intervals {
            if let Some(figure) = report.figures.get(name) {
                cx.log(format!(
                    "{name} {figure:.4}, 95 % interval {low:.4} to {high:.4}"
                ));
            }
        }
        let mut json =
            serde_json::to_vec_pretty(&json!(report)).or_stage(|| "cannot write the figures")?;
        json.push(b'\n');
        write_atomic(&cx.output("metrics").join("metrics.json"), &json)?;
        cx.set_metrics(report.figures);
        Ok(())
    }
}
