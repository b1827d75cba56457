//! Tables → labelled texts for training and evaluation.

use std::collections::BTreeSet;
use std::path::Path;

use super::labels::{Classes, classes};
use super::table::Table;
use crate::error::{Error, Result};

/// Texts and the classes that they belong to, in the table's order; both have the same length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examples {
    /// The texts.
    pub texts: Vec<String>,
    /// The class of each: an index into the labels.
    pub labels: Vec<u32>,
    /// Which value was taken for which label, where only its place says so.
    pub by_position: Option<String>,
}

impl Examples {
    /// How many examples each of `classes` classes has.
    #[must_use]
    pub fn class_counts(&self, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
        for label in &self.labels {
            counts[*label as usize] += 1;
        }
        counts
    }
}

/// Reads the table artifact in `folder` as examples: column `text_column` holds the texts, column `target_column` the
/// labels, as [`classes`](super::labels::classes) reads them.
///
/// # Errors
/// Columns that do not exist, a row without text or label, a label that is not in `labels`.
pub fn read_examples(
    folder: &Path,
    text_column: &str,
    target_column: &str,
    labels: &[String],
) -> Result<Examples> {
    let table = Table::read(folder)?;
    let Classes {
        of_rows,
        by_position,
    } = classes(&table, target_column, labels)?;
    Ok(Examples {
        texts: texts(&table, text_column)?,
        labels: of_rows,
        by_position,
    })
}

/// The texts in column `name` of `table`.
///
/// # Errors
/// No such column, one that does not hold strings, a row without text.
pub fn texts(table: &Table, name: &str) -> Result<Vec<String>> {
    let column = table.column(name)?;
    if !column.dtype().is_string() {
        let found = super::types::type_name(column.dtype());
        return Err(
            Error::stage(format!("column `{name}` holds {found} values, not texts")).help(format!(
                "declare it as text in the data schema, which keeps its digits (type = \"string\"), or convert it before: \
                 SELECT CAST({name} AS VARCHAR) AS {name}"
            )),
        );
    }
    table.values(name)
}

/// Whether column `name` of `table` holds text.
///
/// # Errors
/// No such column.
pub fn is_text(table: &Table, name: &str) -> Result<bool> {
    Ok(table.column(name)?.dtype().is_string())
}

/// The values of column `name` of `table`, as text.
///
/// # Errors
/// No such column, one of lists or structs, a row without value.
pub fn values(table: &Table, name: &str) -> Result<Vec<String>> {
    table.values(name)
}

/// Texts that two sets of examples share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// How many distinct texts are in both.
    pub texts: usize,
    /// How many rows of the second set have such a text.
    pub rows: usize,
    /// Up to three of the texts, as they come in the second set.
    pub examples: Vec<String>,
}

/// The texts of `second` that are also in `first`: a model that trained on `first` has seen them.
#[must_use]
pub fn shared(first: &[String], second: &[String]) -> Shared {
    let known: BTreeSet<&str> = first.iter().map(String::as_str).collect();
    let mut seen = BTreeSet::new();
    let mut shared = Shared {
        texts: 0,
        rows: 0,
        examples: Vec::new(),
    };
    for text in second.iter().filter(|text| known.contains(text.as_str())) {
        shared.rows += 1;
        if seen.insert(text) && shared.examples.len() < 3 {
            shared.examples.push(text.clone());
        }
    }
    shared.texts = seen.len();
    shared
}

#[cfg(test)]
mod tests {
    use polars::prelude::{DataFrame, df};

    use super::*;

    fn table(frame: polars::prelude::PolarsResult<DataFrame>) -> Table {
        Table::new(frame.expect("a frame"))
    }

    fn strings(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    #[test]
    fn examples_come_from_the_artifact() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        table(df!("text" => ["good", "bad"], "label" => ["pos", "neg"]))
            .write(folder.path())
            .expect("written");
        let labels = strings(&["neg", "pos"]);
        let examples = read_examples(folder.path(), "text", "label", &labels).expect("read");
        assert_eq!(examples.texts, ["good", "bad"]);
        assert_eq!(examples.labels, [1, 0]);
        assert_eq!(examples.class_counts(2), [1, 1]);
    }

    #[test]
    fn missing_text_is_named_with_its_row() {
        let table = table(df!("text" => [Some("a"), None], "n" => [1i64, 2]));
        let error = texts(&table, "text").expect_err("null");
        assert_eq!(error.message(), "row 2 has no value in column `text`");
        let error = texts(&table, "n").expect_err("not text");
        assert_eq!(
            error.message(),
            "column `n` holds integer values, not texts"
        );
    }

    #[test]
    fn shared_texts_are_counted() {
        let first = strings(&["a", "b", "b", "c"]);
        let second = strings(&["b", "x", "b", "a"]);
        let expected = Shared {
            texts: 2,
            rows: 3,
            examples: strings(&["b", "a"]),
        };
        assert_eq!(shared(&first, &second), expected);
    }
}
