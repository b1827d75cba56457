//! Rotary positions (Su et al., arXiv:2104.09864), as Hugging Face computes them: the numbers of a head are pairs, the first half with the
//! second, and each pair is turned by an angle that grows with the position.

use burn::tensor::{Device, Tensor, TensorData};

/// The cosines and sines of the angles of so many positions in heads of `width` numbers, each `[1, 1, tokens, width]`. The angle of a
/// pair goes down from one radian a position to nearly 1 / `theta`.
pub(super) fn angles(tokens: usize, width: usize, theta: f64, device: &Device) -> [Tensor<4>; 2] {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "as torch computes them, in f32: heads and texts are short"
    )]
    let angle = |position: usize, pair: usize| {
        let frequency = 1.0 / (theta as f32).powf(2.0 * pair as f32 / width as f32);
        position as f32 * frequency
    };
    let numbers = |function: fn(f32) -> f32| {
        let places = (0..tokens).flat_map(|position| {
            (0..width).map(move |place| function(angle(position, place % (width / 2))))
        });
        let data = TensorData::new(places.collect::<Vec<f32>>(), [1, 1, tokens, width]);
        Tensor::from_data(data, device)
    };
    [numbers(f32::cos), numbers(f32::sin)]
}

/// `x`, `[batch, heads, tokens, width]`, turned by [`angles`].
pub(super) fn turn(x: Tensor<4>, [cosines, sines]: &[Tensor<4>; 2]) -> Tensor<4> {
    let [_, _, _, width] = x.dims();
    let mut halves = x.clone().chunk(2, 3);
    let (Some(second), Some(first)) = (halves.pop(), halves.pop()) else {
        panic!("heads of {width} numbers have no halves");
    };
    let turned = Tensor::cat(vec![second.neg(), first], 3);
    x * cosines.clone() + turned * sines.clone()
}
