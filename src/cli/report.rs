//! `refire report`.

use std::path::{Path, PathBuf};

use super::flags::Changes;
use super::{Outcome, pipeline};
use crate::config::Overrides;
use crate::error::Result;
use crate::findings;
use crate::page::{self, Keeping, Revision};
use crate::report;
use crate::run::Project;

/// Write one HTML page of a pipeline: what ran and why, figures, curves, mistakes, data, provenance.
///
/// The page is one file that needs no network. It shows the results as they stand now and the last run with these settings; nothing
/// runs for it. What is not in the cache is left out, and the page says so. It holds some rows of your data, the most confident mistakes:
/// whoever gets the page sees them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The pipeline file, if the first one ends in .toml, then what git knows as revisions, whose figures are to stand beside those of
    /// now: commits, branches, tags
    #[arg(value_name = "PIPELINE] [REV")]
    what: Vec<String>,

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
        let mut revisions = self.what;
        let path = pipeline::take(&mut revisions)?;
        let overrides = self.changes.overrides();
        let output = self
            .output
            .unwrap_or_else(|| findings::default_path(&path, &overrides));
        // Before anything is read that takes a while.
        findings::check(&output, self.force)?;
        let revisions = findings::revisions(&path, &overrides, &revisions)?;
        write(&path, &overrides, &output, self.force, revisions)?;
        Ok(report::print(&format!("{}\n", output.display()))?)
    }
}

/// Writes the page of a pipeline as it stands now, and says what is missing in it and how large it is.
pub(super) fn write(
    path: &Path,
    overrides: &Overrides,
    output: &Path,
    force: bool,
    revisions: Vec<Revision>,
) -> Result<()> {
    let project = Project::open(path, overrides)?;
    let mut found = findings::gather(&project, overrides)?;
    found.revisions = revisions;
    let html = page::render(&found, Keeping::Still);
    findings::save(&html, output, force)?;
    for what in &found.missing {
        report::print_status(&format!("note: {what}\n"));
    }
    let size = report::figures::amount(html.len() as u64, "bytes");
    report::print_status(&format!("{size}, one file\n"));
    Ok(())
}
