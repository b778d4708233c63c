//! Exact GELU: `x·Φ(x)`, where Φ is the normal distribution function (Hendrycks & Gimpel 2016).

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;
use shared::exp::exp_nonpositive;

use super::values;
use super::vectors::vectorised;

const CHUNK: usize = 8192;

/// Applies GELU to every element.
///
/// # Errors
/// When the tensor is not contiguous f32 on the CPU.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    x.apply_op1(Gelu)
}

struct Gelu;
struct GeluGradient;

/// Returns Φ(x), with the rational approximation 7.1.26 of Abramowitz & Stegun; its error is at most 1.5·10⁻⁷. `e`
/// is exp(−x²/2), which the gradient also needs.
#[inline(always)]
fn normal_distribution(x: f32, e: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let series = t * (0.254_829_6 + t * (-0.284_496_74 + t * (1.421_413_7 + t * (-1.453_152 + t * 1.061_405_4))));
    let tail = 0.5 * series * e;
    if x < 0.0 { tail } else { 1.0 - tail }
}

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values(storage, layout)?;
        let mut y = vec![0f32; x.len()];
        y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| {
            vectorised(|| {
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = x * normal_distribution(x, exp_nonpositive(-0.5 * x * x));
                }
            });
        });
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(x.apply_op2_no_bwd(&gradient.contiguous()?, &GeluGradient)?))
    }
}

impl CustomOp2 for GeluGradient {
    fn name(&self) -> &'static str {
        "gelu-gradient"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        // 1/√(2π), the normal density at 0.
        const DENSITY: f32 = 0.398_942_3;
        let (x, g) = (values(s1, l1)?, values(s2, l2)?);
        let mut dx = vec![0f32; x.len()];
        dx.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).zip(g.par_chunks(CHUNK)).for_each(|((dx, x), g)| {
            vectorised(|| {
                for ((dx, &x), &g) in dx.iter_mut().zip(x).zip(g) {
                    let e = exp_nonpositive(-0.5 * x * x);
                    *dx = g * (normal_distribution(x, e) + x * DENSITY * e);
                }
            });
        });
        Ok((CpuStorage::F32(dx), l1.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::kernels::gradient_check::{check, random};

    #[test]
    fn gradients_match_finite_differences() {
        check(&[random(&[7, 5], 1)], |t| gelu(t[0].values()));
        // The variant with the hyperbolic tangent is candle's.
        check(&[random(&[7, 5], 1)], |t| t[0].values().gelu());
    }

    #[test]
    fn values_match_tables() {
        let x = Tensor::new(&[-20f32, -1.0, 0.0, 1.0, 2.0, 20.0], &candle_core::Device::Cpu).unwrap();
        let y = gelu(&x).unwrap().to_vec1::<f32>().unwrap();
        // Φ(1) = 0.8413447461, Φ(2) = 0.9772498681.
        for (found, expected) in y.iter().zip([0.0, -0.158_655_26, 0.0, 0.841_344_7, 1.954_499_7, 20.0]) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
    }
}
