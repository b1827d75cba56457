//! The loss of tags: cross-entropy over all tokens that have one, as in transformers' `BertForTokenClassification`, where other tokens
//! have the label -100.

use burn::tensor::Tensor;

use crate::tasks::CrossEntropy;
use crate::train::{Loss, Targets};

/// Cross-entropy over tokens.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OverTokens(pub(super) CrossEntropy);

/// The classes of all tokens that are asked, sample by sample.
fn classes(targets: &Targets) -> Targets {
    let marks = targets.marks().samples.iter().flatten();
    let asked = marks.filter(|mark| mark.place.is_some());
    Targets::Classes(asked.map(|mark| mark.class).collect())
}

impl Loss for OverTokens {
    fn weight(&self, targets: &Targets) -> f32 {
        self.0.weight(&classes(targets))
    }

    fn sum(&self, outputs: Tensor<2>, targets: &Targets, total: f32) -> Tensor<1> {
        self.0.sum(outputs, &classes(targets), total)
    }
}
