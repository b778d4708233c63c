//! First hidden layer of the span classifier, built from parts that are computed once per token.
//!
//! The layer is linear in [h(start); h(end); width]. Its output for a span is therefore the sum of three rows: one
//! for the start token, one for the end token, and one for the width. This takes eight times fewer operations than
//! multiplying the vector of each span.

use std::sync::Arc;

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::vectors::vectorised;
use super::{ROWS, in_chunks, tensor, values};
use crate::Tape;
use crate::batch::SpanRows;

/// Returns for each span `starts[start] + ends[end] + widths[width]`. All parts are `[_, d]`, the result is
/// `[spans, d]`.
///
/// # Errors
/// When a row is outside its tensor.
pub(super) fn span_sum(
    tape: &mut Tape,
    starts: &Tensor,
    ends: &Tensor,
    widths: &Tensor,
    rows: Arc<SpanRows>,
) -> Result<Tensor> {
    let parts = [starts, ends, widths];
    let (n, d) = (rows.start.len(), starts.dims2()?.1);
    for (part, ids) in parts.iter().zip(rows.parts()) {
        let (height, width) = part.dims2()?;
        if width != d || d == 0 || ids.len() != n || ids.iter().any(|&id| id as usize >= height) {
            candle_core::bail!("span sum: {} spans, parts {:?} and {:?}", n, starts.dims(), part.dims());
        }
    }
    let sum = forward(&values(starts)?, &values(ends)?, &values(widths)?, &rows, d);
    let sum = tensor(sum, (n, d))?;
    let heights = parts.map(|part| part.dims().first().copied().unwrap_or(0));
    tape.record(&sum, &parts, move |g| {
        let g = values(g)?;
        // The gradient of a look-up: rows are added to the rows that they were copied from.
        let of: Vec<(usize, &[u32])> = heights.into_iter().zip(rows.parts()).collect();
        let sums: Vec<Vec<f32>> = of.par_iter().map(|(height, ids)| scatter_add(&g, d, ids, *height)).collect();
        sums.into_iter().zip(heights).map(|(sums, height)| tensor(sums, (height, d))).collect()
    });
    Ok(sum)
}

fn forward(starts: &[f32], ends: &[f32], widths: &[f32], rows: &SpanRows, d: usize) -> Vec<f32> {
    let row = |i: u32| i as usize * d..(i as usize + 1) * d;
    in_chunks(rows.start.len() * d, ROWS * d, |start, out| {
        for (i, out) in out.chunks_exact_mut(d).enumerate() {
            let span = start / d + i;
            let a = &starts[row(rows.start[span])];
            let b = &ends[row(rows.end[span])];
            let c = &widths[row(rows.width[span])];
            vectorised(|| {
                for (((out, a), b), c) in out.iter_mut().zip(a).zip(b).zip(c) {
                    *out = a + b + c;
                }
            });
        }
    })
}

/// Returns a table in which row `ids[i]` is the sum of all rows i of `g` with this id. Rows are `d` wide.
fn scatter_add(g: &[f32], d: usize, ids: &[u32], rows: usize) -> Vec<f32> {
    let mut table = vec![0f32; rows * d];
    vectorised(|| {
        for (row, &id) in g.chunks_exact(d).zip(ids) {
            for (sum, &value) in table[id as usize * d..(id as usize + 1) * d].iter_mut().zip(row) {
                *sum += value;
            }
        }
    });
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradient_check::{check, random};

    #[test]
    fn gradients_match_finite_differences() {
        let rows = Arc::new(SpanRows { start: vec![0, 0, 2], end: vec![1, 0, 1], width: vec![1, 0, 0] });
        let inputs = [random(&[3, 4], 1), random(&[2, 4], 2), random(&[2, 4], 3)];
        check(&inputs, |tape, t| span_sum(tape, &t[0].tensor, &t[1].tensor, &t[2].tensor, rows.clone()));
    }

    #[test]
    fn a_row_outside_is_an_error() {
        let rows = Arc::new(SpanRows { start: vec![3], end: vec![0], width: vec![0] });
        let parts = [random(&[3, 4], 1), random(&[2, 4], 2), random(&[2, 4], 3)];
        assert!(span_sum(&mut Tape::silent(), &parts[0], &parts[1], &parts[2], rows).is_err());
    }
}
