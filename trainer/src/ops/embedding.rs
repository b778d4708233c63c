//! Embedding look-up: rows of a table by index.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::values;

/// The rows `ids` of `table` `[n, d]`: `[ids.len(), d]`.
///
/// # Errors
/// When an index is outside the table.
pub fn embedding(table: &Tensor, ids: Arc<[u32]>) -> Result<Tensor> {
    let (n, _) = table.dims2()?;
    if let Some(outside) = ids.iter().find(|&&id| id as usize >= n) {
        candle_core::bail!("embedding: index {outside} in a table of {n} rows");
    }
    table.apply_op1(Embedding { ids })
}

struct Embedding {
    ids: Arc<[u32]>,
}

struct EmbeddingGradient {
    ids: Arc<[u32]>,
    rows: usize,
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

    fn bwd(&self, table: &Tensor, _result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(scatter_add(&gradient.contiguous()?, self.ids.clone(), table.dims2()?.0)?))
    }
}

/// A tensor of `rows` rows in which row `ids[i]` is the sum of all rows i of `gradient` that name it.
pub(super) fn scatter_add(gradient: &Tensor, ids: Arc<[u32]>, rows: usize) -> Result<Tensor> {
    gradient.apply_op1_no_bwd(&EmbeddingGradient { ids, rows })
}

impl CustomOp1 for EmbeddingGradient {
    fn name(&self) -> &'static str {
        "embedding-gradient"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let g = values(storage, layout)?;
        let d = super::last_dim(layout);
        let mut table = vec![0f32; self.rows * d];
        for (row, &id) in g.chunks_exact(d).zip(self.ids.iter()) {
            for (sum, &value) in table[id as usize * d..(id as usize + 1) * d].iter_mut().zip(row) {
                *sum += value;
            }
        }
        Ok((CpuStorage::F32(table), Shape::from((self.rows, d))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::gradient_check::{check, random};

    #[test]
    fn gradients_match_finite_differences() {
        check(&[random(&[4, 3], 1)], |t| embedding(&t[0], [1, 3, 1].into()));
    }

    #[test]
    fn an_index_outside_is_an_error() {
        assert!(embedding(&random(&[4, 3], 1), [4].into()).is_err());
    }
}
