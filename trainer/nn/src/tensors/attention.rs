//! Multi-head self-attention inside each window of a padded batch: `P = softmax(Q·Kᵀ/√d)`, `out = dropout(P)·V`.

use candle_core::{Result, Tensor};

use super::{Padding, single};
use crate::Tape;

/// Applies attention. `qkv` is `[rows, 3 · heads · d]`, with queries, keys and values beside each other. The
/// result is `[rows, heads · d]` in the same dtype. The mask for the probabilities is f32 `[blocks, heads, length,
/// length]`.
///
/// # Errors
/// When shapes do not fit.
pub fn attention(
    tape: &mut Tape,
    qkv: &Tensor,
    heads: usize,
    padding: &Padding,
    mask: Option<Tensor>,
) -> Result<Tensor> {
    let Padding { blocks, length, key_bias } = padding.clone();
    let (rows, columns) = qkv.dims2()?;
    if heads == 0 || columns % (3 * heads) != 0 || rows != blocks * length {
        candle_core::bail!("attention: queries, keys, values {:?}, {heads} heads, {blocks} × {length}", qkv.dims());
    }
    let d = columns / (3 * heads);
    let (scale, dtype, n) = (1.0 / (d as f64).sqrt(), qkv.dtype(), blocks * heads);
    // [3, blocks, heads, length, d]
    let parts = qkv.reshape((blocks, length, 3, heads, d))?.permute((2, 0, 3, 1, 4))?.contiguous()?;
    let part = |i| parts.narrow(0, i, 1)?.reshape((n, length, d));
    let (q, k, v): (Tensor, Tensor, Tensor) = (part(0)?, part(1)?, part(2)?);
    let scores = single(&q.matmul(&k.t()?)?)?.affine(scale, 0.0)?.reshape((blocks, heads, length, length))?;
    let p = candle_nn::ops::softmax_last_dim(&scores.broadcast_add(&key_bias)?)?;
    let kept = match &mask {
        Some(mask) => (&p * mask)?,
        None => p.clone(),
    };
    let kept = kept.to_dtype(dtype)?.reshape((n, length, length))?;
    let seen = kept.matmul(&v)?.reshape((blocks, heads, length, d))?.transpose(1, 2)?;
    let seen = seen.contiguous()?.reshape((rows, heads * d))?;
    tape.record(&seen, &[qkv], move |g| {
        let g = g.reshape((blocks, length, heads, d))?.transpose(1, 2)?.contiguous()?.reshape((n, length, d))?;
        let dv = kept.t()?.matmul(&g)?;
        let dp = single(&g.matmul(&v.t()?)?)?.reshape((blocks, heads, length, length))?;
        let dp = match &mask {
            Some(mask) => (dp * mask)?,
            None => dp,
        };
        // The derivative of softmax: P∘(dP − ⟨dP, P⟩).
        let dp = (dp * &p)?;
        let along = dp.sum_keepdim(3)?;
        let ds = (dp - p.broadcast_mul(&along)?)?.affine(scale, 0.0)?;
        let ds = ds.to_dtype(dtype)?.reshape((n, length, length))?;
        let (dq, dk) = (ds.matmul(&k)?, ds.t()?.matmul(&q)?);
        let all = Tensor::cat(&[dq, dk, dv], 0)?.reshape((3, blocks, heads, length, d))?;
        Ok(vec![all.permute((1, 3, 0, 2, 4))?.contiguous()?.reshape((rows, columns))?])
    });
    Ok(seen)
}
