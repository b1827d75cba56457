//! Where the rows of a delimited text begin and end.
//!
//! A row ends at a line feed, or a carriage return and a line feed, and at nothing else: not at U+0085, not at
//! U+2028. A quote opens a field only as its first character, and is doubled inside (RFC 4180).

use super::marks::{Byte, Marks, State};
use crate::error::{Error, Result};

/// The line of `text` that byte `at` is on, counted from 1.
pub(in crate::data) fn line_of(text: &[u8], at: usize) -> usize {
    text[..at].split(|byte| *byte == b'\n').count()
}

/// The text without the lines at its end that hold nothing: those are no rows.
pub(in crate::data) fn without_empty_end(text: &str) -> &str {
    // The last line may lack its line feed.
    let mut end = text.strip_suffix('\r').unwrap_or(text);
    while let Some(line) = end.strip_suffix('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if !line.is_empty() && !line.ends_with('\n') {
            break;
        }
        end = line;
    }
    end
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
    marks: Marks,
    at: usize,
    line: usize,
}

impl<'t> Rows<'t> {
    pub(super) fn new(name: &'t str, text: &'t str, marks: Marks) -> Self {
        Self {
            name,
            text: without_empty_end(text),
            marks,
            at: 0,
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

    fn row(&mut self) -> Result<Row> {
        let bytes = &self.text.as_bytes()[self.at..];
        let (mut state, mut fields, mut opened) = (State::Begin, 1, 0);
        let mut length = bytes.len();
        for (at, byte) in bytes.iter().enumerate() {
            if state == State::Begin {
                opened = at;
            }
            let (behind, byte) = self.marks.read(state, *byte);
            state = behind;
            match byte {
                Byte::Inside => {}
                Byte::Separator => fields += 1,
                Byte::Feed => {
                    length = at + 1;
                    break;
                }
                Byte::Stray => return Err(self.stray()),
            }
        }
        match state {
            State::Quoted => return Err(self.open(line_of(bytes, opened) - 1)),
            State::Return => return Err(self.stray()),
            _ => {}
        }
        let row = Row {
            line: self.line,
            fields,
            length,
        };
        self.line += line_of(bytes, length) - 1;
        self.at += length;
        Ok(row)
    }

    /// The error of a quote that opens so many lines below the beginning of the row.
    fn open(&self, lines: usize) -> Error {
        Error::stage(format!(
            "the quote that opens on line {} of `{}` is never closed",
            self.line + lines,
            self.name
        ))
        .help("set `quote = \"\"` if quotes are part of the text, or close the quote")
        .naming(&["quote = \"\""])
    }

    fn stray(&self) -> Error {
        let quote = self.marks.quote.map(char::from).unwrap_or_default();
        Error::stage(format!(
            "line {} of `{}` has a quote {quote} inside a field",
            self.line, self.name
        ))
        .help("set `quote = \"\"` if quotes are part of the text, or double it and quote the field")
        .naming(&["quote = \"\""])
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

    const COMMA: Marks = Marks {
        separator: b',',
        quote: Some(b'"'),
    };

    fn rows(text: &str) -> Result<Vec<(usize, usize)>> {
        Rows::new("t.csv", text, COMMA)
            .map(|row| row.map(|row| (row.line, row.fields)))
            .collect()
    }

    #[test]
    fn rows_know_their_lines_and_fields() {
        let text = "a,b\n1,\"x\ny\"\r\n\"\"\"q\"\"\",\n,\n\n";
        assert_eq!(rows(text).expect("rows"), [(1, 2), (2, 2), (4, 2), (5, 2)]);
    }

    #[test]
    fn empty_lines_at_the_end_are_no_rows() {
        for (text, rest) in [
            ("", ""),
            ("\r", ""),
            ("\n\r\n\n\r", ""),
            ("a", "a"),
            ("a\n", "a\n"),
            ("a\r\n\n\r\n", "a\r\n"),
            ("a\r", "a"),
            // Of several carriage returns one belongs to the end of the line.
            ("a\r\r\n\r", "a\r\r\n"),
            ("a\n\r\r\n", "a\n\r\r\n"),
        ] {
            assert_eq!(without_empty_end(text), rest, "{text:?}");
        }
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
        let marks = Marks {
            separator: b'\t',
            quote: None,
        };
        let mut rows = Rows::new("t.tsv", "say \"hi\"\t1\n\"\t2", marks);
        assert!(rows.all(|row| row.is_ok_and(|row| row.fields == 2)));
    }
}
