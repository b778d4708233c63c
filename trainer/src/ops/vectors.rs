//! Loops compiled for the widest vectors that the CPU at hand has.
//!
//! A program that runs on every x86-64 CPU may use vectors of 4 floats only. Compiled once more for AVX2
//! and AVX-512 and chosen at run time, the same loops take a fraction of the time, and the results do not
//! change by a bit: no multiplication and addition is fused that is not fused in the source.

/// Runs `work`. What it calls must be `#[inline(always)]`: what is not inlined is compiled for the smallest
/// vectors.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}

/// Runs `work`.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(super) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    work()
}

/// Lanes of a sum: fixed, so that its bits do not depend on the CPU.
const LANES: usize = 16;

/// Sum of `f` over a row.
#[inline(always)]
pub(super) fn lane_sum(row: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut lanes = [0f32; LANES];
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += f(value);
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|&v| f(v)).sum::<f32>()
}

/// Sum of the products of two rows of the same length.
#[inline(always)]
pub(super) fn lane_dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, rest_a), (b, rest_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut lanes = [0f32; LANES];
    for (a, b) in a.iter().zip(b) {
        for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    lanes.iter().sum::<f32>() + rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum::<f32>()
}
