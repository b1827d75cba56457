//! `refire metrics`.

use super::flags::Changes;
use super::{Outcome, pipeline};
use crate::report::{self, MetricsRow};
use crate::run::Project;

/// Show the metrics that the lock holds: those of the last complete run.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The pipeline file
    pipeline: Option<String>,

    #[command(flatten)]
    changes: Changes,

    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        let path = pipeline::only(self.pipeline)?;
        let project = Project::open(&path, &self.changes.overrides())?;
        let stages = project.plan.nodes.iter().map(|node| node.name.as_str());
        let rows: Vec<MetricsRow> = stages.filter_map(|stage| row(&project, stage)).collect();
        if self.json {
            report::print_json(&rows);
        } else if rows.is_empty() {
            report::print_status("the lock holds no metrics yet; `refire run` writes them\n");
        } else {
            report::print(&report::metrics(&rows, report::width()));
        }
        Ok(())
    }
}

fn row(project: &Project, stage: &str) -> Option<MetricsRow> {
    let entry = project.lock.stages.get(stage)?;
    (!entry.metrics.is_empty()).then(|| MetricsRow {
        stage: stage.into(),
        metrics: entry.metrics.clone(),
    })
}
