//! Tags of words: lists of them as they are, or made of the spans of texts that are cut into words.

use std::collections::BTreeSet;

use super::scheme::{Scheme, Tag};
use super::settings::{Invalid, parsed};
use crate::data::spans::{self, Span};
use crate::data::words::{self, Cut};
use crate::data::{Table, text};
use crate::error::{Error, Result};

/// The tags in a table.
#[derive(Debug, Default)]
pub(super) struct Tagged {
    /// The tags of each text's words.
    pub(super) tags: Vec<Vec<String>>,
    /// If they are made of spans, what these are.
    pub(super) kinds: Option<BTreeSet<String>>,
    /// What the user is to be told.
    pub(super) told: Vec<String>,
}

/// How tags are made of spans.
#[derive(Clone, Copy, Debug)]
pub(super) struct How<'h> {
    /// The scheme of the tags.
    pub(super) scheme: Scheme,
    /// What becomes of spans that begin or end within a word.
    pub(super) invalid: Invalid,
    /// The only tags that there are; none if there may be any.
    pub(super) labels: Option<&'h [String]>,
}

/// The tags in column `column` of `table`, whose texts or lists of words are in column `text_column`.
///
/// # Errors
/// Columns that are not there or do not belong together, and those of [`spans::read`]; spans over no word, of a kind that there is none
/// of, or, if they are invalid, over parts of words.
pub(super) fn read(
    table: &Table,
    text_column: Option<&str>,
    column: &str,
    how: How<'_>,
) -> Result<Tagged> {
    let is_text = |name: Option<&str>| name.map_or(Ok(false), |name| text::is_text(table, name));
    if !spans::are_spans(table, column)? {
        let tags = words::lists(table, column, 0)?;
        if is_text(text_column)? {
            let text_column = text_column.unwrap_or_default();
            return Err(Error::stage(format!(
                "column `{text_column}` holds texts, and column `{column}` lists of tags, which are for lists of words"
            ))
            .help("name the column with the words, `text_column`, or one with spans of the texts, `target_column`"));
        }
        return Ok(Tagged {
            tags,
            ..Tagged::default()
        });
    }
    let text_column = text_column.ok_or_else(|| crate::tasks::unknown_column("text_column"))?;
    let texts = words::texts(table, text_column, 0)?.cut.ok_or_else(|| {
        Error::stage(format!(
            "column `{text_column}` holds lists of words, and column `{column}` spans, which are parts of texts"
        ))
        .help("name the column with the texts, `text_column`, or one with a tag for each word, `target_column`")
    })?;
    of_spans(&spans::read(table, column, &texts, 0)?, &texts, column, how)
}

/// The tags of the words of `texts` in which there are these spans.
fn of_spans(spans: &[Vec<Span>], texts: &[Cut], column: &str, how: How<'_>) -> Result<Tagged> {
    let known = how.labels.map(kinds_of);
    let (mut kinds, mut tags) = (BTreeSet::new(), Vec::with_capacity(texts.len()));
    let (mut halves, mut first) = (0, None);
    for (row, (spans, text)) in spans.iter().zip(texts).enumerate() {
        let mut of_words = vec!["O".to_owned(); text.places.len()];
        let mut taken = 0;
        for span in spans {
            let (start, end) = (span.characters.start, span.characters.end);
            let place = format!(
                "the span from {start} to {end} in row {} of column `{column}`, `{}`,",
                row + 1,
                text.at(start..end)
            );
            if let Some(known) = known.as_ref().filter(|known| !known.contains(&*span.label)) {
                let label = &span.label;
                return Err(Error::stage(format!(
                    "{place} has the label `{label}`, of which there is no tag in `labels`"
                ))
                .note(format!(
                    "`labels`: {}",
                    how.labels.unwrap_or_default().join(", ")
                ))
                .did_you_mean(label, known.iter().copied()));
            }
            let begins = text.places.partition_point(|word| word.end <= start);
            let ends = text.places.partition_point(|word| word.start < end);
            let from = begins.max(taken);
            if from >= ends {
                let why = if begins < ends {
                    "has no word of its own: the span before it has a part of the same word"
                } else {
                    "is over no word"
                };
                return Err(Error::stage(format!("{place} {why}"))
                    .help("mend or remove it: a word is a punctuation mark, or a run of other characters without white space"));
            }
            if text.places[begins].start < start || text.places[ends - 1].end > end {
                halves += 1;
                first.get_or_insert(place);
            }
            let follows = from > 0
                && Tag::parse(&of_words[from - 1]).is_some_and(|tag| tag.kind == span.label);
            let made = how.scheme.tags(&span.label, ends - from, follows);
            for (word, tag) in of_words[from..ends].iter_mut().zip(made) {
                *word = tag;
            }
            taken = ends;
            kinds.insert(span.label.clone());
        }
        tags.push(of_words);
    }
    let mut told = Vec::new();
    if let Some(first) = first {
        let what = format!(
            "{halves} spans of column `{column}` begin or end within a word, the first of them {first}"
        );
        if how.invalid == Invalid::Error {
            return Err(Error::stage(what.trim_end_matches(','))
                .help("mend them, or let them have the whole words: invalid_tags = \"keep\""));
        }
        told.push(format!(
            "{what} and have the whole words; `invalid_tags = \"error\"` would refuse them"
        ));
    }
    Ok(Tagged {
        tags,
        kinds: Some(kinds),
        told,
    })
}

/// What entities with these tags are.
fn kinds_of(labels: &[String]) -> BTreeSet<&str> {
    let tags = parsed(labels).into_iter();
    tags.map(|tag| tag.kind)
        .filter(|kind| !kind.is_empty())
        .collect()
}
