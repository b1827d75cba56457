//! AdamW.

use burn::tensor::Tensor;

use super::{At, Pass, Rule};

/// AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101). The defaults are `torch.optim.AdamW`'s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Decay of the mean of the gradients.
    pub beta1: f64,
    /// Decay of the mean of their squares.
    pub beta2: f64,
    /// Keeps the division by the root of the second moment finite.
    pub epsilon: f64,
}

impl Default for AdamW {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
        }
    }
}

/// Both running means of a parameter, after their bias is corrected.
pub(super) struct Moments {
    pub(super) first: Tensor<1>,
    pub(super) second: Tensor<1>,
}

impl AdamW {
    /// Moves the running means `rows` on by `gradient`, and corrects their bias.
    pub(super) fn moments(
        &self,
        steps: i32,
        gradient: &Tensor<1>,
        rows: &mut [Tensor<1>],
    ) -> Moments {
        let [first, second] = rows else {
            unreachable!("it has two rows");
        };
        let difference = gradient.clone() - first.clone();
        *first = first.clone() + difference.mul_scalar(1.0 - self.beta1);
        let square = gradient.clone().powi_scalar(2);
        *second = second.clone().mul_scalar(self.beta2) + square.mul_scalar(1.0 - self.beta2);
        Moments {
            first: first.clone().div_scalar(1.0 - self.beta1.powi(steps)),
            second: second.clone().div_scalar(1.0 - self.beta2.powi(steps)),
        }
    }
}

impl Rule for AdamW {
    fn rows(&self, _: &At<'_>) -> &'static [&'static str] {
        &["first", "second"]
    }

    fn step(
        &self,
        at: &At<'_>,
        weights: Tensor<1>,
        gradient: Tensor<1>,
        rows: &mut [Tensor<1>],
    ) -> Tensor<1> {
        let Moments { first, second } = self.moments(at.steps, &gradient, rows);
        let towards = first / second.sqrt().add_scalar(self.epsilon);
        weights.mul_scalar(at.shrink()) - towards.mul_scalar(at.rate)
    }

    fn pass(&self, at: &At<'_>) -> Option<Pass> {
        let step = Step::new(self, at);
        Some(Box::new(move |weights, gradient, rows| {
            if let [first, second] = rows {
                step.update(weights, gradient, first, second);
            }
        }))
    }
}

/// What one step needs to know beside the numbers.
#[derive(Clone, Copy)]
struct Step {
    scale: f32,
    shrink: f32,
    l2: f32,
    beta2: f32,
    /// `1 - beta1` and `1 - beta2`.
    gain1: f32,
    gain2: f32,
    /// Learning rate over the first moment's bias correction.
    rate: f32,
    /// Root of the second moment's bias correction.
    root: f32,
    epsilon: f32,
}

impl Step {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "weights are 32-bit floats; the constants are computed in 64, as torch does"
    )]
    fn new(rule: &AdamW, at: &At<'_>) -> Self {
        let correction1 = 1.0 - rule.beta1.powi(at.steps);
        let correction2 = 1.0 - rule.beta2.powi(at.steps);
        Self {
            scale: at.scale as f32,
            shrink: at.shrink() as f32,
            l2: at.l2 as f32,
            beta2: rule.beta2 as f32,
            gain1: (1.0 - rule.beta1) as f32,
            gain2: (1.0 - rule.beta2) as f32,
            rate: (at.rate / correction1) as f32,
            root: correction2.sqrt() as f32,
            epsilon: rule.epsilon as f32,
        }
    }

    fn update(self, weights: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
        let moments = first.iter_mut().zip(second);
        for ((weight, gradient), (first, second)) in weights.iter_mut().zip(gradient).zip(moments) {
            let mut gradient = gradient * self.scale;
            if self.l2 > 0.0 {
                gradient += self.l2 * *weight;
            }
            *first += (gradient - *first) * self.gain1;
            *second = *second * self.beta2 + gradient * gradient * self.gain2;
            let root = second.sqrt() / self.root + self.epsilon;
            *weight = *weight * self.shrink - self.rate * (*first / root);
        }
    }
}
