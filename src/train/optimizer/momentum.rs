//! Rules that keep one running mean of a parameter's gradients: stochastic gradient descent with momentum, and Lion.

use burn::tensor::Tensor;

use super::{At, Pass, Rule};

/// Against the sum of gradients, of which each step keeps `momentum`, as `torch.optim.SGD`, whose weight decay is a part of the gradient.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sgd {
    /// What is kept of the sum, at least 0 and below 1.
    pub momentum: f64,
    /// Whether a step goes where the sum will be, not where it is (Nesterov).
    pub nesterov: bool,
}

/// By the learning rate, with or against each number's sign (Chen et al. 2023, arXiv:2302.06675, algorithm 2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lion {
    /// How much of the mean counts beside the gradient in a step.
    pub beta1: f64,
    /// How much of the mean is kept.
    pub beta2: f64,
}

impl Default for Lion {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.99,
        }
    }
}

impl Rule for Sgd {
    fn rows(&self, _: &At<'_>) -> &'static [&'static str] {
        &["momentum"]
    }

    fn step(
        &self,
        at: &At<'_>,
        weights: Tensor<1>,
        gradient: Tensor<1>,
        rows: &mut [Tensor<1>],
    ) -> Tensor<1> {
        let gradient = gradient + weights.clone().mul_scalar(at.weight_decay);
        rows[0] = rows[0].clone().mul_scalar(self.momentum) + gradient.clone();
        let towards = if self.nesterov {
            gradient + rows[0].clone().mul_scalar(self.momentum)
        } else {
            rows[0].clone()
        };
        weights - towards.mul_scalar(at.rate)
    }

    #[expect(clippy::cast_possible_truncation, reason = "as those of AdamW")]
    fn pass(&self, at: &At<'_>) -> Option<Pass> {
        let (momentum, nesterov) = (self.momentum as f32, self.nesterov);
        let (scale, rate) = (at.scale as f32, at.rate as f32);
        let held = (at.weight_decay + at.l2) as f32;
        Some(Box::new(move |weights, gradient, rows| {
            let rows = weights.iter_mut().zip(gradient).zip(&mut *rows[0]);
            for ((weight, gradient), mean) in rows {
                let gradient = gradient * scale + held * *weight;
                *mean = *mean * momentum + gradient;
                let towards = if nesterov {
                    gradient + momentum * *mean
                } else {
                    *mean
                };
                *weight -= rate * towards;
            }
        }))
    }
}

impl Rule for Lion {
    fn rows(&self, _: &At<'_>) -> &'static [&'static str] {
        &["momentum"]
    }

    fn step(
        &self,
        at: &At<'_>,
        weights: Tensor<1>,
        gradient: Tensor<1>,
        rows: &mut [Tensor<1>],
    ) -> Tensor<1> {
        let difference = gradient - rows[0].clone();
        let towards = rows[0].clone() + difference.clone().mul_scalar(1.0 - self.beta1);
        rows[0] = rows[0].clone() + difference.mul_scalar(1.0 - self.beta2);
        weights.mul_scalar(at.shrink()) - towards.sign().mul_scalar(at.rate)
    }

    #[expect(clippy::cast_possible_truncation, reason = "as those of AdamW")]
    fn pass(&self, at: &At<'_>) -> Option<Pass> {
        let (gain1, gain2) = ((1.0 - self.beta1) as f32, (1.0 - self.beta2) as f32);
        let (scale, rate) = (at.scale as f32, at.rate as f32);
        let (held, shrink) = (at.l2 as f32, at.shrink() as f32);
        Some(Box::new(move |weights, gradient, rows| {
            let rows = weights.iter_mut().zip(gradient).zip(&mut *rows[0]);
            for ((weight, gradient), mean) in rows {
                let gradient = gradient * scale + held * *weight;
                let towards = *mean + (gradient - *mean) * gain1;
                *mean += (gradient - *mean) * gain2;
                // The sign of 0 is 0 here, as in torch: what has no gradient stays.
                let sign = if towards == 0.0 {
                    0.0
                } else {
                    towards.signum()
                };
                *weight = *weight * shrink - rate * sign;
            }
        }))
    }
}
