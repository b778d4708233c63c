//! Embedding look-up: rows of a table, by index.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::weight::KernelWeight;
use super::{tensor, values};
use crate::Tape;

/// Returns the rows `ids` of `table` `[n, d]`, as `[ids.len(), d]`. Only these rows get a gradient.
///
/// # Errors
/// When an index is outside the table.
pub(super) fn embedding(tape: &mut Tape, table: &Arc<KernelWeight>, ids: Arc<[u32]>) -> Result<Tensor> {
    let [n, d] = *table.dims() else { candle_core::bail!("embedding: a table of {:?}", table.dims()) };
    if let Some(outside) = ids.iter().find(|&&id| id as usize >= n) {
        candle_core::bail!("embedding: index {outside} in a table of {n} rows");
    }
    let mut rows = Vec::with_capacity(ids.len() * d);
    let all = table.values();
    for &id in ids.iter() {
        rows.extend_from_slice(&all[id as usize * d..(id as usize + 1) * d]);
    }
    let rows = tensor(rows, (ids.len(), d))?;
    if table.is_trained() {
        let table = table.clone();
        tape.record(&rows, &[], move |g| {
            table.accumulate_rows(&ids, &values(g)?);
            Ok(Vec::new())
        });
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradient_check::{check, random, weight};

    #[test]
    fn gradients_match_finite_differences() {
        check(&[random(&[4, 3], 1)], |tape, t| embedding(tape, &t[0].weight, [1, 3, 1].into()));
    }

    #[test]
    fn an_index_outside_is_an_error() {
        assert!(embedding(&mut Tape::silent(), &weight(&[4, 3], 1), [4].into()).is_err());
    }
}
