//! The loss where each label is there or not: binary cross-entropy of logits, as `torch.nn.BCEWithLogitsLoss`.

use burn::tensor::activation::log_sigmoid;
use burn::tensor::{Tensor, TensorData};

use crate::train::{Loss, Targets};

/// The mean over samples and labels.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct BinaryCrossEntropy {
    /// How much a label counts where it is there, beside 1 where it is not.
    pos_weight: Vec<f32>,
}

impl BinaryCrossEntropy {
    pub(super) fn new(pos_weight: Vec<f32>) -> Self {
        Self { pos_weight }
    }
}

impl Loss for BinaryCrossEntropy {
    #[expect(clippy::cast_precision_loss, reason = "batches are small")]
    fn weight(&self, targets: &Targets) -> f32 {
        targets.rows().numbers.len() as f32
    }

    fn sum(&self, outputs: Tensor<2>, targets: &Targets, total: f32) -> Tensor<1> {
        let rows = targets.rows();
        let shape = [rows.len(), rows.width];
        let device = outputs.device();
        let tensor = |numbers: Vec<f32>| -> Tensor<2> {
            Tensor::from_data(TensorData::new(numbers, shape), &device)
        };
        let labels = rows.iter().flat_map(|row| row.iter().zip(&self.pos_weight));
        let there = labels.map(|(there, weight)| there * weight / total);
        let absent = rows.numbers.iter().map(|there| (1.0 - there) / total);
        let (there, absent) = (tensor(there.collect()), tensor(absent.collect()));
        let losses = log_sigmoid(outputs.clone()) * there + log_sigmoid(-outputs) * absent;
        -losses.sum()
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::train::Rows;

    /// The figures of `torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, pos_weight=…)`, by hand:
    /// the mean of −w y ln σ(x) − (1 − y) ln σ(−x).
    #[test]
    fn losses_are_means_over_samples_and_labels() {
        let logits = [1.0_f32, -2.0, 0.5, 30.0];
        let there = [1.0_f32, 0.0, 0.0, 1.0];
        for weights in [[1.0_f32, 1.0], [3.0, 0.5]] {
            let expected = logits.iter().zip(there).enumerate().map(|(place, (x, y))| {
                let x = f64::from(*x);
                let (y, w) = (f64::from(y), f64::from(weights[place % 2]));
                w * y * (-x).exp().ln_1p() + (1.0 - y) * x.exp().ln_1p()
            });
            let expected = expected.sum::<f64>() / 4.0;
            let loss = BinaryCrossEntropy::new(weights.to_vec());
            let targets = Targets::Sets(Rows {
                width: 2,
                numbers: there.to_vec(),
            });
            let outputs = Tensor::<1>::from_floats(logits, &Device::flex()).reshape([2, 2]);
            let found = loss.sum(outputs, &targets, loss.weight(&targets));
            let found = f64::from(found.into_scalar::<f32>());
            assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
        }
    }
}
