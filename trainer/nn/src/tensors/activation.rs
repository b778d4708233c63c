//! Activations. The forward pass computes in the dtype of the input, the backward pass in f32.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI, PI};

use candle_core::{Result, Tensor};

use super::single;
use crate::Tape;

/// Applies GELU, `x·Φ(x)`, where Φ is the normal distribution function.
///
/// # Errors
/// When the device fails.
pub fn gelu(tape: &mut Tape, x: &Tensor) -> Result<Tensor> {
    let y = x.gelu_erf()?;
    let input = x.clone();
    tape.record(&y, &[x], move |g| {
        let x = single(&input)?;
        // Φ(x) + x·φ(x)
        let distribution = (x.affine(FRAC_1_SQRT_2, 0.0)?.erf()? + 1.0)?.affine(0.5, 0.0)?;
        let density = x.sqr()?.affine(-0.5, 0.0)?.exp()?.affine(1.0 / (2.0 * PI).sqrt(), 0.0)?;
        let slope = (distribution + (density * x)?)?;
        Ok(vec![(single(g)? * slope)?.to_dtype(input.dtype())?])
    });
    Ok(y)
}

/// Applies GELU with the hyperbolic tangent: `½x·(1 + tanh u)`, `u = √(2/π)·(x + 0.044715·x³)`.
///
/// # Errors
/// When the device fails.
pub fn gelu_tanh(tape: &mut Tape, x: &Tensor) -> Result<Tensor> {
    const CUBIC: f64 = 0.044_715;
    let y = x.gelu()?;
    let input = x.clone();
    tape.record(&y, &[x], move |g| {
        let x = single(&input)?;
        let (square, factor) = (x.sqr()?, FRAC_2_PI.sqrt());
        let t = (square.affine(CUBIC * factor, factor)? * &x)?.tanh()?;
        // ½(1 + t) + ½x·(1 − t²)·u′
        let outer = t.affine(0.5, 0.5)?;
        let inner = (t.sqr()?.affine(-0.5, 0.5)? * square.affine(3.0 * CUBIC * factor, factor)?)?;
        let slope = (outer + (inner * x)?)?;
        Ok(vec![(single(g)? * slope)?.to_dtype(input.dtype())?])
    });
    Ok(y)
}

/// Computes `max(x, 0)·mask`. The mask has the shape and dtype of `x`.
///
/// # Errors
/// When shapes do not fit.
pub fn relu(tape: &mut Tape, x: &Tensor, mask: Option<Tensor>) -> Result<Tensor> {
    // Unlike a maximum, this lets NaN through, which must reach the loss.
    let positive = (x + x.abs()?)?.affine(0.5, 0.0)?;
    let y = match &mask {
        Some(mask) => (&positive * mask)?,
        None => positive.clone(),
    };
    tape.record(&y, &[x], move |g| {
        // 1 where x is above 0, else 0.
        let passes = positive.sign()?;
        let g = match &mask {
            Some(mask) => (g * mask)?,
            None => g.clone(),
        };
        Ok(vec![(g * passes)?])
    });
    Ok(y)
}
