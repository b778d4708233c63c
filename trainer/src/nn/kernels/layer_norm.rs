//! Layer normalisation over the last dimension (Ba et al. 2016): `LN(z) = (z − mean) / sqrt(variance + eps) · w +
//! b`, with the population variance.
//!
//! There is also `LN(residual + dropout(x))` in one pass, which transformers compute around each block.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Device, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::dropout::Dropout;
use super::vectors::{lane_sum, vectorised};
use super::weight::Weight;
use super::{ROWS, of_cpu, values};

/// Weight and bias of a layer norm. Their size is that of the normalised dimension.
#[derive(Clone)]
pub struct Norm {
    /// Scale, `[d]`.
    pub weight: Weight,
    /// Shift, `[d]`.
    pub bias: Weight,
    /// Added to the variance.
    pub eps: f32,
}

/// Normalises the last dimension of `x`.
///
/// # Errors
/// When shapes do not fit or a tensor is not contiguous f32 on the CPU.
pub fn layer_norm(x: &Tensor, norm: &Norm) -> Result<Tensor> {
    norm.check(x)?;
    x.apply_op1(LayerNorm(norm.clone()))
}

/// Computes `LN(residual + dropout(x))`, or `LN(residual + x)` without a mask.
///
/// # Errors
/// When shapes do not fit or a tensor is not contiguous f32 on the CPU.
pub fn residual_norm(x: &Tensor, mask: Option<Dropout>, residual: &Tensor, norm: &Norm) -> Result<Tensor> {
    norm.check(x)?;
    if x.dims() != residual.dims() {
        candle_core::bail!("residual: input {:?}, residual {:?}", x.dims(), residual.dims());
    }
    x.apply_op2(residual, ResidualNorm { norm: norm.clone(), mask })
}

struct LayerNorm(Norm);

struct ResidualNorm {
    norm: Norm,
    mask: Option<Dropout>,
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

impl Norm {
    fn check(&self, x: &Tensor) -> Result<()> {
        let (weight, bias) = (self.weight.values(), self.bias.values());
        if x.dims().last() != weight.dims().first() || weight.dims() != bias.dims() || weight.rank() != 1 {
            candle_core::bail!("layer norm: input {:?}, weight {:?}, bias {:?}", x.dims(), weight.dims(), bias.dims());
        }
        Ok(())
    }

    fn forward(&self, source: Source) -> Result<Vec<f32>> {
        let mut y = vec![0f32; source.len()];
        of_cpu(self.weight.values(), |weight| {
            of_cpu(self.bias.values(), |bias| {
                let n = weight.len();
                y.par_chunks_mut(n * ROWS).enumerate().for_each(|(block, y)| {
                    vectorised(|| {
                        for (i, y) in y.chunks_exact_mut(n).enumerate() {
                            source.row((block * ROWS + i) * n, y);
                            let (mean, scale) = moments(y, self.eps);
                            for ((y, &w), &b) in y.iter_mut().zip(weight).zip(bias) {
                                *y = (*y - mean) * scale * w + b;
                            }
                        }
                    });
                });
            })
        })??;
        Ok(y)
    }

    /// Returns the gradient of the normalised input. The gradients of weight and bias are added to theirs.
    fn backward(&self, source: Source, g: &[f32]) -> Result<Vec<f32>> {
        let mut dz = vec![0f32; g.len()];
        let sums: Vec<Vec<f32>> = of_cpu(self.weight.values(), |weight| {
            let n = weight.len();
            let blocks = dz.par_chunks_mut(n * ROWS).zip(g.par_chunks(n * ROWS)).enumerate();
            let gradient =
                |(block, (dz, g))| vectorised(|| block_gradient(source, block * ROWS * n, dz, weight, g, self.eps));
            blocks.map(gradient).collect()
        })?;
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
        Ok(dz)
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

impl CustomOp1 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = self.0.forward(Source::Plain(values(storage, layout)?))?;
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let dx = of_cpu(&gradient.contiguous()?, |g| of_cpu(x, |x| self.0.backward(Source::Plain(x), g)))???;
        Ok(Some(Tensor::from_vec(dx, x.shape(), &Device::Cpu)?))
    }
}

impl CustomOp2 for ResidualNorm {
    fn name(&self) -> &'static str {
        "residual-norm"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let source = Source::Sum { x: values(s1, l1)?, mask: self.mask, residual: values(s2, l2)? };
        Ok((CpuStorage::F32(self.norm.forward(source)?), l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        residual: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dz = of_cpu(&gradient.contiguous()?, |g| {
            of_cpu(x, |x| {
                of_cpu(residual, |residual| self.norm.backward(Source::Sum { x, mask: self.mask, residual }, g))
            })
        })????;
        let dz = Tensor::from_vec(dz, x.shape(), &Device::Cpu)?;
        let dx = match &self.mask {
            Some(mask) => dz.apply_op1_no_bwd(mask)?,
            None => dz.clone(),
        };
        Ok((Some(dx), Some(dz)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::kernels::gradient_check::{check, random};

    fn norm(weight: &Weight, bias: &Weight, eps: f32) -> Norm {
        Norm { weight: weight.clone(), bias: bias.clone(), eps }
    }

    #[test]
    fn gradients_match_finite_differences() {
        // More rows than one block, and a width that is not a multiple of the lanes.
        let inputs = [random(&[ROWS + 3, 19], 1), random(&[19], 2), random(&[19], 3)];
        check(&inputs, |t| layer_norm(t[0].values(), &norm(&t[1], &t[2], 1e-5)));
        let inputs = [random(&[3, 19], 1), random(&[3, 19], 4), random(&[19], 2), random(&[19], 3)];
        for mask in [None, Some(Dropout { rate: 0.3, seed: 5 })] {
            check(&inputs, |t| residual_norm(t[0].values(), mask, t[1].values(), &norm(&t[2], &t[3], 1e-5)));
        }
    }

    #[test]
    fn rows_are_normalised() {
        let x = Tensor::new(&[[1f32, 3.0], [-5.0, 5.0]], &Device::Cpu).unwrap();
        let one = Weight::frozen(Tensor::new(&[1f32, 1.0], &Device::Cpu).unwrap());
        let y = layer_norm(&x, &norm(&one, &one, 0.0)).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(y, [[0.0, 2.0], [0.0, 2.0]]);
        let half = (&x * 0.5).unwrap();
        assert_eq!(residual_norm(&half, None, &half, &norm(&one, &one, 0.0)).unwrap().to_vec2::<f32>().unwrap(), y);
    }
}
