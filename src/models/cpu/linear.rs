//! Linear layers in training. Without gradients Burn's own is as good.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::nn::Linear;
use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use super::product::{Matrix, product};
use super::tensor::{contiguous, like, numbers, row};
use super::{is_flex, room, vectorised, written};

/// The operation on a backend's own tensors. All tensors are f32.
#[backend_extension(Flex, Autodiff)]
trait Layers: Backend {
    /// `[…, inputs]`, `[inputs, outputs]` and `[outputs]` → `[…, outputs]`.
    fn affine(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// `[…, inputs]` → `[…, outputs]`.
pub(in crate::models) fn linear<const D: usize>(layer: &Linear, x: Tensor<D>) -> Tensor<D> {
    let weight = layer.weight.val();
    match &layer.bias {
        Some(bias) if is_flex(&x) && x.device().is_autodiff() && D > 1 => {
            let (x, bias) = (x.into_dispatch(), bias.val().into_dispatch());
            Tensor::from_dispatch(<Dispatch as Layers>::affine(
                x,
                weight.into_dispatch(),
                bias,
            ))
        }
        #[expect(clippy::disallowed_methods, reason = "this is where it is decided")]
        _ => layer.forward(x),
    }
}

/// Rows that one thread works on at a time. Gradients of biases are summed by so many rows, whatever the number of threads.
const ROWS: usize = 128;

/// Rows of the gradient of a weight that one thread makes at a time.
const INPUTS: usize = 96;

impl Layers for Flex {
    fn affine(x: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
        forward(&contiguous(x), &contiguous(weight), &contiguous(bias))
    }
}

fn forward(x: &FlexTensor, weight: &FlexTensor, bias: &FlexTensor) -> FlexTensor {
    let mut shape: Vec<usize> = x.layout().shape().iter().copied().collect();
    let of_weight = weight.layout().shape();
    let (inputs, outputs) = (of_weight[0], of_weight[1]);
    assert_eq!(shape.last(), Some(&inputs), "as wide as the layer");
    let (x, weight, bias) = (numbers(x), numbers(weight), numbers(bias));
    assert_eq!(bias.len(), outputs);
    let mut output = room(x.len() / inputs * outputs);
    let chunks = output.par_chunks_mut(ROWS * outputs);
    chunks.zip(x.par_chunks(ROWS * inputs)).for_each(|(to, x)| {
        let (left, right) = (
            Matrix::dense(x, x.len() / inputs),
            Matrix::dense(weight, inputs),
        );
        product(left, right, to, outputs);
        #[expect(unsafe_code, reason = "a matrix product writes all that it says")]
        // SAFETY: the product has written all columns of all of these rows.
        let to = unsafe { to.assume_init_mut() };
        vectorised(
            #[inline(always)]
            || {
                for to in to.chunks_exact_mut(outputs) {
                    for (to, bias) in to.iter_mut().zip(bias) {
                        *to += bias;
                    }
                }
            },
        );
    });
    #[expect(unsafe_code, reason = "a matrix product writes all that it says")]
    // SAFETY: the products have written all rows.
    let output = unsafe { written(output) };
    if let Some(last) = shape.last_mut() {
        *last = outputs;
    }
    FlexTensor::from_data(TensorData::new(output, shape))
}

impl<C: CheckpointStrategy> Layers for Autodiff<Flex, C> {
    fn affine(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let (x, of_x) = x.into_parts();
        let (weight, of_weight) = weight.into_parts();
        let (bias, of_bias) = bias.into_parts();
        let (x, weight) = (contiguous(x), contiguous(weight));
        let output = forward(&x, &weight, &contiguous(bias));
        let nodes = [of_x, of_weight, of_bias];
        match Affine.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish([x, weight], output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }
}

#[derive(Debug)]
struct Affine;

impl Backward<Flex, 3> for Affine {
    /// The input and the weight.
    type State = [FlexTensor; 2];

    fn backward(self, ops: Ops<Self::State, 3>, collected: &mut Gradients, _: &mut Checkpointer) {
        let gradient = contiguous(collected.consume::<Flex>(&ops.node));
        let [x, weight] = ops.state;
        let [of_x, of_weight, of_bias] = ops.parents;
        let (x_numbers, weight_numbers) = (numbers(&x), numbers(&weight));
        let outputs = weight.layout().shape()[1];
        if let Some(node) = of_x {
            let found = of_input(weight_numbers, numbers(&gradient), outputs);
            collected.register::<Flex>(node.id, like(found, &x));
        }
        if let Some(node) = of_bias {
            let found = of_summand(numbers(&gradient), outputs);
            collected.register::<Flex>(node.id, row(found));
        }
        if let Some(node) = of_weight {
            let found = of_factor(x_numbers, numbers(&gradient), outputs);
            collected.register::<Flex>(node.id, like(found, &weight));
        }
    }
}

/// `gradient`, `[rows, outputs]`, times the weight's transpose.
fn of_input(weight: &[f32], gradient: &[f32], outputs: usize) -> Vec<f32> {
    let inputs = weight.len() / outputs;
    let mut found = room(gradient.len() / outputs * inputs);
    let chunks = found.par_chunks_mut(ROWS * inputs);
    let chunks = chunks.zip(gradient.par_chunks(ROWS * outputs));
    chunks.for_each(|(to, gradient)| {
        let left = Matrix::dense(gradient, gradient.len() / outputs);
        product(left, Matrix::dense(weight, inputs).transposed(), to, inputs);
    });
    #[expect(unsafe_code, reason = "a matrix product writes all that it says")]
    // SAFETY: the products have written all rows.
    unsafe {
        written(found)
    }
}

/// The transpose of `x`, `[rows, inputs]`, times `gradient`, `[rows, outputs]`.
fn of_factor(x: &[f32], gradient: &[f32], outputs: usize) -> Vec<f32> {
    let rows = gradient.len() / outputs;
    let inputs = x.len() / rows;
    let mut found = room(inputs * outputs);
    let blocks = found.par_chunks_mut(INPUTS * outputs).enumerate();
    blocks.for_each(|(block, to)| {
        let (start, count) = (block * INPUTS, to.len() / outputs);
        let left = Matrix::new(&x[start..], rows, count, inputs).transposed();
        product(left, Matrix::dense(gradient, rows), to, outputs);
    });
    #[expect(unsafe_code, reason = "a matrix product writes all that it says")]
    // SAFETY: the products have written all blocks.
    unsafe {
        written(found)
    }
}

/// The sum of the rows of `gradient`.
fn of_summand(gradient: &[f32], outputs: usize) -> Vec<f32> {
    let sums = gradient.par_chunks(ROWS * outputs).map(|gradient| {
        let mut sums = vec![0.0_f32; outputs];
        for row in gradient.chunks_exact(outputs) {
            add(&mut sums, row);
        }
        sums
    });
    let sums: Vec<Vec<f32>> = sums.collect();
    let total = sums.into_iter().reduce(|mut total, part| {
        add(&mut total, &part);
        total
    });
    total.unwrap_or_else(|| vec![0.0; outputs])
}

fn add(sums: &mut [f32], more: &[f32]) {
    vectorised(
        #[inline(always)]
        || {
            for (sum, more) in sums.iter_mut().zip(more) {
                *sum += more;
            }
        },
    );
}
