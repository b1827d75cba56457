//! Numbers of the distributions that mixing draws from, the same on every machine.

use std::f64::consts::TAU;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A generator.
pub(super) struct Draw(ChaCha8Rng);

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A number from 0 to below 1.
    #[expect(
        clippy::cast_precision_loss,
        reason = "53 bits are what a double holds"
    )]
    pub(super) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A whole number from 0 to below `end`, which is not 0.
    #[expect(clippy::cast_possible_truncation, reason = "smaller than `end`")]
    pub(super) fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.0.next_u64()) * end as u128) >> 64) as usize
    }

    /// A number from 0 to 1 of the distribution Beta(`alpha`, `alpha`).
    pub(super) fn beta(&mut self, alpha: f64) -> f64 {
        let (one, other) = (self.gamma(alpha), self.gamma(alpha));
        if one + other > 0.0 {
            one / (one + other)
        } else {
            // Both are too small for a double: nearly all of such a distribution is at its ends.
            f64::from(u8::from(self.unit() < 0.5))
        }
    }

    /// Gamma(`shape`, 1), by Marsaglia and Tsang, "A simple method for generating gamma variables" (2000).
    fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            return self.gamma(shape + 1.0) * self.unit().powf(1.0 / shape);
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            // 1 - u is never 0.
            if v > 0.0 && (1.0 - self.unit()).ln() < 0.5 * x * x + d * (1.0 - v + v.ln()) {
                return d * v;
            }
        }
    }

    /// The standard normal distribution, by Box and Muller.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (TAU * self.unit()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_and_variance(mut number: impl FnMut(&mut Draw) -> f64) -> (f64, f64) {
        let mut draw = Draw::new(1);
        let numbers: Vec<f64> = (0..20_000).map(|_| number(&mut draw)).collect();
        let mean = numbers.iter().sum::<f64>() / 20_000.0;
        let squares = numbers.iter().map(|number| (number - mean).powi(2));
        (mean, squares.sum::<f64>() / 20_000.0)
    }

    #[test]
    fn distributions_have_their_mean_and_variance() {
        for alpha in [0.1, 0.2, 1.0, 2.0, 8.0] {
            let (mean, variance) = mean_and_variance(|draw| draw.beta(alpha));
            assert!((mean - 0.5).abs() < 0.01, "{alpha}: {mean}");
            let expected = 0.25 / (2.0 * alpha + 1.0);
            assert!((variance - expected).abs() < 0.005, "{alpha}: {variance}");
        }
        let (mean, variance) = mean_and_variance(Draw::normal);
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.03);
    }

    #[test]
    fn extreme_shapes_stay_numbers() {
        let mut draw = Draw::new(1);
        for alpha in [1e-6, 1e-3, 1e6] {
            for _ in 0..100 {
                let number = draw.beta(alpha);
                assert!((0.0..=1.0).contains(&number), "{alpha}: {number}");
            }
        }
    }
}
