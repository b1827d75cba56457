//! The types that a column of a text file can be read as, and how its values become them.

use polars::prelude::{
    BooleanChunked, Column, DataType, Float64Chunked, Int64Chunked, IntoColumn, NewChunkedArray,
    StringChunked, TimeUnit,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The type of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    /// Text.
    String,
    /// A whole number of 64 bits.
    Integer,
    /// A number; whole numbers are numbers, too.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A day, as 2026-01-31.
    Date,
    /// A day and a time, as 2026-01-31T12:00:00.
    Datetime,
}

impl Type {
    /// The word for one value of it in messages, with its article.
    #[must_use]
    pub fn with_article(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Date => "a date",
            Self::Datetime => "a date and time",
        }
    }

    /// Whether values of a polars type are of this type.
    pub(super) fn holds(self, dtype: &DataType) -> bool {
        match self {
            Self::String => dtype.is_string(),
            Self::Integer => dtype.is_integer(),
            Self::Number => dtype.is_primitive_numeric(),
            Self::Boolean => dtype.is_bool(),
            Self::Date => *dtype == DataType::Date,
            Self::Datetime => matches!(dtype, DataType::Datetime(..)),
        }
    }

    /// Whether `text` can be read as a value of this type.
    pub(super) fn accepts(self, text: &str) -> bool {
        match self {
            Self::String => true,
            Self::Integer => text.parse::<i64>().is_ok(),
            Self::Number => number(text).is_some(),
            Self::Boolean => boolean(text).is_some(),
            Self::Date | Self::Datetime => {
                let one = StringChunked::from_slice("".into(), &[text]);
                self.moment(&one)
                    .is_some_and(|column| column.null_count() == 0)
            }
        }
    }

    /// Reads all values of `column`; none if there is one that cannot be read. Nulls stay null.
    pub(super) fn read(self, column: &StringChunked) -> Option<Column> {
        let name = column.name().clone();
        let read = match self {
            Self::String => column.clone().into_column(),
            Self::Integer => column
                .iter()
                .map(|value| value.map(str::parse).transpose().ok())
                .collect::<Option<Int64Chunked>>()?
                .into_column(),
            Self::Number => column
                .iter()
                .map(|value| value.map_or(Some(None), |text| number(text).map(Some)))
                .collect::<Option<Float64Chunked>>()?
                .into_column(),
            Self::Boolean => column
                .iter()
                .map(|value| value.map_or(Some(None), |text| boolean(text).map(Some)))
                .collect::<Option<BooleanChunked>>()?
                .into_column(),
            Self::Date | Self::Datetime => self
                .moment(column)
                .filter(|read| read.null_count() == column.null_count())?,
        };
        Some(read.with_name(name))
    }

    /// Dates and times, null where polars cannot read one.
    fn moment(self, column: &StringChunked) -> Option<Column> {
        let dtype = match self {
            Self::Date => DataType::Date,
            _ => DataType::Datetime(TimeUnit::Microseconds, None),
        };
        column.clone().into_column().cast(&dtype).ok()
    }

    /// The narrowest of string, boolean, integer and number that can hold all values, as [`Narrowest`] has it.
    pub(super) fn of(column: &StringChunked) -> Self {
        let mut narrowest = Narrowest::default();
        narrowest.see(column);
        narrowest.get()
    }
}

/// Which types can hold all values of a column that is seen in pieces.
///
/// A number with a leading zero is a code, such as a postal code, and stays text; so does `True`, because it would come
/// back as `true`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Narrowest {
    values: usize,
    boolean: bool,
    integer: bool,
    number: bool,
}

impl Default for Narrowest {
    fn default() -> Self {
        Self {
            values: 0,
            boolean: true,
            integer: true,
            number: true,
        }
    }
}

impl Narrowest {
    /// Looks at more values.
    pub(super) fn see(&mut self, values: &StringChunked) {
        for value in values.iter().flatten() {
            self.values += 1;
            self.boolean &= matches!(value, "true" | "false");
            self.integer &= !is_code(value) && Type::Integer.accepts(value);
            self.number &= !is_code(value) && Type::Number.accepts(value);
            if !self.boolean && !self.number {
                return;
            }
        }
    }

    /// The narrowest type for all values that were seen.
    pub(super) fn get(self) -> Type {
        match self {
            Self { values: 0, .. } => Type::String,
            Self { boolean: true, .. } => Type::Boolean,
            Self { integer: true, .. } => Type::Integer,
            Self { number: true, .. } => Type::Number,
            _ => Type::String,
        }
    }
}

fn boolean(text: &str) -> Option<bool> {
    [("true", true), ("false", false)]
        .into_iter()
        .find_map(|(word, value)| text.eq_ignore_ascii_case(word).then_some(value))
}

/// Like `f64`'s own reading, without its words `inf` and `nan`, which in a column of text are words.
fn number(text: &str) -> Option<f64> {
    text.bytes()
        .any(|byte| byte.is_ascii_digit())
        .then_some(())?;
    text.parse().ok()
}

fn is_code(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text).as_bytes();
    matches!(digits, [b'0', next, ..] if next.is_ascii_digit())
}

/// The word for the type of a polars column in messages.
pub(super) fn type_name(dtype: &DataType) -> String {
    [
        Type::String,
        Type::Integer,
        Type::Number,
        Type::Boolean,
        Type::Date,
        Type::Datetime,
    ]
    .into_iter()
    .find(|known| known.holds(dtype))
    .and_then(|known| {
        serde_json::to_value(known)
            .ok()?
            .as_str()
            .map(str::to_owned)
    })
    .unwrap_or_else(|| dtype.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(values: &[Option<&str>]) -> StringChunked {
        values.iter().copied().collect()
    }

    #[test]
    fn type_of_a_column_is_the_narrowest_that_holds_all_values() {
        let of = |values: &[&str]| Type::of(&values.iter().copied().map(Some).collect());
        assert_eq!(of(&["1", "-2"]), Type::Integer);
        assert_eq!(of(&["1", "2.5e-3"]), Type::Number);
        assert_eq!(of(&["true", "false"]), Type::Boolean);
        assert_eq!(of(&["True", "False"]), Type::String);
        assert_eq!(of(&["1", "x"]), Type::String);
        assert_eq!(of(&["01234", "99999"]), Type::String);
        assert_eq!(of(&["0", "10"]), Type::Integer);
        assert_eq!(of(&["0.5", "-0.5"]), Type::Number);
        assert_eq!(of(&["nan", "inf"]), Type::String);
        assert_eq!(of(&["99999999999999999999"]), Type::Number);
        assert_eq!(Type::of(&column(&[None])), Type::String);
        assert_eq!(Type::of(&column(&[None, Some("3")])), Type::Integer);
    }

    #[test]
    fn one_bad_value_leaves_a_column_unread() {
        assert!(
            Type::Integer
                .read(&column(&[Some("1"), Some("x")]))
                .is_none()
        );
        let read = Type::Integer
            .read(&column(&[Some("1"), None]))
            .expect("read");
        assert_eq!(read.dtype(), &DataType::Int64);
        assert_eq!(read.null_count(), 1);
    }

    #[test]
    fn dates_are_read() {
        let read = Type::Date
            .read(&column(&[Some("2026-01-31"), None]))
            .expect("read");
        assert_eq!(read.dtype(), &DataType::Date);
        assert!(Type::Date.read(&column(&[Some("2026-02-31")])).is_none());
        assert!(!Type::Date.accepts("yesterday"));
        assert!(Type::Datetime.accepts("2026-01-31T12:00:00"));
    }
}
