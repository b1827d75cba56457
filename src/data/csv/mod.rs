//! Delimited text files. Every file is checked row by row before polars reads it, because polars names no place
//! for bytes that are not UTF-8 and fills short rows with nulls.

mod marks;
mod pieces;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;

use polars::prelude::{
    CsvParseOptions, CsvReadOptions, DataFrame, DataType, Field, NullValues, PolarsResult, Schema,
    SchemaRef, SerReader,
};

pub(super) use self::marks::{Byte, Marks, State};
pub(super) use self::pieces::Pieces;
pub(super) use self::rows::without_empty_end;

use self::rows::{Row, Rows};
use super::Format;
use super::guard::guarded;
use super::table::Table;
use super::types::{Narrowest, Type};
use crate::error::{Context, Error, Result};

/// How a delimited file is written.
#[derive(Clone, Debug)]
pub struct Dialect {
    /// Between two fields.
    pub separator: u8,
    /// Around a field that holds separators, quotes or line feeds; none if quotes are characters like any other.
    pub quote: Option<u8>,
    /// Where the names of the columns are.
    pub names: Names,
    /// Field contents that stand for null, besides the empty field.
    pub null_values: Vec<String>,
}

/// Where the names of a delimited file's columns are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// In the first row.
    Header,
    /// Nowhere in the file; they are these.
    Given(Vec<String>),
    /// Nowhere: the columns are called `column_1`, `column_2` and so on.
    Numbered,
}

impl Dialect {
    pub(super) fn marks(&self) -> Marks {
        Marks {
            separator: self.separator,
            quote: self.quote,
        }
    }

    /// How files of `format` are mostly written; none if they are not delimited.
    #[must_use]
    pub fn of(format: Format) -> Option<Self> {
        let separator = match format {
            Format::Csv => b',',
            Format::Tsv => b'\t',
            Format::Ndjson | Format::Parquet => return None,
        };
        Some(Self {
            separator,
            quote: Some(b'"'),
            names: Names::Header,
            null_values: Vec::new(),
        })
    }
}

/// The one ASCII character that `text` is, which `name` stands for in messages; none if it is empty.
///
/// # Errors
/// Any other text.
pub fn character(name: &str, text: &str) -> Result<Option<u8>> {
    match text.as_bytes() {
        [] => Ok(None),
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => Ok(Some(*byte)),
        _ => Err(Error::usage(format!(
            "`{name}` must be one ASCII character, not {text:?}"
        ))),
    }
}

/// A table that was read from a text file.
#[derive(Debug)]
pub struct Loaded {
    /// The rows.
    pub table: Table,
    /// The line of the file on which each row starts, counted from 1; empty if the format has no lines.
    pub lines: Vec<usize>,
    /// What was decided that the user may not expect.
    pub notices: Vec<String>,
}

/// Reads the delimited text `bytes`, which `name` stands for in messages.
///
/// Columns in `types` are read as that type, or left as text if a value cannot be; the others become integers,
/// numbers or booleans if all their values are and none changes. An empty field is null, a quoted empty field is an empty
/// string.
///
/// # Errors
/// Bytes that are not UTF-8, rows of unequal length, stray and unclosed quotes, column names that repeat, no rows.
pub fn read(
    name: &str,
    bytes: &[u8],
    dialect: &Dialect,
    types: &BTreeMap<String, Type>,
) -> Result<Loaded> {
    let text = decode(name, bytes)?;
    let mut rows = Rows::new(name, text, dialect.marks());
    let names = names(name, &mut rows, dialect)?;
    let body = rows.rest();
    let lines = check_rows(name, &mut rows, &names)?;
    if lines.is_empty() {
        return Err(no_rows(name, &names));
    }
    let frame =
        parse(body, &names, parse_options(dialect)).or_stage(|| format!("cannot read `{name}`"))?;
    let (frame, notices) = with_types(&frame, types)?;
    Loaded::new(name, Table::new(frame), lines).map(|loaded| Loaded { notices, ..loaded })
}

impl Loaded {
    /// The rows of `table`, if they are as many as were counted.
    pub(super) fn new(name: &str, table: Table, lines: Vec<usize>) -> Result<Self> {
        if table.rows() == lines.len() {
            return Ok(Self {
                table,
                lines,
                notices: Vec::new(),
            });
        }
        let (counted, read) = (lines.len(), table.rows());
        Err(
            Error::stage(format!("`{name}` has {counted} rows, but {read} were read"))
                .help("this is a defect of refire: please report it with the file"),
        )
    }
}

