//! The values of columns → targets: any number of labels a row, or numbers.

use std::collections::BTreeSet;

use polars::prelude::DataType;

use super::table::Table;
use super::types::{number, type_name};
use super::words;
use crate::error::{Error, Result};

/// The labels of each row by column `name`: a list, or text in which `separator` stands between labels. A row may have none; one that it
/// has twice counts once. Spaces around labels do not count.
///
/// # Errors
/// No such column, a row without a list, text without a separator, a separator for lists, values of other types.
pub fn label_lists(table: &Table, name: &str, separator: Option<&str>) -> Result<Vec<Vec<String>>> {
    let column = table.column(name)?;
    match (column.dtype(), separator) {
        (DataType::List(_), None) => {
            let rows = words::of_column(column, name, "labels", 0)?;
            let labels = |row: &Vec<String>| distinct(row.iter().map(String::as_str));
            Ok(rows.iter().map(labels).collect())
        }
        (DataType::List(_), Some(_)) => Err(Error::stage(format!(
            "column `{name}` holds lists, which need no separator"
        ))
        .help("leave `label_separator` out")),
        (dtype, Some(separator)) if dtype.is_string() => {
            // CSV cannot tell an empty text from none, so both have no label.
            let rows = table.as_text(name)?.into_iter().map(Option::unwrap_or_default);
            Ok(rows.map(|row| cut(&row, separator)).collect())
        }
        (dtype, None) if dtype.is_string() => Err(Error::stage(format!(
            "column `{name}` holds text, and nothing says what stands between two labels"
        ))
        .help("say it, for example label_separator = \",\"; or name a 0/1 column for each label in `target_columns`")),
        (dtype, _) => Err(Error::stage(format!(
            "column `{name}` holds {}, not labels",
            type_name(dtype)
        ))
        .help("name a column of lists or of text in `target_column`, or a 0/1 column for each label in `target_columns`")),
    }
}

fn cut(row: &str, separator: &str) -> Vec<String> {
    let labels = row.split(separator).map(str::trim);
    distinct(labels.filter(|label| !label.is_empty()))
}

fn distinct<'l>(labels: impl Iterator<Item = &'l str>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    labels
        .filter(|label| seen.insert(*label))
        .map(String::from)
        .collect()
}

/// For each row and each of `labels` whether the row has it, 1 or 0, row by row.
///
/// # Errors
/// A label that is not in `labels`, with its row.
pub fn flags_of_lists(rows: &[Vec<String>], name: &str, labels: &[String]) -> Result<Vec<f32>> {
    let known = || labels.iter().map(String::as_str);
    for (row, of_row) in rows.iter().enumerate() {
        if let Some(label) = of_row.iter().find(|label| !labels.contains(label)) {
            return Err(Error::stage(format!(
                "row {} has the label `{label}` in column `{name}`, which is not in `labels`",
                row + 1
            ))
            .note(format!("`labels`: {}", labels.join(", ")))
            .did_you_mean(label, known()));
        }
    }
    let flag = |has: bool| if has { 1.0 } else { 0.0 };
    let of_rows = rows
        .iter()
        .flat_map(|of_row| labels.iter().map(move |label| flag(of_row.contains(label))));
    Ok(of_rows.collect())
}

/// The 0/1 columns `names`, row by row.
///
/// # Errors
/// A column that is not there, a row without value, a value that is neither 0 nor 1, with its row.
pub fn flags(table: &Table, names: &[String]) -> Result<Vec<f32>> {
    by_row(table, names, |value, place| {
        match value.trim().to_lowercase().as_str() {
            "0" | "0.0" | "false" => Ok(0.0),
            "1" | "1.0" | "true" => Ok(1.0),
            _ => Err(Error::stage(format!("{place}, which is neither 0 nor 1"))
                .help("a column of `target_columns` says of its label whether a row has it")),
        }
    })
}

/// The numbers in columns `names`, row by row.
///
/// # Errors
/// A column that is not there, a row without value, a value that is no number or not finite, with its row.
pub fn numbers(table: &Table, names: &[String]) -> Result<Vec<f32>> {
    by_row(table, names, |value, place| {
        #[expect(clippy::cast_possible_truncation, reason = "targets are 32-bit floats")]
        let read = number(value.trim()).map(|number| number as f32);
        match read.filter(|number| number.is_finite()) {
            Some(number) => Ok(number),
            None => Err(Error::stage(format!("{place}, which is no finite number"))
                .help("repair it, or leave such rows out in a `preprocess` stage")),
        }
    })
}

/// What `read` makes of the values of columns, row by row.
fn by_row(
    table: &Table,
    names: &[String],
    read: impl Fn(&str, String) -> Result<f32>,
) -> Result<Vec<f32>> {
    let columns: Vec<Vec<String>> = names
        .iter()
        .map(|name| table.values(name))
        .collect::<Result<_>>()?;
    let mut rows = Vec::with_capacity(table.rows() * names.len());
    for row in 0..table.rows() {
        for (name, column) in names.iter().zip(&columns) {
            let value = &column[row];
            let place = format!("row {} has `{value}` in column `{name}`", row + 1);
            rows.push(read(value, place)?);
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use polars::prelude::{DataFrame, PolarsResult, df};

    use super::*;

    fn table(frame: PolarsResult<DataFrame>) -> Table {
        Table::new(frame.expect("a frame"))
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn labels_are_cut_at_the_separator() {
        let joined = table(df!("y" => [Some("a, b"), Some(""), Some("b,b ,"), None]));
        let rows = label_lists(&joined, "y", Some(",")).expect("labels");
        assert_eq!(
            rows,
            [words(&["a", "b"]), words(&[]), words(&["b"]), words(&[])]
        );
        let flags = flags_of_lists(&rows, "y", &words(&["b", "a"])).expect("known");
        assert_eq!(flags, [1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
        let error = flags_of_lists(&rows, "y", &words(&["a", "c"])).expect_err("b");
        assert_eq!(
            error.message(),
            "row 1 has the label `b` in column `y`, which is not in `labels`"
        );
        let error = label_lists(&joined, "y", None).expect_err("no separator");
        assert!(error.message().contains("between two labels"), "{error}");
    }

    #[test]
    fn columns_of_zeros_and_ones_hold_nothing_else() {
        let good = table(df!("a" => [1i64, 0], "b" => [false, true]));
        let names = words(&["a", "b"]);
        assert_eq!(flags(&good, &names).expect("flags"), [1.0, 0.0, 0.0, 1.0]);
        let bad = table(df!("a" => [1i64, 2], "b" => [0i64, 0]));
        let error = flags(&bad, &names).expect_err("2");
        assert_eq!(
            error.message(),
            "row 2 has `2` in column `a`, which is neither 0 nor 1"
        );
    }

    #[test]
    fn numbers_are_finite() {
        let good = table(df!("y" => ["1.5", "-2"]));
        assert_eq!(
            numbers(&good, &words(&["y"])).expect("numbers"),
            [1.5, -2.0]
        );
        for bad in ["x", "inf", "NaN", "1e60"] {
            let error = numbers(&table(df!("y" => ["1", bad])), &words(&["y"])).expect_err(bad);
            assert!(error.message().starts_with("row 2 has"), "{error}");
        }
    }
}
