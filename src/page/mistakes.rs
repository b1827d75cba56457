//! The samples of which a model was most sure, and wrong.

use maud::{Markup, html};

use super::written::grouped;

/// The most confident mistakes of a test.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mistakes {
    /// The worst first.
    pub worst: Vec<Mistake>,
    /// How many mistakes there are in all.
    pub wrong: usize,
    /// Of how many samples.
    pub samples: usize,
    /// Whether they are errors of numbers, the largest first: hardly one is quite right.
    pub are_errors: bool,
}

/// A sample that was taken for something else.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mistake {
    /// Its row, counted from 1.
    pub row: usize,
    /// What it is.
    pub truth: String,
    /// What it was taken for.
    pub predicted: String,
    /// How sure the model was.
    pub confidence: Option<f64>,
    /// Its loss.
    pub loss: Option<f64>,
    /// Its text, or the path of its image.
    pub text: String,
    /// Its image as a `data:` address.
    pub image: Option<String>,
}

/// All of them.
pub(super) fn draw(mistakes: &Mistakes) -> Markup {
    if mistakes.worst.is_empty() {
        return html! {
            @if mistakes.samples > 0 { p.quiet { "None of " (grouped(mistakes.samples)) " samples was taken for something else." } }
        };
    }
    html! {
        @if mistakes.are_errors {
            h4 { "Largest errors" }
            p.quiet { (mistakes.worst.len()) " of " (grouped(mistakes.samples)) " samples" }
        } @else {
            h4 { "Most confident mistakes" }
            p.quiet {
            (mistakes.worst.len()) " of " (grouped(mistakes.wrong)) " mistakes in " (grouped(mistakes.samples)) " samples, the surest first"
            }
        }
        @if mistakes.worst.iter().any(|mistake| mistake.image.is_some()) { (photos(mistakes)) } @else { (texts(mistakes)) }
    }
}

fn confidence(mistake: &Mistake) -> Markup {
    html! { @if let Some(confidence) = mistake.confidence { (format!("{:.1} %", confidence * 100.0)) } }
}

fn texts(mistakes: &Mistakes) -> Markup {
    let is_sure = mistakes
        .worst
        .iter()
        .any(|mistake| mistake.confidence.is_some());
    html! {
        div.wide tabindex="0" role="group" aria-label="most confident mistakes" {
            table.sortable.mistakes {
                thead {
                    tr {
                        th.number scope="col" { "row" } th scope="col" { "truth" } th scope="col" { "predicted" }
                        @if is_sure { th.number scope="col" { "confidence" } } th.number scope="col" { "loss" } th scope="col" { "text" }
                    }
                }
                tbody {
                    @for mistake in &mistakes.worst {
                        tr {
                            td.number { (mistake.row) } td { (mistake.truth) } td { (mistake.predicted) }
                            @if is_sure { td.number { (confidence(mistake)) } }
                            td.number { @if let Some(loss) = mistake.loss { (format!("{loss:.3}")) } }
                            td.text dir="auto" { (mistake.text) }
                        }
                    }
                }
            }
        }
    }
}

fn photos(mistakes: &Mistakes) -> Markup {
    html! {
        div.photos {
            @for mistake in &mistakes.worst {
                figure {
                    @if let Some(image) = &mistake.image { img src=(image) alt={ "row " (mistake.row) ": " (mistake.text) } loading="lazy"; }
                    figcaption {
                        b { (mistake.predicted) } " " (confidence(mistake)) br;
                        "is " (mistake.truth) br;
                        span.quiet { (mistake.text) }
                    }
                }
            }
        }
    }
}
