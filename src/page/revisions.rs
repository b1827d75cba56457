//! Figures and params of other revisions beside those of now.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::Page;
use crate::report::figures::metric;

/// What a revision has committed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Revision {
    /// What it was asked for by: a commit, a branch, a tag.
    pub name: String,
    /// Stage → its figures in the lock.
    pub figures: BTreeMap<String, BTreeMap<String, f64>>,
    /// Name → value of each param, as TOML.
    pub params: BTreeMap<String, String>,
}

/// A table with a column for now and one for each revision; only params that are not the same in all. Nothing without revisions.
pub(super) fn draw(page: &Page) -> Markup {
    if page.revisions.is_empty() {
        return html! {};
    }
    let now = now(page);
    let all: Vec<&Revision> = std::iter::once(&now).chain(&page.revisions).collect();
    let figures: BTreeSet<(&str, &str)> = all
        .iter()
        .flat_map(|revision| &revision.figures)
        .flat_map(|(stage, figures)| figures.keys().map(move |name| (&**stage, &**name)))
        .collect();
    let params: BTreeSet<&str> = all
        .iter()
        .flat_map(|revision| revision.params.keys().map(String::as_str))
        .collect();
    let value = |revision: &Revision, name: &str| revision.params.get(name).cloned();
    let differs = |name: &&str| {
        let mut values = all.iter().map(|revision| value(revision, name));
        let first = values.next();
        values.any(|value| Some(value) != first)
    };
    html! {
        div.wide tabindex="0" role="group" aria-label="figures by revision" {
            table {
                thead {
                    tr {
                        th scope="col" { "stage" } th scope="col" { "figure" }
                        @for revision in &all { th.number scope="col" { (revision.name) } }
                    }
                }
                tbody {
                    @for name in params.iter().copied().filter(differs) {
                        tr {
                            td { "params" } td { code { (name) } }
                            @for revision in &all { td.number { (value(revision, name).unwrap_or_default()) } }
                        }
                    }
                    @for (stage, name) in figures {
                        tr {
                            td { (stage) } td { (name) }
                            @for revision in &all {
                                td.number {
                                    @if let Some(figure) = revision.figures.get(stage).and_then(|figures| figures.get(name)) {
                                        (metric(name, *figure))
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What stands on the page itself.
fn now(page: &Page) -> Revision {
    let stages = page.stages.iter();
    let stages = stages.filter(|stage| !stage.figures.is_empty());
    let figures = stages.map(|stage| {
        let figures = stage.figures.iter();
        let figures = figures.map(|figure| (figure.name.clone(), figure.value));
        (stage.name.clone(), figures.collect())
    });
    Revision {
        name: "now".into(),
        figures: figures.collect(),
        params: page.params.iter().cloned().collect(),
    }
}
