//! Rectifier and dropout in one pass: `dropout(max(x, 0))`.

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::dropout::Dropout;
use super::vectors::vectorised;
use super::{of_cpu, values};

const CHUNK: usize = 8192;

/// Applies the rectifier and, with a mask, dropout.
///
/// # Errors
/// When the tensor is not contiguous f32 on the CPU.
pub fn relu(x: &Tensor, mask: Option<Dropout>) -> Result<Tensor> {
    x.apply_op1(Relu { mask })
}

struct Relu {
    mask: Option<Dropout>,
}

impl Relu {
    /// Returns `from`, multiplied by the mask, where x is above 0, and else 0. NaN in x also passes: it must reach
    /// the loss.
    fn pass(&self, x: &[f32], from: &[f32]) -> Vec<f32> {
        let mut out = vec![0f32; x.len()];
        let chunks = out.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).zip(from.par_chunks(CHUNK));
        chunks.enumerate().for_each(|(chunk, ((out, x), from))| {
            let first = (chunk * CHUNK) as u32;
            vectorised(|| match self.mask {
                Some(mask) => {
                    for (((out, &x), &from), i) in out.iter_mut().zip(x).zip(from).zip(0u32..) {
                        let factor = mask.factor(first.wrapping_add(i));
                        *out = if x <= 0.0 { 0.0 } else { from * factor };
                    }
                }
                None => {
                    for ((out, &x), &from) in out.iter_mut().zip(x).zip(from) {
                        *out = if x <= 0.0 { 0.0 } else { from };
                    }
                }
            });
        });
        out
    }
}

impl CustomOp1 for Relu {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values(storage, layout)?;
        Ok((CpuStorage::F32(self.pass(x, x)), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let dx = of_cpu(&gradient.contiguous()?, |g| of_cpu(x, |x| self.pass(x, g)))??;
        Ok(Some(Tensor::from_vec(dx, x.shape(), &Device::Cpu)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::kernels::dropout;
    use crate::nn::kernels::gradient_check::{check, random};

    #[test]
    fn gradients_match_finite_differences() {
        // Stay away from the kink at 0, where finite differences are wrong.
        let x = random(&[6, 5], 1);
        let x = (x.sign().unwrap() * 0.1).unwrap().add(&x).unwrap();
        for mask in [None, Some(Dropout { rate: 0.3, seed: 5 })] {
            check(std::slice::from_ref(&x), |t| relu(t[0].values(), mask));
        }
    }

    #[test]
    fn it_is_dropout_of_the_rectifier() {
        let (x, mask) = (random(&[7, 9], 2), Some(Dropout { rate: 0.3, seed: 5 }));
        let values = |t: Tensor| t.to_vec2::<f32>().unwrap();
        assert_eq!(values(relu(&x, mask).unwrap()), values(dropout(&x.relu().unwrap(), mask).unwrap()));
        // NaN must reach the loss, which then stops the training.
        let nan = Tensor::new(&[f32::NAN], &Device::Cpu).unwrap();
        assert!(relu(&nan, None).unwrap().to_vec1::<f32>().unwrap()[0].is_nan());
    }
}
