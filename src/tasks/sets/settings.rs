//! The settings of samples with several labels.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::outputs::{Sets, Source};
use super::{BinaryCrossEntropy, figures};
use crate::config::{Parts, Spanned};
use crate::data::Table;
use crate::error::{Error, Result, Span};
use crate::models::{Card, Modality};
use crate::tasks::class_weights::ClassWeights;
use crate::tasks::labels::{self, Least, Written};
use crate::tasks::{Decided, Outputs, Reading, object};
use crate::train::{Loss, Rows, Targets};

/// Where the labels of a sample are.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[expect(clippy::struct_field_names, reason = "the names of the settings")]
pub(super) struct Columns {
    /// The column with the labels of texts: lists, or text with `label_separator`. Default: `labels`.
    pub(super) target_column: Option<Spanned<String>>,
    /// Instead of `target_column`: a 0/1 column for each label, which is called as the label.
    pub(super) target_columns: Option<Vec<Spanned<String>>>,
    /// What stands between two labels of a sample, such as `","`, where they are not in a list.
    pub(super) label_separator: Option<Spanned<String>>,
}

/// The labels.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub(super) struct Labels {
    /// The labels, in the order of the model's outputs. Default: `target_columns`, else those of the samples to train on and of
    /// `validation`, in the order of the model's own if it has the same, else in alphabetical order.
    pub(super) labels: Option<Vec<Spanned<String>>>,
    /// Instead of `labels`: a text file with one label a line, relative to this one.
    pub(super) labels_file: Option<Spanned<String>>,
}

/// How much labels count, and from which probability on they are there.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub(super) struct Weights {
    /// How much a label counts where it is there, beside 1 where it is not: "balanced" for as many times as it is absent more often
    /// than there, a table for a weight by label. Default: 1.
    #[serde(default)]
    pub(super) pos_weight: Option<Spanned<ClassWeights>>,
    /// From which probability on a sample has a label: a number, or after training the ones that are best on `validation`, `"f1"` for
    /// one a label, `"micro_f1"` for one for all. Default: 0.5.
    #[serde(default)]
    pub(super) threshold: Option<Spanned<Threshold>>,
}

/// From which probability on a sample has a label.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Threshold {
    /// The same for all.
    Fixed(f32),
    /// Chosen after training.
    Chosen(By),
}

/// The figure by which thresholds are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum By {
    /// The F1 of each label.
    F1,
    /// The F1 over all decisions.
    MicroF1,
}

#[derive(Debug)]
pub(super) struct SetsReading {
    columns: Columns,
    names: Labels,
    weights: Weights,
    written: Written,
    source: Source,
}

impl SetsReading {
    pub(super) fn parse(parts: &mut Parts<'_>, modality: Modality) -> Result<Self> {
        let mut columns: Columns = parts.read()?;
        let names: Labels = parts.read()?;
        let weights: Weights = parts.read()?;
        let place = &parts.table().span;
        let separator = columns.label_separator.as_ref();
        if let Some(separator) = separator.filter(|separator| separator.value.is_empty()) {
            return Err(separator.blame(Error::usage("`label_separator` is empty"), ""));
        }
        let source = source(&mut columns, modality)?;
        let listed: Option<Vec<_>> = columns.target_columns.clone();
        if let (Some(listed), Some(labels)) = (&listed, names.labels.as_ref()) {
            let (first, second) = (listed.first(), labels.first());
            let error =
                Error::usage("`target_columns` are the labels, and `labels` name them again")
                    .help("leave `labels` out");
            return Err(match (first, second) {
                (Some(first), Some(second)) => first.blame_also(second, error),
                _ => error,
            });
        }
        let written = listed.as_ref().or(names.labels.as_ref());
        let written = Written::new(written, names.labels_file.as_ref(), Least::One, place)?;
        if let Some(threshold) = &weights.threshold
            && let Threshold::Fixed(number) = threshold.value
            && !(number > 0.0 && number < 1.0)
        {
            let error = Error::usage(format!(
                "`threshold` is {number}; it must be between 0 and 1"
            ));
            return Err(threshold.blame(error, ""));
        }
        let reading = Self {
            columns,
            names,
            weights,
            written,
            source,
        };
        if let Some(labels) = reading.listed() {
            reading.check_labels(&labels)?;
        }
        Ok(reading)
    }

    /// The labels that the pipeline lists.
    fn listed(&self) -> Option<Vec<String>> {
        match &self.written {
            Written::List(labels) => Some(labels.iter().map(|label| label.value.clone()).collect()),
            _ => None,
        }
    }

    /// Refuses labels in which the separator stands, and weights for others.
    fn check_labels(&self, labels: &[String]) -> Result<()> {
        if let Some(separator) = &self.columns.label_separator
            && let Some(label) = labels.iter().find(|label| label.contains(&separator.value))
        {
            let error = Error::usage(format!(
                "the label `{label}` holds the separator `{}`",
                separator.value
            ));
            return Err(separator
                .blame(error, "")
                .help("write another one between the labels of a sample, or use lists"));
        }
        match &self.weights.pos_weight {
            Some(weights) => weights
                .value
                .check("pos_weight", labels, |error| weights.blame(error, "")),
            None => Ok(()),
        }
    }

    /// Whether thresholds are chosen after training, and by what.
    fn chosen(&self) -> Option<By> {
        match self.weights.threshold.as_ref()?.value {
            Threshold::Chosen(by) => Some(by),
            Threshold::Fixed(_) => None,
        }
    }
}

