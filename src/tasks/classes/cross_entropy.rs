//! The loss of a classifier: cross-entropy with class weights and label smoothing, as `torch.nn.CrossEntropyLoss`.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};

use crate::train::{Loss, Targets};

/// The loss of a classifier.
#[derive(Clone, Debug, PartialEq)]
pub struct CrossEntropy {
    /// The weight of each class.
    weights: Vec<f32>,
    /// Share of the target that is spread evenly over all classes.
    smoothing: f32,
}

impl CrossEntropy {
    /// A loss with a weight for each class and label smoothing (Szegedy et al. 2016, arXiv:1512.00567).
    #[must_use]
    pub fn new(weights: Vec<f32>, smoothing: f32) -> Self {
        Self { weights, smoothing }
    }

    /// Weights that give every class the same share: `samples / (classes × count)`, as scikit-learn's `"balanced"`. A class without
    /// samples gets 1.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of samples stay far below 2^24"
    )]
    pub(super) fn balanced(counts: &[usize]) -> Vec<f32> {
        let samples = counts.iter().sum::<usize>() as f32;
        let share = samples / counts.len() as f32;
        counts
            .iter()
            .map(|count| {
                if *count == 0 {
                    1.0
                } else {
                    share / *count as f32
                }
            })
            .collect()
    }

    /// What the log-probabilities of each sample are multiplied by, `[batch, classes]`.
    #[expect(
        clippy::cast_precision_loss,
        reason = "numbers of classes stay far below 2^24"
    )]
    fn targets(&self, labels: &[u32], total: f32, device: &Device) -> Tensor<2> {
        let classes = self.weights.len();
        let spread = self.smoothing / classes as f32;
        let targets = labels.iter().flat_map(|label| {
            self.weights.iter().enumerate().map(move |(class, weight)| {
                let hit = if class == *label as usize {
                    1.0 - self.smoothing
                } else {
                    0.0
                };
                (hit + spread) * weight / total
            })
        });
        let data = TensorData::new(targets.collect::<Vec<f32>>(), [labels.len(), classes]);
        Tensor::from_data(data, device)
    }
}

impl Loss for CrossEntropy {
    fn weight(&self, targets: &Targets) -> f32 {
        let classes = targets.classes().iter();
        classes.map(|class| self.weights[*class as usize]).sum()
    }

    fn sum(&self, outputs: Tensor<2>, targets: &Targets, total: f32) -> Tensor<1> {
        let targets = self.targets(targets.classes(), total, &outputs.device());
        -(log_softmax(outputs, 1) * targets).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logits() -> Tensor<2> {
        Tensor::from_floats(
            [[1.0, -0.5, 0.25], [0.0, 2.0, -1.0], [0.3, 0.2, 0.1]],
            &Device::flex(),
        )
    }

    fn loss(weights: [f32; 3], smoothing: f32) -> f32 {
        let loss = CrossEntropy::new(weights.to_vec(), smoothing);
        let targets = Targets::Classes(vec![0, 2, 1]);
        loss.sum(logits(), &targets, loss.weight(&targets))
            .into_scalar()
    }

    /// The figures of `torch.nn.functional.cross_entropy(logits, labels, weight, label_smoothing=…)`.
    #[test]
    fn losses_are_those_of_torch() {
        let expected = [
            ([1.0, 1.0, 1.0], 0.0, 1.599_921_5),
            ([1.0, 1.0, 1.0], 0.1, 1.580_477_1),
            ([0.5, 2.0, 1.0], 0.0, 1.610_777),
            ([0.5, 2.0, 1.0], 0.1, 1.583_977_2),
        ];
        for (weights, smoothing, expected) in expected {
            let found = loss(weights, smoothing);
            assert!(
                (found - expected).abs() < 1e-6,
                "{weights:?} {smoothing}: {found}, not {expected}"
            );
        }
    }

    #[test]
    fn a_step_cut_into_batches_has_the_same_loss() {
        let loss = CrossEntropy::new(vec![0.5, 2.0, 1.0], 0.1);
        let targets = Targets::Classes(vec![0, 2, 1]);
        let total = loss.weight(&targets);
        let part = |rows: std::ops::Range<usize>| -> f32 {
            let targets = targets.take(rows.clone());
            loss.sum(logits().slice(rows), &targets, total)
                .into_scalar()
        };
        assert!((part(0..3) - part(0..1) - part(1..3)).abs() < 1e-6);
    }

    #[test]
    fn balanced_weights_give_every_class_the_same_share() {
        assert_eq!(
            CrossEntropy::balanced(&[1, 3, 0]),
            [4.0 / 3.0, 4.0 / 9.0, 1.0]
        );
    }
}
