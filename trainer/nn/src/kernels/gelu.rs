//! GELU: `x·Φ(x)`, where Φ is the normal distribution function, and its variant with the hyperbolic tangent (Hendrycks
//! & Gimpel 2016).

use candle_core::{Result, Tensor};
use shared::exp::exp_nonpositive;

use super::vectors::vectorised;
use super::{CHUNK, in_chunks, tensor, values};
use crate::Tape;

/// 1/√(2π), the normal density at 0.
const DENSITY: f32 = 0.398_942_3;
/// √(2/π), the factor of the variant's argument.
const FACTOR: f32 = 0.797_884_6;
/// Weight of the cube in the variant's argument.
const CUBIC: f32 = 0.044_715;

/// Applies GELU to every element.
///
/// # Errors
/// When the tensor is not contiguous f32 on the CPU.
pub(super) fn gelu(tape: &mut Tape, x: &Tensor) -> Result<Tensor> {
    activation(tape, x, value, slope)
}

/// Applies the variant to every element: `½x·(1 + tanh u)`, `u = √(2/π)·(x + 0.044715·x³)`.
///
/// # Errors
/// When the tensor is not contiguous f32 on the CPU.
pub(super) fn gelu_tanh(tape: &mut Tape, x: &Tensor) -> Result<Tensor> {
    activation(tape, x, value_tanh, slope_tanh)
}

/// Applies a function to every element. `slope` is its derivative.
fn activation(
    tape: &mut Tape,
    x: &Tensor,
    value: impl Fn(f32) -> f32 + Sync,
    slope: impl Fn(f32) -> f32 + Sync + 'static,
) -> Result<Tensor> {
    let y = tensor(forward(&values(x)?, value), x.shape().clone())?;
    let input = x.clone();
    tape.record(&y, &[x], move |g| {
        Ok(vec![tensor(backward(&values(&input)?, &values(g)?, slope), input.shape().clone())?])
    });
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

#[inline(always)]
fn value(x: f32) -> f32 {
    x * normal_distribution(x, exp_nonpositive(-0.5 * x * x))
}

#[inline(always)]
fn slope(x: f32) -> f32 {
    let e = exp_nonpositive(-0.5 * x * x);
    normal_distribution(x, e) + x * DENSITY * e
}

#[inline(always)]
fn tanh(u: f32) -> f32 {
    let e = exp_nonpositive(-2.0 * u.abs());
    ((1.0 - e) / (1.0 + e)).copysign(u)
}

#[inline(always)]
fn value_tanh(x: f32) -> f32 {
    0.5 * x * (1.0 + tanh(FACTOR * (x + CUBIC * x * x * x)))
}

#[inline(always)]
fn slope_tanh(x: f32) -> f32 {
    let t = tanh(FACTOR * (x + CUBIC * x * x * x));
    0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * FACTOR * (1.0 + 3.0 * CUBIC * x * x)
}

fn forward(x: &[f32], value: impl Fn(f32) -> f32 + Sync) -> Vec<f32> {
    in_chunks(x.len(), CHUNK, |start, y| {
        vectorised(|| {
            for (y, &x) in y.iter_mut().zip(&x[start..]) {
                *y = value(x);
            }
        });
    })
}

fn backward(x: &[f32], g: &[f32], slope: impl Fn(f32) -> f32 + Sync) -> Vec<f32> {
    in_chunks(x.len(), CHUNK, |start, dx| {
        vectorised(|| {
            for ((dx, &x), &g) in dx.iter_mut().zip(&x[start..]).zip(&g[start..]) {
                *dx = g * slope(x);
            }
        });
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradient_check::{check, random};

    #[test]
    fn gradients_match_finite_differences() {
        check(&[random(&[7, 5], 1)], |tape, t| gelu(tape, &t[0].tensor));
        check(&[random(&[7, 5], 1)], |tape, t| gelu_tanh(tape, &t[0].tensor));
    }

    fn assert_close(found: &[f32], expected: &[f32]) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
    }

    #[test]
    fn values_match_tables() {
        let x = [-20.0, -1.0, 0.0, 1.0, 2.0, 20.0];
        // Φ(1) = 0.8413447461, Φ(2) = 0.9772498681.
        assert_close(&forward(&x, value), &[0.0, -0.158_655_26, 0.0, 0.841_344_7, 1.954_499_7, 20.0]);
        // From PyTorch: gelu(x, approximate="tanh").
        assert_close(&forward(&x, value_tanh), &[0.0, -0.158_808_01, 0.0, 0.841_192, 1.954_597_7, 20.0]);
    }
}
