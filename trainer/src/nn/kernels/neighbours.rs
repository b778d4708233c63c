//! Puts each row of a packed batch beside its neighbours in the same sentence. A convolution of width 3 is then
//! one matrix product.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::attention::SentenceLengths;
use super::values;

/// Returns `[rows, 3·d]` for `[rows, d]`: previous row, own row, next row. Beyond a sentence's ends there are
/// zeros.
///
/// # Errors
/// When the lengths of the sentences do not add up to the number of rows.
pub fn neighbours(x: &Tensor, lengths: &SentenceLengths) -> Result<Tensor> {
    if lengths.iter().sum::<usize>() != x.dims2()?.0 {
        candle_core::bail!("neighbours: sentences do not add up to {:?}", x.dims());
    }
    x.apply_op1(Neighbours { lengths: lengths.clone() })
}

/// Returns the range of a row and its neighbours in its sentence, which has `length` rows and begins at row
/// `first`.
fn around(row: usize, first: usize, length: usize) -> (usize, usize) {
    let from = if row > first { row - 1 } else { row };
    let to = if row + 1 < first + length { row + 2 } else { row + 1 };
    (from, to)
}

struct Neighbours {
    lengths: SentenceLengths,
}

struct NeighboursGradient {
    lengths: SentenceLengths,
}

impl CustomOp1 for Neighbours {
    fn name(&self) -> &'static str {
        "neighbours"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values(storage, layout)?;
        let d = super::last_dim(layout);
        let rows = x.len() / d;
        let mut out = vec![0f32; rows * 3 * d];
        let mut first = 0;
        for &length in self.lengths.iter() {
            for row in first..first + length {
                let out = &mut out[row * 3 * d..(row + 1) * 3 * d];
                let (from, to) = around(row, first, length);
                let at = (from + 1 - row) * d;
                out[at..at + (to - from) * d].copy_from_slice(&x[from * d..to * d]);
            }
            first += length;
        }
        Ok((CpuStorage::F32(out), Shape::from((rows, 3 * d))))
    }

    fn bwd(&self, _x: &Tensor, _result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let op = NeighboursGradient { lengths: self.lengths.clone() };
        Ok(Some(gradient.contiguous()?.apply_op1_no_bwd(&op)?))
    }
}

impl CustomOp1 for NeighboursGradient {
    fn name(&self) -> &'static str {
        "neighbours-gradient"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let g = values(storage, layout)?;
        let d = super::last_dim(layout) / 3;
        let rows = g.len() / (3 * d);
        let mut dx = vec![0f32; rows * d];
        let mut first = 0;
        for &length in self.lengths.iter() {
            for row in first..first + length {
                let (from, to) = around(row, first, length);
                let at = row * 3 * d + (from + 1 - row) * d;
                for (sum, &value) in dx[from * d..to * d].iter_mut().zip(&g[at..]) {
                    *sum += value;
                }
            }
            first += length;
        }
        Ok((CpuStorage::F32(dx), Shape::from((rows, d))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::kernels::gradient_check::{check, random};

    #[test]
    fn rows_stand_beside_their_neighbours() {
        let x = Tensor::new(&[[1f32], [2.0], [3.0], [4.0]], &candle_core::Device::Cpu).unwrap();
        let y = neighbours(&x, &[3usize, 1].into()).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(y, [[0.0, 1.0, 2.0], [1.0, 2.0, 3.0], [2.0, 3.0, 0.0], [0.0, 4.0, 0.0]]);
    }

    #[test]
    fn gradients_match_finite_differences() {
        let lengths: SentenceLengths = [3usize, 0, 1, 2].into();
        check(&[random(&[6, 2], 1)], |t| neighbours(t[0].values(), &lengths));
    }
}
