//! What a test came to: the confusion matrix, the reliability diagram, figures by label and by slice.

use maud::{Markup, html};

use super::Figure;
use super::axis::{Scale, label};
use super::written::{count, grouped, px, value};
use crate::report::figures;

/// A confusion matrix of more labels is shown as its largest confusions.
const MOST_LABELS: usize = 24;
/// So many of those.
const MOST_CONFUSIONS: usize = 20;

/// What a test came to, besides its figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// How many samples were tested.
    pub samples: usize,
    /// Figures by label.
    pub classes: Vec<Class>,
    /// Rows are the truth, columns what was predicted, in the order of `classes`; empty if the task has none.
    pub confusion: Vec<Vec<usize>>,
    /// How often the model is right when it is so sure.
    pub reliability: Vec<Bin>,
    /// Figures of parts of the samples.
    pub slices: Vec<Slice>,
    /// Figures that these samples leave undefined.
    pub undefined: Vec<String>,
}

/// The figures of a label.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Class {
    /// The label.
    pub label: String,
    /// Name → figure.
    pub figures: Vec<(String, f64)>,
}

/// Samples of which the model is about equally sure.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bin {
    /// From how sure.
    pub from: f64,
    /// To how sure.
    pub to: f64,
    /// How many samples.
    pub samples: usize,
    /// How sure on the average.
    pub confidence: f64,
    /// How often right.
    pub accuracy: f64,
}

/// A part of the samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slice {
    /// What they have in common.
    pub name: String,
    /// How many samples.
    pub samples: usize,
    /// Their figures.
    pub figures: Vec<Figure>,
}

// Of the reliability diagram.
const SIZE: f64 = 220.0;
const LEFT: f64 = 44.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 36.0;

/// All of it.
pub(super) fn draw(evaluation: &Evaluation) -> Markup {
    html! {
        div.row {
            (confusion(evaluation))
            (reliability(evaluation))
        }
        (by_label(evaluation))
        (by_slice(evaluation))
        @if !evaluation.undefined.is_empty() {
            p.quiet { "Undefined on these samples: " (evaluation.undefined.join(", ")) "." }
        }
    }
}

