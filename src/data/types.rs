//! The types that a column of a text file can be read as, and how its values become them.

use polars::prelude::{
    BooleanChunked, Column, DataType, Float64Chunked, Int64Chunked, IntoColumn, NewChunkedArray,
    StringChunked, TimeUnit,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::numerals::{Spelling, comes_back};

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
}

/// Which types can hold all values of a column that is seen in pieces, each as it is written.
///
/// So a number with a leading zero is a code, such as a postal code, and stays text; so does `True`, because it would come
/// back as `true`, and a number that a float changes or that may be the same as another one.
#[derive(Clone, Debug)]
pub(super) struct Narrowest {
    values: usize,
    boolean: bool,
    integer: bool,
    number: bool,
    /// How the numbers are written.
    spelling: Spelling,
    /// The first number that a float changes.
    changed: Option<String>,
}

impl Default for Narrowest {
    fn default() -> Self {
        Self {
            values: 0,
            boolean: true,
            integer: true,
            number: true,
            spelling: Spelling::default(),
            changed: None,
        }
    }
}

impl Narrowest {
    /// Looks at more values.
    pub(super) fn see(&mut self, values: &StringChunked) {
        for value in values.iter().flatten() {
            self.values += 1;
            self.boolean &= matches!(value, "true" | "false");
            self.number &= !is_code(value) && is_number(value);
            if !self.boolean && !self.number {
                return;
            }
            if self.number {
                self.see_number(value);
            }
        }
    }

    fn see_number(&mut self, value: &str) {
        self.integer &= Type::Integer.accepts(value) && !value.starts_with('+') && value != "-0";
        self.spelling.see(value);
        if self.changed.is_none() && !comes_back(value) {
            self.changed = Some(value.to_owned());
        }
    }

    /// The narrowest type for all values that were seen.
    pub(super) fn get(&self) -> Type {
        match self {
            Self { values: 0, .. } => Type::String,
            Self { boolean: true, .. } => Type::Boolean,
            Self { number: false, .. } => Type::String,
            Self { integer: true, .. } => Type::Integer,
            _ if self.why_text().is_some() => Type::String,
            _ => Type::Number,
        }
    }

    /// Why a column of numbers is text after all.
    pub(super) fn why_text(&self) -> Option<String> {
        if !self.number || self.integer {
            return None;
        }
        let changed = self.changed.as_ref();
        let changed = changed.map(|value| format!("no 64-bit number is exactly `{value}`"));
        changed.or_else(|| {
            let value = self.spelling.ambiguous()?;
            Some(format!(
                "numbers are written in several ways, such as `{value}`, and two may become one"
            ))
        })
    }
}

fn boolean(text: &str) -> Option<bool> {
    [("true", true), ("false", false)]
        .into_iter()
        .find_map(|(word, value)| text.eq_ignore_ascii_case(word).then_some(value))
}

/// Like `f64`'s own reading, without its words `inf` and `nan`, which in a column of text are words, and without numbers that
/// are too large for it.
pub(super) fn number(text: &str) -> Option<f64> {
    let value: Option<f64> = text.parse().ok();
    value.filter(|value| value.is_finite())
}

/// Whether `text` is written as a number, however large.
fn is_number(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_digit()) && text.parse::<f64>().is_ok()
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
        let narrowest = |values: &StringChunked| {
            let mut narrowest = Narrowest::default();
            narrowest.see(values);
            narrowest.get()
        };
        let of = |values: &[&str]| narrowest(&values.iter().copied().map(Some).collect());
        assert_eq!(of(&["1", "-2"]), Type::Integer);
        assert_eq!(of(&["1", "2.5e-5"]), Type::Number);
        assert_eq!(of(&["true", "false"]), Type::Boolean);
        assert_eq!(of(&["True", "False"]), Type::String);
        assert_eq!(of(&["1", "x"]), Type::String);
        assert_eq!(of(&["01234", "99999"]), Type::String);
        assert_eq!(of(&["0", "10"]), Type::Integer);
        assert_eq!(of(&["0.5", "-0.5"]), Type::Number);
        assert_eq!(of(&["nan", "inf"]), Type::String);
        assert_eq!(narrowest(&column(&[None])), Type::String);
        assert_eq!(narrowest(&column(&[None, Some("3")])), Type::Integer);
    }

    #[test]
    fn numbers_that_would_change_stay_text_and_it_is_said() {
        let why = |values: &[&str]| {
            let mut narrowest = Narrowest::default();
            narrowest.see(&values.iter().copied().map(Some).collect());
            (narrowest.get(), narrowest.why_text().unwrap_or_default())
        };
        for (values, word) in [
            (
                ["11898508762506083200", "11898508762506083201"],
                "exactly `11898508762506083200`",
            ),
            (["9007199254740993", "0.5"], "exactly `9007199254740993`"),
            (["12e400", "1"], "exactly `12e400`"),
            (["1.1", "1.10"], "such as `1.10`"),
            (["+4915112345678", "15"], "such as `+4915112345678`"),
        ] {
            let (kind, why) = why(&values);
            assert_eq!(kind, Type::String, "{values:?}");
            assert!(why.contains(word), "{why}");
        }
        assert_eq!(
            why(&["9007199254740993", "1"]),
            (Type::Integer, String::new())
        );
        assert_eq!(why(&["1.10", "2.50"]), (Type::Number, String::new()));
        assert_eq!(why(&["x", "1.10"]), (Type::String, String::new()));
        assert!(Type::Number.read(&column(&[Some("12e400")])).is_none());
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