/// Where the labels of samples are; fills in the default.
fn source(columns: &mut Columns, modality: Modality) -> Result<Source> {
    let separator = columns
        .label_separator
        .as_ref()
        .map(|some| some.value.clone());
    if modality == Modality::Images {
        for (name, column) in [
            ("target_column", columns.target_column.as_ref()),
            (
                "target_columns",
                columns.target_columns.as_ref().and_then(|all| all.first()),
            ),
        ] {
            if let Some(column) = column {
                let error = Error::usage(format!("`{name}` is for texts, not for images"))
                    .help("the stage that makes the images names their column: `label_column`");
                return Err(column.blame(error, ""));
            }
        }
        return Ok(Source::Images(separator));
    }
    match (&columns.target_column, &columns.target_columns) {
        (Some(one), Some(_)) => Err(one.blame(
            Error::usage("`target_column` and `target_columns` cannot both be set"),
            "",
        )),
        (None, Some(columns)) => match &separator {
            Some(_) => Err(Error::usage(
                "`label_separator` stands between labels in one column, and `target_columns` are a column each",
            )),
            None => Ok(Source::Flags(
                columns.iter().map(|column| column.value.clone()).collect(),
            )),
        },
        (column, None) => {
            let column = column
                .clone()
                .unwrap_or_else(|| "labels".to_string().into());
            columns.target_column = Some(column.clone());
            Ok(Source::Lists(column.value, separator))
        }
    }
}

impl Reading for SetsReading {
    fn settings(&self) -> [Map<String, Value>; 2] {
        let mut read = object(&self.columns);
        read.append(&mut object(&self.names));
        [read, object(&self.weights)]
    }

    fn file(&self) -> Option<(&'static str, PathBuf, Span)> {
        self.written.file()
    }

    fn check(&self) -> Result<()> {
        match self.written.read(Least::One)? {
            Some(labels) => self.check_labels(&labels),
            None => Ok(()),
        }
    }

    fn needs_validation(&self) -> Option<(&'static str, Option<Span>)> {
        self.chosen()?;
        let setting = self.weights.threshold.as_ref()?;
        Some(("threshold", setting.span.clone()))
    }

    fn outputs(&self, samples: &[(&str, Table)], own: &[String]) -> Result<Decided> {
        let mut told = Vec::new();
        let labels = if let Some(labels) = self.written.read(Least::One)? {
            labels
        } else {
            let found = samples.iter().map(|(port, table)| {
                let rows = self.source.lists(table);
                let rows = rows.map_err(|error| error.note(format!("at port `{port}`")))?;
                let distinct: std::collections::BTreeSet<String> =
                    rows.into_iter().flatten().collect();
                let mut found: Vec<String> = distinct.into_iter().collect();
                crate::data::labels::sort(&mut found);
                Ok(found)
            });
            let labels = labels::together(found.collect::<Result<_>>()?, own);
            if labels.is_empty() {
                return Err(Error::stage("no sample has a label"));
            }
            told.push(format!(
                "`labels` are those of the samples: {}",
                labels.join(", ")
            ));
            labels
        };
        self.check_labels(&labels)?;
        let threshold = match self.weights.threshold.as_ref().map(|set| set.value) {
            Some(Threshold::Fixed(number)) => number,
            _ => Card::THRESHOLD,
        };
        let outputs = Sets {
            thresholds: vec![threshold; labels.len()],
            labels,
            source: Some(self.source.clone()),
        };
        Ok(Decided {
            outputs: Box::new(outputs),
            told,
        })
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "losses are 32-bit floats, and counts far below 2^24"
    )]
    fn loss(&self, names: &[String], train: &Targets) -> Result<Arc<dyn Loss>> {
        let weights = match self.weights.pos_weight.as_ref().map(|set| &set.value) {
            None => vec![1.0; names.len()],
            Some(ClassWeights::Balanced) => {
                let rows = train.rows();
                let weight = |label: usize| {
                    let there = rows.column(label).sum::<f32>();
                    let absent = rows.len() as f32 - there;
                    if there > 0.0 {
                        absent.max(1.0) / there
                    } else {
                        1.0
                    }
                };
                (0..names.len()).map(weight).collect()
            }
            Some(ClassWeights::Table(table)) => {
                let weight = |label: &String| table.get(label).map_or(1.0, |weight| *weight as f32);
                names.iter().map(weight).collect()
            }
        };
        Ok(Arc::new(BinaryCrossEntropy::new(weights)))
    }

    fn settle(
        &self,
        outputs: Box<dyn Outputs>,
        validation: Option<(&[f32], &Targets)>,
    ) -> Result<Decided> {
        let (Some(by), Some((found, targets))) = (self.chosen(), validation) else {
            return Ok(outputs.into());
        };
        let labels = outputs.names().to_vec();
        let rows: &Rows = targets.rows();
        let probabilities = figures::probabilities(found, rows.width)?;
        let thresholds = match by {
            By::F1 => (0..rows.width)
                .map(|label| figures::best_threshold(&probabilities, rows, label..label + 1))
                .collect(),
            By::MicroF1 => {
                let threshold = figures::best_threshold(&probabilities, rows, 0..rows.width);
                vec![threshold; rows.width]
            }
        };
        let named: BTreeMap<&String, &f32> = labels.iter().zip(&thresholds).collect();
        let told = named
            .iter()
            .map(|(label, threshold)| format!("{label} {threshold:.3}"));
        let told = format!(
            "thresholds, chosen on `validation`: {}",
            told.collect::<Vec<_>>().join(", ")
        );
        Ok(Decided {
            outputs: Box::new(Sets {
                labels,
                thresholds,
                source: Some(self.source.clone()),
            }),
            told: vec![told],
        })
    }
}
