//! `predict`: a tuned model's labels for a table or for images.

use std::num::{NonZeroU64, NonZeroUsize};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{ArtifactType, Input, Output, Port, Stage, StageContext, StageKind};
use crate::config::{Table, from_table};
use crate::data::table::FILE;
use crate::error::{Error, Result};
use crate::fingerprint::{Manifest, describe};
use crate::predict::{Format, OnError, Options, Request, Watch, predict};

/// The kind `predict`.
pub(super) struct PredictKind;

const MODEL: &str = "model";
const TABLE: &str = "table";
const IMAGES: &str = "images";

/// Labels rows or images with a tuned model: a table with their columns, then `label`, the most likely label, and a column
/// `probability_LABEL` for each label. Of images these are `path` and `true_label`, the label that they have.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The tuned model.
    model: Port,
    /// The table to label.
    table: Option<Port>,
    /// Instead of a table: images to label.
    images: Option<Port>,
    /// The column of the table with the texts. Default: the one that the model was tuned on.
    text_column: Option<String>,
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

    /// 2: photos are prepared as transformers does, crops and colours included.
    fn version(&self) -> u32 {
        2
    }

    fn parse(&self, table: &Table) -> Result<Box<dyn Stage>> {
        let settings: Settings = from_table(table)?;
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
                text_column: settings.text_column,
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
        let done = predict(&request, &Progress(cx))?;
        if !done.left_out.is_empty() {
            cx.notice(format!(
                "{} photos are left out because they cannot be read",
                done.left_out.len()
            ));
        }
        if done.empty > 0 {
            cx.notice(format!(
                "{} of {} texts have no token: each counts as one padding token",
                done.empty, done.rows
            ));
        }
        for why in &done.left_out {
            cx.log(format!("left out: {why}"));
        }
        cx.log(format!("{} rows", done.rows));
        Ok(())
    }
}

/// Tells the stage's own run how far it is.
struct Progress<'a, 'c>(&'a StageContext<'c>);

impl Watch for Progress<'_, '_> {
    fn progress(&self, done: usize, total: usize) {
        self.0
            .progress("predict", done as u64, total as u64, "samples");
    }

    fn notice(&self, text: String) {
        self.0.notice(text);
    }

    fn check_cancelled(&self) -> Result<()> {
        self.0.check_cancelled()
    }
}
