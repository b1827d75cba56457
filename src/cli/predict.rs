//! `refire predict`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::flags::Changes;
use super::place::{Place, Places};
use super::{Outcome, interrupt};
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Observer, Sink};
use crate::predict::{Format, OnError, Options, Request, Written, character, predict};
use crate::report;
use crate::run::sweep_beside;
use crate::stages::ArtifactType;

/// Say what a tuned model makes of new data: labels, or numbers.
///
/// MODEL is the stage that tuned it, or a folder as `refire get` and `refire export` make one. INPUT is a table (.csv, .tsv,
/// .jsonl, .parquet) with texts or photos, a folder of photos, or a stage that makes a table or images. OUT is written in the
/// format that its name ends in (.csv, .tsv, .jsonl, .parquet): the columns of the input, then what the model's task says: `label`, or
/// `labels` for several, and a column `probability_LABEL` for each label; or `prediction`, a number; or `embedding`, a list of numbers.
/// Memory does not grow with the
/// input. A pipeline file may stand before MODEL.
#[derive(Debug, clap::Args)]
#[command(override_usage = "refire predict [OPTIONS] [PIPELINE] MODEL INPUT -o OUT")]
pub(super) struct Args {
    #[arg(hide = true, value_name = "MODEL INPUT", required = true, num_args = 2..=3)]
    what: Vec<String>,

    /// The file to write; one that is there is replaced when the new one is whole
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,

    /// The format of INPUT, where its name does not tell: csv, tsv, ndjson, parquet
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,

    /// CSV, TSV: the character between two fields of INPUT; by default a comma, or a tab (`\t`)
    #[arg(long, value_name = "CHARACTER")]
    separator: Option<String>,

    /// CSV, TSV: the character around fields of INPUT that hold separators; `''` if quotes are characters like any other
    #[arg(long, value_name = "CHARACTER")]
    quote: Option<String>,

    /// CSV, TSV: the first row of INPUT holds no names: its columns are `column_1`, `column_2` and so on
    #[arg(long)]
    no_header: bool,

    /// What a model does that is not tuned: sentence-similarity; by default what it was tuned to do
    #[arg(long, value_name = "TASK")]
    task: Option<String>,

    /// The column with the texts; by default the one that the model was tuned on
    #[arg(long, value_name = "COLUMN")]
    text_column: Option<String>,

    /// The column with the second texts of pairs; by default the one that the model was tuned on
    #[arg(long, value_name = "COLUMN")]
    text_pair_column: Option<String>,

    /// The column with the photos, as bytes or as paths beside the table; by default `image`, else `path`
    #[arg(long, value_name = "COLUMN")]
    image_column: Option<String>,

    /// What the names of the new columns begin with, where the input has columns of these names already
    #[arg(long, value_name = "PREFIX", default_value = "")]
    prefix: String,

    /// Write logits, `logit_LABEL`, instead of probabilities
    #[arg(long)]
    logits: bool,

    /// Leave photos out that cannot be read, instead of failing
    #[arg(long)]
    skip_broken: bool,

    /// The most pixels that a photo may have
    #[arg(long, value_name = "N", default_value_t = Options::default().max_pixels)]
    max_pixels: u64,

    /// Samples in a batch
    #[arg(long, value_name = "N", default_value_t = Options::default().batch_size)]
    batch_size: NonZeroUsize,

    /// The device to run on
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: String,

    #[command(flatten)]
    changes: Changes,
}

