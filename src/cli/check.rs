//! `refire check`.

use super::flags::Changes;
use super::{Outcome, pipeline};
use crate::report;
use crate::run::Project;

/// Check everything that can be checked without running or downloading anything.
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
        Ok(())
    }
}
