//! Figures that need only which label was predicted: everything from the confusion matrix.

use serde::Serialize;

use super::Predictions;

/// The figures of one label.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct ClassFigures {
    /// The label.
    pub label: String,
    /// Of the samples that were given this label, the share that has it.
    pub precision: f64,
    /// Of the samples that have this label, the share that was given it.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
    /// How many samples have this label.
    pub support: u64,
}

/// The confusion matrix and the figures of each label.
pub(super) struct Counts {
    pub(super) confusion: Vec<Vec<u64>>,
    pub(super) classes: Vec<ClassFigures>,
    /// How many samples were given each label.
    predicted: Vec<u64>,
    samples: u64,
}

impl Counts {
    pub(super) fn new(predictions: &Predictions, labels: &[String]) -> Self {
        assert_eq!(labels.len(), predictions.classes, "a name for each class");
        let mut confusion = vec![vec![0; labels.len()]; labels.len()];
        for ((truth, _), predicted) in predictions.rows().zip(predictions.predicted()) {
            confusion[truth][predicted] += 1;
        }
        let predicted = (0..labels.len())
            .map(|class| confusion.iter().map(|row: &Vec<u64>| row[class]).sum())
            .collect::<Vec<u64>>();
        let classes = labels
            .iter()
            .enumerate()
            .map(|(class, label)| {
                let hits = confusion[class][class];
                let support = confusion[class].iter().sum();
                ClassFigures {
                    label: label.clone(),
                    precision: ratio(hits, predicted[class]),
                    recall: ratio(hits, support),
                    f1: ratio(2 * hits, support + predicted[class]),
                    support,
                }
            })
            .collect();
        Self {
            confusion,
            classes,
            predicted,
            samples: predictions.len() as u64,
        }
    }

    pub(super) fn accuracy(&self) -> f64 {
        ratio(self.hits(), self.samples)
    }

    fn hits(&self) -> u64 {
        self.confusion
            .iter()
            .enumerate()
            .map(|(class, row)| row[class])
            .sum()
    }

    pub(super) fn balanced_accuracy(&self) -> f64 {
        mean(
            self.classes
                .iter()
                .filter(|class| class.support > 0)
                .map(|class| class.recall),
        )
    }

    /// The figure of the second of two labels, or the macro mean.
    pub(super) fn binary_or_macro(&self, figure: fn(&ClassFigures) -> f64) -> f64 {
        match self.classes.as_slice() {
            [_, positive] => figure(positive),
            _ => self.macro_mean(figure),
        }
    }

    /// The mean over the labels that occur in the truth or in the predictions.
    pub(super) fn macro_mean(&self, figure: fn(&ClassFigures) -> f64) -> f64 {
        mean(
            self.classes
                .iter()
                .zip(&self.predicted)
                .filter(|(class, predicted)| class.support + **predicted > 0)
                .map(|(class, _)| figure(class)),
        )
    }

    /// The mean weighted by support.
    pub(super) fn weighted_mean(&self, figure: fn(&ClassFigures) -> f64) -> f64 {
        let weighted = self
            .classes
            .iter()
            .map(|class| figure(class) * as_float(class.support));
        weighted.sum::<f64>() / as_float(self.samples)
    }

    /// Matthews correlation coefficient for any number of classes (Gorodkin 2004, "Comparing two K-category assignments
    /// by a K-category correlation coefficient"); 0 if the truth or the predictions hold one label only.
    pub(super) fn mcc(&self) -> f64 {
        let samples = as_float(self.samples);
        let sum = |pairs: &mut dyn Iterator<Item = (u64, u64)>| {
            pairs.map(|(a, b)| as_float(a) * as_float(b)).sum::<f64>()
        };
        let support = || self.classes.iter().map(|class| class.support);
        let predicted = || self.predicted.iter().copied();
        let covariance = as_float(self.hits()) * samples - sum(&mut support().zip(predicted()));
        let truth_variance = samples * samples - sum(&mut support().zip(support()));
        let predicted_variance = samples * samples - sum(&mut predicted().zip(predicted()));
        if truth_variance == 0.0 || predicted_variance == 0.0 {
            return 0.0;
        }
        covariance / (truth_variance * predicted_variance).sqrt()
    }
}

/// `part / whole`, 0 if the whole is nothing.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        as_float(part) / as_float(whole)
    }
}

fn mean(figures: impl Iterator<Item = f64>) -> f64 {
    let figures = figures.collect::<Vec<_>>();
    figures.iter().sum::<f64>() / as_float(figures.len() as u64)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of samples stay far below 2^53"
)]
fn as_float(count: u64) -> f64 {
    count as f64
}
