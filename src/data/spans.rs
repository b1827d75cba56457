//! Columns of lists of spans: parts of a text, and what each of them is.
//!
//! Tools write them in several ways, all of which are read: objects with `start`, `end` and `label` (spaCy's and Prodigy's `spans`, what
//! Hugging Face's data sets have), with `start_offset` and `end_offset` (doccano's `entities`), with one of `labels` (Label Studio's
//! `JSON_MIN`), and lists of a start, an end and a label (doccano's `label`). They are lists of structs, as in Parquet files, or JSON text,
//! as in CSV files and as `dataset` leaves it of NDJSON files.

use std::ops::Range;

use polars::prelude::{Column, DataType, Series, StructChunked};
use serde_json::{Map, Value};

use super::table::Table;
use super::types::type_name;
use super::words::Cut;
use crate::error::{Context, Error, Result};

/// A part of a text, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its characters, counted from 0.
    pub characters: Range<usize>,
    /// What it is.
    pub label: String,
}

/// Whether column `name` may hold spans, and not a tag for each word.
///
/// # Errors
/// No such column.
pub fn are_spans(table: &Table, name: &str) -> Result<bool> {
    Ok(match table.column(name)?.dtype() {
        DataType::List(inner) => matches!(**inner, DataType::Struct(_)),
        other => other.is_string(),
    })
}

/// The fields of a span that are read.
const FIELDS: [&str; 7] = [
    "start",
    "start_offset",
    "end",
    "end_offset",
    "label",
    "labels",
    "text",
];

/// The spans in column `name`, one list a row, each in the text of its row and in the order of their beginnings; `first` is the number of
/// the first row, counted from 0.
///
/// # Errors
/// No such column, one that holds no spans; a row without a list, a span without its parts, one that is empty, goes beyond its text, says
/// that it is another text than it is, or overlaps with another.
pub fn read(table: &Table, name: &str, texts: &[Cut], first: usize) -> Result<Vec<Vec<Span>>> {
    let column = table.column(name)?;
    let rows = match column.dtype() {
        DataType::String => of_json(table, name, first)?,
        DataType::List(inner) if matches!(**inner, DataType::Struct(_)) => {
            of_structs(column, name, first)?
        }
        other => {
            return Err(Error::stage(format!(
                "column `{name}` holds {} values, not lists of spans",
                type_name(other)
            ))
            .help(HOW));
        }
    };
    let rows = rows.iter().zip(texts).enumerate();
    let rows = rows.map(|(row, (values, text))| {
        let place = format!("row {} has a span in column `{name}`", first + row + 1);
        of_row(values, text, &place)
    });
    rows.collect()
}

/// How spans are written, for those who have others.
const HOW: &str = "a span is an object with `start`, `end` and `label`, or a list of these three; `start` and `end` count characters from 0, \
                   and the last one is not included";

/// The error for a row without a list.
fn no_list(name: &str, row: usize) -> Error {
    Error::stage(format!("row {} has no list of spans in column `{name}`", row + 1))
        .note(HOW)
        .help("an empty list says that there are none; leave rows without one out in a `preprocess` stage")
}

/// The lists in a column of JSON text.
fn of_json(table: &Table, name: &str, first: usize) -> Result<Vec<Vec<Value>>> {
    let texts = table.as_text(name)?.into_iter().enumerate();
    let lists = texts.map(|(row, text)| {
        let text = text.ok_or_else(|| no_list(name, first + row))?;
        match serde_json::from_str(&text) {
            Ok(Value::Array(spans)) => Ok(spans),
            Ok(_) => Err(no_list(name, first + row)),
            Err(error) => Err(no_list(name, first + row).because(&error)),
        }
    });
    lists.collect()
}

/// The lists in a column of structs.
fn of_structs(column: &Column, name: &str, first: usize) -> Result<Vec<Vec<Value>>> {
    let lists = column
        .list()
        .or_stage(|| format!("column `{name}` holds no lists"))?;
    let rows = (0..lists.len()).map(|row| {
        let list = lists.get_as_series(row);
        let list = list.ok_or_else(|| no_list(name, first + row))?;
        let structs = list
            .struct_()
            .or_stage(|| format!("column `{name}` holds no structs"))?;
        let spans = objects(structs);
        spans.ok_or_else(|| {
            let row = first + row + 1;
            Error::stage(format!(
                "row {row} has spans in column `{name}` that cannot be read"
            ))
            .help(HOW)
        })
    });
    rows.collect()
}

