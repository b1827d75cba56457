//! Figures of a classifier, with scikit-learn's definitions: the registry of their names and the report of all of them.
//!
//! With two labels, `precision`, `recall` and `f1` are those of the second, positive one; with more, macro means. A mean over
//! classes takes in those that occur in the truth or in the predictions; a ratio whose denominator is zero is 0. A figure that the data
//! leave undefined (AUROC when a class has no sample) is left out and named in [`Report::undefined`]: it is never NaN.

mod counts;
mod scores;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

pub use counts::ClassFigures;
use counts::Counts;

/// A figure that can be asked for by name.
#[derive(Debug)]
pub struct Metric {
    /// Its name in settings, gates and reports.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// Whether more is better.
    pub higher_is_better: bool,
    compute: fn(&Predictions, &Counts) -> Option<f64>,
}

/// Every metric of a classifier, in the order of documentation.
pub const METRICS: &[Metric] = &[
    Metric {
        name: "accuracy",
        about: "share of samples whose most likely label is right",
        higher_is_better: true,
        compute: |_, counts| Some(counts.accuracy()),
    },
    Metric {
        name: "balanced_accuracy",
        about: "mean recall over the labels that occur in the truth",
        higher_is_better: true,
        compute: |_, counts| Some(counts.balanced_accuracy()),
    },
    Metric {
        name: "precision",
        about: "precision of the positive label (the last of two), or the mean over more than two",
        higher_is_better: true,
        compute: |_, counts| Some(counts.binary_or_macro(|class| class.precision)),
    },
    Metric {
        name: "recall",
        about: "recall of the positive label (the last of two), or the mean over more than two",
        higher_is_better: true,
        compute: |_, counts| Some(counts.binary_or_macro(|class| class.recall)),
    },
    Metric {
        name: "f1",
        about: "F1 of the positive label (the last of two), or the mean over more than two",
        higher_is_better: true,
        compute: |_, counts| Some(counts.binary_or_macro(|class| class.f1)),
    },
    Metric {
        name: "macro_f1",
        about: "mean F1 over all labels",
        higher_is_better: true,
        compute: |_, counts| Some(counts.macro_mean(|class| class.f1)),
    },
    Metric {
        name: "micro_f1",
        about: "F1 over all decisions, which equals accuracy when each sample has one label",
        higher_is_better: true,
        compute: |_, counts| Some(counts.accuracy()),
    },
    Metric {
        name: "weighted_f1",
        about: "mean F1 weighted by how often each label occurs",
        higher_is_better: true,
        compute: |_, counts| Some(counts.weighted_mean(|class| class.f1)),
    },
    Metric {
        name: "mcc",
        about: "Matthews correlation coefficient",
        higher_is_better: true,
        compute: |_, counts| Some(counts.mcc()),
    },
    Metric {
        name: "auroc",
        about: "area under the ROC curve; the mean of one label against the rest for more than two",
        higher_is_better: true,
        compute: |predictions, _| scores::auroc(predictions),
    },
    Metric {
        name: "ece",
        about: "expected calibration error of the most likely label, in 15 bins of equal width",
        higher_is_better: false,
        compute: |predictions, _| Some(scores::expected_calibration_error(predictions, 15)),
    },
    Metric {
        name: "log_loss",
        about: "mean negative log-likelihood of the true label",
        higher_is_better: false,
        compute: |predictions, _| Some(scores::log_loss(predictions)),
    },
];

/// The metric called `name`.
///
/// # Errors
/// If there is none, with the names that there are.
pub fn find(name: &str) -> Result<&'static Metric> {
    METRICS
        .iter()
        .find(|metric| metric.name == name)
        .ok_or_else(|| {
            let known = METRICS.iter().map(|metric| metric.name).collect::<Vec<_>>();
            Error::usage(format!("unknown metric `{name}`"))
                .note(format!("known metrics: {}", known.join(", ")))
                .did_you_mean(name, known)
        })
}

/// What a model says about samples whose labels are known.
#[derive(Clone, Debug)]
pub struct Predictions {
    /// Probabilities, [samples × classes], row by row.
    probabilities: Vec<f64>,
    /// The index of the true label of each sample.
    truth: Vec<usize>,
    classes: usize,
}

