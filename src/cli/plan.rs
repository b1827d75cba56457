//! `refire plan`.

use super::Outcome;
use super::flags::{Changes, Stages};
use crate::error::Result;
use crate::exec::{Forecast, Preview, Record, in_words};
use crate::plan::Goal;
use crate::report::{self, PlanRow};
use crate::run::Project;

/// Show what would run, why, and how long it took the last time.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    stages: Stages,

    /// As if the named stages had to run even if they are cached
    #[arg(short, long)]
    force: bool,

    #[command(flatten)]
    changes: Changes,

    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        let (path, goal) = self.stages.resolve()?;
        let project = Project::open(&path, &self.changes.overrides())?;
        Ok(show(&project, &goal, self.force, self.json)?)
    }
}

/// Prints what a run of `goal` would do.
///
/// # Errors
/// As [`Project::preview`].
pub(super) fn show(project: &Project, goal: &Goal, force: bool, json: bool) -> Result<()> {
    let previews = project.preview(goal, force)?;
    let rows: Vec<PlanRow> = previews
        .iter()
        .map(|preview| row(project, preview))
        .collect();
    if json {
        report::print_json(&rows)?;
    } else {
        report::print_styled(&report::plan(&rows, report::room()))?;
    }
    Ok(())
}

/// Whether the lock names this very result.
fn is_last(project: &Project, index: usize, record: &Record) -> bool {
    let entry = project.lock.stages.get(&project.plan.nodes[index].name);
    entry.is_none_or(|entry| entry.key == record.key)
}

fn row(project: &Project, preview: &Preview) -> PlanRow {
    let (action, reason) = match &preview.forecast {
        Forecast::Cached(record) if is_last(project, preview.index, record) => {
            ("cached", String::new())
        }
        Forecast::Cached(_) => ("restore", String::new()),
        Forecast::Fails(_, error) => ("fail", error.message().to_string()),
        Forecast::Skipped { needs } => ("skip", format!("`{needs}` does not end well")),
        Forecast::Run(reasons) => ("run", in_words(reasons)),
        Forecast::Depends(reasons) => ("maybe", in_words(reasons)),
    };
    let node = &project.plan.nodes[preview.index];
    PlanRow {
        stage: node.name.clone(),
        action: action.into(),
        reason,
        seconds: preview.expected_seconds,
        notes: match action {
            "run" | "maybe" => {
                let resumes = preview.resumes.iter().cloned();
                resumes.chain(node.stage.notes()).collect()
            }
            _ => Vec::new(),
        },
    }
}
