//! `refire run`.

use std::path::PathBuf;

use super::flags::{Changes, Shown, Stages};
use super::{Failure, Outcome, interrupt, plan};
use crate::error::{Context as _, Error, Kind};
use crate::exec::{Summary, Workers};
use crate::findings;
use crate::report;
use crate::run::{Project, Request, run};

/// Bring a pipeline, or some of its stages and what they need, up to date.
///
/// Stages whose inputs and settings did not change are taken from the cache. What happens goes to stderr, the table of
/// metrics to stdout.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct Args {
    #[command(flatten)]
    stages: Stages,

    /// Run the named stages (all, if none is named) even if they are cached
    #[arg(short, long)]
    force: bool,

    /// How many stages may run at once
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,

    /// After a failure, go on with what does not depend on it
    #[arg(short, long)]
    keep_going: bool,

    /// Only say what would run
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Fail (exit code 4) if the lock does not describe the pipeline, and never write the lock
    #[arg(long)]
    locked: bool,

    /// Never touch the network
    #[arg(long)]
    offline: bool,

    /// In the end write the page of `refire report`, whether the run went well or not; `NAME.report.html` in the current folder
    /// by default
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    #[expect(
        clippy::option_option,
        reason = "clap's form for a flag that may have a value"
    )]
    report: Option<Option<PathBuf>>,

    #[command(flatten)]
    changes: Changes,

    /// How to show the run
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Shown,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        interrupt::outlive_terminal();
        let (path, goal) = self.stages.resolve()?;
        let overrides = self.changes.overrides();
        let page = self.report;
        let page =
            page.map(|named| named.unwrap_or_else(|| findings::default_path(&path, &overrides)));
        if let Some(page) = &page {
            findings::check(page, false)?;
        }
        let mut project = Project::open_for(&path, &overrides, &goal)?;
        if self.dry_run {
            let json = matches!(self.format, Shown::Json);
            return Ok(plan::show(&project, &goal, self.force, json)?);
        }
        let request = Request {
            goal,
            force: self.force,
            keep_going: self.keep_going,
            locked: self.locked,
            offline: self.offline,
            jobs: self.jobs.into(),
        };
        interrupt::listen()?;
        let program = std::env::current_exe().or_stage(|| "cannot tell where refire is")?;
        let workers = Workers::new(program);
        let reporter = report::reporter(self.format.into());
        let summary = run(
            &mut project,
            &request,
            &workers,
            &*reporter,
            &interrupt::asked,
        )?;
        drop(reporter);
        if let Some(page) = page {
            super::report::write(&path, &overrides, &page, false, Vec::new())?;
            report::print_status(&format!("{}\n", page.display()));
        }
        verdict(&project, &summary)?;
        // The process is about to end: the system takes the memory back at once.
        std::mem::forget((project, summary));
        Ok(())
    }
}

/// What a run came to, as errors with their stages.
pub(super) fn verdict(project: &Project, summary: &Summary) -> Outcome {
    match summary.verdict() {
        None => Ok(()),
        // Stages that were stopped say nothing new.
        Some(verdict) if verdict.kind() == Kind::Interrupted => Err(verdict
            .clone()
            .help("run it again to go on: what is finished is kept, and a training goes on where it was")
            .into()),
        Some(verdict) => Err(Failure {
            exit_code: verdict.kind().exit_code(),
            errors: summary
                .errors
                .iter()
                .map(|(stage, error)| of_stage(project, stage, error))
                .collect(),
        }),
    }
}

/// The error with its stage in the message, and at the stage if it has no better place.
fn of_stage(project: &Project, stage: &str, error: &Error) -> Error {
    let Ok(index) = project.plan.find(stage) else {
        return error.clone();
    };
    let error = error.clone().or_at(&project.plan.nodes[index].span, "");
    let message = error.message();
    if message.contains(&format!("`{stage}`")) {
        return error;
    }
    let message = format!("stage `{stage}`: {message}");
    error.with_message(message)
}
