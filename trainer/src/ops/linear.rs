//! Fully connected layer: `y = x·Wᵀ + b` with x `[.., k]`, W `[n, k]`, b `[n]`.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

use super::matrix::{Matrix, Target, multiply};
use super::values;

/// Applies a linear layer to the last dimension of `x`.
///
/// # Errors
/// When shapes do not fit or a tensor is not contiguous f32 on the CPU.
pub fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let (n, k) = weight.dims2()?;
    if x.dims().last() != Some(&k) || bias.dims() != [n] {
        candle_core::bail!("linear: input {:?}, weight [{n}, {k}], bias {:?}", x.dims(), bias.dims());
    }
    x.apply_op3(weight, bias, Linear)
}

struct Linear;

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
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
        let (n, k) = l2.shape().dims2()?;
        let m = x.len() / k;
        let mut y = bias.repeat(m);
        let target = Target { data: &mut y, row_stride: n, add: true };
        multiply(target, 1.0, Matrix::new(x, m, k), Matrix::new(weight, n, k).transposed(), true);
        let mut dims = l1.dims().to_vec();
        if let Some(last) = dims.last_mut() {
            *last = n;
        }
        Ok((CpuStorage::F32(y), Shape::from(dims)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (n, k) = weight.dims2()?;
        let gradient = gradient.contiguous()?;
        // The input of the first layer over frozen embeddings needs no gradient.
        let of_x = if x.track_op() {
            Some(gradient.apply_op2_no_bwd(weight, &InputGradient)?.reshape(x.shape())?)
        } else {
            None
        };
        let packed = gradient.apply_op2_no_bwd(x, &ParameterGradient)?;
        let of_weight = packed.narrow(0, 0, n * k)?.reshape((n, k))?;
        let of_bias = packed.narrow(0, n * k, n)?.reshape(bias.shape())?;
        Ok((of_x, Some(of_weight), Some(of_bias)))
    }
}

/// dx = g·W
struct InputGradient;

impl CustomOp2 for InputGradient {
    fn name(&self) -> &'static str {
        "linear-input-gradient"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let (g, weight) = (values(s1, l1)?, values(s2, l2)?);
        let (n, k) = l2.shape().dims2()?;
        let m = g.len() / n;
        let mut dx = vec![0f32; m * k];
        let target = Target { data: &mut dx, row_stride: k, add: false };
        multiply(target, 1.0, Matrix::new(g, m, n), Matrix::new(weight, n, k), true);
        Ok((CpuStorage::F32(dx), Shape::from((m, k))))
    }
}

/// dW = gᵀ·x, then db = Σ rows of g, in one tensor.
struct ParameterGradient;

impl CustomOp2 for ParameterGradient {
    fn name(&self) -> &'static str {
        "linear-parameter-gradient"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let (g, x) = (values(s1, l1)?, values(s2, l2)?);
        let (n, k) = (super::last_dim(l1), super::last_dim(l2));
        let m = g.len() / n;
        let mut out = vec![0f32; n * k + n];
        let (of_weight, of_bias) = out.split_at_mut(n * k);
        let target = Target { data: of_weight, row_stride: k, add: false };
        multiply(target, 1.0, Matrix::new(g, m, n).transposed(), Matrix::new(x, m, k), true);
        for row in g.chunks_exact(n) {
            for (sum, &value) in of_bias.iter_mut().zip(row) {
                *sum += value;
            }
        }
        Ok((CpuStorage::F32(out), Shape::from(n * k + n)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::gradient_check::{check, random};

    #[test]
    fn gradients_match_finite_differences() {
        let inputs = [random(&[5, 3], 1), random(&[4, 3], 2), random(&[4], 3)];
        check(&inputs, |t| linear(&t[0], &t[1], &t[2]));
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        assert!(linear(&random(&[5, 2], 1), &random(&[4, 3], 2), &random(&[4], 3)).is_err());
        assert!(linear(&random(&[5, 3], 1), &random(&[4, 3], 2), &random(&[3], 3)).is_err());
    }
}
