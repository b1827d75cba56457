//! The text of a query, and where each byte of it stands in the file that holds it.

use std::ops::Range;
use std::sync::Arc;

use crate::config::{self, Spanned};
use crate::error::{Error, Result, Source, Span};
use crate::stages::LocalFile;

/// The text of a query.
#[derive(Clone, Debug)]
pub(super) struct QueryText {
    text: String,
    /// The file that it stands in; the query alone if its bytes cannot be found in the file.
    source: Arc<Source>,
    /// For each byte of the text, and for its end, the byte of `source` that it comes from.
    offsets: Vec<usize>,
    /// Where the pipeline names it, if `source` is not the pipeline.
    named: Option<Span>,
}

impl QueryText {
    /// A query that is written in the pipeline; `place` is where it stands if the setting does not know.
    pub(super) fn inline(setting: &Spanned<String>, place: &Span) -> Self {
        let text = setting.value.clone();
        let span = setting.span.as_ref().unwrap_or(place);
        let written = &span.source.text[span.range.clone()];
        match toml_string(written) {
            Some((decoded, offsets)) if decoded == text => Self {
                text,
                source: Arc::clone(&span.source),
                offsets: offsets
                    .into_iter()
                    .map(|at| span.range.start + at)
                    .collect(),
                named: None,
            },
            // It holds params: the place is one in what they made of it.
            _ => Self::whole(Arc::new(Source::new("sql", text)), span),
        }
    }

    /// The query in `file`.
    ///
    /// # Errors
    /// A file that cannot be read or is not UTF-8, at the setting.
    pub(super) fn file(file: &LocalFile) -> Result<Self> {
        let source = config::read(&file.path).map_err(|error| error.or_at(&file.span, ""))?;
        Ok(Self::whole(source, &file.span))
    }

    fn whole(source: Arc<Source>, named: &Span) -> Self {
        Self {
            text: source.text.clone(),
            offsets: (0..=source.text.len()).collect(),
            source,
            named: Some(named.clone()),
        }
    }

    /// The query.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Where a range of bytes of the query stands.
    pub(super) fn span(&self, range: Range<usize>) -> Span {
        let last = self.offsets.len() - 1;
        let place = |at: usize| self.offsets[at.min(last)];
        Span::new(&self.source, place(range.start)..place(range.end))
    }

    /// Adds to an error in the query where the pipeline names it.
    pub(super) fn explain(&self, error: Error) -> Error {
        match &self.named {
            Some(span) => error.at(span, "the query"),
            None => error,
        }
    }
}

/// Reads a TOML string with its quotes: its value, and for each byte of it, and for its end, where it comes from. None
/// if it is no string.
fn toml_string(written: &str) -> Option<(String, Vec<usize>)> {
    let delimiters = [("\"\"\"", true), ("'''", false), ("\"", true), ("'", false)];
    let (quotes, escaped) = delimiters.into_iter().find(|(quotes, _)| {
        written.len() >= 2 * quotes.len()
            && written.starts_with(quotes)
            && written.ends_with(quotes)
    })?;
    let end = written.len() - quotes.len();
    let mut at = quotes.len();
    if quotes.len() == 3 {
        let first_line = ["\n", "\r\n"]
            .into_iter()
            .find(|feed| written[at..end].starts_with(feed));
        at += first_line.map_or(0, str::len);
    }
    let (mut text, mut offsets) = (String::new(), Vec::new());
    while at < end {
        let rest = &written[at..end];
        let (character, length) = match rest.chars().next()? {
            '\\' if escaped => unescape(&rest[1..])?,
            character => (Some(character), character.len_utf8()),
        };
        if let Some(character) = character {
            text.push(character);
            offsets.resize(text.len(), at);
        }
        at += length;
    }
    offsets.push(end);
    Some((text, offsets))
}

/// The character that the escape in front of `rest`, which follows the backslash, stands for, none if it only joins
/// lines; and the length of the escape with its backslash.
fn unescape(rest: &str) -> Option<(Option<char>, usize)> {
    let code = |digits: usize| {
        let code = u32::from_str_radix(rest.get(1..=digits)?, 16).ok()?;
        Some((Some(char::from_u32(code)?), digits + 2))
    };
    let plain = |character| Some((Some(character), 2));
    match rest.chars().next()? {
        'b' => plain('\u{8}'),
        't' => plain('\t'),
        'n' => plain('\n'),
        'f' => plain('\u{c}'),
        'r' => plain('\r'),
        'e' => plain('\u{1b}'),
        '"' => plain('"'),
        '\\' => plain('\\'),
        'x' => code(2),
        'u' => code(4),
        'U' => code(8),
        white if white.is_ascii_whitespace() => {
            let skipped = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
            Some((None, skipped + 1))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What toml makes of a string, and for each character of it what it comes from.
    fn check(written: &str) {
        let parsed: toml::Table = toml::from_str(&format!("x = {written}")).expect(written);
        let (text, offsets) = toml_string(written).expect(written);
        assert_eq!(Some(text.as_str()), parsed["x"].as_str());
        assert_eq!(offsets.len(), text.len() + 1);
        for (at, character) in text.char_indices() {
            let from = &written[offsets[at]..];
            assert!(
                from.starts_with(character) || from.starts_with('\\'),
                "{written} {at}"
            );
        }
    }

    #[test]
    fn strings_are_read_as_toml_reads_them() {
        for written in [
            "\"SELECT a\"",
            "'SELECT \\a'",
            "'''\nSELECT 'a'\n  FROM b'''",
            "\"\"\"\nSELECT \\\"a\\\" \\\n    FROM é\\u00e9\\n\\tb\"\"\"",
            "\"\"",
            "''''quoted''''",
        ] {
            check(written);
        }
    }
}
