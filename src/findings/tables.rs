//! Tables and images at a glance.

use super::Known;
use super::artifacts::{Artifacts, of_type};
use super::matrices::values;
use crate::data::images::Images;
use crate::data::profile::{self, Profile};
use crate::error::Result;
use crate::page::{Column, Grid, ImagesProfile, Share, TableProfile, Texts};
use crate::plan::{Edge, Node};
use crate::run::Project;
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

/// The table of the stage at `place`, if that compares, and beside it how long the runs took.
pub(super) fn comparison(
    project: &Project,
    artifacts: &Artifacts<'_>,
    known: &[Known<'_>],
    place: usize,
) -> Result<Option<Grid>> {
    let node = known[place].node;
    let Some(record) = known[place].record else {
        return Ok(None);
    };
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
    let times = times(project, known, place);
    add_times(&mut grid, &times);
    Ok(Some(grid))
}

/// A run that was compared: the name of the results, the values of its matrix, and its seconds.
struct Took {
    name: String,
    values: Vec<(String, String)>,
    seconds: f64,
}

/// How long what the stage at `place` compares took, by the records. They are no part of what it made, which is the same every time.
fn times(project: &Project, known: &[Known<'_>], place: usize) -> Vec<Took> {
    let edges = known[place].node.inputs.iter();
    let took = |edge: &Edge| {
        let from = edge.port.strip_prefix("results.")?;
        let (name, instance) = from.split_once('/').unwrap_or((from, ""));
        let record = known[project.plan.costly(edge)].record?;
        Some(Took {
            name: name.into(),
            values: values(instance),
            seconds: record.seconds,
        })
    };
    edges.filter_map(took).collect()
}

/// Whether a cell has this value: a column of numbers writes them in its own way.
fn same(cell: &str, value: &str) -> bool {
    let number = |text: &str| text.parse::<f64>().ok();
    cell == value || number(cell).is_some_and(|cell| number(value) == Some(cell))
}

/// Adds to each row the mean time of its runs: those whose name and values are its own, as far as it has a column for them.
#[expect(clippy::cast_precision_loss, reason = "there are few runs")]
fn add_times(grid: &mut Grid, times: &[Took]) {
    let column = |name: &str| grid.columns.iter().position(|(head, _)| head == name);
    let means: Vec<Option<f64>> = grid
        .rows
        .iter()
        .map(|row| {
            let is = |name: &str, value: &str| column(name).is_none_or(|at| same(&row[at], value));
            let is_of = |took: &&Took| {
                is("results", &took.name) && took.values.iter().all(|(key, value)| is(key, value))
            };
            let of: Vec<f64> = times
                .iter()
                .filter(is_of)
                .map(|took| took.seconds)
                .collect();
            (!of.is_empty()).then(|| of.iter().sum::<f64>() / of.len() as f64)
        })
        .collect();
    if means.iter().all(Option::is_none) {
        return;
    }
    let behind = ["trained_weights", "runs"].into_iter().find_map(column);
    let at = behind.map_or(grid.columns.len(), |at| at + 1);
    grid.columns.insert(at, ("seconds".into(), true));
    for (row, mean) in grid.rows.iter_mut().zip(means) {
        let seconds = mean.map(|mean| format!("{mean:.2}"));
        row.insert(at, seconds.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_stand_beside_the_rows_that_they_are_of() {
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect();
        let head = |names: &[&str]| names.iter().map(|name| ((*name).into(), true)).collect();
        let mut grid = Grid {
            columns: head(&["results", "rate", "runs", "accuracy"]),
            rows: vec![
                row(&["tuned", "0.001", "2", "0.7"]),
                row(&["tuned", "0.01", "2", "0.6"]),
                row(&["frozen", "0.001", "2", "0.5"]),
            ],
            ..Grid::default()
        };
        let took = |name: &str, instance: &str, seconds| Took {
            name: name.into(),
            values: values(instance),
            seconds,
        };
        add_times(&mut grid, &[]);
        assert_eq!(grid.columns.len(), 4);
        add_times(
            &mut grid,
            &[
                took("tuned", "rate=1e-3,seed=0", 1.0),
                took("tuned", "rate=1e-3,seed=1", 2.0),
                took("tuned", "rate=1e-2,seed=0", 5.0),
            ],
        );
        assert_eq!(grid.columns[3], ("seconds".into(), true));
        let times: Vec<&str> = grid.rows.iter().map(|row| row[3].as_str()).collect();
        assert_eq!(times, ["1.50", "5.00", ""]);
        assert_eq!(grid.rows[0][4], "0.7");
    }
}
