//! What training makes small: cross-entropy with class weights and label smoothing, as `torch.nn.CrossEntropyLoss`.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};

/// The loss of a classifier.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// The weight of each class.
    weights: Vec<f32>,
    /// Share of the target that is spread evenly over all classes.
    smoothing: f32,
}

impl Objective {
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
    pub fn balanced(counts: &[usize]) -> Vec<f32> {
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

    /// How much the samples with these labels weigh together: what their losses are divided by.
    #[must_use]
    pub fn weight(&self, labels: impl IntoIterator<Item = u32>) -> f32 {
        labels
            .into_iter()
            .map(|label| self.weights[label as usize])
            .sum()
    }

    /// The loss of `logits` [batch, classes] for `labels`, as a part of a step whose samples weigh `total` together: the sum over the
    /// batches of a step is the mean over the step, however it was cut into batches.
    ///
    /// # Panics
    /// If a label is not below the number of classes.
    #[must_use]
    pub fn loss(&self, logits: Tensor<2>, labels: &[u32], total: f32) -> Tensor<1> {
        let targets = self.targets(labels, total, &logits.device());
        -(log_softmax(logits, 1) * targets).sum()
    }

    /// The same for samples of which only `share` is themselves, and the rest the sample that is as far from the end of the batch as
    /// they are from its beginning. What the batch weighs is not changed by that.
    ///
    /// # Panics
    /// If a label is not below the number of classes.
    #[must_use]
    pub fn mixed_loss(
        &self,
        logits: Tensor<2>,
        labels: &[u32],
        share: f32,
        total: f32,
    ) -> Tensor<1> {
        let own = self.loss(logits.clone(), labels, total);
        if share >= 1.0 {
            return own;
        }
        let partners = labels.iter().rev().copied().collect::<Vec<_>>();
        own * share + self.loss(logits, &partners, total) * (1.0 - share)
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
        let objective = Objective::new(weights.to_vec(), smoothing);
        let labels = [0, 2, 1];
        objective
            .loss(logits(), &labels, objective.weight(labels))
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
        let objective = Objective::new(vec![0.5, 2.0, 1.0], 0.1);
        let labels = [0, 2, 1];
        let total = objective.weight(labels);
        let whole: f32 = objective.loss(logits(), &labels, total).into_scalar();
        let first: f32 = objective
            .loss(logits().slice(0..1), &labels[..1], total)
            .into_scalar();
        let second: f32 = objective
            .loss(logits().slice(1..3), &labels[1..], total)
            .into_scalar();
        assert!((whole - first - second).abs() < 1e-6);
    }

    #[test]
    fn mixed_samples_have_mixed_targets() {
        let objective = Objective::new(vec![1.0; 3], 0.0);
        let found: f32 = objective
            .mixed_loss(logits(), &[0, 2, 1], 0.75, 3.0)
            .into_scalar();
        let logs = log_softmax(logits(), 1).into_data();
        let logs = logs.as_slice::<f32>().expect("floats");
        let expected = [[0.75_f32, 0.25, 0.0], [0.0, 0.0, 1.0], [0.25, 0.75, 0.0]].concat();
        let expected = expected.iter().zip(logs).map(|(target, log)| -target * log);
        assert!((found - expected.sum::<f32>() / 3.0).abs() < 1e-6);
    }

    #[test]
    fn balanced_weights_give_every_class_the_same_share() {
        assert_eq!(Objective::balanced(&[1, 3, 0]), [4.0 / 3.0, 4.0 / 9.0, 1.0]);
    }
}
