//! Two columns of lists that are as long in each row: words, and a tag for each.

use std::collections::BTreeSet;

use super::targets::{FEWEST_ROWS, Targets};
use super::{TextOptions, columns_told, named};
use crate::data::facts::{ColumnFacts, Facts};
use crate::data::{Table, words};
use crate::error::{Error, Result};
use crate::init::Ask;
use crate::models::Problem;

/// What is most likely called so holds tags.
const NAMES_OF_TAGS: [&str; 9] = [
    "tags", "ner_tags", "ner", "labels", "entities", "pos_tags", "pos", "upos", "tag",
];

/// What is most likely called so holds words.
const NAMES_OF_WORDS: [&str; 4] = ["words", "tokens", "form", "forms"];

/// The most tags that are learnt.
const MOST_TAGS: usize = 200;

/// A column of lists.
struct Lists<'f> {
    column: &'f ColumnFacts,
    are_texts: bool,
    /// How many values each list has; none where a row has no list.
    counts: Vec<Option<usize>>,
    /// The distinct values.
    distinct: BTreeSet<String>,
}

/// The columns with words and their tags, if the table has such and nothing else is asked for.
///
/// # Errors
/// Such a table that nothing can be learnt from; one without such columns, if their task is asked for.
pub(super) fn find<'f>(
    shown: &str,
    table: &Table,
    facts: &'f Facts,
    asked: Option<Problem>,
    options: &TextOptions,
    ask: &mut dyn Ask,
) -> Result<Option<(&'f ColumnFacts, &'f ColumnFacts, Targets)>> {
    let wanted = asked == Some(Problem::TokenClassification);
    if options.text_pair_column.is_some() || asked.is_some() && !wanted {
        return Ok(None);
    }
    for name in [&options.text_column, &options.label_column]
        .into_iter()
        .flatten()
    {
        named(shown, facts, name)?;
    }
    let lists = facts
        .columns
        .iter()
        .filter_map(|column| lists(table, column));
    let lists: Vec<Lists<'f>> = lists.collect();
    let may_be = |name: Option<&String>, lists: &Lists<'_>| {
        name.is_none_or(|name| *name == lists.column.name)
    };
    let is_of = |tags: &Lists<'_>, words: &Lists<'_>| {
        let rows = tags.counts.iter().zip(&words.counts);
        let mut both = rows.filter_map(|(tags, words)| Some(((*tags)?, (*words)?)));
        tags.column.name != words.column.name
            && tags.distinct.len() < words.distinct.len()
            && tags.distinct.len() <= MOST_TAGS
            && both.all(|(tags, words)| tags == words)
    };
    let mut found: Vec<(&Lists<'f>, &Lists<'f>)> = lists
        .iter()
        .filter(|words| words.are_texts && may_be(options.text_column.as_ref(), words))
        .flat_map(|words| lists.iter().map(move |tags| (words, tags)))
        .filter(|(words, tags)| may_be(options.label_column.as_ref(), tags) && is_of(tags, words))
        .collect();
    let place = |names: &[&str], lists: &Lists<'_>| {
        let called = lists.column.name.trim().to_lowercase();
        names
            .iter()
            .position(|name| *name == called)
            .unwrap_or(names.len())
    };
    found.sort_by_key(|(words, tags)| {
        (
            place(&NAMES_OF_WORDS, words),
            std::cmp::Reverse(words.distinct.len()),
            place(&NAMES_OF_TAGS, tags),
            tags.distinct.len(),
        )
    });
    let Some((words, _)) = found.first().copied() else {
        if !wanted {
            return Ok(None);
        }
        return Err(Error::usage(format!(
            "no two columns of `{shown}` hold lists of words and of their tags"
        ))
        .note(columns_told(facts))
        .help("a word and its tag a line (`words.conll`), or rows with two lists of the same length: {\"words\": [\"Ada\", \"wrote\"], \"tags\": [\"B-PER\", \"O\"]}"));
    };
    found.retain(|(other, _)| other.column.name == words.column.name);
    let names: Vec<String> = found
        .iter()
        .map(|(_, tags)| tags.column.name.clone())
        .collect();
    let chosen = match names.len() {
        1 => 0,
        _ => ask.choose(
            "Which column holds the tags?",
            &names,
            Some(0),
            "--label-column",
        )?,
    };
    let tags = found[chosen].1;
    check(shown, words, tags)?;
    let targets = Targets::Tags(tags.distinct.len());
    Ok(Some((words.column, tags.column, targets)))
}

/// Refuses tags that nothing can be learnt from.
fn check(shown: &str, words: &Lists<'_>, tags: &Lists<'_>) -> Result<()> {
    let (word, tag) = (&words.column.name, &tags.column.name);
    if !tags.are_texts {
        return Err(Error::usage(format!(
            "the tags in `{tag}` of `{shown}`, one for each of `{word}`, are numbers"
        ))
        .help("put their names in the place of the numbers: \"B-PER\", \"I-PER\", \"O\""));
    }
    if tags.distinct.len() < 2 {
        return Err(Error::usage(format!(
            "all words of `{shown}` have the same tag in `{tag}`"
        ))
        .help("with another one there is something to learn"));
    }
    let rows = words.counts.iter().zip(&tags.counts);
    let rows = rows
        .filter(|(words, tags)| words.is_some() && tags.is_some())
        .count();
    if rows < FEWEST_ROWS {
        return Err(Error::usage(format!(
            "`{shown}` has too few rows with words and tags: {rows}"
        ))
        .help(format!(
            "{FEWEST_ROWS} rows are the least, some hundred are a start"
        )));
    }
    Ok(())
}

/// What the lists of a column come to; none if it holds none.
fn lists<'f>(table: &Table, column: &'f ColumnFacts) -> Option<Lists<'f>> {
    let (are_texts, rows) = words::as_lists(table, &column.name)?;
    let counts: Vec<Option<usize>> = rows.iter().map(|row| row.as_ref().map(Vec::len)).collect();
    let distinct: BTreeSet<String> = rows.into_iter().flatten().flatten().collect();
    (!distinct.is_empty()).then_some(Lists {
        column,
        are_texts,
        counts,
        distinct,
    })
}
