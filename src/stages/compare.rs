//! `compare`: the figures of repeated runs side by side, with the mean over their seeds and what one way of doing it gains over another.

mod results;
mod rows;
mod shown;
mod statistics;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use results::Results;
pub(super) use results::{figures, instances};
use rows::{Baseline, Order, Rows};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{ArtifactType, Gate, Input, Output, Port, Ports, Stage, StageContext, StageKind};
use crate::config::{Spanned, Table, from_table};
use crate::error::{Context, Error, Result};
use crate::fingerprint::{Manifest, describe};
use crate::names;
use crate::store::write_atomic;
use crate::tasks;

/// The kind `compare`.
pub(super) struct CompareKind;

const TABLE: &str = "table";
const METRICS: &str = "metrics";

/// Puts the figures of several stages, all instances of their matrices, side by side: a row for each that differs in more than its seed,
/// with the mean of each figure and its 95 % confidence interval (Student's t). Against a `baseline` there is also the gain: the mean of the
/// differences between runs with the same seed, and its interval.
///
/// It makes a `table` with a row a combination, and `metrics`: of each figure the best mean, `NAME_gain`, the least gain of all rows, and
/// `NAME_gain_low`, the least lower end of the gains' intervals.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// What is compared: a name for each → a stage that gives `metrics`, with all instances of its matrix:
    /// `{ pretrained = "test", scratch = "test-scratch" }`.
    results: Ports,
    /// The models that were measured, by the same names, to say how many of their weights trained.
    #[serde(default)]
    models: Ports,
    /// The key of the matrices that tells repetitions apart, over which means are taken. Default: `seed`.
    over: Option<Spanned<String>>,
    /// The figures to compare; the best one by the first is marked. Default: all that all results have, `accuracy` or the first by
    /// alphabet in front.
    metrics: Option<Vec<Spanned<String>>>,
    /// The figures of `metrics` that are the better the lower they are, where refire does not know them.
    #[serde(default)]
    lower_is_better: Vec<Spanned<String>>,
    /// What others are held against: one of the names in `results`, or values of a matrix, such as `learning_rate=1e-3`.
    baseline: Option<Spanned<String>>,
    /// What rows are sorted by: `metrics` for the best first, `matrix` for the values of the matrices. Default: `metrics`.
    #[serde(default)]
    sort: Order,
    /// Conditions that must hold for what depends on this stage to run, such as `{ accuracy_gain_low = "> 0" }`.
    #[serde(default)]
    gate: BTreeMap<String, Spanned<String>>,
}

impl StageKind for CompareKind {
    fn name(&self) -> &'static str {
        "compare"
    }

    fn about(&self) -> &'static str {
        "compares the figures of a matrix: means over seeds, confidence intervals, gains over a baseline"
    }

    fn version(&self) -> u32 {
        1
    }

    fn parse(&self, table: &Table) -> Result<Box<dyn Stage>> {
        let settings: Settings = from_table(table)?;
        if settings.results.is_empty() {
            return Err(Error::usage("`results` is empty")
                .at(&table.span, "")
                .help("name what is compared: results = { test = \"test\" }"));
        }
        for (name, Port(from)) in settings.results.iter().chain(&settings.models) {
            names::check(name, "a result").map_err(|error| from.blame(error, ""))?;
        }
        for (name, Port(from)) in &settings.models {
            if !settings.results.contains_key(name) {
                let known = settings.results.keys().map(String::as_str);
                let error = Error::usage(format!("`results` has no `{name}`"));
                return Err(from.blame(error.did_you_mean(name, known), ""));
            }
        }
        let baseline = settings.baseline.as_ref();
        let baseline = baseline
            .map(|written| {
                Baseline::parse(&written.value, &settings.results)
                    .map_err(|error| written.blame(error, ""))
            })
            .transpose()?;
        let gate = |(metric, condition): (&String, &Spanned<String>)| {
            let place = condition.span.as_ref().unwrap_or(&table.span);
            let gate = Gate::parse(metric, &condition.value, place)?;
            if baseline.is_none() && gained(metric) {
                let error = Error::usage(format!(
                    "the gate on `{metric}` needs a `baseline` to gain over"
                ));
                return Err(condition.blame(error, ""));
            }
            Ok(gate)
        };
        let gates = settings.gate.iter().map(gate).collect::<Result<_>>()?;
        Ok(Box::new(Compare {
            settings,
            baseline,
            gates,
        }))
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Settings>()
    }
}

