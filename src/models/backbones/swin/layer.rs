//! A layer of a Swin Transformer: attention within windows, and two linear layers.

use burn::module::{Initializer, Module, Param};
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::super::drop_path::drop_path;
use super::super::transformer::Act;
use super::padded;
use crate::models::adapters::adapted;
use crate::models::backbones::layer_norm::{LayerNorm, LayerNormConfig};
use crate::models::cpu::operations::{attention, dropout};

/// What a [`Layer`] is.
#[derive(Clone, Copy, Debug)]
pub(super) struct LayerConfig {
    pub(super) width: usize,
    /// Numbers between its two wide linear layers.
    pub(super) wide: usize,
    pub(super) heads: usize,
    /// Places on a side of a window.
    pub(super) window: usize,
    /// Whether windows are shifted by half of one.
    pub(super) shifts: bool,
    /// Whether queries, keys and values have a bias.
    pub(super) bias: bool,
    pub(super) dropout: f64,
    pub(super) attention_dropout: f64,
    pub(super) epsilon: f64,
    pub(super) act: Act,
}

#[derive(Module, Debug)]
pub(super) struct Layer {
    before: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    /// What is added to the scores of two places of a window by how far one is from the other: `[(2 · window - 1)², heads]`.
    positions: Param<Tensor<2>>,
    attended: Linear,
    after: LayerNorm,
    wide: Linear,
    narrow: Linear,
    attention_dropout: Dropout,
    dropout: Dropout,
    drop_path: Dropout,
    #[module(skip)]
    config: LayerConfig,
}

impl LayerConfig {
    /// The layer with nothing in its weights yet.
    pub(super) fn init(self, drop_path: Dropout, device: &Device) -> Layer {
        let width = self.width;
        let linear = |from, to, bias| {
            LinearConfig::new(from, to)
                .with_bias(bias)
                .with_initializer(Initializer::Zeros)
                .init(device)
        };
        let norm = || {
            LayerNormConfig::new(width)
                .with_epsilon(self.epsilon)
                .init(device)
        };
        let distances = (2 * self.window - 1).pow(2);
        Layer {
            before: norm(),
            query: linear(width, width, self.bias),
            key: linear(width, width, self.bias),
            value: linear(width, width, self.bias),
            positions: Initializer::Zeros.init([distances, self.heads], device),
            attended: linear(width, width, true),
            after: norm(),
            wide: linear(width, self.wide, true),
            narrow: linear(self.wide, width, true),
            attention_dropout: DropoutConfig::new(self.attention_dropout).init(),
            dropout: DropoutConfig::new(self.dropout).init(),
            drop_path,
            config: self,
        }
    }
}