/// Structs as objects, as far as their fields are known.
fn objects(structs: &StructChunked) -> Option<Vec<Value>> {
    let mut objects = vec![Map::new(); structs.len()];
    for field in structs.fields_as_series() {
        let name = field.name().as_str();
        if FIELDS.contains(&name) {
            for (object, value) in objects.iter_mut().zip(values(&field)?) {
                object.insert(name.into(), value);
            }
        }
    }
    Some(objects.into_iter().map(Value::Object).collect())
}

/// The values of a field.
fn values(field: &Series) -> Option<Vec<Value>> {
    if let DataType::List(_) = field.dtype() {
        let lists = field.list().ok()?;
        let values = (0..lists.len()).map(|row| match lists.get_as_series(row) {
            Some(list) => values(&list).map(Value::Array),
            None => Some(Value::Null),
        });
        return values.collect();
    }
    if field.dtype().is_integer() {
        let numbers = field.cast(&DataType::Int64).ok()?;
        let numbers = numbers.i64().ok()?;
        return Some(numbers.iter().map(Value::from).collect());
    }
    let texts = field.cast(&DataType::String).ok()?;
    let texts = texts.str().ok()?;
    Some(texts.iter().map(Value::from).collect())
}

/// The spans of a text; `place` begins every message.
fn of_row(values: &[Value], text: &Cut, place: &str) -> Result<Vec<Span>> {
    let length = text.text.chars().count();
    let mut spans = Vec::with_capacity(values.len());
    for value in values {
        let span = of_value(value)
            .map_err(|why| Error::stage(format!("{place} {why}: {value}")).help(HOW))?;
        let Range { start, end } = span.characters;
        if start >= end {
            return Err(Error::stage(format!(
                "{place} from {start} to {end}, which is no character"
            ))
            .help(HOW));
        }
        if end > length {
            return Err(Error::stage(format!(
                "{place} from {start} to {end}, and its text has {length} characters"
            ))
            .help("places count characters (Unicode scalar values), as Python does, not bytes and not units of UTF-16"));
        }
        let said = value.get("text").and_then(Value::as_str);
        let is = text.at(start..end);
        if let Some(said) = said.filter(|said| *said != is) {
            return Err(Error::stage(format!(
                "{place} from {start} to {end} that says it is `{said}`, but there stands `{is}`"
            ))
            .help("places count characters (Unicode scalar values), as Python does, not bytes, not units of UTF-16 and not words"));
        }
        spans.push(span);
    }
    spans.sort_by_key(|span| span.characters.start);
    let shown = |span: &Span| {
        let Range { start, end } = span.characters;
        format!("from {start} to {end} ({})", span.label)
    };
    for pair in spans.windows(2) {
        if pair[1].characters.start < pair[0].characters.end {
            return Err(Error::stage(format!(
                "{place} {} that overlaps with the one {}",
                shown(&pair[0]),
                shown(&pair[1])
            ))
            .help("a word has one tag: keep one of the two, or train a model for each kind"));
        }
    }
    Ok(spans)
}

/// What a span is, or what is wrong with it.
fn of_value(value: &Value) -> Result<Span, String> {
    let [start, end, label] = match value {
        Value::Array(values) => match &values[..] {
            [start, end, label] => [Some(start), Some(end), Some(label)],
            _ => return Err(format!("that is a list of {} values", values.len())),
        },
        Value::Object(fields) => {
            let of = |names: [&str; 2]| names.iter().find_map(|name| fields.get(*name));
            [
                of(["start", "start_offset"]),
                of(["end", "end_offset"]),
                of(["label", "labels"]),
            ]
        }
        _ => return Err("that is none".into()),
    };
    let place = |value: Option<&Value>, name: &str| {
        let place = value.and_then(Value::as_u64);
        let place = place.and_then(|place| usize::try_from(place).ok());
        place.ok_or_else(|| format!("whose `{name}` is no count of characters"))
    };
    let label = match label {
        Some(Value::Array(labels)) => match &labels[..] {
            [label] => Some(label),
            _ => return Err(format!("with {} labels", labels.len())),
        },
        label => label,
    };
    let label = label
        .and_then(Value::as_str)
        .filter(|label| !label.is_empty());
    Ok(Span {
        characters: place(start, "start")?..place(end, "end")?,
        label: label.ok_or("without a label")?.to_owned(),
    })
}
