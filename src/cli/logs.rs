//! `refire logs`.

use super::flags::Changes;
use super::{Outcome, pipeline};
use crate::config::{self, Pipeline};
use crate::error::Error;
use crate::report;
use crate::run::Workspace;

/// Print what a stage wrote when it last ran in this pipeline.
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

    #[command(flatten)]
    changes: Changes,
}

impl Args {
    pub(super) fn run(mut self) -> Outcome {
        let path = pipeline::take(&mut self.what)?;
        let stage = pipeline::only_stage(&self.what)?;
        let pipeline = config::load(&path, &self.changes.overrides())?;
        let workspace = Workspace::find(&path)?;
        let run = self.run.as_deref();
        match report::log(workspace.runs(), &pipeline.name, run, stage)? {
            Some(text) => report::print(&text),
            None => return Err(no_log(&pipeline, stage).into()),
        }
        Ok(())
    }
}

/// The error for a stage without a log. One that the pipeline has no more may still have one.
fn no_log(pipeline: &Pipeline, stage: &str) -> Error {
    let names = pipeline.stages.iter().map(|stage| stage.name.as_str());
    let names: Vec<&str> = names.collect();
    if names.contains(&stage) {
        return Error::usage(format!("stage `{stage}` has written no log"))
            .note("a stage that is cached writes none")
            .help("`refire log` lists the runs that are still known");
    }
    let is_instance = |name: &&str| name.split_once('@').is_some_and(|(base, _)| base == stage);
    let instances: Vec<&str> = names.iter().copied().filter(is_instance).collect();
    if !instances.is_empty() {
        return Error::usage(format!("stage `{stage}` has a matrix, so it is several"))
            .help(format!("name one of them: {}", instances.join(", ")));
    }
    Error::usage(format!("the pipeline has no stage `{stage}`"))
        .did_you_mean(stage, names.iter().copied())
        .note(format!("its stages: {}", names.join(", ")))
}
