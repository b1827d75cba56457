//! `refire logs`.

use super::{Outcome, pipeline};
use crate::report;
use crate::run::Workspace;

/// Print what a stage wrote when it last ran.
///
/// A pipeline file may stand before the stage.
#[derive(Debug, clap::Args)]
#[command(override_usage = "refire logs [OPTIONS] [PIPELINE] STAGE")]
pub(super) struct Args {
    #[arg(hide = true, value_name = "STAGE", required = true, num_args = 1..=2)]
    what: Vec<String>,

    /// In this run, as `refire log` names it
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
}

impl Args {
    pub(super) fn run(mut self) -> Outcome {
        let path = pipeline::take(&mut self.what)?;
        let stage = pipeline::only_stage(&self.what)?;
        let workspace = Workspace::find(&path)?;
        report::print(&report::log(workspace.runs(), self.run.as_deref(), stage)?);
        Ok(())
    }
}
