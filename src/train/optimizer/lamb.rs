//! LAMB.

use burn::tensor::Tensor;

use super::adamw::Moments;
use super::{AdamW, At, Rule};

/// LAMB (You et al. 2019, arXiv:1904.00962) as timm has it: a step of Adam, scaled for each parameter by the length of its weights over
/// that of the step. What does not shrink by weight decay moves as by Adam.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lamb(
    /// The numbers of Adam.
    pub AdamW,
);

impl Default for Lamb {
    fn default() -> Self {
        Self(AdamW {
            epsilon: 1e-6,
            ..AdamW::default()
        })
    }
}

impl Rule for Lamb {
    fn rows(&self, at: &At<'_>) -> &'static [&'static str] {
        self.0.rows(at)
    }

    fn step(
        &self,
        at: &At<'_>,
        weights: Tensor<1>,
        gradient: Tensor<1>,
        rows: &mut [Tensor<1>],
    ) -> Tensor<1> {
        let Moments { first, second } = self.0.moments(at.steps, &gradient, rows);
        let towards = first / second.sqrt().add_scalar(self.0.epsilon);
        if at.weight_decay == 0.0 {
            return weights - towards.mul_scalar(at.rate);
        }
        let towards = towards + weights.clone().mul_scalar(at.weight_decay);
        let length = |numbers: &Tensor<1>| numbers.clone().powi_scalar(2).sum().sqrt();
        let (of_weights, of_step) = (length(&weights), length(&towards));
        // 1 where either is 0.
        let none = of_weights.clone().equal_elem(0.0);
        let none = none.bool_or(of_step.clone().equal_elem(0.0));
        let trust = (of_weights / of_step).mask_fill(none, 1.0);
        weights - (towards * trust).mul_scalar(at.rate)
    }
}
