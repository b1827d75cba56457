//! Tags, and the schemes by which they say where entities begin and end.
//!
//! IO and IOB1 are those of Ramshaw and Marcus 1995 ("Text Chunking using Transformation-Based Learning"), IOB2 that of Tjong Kim Sang and
//! Veenstra 1999 ("Representing Text Chunks"). What is an entity is what seqeval says (<https://github.com/chakki-works/seqeval>), by its
//! default mode, which knows no scheme, and by `mode="strict"`, whose tables of `seqeval/scheme.py` are [`Scheme::begins`],
//! [`Scheme::goes_on`] and [`Scheme::ends`] here.

use std::collections::BTreeSet;
use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How tags say where entities begin and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub(super) enum Scheme {
    /// `I` in an entity, so that entities of one type that follow each other are one.
    #[serde(rename = "IO")]
    Io,
    /// `I` in an entity; `B` where one begins right behind another of its type.
    #[serde(rename = "IOB1")]
    Iob1,
    /// `B` where an entity begins, `I` inside.
    #[serde(rename = "IOB2")]
    Iob2,
    /// `B` where an entity begins, `E` where it ends, `I` between, `S` where it is one word.
    #[serde(rename = "IOBES")]
    Iobes,
}

/// What a tag says of where its word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Prefix {
    /// In no entity.
    O,
    /// Inside.
    I,
    /// At the beginning.
    B,
    /// At the end.
    E,
    /// Alone.
    S,
}

/// A tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag<'t> {
    pub(super) prefix: Prefix,
    /// What the entity is; nothing outside of entities.
    pub(super) kind: &'t str,
}

/// An entity: what it is, and which words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found<'t> {
    pub(super) kind: &'t str,
    pub(super) words: Range<usize>,
}

impl<'t> Tag<'t> {
    /// Outside of every entity.
    pub(super) const OUTSIDE: Self = Self {
        prefix: Prefix::O,
        kind: "",
    };

    /// What `text` says; none if it is no tag.
    pub(super) fn parse(text: &'t str) -> Option<Self> {
        if text == "O" {
            return Some(Self::OUTSIDE);
        }
        let (prefix, kind) = text.split_once('-')?;
        let prefix = match prefix {
            "I" => Prefix::I,
            "B" => Prefix::B,
            "E" => Prefix::E,
            "S" => Prefix::S,
            _ => return None,
        };
        (!kind.is_empty()).then_some(Self { prefix, kind })
    }
}

