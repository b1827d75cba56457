//! Figures of several labels a sample, with scikit-learn's definitions for indicator matrices and `zero_division=0`: a ratio whose
//! denominator is zero is 0, and a mean over labels takes in every label.

use std::ops::Range;

use serde_json::json;

use crate::error::Result;
use crate::models::Card;
use crate::tasks::report::{figures, reliability};
use crate::tasks::{Report, rank};
use crate::train::{Metric, Rows};

/// A metric, and how it is computed.
pub(super) struct Figure {
    pub(super) metric: Metric,
    compute: fn(&Found<'_>) -> Option<f64>,
}

/// By this figure epochs that are equally good are told apart.
pub(super) static LOG_LOSS: Metric = Metric {
    name: "log_loss",
    about: "mean negative log-likelihood of each label's being there or not",
    higher_is_better: false,
};

/// Every metric, in the order of documentation.
#[rustfmt::skip]
pub(super) static METRICS: &[Figure] = figures![
    ("macro_f1", "mean F1 over all labels", true,
        |found| Some(mean(found.labels().map(Counts::f1)))),
    ("micro_f1", "F1 over all decisions", true, |found| Some(found.all().f1())),
    ("weighted_f1", "mean F1 weighted by how often each label occurs", true, |found| Some(found.weighted_f1())),
    ("samples_f1", "mean F1 over the samples", true,
        |found| Some(mean(found.samples().map(Counts::f1)))),
    ("macro_precision", "mean precision over all labels", true,
        |found| Some(mean(found.labels().map(Counts::precision)))),
    ("macro_recall", "mean recall over all labels", true,
        |found| Some(mean(found.labels().map(Counts::recall)))),
    ("micro_precision", "precision over all decisions", true, |found| Some(found.all().precision())),
    ("micro_recall", "recall over all decisions", true, |found| Some(found.all().recall())),
    ("subset_accuracy", "share of samples whose labels are all right", true, |found| Some(found.subset_accuracy())),
    ("hamming_loss", "share of decisions that are wrong", false, |found| Some(found.hamming_loss())),
    ("map", "mean average precision over all labels; a label that no sample has counts 0", true,
        |found| Some(found.mean_average_precision())),
    ("auroc", "area under the ROC curve, the mean over the labels that some samples have and some have not", true, |found| found.auroc()),
    ("lrap", "label ranking average precision: how far up a sample's labels rank", true, |found| Some(found.label_ranking())),
    ("log_loss", "mean negative log-likelihood of each label's being there or not", false, |found| Some(found.log_loss())),
];

/// The probability of each label, `[samples × labels]`, each by a sigmoid of its own.
///
/// # Errors
/// If a logit is not finite.
pub(super) fn probabilities(logits: &[f32], labels: usize) -> Result<Vec<f64>> {
    crate::tasks::check_finite(logits, labels)?;
    let sigmoid = |logit: &f32| (1.0 + (-f64::from(*logit)).exp()).recip();
    Ok(logits.iter().map(sigmoid).collect())
}

/// Whether a label with this probability is there.
pub(super) fn is_there(probability: f64, threshold: f32) -> bool {
    probability >= f64::from(threshold)
}

/// What a model says about samples whose labels are known.
struct Found<'f> {
    logits: &'f [f32],
    probabilities: &'f [f64],
    truth: &'f Rows,
    thresholds: &'f [f32],
}

/// How many decisions were right, and how.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    hits: u64,
    /// Decisions that a label is there.
    said: u64,
    /// Labels that are there.
    there: u64,
}

impl Counts {
    fn add(&mut self, said: bool, there: bool) {
        self.said += u64::from(said);
        self.there += u64::from(there);
        self.hits += u64::from(said && there);
    }

    fn precision(self) -> f64 {
        ratio(self.hits, self.said)
    }

    fn recall(self) -> f64 {
        ratio(self.hits, self.there)
    }

    fn f1(self) -> f64 {
        ratio(2 * self.hits, self.said + self.there)
    }
}

