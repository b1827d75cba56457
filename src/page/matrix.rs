//! A stage with a matrix: its instances as one table, with a plot for each setting that differs.

use maud::{Markup, html};

use super::axis;
use super::scatter::{self, Dot};
use super::stages::sign;
use super::written::{anchor, change, gate, value};
use super::{Chart, Figure, Grid, Standing};
use crate::report::figures;

/// So many settings have a plot.
const MOST_PLOTS: usize = 4;

/// All instances of a stage with a matrix.
#[derive(Clone, Debug, Default)]
pub struct Matrix {
    /// The stage.
    pub stage: String,
    /// The keys of the matrix.
    pub keys: Vec<String>,
    /// Its instances, in the order of the plan.
    pub instances: Vec<Instance>,
    /// The figure by which they are told apart; none if they have none.
    pub headline: Option<String>,
    /// Whether that is the better the higher it is.
    pub higher_is_better: bool,
    /// Curves of all instances over each other.
    pub curves: Vec<Chart>,
}

/// An instance of a matrix.
#[derive(Clone, Debug, Default)]
pub struct Instance {
    /// Its place among the stages of the page.
    pub place: usize,
    /// Its values, by the keys of the matrix; empty where it has none.
    pub values: Vec<String>,
    /// How its result stands.
    pub standing: Standing,
    /// How long it took.
    pub seconds: Option<f64>,
    /// What it measured.
    pub figures: Vec<Figure>,
}

impl Instance {
    fn figure(&self, name: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.name == name)
    }
}

impl Matrix {
    /// The places of the instances that have the headline's figure, the best first.
    #[must_use]
    pub fn ranked(&self) -> Vec<usize> {
        let Some(name) = &self.headline else {
            return Vec::new();
        };
        let worth = |at: &usize| {
            let figure = self.instances[*at]
                .figure(name)
                .map_or(f64::NAN, |figure| figure.value);
            let worth = if self.higher_is_better {
                figure
            } else {
                -figure
            };
            if worth.is_nan() {
                f64::NEG_INFINITY
            } else {
                worth
            }
        };
        let mut order: Vec<usize> = (0..self.instances.len()).collect();
        order.retain(|at| self.instances[*at].figure(name).is_some());
        order.sort_by(|one, other| worth(other).total_cmp(&worth(one)));
        order
    }
}

/// The table and the plots.
pub(super) fn draw(matrix: &Matrix) -> Markup {
    let best = matrix.ranked().first().copied();
    let names = names(matrix);
    html! {
        @if let (Some(name), Some(best)) = (&matrix.headline, best) {
            p.quiet {
                (matrix.instances.len()) " instances; the best by " code { (name) } " is "
                b { (values(matrix, &matrix.instances[best])) }
            }
        }
        div.row { (plots(matrix, best)) @for chart in &matrix.curves { (super::chart::draw(chart)) } }
        div.wide tabindex="0" role="group" aria-label={ "instances of " (matrix.stage) } {
            table.sortable {
                thead {
                    tr {
                        th scope="col" { "state" }
                        @for key in &matrix.keys { th scope="col" { (key) } }
                        @for name in &names { th.number scope="col" { (name) } }
                        th.number scope="col" { "time" }
                    }
                }
                tbody {
                    @for (at, instance) in matrix.instances.iter().enumerate() {
                        tr.best[best == Some(at)] {
                            td data-value=(instance.standing.word()) {
                                a href={ "#" (anchor(instance.place)) } data-stage=(instance.place) { (sign(instance.standing)) }
                                @if best == Some(at) { " " span.tag { "best" } }
                            }
                            @for value in &instance.values { td { (value) } }
                            @for name in &names { (cell(instance.figure(name))) }
                            td.number data-value=[instance.seconds] { @if let Some(seconds) = instance.seconds { (figures::seconds(seconds)) } }
                        }
                    }
                }
            }
        }
    }
}

fn cell(figure: Option<&Figure>) -> Markup {
    html! {
        td.number data-value=[figure.map(|figure| figure.value)] {
            @if let Some(figure) = figure {
                (value(figure)) " " (change(figure))
                @if let Some(condition) = figure.gate.as_ref().filter(|condition| !condition.passes) { " " (gate(condition)) }
            }
        }
    }
}

/// The names of all figures, the headline in front.
fn names(matrix: &Matrix) -> Vec<&str> {
    let mut names: Vec<&str> = matrix.headline.iter().map(String::as_str).collect();
    for figure in matrix
        .instances
        .iter()
        .flat_map(|instance| &instance.figures)
    {
        if !names.contains(&figure.name.as_str()) {
            names.push(&figure.name);
        }
    }
    names
}

fn values(matrix: &Matrix, instance: &Instance) -> String {
    let pairs = matrix.keys.iter().zip(&instance.values);
    let pairs = pairs.filter(|(_, value)| !value.is_empty());
    pairs
        .map(|(key, value)| format!("{key} = {value}"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn plots(matrix: &Matrix, best: Option<usize>) -> Markup {
    let Some(name) = &matrix.headline else {
        return html! {};
    };
    let said: Vec<String> = matrix
        .instances
        .iter()
        .map(|instance| values(matrix, instance))
        .collect();
    let dots = |key: usize| -> Vec<Dot<'_>> {
        matrix
            .instances
            .iter()
            .zip(&said)
            .enumerate()
            .filter_map(|(at, (instance, said))| {
                Some(Dot {
                    value: &instance.values[key],
                    figure: instance.figure(name)?.value,
                    name: said,
                    best: best == Some(at),
                })
            })
            .collect()
    };
    html! {
        @for (place, key) in matrix.keys.iter().enumerate().take(MOST_PLOTS) { (scatter::draw(key, name, &dots(place))) }
    }
}

/// A comparison that a stage made, as a table.
pub(super) fn grid(grid: &Grid, name: &str) -> Markup {
    let number = |cell: &str| {
        cell.parse::<f64>()
            .map_or_else(|_| cell.to_owned(), axis::label)
    };
    html! {
        div.wide tabindex="0" role="group" aria-label={ "comparison " (name) } {
            table.sortable {
                thead {
                    tr { @for (head, is_number) in &grid.columns { th.number[*is_number] scope="col" { (head) } } }
                }
                tbody {
                    @for row in &grid.rows {
                        tr {
                            @for ((_, is_number), cell) in grid.columns.iter().zip(row) {
                                td.number[*is_number] { @if *is_number { (number(cell)) } @else { (cell) } }
                            }
                        }
                    }
                }
            }
        }
        @if grid.left_out > 0 { p.quiet { (grid.left_out) " more rows are not shown." } }
    }
}
