//! Scaled dot-product attention of several heads (arXiv:1706.03762) in training. Nothing of the size of tokens times tokens is kept: weights
//! are computed again on the way back, head by head, in the cache of one core.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use rayon::prelude::*;

use super::operations::slices;
use super::product::{Matrix, product};
use super::tensor::{contiguous, like, numbers};
use super::{room, written};

/// What attention is, beside its tensors.
#[derive(Clone, Copy, Debug)]
pub(in crate::models) struct Heads {
    /// How many parts the width of the states has.
    pub(in crate::models) count: usize,
    /// What products of queries and keys are multiplied by.
    pub(in crate::models) scale: f32,
    /// With which seed and probability weights are set to zero.
    pub(in crate::models) drop: Option<(u64, f32)>,
}

/// The operation on a backend's own tensors. All tensors are f32.
#[backend_extension(Flex, Autodiff)]
trait Attention: Backend {
    /// Queries, keys and values, each `[batch, tokens, width]`, and `mask`, `[batch, tokens]`, which is 0 for what is left out →
    /// `[batch, tokens, width]`.
    fn attend(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        heads: Heads,
    ) -> FloatTensor<Self>;
}

/// Attention on the processor: queries, keys and values, each `[batch, tokens, width]`, and `mask`, `[batch, tokens]`, which is 0 for what
/// is left out → `[batch, tokens, width]`.
pub(in crate::models) fn attend(
    [query, key, value]: [Tensor<3>; 3],
    mask: Tensor<2>,
    heads: Heads,
) -> Tensor<3> {
    let output = <Dispatch as Attention>::attend(
        query.into_dispatch(),
        key.into_dispatch(),
        value.into_dispatch(),
        mask.into_dispatch(),
        heads,
    );
    Tensor::from_dispatch(output)
}

impl Attention for Flex {
    fn attend(
        query: FlexTensor,
        key: FlexTensor,
        value: FlexTensor,
        mask: FlexTensor,
        heads: Heads,
    ) -> FlexTensor {
        forward(&Kept::new(query, key, value, mask, heads))
    }
}

/// What the way back needs: all of the input.
#[derive(Clone, Debug)]
struct Kept {
    query: FlexTensor,
    key: FlexTensor,
    value: FlexTensor,
    mask: FlexTensor,
    heads: Heads,
}

impl Kept {
    fn new(
        query: FlexTensor,
        key: FlexTensor,
        value: FlexTensor,
        mask: FlexTensor,
        heads: Heads,
    ) -> Self {
        let shape = query.layout().shape();
        assert_eq!(shape, key.layout().shape());
        assert_eq!(shape, value.layout().shape());
        assert_eq!(mask.layout().shape()[..], shape[..2]);
        assert!(shape[2].is_multiple_of(heads.count), "whole heads");
        Self {
            query: contiguous(query),
            key: contiguous(key),
            value: contiguous(value),
            mask: contiguous(mask),
            heads,
        }
    }

    /// Tokens of a sample, and numbers of a token.
    fn sizes(&self) -> (usize, usize) {
        let shape = self.query.layout().shape();
        (shape[1], shape[2])
    }

    /// A head of a sample.
    fn head(&self, sample: usize, head: usize) -> Head<'_> {
        let (tokens, width) = self.sizes();
        let Heads { count, scale, drop } = self.heads;
        let columns = width / count;
        let start = sample * tokens * width + head * columns;
        let matrix = |tensor| Matrix::new(&numbers(tensor)[start..], tokens, columns, width);
        Head {
            query: matrix(&self.query),
            key: matrix(&self.key),
            value: matrix(&self.value),
            mask: &numbers(&self.mask)[sample * tokens..(sample + 1) * tokens],
            scale,
            drop,
            place: (sample * count + head) * tokens * tokens,
        }
    }
}

/// One head of one sample; each matrix is `[tokens, columns]`.
struct Head<'a> {
    query: Matrix<'a>,
    key: Matrix<'a>,
    value: Matrix<'a>,
    mask: &'a [f32],
    scale: f32,
    drop: Option<(u64, f32)>,
    /// The place of its first weight among those of all heads of all samples.
    place: usize,
}

impl Head<'_> {
    /// Each query's weights of all keys, `[tokens, tokens]`.
    fn weights(&self, weights: &mut [f32]) {
        let tokens = self.mask.len();
        product(self.query, self.key.transposed(), weights, tokens);
        for row in weights.chunks_exact_mut(tokens) {
            slices::softmax(row, self.mask, self.scale);
        }
    }

    /// Sets to zero what is dropped, and divides the rest by the probability to stay. It is its own way back.
    fn drop_out(&self, weights: &mut [f32]) {
        if let Some((seed, drop)) = self.drop {
            slices::drop_out(weights, self.place, seed, drop);
        }
    }
}

