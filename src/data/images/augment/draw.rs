//! Random numbers of which every machine draws the same: each role at each moment has a generator of its own.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A generator.
pub(super) struct Draw(ChaCha8Rng);

impl Draw {
    /// The generator of `role` at `position`.
    pub(super) fn new(seed: u64, role: &str, position: &[u64]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("refire augmentation, version 1");
        hasher.update(&seed.to_le_bytes());
        hasher.update(&(role.len() as u64).to_le_bytes());
        hasher.update(role.as_bytes());
        for number in position {
            hasher.update(&number.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()))
    }

    /// A number from 0 to below 1.
    #[expect(
        clippy::cast_precision_loss,
        reason = "53 bits are what a double holds"
    )]
    pub(super) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number between two.
    pub(super) fn between(&mut self, [low, high]: [f64; 2]) -> f64 {
        low + (high - low) * self.unit()
    }

    /// A number between two positive ones whose logarithm is uniform.
    pub(super) fn log_between(&mut self, range: [f64; 2]) -> f64 {
        self.between(range.map(f64::ln)).exp()
    }

    /// A whole number from 0 to below `end`, which is not 0.
    #[expect(clippy::cast_possible_truncation, reason = "smaller than `end`")]
    pub(super) fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.0.next_u64()) * end as u128) >> 64) as usize
    }

    /// True with this probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_and_variance(mut number: impl FnMut(&mut Draw) -> f64) -> (f64, f64) {
        let mut draw = Draw::new(1, "test", &[]);
        let numbers: Vec<f64> = (0..20_000).map(|_| number(&mut draw)).collect();
        let mean = numbers.iter().sum::<f64>() / 20_000.0;
        let squares = numbers.iter().map(|number| (number - mean).powi(2));
        (mean, squares.sum::<f64>() / 20_000.0)
    }

    #[test]
    fn distributions_have_their_mean_and_variance() {
        let (mean, variance) = mean_and_variance(Draw::unit);
        assert!((mean - 0.5).abs() < 0.01 && (variance - 1.0 / 12.0).abs() < 0.01);
        let (mean, _) = mean_and_variance(|draw| f64::from(u8::from(draw.chance(0.3))));
        assert!((mean - 0.3).abs() < 0.02);
        let (mean, _) = mean_and_variance(|draw| draw.log_between([0.25, 4.0]).ln());
        assert!(mean.abs() < 0.02);
    }

    #[test]
    fn whole_numbers_are_all_drawn_and_none_beyond() {
        let mut draw = Draw::new(1, "test", &[]);
        let mut seen = [0; 5];
        for _ in 0..1000 {
            seen[draw.below(5)] += 1;
        }
        assert!(seen.iter().all(|count| *count > 150), "{seen:?}");
    }
}
