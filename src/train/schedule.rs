//! Learning rates by step, as Hugging Face's `get_scheduler` gives them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the learning rate moves after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// In a straight line down to 0.
    #[default]
    Linear,
    /// Down to 0 along half a cosine wave.
    Cosine,
    /// It stays, and there is no warm-up.
    Constant,
    /// It stays after the warm-up.
    ConstantWithWarmup,
}

/// The learning rate of every optimizer step of a training.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// How it moves after the warm-up.
    pub shape: Shape,
    /// The highest rate: `learning_rate`.
    pub peak: f64,
    /// Steps over which it rises from 0 to the peak in a straight line.
    pub warmup: u64,
    /// Steps of the whole training.
    pub total: u64,
}

impl Schedule {
    /// The rate of `step`, counted from 0. With a warm-up the first rate is 0, as in `transformers`.
    #[must_use]
    pub fn rate(&self, step: u64) -> f64 {
        let warmup = if self.shape == Shape::Constant {
            0
        } else {
            self.warmup
        };
        if step < warmup {
            return self.peak * (as_float(step) / as_float(warmup));
        }
        let decay = as_float(self.total.saturating_sub(warmup).max(1));
        let progress = as_float(step - warmup) / decay;
        match self.shape {
            Shape::Linear => self.peak * (1.0 - progress).max(0.0),
            Shape::Cosine => {
                let wave = (std::f64::consts::PI * progress.min(1.0)).cos();
                self.peak * (0.5 * (1.0 + wave)).max(0.0)
            }
            Shape::Constant | Shape::ConstantWithWarmup => self.peak,
        }
    }

    /// Whether the rate of a step does not depend on how many steps there are.
    #[must_use]
    pub fn is_independent_of_total(&self) -> bool {
        matches!(self.shape, Shape::Constant | Shape::ConstantWithWarmup)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "numbers of steps stay far below 2^53"
)]
fn as_float(steps: u64) -> f64 {
    steps as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(shape: Shape, warmup: u64) -> Vec<f64> {
        let schedule = Schedule {
            shape,
            peak: 10.0,
            warmup,
            total: 10,
        };
        (0..10).map(|step| schedule.rate(step)).collect()
    }

    /// The figures that the documentation and the tests of `transformers` give for 10 steps with 2 of warm-up from 10.
    #[test]
    fn rates_are_those_of_transformers() {
        let expected = [
            (Shape::Constant, 0, [10.0; 10]),
            (
                Shape::ConstantWithWarmup,
                4,
                [0.0, 2.5, 5.0, 7.5, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0],
            ),
            (
                Shape::Linear,
                2,
                [0.0, 5.0, 10.0, 8.75, 7.5, 6.25, 5.0, 3.75, 2.5, 1.25],
            ),
            (
                Shape::Cosine,
                2,
                [0.0, 5.0, 10.0, 9.61, 8.53, 6.91, 5.0, 3.08, 1.46, 0.38],
            ),
        ];
        for (shape, warmup, expected) in expected {
            for (found, expected) in rates(shape, warmup).iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 0.01,
                    "{shape:?}: {found}, not {expected}"
                );
            }
        }
    }

    #[test]
    fn cosine_does_not_climb_again() {
        let schedule = Schedule {
            shape: Shape::Cosine,
            peak: 1.0,
            warmup: 0,
            total: 4,
        };
        assert!((4..12).all(|step| schedule.rate(step).abs() < 1e-12));
    }
}
