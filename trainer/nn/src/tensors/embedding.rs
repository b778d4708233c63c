//! Embedding look-up: rows of a table, by index.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::gather::{NONE, sum_of_copies};
use super::{TensorGradient, TensorWeight, indices};
use crate::Tape;

/// Returns the rows `ids` of `table` `[n, d]` in f32, as `[ids.len(), d]`. Padding, with the index `u32::MAX`,
/// gives zeros. Only these rows get a gradient.
///
/// # Errors
/// When an index is outside the table.
pub fn embedding(tape: &mut Tape, table: &Arc<TensorWeight>, ids: Arc<[u32]>) -> Result<Tensor> {
    let values = table.values()?;
    let n = values.dims2()?.0;
    if let Some(outside) = ids.iter().find(|&&id| id != NONE && id as usize >= n) {
        candle_core::bail!("embedding: index {outside} in a table of {n} rows");
    }
    let rows = values.index_select(&indices(&ids, &values)?, 0)?;
    if table.is_trained() {
        let table = table.clone();
        tape.record(&rows, &[], move |g| {
            table.add(gradient(g, &ids, n)?)?;
            Ok(Vec::new())
        });
    }
    Ok(rows)
}

/// Sums the rows of `g` that come from the same row of a table of `n` rows.
fn gradient(g: &Tensor, ids: &[u32], n: usize) -> Result<TensorGradient> {
    let mut distinct: Vec<u32> = ids.iter().copied().filter(|&id| id != NONE).collect();
    distinct.sort_unstable();
    distinct.dedup();
    // Sum first among the rows that occur, because a table is much larger than the rows that one batch looks up.
    let mut place = vec![NONE; n];
    for (i, &id) in (0u32..).zip(&distinct) {
        place[id as usize] = i;
    }
    let among: Vec<u32> = ids.iter().map(|&id| place.get(id as usize).copied().unwrap_or(NONE)).collect();
    let sums = sum_of_copies(g, &among, distinct.len())?.index_select(&indices(&place, g)?, 0)?;
    let touched: Vec<u8> = place.iter().map(|&i| u8::from(i != NONE)).collect();
    Ok(TensorGradient { sums, touched: Some(Tensor::from_vec(touched, n, g.device())?) })
}
