//! First hidden layer of the span classifier, built from parts that are computed once per token.
//!
//! The layer is linear in [h(start); h(end); width]. Its output for a span is therefore the sum of three rows: one
//! for the start token, one for the end token, and one for the width. This takes eight times fewer operations than
//! multiplying the vector of each span.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp3, Device, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::embedding::scatter_add;
use super::vectors::vectorised;
use super::{ROWS, of_cpu, values};

/// Rows of the parts of each span.
#[derive(Debug, Default, Clone)]
pub struct SpanRows {
    /// Row of the first word of each span in the start parts.
    pub start: Vec<u32>,
    /// Row of the last word of each span in the end parts.
    pub end: Vec<u32>,
    /// Row of each span's width in the width parts.
    pub width: Vec<u32>,
}

/// Returns for each span `starts[start] + ends[end] + widths[width]`. All parts are `[_, d]`, the result is
/// `[spans, d]`.
///
/// # Errors
/// When a row is outside its tensor.
pub fn span_sum(starts: &Tensor, ends: &Tensor, widths: &Tensor, rows: Arc<SpanRows>) -> Result<Tensor> {
    let inside = |ids: &[u32], part: &Tensor| ids.iter().all(|&i| (i as usize) < part.dims()[0]);
    let n = rows.start.len();
    let same_length = rows.end.len() == n && rows.width.len() == n;
    let d = starts.dims2()?.1;
    if !same_length || ends.dims2()?.1 != d || widths.dims2()?.1 != d {
        candle_core::bail!("span sum: parts {:?}, {:?}, {:?}", starts.dims(), ends.dims(), widths.dims());
    }
    if !(inside(&rows.start, starts) && inside(&rows.end, ends) && inside(&rows.width, widths)) {
        candle_core::bail!("span sum: a row is outside its tensor");
    }
    starts.apply_op3(ends, widths, SpanSum { rows })
}

struct SpanSum {
    rows: Arc<SpanRows>,
}

impl CustomOp3 for SpanSum {
    fn name(&self) -> &'static str {
        "span-sum"
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
        let (starts, ends, widths) = (values(s1, l1)?, values(s2, l2)?, values(s3, l3)?);
        let d = super::last_dim(l1);
        let row = |i: u32| i as usize * d..(i as usize + 1) * d;
        let n = self.rows.start.len();
        let mut out = vec![0f32; n * d];
        out.par_chunks_mut(ROWS * d).enumerate().for_each(|(block, out)| {
            for (i, out) in out.chunks_exact_mut(d).enumerate() {
                let span = block * ROWS + i;
                let a = &starts[row(self.rows.start[span])];
                let b = &ends[row(self.rows.end[span])];
                let c = &widths[row(self.rows.width[span])];
                vectorised(|| {
                    for (((out, a), b), c) in out.iter_mut().zip(a).zip(b).zip(c) {
                        *out = a + b + c;
                    }
                });
            }
        });
        Ok((CpuStorage::F32(out), Shape::from((n, d))))
    }

    fn bwd(
        &self,
        starts: &Tensor,
        ends: &Tensor,
        widths: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let scatter = |ids: &[u32], like: &Tensor| -> Result<Option<Tensor>> {
            let (rows, d) = like.dims2()?;
            // The gradient of a look-up: rows are added to the rows that they were copied from.
            let sums = of_cpu(&gradient, |g| vectorised(|| scatter_add(g, d, ids, rows)))?;
            Ok(Some(Tensor::from_vec(sums, (rows, d), &Device::Cpu)?))
        };
        Ok((scatter(&self.rows.start, starts)?, scatter(&self.rows.end, ends)?, scatter(&self.rows.width, widths)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::kernels::gradient_check::{check, random};

    #[test]
    fn gradients_match_finite_differences() {
        let rows = Arc::new(SpanRows { start: vec![0, 0, 2], end: vec![1, 0, 1], width: vec![1, 0, 0] });
        let inputs = [random(&[3, 4], 1), random(&[2, 4], 2), random(&[2, 4], 3)];
        check(&inputs, |t| span_sum(t[0].values(), t[1].values(), t[2].values(), rows.clone()));
    }

    #[test]
    fn a_row_outside_is_an_error() {
        let rows = Arc::new(SpanRows { start: vec![3], end: vec![0], width: vec![0] });
        assert!(span_sum(&random(&[3, 4], 1), &random(&[2, 4], 2), &random(&[2, 4], 3), rows).is_err());
    }
}
