//! The settings of tags.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::loss::OverTokens;
use super::outputs::Tags;
use super::scheme::{Scheme, Tag};
use super::spans::{self, How, Tagged};
use crate::config::{Parts, Spanned};
use crate::data::{Table, labels as of_tables, words};
use crate::error::{Error, Result, Span};
use crate::tasks::labels::{self, Least, Written};
use crate::tasks::{ByWord, CrossEntropy, Decided, Reading, object};
use crate::train::{Loss, Targets};

/// Where the tags are.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
pub(super) struct Columns {
    /// The column with the tags of words, lists as long as those of the words; or, where `text_column` holds texts, with the spans of each:
    /// lists of structs or JSON with `start`, `end` and `label`. Default: `tags`.
    target_column: Option<Spanned<String>>,
}

/// The labels.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub(super) struct Labels {
    /// The tags, in the order of the model's outputs. Default: those of the samples to train on and of `validation`, in the order of the
    /// model's own if it has the same, else in alphabetical order.
    labels: Option<Vec<Spanned<String>>>,
    /// Instead of `labels`: a text file with one tag a line, relative to this one.
    labels_file: Option<Spanned<String>>,
}

/// How tags are read, and which tokens have them.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub(super) struct TagsSettings {
    /// How tags say where entities begin and end: `IO`, `IOB1`, `IOB2` or `IOBES`. Default: what the tags of the samples show, and `IOB2`
    /// for spans.
    scheme: Option<Spanned<Scheme>>,
    /// What becomes of tags that cannot stand where they do, such as an `I-PER` of IOB2 without a `B-PER` before it, and of spans that
    /// begin or end within a word: `keep` counts and tells them, `error` names the first one and stops. Such spans have the whole words.
    #[serde(default)]
    invalid_tags: Invalid,
    /// Whether all tokens of a word learn its tag, those behind the first one `I-` for `B-`; else the first one alone does. What the model
    /// says of a word is what it says of its first token.
    #[serde(default)]
    label_all_tokens: bool,
    /// Let texts that are longer than `max_length` fall into windows, each of which begins with so many of the last tokens of the one
    /// before. Default: they are cut.
    stride: Option<usize>,
}

/// What becomes of tags that cannot stand where they do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Invalid {
    /// They are counted and told.
    #[default]
    Keep,
    /// The first one is refused.
    Error,
}

/// What is made small.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub(super) struct Smoothing {
    /// Share of each target that is spread evenly over all labels.
    #[serde(default = "zero")]
    #[schemars(range(min = 0, max = 1))]
    label_smoothing_factor: Spanned<f64>,
}

fn zero() -> Spanned<f64> {
    0.0.into()
}

#[derive(Debug)]
pub(super) struct TagsReading {
    text_column: String,
    column: String,
    columns: Columns,
    labels: Labels,
    written: Written,
    tags: TagsSettings,
    smoothing: Smoothing,
}

impl TagsReading {
    pub(super) fn parse(parts: &mut Parts<'_>) -> Result<Self> {
        let mut columns: Columns = parts.read()?;
        let column = columns
            .target_column
            .get_or_insert_with(|| "tags".to_owned().into())
            .value
            .clone();
        // It belongs to another part, but spans are parts of these texts.
        let text_column = parts.table().get("text_column");
        let text_column = text_column.and_then(|name| name.as_str());
        let text_column = text_column.unwrap_or(words::COLUMN).to_owned();
        let labels: Labels = parts.read()?;
        let tags: TagsSettings = parts.read()?;
        let smoothing: Smoothing = parts.read()?;
        let place = parts.table().span.clone();
        let written = Written::new(
            labels.labels.as_ref(),
            labels.labels_file.as_ref(),
            Least::Two,
            &place,
        )?;
        let share = &smoothing.label_smoothing_factor;
        if !(0.0..1.0).contains(&share.value) {
            let error = Error::usage(format!(
                "`label_smoothing_factor` is {}; it must be at least 0 and below 1",
                share.value
            ));
            return Err(share.blame(error, ""));
        }
        if let Written::List(labels) = &written {
            for label in labels {
                check_label(&label.value, tags.scheme.as_ref().map(|set| set.value))
                    .map_err(|error| label.blame(error.of_kind(crate::error::Kind::Usage), ""))?;
            }
        }
        Ok(Self {
            text_column,
            column,
            columns,
            labels,
            written,
            tags,
            smoothing,
        })
    }

    /// The scheme that the settings name.
    fn scheme(&self) -> Option<Scheme> {
        self.tags.scheme.as_ref().map(|set| set.value)
    }