impl Found<'_> {
    fn width(&self) -> usize {
        self.truth.width
    }

    /// For each label of a sample whether it is said to be there, and whether it is.
    fn row(&self, sample: usize) -> impl Iterator<Item = (bool, bool)> {
        let width = self.width();
        let range = sample * width..(sample + 1) * width;
        let said = self.probabilities[range.clone()]
            .iter()
            .zip(self.thresholds);
        let said = said.map(|(found, least)| is_there(*found, *least));
        said.zip(self.truth.numbers[range].iter().map(|there| *there > 0.0))
    }

    fn counts(decisions: impl Iterator<Item = (bool, bool)>) -> Counts {
        let mut counts = Counts::default();
        decisions.for_each(|(said, there)| counts.add(said, there));
        counts
    }

    fn labels(&self) -> impl Iterator<Item = Counts> {
        let mut labels = vec![Counts::default(); self.width()];
        for sample in 0..self.truth.len() {
            let decisions = labels.iter_mut().zip(self.row(sample));
            decisions.for_each(|(label, (said, there))| label.add(said, there));
        }
        labels.into_iter()
    }

    fn samples(&self) -> impl Iterator<Item = Counts> {
        (0..self.truth.len()).map(|sample| Self::counts(self.row(sample)))
    }

    fn all(&self) -> Counts {
        Self::counts((0..self.truth.len()).flat_map(|sample| self.row(sample)))
    }

    fn weighted_f1(&self) -> f64 {
        let there: u64 = self.labels().map(|label| label.there).sum();
        let weighted = self.labels().map(|label| label.f1() * float(label.there));
        match there {
            0 => 0.0,
            there => weighted.sum::<f64>() / float(there),
        }
    }

    fn subset_accuracy(&self) -> f64 {
        let right = |sample: &usize| self.row(*sample).all(|(said, there)| said == there);
        let samples = self.truth.len();
        ratio((0..samples).filter(right).count() as u64, samples as u64)
    }

    fn hamming_loss(&self) -> f64 {
        let decisions = (0..self.truth.len()).flat_map(|sample| self.row(sample));
        let wrong = decisions.filter(|(said, there)| said != there).count();
        ratio(wrong as u64, self.probabilities.len() as u64)
    }

    /// The probability of a label for each sample, and whether it is there.
    fn scored(&self, label: usize) -> Vec<(f64, bool)> {
        let found = self.probabilities.iter().skip(label).step_by(self.width());
        let there = self.truth.column(label).map(|there| there > 0.0);
        found.copied().zip(there).collect()
    }

    fn mean_average_precision(&self) -> f64 {
        mean((0..self.width()).map(|label| rank::average_precision(self.scored(label))))
    }

    /// The mean over the labels that some sample has and some has not; none if there is none.
    fn auroc(&self) -> Option<f64> {
        let areas = (0..self.width()).filter_map(|label| rank::area_under_roc(self.scored(label)));
        let areas: Vec<f64> = areas.collect();
        (!areas.is_empty()).then(|| mean(areas.into_iter()))
    }

    /// The mean over samples and their labels of the share of labels that rank as high or higher and are theirs; 1 for a sample with no
    /// label or with all (Tsoumakas et al. 2010, "Mining multi-label data").
    fn label_ranking(&self) -> f64 {
        let width = self.width();
        let rows = self.probabilities.chunks_exact(width.max(1));
        let of_rows = rows.zip(self.truth.iter()).map(|(found, truth)| {
            let there: Vec<bool> = truth.iter().map(|there| *there > 0.0).collect();
            let count = there.iter().filter(|there| **there).count();
            if count == 0 || count == width {
                return 1.0;
            }
            let precision = |label: usize| {
                let above = |other: &usize| found[*other] >= found[label];
                let all = (0..width).filter(above).count();
                let theirs = (0..width).filter(above).filter(|other| there[*other]);
                ratio(theirs.count() as u64, all as u64)
            };
            mean((0..width).filter(|label| there[*label]).map(precision))
        });
        mean(of_rows)
    }

    /// From the logits, so that what is sure and wrong is not cut off: ln(1 + e^x) − x·y.
    fn log_loss(&self) -> f64 {
        loss(self.logits, &self.truth.numbers)
    }
}

