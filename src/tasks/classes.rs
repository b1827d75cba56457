//! One label a sample.

mod cross_entropy;
mod figures;
mod read;

use std::sync::Arc;

pub use cross_entropy::CrossEntropy;
use figures::METRICS;
pub(super) use figures::probabilities;
pub(super) use read::Classes;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::class_weights::ClassWeights;
use super::labels::{self, Least, Written};
use super::{Decided, Outputs, Reading, TargetKind, fields};
use crate::config::{Parts, Spanned};
use crate::data::{Table, labels as of_tables};
use crate::error::{Error, Result, Span};
use crate::models::{Card, Modality, Problem};
use crate::train::{Loss, Metric, Targets};

/// One label a sample.
pub(super) const ONE_LABEL: OneLabel = OneLabel;

pub(super) struct OneLabel;

/// The column of texts.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
struct Column {
    /// The column with the labels of texts. Default: `label`.
    target_column: Option<Spanned<String>>,
}

/// The labels.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
struct Labels {
    /// The labels, in the order of the model's outputs; of two labels the second is the positive one. Default: those of the samples
    /// to train on and of `validation`, in the order of the model's own if it has the same, else in alphabetical order. A head that
    /// the model has for the same labels in the same order learns on; for other labels a new one takes its place.
    labels: Option<Vec<Spanned<String>>>,
    /// Instead of `labels`: a text file with one label a line, relative to this one.
    labels_file: Option<Spanned<String>>,
}

/// How much targets count.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
struct Weights {
    /// Share of each target that is spread evenly over all labels.
    #[serde(default = "zero")]
    #[schemars(range(min = 0, max = 1))]
    label_smoothing_factor: Spanned<f64>,
    /// How much the samples of each label count: "balanced" gives every label the same share, a table a weight to each. Default: 1.
    #[serde(default)]
    class_weights: Option<Spanned<ClassWeights>>,
}

fn zero() -> Spanned<f64> {
    0.0.into()
}

impl TargetKind for OneLabel {
    fn problem(&self) -> Problem {
        Problem::SingleLabelClassification
    }

    fn metrics(&self) -> Vec<&'static Metric> {
        METRICS.iter().map(|metric| &metric.metric).collect()
    }

    fn tie_breaker(&self) -> &'static Metric {
        &figures::LOG_LOSS
    }

    fn keys(&self, modality: Modality) -> Vec<&'static str> {
        let column = match modality {
            Modality::Texts => fields::<Column>(),
            Modality::Images => &[],
        };
        [column, fields::<Labels>(), fields::<Weights>()].concat()
    }

    fn parse(&self, parts: &mut Parts<'_>, modality: Modality) -> Result<Box<dyn Reading>> {
        let column = match modality {
            Modality::Texts => {
                let column: Column = parts.read()?;
                Some(
                    column
                        .target_column
                        .unwrap_or_else(|| labels::OF_IMAGES.to_string().into()),
                )
            }
            Modality::Images => None,
        };
        let names: Labels = parts.read()?;
        let weights: Weights = parts.read()?;
        let place = parts.table().span.clone();
        let written = Written::new(
            names.labels.as_ref(),
            names.labels_file.as_ref(),
            Least::Two,
            &place,
        )?;
        let smoothing = &weights.label_smoothing_factor;
        if !(0.0..1.0).contains(&smoothing.value) {
            let error = Error::usage(format!(
                "`label_smoothing_factor` is {}; it must be at least 0 and below 1",
                smoothing.value
            ));
            return Err(smoothing.blame(error, ""));
        }
        let reading = OneLabelReading {
            column: Column {
                target_column: column,
            },
            names,
            written,
            weights,
        };
        if let Written::List(labels) = &reading.written {
            let labels: Vec<_> = labels.iter().map(|label| label.value.clone()).collect();
            reading.check_class_weights(&labels)?;
        }
        Ok(Box::new(reading))
    }

    fn schemas(&self, generator: &mut SchemaGenerator) -> Vec<Schema> {
        vec![
            generator.subschema_for::<Column>(),
            generator.subschema_for::<Labels>(),
            generator.subschema_for::<Weights>(),
        ]
    }

    fn open(
        &self,
        card: &Card,
        modality: Modality,
        columns: Option<Vec<String>>,
    ) -> Result<Box<dyn Outputs>> {
        let tuned = card.tuned_by();
        let own = || Some(vec![tuned.word("target_column")?.to_owned()]);
        let column = columns
            .or_else(own)
            .map(|mut columns| columns.swap_remove(0));
        Ok(Box::new(Classes {
            labels: card.labels.clone(),
            column,
            modality,
        }))
    }
}

