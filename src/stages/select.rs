//! `select`: the best of several tuned models, by a figure of each.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::compare::{figures, instances};
use super::{ArtifactType, Input, Output, Port, Stage, StageContext, StageKind};
use crate::config::{Spanned, Table, from_table};
use crate::error::{Context, Error, Result};
use crate::fingerprint::{Manifest, describe};
use crate::models::{self, CARD_FILE};
use crate::tasks::{self, Task};

/// The kind `select`.
pub(super) struct SelectKind;

const MODELS: &str = "models";
const RESULTS: &str = "results";
const MODEL: &str = "model";

/// Hands on the best of the models that a matrix makes, by a figure that another matrix stage with the same keys has measured of each, on
/// samples that the test does not see. Of two that are equally good the one that comes first in the matrix by alphabet.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The models: a stage with a matrix.
    models: Port,
    /// What each came to: a stage that gives `metrics`, with the same matrix.
    results: Port,
    /// The figure that says which is the best.
    metric: Spanned<String>,
    /// Whether the lowest figure is the best, where refire does not know it. Default: what the figure means.
    lower_is_better: Option<bool>,
}

impl StageKind for SelectKind {
    fn name(&self) -> &'static str {
        "select"
    }

    fn about(&self) -> &'static str {
        "hands on the best of the models that a matrix makes"
    }

    fn version(&self) -> u32 {
        1
    }

    fn parse(&self, table: &Table) -> Result<Box<dyn Stage>> {
        let settings = from_table(table)?;
        Ok(Box::new(Select { settings }))
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Settings>()
    }
}

struct Select {
    settings: Settings,
}

impl Stage for Select {
    fn inputs(&self) -> Vec<Input> {
        let input = |port: &str, accepts, from: &Port| Input {
            port: port.into(),
            accepts,
            from: from.clone(),
        };
        vec![
            input(MODELS, &[ArtifactType::Model], &self.settings.models),
            input(RESULTS, &[ArtifactType::Metrics], &self.settings.results),
        ]
    }

    fn gathers(&self, _port: &str) -> bool {
        true
    }

    fn outputs(&self) -> Vec<Output> {
        vec![Output::new(MODEL, ArtifactType::Model)]
    }

    fn describe(&self, key: &mut dyn Manifest) {
        describe(key, &self.settings, &[]);
    }

    fn task(&self, upstream: &dyn Fn(&str) -> Option<&'static Task>) -> Option<&'static Task> {
        upstream(MODELS)
    }

    fn run(&self, cx: &mut StageContext<'_>) -> Result<()> {
        let metric = &self.settings.metric;
        let models: BTreeMap<_, _> = instances(cx.input(MODELS), "config.json")?
            .into_iter()
            .collect();
        let mut ranking = Vec::new();
        for (instance, folder) in instances(cx.input(RESULTS), "metrics.json")? {
            let Some(model) = models.get(&instance) else {
                return Err(Error::stage(format!(
                    "`results` has the instance `{instance}`, and `models` has not"
                ))
                .help("give both stages the same matrix"));
            };
            let found = figures(&folder)?;
            let Some(figure) = found.get(&metric.value).copied() else {
                let known: Vec<&str> = found.keys().map(String::as_str).collect();
                let error = Error::stage(format!(
                    "the result of `{instance}` has no figure `{}`",
                    metric.value
                ))
                .note(format!("its figures: {}", known.join(", ")))
                .did_you_mean(&metric.value, known);
                return Err(metric.blame(error, ""));
            };
            ranking.push((figure, instance, model));
        }
        let without = models.len() - ranking.len();
        if without > 0 {
            cx.notice(format!(
                "{without} of {} models have no result, and are not chosen from",
                models.len()
            ));
        }
        let lower = self
            .settings
            .lower_is_better
            .unwrap_or(tasks::higher_is_better(&metric.value) == Some(false));
        // Sorting is stable, so that equals stay in the order of their names.
        ranking.sort_by(|(one, ..), (other, ..)| {
            let ascending = one.total_cmp(other);
            if lower {
                ascending
            } else {
                ascending.reverse()
            }
        });
        for (figure, instance, ..) in &ranking {
            cx.log(format!("{figure:.4}  {instance}"));
        }
        let all = ranking.len();
        let Some((figure, instance, model)) = ranking.into_iter().next() else {
            return Err(Error::stage("there is no model to choose from"));
        };
        cx.notice(format!(
            "the best of {all} is {instance}, with {} {figure:.4}",
            metric.value
        ));
        hand_on(model, cx.output(MODEL))?;
        cx.set_metrics(BTreeMap::from([(metric.value.clone(), figure)]));
        Ok(())
    }
}

/// Fills `to` with the model in `from`, its card included.
fn hand_on(from: &Path, to: &Path) -> Result<()> {
    models::copy_folder(from, to)?;
    let card = from.join(CARD_FILE);
    if card.exists() {
        std::fs::copy(&card, to.join(CARD_FILE))
            .or_stage(|| format!("cannot copy `{}`", card.display()))?;
    }
    Ok(())
}
