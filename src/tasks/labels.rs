//! Lists of labels, in the order of a network's outputs: as settings write them, from a file, or those of the samples.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::config::{self, Spanned, resolve};
use crate::data::labels::sort;
use crate::error::{Error, Result, Span};

/// The column of a table of images that holds their labels, and the one that names them.
pub(super) const OF_IMAGES: &str = "label";
pub(super) const PATH: &str = "path";

/// The labels as the settings have them.
#[derive(Clone, Debug)]
pub(super) enum Written {
    /// They are those of the samples.
    No,
    /// A list.
    List(Vec<Spanned<String>>),
    /// A file with one a line, and where the pipeline names it.
    File(PathBuf, Span),
}

impl Written {
    /// The labels of the settings `labels` and `labels_file`; `place` is the table that they are in.
    ///
    /// # Errors
    /// Both; fewer than `least` labels, or one that comes twice.
    pub(super) fn new(
        labels: Option<&Vec<Spanned<String>>>,
        file: Option<&Spanned<String>>,
        least: Least,
        place: &Span,
    ) -> Result<Self> {
        match (labels, file) {
            (Some(labels), Some(file)) => {
                let error = Error::usage("`labels` and `labels_file` cannot both be set");
                Err(match labels.first() {
                    Some(label) => file.blame_also(label, error),
                    None => file.blame(error, ""),
                })
            }
            (Some(labels), None) => {
                check(labels, least)?;
                Ok(Self::List(labels.clone()))
            }
            (None, Some(file)) => {
                let span = file.span.as_ref().unwrap_or(place);
                Ok(Self::File(resolve(span, &file.value), span.clone()))
            }
            (None, None) => Ok(Self::No),
        }
    }

    /// The file that they are in: what it is, where, and where the pipeline names it.
    pub(super) fn file(&self) -> Option<(&'static str, PathBuf, Span)> {
        match self {
            Self::File(path, span) => Some(("labels", path.clone(), span.clone())),
            _ => None,
        }
    }

    /// The labels, in the order of the outputs; none if they are those of the samples.
    ///
    /// # Errors
    /// A file that cannot be read, fewer than `least` labels in it, one that comes twice.
    pub(super) fn read(&self, least: Least) -> Result<Option<Vec<String>>> {
        match self {
            Self::No => Ok(None),
            Self::List(labels) => Ok(Some(
                labels.iter().map(|label| label.value.clone()).collect(),
            )),
            Self::File(path, span) => {
                let source = config::read(path).map_err(|error| error.or_at(span, ""))?;
                let mut labels = Vec::new();
                let mut start = 0;
                for line in source.text.split_inclusive('\n') {
                    let label = line.trim();
                    if !label.is_empty() {
                        let begin = start + line.len() - line.trim_start().len();
                        labels.push(Spanned {
                            value: label.to_owned(),
                            span: Some(Span::new(&source, begin..begin + label.len())),
                        });
                    }
                    start += line.len();
                }
                check(&labels, least).map_err(|error| error.or_at(span, ""))?;
                Ok(Some(labels.into_iter().map(|label| label.value).collect()))
            }
        }
    }
}

/// How many labels there have to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Least {
    /// A label that is there or not.
    One,
    /// One label or another.
    Two,
}

/// Refuses too few labels, and one that comes twice.
fn check(labels: &[Spanned<String>], least: Least) -> Result<()> {
    let mut seen = BTreeSet::new();
    for label in labels {
        if !seen.insert(&label.value) {
            let error = Error::usage(format!("the label `{}` comes twice", label.value));
            return Err(label.blame(error, "again"));
        }
    }
    match (labels, least) {
        ([], Least::Two) => Err(Error::usage(
            "a classifier needs two labels, and there is none",
        )),
        ([only], Least::Two) => Err(only.blame(
            Error::usage("a classifier needs two labels, and there is one"),
            "",
        )),
        ([], Least::One) => Err(Error::usage("there is no label")),
        _ => Ok(()),
    }
}

/// The labels of samples, those of the first port and then what others add, in the order of the model's `own` if it has the same.
pub(super) fn together(found: Vec<Vec<String>>, own: &[String]) -> Vec<String> {
    let several = found.len() > 1;
    let mut labels: Vec<String> = Vec::new();
    for found in found {
        let new: Vec<_> = found
            .into_iter()
            .filter(|label| !labels.contains(label))
            .collect();
        labels.extend(new);
    }
    if several {
        sort(&mut labels);
    }
    let as_set = |labels: &[String]| labels.iter().cloned().collect::<BTreeSet<_>>();
    if as_set(own) == as_set(&labels) {
        labels = own.to_vec();
    }
    labels
}