impl Layer {
    /// `[batch, height, width, channels]` → the same.
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let attended = self.attend(self.before.forward(x.clone()));
        let x = x + drop_path(&self.drop_path, dropout(&self.dropout, attended));
        let wide = adapted(&self.wide, self.after.forward(x.clone()));
        let narrow = adapted(&self.narrow, self.config.act.apply(wide));
        x + dropout(&self.dropout, narrow)
    }

    /// Attention within windows, with zeros where the last of them goes beyond the map.
    fn attend(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, height, width, channels] = x.dims();
        let window = self.config.window;
        // Where a map is no larger than a window, there is nothing to shift.
        let shift = if self.config.shifts && height.min(width) > window {
            window / 2
        } else {
            0
        };
        let x = rolled(padded(x, window), shift, false);
        let [_, rows, columns, _] = x.dims();
        let grid = [rows / window, columns / window];
        let places = window * window;
        let windows = x
            .reshape([batch, grid[0], window, grid[1], window, channels])
            .swap_dims(2, 3)
            .reshape([batch * grid[0] * grid[1], places, channels]);
        let mixed = self.mix(windows, grid, shift);
        let x = mixed
            .reshape([batch, grid[0], grid[1], window, window, channels])
            .swap_dims(2, 3)
            .reshape([batch, rows, columns, channels]);
        let x = rolled(x, shift, true);
        if [rows, columns] == [height, width] {
            return x;
        }
        x.slice([0..batch, 0..height, 0..width, 0..channels])
    }

    /// Attention in each of the windows of a `grid`, image by image: `[windows, places, channels]` → the same.
    fn mix(&self, windows: Tensor<3>, grid: [usize; 2], shift: usize) -> Tensor<3> {
        let [count, places, channels] = windows.dims();
        let heads = self.config.heads;
        let of_head = channels / heads;
        let split = |x: Tensor<3>| x.reshape([count, places, heads, of_head]).swap_dims(1, 2);
        let query = split(adapted(&self.query, windows.clone()));
        let key = split(adapted(&self.key, windows.clone()));
        let value = split(adapted(&self.value, windows));
        #[expect(clippy::cast_precision_loss, reason = "the width of a head is small")]
        let scale = (of_head as f64).sqrt().recip();
        let scores = query.matmul(key.transpose());
        // Scores are multiplied by the scale after that.
        let scores = scores + self.biases(places) / scale;
        let scores = match shift {
            0 => scores,
            shift => self.apart(scores, grid, shift, scale),
        };
        let everywhere = Tensor::ones([count, places], &scores.device());
        let weights = attention(scores, everywhere, scale);
        let weights = dropout(&self.attention_dropout, weights);
        let mixed = weights
            .matmul(value)
            .swap_dims(1, 2)
            .reshape([count, places, channels]);
        adapted(&self.attended, mixed)
    }

    /// What is added for each two places of a window: `[1, heads, places, places]`.
    fn biases(&self, places: usize) -> Tensor<4> {
        let table = self.positions.val();
        let window = self.config.window;
        let row_of = |from: usize, to: usize| {
            let apart = |a: usize, b: usize| a + window - 1 - b;
            let rows = apart(from / window, to / window);
            rows * (2 * window - 1) + apart(from % window, to % window)
        };
        let rows = (0..places).flat_map(|from| (0..places).map(move |to| row_of(from, to)));
        let rows: Vec<i64> = rows
            .map(|row| i64::try_from(row).unwrap_or_default())
            .collect();
        let rows = TensorData::new(rows, [places * places]);
        let rows = Tensor::<1, Int>::from_data(rows, &table.device());
        table
            .select(0, rows)
            .reshape([1, places, places, self.config.heads])
            .permute([0, 3, 1, 2])
    }

    /// `scores`, with as little as nothing for places that stand side by side only because the map was rolled.
    fn apart(&self, scores: Tensor<4>, grid: [usize; 2], shift: usize, scale: f64) -> Tensor<4> {
        /// What transformers adds to such scores.
        const LITTLE: f32 = -100.0;
        let window = self.config.window;
        let [count, heads, places, _] = scores.dims();
        let [down, across] = grid;
        // The part of the map that a row, or a column, of a window comes from.
        let part = |index: usize, windows: usize| {
            let size = windows * window;
            usize::from(index >= size - window) + usize::from(index >= size - shift)
        };
        let part_of = |place: usize, row: usize, column: usize| {
            let rows = part(row * window + place / window, down);
            3 * rows + part(column * window + place % window, across)
        };
        let mut mask = Vec::with_capacity(down * across * places * places);
        for row in 0..down {
            for column in 0..across {
                let parts: Vec<usize> = (0..places)
                    .map(|place| part_of(place, row, column))
                    .collect();
                for from in &parts {
                    mask.extend(parts.iter().map(|to| if from == to { 0.0 } else { LITTLE }));
                }
            }
        }
        let windows = down * across;
        let mask = TensorData::new(mask, [1, windows, 1, places * places]);
        let mask = Tensor::<4>::from_data(mask, &scores.device()) / scale;
        let scores = scores.reshape([count / windows, windows, heads, places * places]);
        (scores + mask).reshape([count, heads, places, places])
    }
}

/// `x`, `[batch, height, width, channels]`, with its rows and columns moved up and left by `shift`, or `back`; what falls off comes in on
/// the other side.
fn rolled(x: Tensor<4>, shift: usize, back: bool) -> Tensor<4> {
    if shift == 0 {
        return x;
    }
    let [_, height, width, _] = x.dims();
    let roll = |x: Tensor<4>, axis: usize, size: usize| {
        let first = if back { size - shift } else { shift };
        let (before, after) = (
            x.clone().narrow(axis, 0, first),
            x.narrow(axis, first, size - first),
        );
        Tensor::cat(vec![after, before], axis)
    };
    roll(roll(x, 1, height), 2, width)
}
