//! Norms, linear layers, attention and channels against Burn's operations, values and gradients.

use burn::module::{Module, Param};
use burn::nn::LinearConfig;
use burn::tensor::{Device, Distribution, Gradients, Tensor, activation, module};

use super::attention::{Heads, attend};
use super::{channels, linear, norms};

/// Numbers that the gradients are asked for.
fn normal<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    let numbers = Tensor::random(shape, Distribution::Normal(0.1, 1.0), &Device::flex());
    Tensor::from_inner(numbers).require_grad()
}

/// The gradients of the sum of `y`'s products with numbers that all differ.
fn back<const D: usize>(y: &Tensor<D>) -> Gradients {
    let count = i64::try_from(y.shape().num_elements()).expect("few");
    let places = Tensor::<1, burn::tensor::Int>::arange(0..count, &y.device());
    let weights = (places.float() * 0.7).sin().reshape(y.dims());
    (y.clone() * weights).sum().backward()
}

/// Fails where numbers differ by more than a little of the largest.
fn assert_close<const D: usize>(ours: Tensor<D>, theirs: Tensor<D>, what: &str) {
    let size = theirs.clone().abs().max().into_scalar::<f32>().max(1.0);
    let apart = (ours - theirs).abs().max().into_scalar::<f32>();
    assert!(apart <= 2e-5 * size, "{what}: {apart} of {size}");
}

fn assert_same_gradients<const D: usize>(
    [ours, theirs]: [&Gradients; 2],
    of: &Tensor<D>,
    what: &str,
) {
    let gradient = |all: &Gradients| of.grad(all).expect("there is one");
    assert_close(gradient(ours), gradient(theirs), what);
}

#[test]
fn a_norm_is_burns() {
    // Fewer rows than a thread takes at a time, and more; rows that are no whole vectors.
    for [rows, width] in [[1, 1], [3, 7], [130, 50], [70, 384]] {
        let x = normal([rows, 2, width]) * 3.0;
        let x = Tensor::from_inner(x.inner()).require_grad();
        let (gamma, beta) = (normal([width]), normal([width]));
        let of = |beta: Option<Tensor<1>>| {
            let ours = norms::layer_norm(x.clone(), gamma.clone(), beta.clone(), 1e-5);
            let theirs = module::layer_norm(x.clone(), gamma.clone(), beta, 1e-5);
            let gradients = [back(&ours), back(&theirs)];
            assert_close(ours.inner(), theirs.inner(), "output");
            gradients
        };
        let [ours, theirs] = of(Some(beta.clone()));
        assert_same_gradients([&ours, &theirs], &x, "gradient of x");
        assert_same_gradients([&ours, &theirs], &gamma, "gradient of gamma");
        assert_same_gradients([&ours, &theirs], &beta, "gradient of beta");
        let [ours, theirs] = of(None);
        assert_same_gradients([&ours, &theirs], &x, "gradient of x without beta");
    }
}

#[test]
fn a_linear_layer_is_burns() {
    for [rows, inputs, outputs] in [[1, 1, 1], [5, 3, 2], [150, 200, 70]] {
        let mut layer = LinearConfig::new(inputs, outputs)
            .init(&Device::flex())
            .train();
        layer.weight = Param::from_tensor(normal([inputs, outputs]));
        layer.bias = Some(Param::from_tensor(normal([outputs])));
        let x = normal([rows, 2, inputs]);
        let ours = linear::linear(&layer, x.clone());
        #[expect(clippy::disallowed_methods, reason = "it is what ours is held against")]
        let theirs = layer.forward(x.clone());
        let both = [&back(&ours), &back(&theirs)];
        assert_close(ours.inner(), theirs.inner(), "output");
        assert_same_gradients(both, &x, "gradient of x");
        assert_same_gradients(both, &layer.weight.val(), "gradient of the weight");
        let bias = layer.bias.as_ref().expect("it has one");
        assert_same_gradients(both, &bias.val(), "gradient of the bias");
    }
}

