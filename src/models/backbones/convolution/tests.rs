//! refire's own convolutions against Burn's, values and gradients.

use burn::module::Module;
use burn::tensor::Distribution;

use super::*;

/// Numbers around 0.
fn normal<const D: usize>(shape: [usize; D], std: f64) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, std), &Device::flex())
}

/// Tells what differs by more than a little, relative to the greatest number there is.
fn assert_close<const D: usize>(ours: Tensor<D>, theirs: Tensor<D>, most: f32, what: &str) {
    let size = theirs.clone().abs().max().into_scalar::<f32>().max(1.0);
    let apart = (ours - theirs).abs().max().into_scalar::<f32>();
    assert!(apart <= most * size, "{what}: {apart} of {size}");
}

/// The layer with numbers in it.
fn layer(config: ConvNormConfig) -> ConvNorm {
    let mut layer = config.init(&Device::flex());
    let shape = layer.conv.weight.val().dims();
    let channels = config.outputs;
    // Not so small that nothing but the rounding of sums is left of a channel.
    let kernels = Tensor::random(shape, Distribution::Uniform(0.2, 1.0), &Device::flex());
    layer.conv.weight = Param::from_tensor(kernels);
    layer.norm.gamma = Param::from_tensor(normal([channels], 0.5) + 1.0);
    layer.norm.beta = Param::from_tensor(normal([channels], 1.0));
    layer.train()
}

const ACTIVATIONS: [Activation; 5] = [
    Activation::Identity,
    Activation::Relu,
    Activation::Relu6,
    Activation::Silu,
    Activation::HardSwish,
];

fn configs() -> Vec<(ConvNormConfig, [usize; 2])> {
    let mut configs = Vec::new();
    let mut activations = ACTIVATIONS.into_iter().cycle();
    let mut add = |outputs, groups, kernel, stride, padding, size| {
        let config = ConvNormConfig {
            depthwise: groups == 6 && outputs == 6,
            groups: if groups == 6 && outputs == 6 {
                1
            } else {
                groups
            },
            kernel,
            stride,
            padding,
            activation: activations.next().expect("a cycle"),
            ..ConvNormConfig::new(6, outputs)
        };
        configs.push((config, size));
    };
    for size in [[1, 1], [2, 3], [9, 14], [12, 7], [33, 40]] {
        for padding in [Padding::Centred, Padding::Same] {
            for (kernel, stride) in [
                (1, 1),
                (1, 2),
                (3, 1),
                (3, 2),
                (5, 1),
                (5, 2),
                (7, 2),
                (3, 3),
                (2, 2),
            ] {
                if kernel == 2 && padding == Padding::Centred && size == [1, 1] {
                    continue;
                }
                for (outputs, groups) in [(7, 1), (6, 6), (4, 2), (12, 6)] {
                    add(outputs, groups, kernel, stride, padding, size);
                }
            }
        }
    }
    configs
}

/// The output at `x`, and the gradients of the sum of its products with `weight`: of `x`, the kernels, the factors and the summands.
fn found(
    layer: &ConvNorm,
    forward: impl Fn(&ConvNorm, Tensor<4>) -> Tensor<4>,
    x: &Tensor<4>,
) -> (Tensor<4>, Tensor<4>, Tensor<4>, Tensor<1>, Tensor<1>) {
    let x = Tensor::from_inner(x.clone()).require_grad();
    let y = forward(layer, x.clone());
    let count = i64::try_from(y.shape().num_elements()).expect("few");
    let place = Tensor::<1, burn::tensor::Int>::arange(0..count, &y.device());
    let weight = (place.float() * 0.7).sin().reshape(y.dims());
    let gradients = (y.clone() * weight).sum().backward();
    (
        y.inner(),
        x.grad(&gradients).expect("of x"),
        layer
            .conv
            .weight
            .val()
            .grad(&gradients)
            .expect("of the kernels"),
        layer.norm.gamma.val().grad(&gradients).expect("of gamma"),
        layer.norm.beta.val().grad(&gradients).expect("of beta"),
    )
}

#[test]
fn a_layer_in_training_gives_what_burn_gives() {
    for (config, size) in configs() {
        for measures in [true, false] {
            let mut ours = layer(config);
            if !measures {
                ours.norm = ours.norm.still(
                    normal([config.outputs], 1.0),
                    normal([config.outputs], 1.0).abs() + 0.5,
                );
            }
            let theirs = ours.clone();
            let x = normal([5, 6, size[0], size[1]], 1.0) + 0.3;
            let a = found(&ours, ConvNorm::forward, &x);
            let b = found(&theirs, ConvNorm::elsewhere, &x);
            let what = |part| format!("{part} of {config:?} at {size:?}, measures: {measures}");
            assert_close(a.0, b.0, 3e-5, &what("output"));
            assert_close(a.1, b.1, 3e-5, &what("gradient of x"));
            // Normalisation makes most of it cancel out.
            assert_close(a.2, b.2, 1e-3, &what("gradient of the kernels"));
            assert_close(a.3, b.3, 3e-5, &what("gradient of gamma"));
            assert_close(a.4, b.4, 3e-5, &what("gradient of beta"));
            let statistics = |layer: &ConvNorm| {
                [&layer.norm.running_mean, &layer.norm.running_var]
                    .map(|of| of.value().without_autodiff())
            };
            let [mean, variance] = statistics(&ours);
            let [their_mean, their_variance] = statistics(&theirs);
            assert_close(mean, their_mean, 3e-5, &what("running mean"));
            assert_close(variance, their_variance, 3e-5, &what("running variance"));
        }
    }
}
