//! The samples as the network takes them, and what they come to.

use std::path::Path;

use super::checks;
use super::settings::{Pace, Settings};
use crate::config::Spanned;
use crate::error::Result;
use crate::inputs::texts::{Columns, Encoder};
use crate::models::{self, ImageInput, Loaded, Masking, Modality};
use crate::stages::samples::{AtPort, MEASURED};
use crate::stages::{StageContext, photos};
use crate::tasks::{ByWord, Outputs};
use crate::train::{Inputs, Loss, Samples, Targets};

/// Opens the samples to train on, and those to measure every epoch on.
pub(super) fn open(settings: &Settings, cx: &StageContext<'_>) -> Result<Vec<AtPort>> {
    let modality = settings.task().modality;
    let mut ports = vec![AtPort::open("train", modality, cx)?];
    if cx.optional_input("validation").is_some() {
        ports.push(AtPort::open("validation", modality, cx)?);
    }
    Ok(ports)
}

/// What the network's outputs are to mean.
pub(super) fn decide(
    settings: &Settings,
    ports: &[AtPort],
    cx: &StageContext<'_>,
) -> Result<Box<dyn Outputs>> {
    let tables = ports
        .iter()
        .map(|samples| Ok((samples.port, samples.table()?)));
    let tables = tables.collect::<Result<Vec<_>>>()?;
    let own = models::labels(cx.input("model"))?;
    let decided = settings.reading.outputs(&tables, &own)?;
    decided.told.into_iter().for_each(|told| cx.notice(told));
    Ok(decided.outputs)
}

/// The samples as the network takes them.
pub(super) struct Data {
    pub(super) train: Samples,
    pub(super) validation: Option<Samples>,
    how: How,
    /// How much the squares of weights count in the loss.
    pub(super) l2: f64,
}

/// What the tuned model's folder says beside its weights about how samples become its input.
enum How {
    Texts {
        /// The most tokens of a text that count.
        max_length: usize,
    },
    Images {
        /// Size and colours.
        input: ImageInput,
    },
}

impl Data {
    /// Reads the samples, and checks them.
    pub(super) fn new(
        settings: &Settings,
        ports: &[AtPort],
        outputs: &dyn Outputs,
        loaded: &Loaded,
        cx: &StageContext<'_>,
    ) -> Result<Self> {
        if let Some(masking) = outputs.masking() {
            return masked(settings, masking, ports, loaded, cx);
        }
        let targets = ports.iter().map(|samples| samples.targets(outputs, cx));
        let targets = targets.collect::<Result<Vec<_>>>()?;
        if let [_, validation] = ports {
            let metric = settings.best.metric(settings.task())?;
            checks::metric_is_defined(metric, outputs, validation, &targets[1])?;
        }
        let (samples, how) = if let Some(by_word) = settings.reading.by_word() {
            words(settings, by_word, ports, &targets, outputs, loaded, cx)?
        } else {
            let (inputs, how) = match settings.task().modality {
                Modality::Texts => texts(settings, ports, outputs, loaded, cx)?,
                Modality::Images => images(settings, ports, loaded, cx)?,
            };
            let samples = inputs.into_iter().zip(targets);
            let samples = samples.map(|(inputs, targets)| Samples::new(inputs, targets));
            (samples.collect(), how)
        };
        let mut samples = samples.into_iter();
        let (Some(train), validation) = (samples.next(), samples.next()) else {
            panic!("there are always samples to train on");
        };
        if let Some(validation) = &validation {
            report_shared(&train, validation, cx);
        }
        Ok(Self {
            train,
            validation,
            how,
            l2: 0.0,
        })
    }

    /// Decides how much the squares of weights count beside `loss`.
    pub(super) fn hold_down(
        &mut self,
        settings: &Settings,
        pace: Pace,
        loss: &dyn Loss,
        cx: &StageContext<'_>,
    ) {
        let weight = loss
            .sees_lengths()
            .then(|| loss.weight(&self.train.targets));
        self.l2 = settings.optimizer.l2(pace, weight.unwrap_or_default());
        if settings.optimizer.l2.is_none() && self.l2 > 0.0 {
            cx.notice(format!("weights are held down by `l2` {:.2e}", self.l2));
        }
    }

    /// The most tokens of a text that count.
    pub(super) fn max_length(&self) -> Option<usize> {
        match self.how {
            How::Texts { max_length } => Some(max_length),
            How::Images { .. } => None,
        }
    }

    /// Writes into the tuned model's folder how samples become its input.
    pub(super) fn write(&self, cx: &StageContext<'_>) -> Result<()> {
        let (from, to): (&Path, &Path) = (cx.input("model"), cx.output("model"));
        match self.how {
            How::Texts { .. } => models::copy_tokenizer(from, to),
            How::Images { input } => {
                models::copy_companions(from, to)?;
                input.write(to)
            }
        }
    }
}

