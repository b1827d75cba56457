//! The numbers of the tensors of Burn's CPU backend.

use burn::backend::flex::FlexTensor;
use burn::tensor::TensorData;
use rayon::prelude::*;

/// Numbers that one thread works on at a time: small enough for its cache, large enough to be worth the handing over.
pub(super) const PIECE: usize = 1 << 13;

/// The same, with its numbers in order.
pub(super) fn contiguous(x: FlexTensor) -> FlexTensor {
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

/// The numbers of a contiguous tensor of f32.
pub(super) fn numbers(x: &FlexTensor) -> &[f32] {
    let (from, to) = place(x);
    &x.storage::<f32>()[from..to]
}

/// Calls `change` on pieces of `x`, each with its place in it, on all threads.
pub(super) fn map(
    x: FlexTensor,
    piece: usize,
    change: impl Fn(usize, &mut [f32]) + Sync,
) -> FlexTensor {
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

/// Numbers in one row.
pub(super) fn row(values: Vec<f32>) -> FlexTensor {
    let len = values.len();
    FlexTensor::from_data(TensorData::new(values, [len]))
}

/// Numbers in the shape of another tensor.
pub(super) fn like(values: Vec<f32>, tensor: &FlexTensor) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, tensor.layout().shape().clone()))
}
