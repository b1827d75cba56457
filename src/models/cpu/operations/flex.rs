//! The operations on the CPU: pieces of a tensor on all threads, in place where nobody else holds it.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;

use super::super::tensor::{PIECE, contiguous, map, numbers};
use super::{Operations, slices};

impl Operations for Flex {
    fn gelu_exact(x: FloatTensor<Self>) -> FloatTensor<Self> {
        map(x, PIECE, |_, x| slices::gelu(x))
    }

    fn gelu_exact_backward(x: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        let x = contiguous(x);
        let x = numbers(&x);
        map(gradient, PIECE, |start, gradient| {
            slices::gelu_backward(&x[start..start + gradient.len()], gradient);
        })
    }

    fn attention_weights(
        scores: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        scale: f32,
    ) -> FloatTensor<Self> {
        let shape = scores.layout().shape().clone();
        let (of_sample, keys) = (shape[1] * shape[2] * shape[3], shape[3]);
        let mask = contiguous(mask);
        let mask = numbers(&mask);
        map(scores, rows(keys), |start, scores| {
            for (index, row) in scores.chunks_exact_mut(keys).enumerate() {
                let sample = (start + index * keys) / of_sample;
                slices::softmax(row, &mask[sample * keys..(sample + 1) * keys], scale);
            }
        })
    }

    fn attention_weights_backward(
        weights: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        scale: f32,
    ) -> FloatTensor<Self> {
        let shape = weights.layout().shape().clone();
        let weights = contiguous(weights);
        let weights = numbers(&weights);
        map(gradient, rows(shape[3]), |start, gradient| {
            let weights = &weights[start..start + gradient.len()];
            slices::softmax_backward(weights, gradient, shape[3], scale);
        })
    }

    fn drop_out(x: FloatTensor<Self>, seed: u64, drop: f32) -> FloatTensor<Self> {
        map(x, PIECE, |start, x| slices::drop_out(x, start, seed, drop))
    }
}

/// As many numbers as make whole rows and about a piece.
fn rows(width: usize) -> usize {
    PIECE.div_ceil(width) * width
}
