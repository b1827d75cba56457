//! The operations on the CPU: pieces of a tensor on all threads, in place where nobody else holds it.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::tensor::TensorData;
use rayon::prelude::*;

use super::{Operations, slices};

/// Numbers that one thread works on at a time: small enough for its cache, large enough to be worth the handing over.
const PIECE: usize = 1 << 13;

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

/// Calls `change` on pieces of `x`, each with its place in it, on all threads.
fn map(x: FlexTensor, piece: usize, change: impl Fn(usize, &mut [f32]) + Sync) -> FlexTensor {
    let mut x = contiguous(x);
    let (from, to) = place(&x);
    if let Some(numbers) = x.try_storage_mut::<f32>() {
        numbers[from..to]
            .par_chunks_mut(piece)
            .enumerate()
            .for_each(|(index, part)| change(index * piece, part));
        return x;
    }
    let mut changed = vec![0.0_f32; to - from];
    changed
        .par_chunks_mut(piece)
        .zip(numbers(&x).par_chunks(piece))
        .enumerate()
        .for_each(|(index, (part, old))| {
            part.copy_from_slice(old);
            change(index * piece, part);
        });
    FlexTensor::from_data(TensorData::new(changed, x.layout().shape().clone()))
}

fn contiguous(x: FlexTensor) -> FlexTensor {
    if x.is_contiguous() {
        x
    } else {
        x.to_contiguous()
    }
}

/// Where a contiguous tensor lies in its storage.
fn place(x: &FlexTensor) -> (usize, usize) {
    let Some(place) = x.layout().contiguous_offsets() else {
        unreachable!("the tensor is contiguous");
    };
    place
}

fn numbers(x: &FlexTensor) -> &[f32] {
    let (from, to) = place(x);
    &x.storage::<f32>()[from..to]
}