#[test]
fn attention_is_made_of_products_and_a_softmax() {
    for (tokens, heads) in [(1, 1), (7, 2), (40, 3)] {
        let width = heads * 5;
        let [query, key, value] = [(); 3].map(|()| normal([2, tokens, width]));
        let mut mask = vec![1.0_f32; 2 * tokens];
        mask[tokens / 2 + 1..tokens].fill(0.0);
        let mask = Tensor::<1>::from_data(&mask[..], &Device::flex()).reshape([2, tokens]);
        let how = Heads {
            count: heads,
            scale: 0.3,
            drop: None,
        };
        let all = [query.clone(), key.clone(), value.clone()];
        let ours = attend(all, mask.clone(), how);
        let split = |x: &Tensor<3>| x.clone().reshape([2, tokens, heads, 5]).swap_dims(1, 2);
        let scores = split(&query).matmul(split(&key).transpose()) * 0.3;
        let out = (Tensor::from_inner(mask) - 1.0) * 1e9;
        let weights = activation::softmax(scores + out.reshape([2, 1, 1, tokens]), 3);
        let theirs = weights.matmul(split(&value)).swap_dims(1, 2);
        let theirs = theirs.reshape([2, tokens, width]);
        let both = [&back(&ours), &back(&theirs)];
        assert_close(ours.inner(), theirs.inner(), "output");
        assert_same_gradients(both, &query, "gradient of the queries");
        assert_same_gradients(both, &key, "gradient of the keys");
        assert_same_gradients(both, &value, "gradient of the values");
    }
}

/// What is dropped forwards is what has no gradient: with values that are all 1, an output is the sum of the weights that stay.
#[test]
fn attention_drops_the_same_weights_on_the_way_back() {
    let how = Heads {
        count: 1,
        scale: 0.3,
        drop: Some((17, 0.5)),
    };
    let [query, key] = [(); 2].map(|()| normal([1, 6, 4]));
    let mask = Tensor::ones([1, 6], &Device::flex());
    // Each key's value is a place of its own, so that the output is the weights.
    let places = Tensor::<2>::eye(6, &Device::flex()).unsqueeze::<3>();
    let run = |value: Tensor<3>| {
        let pad = |x: &Tensor<3>| {
            Tensor::cat(
                vec![x.clone(), x.clone().zeros_like().slice([0..1, 0..6, 0..2])],
                2,
            )
        };
        attend([pad(&query), pad(&key), value], mask.clone(), how)
    };
    let value = Tensor::from_inner(places).require_grad();
    let weights = run(value.clone());
    let gradient = value
        .grad(&weights.clone().sum().backward())
        .expect("of the values");
    let weights = weights.inner();
    let dropped = weights
        .clone()
        .equal_elem(0.0)
        .int()
        .sum()
        .into_scalar::<i64>();
    assert!(
        (6..30).contains(&dropped),
        "{dropped} of 36 weights are dropped"
    );
    // The gradient of a value is the sum of the weights that it was taken with.
    let sums = weights.sum_dim(1).transpose();
    assert_close(
        gradient.slice([0..1, 0..6, 0..1]),
        sums,
        "gradient of the values",
    );
}

#[test]
fn means_and_factors_of_channels_are_burns() {
    for size in [[1, 1], [3, 5], [17, 9]] {
        let (x, factors) = (normal([3, 4, size[0], size[1]]), normal([3, 4]));
        let ours = channels::mean(x.clone());
        let theirs = x
            .clone()
            .reshape([3, 4, size[0] * size[1]])
            .mean_dim(2)
            .reshape([3, 4]);
        let both = [&back(&ours), &back(&theirs)];
        assert_close(ours.inner(), theirs.inner(), "means");
        assert_same_gradients(both, &x, "gradient of means");
        let ours = channels::scale(x.clone(), factors.clone());
        let theirs = x.clone() * factors.clone().reshape([3, 4, 1, 1]);
        let both = [&back(&ours), &back(&theirs)];
        assert_close(ours.inner(), theirs.inner(), "products");
        assert_same_gradients(both, &x, "gradient of x");
        assert_same_gradients(both, &factors, "gradient of the factors");
    }
}
