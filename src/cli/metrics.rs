//! `refire metrics`.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::Path;

use super::flags::Changes;
use super::{Outcome, diff, pipeline};
use crate::config::{Named, Overrides};
use crate::error::{Error, Result};
use crate::report::{self, MetricChange, Standing};
use crate::run::{self, Figures, Project, Version};
use crate::stages::higher_is_better;

/// Show the metrics of each stage, with those of other settings or inputs than now marked.
///
/// They come from the cache, else from the lock. Where only those of other settings or inputs are known, they are shown as
/// `stale`, with what has changed since; where they do not pass a gate, as `failed`. A run of some stages writes theirs to
/// the lock, and so does one that a gate fails; one with `-S` or `--locked` writes nothing. Beside the instances of a matrix stands how long
/// each took, where the cache has its result.
#[derive(Debug, clap::Args)]
#[command(disable_help_subcommand = true)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,

    /// The pipeline file
    pipeline: Option<String>,

    #[command(flatten)]
    changes: Changes,

    /// Sort the instances of each matrix by this figure, the best first
    #[arg(long, value_name = "METRIC")]
    sort: Option<String>,

    /// Show only so many instances of each matrix
    #[arg(long, value_name = "N")]
    top: Option<NonZeroUsize>,

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
        let mut figures = project.figures();
        if let Some(name) = &self.sort {
            check(name, &figures)?;
        }
        let lower_is_better = self.sort.as_deref().is_some_and(lower_is_better);
        let most = self.top.map(NonZeroUsize::get);
        if self.sort.is_some() || most.is_some() {
            report::rank(
                &mut figures.rows,
                self.sort.as_deref(),
                lower_is_better,
                most,
            );
        }
        if !self.json {
            // Times are for comparing instances. All else reads the same of a lock alone.
            let alone = figures
                .rows
                .iter_mut()
                .filter(|row| !row.stage.contains('@'));
            alone.for_each(|row| row.used = None);
        }
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

/// Whether the figure `name`, of a training or a test, is the better the lower it is.
fn lower_is_better(name: &str) -> bool {
    let of_test = name.strip_prefix("validation_").unwrap_or(name);
    higher_is_better(of_test).map_or(name == "train_loss", |higher| !higher)
}

/// Refuses to sort by a figure that no stage has.
fn check(name: &str, figures: &Figures) -> Result<()> {
    let known = figures.rows.iter().flat_map(|row| row.metrics.keys());
    let known: BTreeSet<&str> = known.map(String::as_str).collect();
    if known.contains(name) || known.is_empty() {
        return Ok(());
    }
    let list: Vec<&str> = known.iter().copied().collect();
    Err(Error::usage(format!("no stage has the metric `{name}`"))
        .note(format!("metrics: {}", list.join(", ")))
        .did_you_mean(name, known))
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
