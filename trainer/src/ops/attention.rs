//! Multi-head self-attention inside each sentence of a packed batch.
//!
//! Sentences lie one after the other without padding, so nothing is computed for padding and no mask
//! is needed. Per sentence and head: `P = softmax(Q·Kᵀ/√d)`, `out = dropout(P)·V` (Vaswani et al.
//! 2017, eq. 1). The backward pass computes P again instead of keeping it.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;
use shared::exp::exp_nonpositive;

use super::dropout::Dropout;
use super::matrix::{Matrix, Target, multiply};
use super::values;

/// Number of rows of each sentence of a packed batch.
pub type SentenceLengths = Arc<[usize]>;

/// Attention over q, k, v, each `[rows, heads · d]`; the rows of all sentences add up to `rows`.
///
/// # Errors
/// When shapes do not fit or a tensor is not contiguous f32 on the CPU.
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    heads: usize,
    lengths: &SentenceLengths,
    mask: Option<Dropout>,
) -> Result<Tensor> {
    let (rows, width) = q.dims2()?;
    if k.dims() != q.dims() || v.dims() != q.dims() || width % heads != 0 || lengths.iter().sum::<usize>() != rows {
        candle_core::bail!("attention: q {:?}, k {:?}, v {:?}, {heads} heads", q.dims(), k.dims(), v.dims());
    }
    q.apply_op3(k, v, Attention { heads, lengths: lengths.clone(), mask })
}

#[derive(Clone)]
struct Attention {
    heads: usize,
    lengths: SentenceLengths,
    mask: Option<Dropout>,
}

/// The rows of one sentence in q, k and v.
struct SentenceRows<'a> {
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    /// Position of its first probability among those of the batch, for the dropout mask.
    first_probability: usize,
    length: usize,
}

impl Attention {
    fn sentences<'a>(&self, q: &'a [f32], k: &'a [f32], v: &'a [f32], width: usize) -> Vec<SentenceRows<'a>> {
        let (mut row, mut first_probability) = (0, 0);
        self.lengths
            .iter()
            .map(|&length| {
                let range = row * width..(row + length) * width;
                let sentence = SentenceRows {
                    q: &q[range.clone()],
                    k: &k[range.clone()],
                    v: &v[range],
                    first_probability,
                    length,
                };
                row += length;
                first_probability += length * length * self.heads;
                sentence
            })
            .collect()
    }

    /// Fills `p` with softmax(Q·Kᵀ/√d) of one head.
    fn probabilities(&self, s: &SentenceRows, width: usize, head: usize, p: &mut [f32]) {
        let d = width / self.heads;
        let (n, at) = (s.length, head * d);
        let target = Target { data: p, row_stride: n, add: false };
        let scale = 1.0 / (d as f32).sqrt();
        let (q, k) = (Matrix::strided(&s.q[at..], n, d, width), Matrix::strided(&s.k[at..], n, d, width));
        multiply(target, scale, q, k.transposed(), false);
        for row in p.chunks_exact_mut(n) {
            let highest = row.iter().fold(f32::NEG_INFINITY, |m, &z| if z > m { z } else { m });
            let mut sum = 0f32;
            for z in row.iter_mut() {
                *z = exp_nonpositive(*z - highest);
                sum += *z;
            }
            let factor = 1.0 / sum;
            row.iter_mut().for_each(|z| *z *= factor);
        }
    }

    /// Multiplies with the dropout mask of one head.
    fn drop(&self, s: &SentenceRows, head: usize, values: &mut [f32]) {
        if let Some(mask) = self.mask {
            let first = (s.first_probability + head * s.length * s.length) as u32;
            for (value, i) in values.iter_mut().zip(0u32..) {
                *value *= mask.factor(first.wrapping_add(i));
            }
        }
    }

    fn forward(&self, s: &SentenceRows, width: usize, out: &mut [f32]) {
        let (d, n) = (width / self.heads, s.length);
        let mut p = vec![0f32; n * n];
        for head in 0..self.heads {
            let at = head * d;
            self.probabilities(s, width, head, &mut p);
            self.drop(s, head, &mut p);
            let target = Target { data: &mut out[at..], row_stride: width, add: false };
            multiply(target, 1.0, Matrix::new(&p, n, n), Matrix::strided(&s.v[at..], n, d, width), false);
        }
    }

    /// Gradients of q, k and v for one sentence, one after the other.
    fn backward(&self, s: &SentenceRows, width: usize, g: &[f32]) -> Vec<f32> {
        let (d, n) = (width / self.heads, s.length);
        let scale = 1.0 / (d as f32).sqrt();
        let mut gradients = vec![0f32; 3 * n * width];
        let (dq, rest) = gradients.split_at_mut(n * width);
        let (dk, dv) = rest.split_at_mut(n * width);
        let mut p = vec![0f32; n * n];
        let mut dropped = vec![0f32; n * n];
        let mut dp = vec![0f32; n * n];
        for head in 0..self.heads {
            let at = head * d;
            self.probabilities(s, width, head, &mut p);
            dropped.copy_from_slice(&p);
            self.drop(s, head, &mut dropped);
            let g = Matrix::strided(&g[at..], n, d, width);
            let target = Target { data: &mut dv[at..], row_stride: width, add: false };
            multiply(target, 1.0, Matrix::new(&dropped, n, n).transposed(), g, false);
            let target = Target { data: &mut dp, row_stride: n, add: false };
            multiply(target, 1.0, g, Matrix::strided(&s.v[at..], n, d, width).transposed(), false);
            self.drop(s, head, &mut dp);
            for (dp, p) in dp.chunks_exact_mut(n).zip(p.chunks_exact(n)) {
                let dot: f32 = dp.iter().zip(p).map(|(a, b)| a * b).sum();
                for (dp, &p) in dp.iter_mut().zip(p) {
                    *dp = p * (*dp - dot);
                }
            }
            let target = Target { data: &mut dq[at..], row_stride: width, add: false };
            multiply(target, scale, Matrix::new(&dp, n, n), Matrix::strided(&s.k[at..], n, d, width), false);
            let target = Target { data: &mut dk[at..], row_stride: width, add: false };
            let q = Matrix::strided(&s.q[at..], n, d, width);
            multiply(target, scale, Matrix::new(&dp, n, n).transposed(), q, false);
        }
        gradients
    }
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
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
        let (q, k, v) = (values(s1, l1)?, values(s2, l2)?, values(s3, l3)?);
        let width = super::last_dim(l1);
        let mut out = vec![0f32; q.len()];
        let mut rest = out.as_mut_slice();
        let mut parts = Vec::with_capacity(self.lengths.len());
        for sentence in self.sentences(q, k, v, width) {
            let (part, after) = rest.split_at_mut(sentence.length * width);
            parts.push((sentence, part));
            rest = after;
        }
        parts.into_par_iter().for_each(|(sentence, part)| self.forward(&sentence, width, part));
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let op = AttentionGradient { attention: self.clone(), gradient };
        let packed = q.apply_op3_no_bwd(k, v, &op)?;
        let part = |i| packed.narrow(0, i, 1)?.reshape(q.shape());
        Ok((Some(part(0)?), Some(part(1)?), Some(part(2)?)))
    }
}

