//! Random numbers that are the same on every machine and for ever: what is drawn belongs to results.
//!
//! Whatever draws gets its seed from the stage's, a role and a position, so no generator carries state from one step to the next
//! and resuming needs none.

use std::f64::consts::TAU;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The seed of `role` at `position` in a training.
#[must_use]
pub fn derive(seed: u64, role: &str, position: &[u64]) -> u64 {
    let mut bytes = [0; 8];
    let hasher = hasher("refire training seeds, version 1", seed, role, position);
    hasher.finalize_xof().fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

fn hasher(context: &str, seed: u64, role: &str, position: &[u64]) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    hasher.update(&seed.to_le_bytes());
    hasher.update(&(role.len() as u64).to_le_bytes());
    hasher.update(role.as_bytes());
    for number in position {
        hasher.update(&number.to_le_bytes());
    }
    hasher
}

/// A generator.
pub struct Random(ChaCha8Rng);

impl Random {
    /// The generator of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::stream(seed, 0)
    }

    /// One of the generators of `seed`, which know nothing of each other.
    #[must_use]
    pub fn stream(seed: u64, stream: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(stream);
        Self(generator)
    }

    /// The generator of `role` at `position` in the changes of an image.
    #[must_use]
    pub fn of_image(seed: u64, role: &str, position: &[u64]) -> Self {
        let hasher = hasher("refire augmentation, version 1", seed, role, position);
        Self(ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()))
    }

    /// The generator itself, for the methods of `rand`. They may change with its version.
    pub fn generator(&mut self) -> &mut ChaCha8Rng {
        &mut self.0
    }

    /// A number from 0 to below 1, in steps of 2⁻⁵³.
    pub fn unit(&mut self) -> f64 {
        self.steps() * 2.0_f64.powi(-53)
    }

    /// A number above 0 and up to 1, in steps of 2⁻⁵³.
    fn above_zero(&mut self) -> f64 {
        (self.steps() + 1.0) * 2.0_f64.powi(-53)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "53 bits are what a double holds"
    )]
    fn steps(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64
    }

    /// A number between two.
    pub fn between(&mut self, [low, high]: [f64; 2]) -> f64 {
        low + (high - low) * self.unit()
    }

    /// A number between two positive ones whose logarithm is uniform.
    pub fn log_between(&mut self, range: [f64; 2]) -> f64 {
        self.between(range.map(f64::ln)).exp()
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A whole number from 0 to below `end`, which is not 0; all equally likely (Lemire 2019, "Fast Random Integer Generation in an
    /// Interval").
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low and the high half of the product are what is wanted"
    )]
    pub fn below(&mut self, end: usize) -> usize {
        let end = end as u64;
        let rejected = end.wrapping_neg() % end;
        loop {
            let product = u128::from(self.0.next_u64()) * u128::from(end);
            if product as u64 >= rejected {
                return (product >> 64) as usize;
            }
        }
    }

    /// Fisher and Yates' shuffle, written out because a library's may change with its version.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// A number of the normal distribution around 0.
    pub fn normal(&mut self, std: f64) -> f64 {
        let (first, second) = (self.above_zero(), self.above_zero());
        box_muller(std, first, second)
    }

    /// A number from 0 to 1 of the distribution Beta(`alpha`, `alpha`).
    pub fn beta(&mut self, alpha: f64) -> f64 {
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
            let (first, second) = (1.0 - self.unit(), self.unit());
            let x = box_muller(1.0, first, second);
            let v = (1.0 + c * x).powi(3);
            // 1 - u is never 0.
            if v > 0.0 && (1.0 - self.unit()).ln() < 0.5 * x * x + d * (1.0 - v + v.ln()) {
                return d * v;
            }
        }
    }
}

/// A number of the normal distribution from two uniform ones, of which the first is above 0 (Box and Muller 1958,
/// doi:10.1214/aoms/1177706645).
fn box_muller(std: f64, first: f64, second: f64) -> f64 {
    std * (-2.0 * first.ln()).sqrt() * (TAU * second).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_and_variance(mut number: impl FnMut(&mut Random) -> f64) -> (f64, f64) {
        let mut random = Random::new(1);
        let numbers: Vec<f64> = (0..20_000).map(|_| number(&mut random)).collect();
        let mean = numbers.iter().sum::<f64>() / 20_000.0;
        let squares = numbers.iter().map(|number| (number - mean).powi(2));
        (mean, squares.sum::<f64>() / 20_000.0)
    }

    #[test]
    fn each_part_has_a_seed_of_its_own() {
        let seeds = [
            derive(1, "step", &[0, 1]),
            derive(1, "step", &[1, 0]),
            derive(1, "order", &[0, 1]),
            derive(2, "step", &[0, 1]),
        ];
        for (index, seed) in seeds.iter().enumerate() {
            assert!(!seeds[..index].contains(seed));
        }
        assert_eq!(derive(1, "step", &[0, 1]), seeds[0]);
    }

    #[test]
    fn distributions_have_their_mean_and_variance() {
        for alpha in [0.1, 0.2, 1.0, 2.0, 8.0] {
            let (mean, variance) = mean_and_variance(|random| random.beta(alpha));
            assert!((mean - 0.5).abs() < 0.01, "{alpha}: {mean}");
            let expected = 0.25 / (2.0 * alpha + 1.0);
            assert!((variance - expected).abs() < 0.005, "{alpha}: {variance}");
        }
        let (mean, variance) = mean_and_variance(|random| random.normal(2.0));
        assert!(mean.abs() < 0.06 && (variance - 4.0).abs() < 0.12);
        let (mean, variance) = mean_and_variance(Random::unit);
        assert!((mean - 0.5).abs() < 0.01 && (variance - 1.0 / 12.0).abs() < 0.01);
        let (mean, _) = mean_and_variance(|random| f64::from(u8::from(random.chance(0.3))));
        assert!((mean - 0.3).abs() < 0.02);
        let (mean, _) = mean_and_variance(|random| random.log_between([0.25, 4.0]).ln());
        assert!(mean.abs() < 0.02);
    }

    #[test]
    fn extreme_shapes_stay_numbers() {
        let mut random = Random::new(1);
        for alpha in [1e-6, 1e-3, 1e6] {
            for _ in 0..100 {
                let number = random.beta(alpha);
                assert!((0.0..=1.0).contains(&number), "{alpha}: {number}");
            }
        }
    }

    #[test]
    fn whole_numbers_are_all_drawn_and_none_beyond() {
        let mut random = Random::of_image(1, "test", &[]);
        let mut seen = [0; 5];
        for _ in 0..1000 {
            seen[random.below(5)] += 1;
        }
        assert!(seen.iter().all(|count| *count > 150), "{seen:?}");
    }
}
