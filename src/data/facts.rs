//! What the columns of a table look like: their types, what is missing, how many values there are, how long and how large they are.

use std::collections::BTreeMap;

use polars::prelude::{Column, DataType};

use super::table::Table;
use super::targets::label_lists;
use super::types::Type;
use crate::error::{Context as _, Result};

/// The most distinct values of a column that are listed.
pub const MOST_LISTED: usize = 1000;

/// What the columns of a table look like.
#[derive(Clone, Debug)]
pub struct Facts {
    /// How many rows there are.
    pub rows: usize,
    /// The columns, in order.
    pub columns: Vec<ColumnFacts>,
}

/// What a column looks like.
#[derive(Clone, Debug)]
pub struct ColumnFacts {
    /// Its name.
    pub name: String,
    /// What its values are.
    pub shape: Shape,
    /// How many rows have none.
    pub nulls: usize,
    /// How many distinct values there are.
    pub distinct: usize,
    /// The distinct values and how often each comes; none if there are more than [`MOST_LISTED`]. Of lists, what they hold.
    pub values: Option<BTreeMap<String, usize>>,
    /// How many characters strings have: the fewest, the mean, the most.
    pub characters: Option<(usize, f64, usize)>,
    /// What numbers come to; none if one is not finite.
    pub numbers: Option<Numbers>,
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Values of a type.
    Of(Type),
    /// Lists of strings, or of what reads as such.
    Lists,
    /// Anything else: structs, bytes, lists of lists.
    Other,
}

/// What the numbers of a column come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Numbers {
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation.
    pub deviation: f64,
}

impl Facts {
    /// Looks at all values of `table`.
    ///
    /// # Errors
    /// Values that polars cannot read as text.
    pub fn of(table: &Table) -> Result<Self> {
        let columns = table.frame.columns().iter();
        Ok(Self {
            rows: table.rows(),
            columns: columns
                .map(|column| ColumnFacts::of(table, column))
                .collect::<Result<_>>()?,
        })
    }

    /// The column called `name`.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&ColumnFacts> {
        self.columns.iter().find(|column| column.name == name)
    }
}

impl ColumnFacts {
    fn of(table: &Table, column: &Column) -> Result<Self> {
        let name = column.name().to_string();
        let mut facts = Self {
            shape: shape(column),
            nulls: column.null_count(),
            distinct: 0,
            values: None,
            characters: None,
            numbers: None,
            name,
        };
        match facts.shape {
            Shape::Of(kind) => {
                let values = table.as_text(&facts.name)?;
                facts.count(values.iter().flatten().map(String::as_str));
                if matches!(kind, Type::String | Type::Date | Type::Datetime) {
                    facts.characters = characters(values.iter().flatten());
                }
                if matches!(kind, Type::Integer | Type::Number) {
                    facts.numbers = numbers(column)?;
                }
            }
            // Lists of something else than words hold no labels.
            Shape::Lists => match label_lists(table, &facts.name, None) {
                Ok(lists) => facts.count(lists.iter().flatten().map(String::as_str)),
                Err(_) => facts.shape = Shape::Other,
            },
            Shape::Other => {}
        }
        Ok(facts)
    }

    fn count<'v>(&mut self, values: impl Iterator<Item = &'v str>) {
        let mut counts = BTreeMap::<&str, usize>::new();
        for value in values {
            *counts.entry(value).or_default() += 1;
        }
        self.distinct = counts.len();
        self.values = (counts.len() <= MOST_LISTED).then(|| {
            let counts = counts.into_iter();
            counts
                .map(|(value, count)| (value.to_owned(), count))
                .collect()
        });
    }
}

/// What the values of a column are.
fn shape(column: &Column) -> Shape {
    if matches!(column.dtype(), DataType::List(_)) {
        return Shape::Lists;
    }
    let known = [
        Type::String,
        Type::Integer,
        Type::Number,
        Type::Boolean,
        Type::Date,
        Type::Datetime,
    ];
    let found = known.into_iter().find(|kind| kind.holds(column.dtype()));
    found.map_or(Shape::Other, Shape::Of)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a mean of lengths need not be exact"
)]
fn characters<'v>(values: impl Iterator<Item = &'v String>) -> Option<(usize, f64, usize)> {
    let lengths: Vec<usize> = values.map(|value| value.chars().count()).collect();
    let (least, most) = (lengths.iter().min()?, lengths.iter().max()?);
    let mean = lengths.iter().sum::<usize>() as f64 / lengths.len() as f64;
    Some((*least, mean, *most))
}

fn numbers(column: &Column) -> Result<Option<Numbers>> {
    let column = column.cast(&DataType::Float64);
    let column = column.or_stage(|| "numbers that cannot be read as such")?;
    let values = column.f64().or_stage(|| "a cast gave another type")?;
    let values: Vec<f64> = values.iter().flatten().collect();
    Ok(Numbers::of(&values))
}

impl Numbers {
    /// What `values` come to; none if there are none, or one is not finite.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a mean of numbers need not be exact"
    )]
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() || !values.iter().all(|value| value.is_finite()) {
            return None;
        }
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares = values.iter().map(|value| (value - mean).powi(2));
        Some(Self {
            least: values.iter().copied().fold(f64::INFINITY, f64::min),
            most: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            mean,
            deviation: (squares.sum::<f64>() / count).sqrt(),
        })
    }
}

#[cfg(test)]
mod tests {
    use polars::prelude::df;

    use super::*;

    #[test]
    fn columns_are_described() {
        let table = Table::new(
            df!(
                "text" => [Some("one"), Some("two"), None, Some("one")],
                "n" => [1i64, 2, 3, 2],
                "x" => [0.5, 1.5, f64::NAN, 0.0],
            )
            .expect("a frame"),
        );
        let facts = Facts::of(&table).expect("facts");
        let text = facts.column("text").expect("text");
        assert_eq!((text.nulls, text.distinct), (1, 2));
        assert_eq!(text.values.as_ref().expect("few")["one"], 2);
        assert_eq!(
            text.characters.map(|(least, _, most)| (least, most)),
            Some((3, 3))
        );
        let n = facts.column("n").and_then(|n| n.numbers).expect("numbers");
        assert_eq!((n.least, n.most, n.mean), (1.0, 3.0, 2.0));
        assert_eq!(facts.column("x").expect("x").numbers, None);
        assert!(facts.column("other").is_none());
    }
}
