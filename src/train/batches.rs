//! Which samples go into which batch: seeded, and of similar length, so that little is padding.

use rand::seq::SliceRandom as _;

use crate::random::Random;

/// How many batches' worth of shuffled samples are sorted by length at a time, as in `transformers`' sampler.
const WINDOW: usize = 50;

/// The batches of one epoch of training: the samples shuffled, windows of them sorted by length and cut, the batches shuffled.
///
/// Every sample comes once; the last batch may be smaller.
#[must_use]
pub(super) fn shuffled(lengths: &[u32], batch_size: usize, seed: u64) -> Vec<Vec<usize>> {
    let mut random = Random::new(seed);
    let mut order = (0..lengths.len()).collect::<Vec<_>>();
    order.shuffle(random.generator());
    for window in order.chunks_mut(batch_size.saturating_mul(WINDOW)) {
        window.sort_by_key(|sample| lengths[*sample]);
    }
    let mut batches = cut(&order, batch_size);
    batches.shuffle(random.generator());
    batches
}

/// Batches of all samples from the longest to the shortest: nothing random, for everything but training.
#[must_use]
pub(super) fn by_length(lengths: &[u32], batch_size: usize) -> Vec<Vec<usize>> {
    let mut order = (0..lengths.len()).collect::<Vec<_>>();
    order.sort_by_key(|sample| std::cmp::Reverse(lengths[*sample]));
    cut(&order, batch_size)
}

fn cut(order: &[usize], batch_size: usize) -> Vec<Vec<usize>> {
    order.chunks(batch_size).map(<[usize]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_sample_comes_once(lengths in prop::collection::vec(0_u32..40, 0..400), batch_size in 1_usize..9, seed: u64) {
            for batches in [shuffled(&lengths, batch_size, seed), by_length(&lengths, batch_size)] {
                let mut samples = batches.concat();
                samples.sort_unstable();
                prop_assert_eq!(samples, (0..lengths.len()).collect::<Vec<_>>());
                let smaller = batches.iter().filter(|batch| batch.len() < batch_size).count();
                prop_assert!(smaller <= 1);
            }
        }
    }

    #[test]
    fn the_order_depends_on_the_seed_alone() {
        let lengths = (0..300).map(|sample| sample % 17).collect::<Vec<_>>();
        assert_eq!(shuffled(&lengths, 8, 1), shuffled(&lengths, 8, 1));
        assert_ne!(shuffled(&lengths, 8, 1), shuffled(&lengths, 8, 2));
    }

    #[test]
    fn batches_hold_texts_of_similar_length() {
        let lengths = (0..1600)
            .map(|sample| sample * 7919 % 100)
            .collect::<Vec<u32>>();
        let padded = |batches: &[Vec<usize>]| -> u32 {
            let longest = |batch: &Vec<usize>| batch.iter().map(|sample| lengths[*sample]).max();
            batches
                .iter()
                .map(|batch| longest(batch).unwrap_or(0) * 32)
                .sum()
        };
        let needed = lengths.iter().sum::<u32>();
        assert!(padded(&shuffled(&lengths, 32, 1)) < needed * 11 / 10);
    }
}
