//! `refire logs`.

use std::path::Path;

use super::flags::Changes;
use super::{Outcome, pipeline};
use crate::error::{Error, Result};
use crate::exec::{Forecast, Preview, in_words};
use crate::journal::{self, StageLog};
use crate::plan::Goal;
use crate::report;
use crate::run::{Project, Workspace};

/// Print what a stage wrote when it last ran as it is now.
///
/// That is with the settings and inputs that it has now. If no such run is known, it is what it last wrote under these profiles and settings, after a note that says so. A
/// pipeline file may stand before the stage.
#[derive(Debug, clap::Args)]
#[command(override_usage = "refire logs [OPTIONS] [PIPELINE] STAGE")]
pub(super) struct Args {
    #[arg(hide = true, value_name = "STAGE", required = true, num_args = 1..=2)]
    what: Vec<String>,

    /// In this run, as `refire log` names it
    #[arg(long, value_name = "RUN", conflicts_with_all = ["profiles", "set"])]
    run: Option<String>,

    #[command(flatten)]
    changes: Changes,
}

impl Args {
    pub(super) fn run(mut self) -> Outcome {
        let path = pipeline::take(&mut self.what)?;
        let stage = pipeline::only_stage(&self.what)?;
        if let Some(run) = &self.run {
            return Ok(report::print_styled(&log_in(&path, run, stage)?)?);
        }
        let project = Project::open(&path, &self.changes.overrides())?;
        let runs = project.workspace.runs();
        let (key, why) = standing(&project, stage);
        let of = &project.configuration;
        let Some(log) = journal::log(runs, of, stage, key.as_deref())? else {
            return Err(no_log(&project, stage).into());
        };
        let StageLog { run, text, .. } = &log;
        if !log.is_current {
            report::print_status(&format!(
                "note: this is from run {run}, not of the stage as it is now: {why}\n"
            ));
        }
        Ok(report::print_styled(text)?)
    }
}

fn log_in(path: &Path, run: &str, stage: &str) -> Result<String> {
    let runs = Workspace::find(path)?;
    let text = journal::log_in(runs.runs(), run, stage)?;
    text.ok_or_else(|| Error::usage(format!("stage `{stage}` has written no log in run {run}")))
}

/// The key that `stage` has now, if that can be told, and what keeps its last log from being that of now.
fn standing(project: &Project, stage: &str) -> (Option<String>, String) {
    let goal = Goal {
        stages: vec![stage.into()],
        single: true,
        ..Goal::default()
    };
    let found = project.plan.find(stage);
    let preview = match found.and_then(|_| project.preview(&goal, false)) {
        Ok(mut previews) => previews.pop(),
        Err(error) => return (None, error.message().into()),
    };
    let why = match preview.as_ref().map(|preview| &preview.forecast) {
        Some(Forecast::Run(reasons) | Forecast::Depends(reasons)) => in_words(reasons),
        Some(Forecast::Skipped { needs }) => format!("`{needs}` does not end well"),
        _ => "the run that made its result is no longer known".into(),
    };
    (preview.as_ref().and_then(Preview::key), why)
}

/// The error for a stage without a log. One that the pipeline has no more may still have one.
fn no_log(project: &Project, stage: &str) -> Error {
    let names = project.plan.nodes.iter().map(|node| node.name.as_str());
    let names: Vec<&str> = names.collect();
    if names.contains(&stage) {
        let (runs, of) = (project.workspace.runs(), &project.configuration);
        let error = match of.flags().as_str() {
            "" => Error::usage(format!("stage `{stage}` has written no log")),
            flags => Error::usage(format!("stage `{stage}` has written no log with {flags}")),
        };
        let error = error.note("a stage that is cached writes none");
        return match journal::other_run_with_log(runs, &of.file, stage) {
            Some((run, other)) => error.help(format!(
                "it wrote one in run {run}, of {other}: add --run {run}"
            )),
            None => error.help("`refire log` lists the runs that are still known"),
        };
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
