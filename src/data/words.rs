//! Columns of lists of words, or of texts that are cut into words, and lists of what was found in them.

use std::ops::Range;
use std::sync::LazyLock;

use polars::prelude::{
    Column, DataType, IntoColumn, IntoSeries as _, NamedFrom as _, PlSmallStr, Series,
    StructChunked,
};

use regex::Regex;
use serde::Serialize;

use super::table::Table;
use super::text;
use super::types::type_name;
use crate::error::{Context, Error, Result};

/// Some words that follow each other and what they are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entity {
    /// What they are.
    pub label: String,
    /// The first of them, counted from 0; where texts were cut into words, the first character.
    pub start: u32,
    /// The one behind the last of them.
    pub end: u32,
    /// The words, with spaces between; what stands in the text, where that was cut into words.
    pub text: String,
    /// How likely it is, from 0 to 1.
    pub score: f32,
}

/// The column of lists of words, unless another one is named.
pub const COLUMN: &str = "words";

/// Texts as words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    /// The words of each.
    pub words: Vec<Vec<String>>,
    /// The texts that they were cut from; none where they came as lists.
    pub cut: Option<Vec<Cut>>,
}

/// A text that is cut into words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The text.
    pub text: String,
    /// From which of its characters up to which each word goes; these are Unicode scalar values, counted from 0.
    pub places: Vec<Range<usize>>,
}

/// A run of characters that are a word: what BERT's tokenizers cut a text into before they look into their vocabulary
/// (`BertPreTokenizer` of the tokenizers crate, with the ideographs that `BertNormalizer` sets apart), so that the words of a text have
/// the tokens of the text.
static WORD: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[\p{P}$+<=>^`|~\p{Han}]|[^\s\p{P}$+<=>^`|~\p{Han}]+").expect("a pattern")
});

impl Cut {
    /// Cuts `text` into words: a word is a punctuation mark or an ideograph, or a run of other characters without white space.
    #[must_use]
    pub fn new(text: String) -> Self {
        let (mut places, mut start, mut seen) = (Vec::new(), 0, 0);
        for word in WORD.find_iter(&text) {
            start += text[seen..word.start()].chars().count();
            let end = start + word.as_str().chars().count();
            places.push(start..end);
            (start, seen) = (end, word.end());
        }
        Self { text, places }
    }

    /// What stands at these characters.
    #[must_use]
    pub fn at(&self, characters: Range<usize>) -> String {
        let rest = self.text.chars().skip(characters.start);
        rest.take(characters.len()).collect()
    }

    /// The words.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let words = WORD.find_iter(&self.text);
        words.map(|word| word.as_str().to_owned()).collect()
    }
}

/// The texts in column `name` as words: lists of them as they are, texts cut; `first` is the number of the first row, counted from 0.
///
/// # Errors
/// No such column, one that holds neither texts nor lists of text, a row without one, a list with a gap.
pub fn texts(table: &Table, name: &str, first: usize) -> Result<Texts> {
    if !text::is_text(table, name)? {
        let words = lists(table, name, first)?;
        return Ok(Texts { words, cut: None });
    }
    let mut cut = Vec::with_capacity(table.rows());
    for (row, text) in table.as_text(name)?.into_iter().enumerate() {
        let text = text.ok_or_else(|| {
            let row = first + row + 1;
            Error::stage(format!("row {row} has no value in column `{name}`"))
                .help("fill it, or leave such rows out")
        })?;
        cut.push(Cut::new(text));
    }
    Ok(Texts {
        words: cut.iter().map(Cut::words).collect(),
        cut: Some(cut),
    })
}

/// The lists of text in column `name`, one a row; `first` is the number of the first row, counted from 0.
///
/// # Errors
/// No such column, one that holds no lists, a row without a list, a list with a gap or with values that are no text.
pub fn lists(table: &Table, name: &str, first: usize) -> Result<Vec<Vec<String>>> {
    let column = table.column(name)?;
    let found = type_name(column.dtype());
    let DataType::List(inner) = column.dtype() else {
        return Err(Error::stage(format!(
            "column `{name}` holds {found} values, neither texts nor lists of words"
        ))
        .help("lists come from CoNLL, NDJSON and Parquet files; name such a column"));
    };
    if !inner.is_string() && !inner.is_null() {
        return Err(Error::stage(format!(
            "column `{name}` holds lists of {} values, not of words",
            type_name(inner)
        )));
    }
    of_column(column, name, "words", first)
}

/// What stands in the lists of column `name`, as text and with nothing where a row has no list, and whether it is text; none if the column
/// holds no lists of texts or numbers, or a list has a gap.
#[must_use]
pub fn as_lists(table: &Table, name: &str) -> Option<(bool, Vec<Option<Vec<String>>>)> {
    let column = table.column(name).ok()?;
    let DataType::List(inner) = column.dtype() else {
        return None;
    };
    if !inner.is_string() && !inner.is_primitive_numeric() {
        return None;
    }
    let lists = column.list().ok()?;
    let row = |row: usize| {
        let Some(list) = lists.get_as_series(row) else {
            return Some(None);
        };
        let values = list.cast(&DataType::String).ok()?;
        let values = values.str().ok()?;
        let values = values.iter().map(|value| value.map(str::to_owned));
        Some(Some(values.collect::<Option<Vec<_>>>()?))
    };
    let rows = (0..lists.len()).map(row).collect::<Option<Vec<_>>>()?;
    Some((inner.is_string(), rows))
}

