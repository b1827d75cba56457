//! Convolutions whose step is the side of their kernel, so that each place of the input is in one patch: a product of matrices.

use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Tensor};
use serde::Deserialize;

use super::transformer::wrong;
use crate::error::Result;

/// A convolution of patches: its weights are `weight` and, if it adds something, `bias`.
#[derive(Module, Debug)]
pub(super) struct PatchConvolution {
    /// `[outputs, inputs, side, side]`.
    weight: Param<Tensor<4>>,
    bias: Option<Param<Tensor<1>>>,
}

impl PatchConvolution {
    /// A convolution of patches of `side` with nothing in its weights yet.
    pub(super) fn new(
        inputs: usize,
        outputs: usize,
        side: usize,
        bias: bool,
        device: &Device,
    ) -> Self {
        Self {
            weight: Initializer::Zeros.init([outputs, inputs, side, side], device),
            bias: bias.then(|| Initializer::Zeros.init([outputs], device)),
        }
    }

    /// `[batch, inputs, height, width]` → `[batch, height / side, width / side, outputs]`. What is left of a height or width that is no
    /// multiple of the side is passed over, as PyTorch's convolutions do.
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, inputs, height, width] = x.dims();
        let [outputs, _, side, _] = self.weight.val().dims();
        let (rows, columns) = (height / side, width / side);
        let x = if [rows * side, columns * side] == [height, width] {
            x
        } else {
            x.slice([0..batch, 0..inputs, 0..rows * side, 0..columns * side])
        };
        let fan_in = inputs * side * side;
        let patches = x
            .reshape([batch, inputs, rows, side, columns, side])
            .permute([0, 2, 4, 1, 3, 5])
            .reshape([batch, rows * columns, fan_in]);
        let weight = self.weight.val().reshape([1, outputs, fan_in]).transpose();
        let patches = patches.matmul(weight);
        let patches = match &self.bias {
            Some(bias) => patches + bias.val().reshape([1, 1, outputs]),
            None => patches,
        };
        patches.reshape([batch, rows, columns, outputs])
    }

    /// The same as tokens, row by row: `[batch, patches, outputs]`.
    pub(super) fn tokens(&self, x: Tensor<4>) -> Tensor<3> {
        let patches = self.forward(x);
        let [batch, rows, columns, outputs] = patches.dims();
        patches.reshape([batch, rows * columns, outputs])
    }
}

/// `[batch, channels, height, width]` → `[batch, height, width, channels]`.
pub(super) fn channels_last(x: Tensor<4>) -> Tensor<4> {
    x.permute([0, 2, 3, 1])
}

/// `[batch, height, width, channels]` → `[batch, channels, height, width]`.
pub(super) fn channels_first(x: Tensor<4>) -> Tensor<4> {
    x.permute([0, 3, 1, 2])
}

/// The side of a square in a config, which transformers writes as a number or as a height and a width.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub(super) enum Side {
    Number(usize),
    Pair([usize; 2]),
}

impl Side {
    /// Its length.
    ///
    /// # Errors
    /// What is no square, which the config calls `name`.
    pub(super) fn of_square(self, name: &str) -> Result<usize> {
        match self {
            Self::Number(side) => Ok(side),
            Self::Pair([height, width]) if height == width => Ok(height),
            Self::Pair([height, width]) => {
                wrong(&format!("`{name}` is {height}×{width}, which is no square"))
            }
        }
    }
}
