//! Two columns that are called like the texts of pairs.

use super::{Samples, TextOptions, length};
use crate::data::facts::{ColumnFacts, Facts};
use crate::error::Result;
use crate::init::Ask;

/// What the two are called, the first one first.
const NAMES: [(&str, &str); 8] = [
    ("premise", "hypothesis"),
    ("question", "sentence"),
    ("question", "passage"),
    ("question", "answer"),
    ("query", "passage"),
    ("query", "document"),
    ("first", "second"),
    ("anchor", "positive"),
];

/// The last characters of names that say nothing else but which of two it is.
const ENDS: [(char, char); 3] = [('1', '2'), ('a', 'b'), ('2', '3')];

/// The two columns that are called like pairs, if the user takes them for such.
pub(super) fn find<'f>(
    facts: &'f Facts,
    options: &TextOptions,
    ask: &mut dyn Ask,
    told: &mut Vec<String>,
) -> Result<Option<Samples<'f>>> {
    // A text may be in some pairs, and it is longer than a label.
    let is_text = |column: &&ColumnFacts| {
        options.label_column.as_ref() != Some(&column.name)
            && length(column) > 0.0
            && column.distinct > 1
            && column.distinct * 20 > facts.rows
    };
    let texts: Vec<&ColumnFacts> = facts.columns.iter().filter(is_text).collect();
    let pairs = texts
        .iter()
        .flat_map(|one| texts.iter().map(move |other| (*one, *other)));
    let Some((one, other)) = pairs
        .filter(|(one, other)| are_pairs(&one.name, &other.name))
        .max_by(|a, b| size(*a).total_cmp(&size(*b)))
    else {
        return Ok(None);
    };
    let options = [
        format!("{} with {}", one.name, other.name),
        one.name.clone(),
        other.name.clone(),
    ];
    let chosen = ask.choose(
        "Which column holds the texts?",
        &options,
        Some(0),
        "--text-column",
    )?;
    if chosen == 0 {
        told.push(format!(
            "each row is a pair of texts: `{}` and `{}`",
            one.name, other.name
        ));
    }
    Ok(Some(match chosen {
        0 => Samples {
            text: one,
            pair: Some(other),
        },
        1 => Samples {
            text: one,
            pair: None,
        },
        _ => Samples {
            text: other,
            pair: None,
        },
    }))
}

/// How long the texts of a pair are on average.
fn size((one, other): (&ColumnFacts, &ColumnFacts)) -> f64 {
    length(one) + length(other)
}

fn are_pairs(one: &str, other: &str) -> bool {
    let lower = |name: &str| name.trim().to_lowercase();
    let (one, other) = (lower(one), lower(other));
    if NAMES.contains(&(one.as_str(), other.as_str())) {
        return true;
    }
    let mut ends = ENDS.iter();
    ends.any(|(first, second)| {
        let stem = one.strip_suffix(*first);
        // `a` and `b` are names of their own, but not the ends of words.
        let is_apart = |stem: &str| {
            first.is_ascii_digit()
                || stem.is_empty()
                || stem.ends_with(|c: char| !c.is_alphanumeric())
        };
        stem.is_some_and(|stem| is_apart(stem) && other.strip_suffix(*second) == Some(stem))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_pairs_are_known() {
        for (one, other) in [
            ("sentence1", "sentence2"),
            ("Text_A", "text_b"),
            ("premise", "Hypothesis"),
            ("column_2", "column_3"),
            ("a", "b"),
        ] {
            assert!(are_pairs(one, other), "{one} {other}");
            assert!(!are_pairs(other, one), "{other} {one}");
        }
        for (one, other) in [("title", "body"), ("sofa", "sofb"), ("text1", "note2")] {
            assert!(!are_pairs(one, other), "{one} {other}");
        }
    }
}
