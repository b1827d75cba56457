//! `refire schema`.

use super::Outcome;
use crate::report;
use crate::stages;

/// Print the JSON Schema of pipeline files.
///
/// Editors that know it complete keys, explain them and mark mistakes. A file names it in its first line: `#:schema
/// path/to/pipeline.schema.json`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

impl Args {
    pub(super) fn run() -> Outcome {
        Ok(report::print(&format!("{:#}\n", stages::schema()))?)
    }
}
