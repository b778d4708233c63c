//! Exact GELU: `x·Φ(x)`, where Φ is the normal distribution function (Hendrycks & Gimpel 2016).

use candle_core::{Result, Tensor};
use shared::exp::exp_nonpositive;

use super::vectors::vectorised;
use super::{CHUNK, in_chunks, tensor, values};
use crate::nn::Tape;

/// 1/√(2π), the normal density at 0.
const DENSITY: f32 = 0.398_942_3;

/// Applies GELU to every element.
///
/// # Errors
/// When the tensor is not contiguous f32 on the CPU.
pub(super) fn gelu(tape: &mut Tape, x: &Tensor) -> Result<Tensor> {
    let y = tensor(forward(&values(x)?), x.shape().clone())?;
    let input = x.clone();
    tape.record(&y, &[x], move |g| Ok(vec![tensor(backward(&values(&input)?, &values(g)?), input.shape().clone())?]));
    Ok(y)
}

/// Returns Φ(x), with the rational approximation 7.1.26 of Abramowitz & Stegun; its error is at most 1.5·10⁻⁷. `e`
/// is exp(−x²/2), which the gradient also needs.
#[inline(always)]
fn normal_distribution(x: f32, e: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let series = t * (0.254_829_6 + t * (-0.284_496_74 + t * (1.421_413_7 + t * (-1.453_152 + t * 1.061_405_4))));
    let tail = 0.5 * series * e;
    if x < 0.0 { tail } else { 1.0 - tail }
}

fn forward(x: &[f32]) -> Vec<f32> {
    in_chunks(x.len(), CHUNK, |start, y| {
        vectorised(|| {
            for (y, &x) in y.iter_mut().zip(&x[start..]) {
                *y = x * normal_distribution(x, exp_nonpositive(-0.5 * x * x));
            }
        });
    })
}

fn backward(x: &[f32], g: &[f32]) -> Vec<f32> {
    in_chunks(x.len(), CHUNK, |start, dx| {
        vectorised(|| {
            for ((dx, &x), &g) in dx.iter_mut().zip(&x[start..]).zip(&g[start..]) {
                let e = exp_nonpositive(-0.5 * x * x);
                *dx = g * (normal_distribution(x, e) + x * DENSITY * e);
            }
        });
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::gradient_check::{check, random};

    #[test]
    fn gradients_match_finite_differences() {
        check(&[random(&[7, 5], 1)], |tape, t| gelu(tape, &t[0].tensor));
    }

    #[test]
    fn values_match_tables() {
        let y = forward(&[-20.0, -1.0, 0.0, 1.0, 2.0, 20.0]);
        // Φ(1) = 0.8413447461, Φ(2) = 0.9772498681.
        for (found, expected) in y.iter().zip([0.0, -0.158_655_26, 0.0, 0.841_344_7, 1.954_499_7, 20.0]) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
    }
}
