//! Tables that are read and written piece by piece, so that memory does not grow with them.

mod pieces;
mod sink;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use polars::prelude::{ParquetReader, PlSmallStr, SchemaRef, SerReader};

pub use self::sink::Sink;

use self::pieces::{PIECE, Piece, Pieces, Rows};
use super::csv::{self, Dialect};
use super::guard::guarded;
use super::ndjson;
use super::types::{Narrowest, Type};
use super::{Format, Table};
use crate::error::{Context, Error, Result};

/// The most rows of a Parquet file that are read at a time.
const ROWS: usize = 1 << 12;

/// A file whose rows have been looked at once: they can be read, and their columns and types are known.
#[derive(Debug)]
pub struct Scan {
    name: String,
    path: PathBuf,
    /// How many bytes of a text are read at a time.
    piece: usize,
    columns: Vec<String>,
    rows: usize,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// The types of columns that are not text.
    Delimited(Dialect, BTreeMap<String, Type>),
    /// The columns, and those whose values are kept as they are written: numbers that a float would change, and nested values.
    Ndjson(SchemaRef, ndjson::AsText),
    /// First row and number of rows of each part that is read at a time.
    Parquet(Vec<(usize, usize)>),
}

impl Scan {
    /// Looks at all rows of the file at `path`; delimited ones are written as most are.
    ///
    /// # Errors
    /// A file that cannot be read, rows that are not as the format has them, no rows.
    pub fn open(path: &Path, format: Format) -> Result<Self> {
        match (Dialect::of(format), format) {
            (Some(dialect), _) => Self::delimited(path, dialect),
            (None, Format::Ndjson) => Self::ndjson_in(path, PIECE),
            (None, _) => Self::parquet(path, name_of(path)),
        }
    }

    /// Looks at all rows of the delimited file at `path`.
    ///
    /// # Errors
    /// As [`Scan::open`].
    pub fn delimited(path: &Path, dialect: Dialect) -> Result<Self> {
        Self::delimited_in(path, dialect, PIECE)
    }

    /// The same, reading so many bytes at a time, for tests: where a file is cut must not matter.
    #[doc(hidden)]
    pub fn delimited_in(path: &Path, dialect: Dialect, piece: usize) -> Result<Self> {
        let name = name_of(path);
        let mut narrowest: BTreeMap<String, Narrowest> = BTreeMap::new();
        let (mut columns, mut rows) = (Vec::new(), 0);
        for table in Delimited::open(path, &name, &dialect, piece)? {
            let table = table?;
            for column in table.frame.columns() {
                let text = column.str().or_stage(|| "a column was not read as text")?;
                let narrowest = narrowest.entry(column.name().to_string()).or_default();
                narrowest.see(text);
            }
            columns = table.columns().into_iter().map(str::to_owned).collect();
            rows += table.rows();
        }
        let types = narrowest.into_iter();
        let types = types.map(|(name, narrowest)| (name, narrowest.get()));
        let types = types.filter(|(_, narrowest)| *narrowest != Type::String);
        let form = Form::Delimited(dialect, types.collect());
        Self::of(path, name, columns, rows, form).map(|scan| Self { piece, ..scan })
    }

    /// Looks at all rows of a file of JSON objects, reading so many bytes at a time.
    #[doc(hidden)]
    pub fn ndjson_in(path: &Path, piece: usize) -> Result<Self> {
        let name = name_of(path);
        let mut columns = ndjson::Columns::default();
        let mut rows = 0;
        for read in Pieces::open(path, &name, Rows::Lines, piece)? {
            let Piece { line, text } = read?;
            rows += columns.add_lines(&name, &text, line)?.len();
        }
        if rows > 0 {
            columns.refuse_none(&name)?;
        }
        let schema = SchemaRef::from(columns.schema());
        let names = schema.iter_names().map(PlSmallStr::to_string).collect();
        Self::of(
            path,
            name,
            names,
            rows,
            Form::Ndjson(schema, columns.quoted()),
        )
        .map(|scan| Self { piece, ..scan })
    }

    fn parquet(path: &Path, name: String) -> Result<Self> {
        let cannot = || format!("cannot read `{name}` as Parquet");
        let mut reader = ParquetReader::new(File::open(path).or_stage(cannot)?);
        let schema = guarded(|| reader.schema()).or_stage(cannot)?;
        let columns = schema.iter_names().map(PlSmallStr::to_string).collect();
        let (mut parts, mut rows) = (Vec::new(), 0);
        for group in &reader.get_metadata().or_stage(cannot)?.row_groups {
            let group = rows..rows + group.num_rows();
            rows = group.end;
            parts.extend(group.step_by(ROWS).map(|first| (first, ROWS)));
            if let Some((first, count)) = parts.last_mut() {
                *count = rows - *first;
            }
        }
        Self::of(path, name, columns, rows, Form::Parquet(parts))
    }