/// Whether a figure is one of gains.
fn gained(figure: &str) -> bool {
    figure.ends_with(rows::GAIN) || figure.ends_with(rows::GAIN_LOW)
}

struct Compare {
    settings: Settings,
    baseline: Option<Baseline>,
    gates: Vec<Gate>,
}

impl Stage for Compare {
    fn inputs(&self) -> Vec<Input> {
        let inputs = |of: &'static str, accepts: &'static [ArtifactType], ports: &Ports| {
            let input = move |(name, from): (&String, &Port)| Input {
                port: format!("{of}.{name}"),
                accepts,
                from: from.clone(),
            };
            ports.iter().map(input).collect::<Vec<_>>()
        };
        [
            inputs("results", &[ArtifactType::Metrics], &self.settings.results),
            inputs("models", &[ArtifactType::Model], &self.settings.models),
        ]
        .concat()
    }

    fn gathers(&self, _port: &str) -> bool {
        true
    }

    fn shows_times(&self) -> bool {
        true
    }

    fn outputs(&self) -> Vec<Output> {
        vec![
            Output::new(TABLE, ArtifactType::Table),
            Output::new(METRICS, ArtifactType::Metrics),
        ]
    }

    fn describe(&self, key: &mut dyn Manifest) {
        let skipped = [("gate", "checked against the recorded figures on every run")];
        describe(key, &self.settings, &skipped);
    }

    fn gates(&self) -> &[Gate] {
        &self.gates
    }

    fn run(&self, cx: &mut StageContext<'_>) -> Result<()> {
        let settings = &self.settings;
        let over = settings.over.as_ref();
        let over_key = over.map_or("seed", |over| over.value.as_str());
        let results = Results::read(
            settings.results.keys().map(String::as_str),
            |name| cx.input(&format!("results.{name}")),
            |name| cx.optional_input(&format!("models.{name}")),
            |name, instance| match instance {
                "" => cx.seconds(&format!("results.{name}")),
                instance => cx.seconds(&format!("results.{name}/{instance}")),
            },
            over_key,
        )?;
        if let Some(over) = over
            && !results.has_repetitions()
        {
            let keys = results.keys().join(", ");
            let error = Error::stage(format!("no result has the key `{over_key}`"));
            let error = error.note(format!("the keys of the matrices: {keys}"));
            return Err(over.blame(error, ""));
        }
        let asked = settings.metrics.as_ref();
        let metrics = match asked {
            Some(asked) => asked.iter().map(|name| name.value.clone()).collect(),
            None => results.common_figures(),
        };
        if let Some(asked) = asked {
            for name in asked {
                results
                    .check_figure(&name.value)
                    .map_err(|error| name.blame(error, ""))?;
            }
        }
        if metrics.is_empty() {
            return Err(Error::stage("the results have no figure in common")
                .help("name figures that they have in `metrics`"));
        }
        let lower = &settings.lower_is_better;
        let lower_is_better = |name: &str| {
            lower.iter().any(|named| named.value == name)
                || tasks::higher_is_better(name) == Some(false)
        };
        let rows = Rows::new(
            &results,
            &metrics,
            self.baseline.as_ref(),
            settings.sort,
            &lower_is_better,
        )
        .map_err(|error| match &settings.baseline {
            Some(baseline) => baseline.blame(error, ""),
            None => error,
        })?;
        rows.told().for_each(|told| cx.notice(told));
        let times = if rows.is_timed() {
            "; `seconds` is the mean time of a run"
        } else {
            ""
        };
        let what = format!(
            "means over `{over_key}` ± half of the 95 % interval{times}; * is the best by `{}`",
            metrics[0]
        );
        cx.paste(what, rows.lines());
        rows.table()?.write(cx.output(TABLE))?;
        let mut json =
            serde_json::to_vec_pretty(&rows.json()).or_stage(|| "cannot write the figures")?;
        json.push(b'\n');
        write_atomic(&cx.output(METRICS).join("metrics.json"), &json)?;
        cx.set_metrics(rows.figures());
        Ok(())
    }
}
