//! Position embeddings of patches, for images of another size than the one that they were trained on.

use burn::tensor::{Tensor, TensorData};

/// Position embeddings of a square of patches, `[1, side², width]`, for `rows` × `columns` of them, `[1, rows · columns, width]`: by bicubic
/// interpolation without smoothing, as PyTorch's `interpolate` has it with `align_corners=False`.
pub(super) fn interpolated(positions: Tensor<3>, [rows, columns]: [usize; 2]) -> Tensor<3> {
    let [_, places, width] = positions.dims();
    let side = places.isqrt();
    if [rows, columns] == [side, side] {
        return positions;
    }
    let device = positions.device();
    let weights = |places| {
        let numbers = TensorData::new(bicubic(side, places), [places, side]);
        Tensor::<2>::from_data(numbers, &device)
    };
    let over_rows = weights(rows).matmul(positions.reshape([side, side * width]));
    let over_columns = weights(columns)
        .reshape([1, columns, side])
        .matmul(over_rows.reshape([rows, side, width]));
    over_columns.reshape([1, rows * columns, width])
}

/// What each of `from` places counts for in each of `to` places on the same line: a row of `from` numbers for each of `to`.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "places are few, and none is below 0 once it is clamped"
)]
fn bicubic(from: usize, to: usize) -> Vec<f32> {
    /// The slope of the kernel where it crosses 0, as in PyTorch.
    const A: f64 = -0.75;
    let near = |x: f64| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f64| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    let mut weights = vec![0.0; from * to];
    let scale = from as f64 / to as f64;
    let last = from as f64 - 1.0;
    for (place, weights) in weights.chunks_exact_mut(from).enumerate() {
        let at = scale * (place as f64 + 0.5) - 0.5;
        let (before, t) = (at.floor(), at - at.floor());
        let kernel = [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)];
        for (offset, weight) in [-1.0, 0.0, 1.0, 2.0].into_iter().zip(kernel) {
            // What is beyond the edge is like the edge.
            let source = (before + offset).clamp(0.0, last) as usize;
            weights[source] += weight as f32;
        }
    }
    weights
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;

    fn positions(side: usize) -> Tensor<3> {
        let shape = [1, side * side, 2];
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
    }

    #[test]
    fn the_same_size_changes_no_bit() {
        let positions = positions(3);
        let same = interpolated(positions.clone(), [3, 3]);
        same.into_data().assert_eq(&positions.into_data(), true);
        let unit: Vec<f32> = (0..9)
            .map(|place| f32::from(u8::from(place % 4 == 0)))
            .collect();
        assert_eq!(bicubic(3, 3), unit);
    }

    #[test]
    fn what_is_the_same_everywhere_stays_so() {
        for (from, to) in [(1, 5), (2, 3), (7, 2), (16, 37), (37, 16)] {
            for weights in bicubic(from, to).chunks_exact(from) {
                let sum: f32 = weights.iter().sum();
                assert!((sum - 1.0).abs() < 1e-5, "{from} → {to}: {sum}");
            }
        }
        let one = positions(1);
        let many = interpolated(one.clone(), [2, 3]).into_data();
        let one = one.into_data().try_to_vec::<f32>().expect("f32");
        let many = many.try_to_vec::<f32>().expect("f32");
        for pair in many.chunks(2) {
            assert!(pair.iter().zip(&one).all(|(a, b)| (a - b).abs() < 1e-6));
        }
    }
}