/// The text in `bytes`, without a byte order mark.
pub(super) fn decode<'b>(name: &str, bytes: &'b [u8]) -> Result<&'b str> {
    let text = decode_part(name, bytes, (0, 1), utf16(bytes))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// The text in `bytes`, which in their file begin at an offset, on a line. `utf16` is what the file begins with.
pub(super) fn decode_part<'b>(
    name: &str,
    bytes: &'b [u8],
    (offset, line): (u64, usize),
    utf16: Option<&str>,
) -> Result<&'b str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if utf16.is_none() => {
            if offset == 0 && has_old_lines(text) {
                return Err(Error::stage(format!(
                    "the lines of `{name}` end in carriage returns alone, not in line feeds"
                ))
                .help(format!(
                    "convert it, for example: tr '\\r' '\\n' < {name} > lines-{name}"
                )));
            }
            Ok(text)
        }
        result => {
            let error = match (utf16, result) {
                (None, Err(error)) => {
                    let at = error.valid_up_to();
                    let line = rows::line_of(bytes, at) + line - 1;
                    Error::stage(format!(
                        "`{name}` is not UTF-8: byte 0x{:02x} at offset {}, on line {line}",
                        bytes[at],
                        offset + at as u64
                    ))
                }
                (encoding, _) => Error::stage(format!(
                    "`{name}` is not UTF-8 but {}",
                    encoding.unwrap_or("UTF-16")
                )),
            };
            let encoding = utf16.unwrap_or("WINDOWS-1252");
            Err(error.help(format!(
                "convert it, for example: iconv -f {encoding} -t UTF-8 {name} > utf8-{name}"
            )))
        }
    }
}

/// How many bytes of a file say whether it is UTF-16.
pub(super) const LOOKED_AT: usize = 1 << 12;

/// Which UTF-16 the bytes of a file are, by their byte order mark, or because every other byte of Latin letters is 0.
pub(super) fn utf16(bytes: &[u8]) -> Option<&'static str> {
    let start = &bytes[..bytes.len().min(LOOKED_AT)];
    let zeros = |odd: usize| {
        let bytes = start.iter().skip(odd).step_by(2);
        bytes.filter(|byte| **byte == 0).count()
    };
    let most = start.len() / 4;
    match (start, zeros(0), zeros(1)) {
        ([0xff, 0xfe, ..] | [0xfe, 0xff, ..], ..) => Some("UTF-16"),
        (_, 0, zeros) if zeros > most => Some("UTF-16LE"),
        (_, zeros, 0) if zeros > most => Some("UTF-16BE"),
        _ => None,
    }
}

/// Whether the lines of `text` end as on a Mac of the last century.
fn has_old_lines(text: &str) -> bool {
    // Where one line feed is, it is the other characters that are odd.
    text.trim_end_matches('\r').contains('\r') && !text.contains('\n')
}

/// The names of the columns, taken off the rows if they are there.
fn names(name: &str, rows: &mut Rows<'_>, dialect: &Dialect) -> Result<Vec<String>> {
    let names = match &dialect.names {
        Names::Header => header(name, rows, dialect)?,
        Names::Given(names) => names.clone(),
        Names::Numbered => {
            let first = rows.clone().next().transpose()?;
            let first = first.ok_or_else(|| Error::stage(format!("`{name}` is empty")))?;
            (1..=first.fields).map(numbered).collect()
        }
    };
    refuse_repeated(name, &names)?;
    Ok(names)
}

/// What a column without a name is called: by its place, counted from 1.
fn numbered(place: usize) -> String {
    format!("column_{place}")
}

/// The names in the first row; a column without a name is called after its place.
fn header(name: &str, rows: &mut Rows<'_>, dialect: &Dialect) -> Result<Vec<String>> {
    let rest = rows.rest();
    let Some(row) = rows.next().transpose()? else {
        return Err(Error::stage(format!("`{name}` is empty")));
    };
    let text = &rest[..row.length];
    let places: Vec<String> = (0..row.fields).map(|index| index.to_string()).collect();
    let frame = parse(text, &places, parse_options(dialect).with_null_values(None))
        .or_stage(|| format!("cannot read the header of `{name}`"))?;
    frame
        .columns()
        .iter()
        .enumerate()
        .map(|(index, column)| {
            let cell = column.str().or_stage(|| "header is not text")?.get(0);
            let cell = cell.unwrap_or_default().trim();
            Ok(match cell {
                "" => numbered(index + 1),
                cell => cell.to_owned(),
            })
        })
        .collect()
}

