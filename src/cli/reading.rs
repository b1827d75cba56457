//! How data is read and a model is run on it: flags of the verbs that do both.

use std::num::NonZeroUsize;

use crate::error::{Error, Result};
use crate::predict::{Format, OnError, Options, Written, character};

/// How data is read, and a model run on it.
#[derive(Debug, clap::Args)]
pub(super) struct Reading {
    /// The format of the data, where its name does not tell: csv, tsv, ndjson, parquet
    #[arg(long, value_name = "FORMAT")]
    pub(super) format: Option<Format>,

    /// CSV, TSV: the character between two fields of the data; by default a comma, or a tab (`\t`)
    #[arg(long, value_name = "CHARACTER")]
    pub(super) separator: Option<String>,

    /// CSV, TSV: the character around fields of the data that hold separators; `''` if quotes are characters like any other
    #[arg(long, value_name = "CHARACTER")]
    pub(super) quote: Option<String>,

    /// CSV, TSV: the first row of the data holds no names: its columns are `column_1`, `column_2` and so on
    #[arg(long)]
    no_header: bool,

    /// What a model does that is not tuned: sentence-similarity; by default what it was tuned to do
    #[arg(long, value_name = "TASK")]
    pub(super) task: Option<String>,

    /// The column with the texts; by default the one that the model was tuned on
    #[arg(long, value_name = "COLUMN")]
    pub(super) text_column: Option<String>,

    /// The column with the second texts of pairs; by default the one that the model was tuned on
    #[arg(long, value_name = "COLUMN")]
    pub(super) text_pair_column: Option<String>,

    /// The column with the photos, as bytes or as paths beside the table; by default `image`, else `path`
    #[arg(long, value_name = "COLUMN")]
    pub(super) image_column: Option<String>,

    /// Leave photos out that cannot be read, instead of failing
    #[arg(long)]
    skip_broken: bool,

    /// The most pixels that a photo may have
    #[arg(long, value_name = "N", default_value_t = Options::default().max_pixels)]
    pub(super) max_pixels: u64,

    /// Samples in a batch
    #[arg(long, value_name = "N", default_value_t = Options::default().batch_size)]
    pub(super) batch_size: NonZeroUsize,

    /// The device to run on
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub(super) device: String,
}

impl Reading {
    /// What was said about how the input is written.
    pub(super) fn written(&self) -> Result<Written> {
        let separator = self.separator.as_deref().map(|text| match text {
            "\\t" => character("--separator", "\t"),
            text => character("--separator", text),
        });
        if let Some(Ok(None)) = separator {
            return Err(Error::usage("`--separator` is empty"));
        }
        let quote = self.quote.as_deref();
        Ok(Written {
            format: self.format,
            separator: separator.transpose()?.flatten(),
            quote: quote.map(|text| character("--quote", text)).transpose()?,
            no_header: self.no_header,
        })
    }

    /// Whether it names a column.
    pub(super) fn names_columns(&self) -> bool {
        let columns = [
            &self.text_column,
            &self.text_pair_column,
            &self.image_column,
        ];
        columns.iter().any(|column| column.is_some())
    }

    /// What becomes of photos that cannot be read.
    pub(super) fn on_error(&self) -> OnError {
        if self.skip_broken {
            OnError::Skip
        } else {
            OnError::Error
        }
    }
}

/// The flag for a setting of the stage kinds `predict` and `dataset`: `KEY`, or `KEY = VALUE`.
pub(super) fn flag<A: clap::Args>(setting: &str) -> Option<String> {
    let (key, value) = match setting.split_once(" = ") {
        Some((key, value)) => (key, Some(value.trim_matches('"'))),
        None => (setting, None),
    };
    let name = match key {
        "on_error" => return Some("--skip-broken".into()),
        "header" => "no-header".into(),
        key => key.replace('_', "-"),
    };
    let command = A::augment_args(clap::Command::new("predict"));
    let has = |argument: &clap::Arg| argument.get_long() == Some(name.as_str());
    command.get_arguments().any(has).then(|| match value {
        None => format!("--{name}"),
        Some("") => format!("--{name} ''"),
        Some(value) => format!("--{name} {value}"),
    })
}