impl Scheme {
    /// Its name in settings.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Io => "IO",
            Self::Iob1 => "IOB1",
            Self::Iob2 => "IOB2",
            Self::Iobes => "IOBES",
        }
    }

    /// The scheme that settings call `name`.
    pub(super) fn find(name: &str) -> Result<Self> {
        let all = [Self::Io, Self::Iob1, Self::Iob2, Self::Iobes];
        let found = all.into_iter().find(|scheme| scheme.name() == name);
        found.ok_or_else(|| {
            Error::stage(format!(
                "the model's tags have the scheme `{name}`, which refire does not know"
            ))
        })
    }

    /// The scheme of these texts: the one that they fit, and of several the one that says more. Where `I` comes without `B` in some places
    /// and `B` where IOB1 needs none, it is IOB2 with mistakes.
    pub(super) fn of<'t>(texts: &(impl Iterator<Item = Vec<Tag<'t>>> + Clone)) -> Self {
        let prefixes: BTreeSet<Prefix> = texts.clone().flatten().map(|tag| tag.prefix).collect();
        if prefixes.contains(&Prefix::E) || prefixes.contains(&Prefix::S) {
            return Self::Iobes;
        }
        if !prefixes.contains(&Prefix::B) {
            return Self::Io;
        }
        let fits = |scheme: Self| {
            let mut texts = texts.clone();
            texts.all(|tags| scheme.misplaced(&tags).is_empty())
        };
        if !fits(Self::Iob2) && fits(Self::Iob1) {
            Self::Iob1
        } else {
            Self::Iob2
        }
    }

    /// The scheme of a model that does not say it, by the letters of its labels.
    pub(super) fn of_labels(labels: &[Tag<'_>]) -> Self {
        let has = |prefix| labels.iter().any(|tag| tag.prefix == prefix);
        if has(Prefix::E) || has(Prefix::S) {
            Self::Iobes
        } else if has(Prefix::B) {
            Self::Iob2
        } else {
            Self::Io
        }
    }

    /// What its tags begin with, in words.
    pub(super) fn prefixes(self) -> &'static str {
        match self {
            Self::Io => "I- and O",
            Self::Iob1 | Self::Iob2 => "B-, I- and O",
            Self::Iobes => "B-, I-, E-, S- and O",
        }
    }

    /// Whether it has such tags.
    pub(super) fn has(self, prefix: Prefix) -> bool {
        match self {
            Self::Io => matches!(prefix, Prefix::O | Prefix::I),
            Self::Iob1 | Self::Iob2 => matches!(prefix, Prefix::O | Prefix::I | Prefix::B),
            Self::Iobes => true,
        }
    }

    /// The tags of an entity of so many words; `follows` says that one of the same kind ends right before it.
    pub(super) fn tags(self, kind: &str, words: usize, follows: bool) -> Vec<String> {
        let tag = |word: usize| {
            let (is_first, is_last) = (word == 0, word + 1 == words);
            let prefix = match self {
                Self::Iobes if is_first && is_last => "S",
                Self::Iobes if is_last => "E",
                Self::Iob1 if is_first && follows => "B",
                Self::Iob2 | Self::Iobes if is_first => "B",
                _ => "I",
            };
            format!("{prefix}-{kind}")
        };
        (0..words).map(tag).collect()
    }

    /// All tags of entities of these kinds, and the one outside of entities.
    pub(super) fn labels<'k>(self, kinds: impl Iterator<Item = &'k String>) -> Vec<String> {
        let prefixes: &[&str] = match self {
            Self::Io => &["I"],
            Self::Iob1 | Self::Iob2 => &["B", "I"],
            Self::Iobes => &["B", "I", "E", "S"],
        };
        let of_kind = |kind| {
            prefixes
                .iter()
                .map(move |prefix| format!("{prefix}-{kind}"))
        };
        kinds.flat_map(of_kind).chain(["O".into()]).collect()
    }

    /// The words whose tags cannot stand where they do.
    pub(super) fn misplaced(self, tags: &[Tag<'_>]) -> Vec<usize> {
        let place = |word: Option<usize>| word.and_then(|word| tags.get(word)).copied();
        let wrong = |word: &usize| {
            let tag = tags[*word];
            let before = place(word.checked_sub(1)).unwrap_or(Tag::OUTSIDE);
            let behind = place(Some(word + 1)).unwrap_or(Tag::OUTSIDE);
            let open = |tag: Tag<'_>| matches!(tag.prefix, Prefix::B | Prefix::I);
            let goes_on = |tag: Tag<'_>| matches!(tag.prefix, Prefix::I | Prefix::E);
            match (self, tag.prefix) {
                (_, Prefix::O)
                | (Self::Io | Self::Iob1, Prefix::I)
                | (Self::Iob2, Prefix::B)
                | (Self::Iobes, Prefix::S) => false,
                (Self::Iob1, Prefix::B) | (Self::Iob2, Prefix::I) | (Self::Iobes, Prefix::E) => {
                    !open(before) || before.kind != tag.kind
                }
                (Self::Iobes, Prefix::B) => !goes_on(behind) || behind.kind != tag.kind,
                (Self::Iobes, Prefix::I) => {
                    !open(before)
                        || before.kind != tag.kind
                        || !goes_on(behind)
                        || behind.kind != tag.kind
                }
                (Self::Io | Self::Iob1 | Self::Iob2, _) => true,
            }
        };
        (0..tags.len()).filter(wrong).collect()
    }

    /// Whether an entity begins at `tag` behind the tag `before`.
    fn begins(self, before: Tag<'_>, tag: Tag<'_>) -> bool {
        let same = before.kind == tag.kind;
        match (self, tag.prefix) {
            (_, Prefix::O) => false,
            (Self::Io, _) => before.prefix == Prefix::O || !same,
            (Self::Iob1, Prefix::I) => match before.prefix {
                Prefix::O | Prefix::B => true,
                _ => !same,
            },
            (Self::Iob1, Prefix::B) => before.prefix != Prefix::O && same,
            (Self::Iob2, prefix) => prefix == Prefix::B,
            (Self::Iobes, prefix) => matches!(prefix, Prefix::B | Prefix::S),
            (Self::Iob1, _) => false,
        }
    }

    /// Whether the entity that `before` is in goes on at `tag`.
    fn goes_on(self, before: Tag<'_>, tag: Tag<'_>) -> bool {
        let is_open = matches!(before.prefix, Prefix::B | Prefix::I);
        let is_inside = match self {
            Self::Iobes => matches!(tag.prefix, Prefix::I | Prefix::E),
            Self::Io | Self::Iob1 | Self::Iob2 => tag.prefix == Prefix::I,
        };
        is_open && is_inside && before.kind == tag.kind
    }

    /// Whether the entity that goes as far as `last` may end before `tag`.
    fn ends(self, last: Tag<'_>, tag: Tag<'_>) -> bool {
        let same = last.kind == tag.kind;
        match self {
            Self::Io => true,
            Self::Iob1 => match (last.prefix, tag.prefix) {
                (Prefix::B, Prefix::B) => same,
                (_, Prefix::I) => !same,
                _ => true,
            },
            Self::Iob2 => tag.prefix != Prefix::I || !same,
            Self::Iobes => matches!(last.prefix, Prefix::E | Prefix::S),
        }
    }

    /// The entities in `tags` that keep to the scheme, as seqeval's strict mode has them.
    pub(super) fn strict<'t>(self, tags: &[Tag<'t>]) -> Vec<Found<'t>> {
        let at = |word: usize| tags.get(word).copied().unwrap_or(Tag::OUTSIDE);
        let mut found = Vec::new();
        let mut word = 0;
        while word < tags.len() {
            let before = word.checked_sub(1).map_or(Tag::OUTSIDE, at);
            let mut end = word + 1;
            if self.begins(before, at(word)) {
                while end < tags.len() && self.goes_on(at(end - 1), at(end)) {
                    end += 1;
                }
                if self.ends(at(end - 1), at(end)) {
                    let kind = at(word).kind;
                    found.push(Found {
                        kind,
                        words: word..end,
                    });
                }
            }
            word = end;
        }
        found
    }
}

/// The entities in `tags` whatever their scheme, as seqeval's default mode has them: one begins at `B` and `S`, behind `E`, `S` and `O`,
/// and where the type changes; it ends behind `E` and `S`, and where the next one or nothing begins.
pub(super) fn lenient<'t>(tags: &[Tag<'t>]) -> Vec<Found<'t>> {
    let mut found: Vec<Found<'t>> = Vec::new();
    let mut before = Tag::OUTSIDE;
    for (word, tag) in tags.iter().enumerate() {
        let is_open = matches!(before.prefix, Prefix::B | Prefix::I);
        let is_inside = matches!(tag.prefix, Prefix::I | Prefix::E);
        match found.last_mut() {
            Some(last) if is_open && is_inside && before.kind == tag.kind => {
                last.words.end = word + 1;
            }
            _ if tag.prefix != Prefix::O => found.push(Found {
                kind: tag.kind,
                words: word..word + 1,
            }),
            _ => {}
        }
        before = *tag;
    }
    found
}
