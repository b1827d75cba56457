//! Operations that transformers spend their time in and that Burn's own CPU code does number by number on one thread:
//! GELU, attention's softmax, dropout. Each has a backward pass of its own.
//!
//! On the CPU they run in `flex`; on any other device they are made of Burn's operations. The results do not depend on
//! the number of threads nor on the processor.

mod autodiff;
mod flex;
pub(in crate::models::cpu) mod slices;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::nn::Dropout;
use burn::tensor::{Device, Distribution, Int, Tensor, activation};

use super::is_flex;
use crate::models::device::is_libtorch;

/// The operations on a backend's own tensors. All tensors are f32.
#[backend_extension(Flex, Autodiff)]
trait Operations: Backend {
    /// x Φ(x).
    fn gelu_exact(x: FloatTensor<Self>) -> FloatTensor<Self>;

    /// `gradient` through GELU at `x`.
    fn gelu_exact_backward(x: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Softmax over the last axis of `scores`, `[batch, heads, queries, keys]`, times `scale`, without the keys whose
    /// `mask`, `[batch, keys]`, is 0.
    fn attention_weights(
        scores: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        scale: f32,
    ) -> FloatTensor<Self>;

    /// `gradient` through [`attention_weights`](Self::attention_weights), which gave `weights`.
    fn attention_weights_backward(
        weights: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        scale: f32,
    ) -> FloatTensor<Self>;

    /// Sets numbers to zero, each with probability `drop`, and divides the others by `1 - drop`. Which ones is decided
    /// by the `seed` and their places. It is its own backward pass.
    fn drop_out(x: FloatTensor<Self>, seed: u64, drop: f32) -> FloatTensor<Self>;
}

/// x Φ(x), with the normal distribution's own Φ (arXiv:1606.08415).
pub(in crate::models) fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if is_flex(&x) {
        Tensor::from_dispatch(<Dispatch as Operations>::gelu_exact(x.into_dispatch()))
    } else {
        activation::gelu(x)
    }
}

/// Attention's weights (arXiv:1706.03762): softmax over the last axis of `scores`, `[batch, heads, queries, keys]`, times
/// `scale`, without the keys whose `mask`, `[batch, keys]`, is 0.
#[expect(clippy::cast_possible_truncation, reason = "the numbers are f32")]
pub(in crate::models) fn attention(scores: Tensor<4>, mask: Tensor<2>, scale: f64) -> Tensor<4> {
    if is_flex(&scores) {
        let (scores, mask) = (scores.into_dispatch(), mask.into_dispatch());
        let weights = <Dispatch as Operations>::attention_weights(scores, mask, scale as f32);
        return Tensor::from_dispatch(weights);
    }
    let [batch, keys] = mask.dims();
    // 0 for a token; for padding so low that its weight is exactly 0.
    let additive = (mask - 1.0).mul_scalar(1e9).reshape([batch, 1, 1, keys]);
    activation::softmax(scores.mul_scalar(scale) + additive, 3)
}

/// Numbers that are drawn on the processor whatever the device: as many as a head's, which are soon where they are needed.
const FEW: usize = 1 << 17;

/// Burn's dropout (Srivastava et al. 2014), with the same meaning and the same switches. On the processor one seed is drawn
/// for all numbers of `x`, and the same ones are set to zero whichever library computes; on other devices, too, where they are few.
#[expect(clippy::cast_possible_truncation, reason = "the numbers are f32")]
pub(in crate::models) fn dropout<const D: usize>(layer: &Dropout, x: Tensor<D>) -> Tensor<D> {
    let is_active = layer.training.is_enabled() && x.device().is_autodiff() && layer.prob > 0.0;
    if is_active && is_flex(&x) {
        return drop_out(x, layer.prob as f32);
    }
    let is_few = x.shape().num_elements() <= FEW;
    if is_active && (is_few || is_libtorch(&x.device())) {
        let kept = drop_out(
            Tensor::<D>::ones(x.dims(), &Device::flex()),
            layer.prob as f32,
        );
        let kept = Tensor::from_data(kept.into_data(), &x.device());
        return x * kept;
    }
    layer.forward(x)
}

/// With which seed and probability `layer` drops something now; none if it does not.
#[expect(clippy::cast_possible_truncation, reason = "the numbers are f32")]
pub(in crate::models) fn seed_of(layer: &Dropout) -> Option<(u64, f32)> {
    (layer.training.is_enabled() && layer.prob > 0.0).then(|| (draw(), layer.prob as f32))
}

/// Dropout of a tensor on the CPU.
fn drop_out<const D: usize>(x: Tensor<D>, drop: f32) -> Tensor<D> {
    let x = x.into_dispatch();
    Tensor::from_dispatch(<Dispatch as Operations>::drop_out(x, draw(), drop))
}

/// A seed from the CPU's generator, which [`reseed`](super::device::reseed) sets.
fn draw() -> u64 {
    let range = Distribution::Uniform(0.0, f64::from(1 << 30));
    let halves = Tensor::<1, Int>::random([2], range, &Device::flex()).into_data();
    halves.iter::<u64>().fold(0, |seed, half| seed << 32 | half)
}

#[cfg(test)]
mod tests;
