//! Layer normalisation over the last dimension (Ba et al. 2016): `LN(z) = (z − mean) / sqrt(variance + eps) · w +
//! b`, with the population variance.
//!
//! There is also `LN(residual + dropout(x))` in one pass, which transformers compute around each block.

use std::sync::Arc;

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::dropout::masked;
use super::vectors::{lane_sum, vectorised};
use super::weight::KernelWeight;
use super::{ROWS, in_chunks, tensor, values};
use crate::{Dropout, Norm, Tape};

type NormWeights = Norm<Arc<KernelWeight>>;

/// Normalises the last dimension of `x`.
///
/// # Errors
/// When shapes do not fit, or the tensor is not contiguous f32 on the CPU.
pub(super) fn layer_norm(tape: &mut Tape, x: &Tensor, norm: NormWeights) -> Result<Tensor> {
    norm.check(x)?;
    let y = tensor(norm.forward(Source::Plain(&values(x)?)), x.shape().clone())?;
    let input = x.clone();
    tape.record(&y, &[x], move |g| {
        let dx = norm.backward(Source::Plain(&values(&input)?), &values(g)?);
        Ok(vec![tensor(dx, input.shape().clone())?])
    });
    Ok(y)
}

/// Computes `LN(residual + dropout(x))`, or `LN(residual + x)` without a mask.
///
/// # Errors
/// When shapes do not fit, or a tensor is not contiguous f32 on the CPU.
pub(super) fn residual_norm(
    tape: &mut Tape,
    x: &Tensor,
    mask: Option<Dropout>,
    residual: &Tensor,
    norm: NormWeights,
) -> Result<Tensor> {
    norm.check(x)?;
    if x.dims() != residual.dims() {
        candle_core::bail!("residual: input {:?}, residual {:?}", x.dims(), residual.dims());
    }
    let y = norm.forward(Source::Sum { x: &values(x)?, mask, residual: &values(residual)? });
    let y = tensor(y, x.shape().clone())?;
    let inputs = (x.clone(), residual.clone());
    tape.record(&y, &[x, residual], move |g| {
        let (x, residual) = (values(&inputs.0)?, values(&inputs.1)?);
        let dz = norm.backward(Source::Sum { x: &x, mask, residual: &residual }, &values(g)?);
        let shape = inputs.0.shape();
        let dx = mask.map(|mask| tensor(masked(&dz, mask), shape.clone())).transpose()?;
        let dz = tensor(dz, shape.clone())?;
        Ok(vec![dx.unwrap_or_else(|| dz.clone()), dz])
    });
    Ok(y)
}

/// Source of the rows.
#[derive(Clone, Copy)]
enum Source<'a> {
    Plain(&'a [f32]),
    Sum { x: &'a [f32], mask: Option<Dropout>, residual: &'a [f32] },
}

impl Source<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Plain(x) | Self::Sum { x, .. } => x.len(),
        }
    }

    /// Copies the row that begins at this element to `z`.
    #[inline(always)]
    fn row(&self, start: usize, z: &mut [f32]) {
        let range = start..start + z.len();
        match *self {
            Self::Plain(x) => z.copy_from_slice(&x[range]),
            Self::Sum { x, mask, residual } => {
                let parts = z.iter_mut().zip(&x[range.clone()]).zip(&residual[range]);
                match mask {
                    Some(mask) => {
                        for (((z, &x), &r), i) in parts.zip(start as u32..) {
                            *z = r + x * mask.factor(i);
                        }
                    }
                    None => {
                        for ((z, &x), &r) in parts {
                            *z = r + x;
                        }
                    }
                }
            }
        }
    }
}

/// Returns the mean and the reciprocal standard deviation of a row.
#[inline(always)]
fn moments(row: &[f32], eps: f32) -> (f32, f32) {
    let n = row.len() as f32;
    let mean = lane_sum(row, |v| v) / n;
    let variance = lane_sum(row, |v| (v - mean) * (v - mean)) / n;
    (mean, 1.0 / (variance + eps).sqrt())
}

impl NormWeights {
    fn check(&self, x: &Tensor) -> Result<()> {
        match (x.dims().last(), self.weight.dims()) {
            (Some(d), weight) if weight == [*d] && *d > 0 && self.bias.dims() == weight => Ok(()),
            (_, weight) => candle_core::bail!("layer norm: input {:?}, weight {weight:?}", x.dims()),
        }
    }

