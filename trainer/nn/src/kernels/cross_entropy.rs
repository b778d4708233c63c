//! Cross entropy, summed over the rows with a target.

use candle_core::{Result, Tensor};
use rayon::prelude::*;
use shared::exp::exp_nonpositive;

use super::{tensor, values};
use crate::Tape;

/// Number of rows handled by one task.
const ROWS: usize = 1024;

/// Returns Σ −log softmax(logits)\[target\] over the rows with a target, as a scalar. `logits` is `[rows, labels]`.
/// There is one target per row, `None` for rows that do not enter the loss.
///
/// # Errors
/// When the number of targets is not the number of rows, or a target has no logit.
pub(super) fn cross_entropy(tape: &mut Tape, logits: &Tensor, targets: Vec<Option<u32>>) -> Result<Tensor> {
    let (rows, labels) = logits.dims2()?;
    if targets.len() != rows || labels == 0 || targets.iter().flatten().any(|&t| t as usize >= labels) {
        candle_core::bail!("cross entropy: {} targets for logits [{rows}, {labels}]", targets.len());
    }
    let loss = tensor(vec![forward(&values(logits)?, &targets, labels) as f32], ())?;
    let input = logits.clone();
    tape.record(&loss, &[logits], move |g| {
        let scale = values(g)?.first().copied().unwrap_or_default();
        let dz = backward(&values(&input)?, &targets, labels, scale);
        Ok(vec![tensor(dz, input.shape().clone())?])
    });
    Ok(loss)
}

fn maximum(row: &[f32]) -> f32 {
    row.iter().fold(f32::NEG_INFINITY, |m, &z| m.max(z))
}

fn forward(logits: &[f32], targets: &[Option<u32>], labels: usize) -> f64 {
    let of_row = |(row, target): (&[f32], &Option<u32>)| {
        let Some(target) = *target else { return 0.0 };
        let highest = maximum(row);
        let sum: f32 = row.iter().map(|z| exp_nonpositive(z - highest)).sum();
        f64::from(sum.ln() + highest - row[target as usize])
    };
    let blocks = logits.par_chunks(ROWS * labels).zip(targets.par_chunks(ROWS));
    let sums = blocks.map(|(logits, targets)| logits.chunks_exact(labels).zip(targets).map(of_row).sum());
    sums.collect::<Vec<f64>>().iter().sum()
}

fn backward(logits: &[f32], targets: &[Option<u32>], labels: usize, scale: f32) -> Vec<f32> {
    let mut dz = vec![0f32; logits.len()];
    let blocks = dz.par_chunks_mut(ROWS * labels).zip(logits.par_chunks(ROWS * labels)).zip(targets.par_chunks(ROWS));
    blocks.for_each(|((dz, logits), targets)| {
        for ((dz, row), target) in dz.chunks_exact_mut(labels).zip(logits.chunks_exact(labels)).zip(targets) {
            let Some(target) = *target else { continue };
            let highest = maximum(row);
            let mut sum = 0f32;
            for (dz, z) in dz.iter_mut().zip(row) {
                *dz = exp_nonpositive(z - highest);
                sum += *dz;
            }
            let factor = scale / sum;
            dz.iter_mut().for_each(|p| *p *= factor);
            dz[target as usize] -= scale;
        }
    });
    dz
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradient_check::{check, random};

    #[test]
    fn gradients_match_finite_differences() {
        let targets = vec![Some(2), None, Some(0), Some(1)];
        check(&[random(&[4, 3], 1)], |tape, t| cross_entropy(tape, &t[0].tensor, targets.clone()));
    }

    #[test]
    fn value_by_hand() {
        let logits = tensor(vec![0.0, 0.0, 3.0, 1.0], (2, 2)).unwrap();
        let loss = |targets| cross_entropy(&mut Tape::silent(), &logits, targets);
        let of_first = loss(vec![Some(0), None]).unwrap().to_scalar::<f32>().unwrap();
        assert!((of_first - std::f32::consts::LN_2).abs() < 1e-6);
        assert!(loss(vec![Some(0), Some(2)]).is_err() && loss(vec![Some(0)]).is_err());
    }
}
