//! Tables of texts → samples for training.

use std::collections::BTreeSet;

use super::checks;
use super::settings::Settings;
use super::{Data, Extra};
use crate::config::Spanned;
use crate::data::text::{Examples, read_examples};
use crate::error::{Error, Result};
use crate::models::{Loaded, Tokenizer};
use crate::stages::StageContext;
use crate::train::{Inputs, Samples, Texts};

/// The most tokens of a text that count unless `max_length` says otherwise.
const MAX_LENGTH: usize = 256;

/// Reads the tables, checks them, and turns texts into tokens.
pub(super) fn data(
    settings: &Settings,
    labels: &[String],
    loaded: &Loaded,
    cx: &StageContext<'_>,
) -> Result<Data> {
    let train = read(settings, "train", labels, cx)?;
    let validation = cx.optional_input("validation");
    let validation = validation
        .map(|_| read(settings, "validation", labels, cx))
        .transpose()?;
    report_positions([Some(&train), validation.as_ref()], cx);
    if let Some(validation) = &validation {
        checks::report_shared_texts(&train, validation, cx);
    }
    let tokenizer = tokenizer(cx)?;
    let max_length = max_length(settings, loaded, cx)?;
    let samples = |name, examples| encode(&tokenizer, name, examples, max_length, cx);
    Ok(Data {
        train: samples("train", train)?,
        validation: validation
            .map(|examples| samples("validation", examples))
            .transpose()?,
        extra: Extra::Texts { max_length },
    })
}

fn read(
    settings: &Settings,
    port: &str,
    labels: &[String],
    cx: &StageContext<'_>,
) -> Result<Examples> {
    let column = |column: &Option<Spanned<String>>| {
        let column = column.as_ref().map(|column| column.value.clone());
        column.unwrap_or_default()
    };
    read_examples(
        cx.input(port),
        &column(&settings.text_column),
        &column(&settings.target_column),
        labels,
    )
    .map_err(|error| error.note(format!("in the table of port `{port}`")))
}

/// Tells once which values were taken for which labels, where only their places say so.
pub(in crate::stages) fn report_positions<'e>(
    examples: impl IntoIterator<Item = Option<&'e Examples>>,
    cx: &StageContext<'_>,
) {
    let examples = examples.into_iter().flatten();
    let pairs: BTreeSet<&String> = examples
        .filter_map(|some| some.by_position.as_ref())
        .collect();
    for pairs in pairs {
        cx.notice(format!("labels by position: {pairs}"));
    }
}

/// The tokenizer of the stage's model; what the user should know of it is told.
pub(in crate::stages) fn tokenizer(cx: &StageContext<'_>) -> Result<Tokenizer> {
    let tokenizer = Tokenizer::load(cx.input("model"))?;
    if let Some(notice) = tokenizer.notice() {
        cx.notice(notice);
    }
    Ok(tokenizer)
}

/// The most tokens of a text that count: what the settings say, else what the model was tuned with, else the default.
fn max_length(settings: &Settings, loaded: &Loaded, cx: &StageContext<'_>) -> Result<usize> {
    let most = loaded.network.max_tokens().unwrap_or(usize::MAX);
    let default = MAX_LENGTH.min(most);
    match &settings.max_length {
        None => {
            let tuned = loaded.card.max_length.unwrap_or(default).min(most);
            if tuned != default {
                cx.notice(format!(
                    "`max_length` is {tuned}, as when the model was tuned"
                ));
            }
            Ok(tuned)
        }
        Some(length) if length.value.get() <= most => Ok(length.value.get()),
        Some(length) => Err(Error::stage(format!(
            "`max_length` is {}, but the model takes {most} tokens at most",
            length.value
        ))
        .help(format!("set max_length = {most} or lower"))),
    }
}

/// Texts to token ids; reports how many were cut.
pub(in crate::stages) fn encode(
    tokenizer: &Tokenizer,
    name: &str,
    examples: Examples,
    max_length: usize,
    cx: &StageContext<'_>,
) -> Result<Samples> {
    let encoded = tokenizer.encode(&examples.texts, max_length)?;
    checks::report_cut(name, &encoded, max_length, cx);
    checks::report_empty(name, &encoded, cx);
    Ok(Samples {
        inputs: Inputs::Texts(Texts {
            tokens: encoded.into_iter().map(|text| text.ids).collect(),
            pad_id: tokenizer.pad_id(),
        }),
        labels: examples.labels,
    })
}
