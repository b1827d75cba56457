//! A text file in pieces of whole rows.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use crate::data::csv::{Byte, LOOKED_AT, Marks, State, decode_part, utf16, without_empty_end};
use crate::error::{Context, Error, Result};

/// How much is read at a time, in bytes.
pub(super) const PIECE: usize = 1 << 18;
/// A row that is longer is a mistake, such as a quote that is never closed.
const LONGEST_ROW: usize = 64 << 20;

/// Whole rows of a text.
#[derive(Debug)]
pub(super) struct Piece {
    /// The line of the file that they begin on, counted from 1.
    pub(super) line: usize,
    /// The rows, without a byte order mark.
    pub(super) text: String,
}

/// What divides a text into rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    /// Line feeds.
    Lines,
    /// Line feeds outside of fields that begin with the quote.
    Delimited(Marks),
}

/// Reads a file piece by piece.
#[derive(Debug)]
pub(super) struct Pieces {
    name: String,
    file: File,
    /// How much is read at a time, in bytes.
    size: usize,
    utf16: Option<&'static str>,
    rows: Rows,
    state: State,
    /// What was read and not given out yet.
    rest: Vec<u8>,
    /// How much of `rest` was searched for ends of rows.
    searched: usize,
    /// Where the last row in it ends.
    end: usize,
    offset: u64,
    line: usize,
    ended: bool,
}

impl Pieces {
    /// The pieces of the file at `path`, which `name` stands for in messages. `size` bytes are read at a time.
    ///
    /// # Errors
    /// A file that cannot be opened.
    pub(super) fn open(path: &Path, name: &str, rows: Rows, size: usize) -> Result<Self> {
        let cannot = || format!("cannot read `{name}`");
        let mut file = File::open(path).or_stage(cannot)?;
        let mut start = Vec::new();
        let looked = (&file).take(LOOKED_AT as u64).read_to_end(&mut start);
        looked.and_then(|_| file.rewind()).or_stage(cannot)?;
        Ok(Self {
            name: name.to_owned(),
            file,
            size,
            utf16: utf16(&start),
            rows,
            state: State::Begin,
            rest: Vec::new(),
            searched: 0,
            end: 0,
            offset: 0,
            line: 1,
            ended: false,
        })
    }

    /// Reads on; the file has ended if nothing comes.
    fn read(&mut self) -> Result<()> {
        let limit = u64::try_from(self.size).unwrap_or(u64::MAX);
        let read = (&self.file).take(limit).read_to_end(&mut self.rest);
        self.ended = read.or_stage(|| format!("cannot read `{}`", self.name))? == 0;
        for (at, byte) in self.rest.iter().enumerate().skip(self.searched) {
            let (state, ends) = self.rows.after(self.state, *byte);
            self.state = state;
            if ends {
                self.end = at + 1;
            }
        }
        self.searched = self.rest.len();
        if self.ended {
            self.end = self.rest.len();
        }
        Ok(())
    }

    /// Where to cut: behind the last row, but before empty lines. Those count as rows only if another one follows.
    fn cut(&self) -> Option<usize> {
        if self.ended {
            return Some(self.end);
        }
        let rows = self.rest[..self.end].trim_ascii_end();
        let feed = self.rest[rows.len()..].iter().position(|b| *b == b'\n');
        let is_mark = self.offset == 0 && rows == "\u{feff}".as_bytes();
        feed.filter(|_| !rows.is_empty() && !is_mark)
            .map(|feed| rows.len() + feed + 1)
    }

