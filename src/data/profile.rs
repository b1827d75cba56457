//! What a table looks like at a glance: its columns, how often values come, how long texts are.

use std::collections::BTreeMap;

use polars::prelude::{Column, DataType};

use super::Table;
use super::guard::guarded;
use super::types::type_name;
use crate::error::{Context, Result};

/// Values of a column are counted if there are at most so many different ones.
const MOST_VALUES: usize = 1000;

/// Values that come less than so often on the average are no labels.
const REPEATED: usize = 4;

/// How many bars the lengths of texts are drawn as.
const BARS: usize = 24;

/// A column of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// The type of its values.
    pub holds: String,
    /// How many rows have no value.
    pub missing: usize,
    /// How many different values there are; none where values cannot be told apart, as of lists.
    pub different: Option<usize>,
    /// How often each value comes, the most frequent first; empty if hardly one comes twice.
    pub shares: Vec<(String, usize)>,
    /// How long texts are; none where values are no texts, or are counted.
    pub lengths: Option<Lengths>,
    /// The least, the mean and the largest of numbers that are not counted.
    pub numbers: Option<(f64, f64, f64)>,
}

/// How long texts are, in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// The shortest.
    pub shortest: usize,
    /// Half are at most so long.
    pub median: usize,
    /// The longest.
    pub longest: usize,
    /// How many texts there are in each of equal steps from 0 to the longest.
    pub histogram: Vec<usize>,
}

/// The first columns of `table`, at most `most_columns`, each by its first rows, at most `most_rows`.
///
/// # Errors
/// A column that polars cannot read.
pub fn profile(table: &Table, most_rows: usize, most_columns: usize) -> Result<Vec<Profile>> {
    let frame = table.frame.head(Some(most_rows));
    let columns = frame.columns().iter().take(most_columns);
    columns
        .map(|column| {
            of_column(column).or_stage(|| format!("cannot look at the column `{}`", column.name()))
        })
        .collect()
}

fn of_column(column: &Column) -> polars::prelude::PolarsResult<Profile> {
    let mut profile = Profile {
        name: column.name().to_string(),
        holds: type_name(column.dtype()),
        missing: column.null_count(),
        different: None,
        shares: Vec::new(),
        lengths: None,
        numbers: None,
    };
    let dtype = column.dtype();
    if !(dtype.is_primitive() || dtype.is_string() || dtype.is_bool() || dtype.is_temporal()) {
        return Ok(profile);
    }
    let present = guarded(|| Ok(column.drop_nulls()))?;
    let different = guarded(|| present.n_unique())?;
    profile.different = Some(different);
    let is_label = different <= MOST_VALUES && different * REPEATED <= present.len();
    let is_decimal = dtype.is_float();
    if is_label && !is_decimal {
        profile.shares = shares(&present)?;
    } else if dtype.is_string() {
        profile.lengths = lengths(&present)?;
    } else if dtype.is_primitive_numeric() {
        profile.numbers = numbers(&present)?;
    }
    Ok(profile)
}

fn shares(column: &Column) -> polars::prelude::PolarsResult<Vec<(String, usize)>> {
    let text = guarded(|| column.cast(&DataType::String))?;
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    for value in text.str()?.iter().flatten() {
        *counted.entry(value).or_default() += 1;
    }
    let mut shares: Vec<(String, usize)> = counted
        .into_iter()
        .map(|(value, rows)| (value.to_owned(), rows))
        .collect();
    shares.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows));
    Ok(shares)
}

fn lengths(column: &Column) -> polars::prelude::PolarsResult<Option<Lengths>> {
    let texts = column.str()?.iter().flatten();
    let mut lengths: Vec<usize> = texts.map(|text| text.chars().count()).collect();
    lengths.sort_unstable();
    let (Some(&shortest), Some(&longest)) = (lengths.first(), lengths.last()) else {
        return Ok(None);
    };
    let mut histogram = vec![0; BARS];
    for length in &lengths {
        histogram[(length * BARS / (longest + 1)).min(BARS - 1)] += 1;
    }
    let median = lengths[lengths.len() / 2];
    Ok(Some(Lengths {
        shortest,
        median,
        longest,
        histogram,
    }))
}

fn numbers(column: &Column) -> polars::prelude::PolarsResult<Option<(f64, f64, f64)>> {
    let numbers = guarded(|| column.cast(&DataType::Float64))?;
    let numbers = numbers.f64()?;
    let (mut least, mut sum, mut largest, mut count) = (f64::INFINITY, 0.0, f64::NEG_INFINITY, 0.0);
    for number in numbers.iter().flatten().filter(|number| number.is_finite()) {
        least = least.min(number);
        largest = largest.max(number);
        sum += number;
        count += 1.0;
    }
    Ok((count > 0.0).then(|| (least, sum / count, largest)))
}

#[cfg(test)]
mod tests {
    use polars::prelude::df;

    use super::*;

    #[test]
    fn columns_are_told_by_what_they_hold() {
        let texts: Vec<String> = (0..8).map(|n| "é".repeat(n)).collect();
        let table = Table::new(
            df!(
                "text" => texts,
                "label" => ["a", "b", "a", "a", "a", "b", "a", "a"],
                "score" => [Some(0.5), None, Some(f64::NAN), Some(1.5), Some(1.0), None, None, None],
                "n" => [1i64, 2, 3, 4, 5, 6, 7, 8],
            )
            .expect("a frame"),
        );
        let found = profile(&table, 100, 3).expect("it can be read");
        assert_eq!(found.len(), 3);
        let lengths = found[0].lengths.as_ref().expect("texts");
        assert_eq!(
            (lengths.shortest, lengths.median, lengths.longest),
            (0, 4, 7)
        );
        assert_eq!(lengths.histogram.iter().sum::<usize>(), 8);
        assert_eq!(found[1].shares, [("a".to_owned(), 6), ("b".to_owned(), 2)]);
        assert_eq!(
            (found[2].missing, found[2].numbers),
            (4, Some((0.5, 1.0, 1.5)))
        );
        let some = profile(&table, 2, 9).expect("it can be read");
        assert_eq!(some[3].numbers, Some((1.0, 1.5, 2.0)));
    }

    #[test]
    fn an_empty_table_is_no_trouble() {
        let table = Table::new(df!("text" => Vec::<String>::new()).expect("a frame"));
        let found = profile(&table, 100, 100).expect("it can be read");
        assert_eq!((found[0].different, &found[0].lengths), (Some(0), &None));
    }
}
