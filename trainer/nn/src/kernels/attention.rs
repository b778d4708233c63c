//! Multi-head self-attention inside each window of a packed batch.
//!
//! Windows lie one after the other without padding, so nothing is computed for padding and no mask is needed. For
//! each window and head: `P = softmax(Q·Kᵀ/√d)`, `out = dropout(P)·V` (Vaswani et al. 2017, eq. 1). The backward
//! pass computes P again instead of storing it.

use candle_core::{Result, Tensor};
use rayon::prelude::*;
use shared::exp::exp_nonpositive;

use super::matrix::{Matrix, Target, multiply};
use super::vectors::{lane_dot, lane_sum, vectorised};
use super::{tensor, values};
use crate::batch::WindowLengths;
use crate::{Dropout, Tape};

/// Applies attention. `qkv` is `[rows, 3 · heads · d]`, with queries, keys and values beside each other. `lengths`
/// must add up to `rows`. The result is `[rows, heads · d]`.
///
/// # Errors
/// When shapes do not fit or the tensor is not contiguous f32 on the CPU.
pub(super) fn attention(
    tape: &mut Tape,
    qkv: &Tensor,
    heads: usize,
    lengths: &WindowLengths,
    mask: Option<Dropout>,
) -> Result<Tensor> {
    let (rows, columns) = qkv.dims2()?;
    if heads == 0 || columns % (3 * heads) != 0 || lengths.iter().sum::<usize>() != rows {
        candle_core::bail!("attention: queries, keys, values {:?}, {heads} heads", qkv.dims());
    }
    let attention = Attention { heads, width: columns / 3, lengths: lengths.clone(), mask };
    let seen = tensor(attention.forward(&values(qkv)?), (rows, columns / 3))?;
    let input = qkv.clone();
    tape.record(&seen, &[qkv], move |g| {
        let dqkv = attention.backward(&values(&input)?, &values(g)?);
        Ok(vec![tensor(dqkv, input.shape().clone())?])
    });
    Ok(seen)
}

struct Attention {
    heads: usize,
    /// heads · d
    width: usize,
    lengths: WindowLengths,
    mask: Option<Dropout>,
}

/// The rows of one window.
#[derive(Clone, Copy)]
struct Window<'a> {
    qkv: &'a [f32],
    /// Index of its first probability among those of the batch, for the dropout mask.
    first_probability: usize,
    length: usize,
}

/// Positions of queries, keys and values in a row.
const Q: usize = 0;
const K: usize = 1;
const V: usize = 2;