struct AttentionGradient {
    attention: Attention,
    gradient: Tensor,
}

impl CustomOp3 for AttentionGradient {
    fn name(&self) -> &'static str {
        "attention-gradient"
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
        let (q, k, v) = (values(s1, l1)?, values(s2, l2)?, values(s3, l3)?);
        let width = super::last_dim(l1);
        let (storage, layout) = self.gradient.storage_and_layout();
        let candle_core::Storage::Cpu(storage) = &*storage else {
            candle_core::bail!("attention: the gradient is not on the CPU")
        };
        let g = values(storage, layout)?;
        let mut starts = Vec::with_capacity(self.attention.lengths.len());
        let mut row = 0;
        for &length in self.attention.lengths.iter() {
            starts.push(row * width);
            row += length;
        }
        let sentences = self.attention.sentences(q, k, v, width);
        let parts: Vec<Vec<f32>> = sentences
            .par_iter()
            .zip(&starts)
            .map(|(s, &start)| self.attention.backward(s, width, &g[start..start + s.length * width]))
            .collect();
        let mut out = Vec::with_capacity(3 * q.len());
        for of_input in 0..3 {
            for part in &parts {
                let n = part.len() / 3;
                out.extend_from_slice(&part[of_input * n..(of_input + 1) * n]);
            }
        }
        Ok((CpuStorage::F32(out), Shape::from((3, q.len()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::gradient_check::{check, random};

    fn inputs() -> [Tensor; 3] {
        [random(&[6, 4], 1), random(&[6, 4], 2), random(&[6, 4], 3)]
    }

    #[test]
    fn gradients_match_finite_differences() {
        let lengths: SentenceLengths = [2usize, 1, 3].into();
        check(&inputs(), |t| attention(&t[0], &t[1], &t[2], 2, &lengths, None));
        let mask = Some(Dropout { rate: 0.4, seed: 11 });
        check(&inputs(), |t| attention(&t[0], &t[1], &t[2], 2, &lengths, mask));
    }

    #[test]
    fn sentences_do_not_see_each_other() {
        let [q, k, v] = inputs();
        let run = |q: &Tensor, k: &Tensor, v: &Tensor, lengths: &[usize]| {
            attention(q, k, v, 2, &lengths.into(), None).unwrap().to_vec2::<f32>().unwrap()
        };
        let together = run(&q, &k, &v, &[4, 2]);
        let cut = |t: &Tensor| t.narrow(0, 4, 2).unwrap().contiguous().unwrap();
        assert_eq!(together[4..], run(&cut(&q), &cut(&k), &cut(&v), &[2])[..]);
    }
}
