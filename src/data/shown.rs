//! Values of a table as people read them: not exact, and short where they are long.

use polars::prelude::AnyValue;

use super::table::Table;
use crate::error::contained;

/// The most characters of a value.
const LONGEST: usize = 400;

/// The most values of a list.
const MOST: usize = 8;

/// The cells of all rows of `table`, row by row.
#[must_use]
pub fn cells(table: &Table) -> Vec<Vec<String>> {
    let columns = table.frame.columns().iter();
    let columns: Vec<Vec<String>> = columns
        .map(|column| {
            let series = column.as_materialized_series();
            series.rechunk().iter().map(|value| cell(&value)).collect()
        })
        .collect();
    (0..table.rows())
        .map(|row| columns.iter().map(|column| column[row].clone()).collect())
        .collect()
}

/// The word for the type of each column.
#[must_use]
pub fn types(table: &Table) -> Vec<String> {
    let columns = table.frame.columns().iter();
    columns
        .map(|column| super::types::type_name(column.dtype()))
        .collect()
}

fn cell(value: &AnyValue<'_>) -> String {
    let text = match value {
        AnyValue::Null => return String::new(),
        AnyValue::Binary(bytes) => format!("{} bytes", bytes.len()),
        AnyValue::BinaryOwned(bytes) => format!("{} bytes", bytes.len()),
        AnyValue::List(values) => {
            let mut list: Vec<String> =
                values.iter().take(MOST).map(|value| cell(&value)).collect();
            if values.len() > MOST {
                list.push("…".into());
            }
            format!("[{}]", list.join(", "))
        }
        AnyValue::Struct(..) | AnyValue::StructOwned(_) => {
            let fields: Vec<String> = value._iter_struct_av().map(|value| cell(&value)).collect();
            format!("{{{}}}", fields.join(", "))
        }
        value => match value.get_str() {
            Some(text) => text.to_owned(),
            // A moment that no calendar has.
            None => contained(|| value.to_string()).unwrap_or_else(|_| "?".into()),
        },
    };
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use polars::prelude::{NamedFrom as _, Series, df};

    use super::*;

    #[test]
    fn every_value_has_a_cell() {
        let list = Series::new("".into(), ["a", "b"]);
        let lists = Series::new("l".into(), [list.clone(), list]);
        let mut frame =
            df!("t" => [Some("x\u{7}"), None], "n" => [1.5, f64::NAN]).expect("a frame");
        frame.with_column(lists.into()).expect("a column");
        let table = Table::new(frame);
        assert_eq!(
            cells(&table),
            [["x\u{7}", "1.5", "[a, b]"], ["", "NaN", "[a, b]"]]
        );
        assert_eq!(types(&table).len(), 3);
    }
}