#[derive(Debug)]
struct OneLabelReading {
    column: Column,
    names: Labels,
    written: Written,
    weights: Weights,
}

impl Reading for OneLabelReading {
    fn settings(&self) -> [Map<String, Value>; 2] {
        let mut read = super::object(&self.column);
        read.append(&mut super::object(&self.names));
        [read, super::object(&self.weights)]
    }

    fn file(&self) -> Option<(&'static str, std::path::PathBuf, Span)> {
        self.written.file()
    }

    fn check(&self) -> Result<()> {
        match self.written.read(Least::Two)? {
            Some(labels) => self.check_class_weights(&labels),
            None => Ok(()),
        }
    }

    fn outputs(&self, samples: &[(&str, Table)], own: &[String]) -> Result<Decided> {
        let mut told = Vec::new();
        let labels = if let Some(labels) = self.written.read(Least::Two)? {
            labels
        } else {
            let found = samples.iter().map(|(port, table)| self.found(port, table));
            let labels = labels::together(found.collect::<Result<_>>()?, own);
            if let [only] = &labels[..] {
                return Err(Error::stage(format!(
                    "all samples at port `train` have the label `{only}`: a classifier needs two"
                )));
            }
            if self.column.target_column.is_some() {
                told.push(format!(
                    "`labels` are those of the samples: {}",
                    labels.join(", ")
                ));
            }
            labels
        };
        self.check_class_weights(&labels)?;
        let column = self.column.target_column.as_ref();
        let outputs = Classes {
            labels,
            column: column.map(|column| column.value.clone()),
            modality: if column.is_some() {
                Modality::Texts
            } else {
                Modality::Images
            },
        };
        Ok(Decided {
            outputs: Box::new(outputs),
            told,
        })
    }

    #[expect(clippy::cast_possible_truncation, reason = "losses are 32-bit floats")]
    fn loss(&self, names: &[String], train: &Targets) -> Result<Arc<dyn Loss>> {
        let weights = match self.weights.class_weights.as_ref().map(|set| &set.value) {
            None => vec![1.0; names.len()],
            Some(ClassWeights::Balanced) => {
                CrossEntropy::balanced(&read::counts(train.classes(), names.len()))
            }
            Some(ClassWeights::Table(table)) => {
                let weight = |label: &String| table.get(label).map_or(1.0, |weight| *weight as f32);
                names.iter().map(weight).collect()
            }
        };
        let smoothing = self.weights.label_smoothing_factor.value as f32;
        Ok(Arc::new(CrossEntropy::new(weights, smoothing)))
    }
}

impl OneLabelReading {
    /// The labels of the samples at input `port`, sorted.
    fn found(&self, port: &str, table: &Table) -> Result<Vec<String>> {
        let Some(column) = &self.column.target_column else {
            // A set of images may be small, and its labels are the names of its folders.
            let mut labels = table.values(labels::OF_IMAGES)?;
            labels.sort();
            labels.dedup();
            return Ok(labels);
        };
        of_tables::found(table, &column.value)
            .map_err(|error| error.note(format!("in the table of port `{port}`")))
    }

    /// Refuses class weights for other labels.
    fn check_class_weights(&self, labels: &[String]) -> Result<()> {
        match &self.weights.class_weights {
            Some(weights) => weights
                .value
                .check("class_weights", labels, |error| weights.blame(error, "")),
            None => Ok(()),
        }
    }
}
