//! The details of each stage: a list in which one is open, beside the graph.

use maud::{Markup, html};

use super::graph::{Node, nodes};
use super::written::{anchor, change, digest, gate, value};
use super::{Page, Stage, Standing};
use crate::report::figures;

/// All stages; the instances of a matrix below one head.
pub(super) fn list(page: &Page) -> Markup {
    html! {
        div.stages {
            @for node in nodes(page) {
                @if node.stages.len() == 1 {
                    (details(page, node.stages[0]))
                } @else {
                    (instances(page, &node))
                }
            }
        }
    }
}

fn instances(page: &Page, node: &Node<'_>) -> Markup {
    html! {
        details.matrix id={ "matrix-" (node.stages[0]) } {
            summary {
                (sign(node.standing))
                span.name { (node.first.base()) " ×" (node.stages.len()) }
                span.kind { (node.first.kind) }
            }
            div {
                @for place in &node.stages { (details(page, *place)) }
            }
        }
    }
}

/// How a result stands, as a sign with a word for those who hear the page.
pub(super) fn sign(standing: Standing) -> Markup {
    html! {
        span class={ "sign " (standing.word()) } role="img" aria-label=(standing.word()) title=(standing.word()) {
            (standing.sign())
        }
    }
}

fn details(page: &Page, place: usize) -> Markup {
    let stage = &page.stages[place];
    html! {
        details.stage data-stage=(place) {
            summary {
                (sign(stage.standing))
                span.name { (stage.name) }
                span.kind { (stage.kind) }
                @if let Some(seconds) = stage.seconds {
                    span.seconds { (figures::seconds(seconds)) }
                }
            }
            div.body id=(anchor(place)) tabindex="-1" { (body(page, stage)) }
        }
    }
}

fn body(page: &Page, stage: &Stage) -> Markup {
    html! {
        @if !stage.about.is_empty() { p.about { (stage.about) } }
        dl.facts {
            dt { "state" }
            dd { (stage.standing.word()) @if !stage.reason.is_empty() { ": " (stage.reason) } }
            @if !stage.outcome.is_empty() { dt { "last run" } dd { (stage.outcome) } }
            @if !stage.ran_because.is_empty() { dt { "why it ran" } dd { (stage.ran_because) } }
            @if !stage.finished.is_empty() { dt { "made" } dd { (stage.finished) } }
            @if let Some(seconds) = stage.seconds { dt { "took" } dd { (took(stage, seconds)) } }
            @if let Some(memory) = stage.memory { dt { "memory" } dd { (figures::amount(memory, "bytes")) " at most" } }
            @if !stage.seed.is_empty() { dt { "seed" } dd { code { (stage.seed) } } }
            @if !stage.device.is_empty() { dt { "device" } dd { code { (stage.device) } } }
        }
        @if !stage.figures.is_empty() {
            h4 { "Figures" }
            (figures_table(stage))
        }
        @if !stage.settings.is_empty() {
            h4 { "Settings" }
            table.settings {
                tbody {
                    @for (name, value) in &stage.settings {
                        tr { th scope="row" { (name) } td { code { (value) } } }
                    }
                }
            }
        }
        @if !stage.files.is_empty() {
            h4 { "Files read" }
            table.settings {
                tbody { @for (name, value) in &stage.files { tr { th scope="row" { (name) } td { (digest(value)) } } } }
            }
        }
        @if !stage.inputs.is_empty() || !stage.outputs.is_empty() {
            h4 { "Inputs and outputs" }
            (ports(page, stage))
        }
        @if !stage.notices.is_empty() {
            h4 { "Notes" }
            ul.notes { @for text in &stage.notices { li { (text) } } }
        }
    }
}

fn took(stage: &Stage, seconds: f64) -> Markup {
    html! {
        (figures::seconds(seconds))
        @if let Some(cpu) = stage.cpu_seconds { ", " (figures::seconds(cpu)) " of processor time" }
    }
}

/// What a stage measured, with gates and what changed.
pub(super) fn figures_table(stage: &Stage) -> Markup {
    let figures = &stage.figures;
    let has_changes = figures.iter().any(|figure| figure.committed.is_some());
    let has_gates = figures.iter().any(|figure| figure.gate.is_some());
    html! {
        div.wide tabindex="0" role="group" aria-label={ "figures of " (stage.name) } {
            table.figures {
                thead {
                    tr {
                        th scope="col" { "figure" } th.number scope="col" { "value" }
                        @if has_changes { th.number scope="col" { "against the lock" } }
                        @if has_gates { th scope="col" { "gate" } }
                    }
                }
                tbody {
                    @for figure in figures {
                        tr {
                            th scope="row" { (figure.name) }
                            td.number { (value(figure)) }
                            @if has_changes { td.number { (change(figure)) } }
                            @if has_gates { td { @if let Some(condition) = &figure.gate { (gate(condition)) } } }
                        }
                    }
                }
            }
        }
        @if !stage.figures_note.is_empty() { p.quiet { (stage.figures_note) } }
    }
}

fn ports(page: &Page, stage: &Stage) -> Markup {
    html! {
        table.settings {
            tbody {
                @for input in &stage.inputs {
                    tr {
                        th scope="row" { span.direction { "in" } " " (input.port) }
                        td { (origin(page, &input.from)) " " (digest(&input.digest)) }
                    }
                }
                @for output in &stage.outputs {
                    tr {
                        th scope="row" { span.direction { "out" } " " (output.port) }
                        td {
                            (output.what) " "
                            @if let Some((files, bytes)) = output.size {
                                span.quiet {
                                    (files) @if files == 1 { " file, " } @else { " files, " } (figures::amount(bytes, "bytes"))
                                }
                                " "
                            }
                            (digest(&output.digest))
                        }
                    }
                }
            }
        }
    }
}

/// A stage by name, as a link to its details.
fn origin(page: &Page, from: &str) -> Markup {
    let is_it = |stage: &Stage| {
        let rest = from.strip_prefix(stage.name.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let places = page
        .stages
        .iter()
        .enumerate()
        .filter(|(_, stage)| is_it(stage));
    let place = places
        .max_by_key(|(_, stage)| stage.name.len())
        .map(|(place, _)| place);
    html! {
        @match place {
            Some(place) => a href={ "#" (anchor(place)) } data-stage=(place) { (from) },
            None => (from),
        }
    }
}
