//! A natural logarithm that gives the same bits in the browser and on every CPU; see [`crate::exp`].
//!
//! x = 2ⁿ·m with √½ ≤ m < √2, so ln x = n·ln 2 + ln m. ln m = 2·artanh s with s = (m − 1)/(m + 1), |s| ≤ 0.172.
//! The series to s⁹ is used; its remainder is below 10⁻⁹·|ln m|. There are no branches, so it vectorises.

/// ln x for every x, with a relative error below 2.5·10⁻⁷. ln 0 is −∞. The result is NaN for negative numbers and
/// NaN.
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    const SQRT_HALF: u32 = std::f32::consts::FRAC_1_SQRT_2.to_bits();
    // ln 2 in two parts. The first part has so few bits that n·LN2_HIGH is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Numbers that are too small for a full mantissa are scaled up first.
    let is_small = x < f32::MIN_POSITIVE;
    let scaled = if is_small { x * 8_388_608.0 } else { x };
    let n = (scaled.to_bits().wrapping_sub(SQRT_HALF) as i32) >> 23;
    let m = f32::from_bits(scaled.to_bits().wrapping_sub((n as u32) << 23));
    let n = n as f32 - if is_small { 23.0 } else { 0.0 };
    let s = (m - 1.0) / (m + 1.0);
    let q = s * s;
    let series = s * q * (2.0 / 3.0 + q * (2.0 / 5.0 + q * (2.0 / 7.0 + q * (2.0 / 9.0))));
    // 2s alone would lose bits if m is close to 1. So 2s = (m − 1) − s·(m − 1), where m − 1 is exact.
    let finite = n * LN2_HIGH + ((m - 1.0) - (s * (m - 1.0) - (series + n * LN2_LOW)));
    let positive = if x == f32::INFINITY { f32::INFINITY } else { finite };
    let or_zero = if x == 0.0 { f32::NEG_INFINITY } else { positive };
    if x >= 0.0 { or_zero } else { f32::NAN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_double_precision_over_the_whole_range() {
        // From the smallest number to the largest, and every number close to 1, where ln is close to 0.
        let all = (1..f32::INFINITY.to_bits()).step_by(1009);
        let near_one = 0.99f32.to_bits()..1.01f32.to_bits();
        for x in all.chain(near_one).map(f32::from_bits) {
            let (found, exact) = (f64::from(ln(x)), f64::from(x).ln());
            assert!((found - exact).abs() <= 2.5e-7 * exact.abs(), "ln({x:e}): {found} against {exact}");
        }
    }

    #[test]
    fn ends_of_the_range() {
        assert_eq!(ln(1.0), 0.0);
        assert_eq!((ln(0.0), ln(f32::INFINITY)), (f32::NEG_INFINITY, f32::INFINITY));
        assert!(ln(-1.0).is_nan() && ln(f32::NAN).is_nan() && ln(f32::NEG_INFINITY).is_nan());
    }

    #[test]
    fn bits_are_fixed() {
        // These are the correctly rounded values. A change of any bit would make old and new programs disagree.
        assert_eq!(ln(2.0).to_bits(), std::f32::consts::LN_2.to_bits());
        assert_eq!(ln(10.0).to_bits(), std::f32::consts::LN_10.to_bits());
        assert_eq!(ln(5.0).to_bits(), 0x3fce_0210);
    }
}
