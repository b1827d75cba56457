//! From what sqlparser and polars say about a query to ranges of its bytes.

use std::ops::Range;

use sqlparser::tokenizer::{Location, Span};

/// A name in a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identifier {
    pub(super) name: String,
    pub(super) range: Range<usize>,
}

/// The bytes that `span` covers.
pub(super) fn bytes_of(text: &str, span: Span) -> Range<usize> {
    let start = offset(text, span.start);
    start..offset(text, span.end).max(start)
}

/// The byte at a line and column, both counted from 1; columns count characters.
fn offset(text: &str, location: Location) -> usize {
    let line = usize::try_from(location.line).unwrap_or(1).max(1);
    let column = usize::try_from(location.column).unwrap_or(1).max(1);
    let start: usize = text
        .split_inclusive('\n')
        .take(line - 1)
        .map(str::len)
        .sum();
    let rest = &text[start..];
    let within = rest.char_indices().nth(column - 1);
    start + within.map_or(rest.len(), |(offset, _)| offset)
}

/// Splits sqlparser's message `… at Line: 1, Column: 8` into the reason and the word at that place; the end of the text
/// if it names none, because then the text ended too soon.
pub(super) fn bytes_at<'m>(text: &str, message: &'m str) -> (&'m str, Range<usize>) {
    let Some((reason, place)) = message.rsplit_once(" at Line: ") else {
        let end = text.trim_end().len();
        return (message, last_word(&text[..end])..end);
    };
    let mut numbers = place
        .split(", Column: ")
        .map(|number| number.trim().parse().ok());
    let (Some(Some(line)), Some(Some(column))) = (numbers.next(), numbers.next()) else {
        return (message, 0..text.len());
    };
    let start = offset(text, Location::new(line, column));
    (
        reason.trim_end_matches(','),
        start..start + word(&text[start..]),
    )
}

/// How many bytes the word at the start of `text` has; another character is a word of its own.
fn word(text: &str) -> usize {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    match text.find(|c| !is_word(c)) {
        Some(0) => text.chars().next().map_or(0, char::len_utf8),
        Some(end) => end,
        None => text.len(),
    }
}

/// Where the last word of `text` begins.
fn last_word(text: &str) -> usize {
    text.rfind(char::is_whitespace).map_or(0, |before| {
        before + text[before..].chars().next().map_or(0, char::len_utf8)
    })
}

/// polars' message without the kind of error in front and the query plan that may follow it.
pub(super) fn first_paragraph(message: &str) -> String {
    let end = message.find("\n\n").unwrap_or(message.len());
    let message = message[..end].trim();
    message
        .strip_prefix("not found: ")
        .unwrap_or(message)
        .to_owned()
}

/// The words that stand in quotes of any kind in `message`.
pub(super) fn quoted(message: &str) -> impl Iterator<Item = &str> {
    message.split(['"', '\'', '`']).skip(1).step_by(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let text = "SELECT 'é',\n  ab";
        let span = Span::new(Location::new(2, 3), Location::new(2, 5));
        assert_eq!(&text[bytes_of(text, span)], "ab");
        let (reason, range) = bytes_at(text, "found: , at Line: 1, Column: 11");
        assert_eq!((reason, &text[range]), ("found: ", ","));
    }

    #[test]
    fn without_a_place_it_is_the_end() {
        let (reason, range) = bytes_at("SELECT a FROM \n", "found: EOF");
        assert_eq!((reason, range), ("found: EOF", 9..13));
    }

    #[test]
    fn quoted_words_are_found() {
        let words: Vec<_> =
            quoted("unable to find column \"a b\"; valid columns: [\"c\"]").collect();
        assert_eq!(words, ["a b", "c"]);
    }
}
