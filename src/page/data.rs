//! What the data of a stage looks like: its columns, labels and texts.

use maud::{Markup, html};

use super::written::{count, grouped, percent, px};

/// A table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableProfile {
    /// How many rows it has.
    pub rows: usize,
    /// Its columns; with more rows than are looked at, of the first ones.
    pub columns: Vec<Column>,
    /// How many rows were looked at.
    pub looked_at: usize,
    /// How many columns there are besides.
    pub more_columns: usize,
}

/// A column of a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The type of its values.
    pub holds: String,
    /// How many rows have no value.
    pub missing: usize,
    /// How many different values there are, if they were counted.
    pub different: Option<usize>,
    /// How often each value comes, the most frequent first; empty where there are too many.
    pub shares: Vec<Share>,
    /// How long texts are, in characters.
    pub texts: Option<Texts>,
    /// The least, the mean and the largest of numbers.
    pub numbers: Option<(f64, f64, f64)>,
}

/// How often a value comes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// The value.
    pub value: String,
    /// How often.
    pub rows: usize,
}

/// How long texts are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    /// The shortest.
    pub shortest: usize,
    /// Half are at most so long.
    pub median: usize,
    /// The longest.
    pub longest: usize,
    /// How many texts there are in each of equal steps up to the longest.
    pub histogram: Vec<usize>,
}

/// Images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImagesProfile {
    /// How many there are.
    pub count: usize,
    /// Their height and width in pixels.
    pub size: (usize, usize),
    /// How many of each label.
    pub labels: Vec<Share>,
}

/// The columns of a table.
pub(super) fn table(profile: &TableProfile) -> Markup {
    html! {
        p.quiet {
            (grouped(profile.rows)) " rows, " (profile.columns.len() + profile.more_columns) " columns"
            @if profile.looked_at < profile.rows { "; what follows is of the first " (grouped(profile.looked_at)) }
        }
        div.wide tabindex="0" role="group" aria-label="columns" {
            table.columns {
                thead {
                    tr {
                        th scope="col" { "column" } th scope="col" { "holds" } th.number scope="col" { "missing" }
                        th.number scope="col" { "different" } th scope="col" { "values" }
                    }
                }
                tbody {
                    @for column in &profile.columns {
                        tr {
                            th scope="row" { (column.name) }
                            td { (column.holds) }
                            td.number { (grouped(column.missing)) }
                            td.number { @if let Some(different) = column.different { (grouped(different)) } }
                            td { (values(column, profile.looked_at)) }
                        }
                    }
                }
            }
        }
        @if profile.more_columns > 0 { p.quiet { (profile.more_columns) " more columns are not shown." } }
    }
}

fn values(column: &Column, rows: usize) -> Markup {
    html! {
        @if !column.shares.is_empty() {
            (shares(&column.shares, rows))
        } @else if let Some(texts) = &column.texts {
            (histogram(texts))
            span.quiet {
                " " (grouped(texts.shortest)) " to " (grouped(texts.longest)) " characters, half at most " (grouped(texts.median))
            }
        } @else if let Some((least, mean, largest)) = column.numbers {
            span.quiet { (super::axis::label(least)) " to " (super::axis::label(largest)) ", mean " (super::axis::label(mean)) }
        }
    }
}

/// Values as bars.
fn shares(shares: &[Share], rows: usize) -> Markup {
    let most = shares
        .iter()
        .map(|share| share.rows)
        .max()
        .unwrap_or(1)
        .max(1);
    html! {
        div.shares {
            @for share in shares {
                span.value { (share.value) }
                span.bar { i style={ "width:" (format!("{:.1}%", 100.0 * count(share.rows) / count(most))) } {} }
                span.number { (grouped(share.rows)) }
                span.number.quiet { (percent(share.rows, rows)) }
            }
        }
    }
}

fn histogram(texts: &Texts) -> Markup {
    let most = texts.histogram.iter().copied().max().unwrap_or(0).max(1);
    let (width, height) = (6.0, 22.0);
    html! {
        svg.spark viewBox={ "0 0 " (px(width * count(texts.histogram.len()))) " " (px(height)) }
            width=(px(width * count(texts.histogram.len()))) height=(px(height)) role="img" aria-label="lengths of texts" {
            @for (place, bar) in texts.histogram.iter().enumerate() {
                @let tall = (height - 1.0) * count(*bar) / count(most);
                @let tall = if *bar > 0 { tall.max(1.0) } else { 0.0 };
                rect x=(px(width * count(place))) y=(px(height - tall)) width=(px(width - 1.0)) height=(px(tall)) {}
            }
        }
    }
}

/// Images by label.
pub(super) fn images(profile: &ImagesProfile) -> Markup {
    let (height, width) = profile.size;
    html! {
        p.quiet { (grouped(profile.count)) " images of " (height) " × " (width) " pixels" }
        (shares(&profile.labels, profile.count))
    }
}
