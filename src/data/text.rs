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
/// labels, as [`classes`] reads them.
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

/// The class of each row by column `name` of `table`: indices into `labels`.
///
/// A label is the class of that name. Where the column holds integers or booleans and `labels` holds other names, its
/// values are the classes' numbers, as in Hugging Face's data sets: 0 (or false) is the first of `labels`.
///
/// # Errors
/// No such column, a row without label, a label that is not in `labels`.
pub fn classes(table: &Table, name: &str, labels: &[String]) -> Result<Vec<u32>> {
    let dtype = table.column(name)?.dtype().clone();
    let numbers = if dtype.is_bool() {
        vec!["false".to_owned(), "true".to_owned()]
    } else {
        (0..labels.len()).map(|class| class.to_string()).collect()
    };
    let can_be_value = |label: &String| match () {
        () if dtype.is_bool() => numbers.contains(label),
        () if dtype.is_integer() => label.parse::<i64>().is_ok(),
        () => true,
    };
    let names = if labels.iter().any(can_be_value) {
        labels
    } else {
        &numbers
    };
    let values = table.values(name)?;
    let class = |value: &String| {
        let class = names
            .iter()
            .take(labels.len())
            .position(|name| name == value)?;
        u32::try_from(class).ok()
    };
    let classes: Vec<Option<u32>> = values.iter().map(class).collect();
    match classes.iter().position(Option::is_none) {
        Some(row) => {
            let count = classes.iter().filter(|class| class.is_none()).count();
            Err(strange_label(name, labels, names, &values, row, count))
        }
        None => Ok(classes.into_iter().flatten().collect()),
    }
}

/// The error for the first of `count` labels that no class has.
fn strange_label(
    column: &str,
    labels: &[String],
    names: &[String],
    values: &[String],
    row: usize,
    count: usize,
) -> Error {
    let value = &values[row];
    let known = if names == labels {
        labels.join(", ")
    } else {
        let pairs = names.iter().zip(labels);
        let pairs: Vec<_> = pairs
            .map(|(name, label)| format!("{name} = {label}"))
            .collect();
        pairs.join(", ")
    };
    let distinct: BTreeSet<&str> = values.iter().map(String::as_str).collect();
    let mut some: Vec<_> = distinct.iter().take(10).copied().collect();
    if distinct.len() > some.len() {
        some.push("…");
    }
    let have = if count == 1 { "row has" } else { "rows have" };
    Error::stage(format!(
        "row {} has the label `{value}` in column `{column}`, which is not in `labels`",
        row + 1
    ))
    .note(format!("`labels`: {known}"))
    .note(format!("labels in the data: {}", some.join(", ")))
    .note(format!(
        "{count} of {} {have} a label that is not in `labels`",
        values.len()
    ))
    .did_you_mean(value, names.iter().map(String::as_str))
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
    fn numbers_are_classes_where_labels_have_other_names() {
        let labels = strings(&["negative", "positive"]);
        let integers = table(df!("y" => [1i64, 0, 2]));
        let error = classes(&integers, "y", &labels).expect_err("three classes");
        assert_eq!(
            error.message(),
            "row 3 has the label `2` in column `y`, which is not in `labels`"
        );
        assert_eq!(error.notes()[0], "`labels`: 0 = negative, 1 = positive");
        let integers = table(df!("y" => [1i64, 0]));
        assert_eq!(classes(&integers, "y", &labels).expect("classes"), [1, 0]);
        let booleans = table(df!("y" => [true, false]));
        assert_eq!(classes(&booleans, "y", &labels).expect("classes"), [1, 0]);
        // Numbers as text are names, and there are no such names.
        let texts = table(df!("y" => ["1", "0"]));
        assert!(classes(&texts, "y", &labels).is_err());
    }

    #[test]
    fn numbers_that_are_labels_are_not_class_numbers() {
        let stars = strings(&["5", "1"]);
        let integers = table(df!("y" => [1i64, 5]));
        assert_eq!(classes(&integers, "y", &stars).expect("classes"), [1, 0]);
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
