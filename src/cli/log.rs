//! `refire log`.

use super::flags::Changes;
use super::{Outcome, pipeline};
use crate::journal;
use crate::report;
use crate::run::Workspace;

/// Show earlier runs of the pipeline file, the latest first, with the params that are not the same in all of them and what each came to.
///
/// With `--profile` or `-S` only those with these.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The pipeline file
    pipeline: Option<String>,

    /// At most so many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    limit: usize,

    /// The runs of all pipelines of the project
    #[arg(long, conflicts_with_all = ["profiles", "set"])]
    all: bool,

    #[command(flatten)]
    changes: Changes,

    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        let path = pipeline::only(self.pipeline)?;
        let workspace = Workspace::find(&path)?;
        let of = workspace.configuration(&path, &self.changes.overrides());
        let of = Some(&of).filter(|_| !self.all);
        let rows = journal::history(workspace.runs(), of, self.limit);
        if self.json {
            report::print_json(&rows)?;
        } else if rows.is_empty() {
            report::print_status("no run is known\n");
        } else {
            report::print_styled(&report::runs(&rows, report::width()))?;
        }
        Ok(())
    }
}