/// The lists of text in `column`, which is called `name` and holds `what`, one a row; `first` is the number of the first row, counted
/// from 0.
///
/// # Errors
/// A row without a list, a list with a gap.
pub(super) fn of_column(
    column: &Column,
    name: &str,
    what: &str,
    first: usize,
) -> Result<Vec<Vec<String>>> {
    let strange = |row: usize| {
        Error::stage(format!(
            "row {} has no list of {what} in column `{name}`",
            first + row + 1
        ))
        .help("an empty list says that there are none; leave rows without one out in a `preprocess` stage")
    };
    let lists = column.list().map_err(|_| strange(0))?;
    let mut rows = Vec::with_capacity(lists.len());
    for row in 0..lists.len() {
        let list = lists.get_as_series(row).ok_or_else(|| strange(row))?;
        let words = list.cast(&DataType::String).map_err(|_| strange(row))?;
        let words = words.str().map_err(|_| strange(row))?;
        let words = words.iter().enumerate().map(|(place, word)| {
            word.map(str::to_owned).ok_or_else(|| {
                Error::stage(format!(
                    "row {} has nothing in place {} of the list in column `{name}`",
                    first + row + 1,
                    place + 1
                ))
            })
        });
        rows.push(words.collect::<Result<_>>()?);
    }
    Ok(rows)
}

impl Table {
    /// The same with a column of lists of entities behind the others: structs with the fields of [`Entity`].
    ///
    /// # Errors
    /// As [`with_text`](Self::with_text).
    pub fn with_entities(self, name: &str, values: &[Vec<Entity>]) -> Result<Self> {
        let what = || "entities are no lists";
        let rows = values.iter().map(|entities| structs(entities));
        let rows = rows.collect::<Result<Vec<Series>>>()?;
        let rows = Series::new(name.into(), rows);
        if rows.len() != values.len() {
            return Err(Error::stage(what()));
        }
        self.with(rows.into_column())
    }

    /// The same with a column of lists of numbers behind the others; a list may have gaps.
    ///
    /// # Errors
    /// As [`with_text`](Self::with_text).
    pub fn with_number_lists(self, name: &str, values: &[Vec<Option<f32>>]) -> Result<Self> {
        let rows = values
            .iter()
            .map(|list| Series::new(PlSmallStr::EMPTY, list));
        let rows: Vec<Series> = rows.collect();
        self.with(Series::new(name.into(), rows).into_column())
    }
}

/// A struct for each of `entities`.
fn structs(entities: &[Entity]) -> Result<Series> {
    let texts = |of: fn(&Entity) -> &str| entities.iter().map(of).collect::<Vec<&str>>();
    let counts = |of: fn(&Entity) -> u32| entities.iter().map(of).collect::<Vec<u32>>();
    let scores: Vec<f32> = entities.iter().map(|entity| entity.score).collect();
    let fields = [
        Series::new("label".into(), texts(|entity| &entity.label)),
        Series::new("start".into(), counts(|entity| entity.start)),
        Series::new("end".into(), counts(|entity| entity.end)),
        Series::new("text".into(), texts(|entity| &entity.text)),
        Series::new("score".into(), scores),
    ];
    let made = StructChunked::from_series(PlSmallStr::EMPTY, entities.len(), fields.iter());
    Ok(made.or_stage(|| "entities are no structs")?.into_series())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let cut = Cut::new(text.to_owned());
        let found = cut.places.iter().map(|place| cut.at(place.clone()));
        let found: Vec<String> = found.collect();
        assert_eq!(found, cut.words());
        found
    }

    #[test]
    fn texts_are_cut_at_blanks_and_punctuation() {
        assert_eq!(
            words(" Ada,  of\u{a0}\"St. John's\"\n"),
            ["Ada", ",", "of", "\"", "St", ".", "John", "'", "s", "\""]
        );
        assert_eq!(
            words("5 \u{20ac} or 5\u{20ac}+\u{1f600}x"),
            ["5", "\u{20ac}", "or", "5\u{20ac}", "+", "\u{1f600}x"]
        );
        // Accents and vowel signs stay with their letters, ideographs are words.
        assert_eq!(
            words("cafe\u{301} \u{939}\u{93f}\u{928}\u{94d}\u{926}\u{940} \u{6771}\u{4eac}A"),
            [
                "cafe\u{301}",
                "\u{939}\u{93f}\u{928}\u{94d}\u{926}\u{940}",
                "\u{6771}",
                "\u{4eac}",
                "A"
            ]
        );
        assert!(words("").is_empty() && words(" \t\u{2003}\n").is_empty());
    }

    #[test]
    fn places_count_characters() {
        let cut = Cut::new("\u{1f600} \u{e9}t\u{e9}, x".into());
        assert_eq!(cut.places, [0..1, 2..5, 5..6, 7..8]);
        assert_eq!(cut.at(2..6), "\u{e9}t\u{e9},");
    }
}
