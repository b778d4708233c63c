//! Compiles loops for the widest vectors of the current CPU.
//!
//! A program for every x86-64 CPU may only use vectors of 4 floats. The same loops are therefore also compiled for
//! AVX2 and AVX-512 and chosen at run time, which takes a fraction of the time. The results are the same bits:
//! each lane is computed like a scalar, and the compiler never fuses a multiplication and an addition by itself.

use half::f16;

/// Converts half to single precision, exactly. Unlike the conversion of `half`, it can be part of a larger
/// vectorised loop.
#[inline(always)]
pub(crate) fn widen(half: &[f16], out: &mut [f32]) {
    for (out, half) in out.iter_mut().zip(half) {
        *out = to_f32(*half);
    }
}

#[inline(always)]
fn to_f32(half: f16) -> f32 {
    // The exponent is now 13 bits further up, in a wider field, and is too small by 127 − 15. A multiplication
    // corrects this, and also normalises subnormal numbers.
    const SHORTFALL: f32 = f32::from_bits((127 + 127 - 15) << 23);
    const INFINITE: u32 = 0x7c00;
    let bits = u32::from(half.to_bits());
    let magnitude = bits & 0x7fff;
    let finite = f32::from_bits(magnitude << 13) * SHORTFALL;
    let not_finite = magnitude << 13 | 0x7f80_0000;
    let value = if magnitude < INFINITE { finite.to_bits() } else { not_finite };
    f32::from_bits(value | (bits & 0x8000) << 16)
}

/// Converts single to half precision, rounded to the nearest value (ties to even), like `half`. It vectorises too.
/// A NaN stays a NaN, but its payload may change.
#[inline(always)]
pub(crate) fn narrow(single: &[f32], out: &mut [f16]) {
    for (out, single) in out.iter_mut().zip(single) {
        *out = to_f16(*single);
    }
}

#[inline(always)]
fn to_f16(single: f32) -> f16 {
    /// 65,536: larger than any half-precision number.
    const INFINITE: u32 = (127 + 16) << 23;
    /// 2⁻¹⁴: smaller numbers are subnormal.
    const NORMAL: u32 = (127 - 14) << 23;
    /// ½: in a sum with it, the last bit stands for 2⁻²⁴, as in a subnormal half.
    const HALF: f32 = 0.5;
    let bits = single.to_bits();
    let sign = bits & 0x8000_0000;
    let magnitude = bits ^ sign;
    let subnormal = (f32::from_bits(magnitude) + HALF).to_bits().wrapping_sub(HALF.to_bits());
    // Half of the part that is cut off, less one if the bit before it is 0. A carry goes into the exponent, as it
    // must.
    let rounding = 0xfff + (magnitude >> 13 & 1);
    let normal = magnitude.wrapping_add(rounding).wrapping_sub((127 - 15) << 23) >> 13;
    let finite = if magnitude < NORMAL { subnormal } else { normal };
    let not_finite = if magnitude > 0x7f80_0000 { 0x7e00 } else { 0x7c00 };
    let half = if magnitude < INFINITE { finite } else { not_finite };
    f16::from_bits((half | sign >> 16) as u16)
}

/// Loops over columns. `run` and everything that it calls must be `#[inline(always)]`, because other functions are
/// compiled for the smallest vectors.
pub(crate) trait Work {
    /// The result of the loops.
    type Output;

    /// Runs the loops.
    fn run(self) -> Self::Output;
}

/// Runs `work` with the widest vectors of the CPU.
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

/// Runs `work`. Only x86-64 chooses between vector widths at run time.
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

    #[test]
    fn singles_are_narrowed_as_half_does() {
        // Every half, and values between it and the next one: slightly above it, in the middle, and slightly off
        // the middle.
        let halves = (0..=u16::MAX).map(|bits| f16::from_bits(bits).to_f32().to_bits());
        let around =
            |bits: u32| [0, 1, 0xfff, 0x1000, 0x1001, 0x1fff].map(|more| f32::from_bits(bits.wrapping_add(more)));
        let tiny = [1e-9, 2.9e-8, 3e-8, f32::MIN_POSITIVE, 65_519.9, 65_520.0, 1e30, f32::MAX].into_iter();
        let all: Vec<f32> = halves.flat_map(around).chain(tiny.clone()).chain(tiny.map(|v| -v)).collect();
        let mut narrowed = vec![f16::ZERO; all.len()];
        narrow(&all, &mut narrowed);
        for (single, half) in all.iter().zip(narrowed) {
            let expected = f16::from_f32(*single);
            let is_same = half.to_bits() == expected.to_bits();
            assert!(is_same || half.is_nan() && expected.is_nan(), "{single:e} became {half:?}, not {expected:?}");
        }
    }
}
