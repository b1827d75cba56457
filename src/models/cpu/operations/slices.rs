//! The operations on slices of f32, as loops that the compiler turns into the widest instructions that the processor
//! has.
//!
//! Every number goes through the same additions and multiplications in the same order whatever their width, so the bits
//! are the same everywhere. What the loops call is inlined into them for that.
#![expect(clippy::inline_always, reason = "a call would end the vector code")]

use std::f32::consts::{LN_2, LOG2_E};

use crate::models::cpu::vectorised;

/// Sums and maxima run over so many lanes side by side.
const LANES: usize = 16;

/// x Φ(x) in place.
pub(super) fn gelu(x: &mut [f32]) {
    vectorised(
        #[inline(always)]
        || {
            for x in x {
                let tail = tail(x.abs(), exp(-0.5 * *x * *x));
                *x *= if *x < 0.0 { tail } else { 1.0 - tail };
            }
        },
    );
}

/// `gradient` times the derivative of GELU at `x`: Φ(x) + x φ(x).
pub(super) fn gelu_backward(x: &[f32], gradient: &mut [f32]) {
    vectorised(
        #[inline(always)]
        || {
            /// 1 / √(2π)
            const PEAK: f32 = 0.398_942_3;
            for (x, gradient) in x.iter().zip(gradient) {
                let bell = exp(-0.5 * x * x);
                let tail = tail(x.abs(), bell);
                let below = if *x < 0.0 { tail } else { 1.0 - tail };
                *gradient *= below + x * PEAK * bell;
            }
        },
    );
}

/// Φ(-u) for u ≥ 0, given e^(-u²/2).
///
/// Φ(-u) e^(u²/2) is smooth and falls from 0.5 to 0; in 1 / (1 + 0.3 u) a polynomial of degree 8 comes within 6e-8 of it,
/// relatively. The coefficients are a minimax fit by Lawson's weights up to u = 14, beyond which e^(-u²/2) is 0.
#[inline(always)]
fn tail(u: f32, bell: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.3 * u);
    let mut ratio = 0.038_376_354;
    ratio = ratio * t - 0.169_156_73;
    ratio = ratio * t + 0.228_640_72;
    ratio = ratio * t - 0.076_484_36;
    ratio = ratio * t + 0.142_520_26;
    ratio = ratio * t + 0.094_690_01;
    ratio = ratio * t + 0.121_918_686;
    ratio = ratio * t + 0.119_487_92;
    ratio = ratio * t + 7.155_305e-6;
    ratio * bell
}

/// e^x for x ≤ 0, to about two units in the last place; 0 below -87.
#[inline(always)]
pub(in crate::models::cpu) fn exp(x: f32) -> f32 {
    /// Adding it leaves a small number's nearest integer in the last bits.
    const ROUND: f32 = 12_582_912.0;
    /// The rest of ln 2 after its first 12 bits, with which products of small integers are exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    debug_assert!((LN_2_HIGH + LN_2_LOW - LN_2).abs() < 1e-7);
    let rounded = x * LOG2_E + ROUND;
    let power = rounded - ROUND;
    let rest = (x - power * LN_2_HIGH) - power * LN_2_LOW;
    let mut series = 1.0 / 5040.0;
    series = series * rest + 1.0 / 720.0;
    series = series * rest + 1.0 / 120.0;
    series = series * rest + 1.0 / 24.0;
    series = series * rest + 1.0 / 6.0;
    series = series * rest + 0.5;
    series = series * rest + 1.0;
    series = series * rest + 1.0;
    let two_to_the_power = f32::from_bits((rounded.to_bits() << 23).wrapping_add(0x3f80_0000));
    if x < -87.0 {
        0.0
    } else {
        series * two_to_the_power
    }
}

/// Softmax of `row` times `scale`, without the places where `mask` is 0.
pub(in crate::models::cpu) fn softmax(row: &mut [f32], mask: &[f32], scale: f32) {
    vectorised(
        #[inline(always)]
        || {
            for (score, mask) in row.iter_mut().zip(mask) {
                *score = *score * scale + (mask - 1.0) * 1e9;
            }
            let highest = fold(
                row,
                f32::NEG_INFINITY,
                #[inline(always)]
                |a, b| if a > b { a } else { b },
            );
            for score in &mut *row {
                *score = exp(*score - highest);
            }
            let whole = 1.0
                / fold(
                    row,
                    0.0,
                    #[inline(always)]
                    |a, b| a + b,
                );
            for weight in row {
                *weight *= whole;
            }
        },
    );
}

/// `gradient` through softmax, row by row of `width`.
pub(in crate::models::cpu) fn softmax_backward(
    weights: &[f32],
    gradient: &mut [f32],
    width: usize,
    scale: f32,
) {
    vectorised(
        #[inline(always)]
        || {
            for (weights, gradient) in weights
                .chunks_exact(width)
                .zip(gradient.chunks_exact_mut(width))
            {
                for (weight, gradient) in weights.iter().zip(&mut *gradient) {
                    *gradient *= weight;
                }
                let sum = fold(
                    gradient,
                    0.0,
                    #[inline(always)]
                    |a, b| a + b,
                );
                for (weight, gradient) in weights.iter().zip(gradient) {
                    *gradient = scale * (*gradient - weight * sum);
                }
            }
        },
    );
}

/// Combines all numbers, lane by lane first.
#[inline(always)]
fn fold(row: &[f32], start: f32, combine: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [start; LANES];
    let (whole, rest) = row.as_chunks::<LANES>();
    for numbers in whole {
        for (lane, number) in lanes.iter_mut().zip(numbers) {
            *lane = combine(*lane, *number);
        }
    }
    for (lane, number) in lanes.iter_mut().zip(rest) {
        *lane = combine(*lane, *number);
    }
    lanes.into_iter().fold(start, combine)
}

/// Dropout of the numbers from place `start` on: a hash of the seed and the place decides on each.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the low and the high half of the seed, the low half of a place, a share of 2³²"
)]
pub(in crate::models::cpu) fn drop_out(x: &mut [f32], start: usize, seed: u64, drop: f32) {
    vectorised(
        #[inline(always)]
        || {
            let (low, high) = (seed as u32, (seed >> 32) as u32);
            let limit = (f64::from(drop) * 2.0_f64.powi(32)) as u32;
            let gain = 1.0 / (1.0 - drop);
            let first = start as u32;
            for (index, x) in x.iter_mut().enumerate() {
                let bits = mix(mix(first.wrapping_add(index as u32) ^ low) ^ high);
                *x *= if bits < limit { 0.0 } else { gain };
            }
        },
    );
}

/// The last step of `MurmurHash3`: every bit of the result depends on every bit of `bits`.
#[inline(always)]
fn mix(mut bits: u32) -> u32 {
    bits ^= bits >> 16;
    bits = bits.wrapping_mul(0x85eb_ca6b);
    bits ^= bits >> 13;
    bits = bits.wrapping_mul(0xc2b2_ae35);
    bits ^ (bits >> 16)
}
