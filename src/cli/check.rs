//! `refire check`.

use super::flags::Changes;
use super::{Outcome, pipeline};
use crate::error::Result;
use crate::report;
use crate::report::figures::amount;
use crate::report::table::{Align, Table};
use crate::run::{Expected, Project};
use crate::stages::{Download, Files};

/// Check everything that can be checked without running or downloading anything.
///
/// It also says what a run would download, from where, and how much where that is known without asking anybody.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The pipeline file
    pipeline: Option<String>,

    #[command(flatten)]
    changes: Changes,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        let path = pipeline::only(self.pipeline)?;
        let project = Project::open(&path, &self.changes.overrides())?;
        project.check()?;
        let stages = project.plan.nodes.len();
        let plural = if stages == 1 { "" } else { "s" };
        report::print_status(&format!(
            "`{}` is fine: {stages} stage{plural}\n",
            path.display()
        ));
        tell(&project.downloads()?)?;
        Ok(())
    }
}

/// Says what a run would fetch from elsewhere, and what of it is there already.
fn tell(downloads: &[Expected]) -> Result<()> {
    if downloads.is_empty() {
        return Ok(());
    }
    let mut table = Table::new([
        ("fetched", Align::Left),
        ("how much", Align::Left),
        ("from", Align::Left),
    ]);
    let all = downloads
        .iter()
        .filter(|expected| expected.cached.is_none());
    for expected in all.clone() {
        let Download { from, files, bytes } = &expected.download;
        let files = match files {
            Files::Some(1) => "1 file".to_owned(),
            Files::Some(files) => format!("{files} files"),
            Files::Archive => "an archive".into(),
            Files::Model => "a model".into(),
        };
        let size = bytes.map_or("of unknown size".to_owned(), |bytes| {
            format!("about {}", amount(bytes, "bytes"))
        });
        for (place, source) in from.iter().enumerate() {
            if place == 0 {
                let stage = expected.stage.as_str();
                table.row([
                    stage.into(),
                    format!("{files}, {size}").into(),
                    source.as_str().into(),
                ]);
            } else {
                table.row(["".into(), "".into(), format!("or {source}").into()]);
            }
        }
    }
    if all.clone().next().is_some() {
        report::print_styled(&table.render())?;
    }
    let there = downloads
        .iter()
        .filter_map(|expected| Some((&expected.stage, expected.cached?)));
    let there: Vec<String> = there
        .map(|(stage, bytes)| format!("`{stage}` ({})", amount(bytes, "bytes")))
        .collect();
    if !there.is_empty() {
        report::print_status(&format!("in the cache already: {}\n", there.join(", ")));
    }
    Ok(())
}
