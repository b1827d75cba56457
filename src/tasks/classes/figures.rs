//! Figures of a classifier, with scikit-learn's definitions: the registry of their names and the report of all of them.
//!
//! With two labels, `precision`, `recall` and `f1` are those of the second, positive one; with more, macro means. A mean over
//! classes takes in those that occur in the truth or in the predictions; a ratio whose denominator is zero is 0. A figure that the data
//! leave undefined (AUROC when a class has no sample) is left out and named in [`Report::undefined`]: it is never NaN.

mod counts;
mod scores;

use counts::Counts;
use serde_json::json;

use crate::error::Result;
use crate::tasks::Report;
use crate::train::Metric;

/// How many bins probabilities fall into where they are held against how often they are right.
const BINS: usize = 15;

/// A metric, and how it is computed.
pub(super) struct Figure {
    pub(super) metric: Metric,
    compute: fn(&Predictions, &Counts) -> Option<f64>,
}

/// By this figure epochs that are equally good are told apart.
pub(super) static LOG_LOSS: Metric = Metric {
    name: "log_loss",
    about: "mean negative log-likelihood of the true label",
    higher_is_better: false,
};

/// Every metric of a classifier, in the order of documentation.
pub(super) static METRICS: &[Figure] = &[
    Figure {
        metric: Metric {
            name: "accuracy",
            about: "share of samples whose most likely label is right",
            higher_is_better: true,
        },
        compute: |_, counts| Some(counts.accuracy()),
    },
    Figure {
        metric: Metric {
            name: "balanced_accuracy",
            about: "mean recall over the labels that occur in the truth",
            higher_is_better: true,
        },
        compute: |_, counts| Some(counts.balanced_accuracy()),
    },
    Figure {
        metric: Metric {
            name: "precision",
            about: "precision of the positive label (the last of two), or the mean over more than two",
            higher_is_better: true,
        },
        compute: |_, counts| Some(counts.binary_or_macro(|class| class.precision)),
    },
    Figure {
        metric: Metric {
            name: "recall",
            about: "recall of the positive label (the last of two), or the mean over more than two",
            higher_is_better: true,
        },
        compute: |_, counts| Some(counts.binary_or_macro(|class| class.recall)),
    },
    Figure {
        metric: Metric {
            name: "f1",
            about: "F1 of the positive label (the last of two), or the mean over more than two",
            higher_is_better: true,
        },
        compute: |_, counts| Some(counts.binary_or_macro(|class| class.f1)),
    },
    Figure {
        metric: Metric {
            name: "macro_f1",
            about: "mean F1 over all labels",
            higher_is_better: true,
        },
        compute: |_, counts| Some(counts.macro_mean(|class| class.f1)),
    },
    Figure {
        metric: Metric {
            name: "micro_f1",
            about: "F1 over all decisions, which equals accuracy when each sample has one label",
            higher_is_better: true,
        },
        compute: |_, counts| Some(counts.accuracy()),
    },
    Figure {
        metric: Metric {
            name: "weighted_f1",
            about: "mean F1 weighted by how often each label occurs",
            higher_is_better: true,
        },
        compute: |_, counts| Some(counts.weighted_mean(|class| class.f1)),
    },
    Figure {
        metric: Metric {
            name: "mcc",
            about: "Matthews correlation coefficient",
            higher_is_better: true,
        },
        compute: |_, counts| Some(counts.mcc()),
    },
    Figure {
        metric: Metric {
            name: "auroc",
            about: "area under the ROC curve; the mean of one label against the rest for more than two",
            higher_is_better: true,
        },
        compute: |predictions, _| scores::auroc(predictions),
    },
    Figure {
        metric: Metric {
            name: "ece",
            about: "expected calibration error of the most likely label, in 15 bins of equal width",
            higher_is_better: false,
        },
        compute: |predictions, _| Some(scores::expected_calibration_error(predictions, BINS)),
    },
    Figure {
        metric: Metric {
            name: "log_loss",
            about: "mean negative log-likelihood of the true label",
            higher_is_better: false,
        },
        compute: |predictions, _| Some(scores::log_loss(predictions)),
    },
];

/// What a model says about samples whose labels are known.
#[derive(Clone, Debug)]
pub(super) struct Predictions {
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
    pub(super) fn from_logits(logits: &[f32], truth: &[u32], classes: usize) -> Result<Self> {
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
    pub(super) fn len(&self) -> usize {
        self.truth.len()
    }

    /// Whether there is no sample.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.truth.is_empty()
    }

    /// Each sample's true label with the probabilities of all labels.
    fn rows(&self) -> impl Iterator<Item = (usize, &[f64])> {
        self.truth
            .iter()
            .copied()
            .zip(self.probabilities.chunks_exact(self.classes))
    }

    /// The negative log-likelihood of each sample's true label.
    pub(super) fn losses(&self) -> impl Iterator<Item = f64> {
        scores::losses(self)
    }

    /// The most likely label of each sample; of equally likely ones the first.
    pub(super) fn predicted(&self) -> impl Iterator<Item = usize> {
        self.rows().map(|(_, row)| most_likely(row))
    }
}

/// Turns `logits` [samples × classes] into probabilities (softmax in double precision).
///
/// # Errors
/// If a logit is not finite.
pub(in crate::tasks) fn probabilities(logits: &[f32], classes: usize) -> Result<Vec<f64>> {
    crate::tasks::check_finite(logits, classes)?;
    Ok(logits.chunks_exact(classes).flat_map(softmax).collect())
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

/// All figures of one set of predictions; none of nothing.
pub(super) fn report(predictions: &Predictions, labels: &[String]) -> Report {
    let counts = Counts::new(predictions, labels);
    let figures = METRICS.iter().map(|figure| {
        let defined = !predictions.is_empty();
        let computed = defined.then(|| (figure.compute)(predictions, &counts));
        (figure.metric.name, computed.flatten())
    });
    let mut report = Report::new(predictions.len(), figures);
    report.table = table(&counts);
    let details = [
        ("classes", json!(counts.classes)),
        ("confusion", json!(counts.confusion)),
        ("reliability", scores::reliability(predictions, BINS)),
    ];
    let details = details.map(|(name, value)| (name.to_string(), value));
    report.details.extend(details);
    report
}

/// The table by class, one line each, for a log.
fn table(counts: &Counts) -> Vec<String> {
    let width = counts
        .classes
        .iter()
        .map(|class| class.label.chars().count());
    let width = width.max().unwrap_or(0).max("label".len());
    let header = format!("{:width$}  precision  recall      f1  support", "label");
    let rows = counts.classes.iter().map(|class| {
        format!(
            "{:width$}  {:9.4}  {:6.4}  {:6.4}  {:7}",
            class.label, class.precision, class.recall, class.f1, class.support
        )
    });
    std::iter::once(header).chain(rows).collect()
}

#[cfg(test)]
mod tests;