    fn next_piece(&mut self) -> Result<Option<Piece>> {
        if self.ended {
            return Ok(None);
        }
        let end = loop {
            self.read()?;
            match self.cut() {
                Some(end) => break end,
                None if self.rest.len() > LONGEST_ROW => {
                    return Err(Error::stage(format!(
                        "the row on line {} of `{}` is longer than {} MiB",
                        self.line,
                        self.name,
                        LONGEST_ROW >> 20
                    ))
                    .help("close the quote that it begins with, or write the file anew"));
                }
                None => {}
            }
        };
        let place = (self.offset, self.line);
        let text = decode_part(&self.name, &self.rest[..end], place, self.utf16)?;
        let text = match self.offset {
            0 => text.strip_prefix('\u{feff}').unwrap_or(text),
            _ => text,
        };
        let piece = Piece {
            line: self.line,
            text: text.to_owned(),
        };
        self.line += piece.text.bytes().filter(|byte| *byte == b'\n').count();
        self.offset += end as u64;
        self.rest.drain(..end);
        self.searched -= end;
        self.end = self.end.saturating_sub(end);
        Ok(Some(piece).filter(|piece| !without_empty_end(&piece.text).is_empty()))
    }
}

impl Iterator for Pieces {
    type Item = Result<Piece>;

    fn next(&mut self) -> Option<Result<Piece>> {
        self.next_piece().transpose()
    }
}

impl Rows {
    /// The state behind `byte`, and whether a row ends there. What is stray is an error of whoever reads the row.
    fn after(self, state: State, byte: u8) -> (State, bool) {
        match self {
            Self::Lines => (State::Plain, byte == b'\n'),
            Self::Delimited(marks) => {
                let (state, byte) = marks.read(state, byte);
                (state, byte == Byte::Feed)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const COMMA: Rows = Rows::Delimited(Marks {
        separator: b',',
        quote: Some(b'"'),
    });

    fn pieces(bytes: &[u8], rows: Rows) -> Result<Vec<Piece>> {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(bytes).expect("written");
        Pieces::open(file.path(), "t.csv", rows, PIECE)?.collect()
    }

    #[test]
    fn a_large_file_comes_whole_and_its_rows_uncut() {
        let row = "1,\"a \"\"b\"\"\nc\",\u{e4}\r\n";
        let text = format!("\u{feff}{}", row.repeat(3 * PIECE / row.len()));
        let found = pieces(text.as_bytes(), COMMA).expect("read");
        assert!(found.len() > 2, "{}", found.len());
        let mut line = 1;
        for piece in &found {
            assert_eq!(piece.line, line);
            assert!(piece.text.starts_with("1,") && piece.text.ends_with("\u{e4}\r\n"));
            line += piece.text.matches('\n').count();
        }
        let together: String = found.into_iter().map(|piece| piece.text).collect();
        assert_eq!(together, text.trim_start_matches('\u{feff}'));
    }

    #[test]
    fn empty_lines_at_the_end_are_no_rows() {
        let text = "a\n".repeat(PIECE / 2) + &"\n".repeat(PIECE) + "\r\n\n";
        let found = pieces(text.as_bytes(), COMMA).expect("read");
        let rows: usize = found
            .iter()
            .map(|piece| piece.text.trim_end().lines().count())
            .sum();
        assert_eq!(rows, PIECE / 2);
        assert!(pieces(b"", COMMA).expect("read").is_empty());
        assert!(pieces(b"\n\r\n", COMMA).expect("read").is_empty());
    }

    #[test]
    fn bytes_that_are_no_text_are_named_with_their_place() {
        let mut bytes = "text\n".repeat(PIECE).into_bytes();
        bytes.extend(b"all\xe9\n");
        let error = pieces(&bytes, Rows::Lines).expect_err("not UTF-8");
        assert_eq!(
            error.message(),
            format!(
                "`t.csv` is not UTF-8: byte 0xe9 at offset {}, on line {}",
                5 * PIECE + 3,
                PIECE + 1
            )
        );
    }

    #[test]
    fn a_quote_that_is_never_closed_does_not_fill_the_memory() {
        let mut bytes = b"a,b\n1,\"".to_vec();
        bytes.resize(LONGEST_ROW + 2 * PIECE, b'x');
        let error = pieces(&bytes, COMMA).expect_err("too long");
        assert_eq!(
            error.message(),
            "the row on line 2 of `t.csv` is longer than 64 MiB"
        );
    }
}
