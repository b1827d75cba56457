//! Files with one JSON object a line. Every line is checked before polars reads it, because polars names no line
//! and turns values of another type than the column's first ones into nulls.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Cursor;

use polars::prelude::{
    DataFrame, DataType, Field, JsonFormat, JsonReader, PolarsResult, Schema, SchemaRef, SerReader,
};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::csv::{Loaded, decode};
use super::guard::guarded;
use super::table::Table;
use super::types::Type;
use crate::error::{Context, Error, Result};

/// Reads the lines of `bytes`, which `name` stands for in messages. Columns come in the order in which they first
/// appear; a key that an object does not have is null there. Text columns that `types` calls dates become dates.
///
/// # Errors
/// Bytes that are not UTF-8, a line that is no flat JSON object, a column with values of two types, no rows.
pub fn read(name: &str, bytes: &[u8], types: &BTreeMap<String, Type>) -> Result<Loaded> {
    let text = decode(name, bytes)?;
    let mut columns = Columns::default();
    let lines = columns.add_lines(name, text, 1)?;
    if lines.is_empty() {
        return Err(Error::stage(format!("`{name}` has no rows")));
    }
    let what = || format!("cannot read `{name}`");
    let frame = parse(text, columns.schema()).or_stage(what)?;
    let table = Table::new(with_dates(&frame, types).or_stage(what)?);
    Loaded::new(name, table, lines)
}

fn unreadable(name: &str, line: usize, error: &serde_json::Error) -> Error {
    let text = error.to_string();
    // serde_json counts lines in what it was given, which is one line.
    let (reason, _) = text.rsplit_once(" at line ").unwrap_or((&text, ""));
    Error::stage(format!(
        "line {line} of `{name}` is not a JSON object of plain values"
    ))
    .cause(format!("{reason} (column {})", error.column()))
    .help("NDJSON has one object a line: {\"text\": \"good\", \"label\": 1}")
}

/// Reads the lines of `text` as columns of `schema`.
pub(super) fn parse(text: &str, schema: impl Into<SchemaRef>) -> PolarsResult<DataFrame> {
    let reader = JsonReader::new(Cursor::new(text.as_bytes()))
        .with_json_format(JsonFormat::JsonLines)
        .with_schema(schema.into());
    guarded(|| reader.finish())
}

fn with_dates(frame: &DataFrame, types: &BTreeMap<String, Type>) -> PolarsResult<DataFrame> {
    let columns = frame.columns().iter().map(|column| {
        let wanted = types.get(column.name().as_str());
        match (wanted, column.str()) {
            (Some(wanted @ (Type::Date | Type::Datetime)), Ok(text)) => {
                wanted.read(text).unwrap_or_else(|| column.clone())
            }
            _ => column.clone(),
        }
    });
    DataFrame::new(frame.height(), columns.collect())
}

/// The columns seen so far.
#[derive(Default)]
pub(super) struct Columns {
    /// Name, and the type with the line that decided it.
    list: Vec<(String, Option<(Type, usize)>)>,
    index: BTreeMap<String, usize>,
}

impl Columns {
    /// Adds what the lines of `text` have, which begins on line `first` of the file `name`; returns the lines that are
    /// not empty.
    pub(super) fn add_lines(&mut self, name: &str, text: &str, first: usize) -> Result<Vec<usize>> {
        let mut lines = Vec::new();
        for (line, text) in (first..).zip(text.split('\n')) {
            if text.trim().is_empty() {
                continue;
            }
            lines.push(line);
            let object: Object =
                serde_json::from_str(text).map_err(|error| unreadable(name, line, &error))?;
            self.add(name, line, object)?;
        }
        Ok(lines)
    }

    fn add(&mut self, name: &str, line: usize, object: Object) -> Result<()> {
        for (key, found) in object.0 {
            let at = *self.index.entry(key).or_insert_with_key(|key| {
                self.list.push((key.clone(), None));
                self.list.len() - 1
            });
            let (column, known) = &mut self.list[at];
            let Some(found) = found else { continue };
            let agreed = match *known {
                None => Some((found, line)),
                Some((before, first)) => common(before, found).map(|agreed| (agreed, first)),
            };
            let Some(agreed) = agreed else {
                let (before, first) = known.unwrap_or((found, line));
                return Err(Error::stage(format!(
                    "line {line} of `{name}` has {} in column `{column}`, which is {} on line {first}",
                    found.with_article(),
                    before.with_article(),
                ))
                .help("a column has one type: quote the numbers, or correct the line"));
            };
            *known = Some(agreed);
        }
        Ok(())
    }

