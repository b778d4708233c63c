//! Layer normalisation over the last dimension:
//! `y = (x − mean) / sqrt(variance + eps) · w + b` (Ba et al. 2016), population variance.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{ROWS, values};

/// Normalises the last dimension of `x`; `weight` and `bias` have its width.
///
/// # Errors
/// When shapes do not fit or a tensor is not contiguous f32 on the CPU.
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f32) -> Result<Tensor> {
    if x.dims().last() != weight.dims().first() || weight.dims() != bias.dims() || weight.rank() != 1 {
        candle_core::bail!("layer norm: input {:?}, weight {:?}, bias {:?}", x.dims(), weight.dims(), bias.dims());
    }
    x.apply_op3(weight, bias, LayerNorm { eps })
}

struct LayerNorm {
    eps: f32,
}

struct LayerNormGradient {
    eps: f32,
}

/// Sum of `f` over a row, in sixteen lanes.
fn lane_sum(row: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = row.as_chunks::<16>();
    let mut lanes = [0f32; 16];
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += f(value);
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|&v| f(v)).sum::<f32>()
}

/// Mean and reciprocal standard deviation of a row.
fn moments(row: &[f32], eps: f32) -> (f32, f32) {
    let n = row.len() as f32;
    let mean = lane_sum(row, |v| v) / n;
    let variance = lane_sum(row, |v| (v - mean) * (v - mean)) / n;
    (mean, 1.0 / (variance + eps).sqrt())
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight, bias) = (values(s1, l1)?, values(s2, l2)?, values(s3, l3)?);
        let n = weight.len();
        let mut y = vec![0f32; x.len()];
        y.par_chunks_mut(n * ROWS).zip(x.par_chunks(n * ROWS)).for_each(|(y, x)| {
            for (y, x) in y.chunks_exact_mut(n).zip(x.chunks_exact(n)) {
                let (mean, scale) = moments(x, self.eps);
                for (((y, &x), &w), &b) in y.iter_mut().zip(x).zip(weight).zip(bias) {
                    *y = (x - mean) * scale * w + b;
                }
            }
        });
        Ok((CpuStorage::F32(y), l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let packed = x.apply_op3_no_bwd(weight, &gradient.contiguous()?, &LayerNormGradient { eps: self.eps })?;
        let rows = x.elem_count() / weight.elem_count();
        Ok((
            Some(packed.narrow(0, 0, rows)?.reshape(x.shape())?),
            Some(packed.narrow(0, rows, 1)?.reshape(weight.shape())?),
            Some(packed.narrow(0, rows + 1, 1)?.reshape(bias.shape())?),
        ))
    }
}

impl CustomOp3 for LayerNormGradient {
    fn name(&self) -> &'static str {
        "layer-norm-gradient"
    }

    /// dx in the first rows, then dw, then db.
    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight, g) = (values(s1, l1)?, values(s2, l2)?, values(s3, l3)?);
        let n = weight.len();
        let rows = x.len() / n;
        let mut out = vec![0f32; (rows + 2) * n];
        let (dx, of_parameters) = out.split_at_mut(rows * n);
        let blocks = dx.par_chunks_mut(n * ROWS).zip(x.par_chunks(n * ROWS)).zip(g.par_chunks(n * ROWS));
        let sums: Vec<Vec<f32>> = blocks.map(|((dx, x), g)| block_gradient(dx, x, weight, g, self.eps)).collect();
        for block in sums {
            for (total, part) in of_parameters.iter_mut().zip(block) {
                *total += part;
            }
        }
        Ok((CpuStorage::F32(out), Shape::from((rows + 2, n))))
    }
}

/// Fills dx for some rows; returns their share of dw, then of db.
fn block_gradient(dx: &mut [f32], x: &[f32], weight: &[f32], g: &[f32], eps: f32) -> Vec<f32> {
    let n = weight.len();
    let mut sums = vec![0f32; 2 * n];
    let (dw, db) = sums.split_at_mut(n);
    let mut normal = vec![0f32; n];
    let mut scaled = vec![0f32; n];
    for ((dx, x), g) in dx.chunks_exact_mut(n).zip(x.chunks_exact(n)).zip(g.chunks_exact(n)) {
        let (mean, scale) = moments(x, eps);
        for i in 0..n {
            normal[i] = (x[i] - mean) * scale;
            scaled[i] = g[i] * weight[i];
            dw[i] += g[i] * normal[i];
            db[i] += g[i];
        }
        let mean_scaled = lane_sum(&scaled, |v| v) / n as f32;
        for i in 0..n {
            dx[i] = scaled[i] * normal[i];
        }
        let mean_product = lane_sum(dx, |v| v) / n as f32;
        for i in 0..n {
            dx[i] = scale * (scaled[i] - mean_scaled - normal[i] * mean_product);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::gradient_check::{check, random};

    #[test]
    fn gradients_match_finite_differences() {
        // More rows than one block, and a width that is no multiple of the lanes.
        let inputs = [random(&[ROWS + 3, 19], 1), random(&[19], 2), random(&[19], 3)];
        check(&inputs, |t| layer_norm(&t[0], &t[1], &t[2], 1e-5));
    }

    #[test]
    fn rows_are_normalised() {
        let x = Tensor::new(&[[1f32, 3.0], [-5.0, 5.0]], &candle_core::Device::Cpu).unwrap();
        let one = Tensor::new(&[1f32, 1.0], x.device()).unwrap();
        let y = layer_norm(&x, &one, &one, 0.0).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(y, [[0.0, 2.0], [0.0, 2.0]]);
    }
}