impl Predictions {
    /// Turns `logits` [samples × classes] into probabilities (softmax in double precision).
    ///
    /// # Errors
    /// If a logit is not finite.
    ///
    /// # Panics
    /// If the lengths do not agree or a true label is not below `classes`.
    pub fn from_logits(logits: &[f32], truth: &[u32], classes: usize) -> Result<Self> {
        assert_eq!(
            logits.len(),
            truth.len() * classes,
            "one row of logits a sample"
        );
        assert!(
            truth.iter().all(|&label| (label as usize) < classes),
            "labels below {classes}"
        );
        Ok(Self {
            probabilities: probabilities(logits, classes)?,
            truth: truth.iter().map(|&label| label as usize).collect(),
            classes,
        })
    }

    /// How many samples there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.truth.len()
    }

    /// Whether there is no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.truth.is_empty()
    }

    /// Each sample's true label with the probabilities of all labels.
    fn rows(&self) -> impl Iterator<Item = (usize, &[f64])> {
        self.truth
            .iter()
            .copied()
            .zip(self.probabilities.chunks_exact(self.classes))
    }

    /// The most likely label of each sample; of equally likely ones the first.
    pub fn predicted(&self) -> impl Iterator<Item = usize> {
        self.rows().map(|(_, row)| most_likely(row))
    }
}

/// Turns `logits` [samples × classes] into probabilities (softmax in double precision).
///
/// # Errors
/// If a logit is not finite.
pub fn probabilities(logits: &[f32], classes: usize) -> Result<Vec<f64>> {
    match logits.iter().position(|logit| !logit.is_finite()) {
        None => Ok(logits.chunks_exact(classes).flat_map(softmax).collect()),
        Some(position) => Err(Error::stage(format!(
            "the model's output for sample {} is not a finite number",
            position / classes + 1
        ))
        .note("its weights are finite, but overflow")
        .help("if a training of yours made them, set a lower `learning_rate`; else take config.json and the weights from the same model")),
    }
}

fn softmax(logits: &[f32]) -> impl Iterator<Item = f64> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let shifted = move |logit: &f32| (f64::from(*logit) - f64::from(highest)).exp();
    let total = logits.iter().map(shifted).sum::<f64>();
    logits.iter().map(move |logit| shifted(logit) / total)
}

fn most_likely(row: &[f64]) -> usize {
    (0..row.len()).fold(
        0,
        |best, next| if row[next] > row[best] { next } else { best },
    )
}

/// All figures of one set of predictions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// How many samples they are over.
    pub samples: usize,
    /// Metric → figure, for every metric that is defined.
    pub figures: BTreeMap<String, f64>,
    /// The metrics that these samples leave undefined.
    pub undefined: Vec<String>,
    /// Label by label, in the order of the labels.
    pub classes: Vec<ClassFigures>,
    /// How many samples of each true label (row) were given each label (column).
    pub confusion: Vec<Vec<u64>>,
}

impl Report {
    /// Computes every metric.
    ///
    /// # Panics
    /// If there is no prediction.
    #[must_use]
    pub fn new(predictions: &Predictions, labels: &[String]) -> Self {
        assert!(!predictions.is_empty(), "no figures of nothing");
        let counts = Counts::new(predictions, labels);
        let mut figures = BTreeMap::new();
        let mut undefined = Vec::new();
        for metric in METRICS {
            match (metric.compute)(predictions, &counts) {
                Some(figure) => {
                    figures.insert(metric.name.to_string(), figure);
                }
                None => undefined.push(metric.name.to_string()),
            }
        }
        Self {
            samples: predictions.len(),
            figures,
            undefined,
            classes: counts.classes,
            confusion: counts.confusion,
        }
    }

    /// The table by class, one line each, for a log.
    #[must_use]
    pub fn table(&self) -> Vec<String> {
        let width = self.classes.iter().map(|class| class.label.chars().count());
        let width = width.max().unwrap_or(0).max("label".len());
        let header = format!("{:width$}  precision  recall      f1  support", "label");
        let rows = self.classes.iter().map(|class| {
            format!(
                "{:width$}  {:9.4}  {:6.4}  {:6.4}  {:7}",
                class.label, class.precision, class.recall, class.f1, class.support
            )
        });
        std::iter::once(header).chain(rows).collect()
    }
}

#[cfg(test)]
mod tests;