    /// The columns in the order in which they first appeared.
    pub(super) fn schema(&self) -> Schema {
        self.list
            .iter()
            .map(|(name, kind)| {
                let dtype = match kind {
                    Some((Type::Integer, _)) => DataType::Int64,
                    Some((Type::Number, _)) => DataType::Float64,
                    Some((Type::Boolean, _)) => DataType::Boolean,
                    _ => DataType::String,
                };
                Field::new(name.into(), dtype)
            })
            .collect()
    }
}

fn common(one: Type, other: Type) -> Option<Type> {
    match (one, other) {
        (one, other) if one == other => Some(one),
        (Type::Integer, Type::Number) | (Type::Number, Type::Integer) => Some(Type::Number),
        _ => None,
    }
}

/// The keys of an object and the types of their values; none for null.
struct Object(Vec<(String, Option<Type>)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;

        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut seen = BTreeSet::new();
                let mut pairs = Vec::new();
                while let Some((key, Plain(kind))) = map.next_entry::<String, Plain>()? {
                    if !seen.insert(key.clone()) {
                        return Err(A::Error::custom(format!("key `{key}` comes twice")));
                    }
                    pairs.push((key, kind));
                }
                Ok(Object(pairs))
            }
        }

        deserializer.deserialize_map(ObjectVisitor)
    }
}

/// The type of a plain value.
struct Plain(Option<Type>);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PlainVisitor;

        impl<'de> Visitor<'de> for PlainVisitor {
            type Value = Plain;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a number, true, false or null")
            }

            fn visit_str<E>(self, _: &str) -> Result<Plain, E> {
                Ok(Plain(Some(Type::String)))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Plain, E> {
                Ok(Plain(Some(Type::Boolean)))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Plain, E> {
                Ok(Plain(Some(Type::Integer)))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Plain, E> {
                let fits = i64::try_from(value).is_ok();
                Ok(Plain(Some(if fits { Type::Integer } else { Type::Number })))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Plain, E> {
                Ok(Plain(Some(Type::Number)))
            }

            fn visit_unit<E>(self) -> Result<Plain, E> {
                Ok(Plain(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Plain, A::Error> {
                Err(A::Error::custom("an array is not a plain value"))
            }

            fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Plain, A::Error> {
                Err(A::Error::custom("an object is not a plain value"))
            }
        }

        deserializer.deserialize_any(PlainVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Loaded> {
        read("t.ndjson", text.as_bytes(), &BTreeMap::new())
    }

    fn column(loaded: &Loaded, name: &str) -> Vec<Option<String>> {
        loaded.table.as_text(name).expect("a column")
    }

    #[test]
    fn objects_become_rows() {
        let loaded =
            load("{\"text\":\"a\\n\u{85}b\",\"n\":1}\r\n\n{\"n\":2.5,\"ok\":true,\"text\":null}\n")
                .expect("read");
        assert_eq!(loaded.table.columns(), ["text", "n", "ok"]);
        assert_eq!(loaded.lines, [1, 3]);
        assert_eq!(
            column(&loaded, "text"),
            [Some("a\n\u{85}b".to_owned()), None]
        );
        assert_eq!(
            column(&loaded, "n"),
            [Some("1.0".to_owned()), Some("2.5".to_owned())]
        );
        assert_eq!(column(&loaded, "ok"), [None, Some("true".to_owned())]);
    }

    #[test]
    fn all_rows_decide_the_type() {
        let loaded = load(&("{\"n\":1}\n".repeat(300) + "{\"n\":0.5}")).expect("read");
        assert_eq!(column(&loaded, "n")[300].as_deref(), Some("0.5"));
        assert_eq!(loaded.table.rows(), 301);
    }

    #[test]
    fn bad_lines_are_named() {
        let message = |text: &str| load(text).expect_err("refused").to_string();
        assert_eq!(
            message("{\"a\":1}\n{\"a\":1,}\n"),
            "line 2 of `t.ndjson` is not a JSON object of plain values: trailing comma (column 8)"
        );
        assert_eq!(
            message("{\"a\":[1]}"),
            "line 1 of `t.ndjson` is not a JSON object of plain values: an array is not a plain value (column 6)"
        );
        assert_eq!(
            message("{\"a\":1}\n{\"a\":\"x\"}"),
            "line 2 of `t.ndjson` has a string in column `a`, which is an integer on line 1"
        );
        assert_eq!(
            message("{\"a\":1,\"a\":2}"),
            "line 1 of `t.ndjson` is not a JSON object of plain values: key `a` comes twice (column 13)"
        );
        assert_eq!(message("\n"), "`t.ndjson` has no rows");
    }

    #[test]
    fn declared_dates_are_read() {
        let types = BTreeMap::from([("day".to_owned(), Type::Date)]);
        let loaded = read("t.ndjson", b"{\"day\":\"2026-01-31\"}", &types).expect("read");
        assert_eq!(
            loaded.table.column("day").expect("day").dtype(),
            &DataType::Date
        );
    }
}
