//! Layer normalisation over the last dimension, in f32: `LN(z) = (z − mean) / sqrt(variance + eps) · w + b`, and
//! `LN(residual + dropout(x))`.

use std::sync::Arc;

use candle_core::{D, Result, Tensor};

use super::{TensorGradient, TensorWeight, single, sum_of_rows};
use crate::{Norm, Tape};

type NormWeights = Norm<Arc<TensorWeight>>;

/// Normalises the last dimension of `x`.
///
/// # Errors
/// When shapes do not fit.
pub fn layer_norm(tape: &mut Tape, x: &Tensor, norm: NormWeights) -> Result<Tensor> {
    let z = single(x)?.contiguous()?;
    let y = forward(&z, &norm)?;
    let dtype = x.dtype();
    tape.record(&y, &[x], move |g| Ok(vec![backward(g, &z, &norm)?.to_dtype(dtype)?]));
    Ok(y)
}

/// Computes `LN(residual + x·mask)`, or `LN(residual + x)` without a mask. The mask is f32 and has the shape of
/// `x`.
///
/// # Errors
/// When shapes do not fit.
pub fn residual_norm(
    tape: &mut Tape,
    x: &Tensor,
    mask: Option<Tensor>,
    residual: &Tensor,
    norm: NormWeights,
) -> Result<Tensor> {
    let kept = match &mask {
        Some(mask) => (single(x)? * mask)?,
        None => single(x)?,
    };
    let z = (kept + single(residual)?)?.contiguous()?;
    let y = forward(&z, &norm)?;
    let (x_dtype, residual_dtype) = (x.dtype(), residual.dtype());
    tape.record(&y, &[x, residual], move |g| {
        let dz = backward(g, &z, &norm)?;
        let dx = match &mask {
            Some(mask) => (&dz * mask)?,
            None => dz.clone(),
        };
        Ok(vec![dx.to_dtype(x_dtype)?, dz.to_dtype(residual_dtype)?])
    });
    Ok(y)
}

fn forward(z: &Tensor, norm: &NormWeights) -> Result<Tensor> {
    let (weight, bias) = (norm.weight.values()?, norm.bias.values()?);
    candle_nn::ops::layer_norm(z, &weight, &bias, norm.eps)
}

/// Returns the gradient of the input. The gradients of weight and bias are added to theirs.
fn backward(g: &Tensor, z: &Tensor, norm: &NormWeights) -> Result<Tensor> {
    let centred = z.broadcast_sub(&z.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    let scale = (variance + f64::from(norm.eps))?.sqrt()?.recip()?;
    let normal = centred.broadcast_mul(&scale)?;
    norm.weight.add(TensorGradient { sums: sum_of_rows(&(g * &normal)?)?.flatten_all()?, touched: None })?;
    norm.bias.add(TensorGradient { sums: sum_of_rows(g)?.flatten_all()?, touched: None })?;
    let g = g.broadcast_mul(&norm.weight.values()?)?;
    let along = (&g * &normal)?.mean_keepdim(D::Minus1)?;
    let centred = g.broadcast_sub(&g.mean_keepdim(D::Minus1)?)?;
    (centred - normal.broadcast_mul(&along)?)?.broadcast_mul(&scale)
}
