//! Cross entropy, summed over the rows with a target.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
use shared::exp::exp_nonpositive;

use super::values;

/// Returns Σ −log softmax(logits)[target] over the rows with a target, as a scalar. `logits` is `[rows, labels]`.
/// There is one target per row, `None` for rows that do not enter the loss.
///
/// # Errors
/// When the number of targets is not the number of rows, or a target has no logit.
pub fn cross_entropy(logits: &Tensor, targets: Arc<[Option<u32>]>) -> Result<Tensor> {
    let (rows, labels) = logits.dims2()?;
    if targets.len() != rows || targets.iter().flatten().any(|&t| t as usize >= labels) {
        candle_core::bail!("cross entropy: {} targets for logits [{rows}, {labels}]", targets.len());
    }
    logits.apply_op1(CrossEntropy { targets })
}

#[derive(Clone)]
struct CrossEntropy {
    targets: Arc<[Option<u32>]>,
}

struct CrossEntropyGradient {
    targets: Arc<[Option<u32>]>,
}

fn maximum(row: &[f32]) -> f32 {
    row.iter().fold(f32::NEG_INFINITY, |m, &z| m.max(z))
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let logits = values(storage, layout)?;
        let rows = logits.chunks_exact(super::last_dim(layout)).zip(self.targets.iter());
        let mut loss = 0f64;
        for (row, target) in rows {
            if let Some(target) = *target {
                let highest = maximum(row);
                let sum: f32 = row.iter().map(|z| exp_nonpositive(z - highest)).sum();
                loss += f64::from(sum.ln() + highest - row[target as usize]);
            }
        }
        Ok((CpuStorage::F32(vec![loss as f32]), Shape::from(())))
    }

    fn bwd(&self, logits: &Tensor, _result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let op = CrossEntropyGradient { targets: self.targets.clone() };
        Ok(Some(logits.apply_op2_no_bwd(gradient, &op)?))
    }
}

impl CustomOp2 for CrossEntropyGradient {
    fn name(&self) -> &'static str {
        "cross-entropy-gradient"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let logits = values(s1, l1)?;
        let scale = values(s2, l2)?.first().copied().unwrap_or_default();
        let n = super::last_dim(l1);
        let mut out = vec![0f32; logits.len()];
        for ((row, out), target) in logits.chunks_exact(n).zip(out.chunks_exact_mut(n)).zip(self.targets.iter()) {
            let Some(target) = *target else { continue };
            let highest = maximum(row);
            let mut sum = 0f32;
            for (out, z) in out.iter_mut().zip(row) {
                *out = exp_nonpositive(z - highest);
                sum += *out;
            }
            let factor = scale / sum;
            out.iter_mut().for_each(|p| *p *= factor);
            out[target as usize] -= scale;
        }
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::kernels::gradient_check::{check, random};

    #[test]
    fn gradients_match_finite_differences() {
        let targets: Arc<[Option<u32>]> = [Some(2), None, Some(0), Some(1)].into();
        check(&[random(&[4, 3], 1)], |t| cross_entropy(t[0].values(), targets.clone()));
    }

    #[test]
    fn value_by_hand() {
        let logits = Tensor::new(&[[0f32, 0.0], [3.0, 1.0]], &candle_core::Device::Cpu).unwrap();
        let loss = cross_entropy(&logits, [Some(0), None].into()).unwrap().to_scalar::<f32>().unwrap();
        assert!((loss - std::f32::consts::LN_2).abs() < 1e-6);
        assert!(cross_entropy(&logits, [Some(0), Some(2)].into()).is_err());
    }
}
