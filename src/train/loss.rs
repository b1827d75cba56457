//! What training makes small.

use std::fmt::Debug;

use burn::tensor::Tensor;

use super::Targets;
use crate::error::Result;

/// A loss. A step may be cut into batches: the sum of what [`sum`](Self::sum) gives for them is the loss of the step, however it was
/// cut.
pub trait Loss: Debug + Send + Sync {
    /// How much samples with these targets weigh together: what the sum of their losses is divided by.
    fn weight(&self, targets: &Targets) -> f32;

    /// Looks at the targets of all samples to train on, of which so many are in a batch: what the user is to be told.
    ///
    /// # Errors
    /// Samples that nothing can be learnt from in such batches.
    fn look(&self, _train: &Targets, _batch_size: usize) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// How many texts of a batch go through the network at a time, where it is the outputs of the whole batch that the loss sees; none
    /// if all of them do.
    fn piece(&self) -> Option<usize> {
        None
    }

    /// Whether weights that are larger but otherwise the same make it another one, so that holding them down may help.
    fn sees_lengths(&self) -> bool {
        true
    }

    /// The losses of `outputs`, `[rows, outputs]`, for `targets`, added up, as a part of a step whose samples weigh `total` together.
    /// There is a row a sample, or one for each of its tokens or texts that the targets ask for, sample by sample.
    fn sum(&self, outputs: Tensor<2>, targets: &Targets, total: f32) -> Tensor<1>;
}

/// The same for samples that were mixed (arXiv:1710.09412): of sample i of n, `share` is itself and the rest is sample n − 1 − i. What
/// the batch weighs is not changed by that.
#[must_use]
pub fn mixed(
    loss: &dyn Loss,
    outputs: Tensor<2>,
    targets: &Targets,
    share: f32,
    total: f32,
) -> Tensor<1> {
    let own = loss.sum(outputs.clone(), targets, total);
    if share >= 1.0 {
        return own;
    }
    own * share + loss.sum(outputs, &targets.reversed(), total) * (1.0 - share)
}
