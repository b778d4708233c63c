//! Loops compiled for the widest vectors that the CPU at hand has.
//!
//! A program that runs on every x86-64 CPU may use vectors of 4 floats only; compiled once more for
//! AVX2 and AVX-512 and chosen at run time, the same loops take a fraction of the time. The results
//! do not change by a bit: lanes are computed as scalars would be, and the compiler never fuses a
//! multiplication and an addition by itself.

use half::f16;

/// Half to single precision, exactly. Unlike `half`'s own conversion it can be part of a larger
/// vectorised loop.
#[inline(always)]
pub(crate) fn widen(half: &[f16], out: &mut [f32]) {
    for (out, half) in out.iter_mut().zip(half) {
        *out = to_f32(*half);
    }
}

#[inline(always)]
fn to_f32(half: f16) -> f32 {
    // The exponent, now 13 bits further up in a wider field, is short by 127 − 15; a multiplication
    // makes up for it, and normalises subnormal numbers on the way.
    const SHORTFALL: f32 = f32::from_bits((127 + 127 - 15) << 23);
    const INFINITE: u32 = 0x7c00;
    let bits = u32::from(half.to_bits());
    let magnitude = bits & 0x7fff;
    let finite = f32::from_bits(magnitude << 13) * SHORTFALL;
    let not_finite = magnitude << 13 | 0x7f80_0000;
    let value = if magnitude < INFINITE { finite.to_bits() } else { not_finite };
    f32::from_bits(value | (bits & 0x8000) << 16)
}

/// Loops over columns. `run` and all that it calls must be `#[inline(always)]`: what is not inlined
/// is compiled for the smallest vectors.
pub(crate) trait Work {
    /// What they give.
    type Output;

    /// Runs them.
    fn run(self) -> Self::Output;
}

/// Runs `work`.
#[cfg(target_arch = "x86_64")]
pub(crate) fn vectorised<W: Work>(work: W) -> W::Output {
    struct Call<W>(W);

    impl<W: Work> pulp::NullaryFnOnce for Call<W> {
        type Output = W::Output;

        #[inline(always)]
        fn call(self) -> W::Output {
            self.0.run()
        }
    }

    pulp::Arch::new().dispatch(Call(work))
}

/// Runs `work`.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn vectorised<W: Work>(work: W) -> W::Output {
    work.run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_is_widened_exactly() {
        let all: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
        let mut wide = vec![0.0; all.len()];
        widen(&all, &mut wide);
        for (half, wide) in all.iter().zip(wide) {
            let is_same = wide.to_bits() == half.to_f32().to_bits();
            assert!(is_same || wide.is_nan() && half.is_nan(), "{half:?} became {wide}");
        }
    }
}
