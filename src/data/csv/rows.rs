//! Where the rows of a delimited text begin and end.
//!
//! A row ends at a line feed, or a carriage return and a line feed, and at nothing else: not at U+0085, not at
//! U+2028. A quote opens a field only as its first character, and is doubled inside (RFC 4180).

use crate::error::{Error, Result};

/// The line of `text` that byte `at` is on, counted from 1.
pub(in crate::data) fn line_of(text: &[u8], at: usize) -> usize {
    text[..at].split(|byte| *byte == b'\n').count()
}

/// One row of the text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// The line on which it starts, counted from 1.
    pub(super) line: usize,
    pub(super) fields: usize,
    /// In bytes, with its line feed.
    pub(super) length: usize,
}

/// Walks the rows of a text without reading their values.
#[derive(Clone)]
pub(super) struct Rows<'t> {
    name: &'t str,
    text: &'t str,
    separator: u8,
    quote: Option<u8>,
    at: usize,
    /// Where the row that is walked begins.
    row: usize,
    line: usize,
}

impl<'t> Rows<'t> {
    pub(super) fn new(name: &'t str, text: &'t str, separator: u8, quote: Option<u8>) -> Self {
        // Lines without anything at the end of a file are no rows.
        let text = text.trim_end_matches(['\r', '\n']);
        Self {
            name,
            text,
            separator,
            quote,
            at: 0,
            row: 0,
            line: 1,
        }
    }

    /// The same rows as a part of a larger text, in which they begin on line `line`.
    pub(super) fn beginning_on(self, line: usize) -> Self {
        Self { line, ..self }
    }

    /// The text from the next row on.
    pub(super) fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// Where the field that starts at `start` ends.
    fn end_of_field(&self, start: usize) -> Result<usize> {
        match self.quote {
            Some(quote) if self.byte(start) == Some(quote) => self.end_of_quoted(start, quote),
            quote => {
                let bytes = &self.text.as_bytes()[start..];
                let ends = |byte: u8| byte == self.separator || byte == b'\n';
                let length = bytes
                    .iter()
                    .position(|byte| ends(*byte))
                    .unwrap_or(bytes.len());
                match quote.filter(|quote| bytes[..length].contains(quote)) {
                    Some(quote) => Err(self.stray(char::from(quote))),
                    None => Ok(start + length),
                }
            }
        }
    }

    fn end_of_quoted(&self, start: usize, quote: u8) -> Result<usize> {
        let mut at = start + 1;
        loop {
            let Some(length) = self.text.as_bytes()[at..]
                .iter()
                .position(|byte| *byte == quote)
            else {
                return Err(Error::stage(format!(
                    "the quote that opens on line {} of `{}` is never closed",
                    self.line + line_of(&self.text.as_bytes()[self.row..start], start - self.row)
                        - 1,
                    self.name
                ))
                .help("set `quote = \"\"` if quotes are part of the text, or close the quote")
                .naming(&["quote = \"\""]));
            };
            at += length + 1;
            match (self.byte(at), self.byte(at + 1)) {
                (Some(byte), _) if byte == quote => at += 1,
                (Some(b'\r'), Some(b'\n')) => return Ok(at + 1),
                (None | Some(b'\n'), _) => return Ok(at),
                (Some(byte), _) if byte == self.separator => return Ok(at),
                _ => return Err(self.stray(char::from(quote))),
            }
        }
    }

    fn stray(&self, quote: char) -> Error {
        Error::stage(format!(
            "line {} of `{}` has a quote {quote} inside a field",
            self.line, self.name
        ))
        .help("set `quote = \"\"` if quotes are part of the text, or double it and quote the field")
        .naming(&["quote = \"\""])
    }

    fn row(&mut self) -> Result<Row> {
        let start = self.at;
        self.row = start;
        let mut fields = 0;
        let end = loop {
            let end = self.end_of_field(self.at)?;
            fields += 1;
            match self.byte(end) {
                Some(b'\n') => break end + 1,
                Some(_) => self.at = end + 1,
                None => break end,
            }
        };
        let row = Row {
            line: self.line,
            fields,
            length: end - start,
        };
        self.line += line_of(&self.text.as_bytes()[start..end], end - start) - 1;
        self.at = end;
        Ok(row)
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Result<Row>> {
        (self.at < self.text.len()).then(|| self.row())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Result<Vec<(usize, usize)>> {
        Rows::new("t.csv", text, b',', Some(b'"'))
            .map(|row| row.map(|row| (row.line, row.fields)))
            .collect()
    }

    #[test]
    fn rows_know_their_lines_and_fields() {
        let text = "a,b\n1,\"x\ny\"\r\n\"\"\"q\"\"\",\n,\n\n";
        assert_eq!(rows(text).expect("rows"), [(1, 2), (2, 2), (4, 2), (5, 2)]);
    }

    #[test]
    fn rows_end_at_line_feeds_only() {
        assert_eq!(
            rows("a\u{85}b\rc\u{2028}d\ne").expect("rows"),
            [(1, 1), (2, 1)]
        );
    }

    #[test]
    fn quotes_out_of_place_are_refused() {
        let message = |text: &str| rows(text).expect_err("refused").message().to_owned();
        assert_eq!(
            message("a\nb\"c\n"),
            "line 2 of `t.csv` has a quote \" inside a field"
        );
        assert_eq!(
            message("a\n\"b\"c\n"),
            "line 2 of `t.csv` has a quote \" inside a field"
        );
        assert_eq!(
            message("a,b\n1,\"x\ny\n"),
            "the quote that opens on line 2 of `t.csv` is never closed"
        );
    }

    #[test]
    fn quotes_can_be_characters_like_any_other() {
        let mut rows = Rows::new("t.tsv", "say \"hi\"\t1\n\"\t2", b'\t', None);
        assert!(rows.all(|row| row.is_ok_and(|row| row.fields == 2)));
    }
}
