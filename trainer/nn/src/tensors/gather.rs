//! Look-up of rows by index, with a backward pass that is also a look-up of rows.
//!
//! The gradient of a row is the sum of the gradients of all its copies. Adding them one by one (`index_add`) is
//! nearly serial on a GPU. But the host knows the indices. For each row it lists the positions of its copies, with
//! as many columns as the most frequent row has copies. The gradient is then a sum over looked-up rows. Missing
//! copies have the index [`NONE`], for which candle's `index_select` gives zeros.

use candle_core::{Result, Tensor};

use super::{indices, sum_of_rows};
use crate::Tape;
use crate::batch::SpanRows;

/// The index of no row. It gives a row of zeros.
pub const NONE: u32 = u32::MAX;

/// Returns for each of `rows` rows the positions of its copies in `ids`, or [`NONE`]. The list has a multiple of
/// `rows` elements: first the first copies of all rows, then all second copies, and so on.
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

/// Sums the rows of `g` `[ids.len(), d]` that are copies of the same row. Returns `[rows, d]`.
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

/// Returns the rows `ids` of `x` `[n, d]`, as `[ids.len(), d]`, with zeros for [`NONE`].
///
/// # Errors
/// When an index is outside the tensor.
fn look_up(x: &Tensor, ids: &[u32]) -> Result<Tensor> {
    let rows = x.dims2()?.0;
    if let Some(outside) = ids.iter().find(|&&id| id != NONE && id as usize >= rows) {
        candle_core::bail!("look_up: index {outside} in a tensor of {rows} rows");
    }
    x.index_select(&indices(ids, x)?, 0)
}

/// Returns for each span `starts[start] + ends[end] + widths[width]`. All parts are `[_, d]`, the result is
/// `[spans, d]`.
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

/// Returns `[rows, 3·d]` for `[rows, d]`: previous row, own row, next row. Beyond the ends of a window there are
/// zeros. Of the `length` rows of window i only the first `lengths[i]` count.
///
/// # Errors
/// When the windows do not add up to the number of rows.
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
