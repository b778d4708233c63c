//! Loops that are compiled for the widest vectors of the CPU.
//!
//! A program that runs on every x86-64 CPU may only use vectors of 4 floats. Here, the same loops are also
//! compiled for AVX2 and AVX-512, and one version is chosen at run time. This takes a fraction of the time and
//! gives exactly the same bits: a multiplication and an addition are fused only if the source fuses them.

/// Runs `work`, compiled for the CPU's vectors. Functions that it calls must be `#[inline(always)]`, because other
/// functions are compiled for the smallest vectors.
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

/// Number of lanes of a sum. It is fixed, so that the bits of the sum do not depend on the CPU.
const LANES: usize = 16;

/// Returns the sum of `f` over a row.
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

/// Returns the sum of the products of two rows of the same length.
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
