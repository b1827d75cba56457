//! `refire schema`.

use std::path::PathBuf;

use super::Outcome;
use crate::{init, report, stages};

/// Print the JSON Schema of pipeline files, or a data schema guessed from data.
///
/// Editors that know the JSON Schema complete keys, explain them and mark mistakes. A file names it in its first line: `#:schema
/// path/to/pipeline.schema.json`. A data schema is what the setting `schema` of a `dataset` stage names: what must hold for its columns.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Guess a data schema from this file: types, what may be missing, allowed values, bounds with some room
    #[arg(long, value_name = "DATA")]
    guess: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        let Some(data) = self.guess else {
            return Ok(report::print(&format!("{:#}\n", stages::schema()))?);
        };
        let (schema, told) = init::guess_schema(&data)?;
        for told in told {
            report::print_status(&format!("note: {told}\n"));
        }
        Ok(report::print(&schema)?)
    }
}
