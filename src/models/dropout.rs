//! Dropout whose mask is made on all threads: Burn draws it number by number from one generator, which holds up a step.

use burn::nn::Dropout;
use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};
use rayon::prelude::*;

/// How many numbers one thread takes at a time.
const PIECE: usize = 1 << 14;

/// Sets numbers of `x` to 0 with the probability of `layer` and scales the others up (Srivastava et al. 2014), if `x` is on an autodiff
/// device and the layer is not frozen.
///
/// The device's generator gives one seed for the whole mask; the mask then depends on that seed alone.
pub(super) fn dropout<const D: usize>(layer: &Dropout, x: Tensor<D>) -> Tensor<D> {
    let device = x.device();
    if !layer.training.is_enabled() || !device.is_autodiff() || layer.prob == 0.0 {
        return x;
    }
    let shape = x.dims();
    let numbers = mask(shape.iter().product(), layer.prob, seed(&device));
    let mask = Tensor::from_data(TensorData::new(numbers, shape), &device.inner());
    x * Tensor::from_inner(mask)
}

/// A seed from the device's generator.
fn seed(device: &Device) -> u64 {
    let range = Distribution::Uniform(0.0, f64::from(1 << 30));
    let drawn = Tensor::<1, Int>::random([2], range, device).into_data();
    drawn.iter::<u64>().fold(0, |seed, half| seed << 32 | half)
}

/// For each place 0 or what keeps the sum the same.
fn mask(length: usize, probability: f64, seed: u64) -> Vec<f32> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a probability below 1 of 2^32"
    )]
    let dropped = (probability * 2.0_f64.powi(32)) as u32;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "activations are 32-bit floats"
    )]
    let kept = (1.0 / (1.0 - probability)) as f32;
    let number = |bits: u32| if bits < dropped { 0.0 } else { kept };
    let mut numbers = vec![0.0; length];
    numbers
        .par_chunks_mut(PIECE)
        .enumerate()
        .for_each(|(piece, numbers)| {
            let mut place = seed.wrapping_add(((piece * PIECE / 2) as u64).wrapping_mul(STRIDE));
            for pair in numbers.chunks_mut(2) {
                place = place.wrapping_add(STRIDE);
                let bits = scramble(place);
                #[expect(clippy::cast_possible_truncation, reason = "each half is used")]
                for (number_out, half) in pair.iter_mut().zip([bits as u32, (bits >> 32) as u32]) {
                    *number_out = number(half);
                }
            }
        });
    numbers
}

/// The golden ratio in 64 bits.
const STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;

/// The output function of `SplitMix64` (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators"): random bits for
/// each place in any order, so that threads need not wait for each other.
fn scramble(place: u64) -> u64 {
    let z = (place ^ (place >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use burn::module::Module;
    use burn::nn::DropoutConfig;

    use super::*;

    #[test]
    fn it_drops_its_share_and_keeps_the_mean() {
        let numbers = mask(1 << 20, 0.1, 7);
        let dropped = numbers.iter().filter(|number| **number == 0.0).count();
        #[expect(clippy::cast_precision_loss, reason = "a million")]
        let share = dropped as f64 / numbers.len() as f64;
        assert!((share - 0.1).abs() < 2e-3, "{share}");
        let mean =
            numbers.iter().map(|number| f64::from(*number)).sum::<f64>() / f64::from(1 << 20);
        assert!((mean - 1.0).abs() < 2e-3, "{mean}");
        assert_ne!(mask(1000, 0.1, 7), mask(1000, 0.1, 8));
    }

    #[test]
    fn the_mask_is_the_same_on_any_number_of_threads() {
        let masks = [1, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .expect("a pool");
            pool.install(|| mask(100_001, 0.5, 3))
        });
        assert_eq!(masks[0], masks[1]);
    }

    #[test]
    fn it_is_for_training_only() {
        let layer = DropoutConfig::new(0.5).init();
        let x = Tensor::<2>::ones([8, 8], &Device::flex());
        let same = |x: Tensor<2>, y: Tensor<2>| x.into_data() == y.into_data();
        assert!(same(dropout(&layer, x.clone()), x.clone()));
        let trained = Tensor::from_inner(x.clone());
        assert!(!same(dropout(&layer, trained.clone()).inner(), x.clone()));
        assert!(same(dropout(&layer.freeze(), trained).inner(), x));
    }

    #[test]
    fn gradients_pass_where_numbers_do() {
        let x = Tensor::<1>::ones([64], &Device::flex())
            .autodiff()
            .require_grad();
        let y = dropout(&DropoutConfig::new(0.5).init(), x.clone());
        let gradients = y.clone().sum().backward();
        let gradient = x.grad(&gradients).expect("x needs one");
        assert_eq!(gradient.into_data(), y.inner().into_data());
    }
}
