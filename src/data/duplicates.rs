//! Rows that are the same, across the parts of a split.

use std::collections::BTreeMap;

use blake3::Hash;
use polars::prelude::AnyValue;

use super::exact::exact;
use super::table::Table;
use crate::error::Result;

/// Rows of a table that come in more than one part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Duplicates {
    /// How many distinct values they have.
    pub values: usize,
    /// How many rows they are, in all parts together.
    pub rows: usize,
    /// The first such row and the first of its copies in another part, 0-based.
    pub example: Option<(usize, usize)>,
}

/// Finds the rows of `table` that agree in all of `columns` and are in different parts. `parts` holds the part of
/// each row; rows in none do not count.
///
/// # Errors
/// A column that the table does not have.
pub fn across(table: &Table, columns: &[&str], parts: &[Option<usize>]) -> Result<Duplicates> {
    let mut copies: BTreeMap<[u8; 32], Vec<usize>> = BTreeMap::new();
    for (row, digest) in digests(table, columns)?.into_iter().enumerate() {
        if parts[row].is_some() {
            copies.entry(digest.into()).or_default().push(row);
        }
    }
    let mut found = Duplicates::default();
    for rows in copies.values() {
        let other = rows.iter().find(|row| parts[**row] != parts[rows[0]]);
        if let Some(other) = other {
            found.values += 1;
            found.rows += rows.len();
            let pair = (rows[0], *other);
            found.example = Some(found.example.map_or(pair, |first| first.min(pair)));
        }
    }
    Ok(found)
}

/// A digest of the values of each row in `columns`.
fn digests(table: &Table, columns: &[&str]) -> Result<Vec<Hash>> {
    let columns = columns
        .iter()
        .map(|name| Ok(table.column(name)?.as_materialized_series().rechunk()))
        .collect::<Result<Vec<_>>>()?;
    let mut values: Vec<_> = columns.iter().map(|column| column.iter()).collect();
    let row = |_| {
        let mut hasher = blake3::Hasher::new();
        for value in values.iter_mut().filter_map(Iterator::next) {
            match value {
                AnyValue::Null => hasher.update(&[0]),
                value => {
                    let text = exact(&value);
                    hasher.update(&[1]);
                    hasher.update(&(text.len() as u64).to_le_bytes());
                    hasher.update(text.as_bytes())
                }
            };
        }
        hasher.finalize()
    };
    Ok((0..table.rows()).map(row).collect())
}

#[cfg(test)]
mod tests {
    use polars::prelude::df;

    use super::*;

    #[test]
    fn copies_count_only_in_other_parts() {
        let frame = df!(
            "a" => [Some("x"), Some("y"), Some("x"), None, Some("x"), None, Some("y")],
            "b" => [1i64, 2, 1, 3, 1, 3, 9],
        );
        let table = Table::new(frame.expect("a frame"));
        let parts = [0, 0, 1, 1, 0, 1, 1].map(Some);
        let all = across(&table, &["a", "b"], &parts).expect("found");
        let expected = Duplicates {
            values: 1,
            rows: 3,
            example: Some((0, 2)),
        };
        assert_eq!(all, expected);
        let by_a = across(&table, &["a"], &parts).expect("found");
        assert_eq!((by_a.values, by_a.rows), (2, 5));
        assert!(across(&table, &["c"], &parts).is_err());
        let few = [Some(0), Some(0), None, Some(1), None, Some(1), None];
        assert_eq!(across(&table, &["a"], &few).expect("found").rows, 0);
        let close = Table::new(df!("n" => [0.123_456_71, 0.123_456_74]).expect("a frame"));
        assert_eq!(
            across(&close, &["n"], &[Some(0), Some(1)])
                .expect("found")
                .rows,
            0
        );
    }
}