fn forward(kept: &Kept) -> FlexTensor {
    let (tokens, width) = kept.sizes();
    let heads = kept.heads.count;
    let columns = width / heads;
    let mut output = room(numbers(&kept.query).len());
    let samples = output.par_chunks_mut(tokens * width).enumerate();
    samples.for_each_init(Vec::new, |weights, (sample, output)| {
        weights.resize(tokens * tokens, 0.0);
        for head in 0..heads {
            let of = kept.head(sample, head);
            of.weights(weights);
            of.drop_out(weights);
            let weights = Matrix::dense(weights, tokens);
            product(weights, of.value, &mut output[head * columns..], width);
        }
    });
    #[expect(unsafe_code, reason = "a matrix product writes all that it says")]
    // SAFETY: the products have written all columns of all heads, which together are the width, of all tokens of all samples.
    let output = unsafe { written(output) };
    like(output, &kept.query)
}

impl<C: CheckpointStrategy> Attention for Autodiff<Flex, C> {
    fn attend(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        heads: Heads,
    ) -> FloatTensor<Self> {
        let (query, of_query) = query.into_parts();
        let (key, of_key) = key.into_parts();
        let (value, of_value) = value.into_parts();
        let (mask, _) = mask.into_parts();
        let kept = Kept::new(query, key, value, mask, heads);
        let output = forward(&kept);
        let nodes = [of_query, of_key, of_value];
        match Attend.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(kept, output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }
}

#[derive(Debug)]
struct Attend;

impl Backward<Flex, 3> for Attend {
    type State = Kept;

    fn backward(self, ops: Ops<Kept, 3>, collected: &mut Gradients, _: &mut Checkpointer) {
        let gradient = contiguous(collected.consume::<Flex>(&ops.node));
        let kept = ops.state;
        let found = backward(&kept, numbers(&gradient));
        for (parent, found) in ops.parents.into_iter().zip(found) {
            if let Some(parent) = parent {
                collected.register::<Flex>(parent.id, like(found, &kept.query));
            }
        }
    }
}

/// Memory that a thread uses again for each sample: matrices of tokens times tokens.
#[derive(Default)]
struct Scratch {
    weights: Vec<f32>,
    dropped: Vec<f32>,
    of_weights: Vec<f32>,
}

/// The gradients of queries, keys and values.
fn backward(kept: &Kept, gradient: &[f32]) -> [Vec<f32>; 3] {
    let (tokens, width) = kept.sizes();
    let heads = kept.heads.count;
    let columns = width / heads;
    assert_eq!(gradient.len(), numbers(&kept.query).len());
    let mut found = [(); 3].map(|()| room(gradient.len()));
    let [queries, keys, values] = &mut found;
    let size = tokens * width;
    queries
        .par_chunks_mut(size)
        .zip(keys.par_chunks_mut(size))
        .zip(values.par_chunks_mut(size))
        .zip(gradient.par_chunks(size))
        .enumerate()
        .for_each_init(
            Scratch::default,
            |scratch, (sample, (((queries, keys), values), gradient))| {
                let Scratch {
                    weights,
                    dropped,
                    of_weights,
                } = scratch;
                weights.resize(tokens * tokens, 0.0);
                of_weights.resize(tokens * tokens, 0.0);
                for head in 0..heads {
                    let of = kept.head(sample, head);
                    let start = head * columns;
                    of.weights(weights);
                    dropped.clone_from(weights);
                    of.drop_out(dropped);
                    let of_output = Matrix::new(&gradient[start..], tokens, columns, width);
                    let dropped = Matrix::dense(dropped, tokens);
                    product(dropped.transposed(), of_output, &mut values[start..], width);
                    product(of_output, of.value.transposed(), of_weights, tokens);
                    of.drop_out(of_weights);
                    slices::softmax_backward(weights, of_weights, tokens, of.scale);
                    let of_scores = Matrix::dense(of_weights, tokens);
                    product(of_scores, of.key, &mut queries[start..], width);
                    product(of_scores.transposed(), of.query, &mut keys[start..], width);
                }
            },
        );
    #[expect(unsafe_code, reason = "a matrix product writes all that it says")]
    // SAFETY: the products have written all columns of all heads, which together are the width, of all tokens of all samples.
    found.map(|found| unsafe { written(found) })
}
