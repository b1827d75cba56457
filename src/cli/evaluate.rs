//! `refire evaluate`.

use super::flags::Changes;
use super::place::Places;
use super::reading::{Reading, flag};
use super::{Outcome, interrupt};
use crate::error::Error;
use crate::measure::{Around, Request, measure};
use crate::report;
use crate::stages::ArtifactType;

/// Measure a tuned model on any data with targets: the figures that a stage `evaluate` has.
///
/// MODEL is the stage that tuned it, or a folder as `refire get` and `refire export` make one. DATA is a table (.csv, .tsv, .jsonl,
/// .parquet) with texts or photos and their targets, a folder of photos with a folder for each label, or a stage that makes a table or
/// images. A pipeline file may stand before MODEL.
#[derive(Debug, clap::Args)]
#[command(override_usage = "refire evaluate [OPTIONS] [PIPELINE] MODEL DATA")]
pub(super) struct Args {
    #[arg(hide = true, value_name = "MODEL DATA", required = true, num_args = 2..=3)]
    what: Vec<String>,

    /// The column with the labels, or the number; by default the one that the model was tuned on, of photos `label`. May be repeated
    /// where there are several
    #[arg(long = "target-column", value_name = "COLUMN")]
    target_columns: Vec<String>,

    #[command(flatten)]
    reading: Reading,

    #[command(flatten)]
    changes: Changes,

    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(mut self) -> Outcome {
        let written = self.reading.written()?;
        let mut places = Places::new(&mut self.what, self.changes.overrides())?;
        let [model_name, data_name] = self.what.as_slice() else {
            return Err(Error::usage(
                "`refire evaluate` takes a model and what it is to be measured on",
            )
            .help("as in: refire evaluate tune reviews.csv")
            .into());
        };
        let model = places.find(model_name, &[ArtifactType::Model])?;
        let data = places.find(data_name, &[ArtifactType::Table, ArtifactType::Images])?;
        interrupt::listen()?;
        let request = Request {
            model: model.path(),
            data: data.path(),
            device: &self.reading.device,
            written,
            on_error: self.reading.on_error(),
            task: self.reading.task,
            text_column: self.reading.text_column,
            text_pair_column: self.reading.text_pair_column,
            image_column: self.reading.image_column,
            target_columns: self.target_columns,
            max_pixels: self.reading.max_pixels,
            batch_size: self.reading.batch_size.get(),
        };
        let shown = report::reporter(report::Format::Pretty);
        let around = Around {
            events: &*shown,
            cancelled: &interrupt::asked,
        };
        let measured = measure(&request, &around)
            .map_err(|error| model.blame(model_name, data.blame(data_name, error)))
            .map_err(|error| error.with_flags(flag::<Args>));
        drop(shown);
        let measured = measured?;
        if self.json {
            report::print_json(&measured)?;
        } else {
            report::print_styled(&report::measured(&measured))?;
            let samples = measured["samples"].as_u64().unwrap_or_default();
            report::print_status(&format!("on {samples} samples\n"));
        }
        Ok(())
    }
}
