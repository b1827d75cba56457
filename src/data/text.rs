//! Tables → labelled texts for training and evaluation.

use std::collections::BTreeSet;
use std::path::Path;

use super::table::Table;
use crate::error::{Error, Result};

/// Texts and the classes that they belong to, in the table's order; both have the same length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examples {
    /// The texts.
    pub texts: Vec<String>,
    /// The class of each: an index into the labels.
    pub labels: Vec<u32>,
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
/// labels, which are strings, integers or booleans and are compared by their text with `labels`.
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
    Ok(Examples {
        texts: texts(&table, text_column)?,
        labels: classes(&table, target_column, labels)?,
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
                "convert it before: SELECT CAST({name} AS VARCHAR) AS {name}"
            )),
        );
    }
    without_nulls(table.as_text(name)?, name)
}

/// The class of each row by column `name` of `table`: indices into `labels`.
///
/// # Errors
/// No such column, a row without label, a label that is not in `labels`.
pub fn classes(table: &Table, name: &str, labels: &[String]) -> Result<Vec<u32>> {
    let values = without_nulls(table.as_text(name)?, name)?;
    let class = |value: &String| labels.iter().position(|label| label == value);
    let found: Vec<Option<usize>> = values.iter().map(class).collect();
    let strange: Vec<usize> = (0..values.len())
        .filter(|row| found[*row].is_none())
        .collect();
    if let Some(first) = strange.first() {
        return Err(strange_label(name, labels, &values, *first, strange.len()));
    }
    let classes = found.into_iter().flatten();
    Ok(classes
        .map(|class| u32::try_from(class).unwrap_or(u32::MAX))
        .collect())
}

fn strange_label(
    name: &str,
    labels: &[String],
    values: &[String],
    first: usize,
    count: usize,
) -> Error {
    let value = &values[first];
    let rows = if count == 1 { "row has" } else { "rows have" };
    let distinct: BTreeSet<&str> = values.iter().map(String::as_str).collect();
    let some: Vec<_> = distinct.iter().take(10).copied().collect();
    let more = if distinct.len() > some.len() {
        ", …"
    } else {
        ""
    };
    Error::stage(format!(
        "row {} has the label `{value}` in column `{name}`, which is not in `labels`",
        first + 1
    ))
    .note(format!("`labels`: {}", labels.join(", ")))
    .note(format!("labels in the data: {}{more}", some.join(", ")))
    .note(format!(
        "{count} of {} {rows} a label that is not in `labels`",
        values.len()
    ))
    .did_you_mean(value, labels.iter().map(String::as_str))
}

fn without_nulls(values: Vec<Option<String>>, name: &str) -> Result<Vec<String>> {
    let nulls = values.iter().filter(|value| value.is_none()).count();
    let rows = values.len();
    match values.iter().position(Option::is_none) {
        None => Ok(values.into_iter().flatten().collect()),
        Some(row) => Err(
            Error::stage(format!("row {} has no value in column `{name}`", row + 1))
                .note(format!("{nulls} of {rows} rows have none"))
                .help(format!("drop such rows before: WHERE {name} IS NOT NULL")),
        ),
    }
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
    fn labels_are_compared_by_their_text() {
        let labels = strings(&["0", "1"]);
        let integers = table(df!("y" => [1i64, 0, 1]));
        assert_eq!(
            classes(&integers, "y", &labels).expect("classes"),
            [1, 0, 1]
        );
        let booleans = table(df!("y" => [true, false]));
        let labels = strings(&["false", "true"]);
        assert_eq!(classes(&booleans, "y", &labels).expect("classes"), [1, 0]);
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
    fn strange_label_is_named_with_row_and_list() {
        let labels = strings(&["negative", "positive"]);
        let table = table(df!("y" => ["positive", "postive", "x"]));
        let error = classes(&table, "y", &labels).expect_err("strange");
        assert_eq!(
            error.message(),
            "row 2 has the label `postive` in column `y`, which is not in `labels`"
        );
        assert_eq!(error.help_text(), Some("did you mean `positive`?"));
        assert_eq!(
            error.notes(),
            [
                "`labels`: negative, positive",
                "labels in the data: positive, postive, x",
                "2 of 3 rows have a label that is not in `labels`"
            ]
        );
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