    fn of(
        path: &Path,
        name: String,
        columns: Vec<String>,
        rows: usize,
        form: Form,
    ) -> Result<Self> {
        if rows == 0 {
            return Err(Error::stage(format!("`{name}` has no rows")));
        }
        Ok(Self {
            name,
            path: path.into(),
            piece: PIECE,
            columns,
            rows,
            form,
        })
    }

    /// The names of the columns, in order.
    #[must_use]
    pub fn columns(&self) -> Vec<&str> {
        self.columns.iter().map(String::as_str).collect()
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The error for a column that the file does not have.
    #[must_use]
    pub fn no_column(&self, name: &str) -> Error {
        Error::stage(format!("`{}` has no column `{name}`", self.name))
            .note(format!("its columns: {}", self.columns.join(", ")))
            .did_you_mean(name, self.columns())
    }

    /// Keeps the columns of a delimited file that `which` names as they are written, whatever type their values have.
    #[must_use]
    pub fn with_text(mut self, which: impl Fn(&str) -> bool) -> Self {
        if let Form::Delimited(_, types) = &mut self.form {
            types.retain(|name, _| !which(name));
        }
        self
    }

    /// Whether fields are written between separators, so that all are text.
    #[must_use]
    pub fn is_delimited(&self) -> bool {
        matches!(self.form, Form::Delimited(..))
    }

    /// Reads the rows, some thousands at a time.
    ///
    /// # Errors
    /// Those of the disk; so each of the tables.
    pub fn tables(&self) -> Result<Box<dyn Iterator<Item = Result<Table>> + '_>> {
        match &self.form {
            Form::Delimited(dialect, types) => {
                let tables = Delimited::open(&self.path, &self.name, dialect, self.piece)?;
                Ok(Box::new(tables.map(|table| {
                    Ok(Table::new(csv::typed(&table?.frame, types)?))
                })))
            }
            Form::Ndjson(schema, as_text) => {
                let pieces = Pieces::open(&self.path, &self.name, Rows::Lines, self.piece)?;
                Ok(Box::new(pieces.map(move |piece| {
                    ndjson::parse(&piece?.text, SchemaRef::clone(schema), as_text)
                        .map(Table::new)
                        .or_stage(|| format!("cannot read `{}`", self.name))
                })))
            }
            Form::Parquet(parts) => Ok(Box::new(parts.iter().map(|part| self.part(*part)))),
        }
    }

    /// Some rows of a Parquet file.
    fn part(&self, part: (usize, usize)) -> Result<Table> {
        let cannot = || format!("cannot read `{}` as Parquet", self.name);
        let reader = ParquetReader::new(File::open(&self.path).or_stage(cannot)?);
        let reader = reader.with_slice(Some(part)).set_rechunk(true);
        guarded(|| reader.finish())
            .and_then(|frame| Table::of_parquet(&frame))
            .or_stage(cannot)
    }
}

/// What the file at `path` is called in messages.
fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// The rows of a delimited file, all of them text.
struct Delimited<'a> {
    name: &'a str,
    dialect: &'a Dialect,
    pieces: Pieces,
    begun: Option<csv::Pieces>,
}

impl<'a> Delimited<'a> {
    fn open(path: &Path, name: &'a str, dialect: &'a Dialect, piece: usize) -> Result<Self> {
        let rows = Rows::Delimited(dialect.marks());
        Ok(Self {
            name,
            dialect,
            pieces: Pieces::open(path, name, rows, piece)?,
            begun: None,
        })
    }

    /// The table of a piece; none if it holds the header alone.
    fn table(&mut self, piece: &Piece) -> Result<Option<Table>> {
        let (mut text, mut line) = (piece.text.as_str(), piece.line);
        if self.begun.is_none() {
            let (begun, bytes, lines) = csv::Pieces::begin(self.name, text, self.dialect.clone())?;
            self.begun = Some(begun);
            text = &text[bytes..];
            line += lines;
        }
        match &self.begun {
            Some(begun) if !csv::without_empty_end(text).is_empty() => {
                begun.read(text, line).map(Table::new).map(Some)
            }
            _ => Ok(None),
        }
    }
}

impl Iterator for Delimited<'_> {
    type Item = Result<Table>;

    fn next(&mut self) -> Option<Result<Table>> {
        loop {
            let piece = match self.pieces.next()? {
                Ok(piece) => piece,
                Err(error) => return Some(Err(error)),
            };
            if let Some(table) = self.table(&piece).transpose() {
                return Some(table);
            }
        }
    }
}
