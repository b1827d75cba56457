//! Stochastic depth (Huang et al., arXiv:1603.09382): in training, what a block adds to its input is left out for some samples.

use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::Tensor;

use super::transformer::wrong;
use crate::error::Result;
use crate::models::cpu::operations::dropout;

/// The rate for each of `count` blocks: from 0 for the first to `rate` for the last, in equal steps.
#[expect(clippy::cast_precision_loss, reason = "networks have few blocks")]
pub(super) fn rising(rate: f64, count: usize) -> impl Iterator<Item = Dropout> {
    let last = count.saturating_sub(1).max(1) as f64;
    (0..count).map(move |index| DropoutConfig::new(rate * index as f64 / last).init())
}

/// What a block adds, `[batch, …]`: in training, all of a sample's numbers are 0 with the probability of `layer`, and else divided by one
/// less that.
pub(super) fn drop_path<const D: usize>(layer: &Dropout, x: Tensor<D>) -> Tensor<D> {
    if layer.prob <= 0.0 || !x.device().is_autodiff() {
        return x;
    }
    let mut shape = [1; D];
    shape[0] = x.dims()[0];
    let kept = dropout(layer, Tensor::ones(shape, &x.device()));
    x * kept
}

/// Checks the rate of the config's `name`.
///
/// # Errors
/// What is no probability below 1.
pub(super) fn check(name: &str, rate: f64) -> Result<()> {
    if (0.0..1.0).contains(&rate) {
        return Ok(());
    }
    wrong(&format!("`{name}` must be at least 0 and below 1"))
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn a_sample_is_kept_whole_or_left_out_and_what_is_kept_makes_up_for_it() {
        let device = Device::flex().autodiff();
        let layer = DropoutConfig::new(0.25).init();
        let x = Tensor::<3>::ones([400, 2, 3], &device);
        let kept = drop_path(&layer, x).into_data();
        let kept = kept.try_to_vec::<f32>().expect("f32");
        let samples: Vec<&[f32]> = kept.chunks(6).collect();
        assert!(samples.iter().all(|sample| {
            let first = sample[0];
            (first == 0.0 || (first - 4.0 / 3.0).abs() < 1e-6)
                && sample
                    .iter()
                    .all(|number| number.to_bits() == first.to_bits())
        }));
        let dropped = samples.iter().filter(|sample| sample[0] == 0.0).count();
        assert!((60..140).contains(&dropped), "{dropped} of 400");
    }

    #[test]
    fn without_gradients_nothing_is_left_out() {
        let layer = DropoutConfig::new(0.9).init();
        let x = Tensor::<2>::ones([20, 3], &Device::flex());
        drop_path(&layer, x.clone())
            .into_data()
            .assert_eq(&x.into_data(), true);
    }

    #[test]
    fn rates_rise_from_nothing() {
        let rates: Vec<f64> = rising(0.3, 4).map(|layer| layer.prob).collect();
        for (rate, expected) in rates.iter().zip([0.0, 0.1, 0.2, 0.3]) {
            assert!((rate - expected).abs() < 1e-12, "{rates:?}");
        }
        assert_eq!(
            rising(0.3, 1).map(|layer| layer.prob).collect::<Vec<_>>(),
            [0.0]
        );
    }
}
