//! Embedding look-up: rows of a table, by index.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::weight::Weight;
use super::{of_cpu, values};

/// Returns the rows `ids` of `table` `[n, d]`, as `[ids.len(), d]`. Only these rows get a gradient.
///
/// # Errors
/// When an index is outside the table.
pub fn embedding(table: &Weight, ids: Arc<[u32]>) -> Result<Tensor> {
    let (n, _) = table.values().dims2()?;
    if let Some(outside) = ids.iter().find(|&&id| id as usize >= n) {
        candle_core::bail!("embedding: index {outside} in a table of {n} rows");
    }
    table.values().apply_op1(Embedding { table: table.clone(), ids })
}

struct Embedding {
    table: Weight,
    ids: Arc<[u32]>,
}

impl CustomOp1 for Embedding {
    fn name(&self) -> &'static str {
        "embedding"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let table = values(storage, layout)?;
        let d = super::last_dim(layout);
        let mut out = Vec::with_capacity(self.ids.len() * d);
        for &id in self.ids.iter() {
            out.extend_from_slice(&table[id as usize * d..(id as usize + 1) * d]);
        }
        Ok((CpuStorage::F32(out), Shape::from((self.ids.len(), d))))
    }

    fn bwd(&self, _table: &Tensor, _result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        of_cpu(&gradient.contiguous()?, |g| self.table.accumulate_rows(&self.ids, g))?;
        Ok(None)
    }
}

/// Returns a table in which row `ids[i]` is the sum of all rows i of `g` with this id. Rows are `d` wide.
#[inline(always)]
pub(super) fn scatter_add(g: &[f32], d: usize, ids: &[u32], rows: usize) -> Vec<f32> {
    let mut table = vec![0f32; rows * d];
    for (row, &id) in g.chunks_exact(d).zip(ids) {
        for (sum, &value) in table[id as usize * d..(id as usize + 1) * d].iter_mut().zip(row) {
            *sum += value;
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::kernels::gradient_check::{check, random, weight};

    #[test]
    fn gradients_match_finite_differences() {
        check(&[random(&[4, 3], 1)], |t| embedding(&t[0], [1, 3, 1].into()));
    }

    #[test]
    fn an_index_outside_is_an_error() {
        assert!(embedding(&weight(&[4, 3], 1), [4].into()).is_err());
    }
}