    /// The tags of the samples at `port`, text by text.
    fn texts(&self, port: &str, table: &Table) -> Result<Tagged> {
        let read = || {
            let how = How {
                scheme: self.scheme().unwrap_or(OF_SPANS),
                invalid: self.tags.invalid_tags,
                labels: None,
            };
            let tagged = spans::read(table, Some(&self.text_column), &self.column, how)?;
            for (row, tags) in tagged.tags.iter().enumerate() {
                for (word, tag) in tags.iter().enumerate() {
                    check_label(tag, self.scheme()).map_err(|error| {
                        let (row, word) = (row + 1, word + 1);
                        error.note(format!("row {row}, word {word}, column `{}`", self.column))
                    })?;
                }
            }
            Ok(tagged)
        };
        read().map_err(|error: Error| error.note(format!("in the table of port `{port}`")))
    }
}

/// The scheme of tags that are made of spans, unless another one is set.
const OF_SPANS: Scheme = Scheme::Iob2;

/// Refuses a label that is no tag, or none of `scheme`.
pub(super) fn check_label(label: &str, scheme: Option<Scheme>) -> Result<()> {
    let tag = Tag::parse(label).ok_or_else(|| {
        Error::stage(format!("`{label}` is no tag of IO, IOB1, IOB2 or IOBES"))
            .help("a tag is `O`, or B-, I-, E- or S- and a type, such as `B-PER`")
    })?;
    match scheme {
        Some(scheme) if !scheme.has(tag.prefix) => Err(Error::stage(format!(
            "`{label}` is no tag of the scheme {}, which has {}",
            scheme.name(),
            scheme.prefixes()
        ))
        .help("set another `scheme`, or leave it out")),
        _ => Ok(()),
    }
}

/// What a list of tags says, each of which is one.
pub(super) fn parsed(tags: &[String]) -> Vec<Tag<'_>> {
    let tags = tags.iter().map(String::as_str);
    tags.map(|tag| Tag::parse(tag).unwrap_or(Tag::OUTSIDE))
        .collect()
}

impl Reading for TagsReading {
    fn settings(&self) -> [Map<String, Value>; 2] {
        let mut read = object(&self.columns);
        read.append(&mut object(&self.labels));
        read.append(&mut object(&self.tags));
        [read, object(&self.smoothing)]
    }

    fn file(&self) -> Option<(&'static str, std::path::PathBuf, Span)> {
        self.written.file()
    }

    fn check(&self) -> Result<()> {
        self.written.read(Least::Two).map(drop)
    }

    fn by_word(&self) -> Option<ByWord> {
        Some(ByWord {
            stride: self.tags.stride,
            every_token: self.tags.label_all_tokens,
        })
    }

    fn outputs(&self, samples: &[(&str, Table)], own: &[String]) -> Result<Decided> {
        let mut told = Vec::new();
        let ports = samples.iter().map(|(port, table)| self.texts(port, table));
        let ports = ports.collect::<Result<Vec<_>>>()?;
        let labels = if let Some(labels) = self.written.read(Least::Two)? {
            for label in &labels {
                check_label(label, self.scheme())?;
            }
            labels
        } else {
            let found = ports.iter().map(|texts| {
                let mut labels = match &texts.kinds {
                    // An entity may be longer elsewhere than all are here.
                    Some(kinds) => self.scheme().unwrap_or(OF_SPANS).labels(kinds.iter()),
                    None => texts.tags.iter().flatten().cloned().collect(),
                };
                of_tables::sort(&mut labels);
                labels.dedup();
                labels
            });
            let labels = labels::together(found.collect(), own);
            match &labels[..] {
                [] => return Err(Error::stage("no row at port `train` has a tag")),
                [only] => {
                    return Err(Error::stage(format!(
                        "all words at port `train` have the tag `{only}`: there is nothing to tell apart"
                    )));
                }
                _ => told.push(format!(
                    "`labels` are those of the samples: {}",
                    labels.join(", ")
                )),
            }
            labels
        };
        let scheme = if let Some(scheme) = self.scheme() {
            scheme
        } else if ports.iter().any(|texts| texts.kinds.is_some()) {
            told.push(format!(
                "spans become tags of the scheme {}: {}",
                OF_SPANS.name(),
                OF_SPANS.prefixes()
            ));
            OF_SPANS
        } else {
            let texts = ports.iter().flat_map(|texts| &texts.tags);
            let scheme = Scheme::of(&texts.map(|tags| parsed(tags)));
            told.push(format!(
                "`scheme` is {}, as the tags of the samples show: {}",
                scheme.name(),
                scheme.prefixes()
            ));
            scheme
        };
        Ok(Decided {
            outputs: Box::new(Tags {
                labels,
                text_column: Some(self.text_column.clone()),
                column: Some(self.column.clone()),
                scheme,
                invalid: self.tags.invalid_tags,
            }),
            told,
        })
    }

    #[expect(clippy::cast_possible_truncation, reason = "losses are 32-bit floats")]
    fn loss(&self, names: &[String], _: &Targets) -> Result<Arc<dyn Loss>> {
        let smoothing = self.smoothing.label_smoothing_factor.value as f32;
        let loss = CrossEntropy::new(vec![1.0; names.len()], smoothing);
        Ok(Arc::new(OverTokens(loss)))
    }
}
