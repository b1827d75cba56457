//! The top of the page: what it is of, what the last run came to, the figures that count, and what is wrong or missing.

use maud::{Markup, html};

use super::runs::{Run, commit};
use super::written::{anchor, change, gate};
use super::{Figure, Page, Stage, Standing};
use crate::report::figures;

/// So many figures stand at the top.
const MOST_FIGURES: usize = 4;

/// The head of the page.
pub(super) fn head(page: &Page) -> Markup {
    html! {
        header {
            p.product { "refire report" }
            h1 { (page.name) }
            p.meta {
                code { (page.file) } @if !page.flags.is_empty() { " " code { (page.flags) } }
                @if let Some(run) = &page.run {
                    @if !run.revision.is_empty() { span.dot { "at commit " (commit(&run.revision)) } }
                    span.dot { "last run " (run.when) }
                }
            }
        }
    }
}

/// The summary.
pub(super) fn draw(page: &Page) -> Markup {
    html! {
        section #summary aria-label="Summary" {
            div.cards {
                (run_card(page))
                @if let Some(stage) = page.headline() { (figure_cards(page, stage)) }
            }
            (failures(page))
            @if !page.missing.is_empty() {
                aside.note aria-label="What is missing" {
                    ul { @for what in &page.missing { li { (what) } } }
                }
            }
        }
    }
}

fn run_card(page: &Page) -> Markup {
    html! {
        div.card.run {
            @match &page.run {
                None => { p.label { "last run" } p.big { "none" } p.quiet { "No run of this file is known here." } }
                Some(run) => {
                    p.label { (state(run)) }
                    p.big {
                        @match run.seconds { Some(seconds) => (figures::seconds(seconds)), None => (if run.running { "…" } else { "cut off" }), }
                    }
                    p.counts {
                        (tally(run.counts[0], "ran", "")) (tally(run.counts[1], "cached", ""))
                        (tally(run.counts[2], "failed", "bad")) (tally(run.counts[3], "not started", "odd"))
                    }
                    @if run.stages.0 < run.stages.1 { p.quiet { "of " (run.stages.0) " of " (run.stages.1) " stages" } }
                }
            }
            p.counts.now { (standings(page)) }
        }
    }
}

fn state(run: &Run) -> &'static str {
    match (run.running, run.seconds, run.counts[2]) {
        (true, ..) => "run under way",
        (false, None, _) => "last run did not end",
        (false, Some(_), 0) => "last run",
        (false, Some(_), _) => "last run failed",
    }
}

fn tally(count: usize, what: &str, class: &str) -> Markup {
    html! { @if count > 0 { span class={ "tally " (class) } { b { (count) } " " (what) } " " } }
}

/// How stages stand now, where not all are fresh.
fn standings(page: &Page) -> Markup {
    let number = |standing| {
        page.stages
            .iter()
            .filter(|stage| stage.standing == standing)
            .count()
    };
    let fresh = number(Standing::Fresh);
    html! {
        @if fresh == page.stages.len() && fresh > 0 { span.quiet { "all " (fresh) " stages are fresh" } }
        @else {
            span.quiet { "now " }
            (tally(fresh, "fresh", "")) (tally(number(Standing::Stale), "stale", "odd"))
            (tally(number(Standing::Missing), "missing", "odd")) (tally(number(Standing::Failed), "failed", "bad"))
        }
    }
}

fn figure_cards(page: &Page, stage: &Stage) -> Markup {
    let place = page
        .stages
        .iter()
        .position(|known| std::ptr::eq(known, stage))
        .unwrap_or(0);
    let mut order: Vec<&Figure> = stage.figures.iter().collect();
    // Those with a gate first, then those of which one asks first.
    order.sort_by_key(|figure| {
        (
            figure.gate.is_none(),
            figure.name != "accuracy",
            figure.higher_is_better.is_none(),
        )
    });
    html! {
        @for figure in order.into_iter().take(MOST_FIGURES) {
            div.card {
                p.label { (figure.name) " " a href={ "#" (anchor(place)) } data-stage=(place) { (stage.name) } }
                p.big { (figures::metric(&figure.name, figure.value)) }
                @if let Some((low, high)) = figure.interval {
                    p.quiet { "95 %: " (figures::metric(&figure.name, low)) "–" (figures::metric(&figure.name, high)) }
                }
                p.counts {
                    (change(figure)) " "
                    @if let Some(condition) = &figure.gate { (gate(condition)) }
                }
            }
        }
    }
}

/// What failed, of the last run or as things stand now.
fn failures(page: &Page) -> Markup {
    let known = page.run.iter().flat_map(|run| &run.failures);
    let known: Vec<(&str, &str)> = known
        .map(|(stage, why)| (stage.as_str(), why.as_str()))
        .collect();
    let now = page
        .stages
        .iter()
        .filter(|stage| stage.standing == Standing::Failed);
    let more = now.filter(|stage| !known.iter().any(|(name, _)| *name == stage.name));
    let all: Vec<(&str, &str)> = known
        .iter()
        .copied()
        .chain(more.map(|stage| (stage.name.as_str(), stage.reason.as_str())))
        .collect();
    let notices = page.run.iter().flat_map(|run| &run.notices);
    html! {
        @if !all.is_empty() {
            div.failures role="group" aria-label="Failures" {
                @for (stage, why) in &all {
                    @let place = page.stages.iter().position(|known| known.name == *stage);
                    p {
                        span.sign.failed aria-hidden="true" { "✕ " }
                        @match place {
                            Some(place) => a href={ "#" (anchor(place)) } data-stage=(place) { (stage) },
                            None => b { (stage) },
                        }
                        " failed: " (why)
                    }
                }
            }
        }
        @for text in notices { p.quiet { "note: " (text) } }
    }
}
