//! The loss of masked tokens: their mean cross-entropy, as in transformers' `BertForMaskedLM`, where other tokens have the label -100.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};

use crate::train::{Loss, Targets};

/// The mean cross-entropy of masked tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct OverMasked;

/// The tokens that stood there, sample by sample.
fn classes(targets: &Targets) -> Vec<i64> {
    let marks = targets.marks().samples.iter().flatten();
    let asked = marks.filter(|mark| mark.place.is_some());
    asked.map(|mark| i64::from(mark.class)).collect()
}

impl Loss for OverMasked {
    /// A step in which nothing happens to be masked weighs something, too: its loss is 0.
    #[expect(clippy::cast_precision_loss, reason = "batches are small")]
    fn weight(&self, targets: &Targets) -> f32 {
        classes(targets).len().max(1) as f32
    }

    fn sum(&self, outputs: Tensor<2>, targets: &Targets, total: f32) -> Tensor<1> {
        let classes = classes(targets);
        let rows = classes.len();
        let data = TensorData::new(classes, [rows, 1]);
        let classes = Tensor::<2, Int>::from_data(data, &outputs.device());
        -log_softmax(outputs, 1).gather(1, classes).sum() / total
    }
}
