//! `refire predict`.

mod texts;

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::flags::Changes;
use super::place::{Place, Places};
use super::reading::{Reading, flag};
use super::{Outcome, interrupt};
use crate::error::{Context as _, Error, Kind, Result};
use crate::event::{Event, Observer, Sink};
use crate::predict::{Format, Options, Request, Written, predict, takes_texts};
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
/// input. A pipeline file may stand before MODEL. With `--text` in place of INPUT, what the model says is printed.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "refire predict [OPTIONS] [PIPELINE] MODEL INPUT -o OUT\n       \
                            refire predict [OPTIONS] [PIPELINE] MODEL --text TEXT…"
)]
pub(super) struct Args {
    #[arg(hide = true, value_name = "MODEL INPUT", required = true, num_args = 1..=3)]
    what: Vec<String>,

    /// The file to write; one that is there is replaced when the new one is whole
    #[arg(
        short,
        long,
        value_name = "OUT",
        required_unless_present = "texts",
        conflicts_with = "texts"
    )]
    output: Option<PathBuf>,

    /// A text to label, and to print what the model says of it. May be repeated
    #[arg(long = "text", value_name = "TEXT")]
    texts: Vec<String>,

    /// The second text of a pair, for a model of pairs: one for each `--text`
    #[arg(long = "text-pair", value_name = "TEXT")]
    pairs: Vec<String>,

    /// With `--text`: print a line of JSON for each text
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    reading: Reading,

    /// What the names of the new columns begin with, where the input has columns of these names already
    #[arg(long, value_name = "PREFIX", default_value = "")]
    prefix: String,

    /// Write logits, `logit_LABEL`, instead of probabilities
    #[arg(long)]
    logits: bool,

    #[command(flatten)]
    changes: Changes,
}

impl Args {
    pub(super) fn run(mut self) -> Outcome {
        if !self.texts.is_empty() {
            return self.say();
        }
        if self.json || !self.pairs.is_empty() {
            let flag = if self.json { "--json" } else { "--text-pair" };
            return Err(
                Error::usage(format!("`{flag}` is for texts on the command line"))
                    .help("name one: --text")
                    .into(),
            );
        }
        interrupt::outlive_terminal();
        let output = self.output.unwrap_or_default();
        let format = format_of(&output)?;
        let written = self.reading.written()?;
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
        refuse_same(&input, &output)?;
        sweep_beside(&output);
        interrupt::listen()?;
        let begun = Instant::now();
        let shown = Shown {
            model: model_name.clone(),
            reporter: report::reporter(report::Format::Pretty),
        };
        let on_error = self.reading.on_error();
        let request = Request {
            model: model.path(),
            input: input.path(),
            output: &output,
            format,
            device: &self.reading.device,
            options: Options {
                written,
                task: self.reading.task,
                text_column: self.reading.text_column,
                text_pair_column: self.reading.text_pair_column,
                image_column: self.reading.image_column,
                prefix: self.prefix,
                logits: self.logits,
                on_error,
                max_pixels: self.reading.max_pixels,
                batch_size: self.reading.batch_size,
            },
        };
        let done = predict(&request, &shown)
            .map_err(|error| model.blame(model_name, input.blame(input_name, error)))
            .map_err(|error| error.with_flags(flag::<Args>))?;
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
            output.display(),
        ));
        Ok(())
    }

    /// Prints what the model says of the texts on the command line.
    fn say(mut self) -> Outcome {
        let mut places = Places::new(&mut self.what, self.changes.overrides())?;
        let [model_name] = self.what.as_slice() else {
            return Err(
                Error::usage("with `--text`, `refire predict` takes a model and no input")
                    .help("as in: refire predict tune --text \"good food\"")
                    .into(),
            );
        };
        if self.reading.written()? != Written::default() || self.reading.names_columns() {
            let error = Error::usage("texts on the command line are in no file and no column");
            return Err(error
                .help("leave the flags out that say how a file is written, and those that name columns")
                .into());
        }
        let model = places.find(model_name, &[ArtifactType::Model])?;
        if !takes_texts(model.path()) {
            let text = format!(
                "`{model_name}` takes photos, or is no model, and `--text` is for models of texts"
            );
            return Err(Error::usage(text).into());
        }
        let folder = tempfile::tempdir().or_stage(|| "cannot make a temporary folder")?;
        let input = texts::file(folder.path(), &self.texts, &self.pairs)?;
        let output = folder.path().join("said.jsonl");
        interrupt::listen()?;
        let shown = Shown {
            model: model_name.clone(),
            reporter: report::reporter(report::Format::Pretty),
        };
        let request = Request {
            model: model.path(),
            input: &input,
            output: &output,
            format: Format::Ndjson,
            device: &self.reading.device,
            options: Options {
                task: self.reading.task,
                text_column: Some(texts::TEXT.into()),
                text_pair_column: (!self.pairs.is_empty()).then(|| texts::PAIR.into()),
                prefix: self.prefix,
                logits: self.logits,
                batch_size: self.reading.batch_size,
                ..Options::default()
            },
        };
        let done = predict(&request, &shown)
            .map_err(|error| model.blame(model_name, error))
            .map_err(|error| error.with_flags(pair_flag));
        drop(shown);
        for told in done?.told() {
            report::print_status(&format!("{told}\n"));
        }
        texts::print(&output, !self.pairs.is_empty(), self.json)?;
        Ok(())
    }
}

/// The flag for a setting where texts are on the command line.
fn pair_flag(setting: &str) -> Option<String> {
    match setting {
        "text_pair_column" => Some("--text-pair".into()),
        "text_column" | "image_column" => Some("--text".into()),
        setting => flag::<Args>(setting),
    }
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
