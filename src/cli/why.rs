//! `refire why`.

use std::fmt::Write as _;

use super::flags::Changes;
use super::{Outcome, pipeline};
use crate::exec::{Forecast, Preview};
use crate::fingerprint::Reason;
use crate::plan::Goal;
use crate::report;
use crate::run::{Comparison, Project};

/// Say why a stage would run: what differs from its last result, setting by setting, input by input.
///
/// If it waits for other stages that would run, their reasons follow. A pipeline file may stand before the stage.
#[derive(Debug, clap::Args)]
#[command(override_usage = "refire why [OPTIONS] [PIPELINE] STAGE")]
pub(super) struct Args {
    #[arg(hide = true, value_name = "STAGE", required = true, num_args = 1..=2)]
    what: Vec<String>,

    /// Compare with what the lock and the pipeline file said at this revision of the repository, instead of with the
    /// last result
    #[arg(long, value_name = "REV")]
    against: Option<String>,

    #[command(flatten)]
    changes: Changes,
}

impl Args {
    pub(super) fn run(mut self) -> Outcome {
        let path = pipeline::take(&mut self.what)?;
        let stage = pipeline::only_stage(&self.what)?;
        let overrides = self.changes.overrides();
        let project = Project::open(&path, &overrides)?;
        if let Some(revision) = &self.against {
            let comparison = project.compare(stage, &overrides, revision)?;
            return Ok(report::print(&compared(stage, revision, &comparison))?);
        }
        let index = project.plan.find(stage)?;
        let goal = Goal {
            stages: vec![stage.to_string()],
            ..Goal::default()
        };
        let previews = project.preview(&goal, false)?;
        let mut text = String::new();
        // The stage first, then what it waits for, nearest first.
        for preview in previews.iter().rev() {
            if preview.index == index || !matches!(preview.forecast, Forecast::Cached(_)) {
                explain(&mut text, &project.plan.nodes[preview.index].name, preview);
            }
        }
        Ok(report::print(&text)?)
    }
}

fn explain(text: &mut String, stage: &str, preview: &Preview) {
    match &preview.forecast {
        Forecast::Cached(record) => {
            let on = record.finished_at.strftime("%Y-%m-%d %H:%M UTC");
            let took = report::figures::seconds(record.seconds);
            let _ = writeln!(
                text,
                "`{stage}` is up to date: nothing that can change its result has changed\n  it ran on {on}, in {took}"
            );
        }
        Forecast::Fails(_, error) => {
            let _ = writeln!(
                text,
                "`{stage}` is up to date and fails: {}",
                error.message()
            );
        }
        Forecast::Skipped { needs } => {
            let _ = writeln!(text, "`{stage}` would not run: `{needs}` does not end well");
        }
        Forecast::Run(reasons) => {
            let _ = writeln!(text, "`{stage}` would run");
            list(text, reasons);
        }
        Forecast::Depends(reasons) => {
            let _ = writeln!(text, "`{stage}` would run if its inputs change");
            list(text, reasons);
        }
    }
}

fn compared(stage: &str, revision: &str, comparison: &Comparison) -> String {
    let mut text = if comparison.reasons.is_empty() {
        format!("`{stage}` is what it was at {revision}\n")
    } else {
        format!("`{stage}` differs from {revision}\n")
    };
    list(&mut text, &comparison.reasons);
    if !comparison.knows_inputs {
        text.push_str("  inputs are not compared: what it needs has to run first\n");
    }
    if !comparison.knows_files {
        text.push_str("  files are not compared: the result of that time is not in the cache\n");
    }
    text
}

fn list(text: &mut String, reasons: &[Reason]) {
    for reason in reasons {
        let _ = writeln!(text, "  {reason}");
    }
}
