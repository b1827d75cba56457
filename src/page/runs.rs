//! Earlier runs: a row each, with the params in which they differ and what they came to.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::Page;
use crate::report::figures;

/// So many characters of a commit tell it apart.
const COMMIT: usize = 9;

/// The last run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// Its name.
    pub run: String,
    /// When it began.
    pub when: String,
    /// The commit that was checked out; empty if none was.
    pub revision: String,
    /// How long it took; none if it has not ended, or was killed.
    pub seconds: Option<f64>,
    /// Whether it is still under way.
    pub running: bool,
    /// Stages that ran, were up to date, failed, and did not start.
    pub counts: [usize; 4],
    /// Of how many stages it was, and how many the pipeline has.
    pub stages: (usize, usize),
    /// Which stages failed, and why.
    pub failures: Vec<(String, String)>,
    /// What it told that belongs to no stage.
    pub notices: Vec<String>,
}

/// An earlier run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Earlier {
    /// Its name.
    pub run: String,
    /// When it began.
    pub when: String,
    /// What was laid over the file.
    pub flags: String,
    /// The commit that was checked out; empty if none was.
    pub revision: String,
    /// Name → value of each param.
    pub params: Vec<(String, String)>,
    /// What became of its stages.
    pub outcome: String,
    /// Whether something failed.
    pub failed: bool,
    /// How long it took.
    pub seconds: Option<f64>,
    /// The stage that it came to, with its figures.
    pub headline: Option<(String, Vec<(String, f64)>)>,
}

/// The beginning of a commit.
pub(super) fn commit(revision: &str) -> Markup {
    html! { code title=(revision) { (revision.chars().take(COMMIT).collect::<String>()) } }
}

/// The table.
pub(super) fn draw(page: &Page) -> Markup {
    let runs = &page.runs;
    let params = differing(runs);
    let names = figure_names(runs);
    let has_flags = runs.iter().any(|run| !run.flags.is_empty());
    let has_revisions = runs.iter().any(|run| !run.revision.is_empty());
    html! {
        div.wide tabindex="0" role="group" aria-label="earlier runs" {
            table.sortable {
                thead {
                    tr {
                        th scope="col" { "run" }
                        @if has_flags { th scope="col" { "with" } }
                        @for name in &params { th.number scope="col" { (name) } }
                        @if has_revisions { th scope="col" { "commit" } }
                        th scope="col" { "stages" }
                        th.number scope="col" { "time" }
                        @for name in &names { th.number scope="col" { (name) } }
                    }
                }
                tbody {
                    @for run in runs {
                        tr {
                            th scope="row" title=(run.run) { (run.when) }
                            @if has_flags { td { (run.flags) } }
                            @for name in &params { td.number { (param(&run.params, name)) } }
                            @if has_revisions { td { (commit(&run.revision)) } }
                            td.failed[run.failed] { (run.outcome) }
                            td.number data-value=[run.seconds] { @if let Some(seconds) = run.seconds { (figures::seconds(seconds)) } }
                            @for name in &names { (figure(run, name)) }
                        }
                    }
                }
            }
        }
    }
}

fn figure(run: &Earlier, name: &str) -> Markup {
    let figures = run.headline.iter().flat_map(|(_, figures)| figures);
    let figure = figures.clone().find(|(known, _)| known == name);
    html! {
        td.number data-value=[figure.map(|(_, value)| value)] {
            @if let Some((name, value)) = figure { (figures::metric(name, *value)) }
        }
    }
}

fn param<'r>(params: &'r [(String, String)], name: &str) -> &'r str {
    params
        .iter()
        .find(|(known, _)| known == name)
        .map_or("", |(_, value)| value)
}

/// The params that are not the same in all runs.
fn differing(runs: &[Earlier]) -> Vec<&str> {
    let names: BTreeSet<&str> = runs
        .iter()
        .flat_map(|run| run.params.iter().map(|(name, _)| name.as_str()))
        .collect();
    let differs = |name: &&str| {
        let values: BTreeSet<&str> = runs.iter().map(|run| param(&run.params, name)).collect();
        values.len() > 1
    };
    names.into_iter().filter(differs).collect()
}

/// The figures of the stage to which most runs came, a few of them.
fn figure_names(runs: &[Earlier]) -> Vec<&str> {
    const MOST: usize = 4;
    let mut names: Vec<&str> = Vec::new();
    for (_, figures) in runs.iter().filter_map(|run| run.headline.as_ref()) {
        for (name, _) in figures {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
    }
    names.truncate(MOST);
    names
}