    fn forward(&self, source: Source) -> Vec<f32> {
        let (weight, bias) = (self.weight.values(), self.bias.values());
        let (weight, bias) = (weight.as_slice(), bias.as_slice());
        let n = weight.len();
        in_chunks(source.len(), n * ROWS, |start, y| {
            vectorised(|| {
                for (i, y) in y.chunks_exact_mut(n).enumerate() {
                    source.row(start + i * n, y);
                    let (mean, scale) = moments(y, self.eps);
                    for ((y, &w), &b) in y.iter_mut().zip(weight).zip(bias) {
                        *y = (*y - mean) * scale * w + b;
                    }
                }
            });
        })
    }

    /// Returns the gradient of the normalised input. The gradients of weight and bias are added to theirs.
    fn backward(&self, source: Source, g: &[f32]) -> Vec<f32> {
        let mut dz = vec![0f32; g.len()];
        let sums: Vec<Vec<f32>> = {
            let weight = self.weight.values();
            let weight = weight.as_slice();
            let n = weight.len();
            let blocks = dz.par_chunks_mut(n * ROWS).zip(g.par_chunks(n * ROWS)).enumerate();
            let gradient =
                |(block, (dz, g))| vectorised(|| block_gradient(source, block * ROWS * n, dz, weight, g, self.eps));
            blocks.map(gradient).collect()
        };
        for (weight, part) in [(&self.weight, 0), (&self.bias, 1)] {
            weight.accumulate(|total, add| {
                if !add {
                    total.fill(0.0);
                }
                for block in &sums {
                    let n = total.len();
                    for (total, share) in total.iter_mut().zip(&block[part * n..(part + 1) * n]) {
                        *total += share;
                    }
                }
            });
        }
        dz
    }
}

/// Computes dz for some rows; `start` is the first element of the first row. Returns their share of dw, then of
/// db.
#[inline(always)]
fn block_gradient(source: Source, start: usize, dz: &mut [f32], weight: &[f32], g: &[f32], eps: f32) -> Vec<f32> {
    let n = weight.len();
    let mut sums = vec![0f32; 2 * n];
    let (dw, db) = sums.split_at_mut(n);
    let mut normal = vec![0f32; n];
    let mut scaled = vec![0f32; n];
    for (row, (dz, g)) in dz.chunks_exact_mut(n).zip(g.chunks_exact(n)).enumerate() {
        source.row(start + row * n, &mut normal);
        let (mean, scale) = moments(&normal, eps);
        for i in 0..n {
            normal[i] = (normal[i] - mean) * scale;
            scaled[i] = g[i] * weight[i];
            dw[i] += g[i] * normal[i];
            db[i] += g[i];
        }
        let mean_scaled = lane_sum(&scaled, |v| v) / n as f32;
        for i in 0..n {
            dz[i] = scaled[i] * normal[i];
        }
        let mean_product = lane_sum(dz, |v| v) / n as f32;
        for i in 0..n {
            dz[i] = scale * (scaled[i] - mean_scaled - normal[i] * mean_product);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradient_check::{Input, check, random};

    fn norm(weight: &Input, bias: &Input, eps: f32) -> NormWeights {
        Norm { weight: weight.weight.clone(), bias: bias.weight.clone(), eps }
    }

    #[test]
    fn gradients_match_finite_differences() {
        // More rows than one block, and a width that is not a multiple of the lanes.
        let inputs = [random(&[ROWS + 3, 19], 1), random(&[19], 2), random(&[19], 3)];
        check(&inputs, |tape, t| layer_norm(tape, &t[0].tensor, norm(&t[1], &t[2], 1e-5)));
        let inputs = [random(&[3, 19], 1), random(&[3, 19], 4), random(&[19], 2), random(&[19], 3)];
        for mask in [None, Some(Dropout { rate: 0.3, seed: 5, first: 0 })] {
            check(&inputs, |tape, t| residual_norm(tape, &t[0].tensor, mask, &t[1].tensor, norm(&t[2], &t[3], 1e-5)));
        }
    }

    #[test]
    fn rows_are_normalised() {
        let tape = &mut Tape::silent();
        let x = tensor(vec![1.0, 3.0, -5.0, 5.0], (2, 2)).unwrap();
        let one = Arc::new(KernelWeight::new(&tensor(vec![1.0, 1.0], 2).unwrap(), None).unwrap());
        let norm = Norm { weight: one.clone(), bias: one, eps: 0.0 };
        let y = layer_norm(tape, &x, norm.clone()).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(y, [[0.0, 2.0], [0.0, 2.0]]);
        let half = (&x * 0.5).unwrap();
        assert_eq!(residual_norm(tape, &half, None, &half, norm).unwrap().to_vec2::<f32>().unwrap(), y);
    }
}
