//! `refire metrics`.

use std::collections::BTreeSet;

use super::flags::Changes;
use super::{Outcome, diff, pipeline};
use crate::report::{self, MetricChange, MetricsRow};
use crate::run::{self, Project};

/// Show the metrics that the lock holds: of each stage those of its last result.
///
/// A run of some stages writes down theirs, and so does one that a gate fails; one with `-S` or `--locked` writes nothing.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,

    /// The pipeline file
    pipeline: Option<String>,

    #[command(flatten)]
    changes: Changes,

    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Compare the metrics of two revisions, as their locks hold them
    Diff(diff::Args),
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        if let Some(Verb::Diff(diff)) = self.verb {
            let diff = diff.after(self.pipeline, self.changes, self.json)?;
            return show_changes(diff);
        }
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
        metrics: entry.metrics.iter().cloned().collect(),
    })
}

fn show_changes(diff: diff::Args) -> Outcome {
    let (path, old, new) = diff.resolve()?;
    let overrides = diff.changes.overrides();
    let old = run::metrics(&path, &overrides, &old)?;
    let new = run::metrics(&path, &overrides, &new)?;
    let names = old.iter().chain(&new);
    let names: BTreeSet<(&String, &String)> = names
        .flat_map(|(stage, metrics)| metrics.keys().map(move |name| (stage, name)))
        .collect();
    let change = |(stage, name): (&String, &String)| MetricChange {
        stage: stage.clone(),
        metric: name.clone(),
        old: old
            .get(stage)
            .and_then(|metrics| metrics.get(name))
            .copied(),
        new: new
            .get(stage)
            .and_then(|metrics| metrics.get(name))
            .copied(),
    };
    let changes = names.into_iter().map(change);
    let rows: Vec<MetricChange> = changes.filter(|row| row.old != row.new).collect();
    if diff.json {
        report::print_json(&rows);
    } else if rows.is_empty() {
        report::print_status("no metric differs\n");
    } else {
        report::print(&report::metric_changes(&rows));
    }
    Ok(())
}
