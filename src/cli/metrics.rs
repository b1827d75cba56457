//! `refire metrics`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::flags::Changes;
use super::{Outcome, diff, pipeline};
use crate::config::{Named, Overrides};
use crate::error::{Error, Result};
use crate::report::{self, MetricChange, Standing};
use crate::run::{self, Figures, Project, Version};

/// Show the metrics of each stage, with those of other settings or inputs than now marked.
///
/// They come from the cache, else from the lock. Where only those of other settings or inputs are known, they are shown as
/// `stale`, with what has changed since; where they do not pass a gate, as `failed`. A run of some stages writes theirs to
/// the lock, and so does one that a gate fails; one with `-S` or `--locked` writes nothing.
#[derive(Debug, clap::Args)]
#[command(disable_help_subcommand = true)]
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
    /// Compare the metrics of two revisions, as their locks hold them; without REV, those of now with those of the last commit
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
        let figures = project.figures();
        if self.json {
            report::print_json(&figures.rows)?;
        } else if figures.rows.is_empty() && figures.missing.is_empty() {
            report::print_status("no metrics are known yet; `refire run` makes some\n");
        } else {
            report::print_styled(&report::metrics(&figures.rows, report::width()))?;
        }
        remark(&figures);
        Ok(())
    }
}

/// Says what the table does not.
fn remark(figures: &Figures) {
    if !figures.missing.is_empty() {
        let stages = figures.missing.join("`, `");
        report::print_status(&format!(
            "with these settings no metrics are known of `{stages}`; a run with them makes some\n"
        ));
    }
    if let Some(error) = &figures.doubt {
        report::print_status(&format!(
            "note: whether these metrics are of the files as they are cannot be told: {error}\n"
        ));
    }
}

/// Stage → name of each metric → its figure.
type Known = BTreeMap<String, Named<f64>>;

/// The figures of `version`. Those of now are what [`Figures`] says, so that settings of the command line count.
fn figures(path: &Path, overrides: &Overrides, version: &Version) -> Result<Known> {
    if let Version::At(revision) = version {
        if overrides.set.is_empty() {
            return run::metrics(path, overrides, revision);
        }
        return Err(
            Error::usage("`-S` says nothing about the metrics of a revision")
                .help("locks hold the results of files and profiles alone"),
        );
    }
    let figures = Project::open(path, overrides)?.figures();
    remark(&figures);
    let rows = figures.rows.iter();
    for row in rows.filter(|row| row.state == Standing::Stale) {
        let (stage, why) = (&row.stage, &row.reason);
        report::print_status(&format!(
            "note: the metrics of `{stage}` are stale: {why}\n"
        ));
    }
    let rows = figures.rows.into_iter();
    Ok(rows.map(|row| (row.stage, (&row.metrics).into())).collect())
}

fn show_changes(diff: diff::Args) -> Outcome {
    let (path, old, new) = diff.resolve()?;
    let overrides = diff.changes.overrides();
    let old = figures(&path, &overrides, &old)?;
    let new = figures(&path, &overrides, &new)?;
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
        report::print_json(&rows)?;
    } else if rows.is_empty() {
        report::print_status("no metric differs\n");
    } else {
        report::print_styled(&report::metric_changes(&rows))?;
    }
    Ok(())
}
