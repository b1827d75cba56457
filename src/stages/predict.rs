//! `predict`: a tuned model's labels for a table or for images.

use std::num::{NonZeroU64, NonZeroUsize};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{ArtifactType, Input, Output, Port, Stage, StageContext, StageKind};
use crate::config::{Spanned, Table, from_table};
use crate::data::table::FILE;
use crate::error::{Error, Result};
use crate::fingerprint::{Manifest, describe};
use crate::models::Modality;
use crate::predict::{Format, OnError, Options, Request, predict};
use crate::tasks::{Task, TaskName};

/// The kind `predict`.
pub(super) struct PredictKind;

const MODEL: &str = "model";
const TABLE: &str = "table";
const IMAGES: &str = "images";

/// Says of rows or images what a tuned model makes of them: a table with their columns, then, for one label a sample, `label`, the most
/// likely one; for several, `labels`, those above their thresholds; and a column `probability_LABEL` for each label; for numbers
/// `prediction`, or `prediction_NAME` for each of several; for lists of words `labels`, a tag for each word, and `entities`, the names that
/// they make up, each a struct of `label`, `start`, `end`, `text` and `score`; for texts that are compared `embedding`, a list of numbers.
/// Of images the columns are `path` and `true_label`, the label that they have.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The tuned model.
    model: Port,
    /// The table to label.
    table: Option<Port>,
    /// Instead of a table: images to label.
    images: Option<Port>,
    /// What a model that is not tuned does, where that needs no layer of a task's own: `sentence-similarity`. Default: what it was tuned
    /// to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<Spanned<TaskName>>,
    /// The column of the table with the texts. Default: the one that the model was tuned on.
    text_column: Option<String>,
    /// The column of the table with the second texts of pairs. Default: the one that the model was tuned on.
    #[serde(skip_serializing_if = "Option::is_none")]
    text_pair_column: Option<String>,
    /// The column of the table with photos as bytes, or structs with a field `bytes`. Default: `image`.
    image_column: Option<String>,
    /// What the names of the new columns begin with, for a table that has a column `label` already: `predicted_`.
    #[serde(default)]
    prefix: String,
    /// Whether the columns hold logits, `logit_LABEL`, instead of probabilities.
    #[serde(default)]
    logits: bool,
    /// What becomes of photos that cannot be read: `error` names the first one and stops, `skip` names them and leaves them out.
    #[serde(default)]
    on_error: OnError,
    /// The most pixels that a photo may have. Default: 50 million.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_pixels: Option<NonZeroU64>,
    /// Samples in a batch.
    #[serde(default = "batch_size")]
    batch_size: NonZeroUsize,
}

fn batch_size() -> NonZeroUsize {
    Options::default().batch_size
}

impl StageKind for PredictKind {
    fn name(&self) -> &'static str {
        "predict"
    }

    fn about(&self) -> &'static str {
        "labels the rows of a table, or images, with a tuned model"
    }

    /// 2: photos are prepared as transformers does, crops and colours included. 3: grouped convolutions are rounded otherwise.
    fn version(&self) -> u32 {
        3
    }

    fn parse(&self, table: &Table) -> Result<Box<dyn Stage>> {
        let settings: Settings = from_table(table)?;
        if let Some(task) = &settings.task {
            let checked = task.value.0.check_goes_untuned();
            checked.map_err(|error| task.blame(error, ""))?;
        }
        match (&settings.table, &settings.images) {
            (Some(_), None) | (None, Some(_)) => Ok(Box::new(Predict { settings })),
            (Some(Port(table)), Some(Port(images))) => Err(images.blame_also(
                table,
                Error::usage("`table` and `images` both say what to label"),
            )),
            (None, None) => Err(Error::usage("missing key `table`")
                .at(&table.span, "")
                .help("name a `table`, or `images`, to label")),
        }
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Settings>()
    }
}

struct Predict {
    settings: Settings,
}

impl Stage for Predict {
    fn inputs(&self) -> Vec<Input> {
        let input = |port: &str, accepts, from: &Port| Input {
            port: port.into(),
            accepts,
            from: from.clone(),
        };
        let settings = &self.settings;
        let table = settings.table.iter();
        let table = table.map(|from| input(TABLE, &[ArtifactType::Table], from));
        let images = settings.images.iter();
        let images = images.map(|from| input(IMAGES, &[ArtifactType::Images], from));
        std::iter::once(input(MODEL, &[ArtifactType::Model], &settings.model))
            .chain(table)
            .chain(images)
            .collect()
    }

    fn suits(&self, upstream: &dyn Fn(&str) -> Option<&'static Task>) -> Result<()> {
        match (upstream(MODEL), &self.settings.images) {
            (Some(task), Some(Port(images))) if task.modality == Modality::Texts => {
                let error = Error::usage(format!(
                    "the model does {}, which takes no images",
                    task.name
                ));
                Err(images.blame(error, "").help("name a `table`"))
            }
            _ => Ok(()),
        }
    }

    fn outputs(&self) -> Vec<Output> {
        vec![Output::new(TABLE, ArtifactType::Table)]
    }

    fn describe(&self, key: &mut dyn Manifest) {
        describe(key, &self.settings, &[]);
        key.device();
    }

    fn run(&self, cx: &mut StageContext<'_>) -> Result<()> {
        let settings = self.settings.clone();
        let usual = Options::default();
        let table = cx.optional_input(TABLE);
        let request = Request {
            model: cx.input(MODEL),
            input: table.unwrap_or_else(|| cx.input(IMAGES)),
            output: &cx.output(TABLE).join(FILE),
            format: Format::Parquet,
            device: cx.device(),
            options: Options {
                task: settings.task.map(|task| task.value.0.name.into()),
                text_column: settings.text_column,
                text_pair_column: settings.text_pair_column,
                image_column: settings.image_column,
                prefix: settings.prefix,
                logits: settings.logits,
                on_error: settings.on_error,
                max_pixels: settings
                    .max_pixels
                    .map_or(usual.max_pixels, NonZeroU64::get),
                batch_size: settings.batch_size,
                ..usual
            },
        };
        let done = predict(&request, cx)?;
        if !done.left_out.is_empty() {
            cx.notice(format!(
                "{} photos are left out because they cannot be read",
                done.left_out.len()
            ));
        }
        done.told().into_iter().for_each(|told| cx.notice(told));
        for why in &done.left_out {
            cx.log(format!("left out: {why}"));
        }
        cx.log(format!("{} rows", done.rows));
        Ok(())
    }
}