fn refuse_repeated(name: &str, names: &[String]) -> Result<()> {
    let mut seen = BTreeSet::new();
    match names.iter().find(|column| !seen.insert(column.as_str())) {
        Some(twice) => Err(Error::stage(format!(
            "`{name}` has two columns called `{twice}`"
        ))),
        None => Ok(()),
    }
}

/// Checks that every row has as many fields as there are `names`; returns the line on which each starts.
fn check_rows(name: &str, rows: &mut Rows<'_>, names: &[String]) -> Result<Vec<usize>> {
    let mut lines = Vec::new();
    for row in rows.by_ref() {
        let row = row?;
        if row.fields != names.len() {
            return Err(ragged(name, &row, names));
        }
        lines.push(row.line);
    }
    Ok(lines)
}

fn no_rows(name: &str, names: &[String]) -> Error {
    Error::stage(format!("`{name}` has no rows")).note(format!("its columns: {}", names.join(", ")))
}

fn ragged(name: &str, row: &Row, names: &[String]) -> Error {
    let fields = if row.fields == 1 { "field" } else { "fields" };
    Error::stage(format!(
        "line {} of `{name}` has {} {fields}, but there are {} columns",
        row.line,
        row.fields,
        names.len()
    ))
    .note(format!("the columns: {}", names.join(", ")))
    .help("set `separator` and `quote` to what the file uses, or correct the row")
    .naming(&["separator", "quote"])
}

fn parse_options(dialect: &Dialect) -> CsvParseOptions {
    let nulls = (!dialect.null_values.is_empty()).then(|| {
        let values = dialect.null_values.iter().map(Into::into).collect();
        NullValues::AllColumns(values)
    });
    CsvParseOptions::default()
        .with_separator(dialect.separator)
        .with_quote_char(dialect.quote)
        .with_null_values(nulls)
}

fn all_text(names: impl Iterator<Item = String>) -> SchemaRef {
    let fields = names.map(|name| Field::new(name.into(), DataType::String));
    fields.collect::<Schema>().into()
}

/// Reads rows as text columns called `names`.
fn parse(rows: &str, names: &[String], options: CsvParseOptions) -> PolarsResult<DataFrame> {
    // polars drops a byte order mark in front, and takes a text that begins with some letters for a compressed file: with
    // a mark of its own in front, it does neither.
    let marked = rows
        .starts_with(['\u{feff}', 'x'])
        .then(|| format!("\u{feff}{rows}"));
    let bytes = Cursor::new(marked.as_deref().unwrap_or(rows).as_bytes());
    let reader = CsvReadOptions::default()
        .with_has_header(false)
        .with_rechunk(true)
        .with_schema(Some(all_text(names.iter().cloned())))
        .with_parse_options(options)
        .into_reader_with_file_handle(bytes);
    guarded(|| reader.finish())
}

/// Gives each column of text its type, the narrowest one where `types` has none; says which numbers stay text.
fn with_types(
    frame: &DataFrame,
    types: &BTreeMap<String, Type>,
) -> Result<(DataFrame, Vec<String>)> {
    let mut types = types.clone();
    let mut notices = Vec::new();
    for column in frame.columns() {
        let name = column.name().as_str();
        if types.contains_key(name) {
            continue;
        }
        let mut narrowest = Narrowest::default();
        narrowest.see(column.str().or_stage(|| "a column was not read as text")?);
        types.insert(name.to_owned(), narrowest.get());
        notices.extend(narrowest.why_text().map(|why| {
            format!(
                "column `{name}` is text, because {why}; if its numbers are to be numbers, declare type = \"number\" in the \
                 data schema"
            )
        }));
    }
    Ok((typed(frame, &types)?, notices))
}

/// Gives those columns of text their type that `types` names; a column with a value that is not of its type stays text.
pub(super) fn typed(frame: &DataFrame, types: &BTreeMap<String, Type>) -> Result<DataFrame> {
    let columns = frame.columns().iter().map(|column| {
        let Some(wanted) = types.get(column.name().as_str()) else {
            return Ok(column.clone());
        };
        let text = column.str().or_stage(|| "a column was not read as text")?;
        Ok(wanted.read(text).unwrap_or_else(|| column.clone()))
    });
    DataFrame::new(frame.height(), columns.collect::<Result<_>>()?)
        .or_stage(|| "columns of unequal length")
}

#[cfg(test)]
mod tests;
