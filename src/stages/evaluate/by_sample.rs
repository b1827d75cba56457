//! The port `predictions`: what the model says of each sample, beside the truth.

use crate::data::Table;
use crate::error::Result;
use crate::tasks::{Given, Outputs, Values};
use crate::train::Targets;

/// What a sample is called, and which it is.
pub(super) enum Samples {
    /// Rows of a table.
    Rows,
    /// Images, which come from these files.
    Images(Vec<String>),
    /// Pieces of texts, of which one row may make several, or several one.
    Pieces,
}

/// A row a sample, in their order: which it is, its truth, what the model says, and its loss.
pub(super) fn table(
    meaning: &dyn Outputs,
    given: &Given<'_>,
    targets: &Targets,
    samples: Samples,
) -> Result<Table> {
    let numbers = (1..=given.samples).map(|row| Some(row.to_string()));
    let numbers: Vec<_> = numbers.collect();
    let which = match samples {
        Samples::Pieces => "sample",
        Samples::Rows | Samples::Images(_) => "row",
    };
    let mut table = Table::of_rows(given.samples).with_values(which, &numbers)?;
    let mut columns = Vec::new();
    if let Samples::Images(paths) = samples {
        columns.push(("path".to_string(), Values::Words(paths)));
    }
    columns.extend(meaning.truth(targets));
    columns.extend(meaning.judged(given, targets)?);
    let losses = meaning.losses(given.outputs, targets)?;
    columns.extend(losses.map(|losses| ("loss".to_string(), losses)));
    for (name, values) in columns {
        table = values.add_to(table, &name, false)?;
    }
    Ok(table)
}