fn confusion(evaluation: &Evaluation) -> Markup {
    let labels: Vec<&str> = evaluation
        .classes
        .iter()
        .map(|class| class.label.as_str())
        .collect();
    let rows = &evaluation.confusion;
    if rows.is_empty()
        || rows.len() != labels.len()
        || rows.iter().any(|row| row.len() != labels.len())
    {
        return html! {};
    }
    if rows.len() > MOST_LABELS {
        return largest_confusions(&labels, rows);
    }
    let share =
        |row: &[usize], cell: usize| count(cell) / count(row.iter().sum::<usize>()).max(1.0);
    html! {
        div.block {
            h4 { "Confusion" }
            p.quiet { "rows: truth, columns: predicted, shade: share of the row" }
            div.wide tabindex="0" role="group" aria-label="confusion matrix" {
                table.confusion {
                    thead {
                        tr { td {} @for label in &labels { th scope="col" { (label) } } }
                    }
                    tbody {
                        @for (place, (label, row)) in labels.iter().zip(rows).enumerate() {
                            tr {
                                th scope="row" { (label) }
                                @for (column, cell) in row.iter().enumerate() {
                                    td class=(if place == column { "right" } else { "wrong" })
                                        style={ "--share:" (format!("{:.0}%", share(row, *cell) * 85.0)) }
                                        title={ (label) " taken for " (labels[column]) ": " (cell) } { (grouped(*cell)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn largest_confusions(labels: &[&str], rows: &[Vec<usize>]) -> Markup {
    let cells = rows.iter().enumerate().flat_map(|(truth, row)| {
        let wrong = row
            .iter()
            .enumerate()
            .filter(move |(said, cell)| *said != truth && **cell > 0);
        wrong.map(move |(said, cell)| (*cell, truth, said))
    });
    let mut cells: Vec<(usize, usize, usize)> = cells.collect();
    cells.sort_by_key(|(cell, truth, said)| (std::cmp::Reverse(*cell), *truth, *said));
    let all = cells.len();
    cells.truncate(MOST_CONFUSIONS);
    html! {
        div.block {
            h4 { "Largest confusions" }
            table.sortable {
                thead { tr { th scope="col" { "truth" } th scope="col" { "predicted" } th.number scope="col" { "samples" } } }
                tbody {
                    @for (cell, truth, said) in &cells {
                        tr { td { (labels[*truth]) } td { (labels[*said]) } td.number { (grouped(*cell)) } }
                    }
                }
            }
            p.quiet { (cells.len()) " of " (all) " pairs of " (labels.len()) " labels that were taken for each other" }
        }
    }
}

fn reliability(evaluation: &Evaluation) -> Markup {
    let bins: Vec<&Bin> = evaluation
        .reliability
        .iter()
        .filter(|bin| bin.samples > 0)
        .collect();
    if bins.is_empty() {
        return html! {};
    }
    let across = Scale::new(0.0, 1.0, LEFT, LEFT + SIZE);
    let up = Scale::new(0.0, 1.0, TOP + SIZE, TOP);
    let most = bins.iter().map(|bin| bin.samples).max().unwrap_or(1);
    let said = bins.iter().map(|bin| {
        format!(
            "{} samples with a confidence of {:.2} are right {:.2} of the time",
            bin.samples, bin.confidence, bin.accuracy
        )
    });
    let said: Vec<String> = said.collect();
    html! {
        div.block {
            h4 { "Reliability" }
            figure.chart.square {
                svg viewBox={ "0 0 " (px(LEFT + SIZE + 12.0)) " " (px(TOP + SIZE + BOTTOM)) } role="img"
                    aria-label={ "Reliability: " (said.join("; ")) } {
                    g.axes {
                        @for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
                            @let y = px(up.place(tick));
                            @let x = px(across.place(tick));
                            line.grid x1=(px(LEFT)) x2=(px(LEFT + SIZE)) y1=(y) y2=(y) {}
                            text x=(px(LEFT - 6.0)) y=(px(up.place(tick) + 3.5)) text-anchor="end" { (label(tick)) }
                            text x=(x) y=(px(TOP + SIZE + 15.0)) text-anchor="middle" { (label(tick)) }
                        }
                        text.unit x=(px(LEFT + SIZE)) y=(px(TOP + SIZE + 31.0)) text-anchor="end" { "confidence →" }
                        text.unit x=(px(LEFT + 6.0)) y=(px(TOP + 10.0)) { "↑ share that is right" }
                        line.ideal x1=(px(across.place(0.0))) y1=(px(up.place(0.0))) x2=(px(across.place(1.0))) y2=(px(up.place(1.0))) {}
                    }
                    g.series.s0 {
                        polyline points=(bins.iter().map(|bin| format!("{},{}", px(across.place(bin.confidence)), px(up.place(bin.accuracy)))).collect::<Vec<_>>().join(" ")) {}
                        @for (bin, said) in bins.iter().zip(&said) {
                            circle cx=(px(across.place(bin.confidence))) cy=(px(up.place(bin.accuracy)))
                                r=(px(2.5 + 5.0 * (count(bin.samples) / count(most)).sqrt())) { title { (said) } }
                        }
                    }
                }
                p.quiet { "on the dashed line it is as often right as it is sure; larger dots are more samples" }
            }
        }
    }
}

/// The heads of columns: the names of all figures, in the order in which they come.
fn names<'f>(rows: impl Iterator<Item = &'f str>) -> Vec<&'f str> {
    let mut names: Vec<&str> = Vec::new();
    for name in rows {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn by_label(evaluation: &Evaluation) -> Markup {
    let classes = &evaluation.classes;
    let names = names(
        classes
            .iter()
            .flat_map(|class| class.figures.iter().map(|(name, _)| name.as_str())),
    );
    if names.is_empty() {
        return html! {};
    }
    html! {
        h4 { "By label" }
        div.wide tabindex="0" role="group" aria-label="figures by label" {
            table.sortable {
                thead { tr { th scope="col" { "label" } @for name in &names { th.number scope="col" { (name) } } } }
                tbody {
                    @for class in classes {
                        tr {
                            th scope="row" { (class.label) }
                            @for name in &names {
                                @let found = class.figures.iter().find(|(known, _)| known == name);
                                td.number { @if let Some((name, value)) = found { (figure(name, *value)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn figure(name: &str, value: f64) -> String {
    if name == "support" {
        format!("{value:.0}")
    } else {
        figures::metric(name, value)
    }
}

fn by_slice(evaluation: &Evaluation) -> Markup {
    let slices = &evaluation.slices;
    let names = names(
        slices
            .iter()
            .flat_map(|slice| slice.figures.iter().map(|figure| figure.name.as_str())),
    );
    if slices.is_empty() {
        return html! {};
    }
    html! {
        h4 { "By slice" }
        div.wide tabindex="0" role="group" aria-label="figures by slice" {
            table.sortable {
                thead {
                    tr {
                        th scope="col" { "slice" } th.number scope="col" { "samples" }
                        @for name in &names { th.number scope="col" { (name) } }
                    }
                }
                tbody {
                    @for slice in slices {
                        tr {
                            th scope="row" { (slice.name) }
                            td.number { (grouped(slice.samples)) }
                            @for name in &names {
                                @let found = slice.figures.iter().find(|figure| figure.name == *name);
                                td.number data-value=[found.map(|figure| figure.value)] { @if let Some(figure) = found { (value(figure)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}
