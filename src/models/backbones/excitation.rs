//! Squeeze and excitation (Hu et al., arXiv:1709.01507): the mean of each channel over the whole map decides how much of each channel goes on.

use burn::module::Module;
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};

use super::convolution::Pointwise;
use super::transformer::Act;
use crate::models::cpu::channels;

/// What an [`Excitation`] is.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExcitationConfig {
    /// Channels between its two layers.
    pub(super) narrow: usize,
    /// The function between them.
    pub(super) act: Act,
    /// The function that makes a share of what they give.
    pub(super) gate: Gate,
}

/// What makes a number from 0 to 1.
#[derive(Clone, Copy, Debug)]
pub(super) enum Gate {
    /// 1 / (1 + e⁻ˣ)
    Sigmoid,
    /// x / 6 + 1 / 2 from -3 to 3, as in MobileNetV3.
    Hard,
}

/// Its weights are those of two 1×1 convolutions, `reduce` and `expand`.
#[derive(Module, Debug)]
pub(super) struct Excitation {
    reduce: Pointwise,
    expand: Pointwise,
    #[module(skip)]
    config: ExcitationConfig,
}

impl ExcitationConfig {
    /// The layer with nothing in its weights yet.
    pub(super) fn init(self, channels: usize, device: &Device) -> Excitation {
        Excitation {
            reduce: Pointwise::new(channels, self.narrow, device),
            expand: Pointwise::new(self.narrow, channels, device),
            config: self,
        }
    }
}

impl Excitation {
    /// `[batch, channels, height, width]` → the same.
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let narrow = self.reduce.forward(channels::mean(x.clone()));
        let narrow = self.config.act.apply(narrow);
        let share = self.expand.forward(narrow);
        let share = match self.config.gate {
            Gate::Sigmoid => sigmoid(share),
            Gate::Hard => (share + 3.0).clamp(0.0, 6.0) / 6.0,
        };
        channels::scale(x, share)
    }
}
