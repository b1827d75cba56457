//! What can be set of `evaluate`.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{IMAGES, TABLE};
use crate::config::{Spanned, Table};
use crate::error::{Error, Result};
use crate::models::Modality;
use crate::stages::samples::artifacts;
use crate::stages::{ArtifactType, Gate, Port};
use crate::tasks::{self, TaskName};

/// Measures a tuned model on labelled texts or images.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The tuned model.
    pub(super) model: Port,
    /// The table of texts to measure it on.
    pub(super) table: Option<Port>,
    /// The images to measure it on.
    pub(super) images: Option<Port>,
    /// What to measure a model as that is not tuned, where that needs no layer of a task's own: `sentence-similarity`. Default: what it
    /// was tuned to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) task: Option<Spanned<TaskName>>,
    /// The column with the texts. Default: the one that the model was tuned on.
    pub(super) text_column: Option<Spanned<String>>,
    /// The column with the second texts of pairs. Default: the one that the model was tuned on.
    pub(super) text_pair_column: Option<Spanned<String>>,
    /// The column with the labels, or the number, of texts. Default: the one that the model was tuned on.
    pub(super) target_column: Option<Spanned<String>>,
    /// The columns with the targets, where there are several. Default: those that the model was tuned on.
    pub(super) target_columns: Option<Vec<Spanned<String>>>,
    /// The figures to record. Default: all that the model's task has.
    pub(super) metrics: Option<Vec<Spanned<String>>>,
    /// Conditions that must hold for what depends on this stage to run, such as `{ accuracy = ">= 0.75" }`. They are checked against
    /// the recorded figures on every run.
    #[serde(default)]
    pub(super) gate: BTreeMap<String, Spanned<String>>,
    /// Samples in a batch.
    #[serde(default = "batch_size")]
    pub(super) batch_size: NonZeroUsize,
    /// The most room that what the frozen layers give may take, such as "500MiB"; beyond it, it is not kept. Default: what the model
    /// was tuned with.
    pub(super) feature_cache_max: Option<Spanned<String>>,
    /// Parts of the samples whose figures are to be told apart: the name of a column for a part for each of its values, or a condition,
    /// such as `"sql: LENGTH(text) > 200"`. Images have the columns `path` and `label`.
    #[serde(default)]
    pub(super) slices: Vec<Spanned<String>>,
    /// How many times as many samples are drawn from the samples, with replacement, for the 95 % intervals of the figures; 0 for no
    /// intervals. Default: 1000, or fewer where there are millions of outputs.
    pub(super) bootstrap: Option<Spanned<usize>>,
}

/// More draws change nothing that a reader could see.
const MOST_DRAWS: usize = 100_000;

/// Up to this many outputs samples are drawn a thousand times.
const OUTPUTS: usize = 200_000;

fn batch_size() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(31)
}

impl Settings {
    /// How many times samples are drawn, of which so many outputs say something.
    pub(super) fn draws(&self, outputs: usize) -> usize {
        let usual = || (1000 * OUTPUTS / outputs.max(1)).clamp(100, 1000);
        let set = self.bootstrap.as_ref().map(|set| set.value);
        set.unwrap_or_else(usual)
    }

    /// Refuses more draws than can be meant.
    pub(super) fn check_draws(&self) -> Result<()> {
        match &self.bootstrap {
            Some(set) if set.value > MOST_DRAWS => Err(set.blame(
                Error::usage(format!(
                    "`bootstrap` is {}; {MOST_DRAWS} are the most",
                    set.value
                )),
                "",
            )),
            _ => Ok(()),
        }
    }

    /// The port of the samples, what it takes, and where they come from.
    pub(super) fn samples(&self) -> Result<(&'static str, &'static [ArtifactType], &Port)> {
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
pub(super) fn gate(
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
