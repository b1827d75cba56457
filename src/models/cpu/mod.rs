//! refire's own code for the processor: what networks spend their time in, and what Burn's CPU backend does number by number or on one
//! thread. All `unsafe` of the models is here.
//!
//! Each part has a counterpart of Burn's operations, which computes on other devices and with which tests compare values and gradients.
//! Numbers do not depend on how many threads there are.

use std::mem::MaybeUninit;

use burn::tensor::{Device, Tensor};

pub(super) mod attention;
pub(super) mod channels;
pub(super) mod convolution;
pub(super) mod linear;
pub(super) mod norms;
pub(super) mod operations;
mod product;
mod tensor;

/// Whether `x` is on the processor, in Burn's own backend.
pub(super) fn is_flex<const D: usize>(x: &Tensor<D>) -> bool {
    x.device() == Device::flex()
}

/// Room for numbers that are about to be written. To fill it with zeros first would be one pass more over memory.
type Room = [MaybeUninit<f32>];

/// Room for `len` numbers.
fn room(len: usize) -> Box<Room> {
    Box::new_uninit_slice(len)
}

/// The numbers in `room`.
///
/// # Safety
/// All of them have been written.
#[expect(unsafe_code, reason = "only the caller knows what it wrote")]
unsafe fn written(room: Box<Room>) -> Vec<f32> {
    // SAFETY: as the caller says.
    unsafe { room.assume_init() }.into_vec()
}

/// Runs `work` compiled for the widest vectors of this CPU. `work` must be `#[inline(always)]`, and so must be all that it calls.
#[expect(
    clippy::inline_always,
    reason = "so that it is compiled for its caller's CPU"
)]
#[inline(always)]
fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(v4) = pulp::x86::V4::try_new() {
            return v4.vectorize(work);
        }
        if let Some(v3) = pulp::x86::V3::try_new() {
            return v3.vectorize(work);
        }
    }
    work()
}

/// Runs `work` with the widest vectors of this CPU.
fn widest<W: pulp::WithSimd>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(v4) = pulp::x86::V4::try_new() {
            return pulp::Simd::vectorize(v4, work);
        }
        if let Some(v3) = pulp::x86::V3::try_new() {
            return pulp::Simd::vectorize(v3, work);
        }
    }
    pulp::Simd::vectorize(pulp::Scalar::new(), work)
}

#[cfg(test)]
mod tests;