impl Attention {
    fn windows<'a>(&self, qkv: &'a [f32]) -> Vec<Window<'a>> {
        let (mut rest, mut first_probability) = (qkv, 0);
        self.lengths
            .iter()
            .map(|&length| {
                let (qkv, after) = rest.split_at(length * 3 * self.width);
                let window = Window { qkv, first_probability, length };
                rest = after;
                first_probability += length * length * self.heads;
                window
            })
            .collect()
    }

    /// Cuts a slice into one piece per window, `width` elements per row.
    fn pieces<'a>(&self, mut rest: &'a mut [f32], width: usize) -> Vec<&'a mut [f32]> {
        let cut = |&length: &usize| {
            let (piece, after) = std::mem::take(&mut rest).split_at_mut(length * width);
            rest = after;
            piece
        };
        self.lengths.iter().map(cut).collect()
    }

    /// Returns one head's queries, keys or values, `[length, d]`, in `qkv` or in its gradient.
    fn part<'a>(&self, qkv: &'a [f32], length: usize, part: usize, head: usize) -> Matrix<'a> {
        Matrix::strided(&qkv[self.at(part, head)..], length, self.width / self.heads, 3 * self.width)
    }

    /// Returns the first column of a head's queries, keys or values.
    fn at(&self, part: usize, head: usize) -> usize {
        part * self.width + head * (self.width / self.heads)
    }

    /// Fills `p` with softmax(Q·Kᵀ/√d) of one head.
    fn probabilities(&self, w: Window, head: usize, p: &mut [f32]) {
        let n = w.length;
        let scale = 1.0 / ((self.width / self.heads) as f32).sqrt();
        let (q, k) = (self.part(w.qkv, n, Q, head), self.part(w.qkv, n, K, head));
        multiply(Target { data: p, row_stride: n, add: false }, scale, q, k.transposed());
        vectorised(|| {
            for row in p.chunks_exact_mut(n) {
                let highest = row.iter().fold(f32::NEG_INFINITY, |m, &z| if z > m { z } else { m });
                for z in row.iter_mut() {
                    *z = exp_nonpositive(*z - highest);
                }
                let factor = 1.0 / lane_sum(row, |z| z);
                row.iter_mut().for_each(|z| *z *= factor);
            }
        });
    }

    /// Multiplies values by the dropout mask of one head.
    fn drop(&self, w: Window, head: usize, values: &mut [f32]) {
        if let Some(mask) = self.mask {
            let first = (w.first_probability + head * w.length * w.length) as u32;
            vectorised(|| {
                for (value, i) in values.iter_mut().zip(0u32..) {
                    *value *= mask.factor(first.wrapping_add(i));
                }
            });
        }
    }

    fn forward(&self, qkv: &[f32]) -> Vec<f32> {
        let mut out = vec![0f32; qkv.len() / 3];
        let windows = self.windows(qkv).into_par_iter().zip(self.pieces(&mut out, self.width));
        windows.for_each(|(window, out)| self.forward_window(window, out));
        out
    }

    fn forward_window(&self, w: Window, out: &mut [f32]) {
        let n = w.length;
        if n == 0 {
            return;
        }
        let mut p = vec![0f32; n * n];
        for head in 0..self.heads {
            self.probabilities(w, head, &mut p);
            self.drop(w, head, &mut p);
            let target = Target { data: &mut out[self.at(Q, head)..], row_stride: self.width, add: false };
            multiply(target, 1.0, Matrix::new(&p, n, n), self.part(w.qkv, n, V, head));
        }
    }

    fn backward(&self, qkv: &[f32], mut g: &[f32]) -> Vec<f32> {
        let mut dqkv = vec![0f32; qkv.len()];
        let windows = self.windows(qkv);
        let cut = |w: &Window| {
            let (piece, after) = g.split_at(w.length * self.width);
            g = after;
            piece
        };
        let gradients: Vec<&[f32]> = windows.iter().map(cut).collect();
        let parts = windows.into_par_iter().zip(gradients).zip(self.pieces(&mut dqkv, 3 * self.width));
        parts.for_each(|((window, g), dqkv)| self.backward_window(window, g, dqkv));
        dqkv
    }

    /// Computes the gradient of one window's queries, keys and values.
    fn backward_window(&self, w: Window, g: &[f32], dqkv: &mut [f32]) {
        let (d, n) = (self.width / self.heads, w.length);
        if n == 0 {
            return;
        }
        let scale = 1.0 / (d as f32).sqrt();
        let mut p = vec![0f32; n * n];
        let mut dropped = vec![0f32; n * n];
        let mut dp = vec![0f32; n * n];
        for head in 0..self.heads {
            let mut put = |part: usize, scale: f32, a: Matrix, b: Matrix| {
                let target = Target { data: &mut dqkv[self.at(part, head)..], row_stride: 3 * self.width, add: false };
                multiply(target, scale, a, b);
            };
            self.probabilities(w, head, &mut p);
            dropped.copy_from_slice(&p);
            self.drop(w, head, &mut dropped);
            let g = Matrix::strided(&g[self.at(Q, head)..], n, d, self.width);
            put(V, 1.0, Matrix::new(&dropped, n, n).transposed(), g);
            let target = Target { data: &mut dp, row_stride: n, add: false };
            multiply(target, 1.0, g, self.part(w.qkv, n, V, head).transposed());
            self.drop(w, head, &mut dp);
            // The derivative of softmax: P∘(dP − ⟨dP, P⟩).
            vectorised(|| {
                for (dp, p) in dp.chunks_exact_mut(n).zip(p.chunks_exact(n)) {
                    let dot = lane_dot(dp, p);
                    for (dp, &p) in dp.iter_mut().zip(p) {
                        *dp = p * (*dp - dot);
                    }
                }
            });
            put(Q, scale, Matrix::new(&dp, n, n), self.part(w.qkv, n, K, head));
            put(K, scale, Matrix::new(&dp, n, n).transposed(), self.part(w.qkv, n, Q, head));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradient_check::{check, random};

    #[test]
    fn gradients_match_finite_differences() {
        let lengths: WindowLengths = [2usize, 1, 3].into();
        for mask in [None, Some(Dropout { rate: 0.4, seed: 11, first: 0 })] {
            check(&[random(&[6, 12], 1)], |tape, t| attention(tape, &t[0].tensor, 2, &lengths, mask));
        }
    }

    #[test]
    fn windows_do_not_see_each_other() {
        let qkv = random(&[6, 12], 1);
        let run = |qkv: &Tensor, lengths: &[usize]| {
            attention(&mut Tape::silent(), qkv, 2, &lengths.into(), None).unwrap().to_vec2::<f32>().unwrap()
        };
        let together = run(&qkv, &[4, 0, 2]);
        let second = qkv.narrow(0, 4, 2).unwrap().contiguous().unwrap();
        assert_eq!(together[4..], run(&second, &[2])[..]);
    }

    #[test]
    fn a_mask_can_begin_in_the_middle() {
        let (qkv, mask) = (random(&[6, 12], 1), Dropout { rate: 0.4, seed: 11, first: 0 });
        let run = |qkv: &Tensor, lengths: &[usize], mask| {
            attention(&mut Tape::silent(), qkv, 2, &lengths.into(), Some(mask)).unwrap().to_vec2::<f32>().unwrap()
        };
        let together = run(&qkv, &[4, 2], mask);
        let second = qkv.narrow(0, 4, 2).unwrap().contiguous().unwrap();
        // Two heads of 4 · 4 probabilities come before.
        assert_eq!(together[4..], run(&second, &[2], Dropout { first: 32, ..mask })[..]);
        assert_ne!(together[4..], run(&second, &[2], mask)[..]);
    }

    #[test]
    fn attention_by_hand() {
        // One head of width 1. The scores q·k of the first row are 0 and ln 3, so its weights are 1/4 and 3/4.
        let qkv = tensor(vec![1.0, 0.0, 8.0, 0.0, 3f32.ln(), 4.0], (2, 3)).unwrap();
        let out = attention(&mut Tape::silent(), &qkv, 1, &[2usize].into(), None).unwrap();
        for (found, expected) in out.to_vec2::<f32>().unwrap().iter().flatten().zip([5.0, 6.0]) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
    }
}