/// The mean negative log-likelihood of what is true, over so many logits.
pub(super) fn loss(logits: &[f32], truth: &[f32]) -> f64 {
    let pairs = logits.iter().zip(truth);
    mean(pairs.map(|(logit, there)| {
        let logit = f64::from(*logit);
        let wrong = if *there > 0.0 { -logit } else { logit };
        wrong.max(0.0) + (-wrong.abs()).exp().ln_1p()
    }))
}

/// How often labels are there, in bins of the probability that they are.
fn in_bins(found: &Found<'_>) -> serde_json::Value {
    let there = found.truth.numbers.iter().map(|there| *there > 0.0);
    reliability(found.probabilities.iter().copied().zip(there), 15)
}

/// All figures; none of nothing.
///
/// # Errors
/// If a logit is not finite.
pub(super) fn report(
    logits: &[f32],
    truth: &Rows,
    thresholds: &[f32],
    labels: &[String],
) -> Result<Report> {
    let probabilities = &probabilities(logits, labels.len())?[..];
    let found = Found {
        logits,
        probabilities,
        truth,
        thresholds,
    };
    let figures = METRICS.iter().map(|figure| {
        let defined = !truth.is_empty();
        let computed = defined.then(|| (figure.compute)(&found));
        (figure.metric.name, computed.flatten())
    });
    let mut report = Report::new(truth.len(), figures);
    let by_label: Vec<_> = labels.iter().zip(found.labels()).zip(thresholds).collect();
    let width = labels.iter().map(|label| label.chars().count()).max();
    let width = width.unwrap_or(0).max("label".len());
    report.table.push(format!(
        "{:width$}  precision  recall      f1  support  threshold",
        "label"
    ));
    for ((label, counts), threshold) in &by_label {
        report.table.push(format!(
            "{label:width$}  {:9.4}  {:6.4}  {:6.4}  {:7}  {threshold:9.3}",
            counts.precision(),
            counts.recall(),
            counts.f1(),
            counts.there
        ));
    }
    let by_label = by_label.iter().map(|((label, counts), threshold)| {
        json!({
            "label": label,
            "precision": counts.precision(),
            "recall": counts.recall(),
            "f1": counts.f1(),
            "support": counts.there,
            "threshold": threshold,
        })
    });
    report.details.insert("labels".into(), by_label.collect());
    report.details.insert("reliability".into(), in_bins(&found));
    Ok(report)
}

/// The threshold with which the decisions on `labels` have the best F1: halfway between two probabilities that were found. Of equals
/// the lowest; one half where no label is there.
pub(super) fn best_threshold(probabilities: &[f64], truth: &Rows, labels: Range<usize>) -> f32 {
    let rows = probabilities.chunks_exact(truth.width).zip(truth.iter());
    let mut scored: Vec<(f64, bool)> = rows
        .flat_map(|(found, there)| {
            let label = |label: usize| (found[label], there[label] > 0.0);
            labels.clone().map(label).collect::<Vec<_>>()
        })
        .collect();
    scored.sort_by(|one, other| other.0.total_cmp(&one.0));
    let there = scored.iter().filter(|(_, there)| *there).count() as u64;
    if there == 0 {
        return Card::THRESHOLD;
    }
    let mut counts = Counts {
        there,
        ..Counts::default()
    };
    let (mut best, mut threshold) = (0.0, f64::from(Card::THRESHOLD));
    for (place, (found, is_one)) in scored.iter().enumerate() {
        counts.said += 1;
        counts.hits += u64::from(*is_one);
        let next = scored.get(place + 1).map_or(0.0, |(next, _)| *next);
        if next < *found && counts.f1() >= best {
            best = counts.f1();
            threshold = f64::midpoint(*found, next);
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "thresholds are f32")]
    let threshold = threshold as f32;
    threshold
}

/// `part / whole`, 0 if the whole is nothing.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        float(part) / float(whole)
    }
}

fn mean(figures: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0);
    for figure in figures {
        sum += figure;
        count += 1;
    }
    if count == 0 { 0.0 } else { sum / float(count) }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of samples stay far below 2^53"
)]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
