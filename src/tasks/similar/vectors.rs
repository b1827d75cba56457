//! Cosines and distances of rows of vectors, which gradients go through.

use burn::tensor::Tensor;

/// What no length is taken to be below: torch's `normalize` and `cosine_similarity` do likewise.
const LEAST: f64 = 1e-12;

/// Rows of the length 1, `[rows, width]`; a row of zeros stays one.
pub(super) fn normalised(rows: Tensor<2>) -> Tensor<2> {
    let lengths = squares(rows.clone()).sqrt().clamp_min(LEAST);
    rows / lengths
}

/// The cosine of each row of one side with that of the other, `[rows, 1]`.
pub(super) fn cosines(one: Tensor<2>, other: Tensor<2>) -> Tensor<2> {
    (normalised(one) * normalised(other)).sum_dim(1)
}

/// How far each row of one side is from that of the other, `[rows, 1]`. As in torch's `pairwise_distance` each difference is 1e-6 more,
/// so that there is a gradient where there is none.
pub(super) fn distances(one: Tensor<2>, other: Tensor<2>) -> Tensor<2> {
    squares(one - other + 1e-6).sqrt()
}

/// The sum of the squares of each row, `[rows, 1]`; never quite 0, where its root would have no gradient.
fn squares(rows: Tensor<2>) -> Tensor<2> {
    (rows.clone() * rows).sum_dim(1).clamp_min(LEAST * LEAST)
}
