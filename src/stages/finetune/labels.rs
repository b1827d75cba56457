//! The labels of a model, in the order of its outputs: from the settings, from a file, or those of the samples.

use std::collections::BTreeSet;

use super::settings::{Settings, check_labels};
use crate::config::{self, Spanned, resolve};
use crate::data::{Table, labels as of_tables};
use crate::error::{Error, Result, Span};
use crate::models::{self, Task};
use crate::stages::{LocalFile, StageContext, photos};

/// The file that the setting `labels_file` names; `place` is where it stands if the setting does not know.
pub(super) fn file(settings: &Settings, place: &Span) -> Option<LocalFile> {
    let setting = settings.labels_file.as_ref()?;
    let span = setting.span.as_ref().unwrap_or(place);
    Some(LocalFile {
        role: "labels".into(),
        path: resolve(span, &setting.value),
        span: span.clone(),
    })
}

/// The labels in `file`, one a line.
///
/// # Errors
/// A file that cannot be read, fewer than two labels, one that comes twice, class weights for others.
pub(super) fn read(settings: &Settings, file: &LocalFile) -> Result<Vec<String>> {
    let source = config::read(&file.path).map_err(|error| error.or_at(&file.span, ""))?;
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
    check_labels(&labels).map_err(|error| error.or_at(&file.span, ""))?;
    let labels: Vec<String> = labels.into_iter().map(|label| label.value).collect();
    settings.check_class_weights(&labels)?;
    Ok(labels)
}

/// The labels for a run; those that nobody wrote are those of the samples, in the model's own order or an alphabetical one.
///
/// # Errors
/// Those of [`read`]; samples that cannot be read, fewer than two labels among them, class weights for others.
pub(super) fn decide(
    settings: &Settings,
    file: Option<&LocalFile>,
    cx: &StageContext<'_>,
) -> Result<Vec<String>> {
    if let Some(file) = file {
        return read(settings, file);
    }
    if let Some(labels) = settings.label_names() {
        return Ok(labels);
    }
    let mut labels = found("train", settings, cx)?;
    if cx.optional_input("validation").is_some() {
        let others = found("validation", settings, cx)?.into_iter();
        let others = others.filter(|label| !labels.contains(label));
        let others: Vec<String> = others.collect();
        labels.extend(others);
        of_tables::sort(&mut labels);
    }
    let known = models::labels(cx.input("model"))?;
    let as_set = |labels: &[String]| labels.iter().cloned().collect::<BTreeSet<_>>();
    if as_set(&known) == as_set(&labels) {
        labels = known;
    }
    if let [only] = &labels[..] {
        return Err(Error::stage(format!(
            "all samples at port `train` have the label `{only}`: a classifier needs two"
        )));
    }
    settings.check_class_weights(&labels)?;
    if settings.task == Task::TextClassification {
        cx.notice(format!(
            "`labels` are those of the samples: {}",
            labels.join(", ")
        ));
    }
    Ok(labels)
}

/// The labels of the samples at input `port`, sorted.
fn found(port: &str, settings: &Settings, cx: &StageContext<'_>) -> Result<Vec<String>> {
    if settings.task == Task::ImageClassification {
        return photos::labels(port, cx);
    }
    let column = settings.target_column.as_ref();
    let column = column.map_or("label", |column| column.value.as_str());
    let table = Table::read(cx.input(port))?;
    of_tables::found(&table, column)
        .map_err(|error| error.note(format!("in the table of port `{port}`")))
}
