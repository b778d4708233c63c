//! An exponential that gives the same bits in the browser and on every CPU.
//!
//! `f32::exp` calls the mathematical library of the platform, and the last bits of these libraries differ. This
//! function uses only additions and multiplications, which IEEE 754 defines exactly. It has no branches, so it
//! vectorises. Range reduction: eˣ = 2ⁿ·eʳ with n = round(x/ln 2), |r| ≤ ln 2 / 2. eʳ is computed by its Taylor
//! series to degree 7, whose remainder is below 10⁻⁸ there.

/// eˣ for x ≤ 0, with a relative error below 3·10⁻⁷. Below −87 the result is e⁻⁸⁷ ≈ 1.6·10⁻³⁸. NaN gives NaN.
#[inline(always)]
pub fn exp_nonpositive(x: f32) -> f32 {
    // Adding and subtracting 1.5·2²³ rounds to an integer without a call to `round`.
    const ROUNDER: f32 = 12_582_912.0;
    // ln 2 in two parts. The first part has so few bits that n·LN2_HIGH is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let clamped = if x < -87.0 { -87.0 } else { x };
    let shifted = clamped * std::f32::consts::LOG2_E + ROUNDER;
    let n = shifted - ROUNDER;
    let r = (clamped - n * LN2_HIGH) - n * LN2_LOW;
    let series = 1.0
        + r * (1.0
            + r * (1.0 / 2.0
                + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0 + r * (1.0 / 5040.0)))))));
    // The low bits of `shifted` hold n as an integer.
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    series * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_double_precision() {
        for i in 0..=870_000 {
            let x = -(i as f32) * 1e-4;
            let exact = f64::from(x).exp();
            let relative = (f64::from(exp_nonpositive(x)) - exact).abs() / exact;
            assert!(relative < 3e-7, "exp({x}): {} against {exact}", exp_nonpositive(x));
        }
        assert_eq!(exp_nonpositive(0.0), 1.0);
    }

    #[test]
    fn extremes_stay_finite_and_nan_stays_nan() {
        assert!(exp_nonpositive(f32::NEG_INFINITY) < 1e-37);
        assert!(exp_nonpositive(f32::NAN).is_nan());
    }

    #[test]
    fn bits_are_fixed() {
        // These are the correctly rounded values. A change of any bit would make old and new programs disagree.
        assert_eq!(exp_nonpositive(-1.0).to_bits(), 0x3ebc_5ab2);
        assert_eq!(exp_nonpositive(-10.5).to_bits(), 0x37e6_fe13);
    }
}
