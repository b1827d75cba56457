//! The operations against Burn's own, values and gradients.

use burn::nn::DropoutConfig;
use burn::tensor::{Device, Distribution, Tensor, activation};

use super::*;

fn normal<const D: usize>(shape: [usize; D], std: f64) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, std), &Device::flex())
}

/// The greatest difference between numbers of two tensors.
fn apart<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f32 {
    (a - b).abs().max().into_scalar()
}

/// Value at `x`, and gradient of the sum of its products with `weight`.
fn with_gradient<const D: usize>(
    f: impl Fn(Tensor<D>) -> Tensor<D>,
    x: &Tensor<D>,
    weight: &Tensor<D>,
) -> (Tensor<D>, Tensor<D>) {
    let x = Tensor::from_inner(x.clone()).require_grad();
    let y = f(x.clone());
    let sum = (y.clone() * Tensor::from_inner(weight.clone())).sum();
    let gradient = x.grad(&sum.backward()).expect("x has a gradient");
    (y.inner(), gradient)
}

#[test]
fn gelu_is_burns() {
    let x = Tensor::cat(vec![normal([3, 700], 1.0), normal([3, 333], 5.0)], 1);
    let weight = normal([3, 1033], 1.0);
    let (ours, our_gradient) = with_gradient(gelu, &x, &weight);
    let (theirs, their_gradient) = with_gradient(activation::gelu, &x, &weight);
    assert!(apart(ours.clone(), theirs) < 1e-6);
    assert!(apart(our_gradient, their_gradient) < 4e-6);
    gelu(x).into_data().assert_eq(&ours.into_data(), true);
}

#[test]
fn gelu_far_out_is_the_identity_or_zero_and_keeps_what_is_no_number() {
    let x = Tensor::<1>::from_data(
        [-1e30_f32, -20.0, 0.0, 20.0, 1e30, f32::NAN],
        &Device::flex(),
    );
    let y = gelu(x).into_data().try_to_vec::<f32>().expect("f32");
    assert_eq!(y[..5], [0.0, 0.0, 0.0, 20.0, 1e30]);
    assert!(y[5].is_nan());
}

#[test]
fn attention_is_scale_mask_and_softmax() {
    for keys in [1, 7, 40] {
        let scores = normal([2, 3, 5, keys], 4.0);
        let weight = normal([2, 3, 5, keys], 1.0);
        let mut mask = vec![1.0_f32; 2 * keys];
        mask[keys / 2 + 1..keys].fill(0.0);
        let mask = Tensor::<1>::from_data(&mask[..], &Device::flex()).reshape([2, keys]);
        let composed = |scores: Tensor<4>| {
            let mask = Tensor::from_inner(mask.clone()).reshape([2, 1, 1, keys]);
            activation::softmax(scores.mul_scalar(0.3) + (mask - 1.0).mul_scalar(1e9), 3)
        };
        let ours = |scores| attention(scores, mask.clone(), 0.3);
        let (ours, our_gradient) = with_gradient(ours, &scores, &weight);
        let (theirs, their_gradient) = with_gradient(composed, &scores, &weight);
        assert!(apart(ours.clone(), theirs) < 1e-6, "{keys} keys");
        assert!(apart(our_gradient, their_gradient) < 1e-6, "{keys} keys");
        let padding = ours.slice([0..1, 0..3, 0..5, keys / 2 + 1..keys.max(keys / 2 + 1)]);
        assert!(
            padding
                .into_data()
                .iter::<f32>()
                .all(|weight| weight == 0.0)
        );
    }
}

#[test]
fn attention_keeps_what_is_no_number() {
    for place in [0, 17, 39] {
        let mut scores = [0.5_f32; 40];
        scores[place] = f32::NAN;
        let scores = Tensor::<1>::from_data(&scores[..], &Device::flex()).reshape([1, 1, 1, 40]);
        let weights = attention(scores, Tensor::ones([1, 40], &Device::flex()), 0.3);
        assert!(weights.into_data().iter::<f32>().all(f32::is_nan));
    }
}

#[test]
fn tensors_that_are_views_are_left_as_they_are() {
    let x = normal([6, 4], 1.0);
    let before = x.clone().into_data();
    let turned = x.clone().transpose();
    assert!(apart(gelu(turned.clone()), activation::gelu(turned)) < 1e-6);
    let part = x.clone().slice([2..4, 0..4]);
    assert!(apart(gelu(part.clone()), activation::gelu(part)) < 1e-6);
    x.into_data().assert_eq(&before, true);
}

#[test]
#[expect(
    clippy::float_cmp,
    reason = "there are two values, each with its own bits"
)]
fn dropout_drops_the_share_and_its_gradient_drops_the_same() {
    let layer = DropoutConfig::new(0.1).init();
    let device = Device::flex();
    device.seed(7);
    let ones = Tensor::<2>::ones([200, 1000], &device);
    let (y, gradient) = with_gradient(|x| dropout(&layer, x), &ones, &ones);
    y.to_data().assert_eq(&gradient.into_data(), true);
    let y = y.into_data().try_to_vec::<f32>().expect("f32");
    let dropped = y.iter().filter(|number| **number == 0.0).count();
    // 20,000 with a standard deviation of 134.
    assert!(dropped.abs_diff(20_000) < 600, "{dropped}");
    let kept = 1.0 / (1.0 - 0.1_f32);
    assert!(y.iter().all(|number| *number == 0.0 || *number == kept));
    let neighbours = y
        .windows(2)
        .filter(|pair| pair[0] == 0.0 && pair[1] == 0.0)
        .count();
    assert!(neighbours.abs_diff(2_000) < 200, "{neighbours}");
}

#[test]
fn dropout_follows_the_devices_seed_and_its_switches() {
    let layer = DropoutConfig::new(0.5).init();
    let device = Device::flex().autodiff();
    let x = Tensor::<2>::ones([20, 50], &device);
    let run = |seed| {
        device.seed(seed);
        (0..2)
            .map(|_| dropout(&layer, x.clone()).into_data())
            .collect::<Vec<_>>()
    };
    let (one, again, two) = (run(1), run(1), run(2));
    assert_eq!(one, again);
    assert_ne!(one[0], one[1], "two layers drop differently");
    assert_ne!(one, two);
    let plain = x.clone().inner();
    dropout(&layer, plain.clone())
        .into_data()
        .assert_eq(&plain.into_data(), true);
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let x = normal([4, 3, 50, 50], 2.0);
    let mask = Tensor::<2>::ones([4, 50], &Device::flex());
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("a pool").install(|| {
            let weights = attention(gelu(x.clone()), mask.clone(), 0.2);
            weights.into_data()
        })
    };
    assert_eq!(run(1), run(3));
}
