//! `refire report`.

use std::path::PathBuf;

use super::flags::Changes;
use super::{Outcome, pipeline};
use crate::findings;
use crate::page::{self, Keeping};
use crate::report;
use crate::run::Project;

/// Write one HTML page of a pipeline: what ran and why, figures, curves, mistakes, data, provenance.
///
/// The page is one file that needs no network. It shows the results as they stand now and the last run with these settings; nothing
/// runs for it. What is not in the cache is left out, and the page says so. It holds some rows of your data, the most confident mistakes:
/// whoever gets the page sees them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The pipeline file
    pipeline: Option<String>,

    /// The file to write; `NAME.report.html` in the current folder by default. An earlier report is written over
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Write over a file that is no report, too
    #[arg(short, long)]
    force: bool,

    #[command(flatten)]
    changes: Changes,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        let path = pipeline::only(self.pipeline)?;
        let overrides = self.changes.overrides();
        let output = self
            .output
            .unwrap_or_else(|| findings::default_path(&path, &overrides));
        // Before anything is read that takes a while.
        findings::check(&output, self.force)?;
        let project = Project::open(&path, &overrides)?;
        let found = findings::gather(&project, &overrides)?;
        let html = page::render(&found, Keeping::Still);
        findings::save(&html, &output, self.force)?;
        for what in &found.missing {
            report::print_status(&format!("note: {what}\n"));
        }
        let size = report::figures::amount(html.len() as u64, "bytes");
        report::print_status(&format!("{size}, one file\n"));
        Ok(report::print(&format!("{}\n", output.display()))?)
    }
}
