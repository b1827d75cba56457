//! Columns of lists of words, and lists of what was found in them.

use polars::prelude::{
    Column, DataType, IntoColumn, IntoSeries as _, NamedFrom as _, PlSmallStr, Series,
    StructChunked,
};

use serde::Serialize;

use super::table::Table;
use super::types::type_name;
use crate::error::{Context, Error, Result};

/// Some words that follow each other and what they are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entity {
    /// What they are.
    pub label: String,
    /// The first of them, counted from 0.
    pub start: u32,
    /// The one behind the last of them.
    pub end: u32,
    /// The words, with spaces between.
    pub text: String,
    /// How likely it is, from 0 to 1.
    pub score: f32,
}

/// The lists of text in column `name`, one a row; `first` is the number of the first row, counted from 0.
///
/// # Errors
/// No such column, one that holds no lists, a row without a list, a list with a gap or with values that are no text.
pub fn lists(table: &Table, name: &str, first: usize) -> Result<Vec<Vec<String>>> {
    let column = table.column(name)?;
    let found = type_name(column.dtype());
    let DataType::List(inner) = column.dtype() else {
        return Err(Error::stage(format!(
            "column `{name}` holds {found} values, not lists of words"
        ))
        .help("lists come from CoNLL, NDJSON and Parquet files; name such a column"));
    };
    if !inner.is_string() && !inner.is_null() {
        return Err(Error::stage(format!(
            "column `{name}` holds lists of {} values, not of words",
            type_name(inner)
        )));
    }
    of_column(column, name, "words", first)
}

/// The lists of text in `column`, which is called `name` and holds `what`, one a row; `first` is the number of the first row, counted
/// from 0.
///
/// # Errors
/// A row without a list, a list with a gap.
pub(super) fn of_column(
    column: &Column,
    name: &str,
    what: &str,
    first: usize,
) -> Result<Vec<Vec<String>>> {
    let strange = |row: usize| {
        Error::stage(format!(
            "row {} has no list of {what} in column `{name}`",
            first + row + 1
        ))
        .help("an empty list says that there are none; leave rows without one out in a `preprocess` stage")
    };
    let lists = column.list().map_err(|_| strange(0))?;
    let mut rows = Vec::with_capacity(lists.len());
    for row in 0..lists.len() {
        let list = lists.get_as_series(row).ok_or_else(|| strange(row))?;
        let words = list.cast(&DataType::String).map_err(|_| strange(row))?;
        let words = words.str().map_err(|_| strange(row))?;
        let words = words.iter().enumerate().map(|(place, word)| {
            word.map(str::to_owned).ok_or_else(|| {
                Error::stage(format!(
                    "row {} has nothing in place {} of the list in column `{name}`",
                    first + row + 1,
                    place + 1
                ))
            })
        });
        rows.push(words.collect::<Result<_>>()?);
    }
    Ok(rows)
}

impl Table {
    /// The same with a column of lists of entities behind the others: structs with the fields of [`Entity`].
    ///
    /// # Errors
    /// As [`with_text`](Self::with_text).
    pub fn with_entities(self, name: &str, values: &[Vec<Entity>]) -> Result<Self> {
        let what = || "entities are no lists";
        let rows = values.iter().map(|entities| structs(entities));
        let rows = rows.collect::<Result<Vec<Series>>>()?;
        let rows = Series::new(name.into(), rows);
        if rows.len() != values.len() {
            return Err(Error::stage(what()));
        }
        self.with(rows.into_column())
    }

    /// The same with a column of lists of numbers behind the others; a list may have gaps.
    ///
    /// # Errors
    /// As [`with_text`](Self::with_text).
    pub fn with_number_lists(self, name: &str, values: &[Vec<Option<f32>>]) -> Result<Self> {
        let rows = values
            .iter()
            .map(|list| Series::new(PlSmallStr::EMPTY, list));
        let rows: Vec<Series> = rows.collect();
        self.with(Series::new(name.into(), rows).into_column())
    }
}

/// A struct for each of `entities`.
fn structs(entities: &[Entity]) -> Result<Series> {
    let texts = |of: fn(&Entity) -> &str| entities.iter().map(of).collect::<Vec<&str>>();
    let counts = |of: fn(&Entity) -> u32| entities.iter().map(of).collect::<Vec<u32>>();
    let scores: Vec<f32> = entities.iter().map(|entity| entity.score).collect();
    let fields = [
        Series::new("label".into(), texts(|entity| &entity.label)),
        Series::new("start".into(), counts(|entity| entity.start)),
        Series::new("end".into(), counts(|entity| entity.end)),
        Series::new("text".into(), texts(|entity| &entity.text)),
        Series::new("score".into(), scores),
    ];
    let made = StructChunked::from_series(PlSmallStr::EMPTY, entities.len(), fields.iter());
    Ok(made.or_stage(|| "entities are no structs")?.into_series())
}
