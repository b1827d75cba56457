//! TOML values that remember where they stand.

use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::named::Named;
use super::pieces;
use crate::error::{Error, Result, Source, Span};

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// The value.
    pub data: Data,
    /// Where it stands.
    pub span: Span,
}

/// What a TOML value can be.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// A string.
    String(String),
    /// An integer.
    Integer(i64),
    /// A float.
    Float(f64),
    /// A boolean.
    Boolean(bool),
    /// A date or time, as written.
    Datetime(String),
    /// An array.
    Array(Vec<Value>),
    /// A table.
    Table(Table),
}

/// A table: keys in alphabetical order, each with its own place.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Key → where the key stands, and its value.
    pub entries: Named<(Span, Value)>,
    /// Where the table stands: its header or its braces.
    pub span: Span,
}

impl Value {
    /// The word for its type in messages, with an article.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match &self.data {
            Data::String(_) => "a string",
            Data::Integer(_) => "an integer",
            Data::Float(_) => "a float",
            Data::Boolean(_) => "a boolean",
            Data::Datetime(_) => "a date or time",
            Data::Array(_) => "an array",
            Data::Table(_) => "a table",
        }
    }

    /// The string, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.data {
            Data::String(text) => Some(text),
            _ => None,
        }
    }

    /// The table, if it is one.
    #[must_use]
    pub fn as_table(&self) -> Option<&Table> {
        match &self.data {
            Data::Table(table) => Some(table),
            _ => None,
        }
    }

    /// As the user would write it in TOML, on one line.
    #[must_use]
    pub fn to_toml(&self) -> String {
        match &self.data {
            Data::String(text) => toml::Value::String(text.clone()).to_string(),
            Data::Integer(number) => number.to_string(),
            Data::Float(number) => toml::Value::Float(*number).to_string(),
            Data::Boolean(flag) => flag.to_string(),
            Data::Datetime(text) => text.clone(),
            Data::Array(items) => format!("[{}]", join(items.iter().map(Self::to_toml))),
            Data::Table(table) => {
                let pairs = table
                    .entries
                    .iter()
                    .map(|(key, (_, value))| format!("{key} = {}", value.to_toml()));
                format!("{{ {} }}", join(pairs))
            }
        }
    }
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

impl Table {
    /// An empty table at `span`.
    #[must_use]
    pub fn empty(span: Span) -> Self {
        Self {
            entries: Named::default(),
            span,
        }
    }

    /// Reads a whole TOML file.
    ///
    /// # Errors
    /// Broken TOML, with its place.
    pub fn parse(source: &Arc<Source>) -> Result<Self> {
        match pieces::parse(source) {
            Some(table) => Ok(table),
            None => Self::parse_part(source, 0..source.text.len()),
        }
    }

    /// Reads a part of a TOML file as if it were a whole one; places are those in the file.
    pub(super) fn parse_part(source: &Arc<Source>, part: Range<usize>) -> Result<Self> {
        let from = From {
            source,
            offset: part.start,
        };
        let parsed = DeTable::parse(&source.text[part]).map_err(|error| {
            let range = error.span().unwrap_or(0..0);
            Error::usage(
                error
                    .message()
                    .lines()
                    .next()
                    .unwrap_or("broken TOML")
                    .to_string(),
            )
            .at(&from.span(range), "")
            .note(format!("`{}` is not valid TOML", source.name))
        })?;
        let span = from.span(parsed.span());
        table(parsed.into_inner(), span, &from)
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(key).map(|(_, value)| value)
    }

    /// Takes `key` out.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        self.entries.remove(key).map(|(_, value)| value)
    }

    /// Lays `over` upon this table: tables merge, everything else is replaced. A key that is there stays where it is: the
    /// order of the keys may mean something.
    pub fn merge(&mut self, over: Self) {
        for (key, (key_span, value)) in over.entries {
            let Some((_, below)) = self.entries.get_mut(&key) else {
                self.entries.insert(key, (key_span, value));
                continue;
            };
            match (&mut below.data, value) {
                (
                    Data::Table(below),
                    Value {
                        data: Data::Table(above),
                        ..
                    },
                ) => below.merge(above),
                (_, value) => *below = value,
            }
        }
    }
}

/// Which part of a file is read.
struct From<'s> {
    source: &'s Arc<Source>,
    /// Where the part begins.
    offset: usize,
}

impl From<'_> {
    fn span(&self, range: Range<usize>) -> Span {
        Span::new(
            self.source,
            range.start + self.offset..range.end + self.offset,
        )
    }
}

/// Takes `parsed` apart while it goes, so that a large file is not in memory twice.
fn table(parsed: DeTable<'_>, span: Span, from: &From<'_>) -> Result<Table> {
    let mut entries = Named::with_capacity(parsed.len());
    for (key, item) in parsed {
        let key_span = from.span(key.span());
        let item_span = from.span(item.span());
        let value = value(item.into_inner(), item_span, from)?;
        entries.insert(key.into_inner().into_owned(), (key_span, value));
    }
    Ok(Table { entries, span })
}

fn value(parsed: DeValue<'_>, span: Span, from: &From<'_>) -> Result<Value> {
    let data = match parsed {
        DeValue::String(text) => Data::String(text.into_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(Data::Integer)
            .map_err(|error| {
                Error::usage("this integer does not fit 64 bits")
                    .at(&span, "")
                    .because(&error)
            })?,
        DeValue::Float(number) => number.as_str().parse().map(Data::Float).map_err(|error| {
            Error::usage("cannot read this number")
                .at(&span, "")
                .because(&error)
        })?,
        DeValue::Boolean(flag) => Data::Boolean(flag),
        DeValue::Datetime(datetime) => Data::Datetime(datetime.to_string()),
        DeValue::Array(items) => Data::Array(
            items
                .into_iter()
                .map(|item| {
                    let span = from.span(item.span());
                    value(item.into_inner(), span, from)
                })
                .collect::<Result<_>>()?,
        ),
        DeValue::Table(inner) => Data::Table(table(inner, span.clone(), from)?),
    };
    Ok(Value { data, span })
}
