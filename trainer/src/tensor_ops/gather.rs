//! Rows by index, whose backward pass is rows by index again.
//!
//! The gradient of a row is the sum of the gradients of all its copies. Adding them where they belong (`index_add`)
//! is nearly serial on a GPU. But the indices are known on the host: it writes down, for each row, where its copies
//! are, as many columns as the most copied row has copies, and the sum is one over looked-up rows. Missing copies
//! have the index [`NONE`], for which candle's `index_select` gives zeros.

use candle_core::{Result, Tensor};

use super::{Tape, indices, sum_of_rows};
use crate::ops::SpanRows;

/// The index of no row: a row of zeros.
pub const NONE: u32 = u32::MAX;

/// For each of `rows` rows, where its copies are: `copies · rows` positions in `ids`, or [`NONE`]; all first copies,
/// then all second ones, and so on.
pub(super) fn inverse(ids: &[u32], rows: usize) -> Vec<u32> {
    let mut counts = vec![0usize; rows];
    let mut copies = vec![NONE; rows];
    for (position, &id) in (0u32..).zip(ids) {
        let Some(count) = counts.get_mut(id as usize) else { continue };
        let at = *count * rows + id as usize;
        if at >= copies.len() {
            copies.resize((*count + 1) * rows, NONE);
        }
        copies[at] = position;
        *count += 1;
    }
    copies
}

/// What all rows of `g` `[ids.len(), d]` add up to, row by row of the `rows` that they were copied from: `[rows, d]`.
pub(super) fn sum_of_copies(g: &Tensor, ids: &[u32], rows: usize) -> Result<Tensor> {
    let d = g.dims2()?.1;
    if rows == 0 {
        return Tensor::zeros((0, d), g.dtype(), g.device());
    }
    let inverse = inverse(ids, rows);
    let copies = g.index_select(&indices(&inverse, g)?, 0)?;
    match inverse.len() / rows {
        1 => Ok(copies),
        n => sum_of_rows(&copies.reshape((n, rows * d))?)?.reshape((rows, d)),
    }
}

/// Rows `ids` of `x` `[n, d]`, zeros for [`NONE`]: `[ids.len(), d]`.
///
/// # Errors
/// When an index is outside.
fn look_up(x: &Tensor, ids: &[u32]) -> Result<Tensor> {
    let rows = x.dims2()?.0;
    if let Some(outside) = ids.iter().find(|&&id| id != NONE && id as usize >= rows) {
        candle_core::bail!("look_up: index {outside} in a tensor of {rows} rows");
    }
    x.index_select(&indices(ids, x)?, 0)
}

/// For each span: `starts[start] + ends[end] + widths[width]`; all `[_, d]`, result `[spans, d]`.
///
/// # Errors
/// When a row is outside its tensor.
pub fn span_sum(tape: &mut Tape, starts: &Tensor, ends: &Tensor, widths: &Tensor, rows: &SpanRows) -> Result<Tensor> {
    let parts = [(starts, &rows.start), (ends, &rows.end), (widths, &rows.width)];
    let [start, end, width] = parts.map(|(part, ids)| look_up(part, ids));
    let sum = ((start? + end?)? + width?)?;
    let copied = parts.map(|(part, ids)| (part.dims().first().copied().unwrap_or(0), ids.clone()));
    tape.record(&sum, &[starts, ends, widths], move |g| {
        copied.iter().map(|(rows, ids)| sum_of_copies(g, ids, *rows)).collect()
    });
    Ok(sum)
}

/// `[rows, d]` → `[rows, 3·d]`: previous row, own row, next row; zeros beyond the ends of a stretch. Of each stretch of
/// `length` rows only the first `lengths[i]` count.
///
/// # Errors
/// When the stretches do not add up.
pub fn neighbours(tape: &mut Tape, x: &Tensor, lengths: &[usize], length: usize) -> Result<Tensor> {
    let (rows, d) = x.dims2()?;
    if lengths.len() * length != rows {
        candle_core::bail!("neighbours: stretches do not add up to {:?}", x.dims());
    }
    let mut ids = vec![NONE; 3 * rows];
    for (block, &real) in lengths.iter().enumerate() {
        for row in 0..real {
            for (column, there) in [row.checked_sub(1), Some(row), Some(row + 1)].into_iter().enumerate() {
                if let Some(there) = there.filter(|&there| there < real) {
                    ids[3 * (block * length + row) + column] = (block * length + there) as u32;
                }
            }
        }
    }
    let y = look_up(x, &ids)?.reshape((rows, 3 * d))?;
    tape.record(&y, &[x], move |g| Ok(vec![sum_of_copies(&g.reshape((3 * rows, d))?, &ids, rows)?]));
    Ok(y)
}