impl Args {
    pub(super) fn run(mut self) -> Outcome {
        interrupt::outlive_terminal();
        let format = format_of(&self.output)?;
        let written = self.written()?;
        let mut places = Places::new(&mut self.what, self.changes.overrides())?;
        let [model, input] = self.what.as_slice() else {
            return Err(
                Error::usage("`refire predict` takes a model and what it is to label")
                    .help("as in: refire predict tune reviews.csv -o labelled.csv")
                    .into(),
            );
        };
        let (model_name, input_name) = (model, input);
        let model = places.find(model, &[ArtifactType::Model])?;
        let input = places.find(input, &[ArtifactType::Table, ArtifactType::Images])?;
        refuse_same(&input, &self.output)?;
        sweep_beside(&self.output);
        interrupt::listen()?;
        let begun = Instant::now();
        let shown = Shown {
            model: model_name.clone(),
            reporter: report::reporter(report::Format::Pretty),
        };
        let on_error = if self.skip_broken {
            OnError::Skip
        } else {
            OnError::Error
        };
        let request = Request {
            model: model.path(),
            input: input.path(),
            output: &self.output,
            format,
            device: &self.device,
            options: Options {
                written,
                task: self.task,
                text_column: self.text_column,
                text_pair_column: self.text_pair_column,
                image_column: self.image_column,
                prefix: self.prefix,
                logits: self.logits,
                on_error,
                max_pixels: self.max_pixels,
                batch_size: self.batch_size,
            },
        };
        let done = predict(&request, &shown)
            .map_err(|error| model.blame(model_name, input.blame(input_name, error)))
            .map_err(|error| error.with_flags(flag))?;
        drop(shown);
        for why in &done.left_out {
            report::print_status(&format!("left out: {why}\n"));
        }
        for told in done.told() {
            report::print_status(&format!("{told}\n"));
        }
        report::print_status(&format!(
            "`{model_name}` labelled {} of `{input_name}` in {}: `{}`\n",
            report::figures::amount(done.rows as u64, "rows"),
            report::figures::seconds(begun.elapsed().as_secs_f64()),
            self.output.display(),
        ));
        Ok(())
    }

    /// What was said about how the input is written.
    fn written(&self) -> Result<Written> {
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
}

/// The flag for a setting of the stage kinds `predict` and `dataset`: `KEY`, or `KEY = VALUE`.
fn flag(setting: &str) -> Option<String> {
    let (key, value) = match setting.split_once(" = ") {
        Some((key, value)) => (key, Some(value.trim_matches('"'))),
        None => (setting, None),
    };
    let name = match key {
        "on_error" => return Some("--skip-broken".into()),
        "header" => "no-header".into(),
        key => key.replace('_', "-"),
    };
    let command = <Args as clap::Args>::augment_args(clap::Command::new("predict"));
    let has = |argument: &clap::Arg| argument.get_long() == Some(name.as_str());
    command.get_arguments().any(has).then(|| match value {
        None => format!("--{name}"),
        Some("") => format!("--{name} ''"),
        Some(value) => format!("--{name} {value}"),
    })
}

/// The format that the name of the output tells.
fn format_of(output: &Path) -> Result<Format> {
    Format::of(&output.to_string_lossy()).ok_or_else(|| {
        Error::usage(format!(
            "the name `{}` does not tell the format",
            output.display()
        ))
        .help("let it end in .csv, .tsv, .jsonl or .parquet")
    })
}

/// Refuses to write over what is read.
fn refuse_same(input: &Place, output: &Path) -> Result<()> {
    let absolute = |path: &Path| std::fs::canonicalize(path).ok();
    match (absolute(input.path()), absolute(output)) {
        (Some(input), Some(output)) if input == output => Err(Error::usage(format!(
            "`{}` is both the input and the output",
            output.display()
        ))),
        _ => Ok(()),
    }
}

/// Shows how far it is.
struct Shown {
    model: String,
    reporter: Box<dyn Sink>,
}

impl Observer for Shown {
    fn progress(&self, activity: &str, done: u64, total: u64, unit: &str) {
        self.reporter.send(&Event::Progress {
            stage: self.model.clone(),
            activity: activity.into(),
            done,
            total,
            unit: unit.into(),
        });
    }

    fn notice(&self, text: String) {
        self.reporter.send(&Event::Notice { stage: None, text });
    }

    fn check_cancelled(&self) -> Result<()> {
        if interrupt::asked() {
            return Err(Error::new(
                Kind::Interrupted,
                "interrupted; nothing was written",
            ));
        }
        Ok(())
    }
}
