//! Figures that need the probabilities: ranking, calibration and likelihood.

use serde_json::Value;

use super::{Predictions, most_likely};
use crate::tasks::rank::area_under_roc;
use crate::tasks::report::{bin, reliability as in_bins};

/// Area under the ROC curve by the rank-sum statistic, equal scores sharing their middle rank (Fawcett 2006, "An introduction to
/// ROC analysis"). For more than two classes the mean of one class against the rest (Provost and Domingos 2000, without weights).
///
/// Undefined unless every class has a sample.
pub(super) fn auroc(predictions: &Predictions) -> Option<f64> {
    let area = |class: usize| {
        area_under_roc(
            predictions
                .rows()
                .map(|(truth, row)| (row[class], truth == class))
                .collect(),
        )
    };
    if predictions.classes == 2 {
        return area(1);
    }
    let areas = (0..predictions.classes)
        .map(area)
        .collect::<Option<Vec<_>>>()?;
    Some(areas.iter().sum::<f64>() / as_float(areas.len()))
}

/// Expected calibration error of the most likely label, in `bins` of equal width that are open below (Guo et al. 2017, "On
/// calibration of modern neural networks", equation 3).
pub(super) fn expected_calibration_error(predictions: &Predictions, bins: usize) -> f64 {
    // Hits minus confidence, summed in each bin: its weight and its mean cancel.
    let mut gap = vec![0.0; bins];
    for (truth, row) in predictions.rows() {
        let predicted = most_likely(row);
        let confidence = row[predicted];
        let hit = if predicted == truth { 1.0 } else { 0.0 };
        gap[bin(confidence, bins)] += hit - confidence;
    }
    gap.iter().map(|gap| gap.abs()).sum::<f64>() / as_float(predictions.len())
}

/// How often the most likely label is right, in the bins of its probability.
pub(super) fn reliability(predictions: &Predictions, bins: usize) -> Value {
    let said = predictions.rows().map(|(truth, row)| {
        let predicted = most_likely(row);
        (row[predicted], predicted == truth)
    });
    in_bins(said, bins)
}

/// Mean negative log-likelihood of the true label, probabilities clipped to `[ε, 1 - ε]`.
pub(super) fn log_loss(predictions: &Predictions) -> f64 {
    losses(predictions).sum::<f64>() / as_float(predictions.len())
}

/// That of each sample.
pub(super) fn losses(predictions: &Predictions) -> impl Iterator<Item = f64> {
    predictions
        .rows()
        .map(|(truth, row)| -row[truth].clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of samples stay far below 2^53"
)]
fn as_float(count: usize) -> f64 {
    count as f64
}
