//! Dropout with a mask that depends only on a seed and the position. It is reproducible for any number of threads
//! and is never stored.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::values;
use super::vectors::vectorised;

const CHUNK: usize = 8192;

/// One dropout mask.
#[derive(Debug, Clone, Copy)]
pub struct Dropout {
    /// Probability that an element becomes 0. The others are divided by 1 − rate.
    pub rate: f32,
    /// Seed of the mask.
    pub seed: u64,
}

impl Dropout {
    /// Returns the factor for the element at this position: 0 or 1 / (1 − rate).
    #[inline(always)]
    pub(crate) fn factor(&self, position: u32) -> f32 {
        // MurmurHash3's finaliser, twice, each time with one half of the seed. Its 32-bit operations can be
        // vectorised.
        let mut h = position ^ self.seed as u32;
        for salt in [(self.seed >> 32) as u32, 0x9e37_79b9] {
            h = (h ^ (h >> 16)).wrapping_mul(0x85eb_ca6b);
            h = (h ^ (h >> 13)).wrapping_mul(0xc2b2_ae35);
            h = (h ^ (h >> 16)).wrapping_add(salt);
        }
        // The upper 24 bits as a number in 0..1.
        let uniform = (h >> 8) as f32 * (1.0 / 16_777_216.0);
        if uniform < self.rate { 0.0 } else { 1.0 / (1.0 - self.rate) }
    }
}

/// Applies a dropout mask. Without a mask (in evaluation) the tensor is unchanged.
///
/// # Errors
/// When the tensor is not contiguous f32 on the CPU.
pub fn dropout(x: &Tensor, mask: Option<Dropout>) -> Result<Tensor> {
    match mask {
        Some(mask) => x.apply_op1(mask),
        None => Ok(x.clone()),
    }
}

impl CustomOp1 for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values(storage, layout)?;
        let mut y = vec![0f32; x.len()];
        y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).enumerate().for_each(|(chunk, (y, x))| {
            let first = (chunk * CHUNK) as u32;
            vectorised(|| {
                for ((y, &x), i) in y.iter_mut().zip(x).zip(0u32..) {
                    *y = x * self.factor(first.wrapping_add(i));
                }
            });
        });
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, _x: &Tensor, _result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(gradient.contiguous()?.apply_op1_no_bwd(self)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::kernels::gradient_check::{check, random};

    #[test]
    fn gradients_match_finite_differences() {
        check(&[random(&[6, 4], 1)], |t| dropout(t[0].values(), Some(Dropout { rate: 0.3, seed: 5 })));
    }

    #[test]
    fn the_rate_is_kept_and_masks_differ() {
        let ones = Tensor::ones(100_000, candle_core::DType::F32, &candle_core::Device::Cpu).unwrap();
        let mask = |seed| dropout(&ones, Some(Dropout { rate: 0.2, seed })).unwrap().to_vec1::<f32>().unwrap();
        let (a, b) = (mask(1), mask(2));
        let dropped = |m: &[f32]| m.iter().filter(|&&v| v == 0.0).count();
        // 20,000 are expected; four standard deviations are 506.
        assert!(dropped(&a).abs_diff(20_000) < 506, "{}", dropped(&a));
        assert!(a.iter().all(|&v| v == 0.0 || v == 1.25));
        let both = a.iter().zip(&b).filter(|&(&x, &y)| x == 0.0 && y == 0.0).count();
        assert!(both.abs_diff(4_000) < 250, "masks of two seeds are independent: {both}");
        let neighbours = a.windows(2).filter(|w| w[0] == 0.0 && w[1] == 0.0).count();
        assert!(neighbours.abs_diff(4_000) < 250, "neighbours are independent: {neighbours}");
    }

    #[test]
    fn evaluation_changes_nothing() {
        let x = random(&[3], 1);
        assert_eq!(dropout(&x, None).unwrap().to_vec1::<f32>().unwrap(), x.to_vec1::<f32>().unwrap());
    }
}
