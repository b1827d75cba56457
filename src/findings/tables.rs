//! Tables and images at a glance.

use super::artifacts::{Artifacts, of_type};
use crate::data::images::Images;
use crate::data::profile::{self, Profile};
use crate::error::Result;
use crate::page::{Column, Grid, ImagesProfile, Share, TableProfile, Texts};
use crate::plan::Node;
use crate::stages::ArtifactType;
use crate::store::Record;

/// So many rows of a table are looked at.
const MOST_ROWS: usize = 100_000;
/// So many columns are shown.
const MOST_COLUMNS: usize = 40;
/// So many values of a column, or labels, are shown.
const MOST_SHARES: usize = 12;
/// So many rows of a comparison are shown.
const MOST_COMPARED: usize = 200;

/// Whether a table is rows of a data set: what a test says of each sample, and comparisons, are shown otherwise.
fn is_data(node: &Node, port: &str) -> bool {
    node.kind.name() != "compare" && port != super::mistakes::PREDICTIONS
}

/// The tables that a stage made, by port.
pub(super) fn tables(
    artifacts: &Artifacts<'_>,
    node: &Node,
    record: &Record,
) -> Result<Option<Vec<(String, TableProfile)>>> {
    let mut found = Vec::new();
    for (port, artifact) in of_type(node, record, ArtifactType::Table) {
        if !is_data(node, port) {
            continue;
        }
        let Some(table) = artifacts.table(&artifact)? else {
            continue;
        };
        let columns = profile::profile(&table, MOST_ROWS, MOST_COLUMNS)?;
        let all = table.columns().len();
        found.push((
            port.to_owned(),
            TableProfile {
                rows: table.rows(),
                looked_at: table.rows().min(MOST_ROWS),
                more_columns: all - columns.len(),
                columns: columns.into_iter().map(column).collect(),
            },
        ));
    }
    Ok(Some(found))
}

fn column(profile: Profile) -> Column {
    let lengths = profile.lengths;
    Column {
        name: profile.name,
        holds: profile.holds,
        missing: profile.missing,
        different: profile.different,
        shares: shares(profile.shares),
        texts: lengths.map(|lengths| Texts {
            shortest: lengths.shortest,
            median: lengths.median,
            longest: lengths.longest,
            histogram: lengths.histogram,
        }),
        numbers: profile.numbers,
    }
}

/// The most frequent values, and the others as one.
fn shares(mut all: Vec<(String, usize)>) -> Vec<Share> {
    let rest = all.split_off(all.len().min(MOST_SHARES));
    let mut shares: Vec<Share> = all
        .into_iter()
        .map(|(value, rows)| Share { value, rows })
        .collect();
    if !rest.is_empty() {
        let rows = rest.iter().map(|(_, rows)| rows).sum();
        shares.push(Share {
            value: format!("{} others", rest.len()),
            rows,
        });
    }
    shares
}

/// The images that a stage made, by port.
pub(super) fn images(
    artifacts: &Artifacts<'_>,
    node: &Node,
    record: &Record,
) -> Result<Option<Vec<(String, ImagesProfile)>>> {
    let mut found = Vec::new();
    for (port, artifact) in of_type(node, record, ArtifactType::Images) {
        if let Some(laid) = artifacts.images(&artifact)? {
            found.push((port.to_owned(), of_images(&laid.content)));
        }
    }
    Ok(Some(found))
}

fn of_images(images: &Images) -> ImagesProfile {
    let labels = images.labels();
    let mut counted: Vec<(String, usize)> = labels
        .iter()
        .map(|label| ((*label).to_owned(), 0))
        .collect();
    for index in 0..images.len() {
        if let Ok(place) = labels.binary_search(&images.label(index)) {
            counted[place].1 += 1;
        }
    }
    counted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    ImagesProfile {
        count: images.len(),
        size: (images.height(), images.width()),
        labels: shares(counted),
    }
}

/// The table of a stage that compares.
pub(super) fn comparison(
    artifacts: &Artifacts<'_>,
    node: &Node,
    record: &Record,
) -> Result<Option<Grid>> {
    if node.kind.name() != "compare" {
        return Ok(None);
    }
    let Some((_, artifact)) = of_type(node, record, ArtifactType::Table).pop() else {
        return Ok(None);
    };
    let Some(table) = artifacts.table(&artifact)? else {
        return Ok(None);
    };
    let mut grid = Grid {
        rows: vec![Vec::new(); table.rows().min(MOST_COMPARED)],
        ..Grid::default()
    };
    grid.left_out = table.rows() - grid.rows.len();
    for name in table.columns() {
        let values = table.as_text(name)?;
        let mut told = values.iter().flatten();
        let is_number =
            values.iter().any(Option::is_some) && told.all(|value| value.parse::<f64>().is_ok());
        grid.columns.push((name.into(), is_number));
        for (row, value) in grid.rows.iter_mut().zip(values) {
            row.push(value.unwrap_or_default());
        }
    }
    Ok(Some(grid))
}
