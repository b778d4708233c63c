//! Cross entropy, summed over the rows with a target, in f32.

use candle_core::{D, Result, Tensor};

use super::single;
use crate::Tape;

/// Returns Σ −log softmax(logits)[target] over the rows with a target, as a scalar. `logits` is `[rows, labels]`.
/// There is one target per row, `None` for rows that do not enter the loss.
///
/// # Errors
/// When the number of targets is not the number of rows, or a target has no logit.
pub fn cross_entropy(tape: &mut Tape, logits: &Tensor, targets: &[Option<u32>]) -> Result<Tensor> {
    let (rows, labels) = logits.dims2()?;
    if targets.len() != rows || targets.iter().flatten().any(|&t| t as usize >= labels) {
        candle_core::bail!("cross entropy: {} targets for logits [{rows}, {labels}]", targets.len());
    }
    let device = logits.device();
    let mut one_hot = vec![0f32; rows * labels];
    for (row, target) in targets.iter().enumerate() {
        if let Some(target) = *target {
            one_hot[row * labels + target as usize] = 1.0;
        }
    }
    let one_hot = Tensor::from_vec(one_hot, (rows, labels), device)?;
    let counts: Vec<f32> = targets.iter().map(|target| f32::from(u8::from(target.is_some()))).collect();
    let counts = Tensor::from_vec(counts, (rows, 1), device)?;
    let z = single(logits)?;
    let z = z.broadcast_sub(&z.max_keepdim(D::Minus1)?)?;
    let powers = z.exp()?;
    let sums = powers.sum_keepdim(D::Minus1)?;
    // log Σ exp z of the rows with a target, minus the z of the target.
    let loss = (sums.log()?.mul(&counts)?.sum_all()? - z.mul(&one_hot)?.sum_all()?)?;
    let dtype = logits.dtype();
    tape.record(&loss, &[logits], move |g| {
        let p = powers.broadcast_div(&sums)?.broadcast_mul(&counts)?;
        Ok(vec![(p - one_hot)?.broadcast_mul(g)?.to_dtype(dtype)?])
    });
    Ok(loss)
}
