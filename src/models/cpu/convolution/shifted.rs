//! Sums over shifted runs of numbers: what depthwise convolutions are made of.
#![expect(
    clippy::inline_always,
    reason = "so that it is compiled for the widest vectors"
)]

use pulp::{Simd, WithSimd};

use super::super::widest;

/// How many vectors of sums stay in registers at once.
const VECTORS: usize = 4;

/// `sums[i]` = Σ `kernel[tap] · plane[offsets[tap] + i]`. Each product is rounded before it is added, on every processor.
///
/// # Panics
/// If `plane` ends before the last sum's last number.
pub(super) fn combine(plane: &[f32], offsets: &[usize], kernel: &[f32], sums: &mut [f32]) {
    assert_eq!(offsets.len(), kernel.len());
    widest(Combine {
        plane,
        offsets,
        kernel,
        sums,
    });
}

struct Combine<'a> {
    plane: &'a [f32],
    offsets: &'a [usize],
    kernel: &'a [f32],
    sums: &'a mut [f32],
}

impl WithSimd for Combine<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            plane,
            offsets,
            kernel,
            sums,
        } = self;
        let size = VECTORS * S::F32_LANES;
        let (blocks, rest) = sums.split_at_mut(sums.len() / size * size);
        for (block, sums) in blocks.chunks_exact_mut(size).enumerate() {
            let mut totals = [simd.splat_f32s(0.0); VECTORS];
            for (weight, offset) in kernel.iter().zip(offsets) {
                let weight = simd.splat_f32s(*weight);
                let (values, _) = S::as_simd_f32s(&plane[offset + block * size..][..size]);
                for (total, value) in totals.iter_mut().zip(values) {
                    *total = simd.add_f32s(*total, simd.mul_f32s(weight, *value));
                }
            }
            let (to, _) = S::as_mut_simd_f32s(sums);
            to.copy_from_slice(&totals);
        }
        let done = blocks.len();
        for (index, sums) in rest.chunks_mut(S::F32_LANES).enumerate() {
            let start = done + index * S::F32_LANES;
            let mut total = simd.splat_f32s(0.0);
            for (weight, offset) in kernel.iter().zip(offsets) {
                let values = simd.partial_load_f32s(&plane[offset + start..][..sums.len()]);
                total = simd.add_f32s(total, simd.mul_f32s(simd.splat_f32s(*weight), values));
            }
            simd.partial_store_f32s(sums, total);
        }
    }
}

/// `sums[tap]` += Σ `run[i] · plane[offsets[tap] + i]`.
///
/// # Panics
/// If `plane` ends before the last of these numbers.
pub(super) fn correlate(run: &[f32], plane: &[f32], offsets: &[usize], sums: &mut [f32]) {
    assert_eq!(offsets.len(), sums.len());
    widest(Correlate {
        run,
        plane,
        offsets,
        sums,
    });
}

struct Correlate<'a> {
    run: &'a [f32],
    plane: &'a [f32],
    offsets: &'a [usize],
    sums: &'a mut [f32],
}

/// How many taps are summed at once.
const TAPS: usize = 3;

impl WithSimd for Correlate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (offsets, last_offsets) = self.offsets.as_chunks::<TAPS>();
        let (sums, last_sums) = self.sums.as_chunks_mut::<TAPS>();
        for (sums, offsets) in sums.iter_mut().zip(offsets) {
            products(simd, self.run, self.plane, offsets, sums);
        }
        for (sum, offset) in last_sums.iter_mut().zip(last_offsets) {
            products(
                simd,
                self.run,
                self.plane,
                &[*offset],
                std::array::from_mut(sum),
            );
        }
    }
}

/// The same for some of the taps at once, each in two vectors of sums, because one would wait for itself.
#[inline(always)]
fn products<S: Simd, const N: usize>(
    simd: S,
    run: &[f32],
    plane: &[f32],
    offsets: &[usize; N],
    sums: &mut [f32; N],
) {
    let lanes = S::F32_LANES;
    let planes = offsets.map(|offset| &plane[offset..offset + run.len()]);
    let mut totals = [[simd.splat_f32s(0.0); 2]; N];
    let pairs = run.len() / (2 * lanes);
    for pair in 0..pairs {
        let start = pair * 2 * lanes;
        let (run, _) = S::as_simd_f32s(&run[start..start + 2 * lanes]);
        for (totals, plane) in totals.iter_mut().zip(&planes) {
            let (values, _) = S::as_simd_f32s(&plane[start..start + 2 * lanes]);
            totals[0] = simd.mul_add_e_f32s(run[0], values[0], totals[0]);
            totals[1] = simd.mul_add_e_f32s(run[1], values[1], totals[1]);
        }
    }
    for place in (pairs * 2 * lanes..run.len()).step_by(lanes) {
        let end = (place + lanes).min(run.len());
        let run = simd.partial_load_f32s(&run[place..end]);
        for (totals, plane) in totals.iter_mut().zip(&planes) {
            let values = simd.partial_load_f32s(&plane[place..end]);
            totals[0] = simd.mul_add_e_f32s(run, values, totals[0]);
        }
    }
    for (sum, totals) in sums.iter_mut().zip(totals) {
        *sum += simd.reduce_sum_f32s(simd.add_f32s(totals[0], totals[1]));
    }
}
