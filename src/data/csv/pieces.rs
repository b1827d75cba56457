//! Delimited text in pieces: each a number of whole rows, all of their fields as text.

use polars::prelude::DataFrame;

use super::rows::{Rows, line_of};
use super::{Dialect, check_rows, names, no_rows, parse, parse_options};
use crate::error::{Context, Error, Result};

/// Reads the pieces of one file.
#[derive(Debug)]
pub(in crate::data) struct Pieces {
    name: String,
    dialect: Dialect,
    names: Vec<String>,
}

impl Pieces {
    /// Takes the names of the columns off `text`, with which the file `name` begins; returns how many bytes and lines
    /// they take there.
    ///
    /// # Errors
    /// An empty file, column names that repeat, a quote out of place.
    pub(in crate::data) fn begin(
        name: &str,
        text: &str,
        dialect: Dialect,
    ) -> Result<(Self, usize, usize)> {
        let mut rows = Rows::new(name, text, dialect.marks());
        let all = rows.rest().len();
        let names = names(name, &mut rows, &dialect)?;
        let bytes = all - rows.rest().len();
        let lines = line_of(text.as_bytes(), bytes) - 1;
        let pieces = Self {
            name: name.to_owned(),
            dialect,
            names,
        };
        Ok((pieces, bytes, lines))
    }

    /// The rows of `text`, which begins on `line` of the file; null where a field is empty.
    ///
    /// # Errors
    /// Rows of unequal length, stray and unclosed quotes.
    pub(in crate::data) fn read(&self, text: &str, line: usize) -> Result<DataFrame> {
        let mut rows = Rows::new(&self.name, text, self.dialect.marks()).beginning_on(line);
        let body = rows.rest();
        let counted = check_rows(&self.name, &mut rows, &self.names)?.len();
        if counted == 0 {
            return Err(no_rows(&self.name, &self.names));
        }
        let frame = parse(body, &self.names, parse_options(&self.dialect))
            .or_stage(|| format!("cannot read `{}`", self.name))?;
        let read = frame.height();
        if read == counted {
            return Ok(frame);
        }
        Err(Error::stage(format!(
            "`{}` has {counted} rows from line {line} on, but {read} were read",
            self.name
        ))
        .help("this is a defect of refire: please report it with the file"))
    }
}
