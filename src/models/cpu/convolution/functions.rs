//! The functions after a convolution, and their slopes.
#![expect(
    clippy::inline_always,
    reason = "so that they are compiled for their caller's CPU"
)]

use super::super::operations::slices::exp;

/// The function after a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::models) enum Activation {
    /// None.
    Identity,
    /// max(x, 0)
    Relu,
    /// min(max(x, 0), 6), as in MobileNet (arXiv:1704.04861).
    Relu6,
    /// x / (1 + e⁻ˣ), as in EfficientNet (arXiv:1905.11946).
    Silu,
    /// x times what [`Relu6`](Self::Relu6) makes of x + 3, by 6, as in MobileNetV3 (arXiv:1905.02244).
    HardSwish,
}

/// An [`Activation`] that the compiler knows.
pub(super) trait Function {
    /// At x; NaN stays NaN, which `f32::max` would turn into 0.
    fn value(x: f32) -> f32;
    /// The derivative at x; where there is none, PyTorch's.
    fn slope(x: f32) -> f32;
}

/// Runs `$body` with `$F` as the [`Function`] that `$activation` is.
macro_rules! with_function {
    ($activation:expr, $F:ident => $body:expr) => {
        match $activation {
            $crate::models::cpu::convolution::Activation::Identity => {
                type $F = $crate::models::cpu::convolution::functions::Identity;
                $body
            }
            $crate::models::cpu::convolution::Activation::Relu => {
                type $F = $crate::models::cpu::convolution::functions::Relu;
                $body
            }
            $crate::models::cpu::convolution::Activation::Relu6 => {
                type $F = $crate::models::cpu::convolution::functions::Relu6;
                $body
            }
            $crate::models::cpu::convolution::Activation::Silu => {
                type $F = $crate::models::cpu::convolution::functions::Silu;
                $body
            }
            $crate::models::cpu::convolution::Activation::HardSwish => {
                type $F = $crate::models::cpu::convolution::functions::HardSwish;
                $body
            }
        }
    };
}
pub(super) use with_function;

pub(super) struct Identity;
pub(super) struct Relu;
pub(super) struct Relu6;
pub(super) struct Silu;
pub(super) struct HardSwish;

impl Function for Identity {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        x
    }

    #[inline(always)]
    fn slope(_: f32) -> f32 {
        1.0
    }
}

impl Function for Relu {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        if x <= 0.0 { 0.0 } else { x }
    }

    #[inline(always)]
    fn slope(x: f32) -> f32 {
        if x <= 0.0 { 0.0 } else { 1.0 }
    }
}

impl Function for Relu6 {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        if x >= 6.0 { 6.0 } else { Relu::value(x) }
    }

    #[inline(always)]
    fn slope(x: f32) -> f32 {
        if x >= 6.0 { 0.0 } else { Relu::slope(x) }
    }
}

impl Silu {
    /// 1 / (1 + e⁻ˣ)
    #[inline(always)]
    fn share(x: f32) -> f32 {
        let below = exp(-x.abs());
        let share = if x < 0.0 { below } else { 1.0 };
        share / (1.0 + below)
    }
}

impl Function for Silu {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        x * Self::share(x)
    }

    #[inline(always)]
    fn slope(x: f32) -> f32 {
        let share = Self::share(x);
        // Far below 0 the share is 0, and x may be infinite.
        if share == 0.0 {
            0.0
        } else {
            share * (1.0 + x * (1.0 - share))
        }
    }
}

impl Function for HardSwish {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        x * Relu6::value(x + 3.0) / 6.0
    }

    #[inline(always)]
    fn slope(x: f32) -> f32 {
        let inside = x / 3.0 + 0.5;
        let low = if x <= -3.0 { 0.0 } else { inside };
        if x >= 3.0 { 1.0 } else { low }
    }
}
