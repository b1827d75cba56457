//! `refire status`.

use std::collections::BTreeMap;

use super::flags::Changes;
use super::{Outcome, pipeline};
use crate::exec::{Forecast, Preview, in_words};
use crate::fingerprint::Reason;
use crate::journal;
use crate::plan::Goal;
use crate::report::{self, StatusRow};
use crate::run::Project;

/// Show how each stage stands: fresh, stale, missing or failed.
///
/// `fresh` means that its result is in the cache; `stale` that it would run, or may, because something changed;
/// `missing` that no result is known here, or that it is damaged or gone from the cache; `failed` that it failed when it
/// last ran with these settings and inputs, or that its result does not pass a gate. Of a training that was interrupted it
/// says where it goes on.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The pipeline file, if the first one ends in .toml, then stages by name or glob, where a stage with a matrix means all its instances;
    /// all of them by default
    #[arg(value_name = "PIPELINE] [STAGE")]
    what: Vec<String>,

    #[command(flatten)]
    changes: Changes,

    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(mut self) -> Outcome {
        let path = pipeline::take(&mut self.what)?;
        let project = Project::open(&path, &self.changes.overrides())?;
        let single = !self.what.is_empty();
        let goal = Goal {
            stages: self.what,
            single,
            ..Goal::default()
        };
        let previews = project.preview(&goal, false)?;
        let name = |preview: &Preview| project.plan.nodes[preview.index].name.as_str();
        let has_none = |preview: &&Preview| {
            !matches!(preview.forecast, Forecast::Cached(_) | Forecast::Fails(..))
        };
        let others = previews.iter().filter(has_none);
        let others: Vec<(&str, String)> = others
            .filter_map(|preview| Some((name(preview), preview.key()?)))
            .collect();
        let runs = project.workspace.runs();
        let failures = journal::last_failures(runs, &project.configuration.file, &others);
        let rows: Vec<StatusRow> = previews
            .iter()
            .map(|preview| row(name(preview), preview, &failures))
            .collect();
        if self.json {
            report::print_json(&rows)?;
        } else {
            report::print_styled(&report::status(&rows, report::room()))?;
        }
        Ok(())
    }
}

fn row(name: &str, preview: &Preview, failures: &BTreeMap<String, String>) -> StatusRow {
    let (state, reason) = match &preview.forecast {
        Forecast::Cached(_) => ("fresh", String::new()),
        Forecast::Fails(_, error) => ("failed", error.message().to_string()),
        Forecast::Skipped { needs } => ("stale", format!("`{needs}` does not end well")),
        Forecast::Run(reasons) | Forecast::Depends(reasons) => match failures.get(name) {
            Some(failure) => ("failed", failure.clone()),
            None if reasons
                .iter()
                .any(|reason| matches!(reason, Reason::New | Reason::Lost)) =>
            {
                ("missing", in_words(reasons))
            }
            None => ("stale", in_words(reasons)),
        },
    };
    let reason = match &preview.resumes {
        Some(resumes) => format!("{reason}; {resumes}"),
        None => reason,
    };
    StatusRow {
        stage: name.into(),
        state: state.into(),
        reason,
    }
}
