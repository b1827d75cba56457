//! `refire get`.

use std::path::Path;

use super::flags::Changes;
use super::{Outcome, pipeline};
use crate::error::Error;
use crate::report;
use crate::run::Project;

/// Copy an artifact out of the cache: a trained model, a table, a report.
///
/// STAGE is the stage that made it, with the port if it has several outputs; DEST is the folder to make. A pipeline file
/// may stand before them.
#[derive(Debug, clap::Args)]
#[command(override_usage = "refire get [OPTIONS] [PIPELINE] STAGE[.PORT] DEST")]
pub(super) struct Args {
    #[arg(hide = true, value_name = "STAGE DEST", required = true, num_args = 2..=3)]
    what: Vec<String>,

    #[command(flatten)]
    changes: Changes,
}

impl Args {
    pub(super) fn run(mut self) -> Outcome {
        let path = pipeline::take(&mut self.what)?;
        let [from, destination] = self.what.as_slice() else {
            return Err(
                Error::usage("`refire get` takes a stage and a folder to copy it to")
                    .help("as in: refire get tune my-model")
                    .into(),
            );
        };
        let project = Project::open(&path, &self.changes.overrides())?;
        if let Some(broken) = project.get(from, Path::new(destination))? {
            report::print_status(&format!("note: the stage failed: {}\n", broken.message()));
        }
        report::print_status(&format!("copied `{from}` to `{destination}`\n"));
        Ok(())
    }
}
