//! `slices`: parts of the samples, whose figures are told apart.

use std::collections::BTreeMap;

use crate::config::Spanned;
use crate::data::Table;
use crate::data::sql::Query;
use crate::error::{Error, Result, Span};

/// What a condition begins with.
const SQL: &str = "sql:";

/// What the samples are called in a condition, and the column that it makes.
const SAMPLES: &str = "samples";
const COLUMN: &str = "slice";

/// A column has at most so many values to make parts of.
const MOST: usize = 50;

/// Some of the samples.
#[derive(Debug, PartialEq)]
pub(super) struct Slice {
    /// What they have in common.
    pub(super) name: String,
    /// Which they are, counted from 0; there may be none.
    pub(super) samples: Vec<usize>,
}

/// Refuses conditions that are no SQL; `place` is where the settings stand.
pub(super) fn check(settings: &[Spanned<String>], place: &Span) -> Result<()> {
    for setting in settings {
        if let Some(condition) = setting.value.strip_prefix(SQL) {
            query(condition, setting.span.as_ref().unwrap_or(place))?;
        }
    }
    Ok(())
}

/// The parts of the samples in `table` that the settings name, which stand at `place`.
pub(super) fn read(
    settings: &[Spanned<String>],
    place: &Span,
    table: &Table,
) -> Result<Vec<Slice>> {
    let mut slices = Vec::new();
    for setting in settings {
        let span = setting.span.as_ref().unwrap_or(place);
        let found = match setting.value.strip_prefix(SQL) {
            Some(condition) => by_condition(condition, span, table).map(|slice| vec![slice]),
            None => by_value(&setting.value, table),
        };
        slices.extend(found.map_err(|error| error.or_at(span, ""))?);
    }
    Ok(slices)
}

/// A part for each value of a column.
fn by_value(column: &str, table: &Table) -> Result<Vec<Slice>> {
    let mut parts: BTreeMap<Option<String>, Vec<usize>> = BTreeMap::new();
    for (sample, value) in table.as_text(column)?.into_iter().enumerate() {
        parts.entry(value).or_default().push(sample);
    }
    if parts.len() > MOST {
        return Err(Error::stage(format!(
            "column `{column}` has {} different values, and each would be a slice; {MOST} are the most",
            parts.len()
        ))
        .help(format!(
            "write a condition instead, such as \"sql: {column} > …\", or make a column of groups in a `preprocess` stage"
        )));
    }
    let slice = |(value, samples): (Option<String>, _)| Slice {
        name: match value {
            Some(value) => format!("{column} = {value}"),
            None => format!("{column} is missing"),
        },
        samples,
    };
    Ok(parts.into_iter().map(slice).collect())
}

/// The part for which a condition holds.
fn by_condition(condition: &str, span: &Span, table: &Table) -> Result<Slice> {
    let tables = BTreeMap::from([(SAMPLES.to_string(), table.clone())]);
    let found = query(condition, span)?.run(&tables, &|_| span.clone())?;
    if found.rows() != table.rows() {
        return Err(Error::stage(format!(
            "`{}` gives {} values for {} samples: it must say yes or no of each of them",
            condition.trim(),
            found.rows(),
            table.rows()
        )));
    }
    let mut samples = Vec::new();
    for (sample, value) in found.as_text(COLUMN)?.into_iter().enumerate() {
        match value.as_deref() {
            Some("true") => samples.push(sample),
            Some("false") | None => {}
            Some(other) => {
                return Err(Error::stage(format!(
                    "`{}` is {other} for row {}: it must say yes or no",
                    condition.trim(),
                    sample + 1
                ))
                .help("write a condition, such as \"sql: LENGTH(text) > 200\""));
            }
        }
    }
    Ok(Slice {
        name: condition.trim().to_owned(),
        samples,
    })
}

/// The query that says of each sample whether the condition holds. A comment in it ends with its line.
fn query(condition: &str, span: &Span) -> Result<Query> {
    let text = format!("SELECT (\n{condition}\n) AS {COLUMN} FROM {SAMPLES}");
    Query::parse(&text, &[SAMPLES], &|_| span.clone())
}