/// How texts become tokens; what is decided about it is told.
fn encoder(settings: &Settings, loaded: &Loaded, cx: &StageContext<'_>) -> Result<Encoder> {
    let max_length = settings.input.max_length.as_ref();
    let truncation = settings.input.truncation.as_ref();
    let (encoder, told) = Encoder::new(
        cx.input("model"),
        loaded,
        max_length.map(|length| length.value.get()),
        truncation.map(|truncation| truncation.value),
    )?;
    let told = told.into_iter().chain(encoder.notice().map(String::from));
    told.for_each(|told| cx.notice(told));
    Ok(encoder)
}

/// Texts of which some tokens are masked: anew in every epoch where they are trained on, once where they are measured.
fn masked(
    settings: &Settings,
    masking: Masking,
    ports: &[AtPort],
    loaded: &Loaded,
    cx: &StageContext<'_>,
) -> Result<Data> {
    let column = settings.columns.text_column.as_ref();
    let column = column
        .map(|column| column.value.as_str())
        .unwrap_or_default();
    let encoder = encoder(settings, loaded, cx)?;
    let train = ports[0].masked(column, &encoder, masking, cx.seed(), cx)?;
    let validation = ports.get(1);
    let validation = validation
        .map(|samples| samples.masked(column, &encoder, masking, MEASURED, cx))
        .transpose()?;
    if let Some(validation) = &validation {
        let (shared, (all, _)) = (validation.also_in(&train), validation.counted());
        if shared > 0 {
            cx.notice(format!(
                "{shared} of {all} validation samples are also in the training table"
            ));
        }
    }
    Ok(Data {
        train: train.changing(),
        validation: validation.map(|samples| samples.fixed()),
        how: How::Texts {
            max_length: encoder.max_length(),
        },
        l2: 0.0,
    })
}

/// Lists of words as tokens, with what these come to.
fn words(
    settings: &Settings,
    by_word: ByWord,
    ports: &[AtPort],
    targets: &[Targets],
    outputs: &dyn Outputs,
    loaded: &Loaded,
    cx: &StageContext<'_>,
) -> Result<(Vec<Samples>, How)> {
    let column = settings.columns.text_column.as_ref();
    let column = column
        .map(|column| column.value.as_str())
        .unwrap_or_default();
    let encoder = encoder(settings, loaded, cx)?.with_stride(by_word.stride);
    let samples = ports.iter().zip(targets).map(|(samples, targets)| {
        // Others are measured, which goes by the first token of a word.
        let trains = by_word.every_token && samples.port == "train";
        samples.words(column, targets, &encoder, trains.then_some(outputs), cx)
    });
    let max_length = encoder.max_length();
    Ok((samples.collect::<Result<_>>()?, How::Texts { max_length }))
}

/// Texts as tokens.
fn texts(
    settings: &Settings,
    ports: &[AtPort],
    outputs: &dyn Outputs,
    loaded: &Loaded,
    cx: &StageContext<'_>,
) -> Result<(Vec<Inputs>, How)> {
    let name = |column: &Option<Spanned<String>>| column.as_ref().map(|name| name.value.clone());
    let columns = Columns {
        first: name(&settings.columns.text_column).unwrap_or_default(),
        second: name(&settings.columns.text_pair_column),
        apart: outputs.apart().map(<[String]>::to_vec),
    };
    let sentences = ports.iter().map(|samples| samples.sentences(&columns));
    let sentences = sentences.collect::<Result<Vec<_>>>()?;
    let encoder = encoder(settings, loaded, cx)?;
    let tokens = ports.iter().zip(&sentences);
    let tokens = tokens.map(|(samples, texts)| samples.tokens(texts, &encoder, cx));
    let max_length = encoder.max_length();
    Ok((tokens.collect::<Result<_>>()?, How::Texts { max_length }))
}

/// Images, which are read when their turn comes.
fn images(
    settings: &Settings,
    ports: &[AtPort],
    loaded: &Loaded,
    cx: &StageContext<'_>,
) -> Result<(Vec<Inputs>, How)> {
    let network = &loaded.network;
    let asked = photos::asked("model", network, cx)?;
    let input = ports[0].seen(asked, cx);
    for others in &ports[1..] {
        others.refuse_others(input)?;
    }
    let mut changes = settings.changes.changes(cx.seed());
    let inputs = ports.iter().map(|samples| {
        let changes = std::mem::take(&mut changes);
        samples.images(network, asked, changes)
    });
    Ok((inputs.collect::<Result<_>>()?, How::Images { input }))
}

/// Reports how many samples to measure on the model trains on.
fn report_shared(train: &Samples, validation: &Samples, cx: &StageContext<'_>) {
    let shared = validation.also_in(train);
    if shared > 0 {
        let all = validation.len();
        cx.notice(match validation.inputs {
            Inputs::Texts(_) | Inputs::Rewritten(_) => {
                format!("{shared} of {all} validation texts are also in the training table")
            }
            Inputs::Images(_) => {
                format!("{shared} of {all} validation images are also among those to train on")
            }
        });
    }
}
