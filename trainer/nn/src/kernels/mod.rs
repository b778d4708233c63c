//! The CPU's engine: kernels on packed sentences. The same seed gives the same bytes, for any number of threads.
//!
//! Each operation is one pass over the memory forward and one backward. candle's elementary operations pass over
//! the memory once per arithmetic operation, and its fused layer norm and softmax have no backward pass. Every
//! operation here is checked against finite differences.
//!
//! All tensors are contiguous f32 tensors on the CPU. Sums over rows are computed in blocks of fixed size, and the
//! blocks are added in order.

mod adamw;
mod add;
mod attention;
mod cosines;
mod cross_entropy;
mod dropout;
mod embedding;
mod gelu;
mod layer_norm;
mod linear;
mod matrix;
mod neighbours;
mod relu;
mod span_sum;
mod vectors;
mod weight;

use std::ops::{Deref, Range};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Shape, Storage, Tensor};
use rayon::prelude::*;

use super::engine::{Engine, Moments, Operations, TableRows};
use super::{Dropout, Linear, Norm, Rates, StartingValues, Tape, Weight};
use crate::batch::{Batch, SpanRows};

#[cfg(test)]
pub use cosines::sums_of_cosines;
pub use weight::KernelWeight;

/// Number of rows handled by one task.
const ROWS: usize = 16;
/// Number of elements handled by one task.
const CHUNK: usize = 8192;

/// The values of a contiguous f32 tensor on the CPU.
struct Values<S> {
    storage: S,
    range: Range<usize>,
}

impl<S: Deref<Target = Storage>> Deref for Values<S> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(storage) => storage.as_slice().ok().and_then(|all| all.get(self.range.clone())),
            _ => None,
        }
        .unwrap_or_default()
    }
}

/// Returns the values of a tensor.
///
/// # Errors
/// When it is not a contiguous f32 tensor on the CPU.
fn values(tensor: &Tensor) -> candle_core::Result<impl Deref<Target = [f32]> + Sync> {
    let (storage, layout) = tensor.storage_and_layout();
    let (Storage::Cpu(of_cpu), Some((start, end))) = (&*storage, layout.contiguous_offsets()) else {
        candle_core::bail!("the operation needs a contiguous tensor on the CPU")
    };
    of_cpu.as_slice::<f32>()?;
    Ok(Values { storage, range: start..end })
}

/// Creates a tensor on the CPU.
fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> candle_core::Result<Tensor> {
    Tensor::from_vec(values, shape.into(), &Device::Cpu)
}

/// Returns the width of the last dimension.
fn last_dim(tensor: &Tensor) -> usize {
    tensor.dims().last().copied().unwrap_or(1)
}

/// The weights of a model on the CPU.
pub struct Kernels {
    weights: Vec<Arc<KernelWeight>>,
}

impl Kernels {
    /// Takes the declared weights of a model, in their order.
    ///
    /// # Errors
    /// When their values are not f32 on the CPU.
    pub fn new(weights: &[StartingValues]) -> Result<Self> {
        let weights = weights.iter().map(|w| Ok(Arc::new(KernelWeight::new(&w.values, w.group)?)));
        Ok(Self { weights: weights.collect::<Result<_>>()? })
    }

    fn weight(&self, weight: Weight) -> Result<&Arc<KernelWeight>> {
        self.weights.get(weight.0).context("a weight of another model")
    }

    fn trained(&self) -> impl Iterator<Item = &Arc<KernelWeight>> {
        self.weights.iter().filter(|weight| weight.is_trained())
    }

    fn check_number(&self, found: usize) -> Result<()> {
        let wanted = self.trained().count();
        ensure!(found == wanted, "{found} tensors for {wanted} weights");
        Ok(())
    }
}

impl Engine for Kernels {
    fn pads(&self) -> bool {
        false
    }

    fn operations<'a>(&'a self, batch: &'a Batch) -> Result<Box<dyn Operations + 'a>> {
        ensure!(batch.padded.is_none(), "the kernels of the CPU take packed batches");
        Ok(Box::new(OfBatch { kernels: self, batch }))
    }

    fn add(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        Ok(add::add(a, b)?)
    }

    fn clear_gradients(&self) {
        self.trained().for_each(|weight| weight.clear());
    }

    fn has_gradient(&self, weight: Weight) -> bool {
        self.weights.get(weight.0).is_some_and(|weight| weight.has_gradient())
    }

    fn append_gradient(&self, weight: Weight, to: &mut Vec<f32>) -> Result<()> {
        self.weight(weight)?.append_gradient(to);
        Ok(())
    }

    fn table_gradient(&self, table: Weight) -> Result<TableRows> {
        Ok(self.weight(table)?.table_gradient())
    }

    fn set_gradient(&self, weight: Weight, gradient: &[f32]) -> Result<()> {
        self.weight(weight)?.set_gradient(gradient)
    }

    fn set_table_gradient(&self, table: Weight, shares: &[&TableRows]) -> Result<()> {
        self.weight(table)?.set_table_gradient(shares)
    }

    fn step(&self, rates: Rates) -> Result<()> {
        let squares = || self.trained().map(|weight| weight.squared_norm()).sum::<f64>();
        let scale = rates.scale(|| Ok::<f64, anyhow::Error>(squares().sqrt()))?;
        self.trained().try_for_each(|weight| weight.step(scale, rates))
    }

    fn values(&self, weights: &[Weight]) -> Result<Vec<Tensor>> {
        weights.iter().map(|&weight| self.weight(weight)?.to_tensor()).collect()
    }

    fn set_values(&self, values: &[Tensor]) -> Result<()> {
        self.check_number(values.len())?;
        self.trained().zip(values).try_for_each(|(weight, values)| weight.set(values))
    }

    fn moments(&self) -> Result<Vec<Moments>> {
        self.trained().map(|weight| weight.moments()).collect()
    }

    fn set_moments(&self, moments: &[Moments]) -> Result<()> {
        self.check_number(moments.len())?;
        self.trained().zip(moments).try_for_each(|(weight, moments)| weight.set_moments(moments))
    }
}

/// The operations on one batch.
struct OfBatch<'a> {
    kernels: &'a Kernels,
    batch: &'a Batch,
}

impl OfBatch<'_> {
    fn norm(&self, norm: Norm) -> Result<Norm<Arc<KernelWeight>>> {
        norm.try_map(|&weight| self.kernels.weight(weight).cloned())
    }
}

impl Operations for OfBatch<'_> {
    fn embedding(&self, tape: &mut Tape, table: Weight, ids: Arc<[u32]>) -> Result<Tensor> {
        Ok(embedding::embedding(tape, self.kernels.weight(table)?, ids)?)
    }

    fn linears(&self, tape: &mut Tape, x: &Tensor, layers: &[Linear], _precise: bool) -> Result<Tensor> {
        let layer = |layer: &Linear| layer.try_map(|&weight| self.kernels.weight(weight).cloned());
        Ok(linear::linears(tape, x, layers.iter().map(layer).collect::<Result<_>>()?)?)
    }

    fn layer_norm(&self, tape: &mut Tape, x: &Tensor, norm: Norm) -> Result<Tensor> {
        Ok(layer_norm::layer_norm(tape, x, self.norm(norm)?)?)
    }

    fn residual_norm(
        &self,
        tape: &mut Tape,
        x: &Tensor,
        mask: Option<Dropout>,
        residual: &Tensor,
        norm: Norm,
    ) -> Result<Tensor> {
        Ok(layer_norm::residual_norm(tape, x, mask, residual, self.norm(norm)?)?)
    }

    fn attention(&self, tape: &mut Tape, qkv: &Tensor, heads: usize, mask: Option<Dropout>) -> Result<Tensor> {
        Ok(attention::attention(tape, qkv, heads, &self.batch.lengths, mask)?)
    }

    fn gelu(&self, tape: &mut Tape, x: &Tensor) -> Result<Tensor> {
        Ok(gelu::gelu(tape, x)?)
    }

    fn gelu_tanh(&self, tape: &mut Tape, x: &Tensor) -> Result<Tensor> {
        Ok(gelu::gelu_tanh(tape, x)?)
    }

    fn relu(&self, tape: &mut Tape, x: &Tensor, mask: Option<Dropout>) -> Result<Tensor> {
        Ok(relu::relu(tape, x, mask)?)
    }

    fn dropout(&self, tape: &mut Tape, x: &Tensor, mask: Dropout) -> Result<Tensor> {
        Ok(dropout::dropout(tape, x, mask)?)
    }

    fn neighbours(&self, tape: &mut Tape, x: &Tensor) -> Result<Tensor> {
        Ok(neighbours::neighbours(tape, x, &self.batch.lengths)?)
    }

    fn span_sum(
        &self,
        tape: &mut Tape,
        starts: &Tensor,
        ends: &Tensor,
        widths: &Tensor,
        rows: Arc<SpanRows>,
    ) -> Result<Tensor> {
        Ok(span_sum::span_sum(tape, starts, ends, widths, rows)?)
    }

    fn cross_entropy(&self, tape: &mut Tape, logits: &Tensor, targets: Vec<Option<u32>>) -> Result<Tensor> {
        Ok(cross_entropy::cross_entropy(tape, logits, targets)?)
    }

    fn sums_of_cosines(&self, vectors: &Tensor, chosen: &[bool]) -> Result<Vec<f32>> {
        Ok(cosines::sums_of_cosines(&values(vectors)?, chosen)?)
    }
}

/// Returns `len` numbers. `work` computes them in chunks of `chunk`, on all threads. It gets the position of the
/// chunk's first number, and zeros to overwrite.
fn in_chunks(len: usize, chunk: usize, work: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    let mut out: Vec<f32> = Vec::with_capacity(len);
    let places = out.spare_capacity_mut().get_mut(..len).unwrap_or_default();
    places.par_chunks_mut(chunk).enumerate().for_each(|(i, place)| {
        // Each task clears its own chunk, because clearing all of them first would take one thread a second pass.
        for number in &mut *place {
            number.write(0.0);
        }
        // SAFETY: all numbers of the chunk were written.
        #[allow(unsafe_code)]
        work(i * chunk, unsafe { place.assume_init_mut() });
    });
    // SAFETY: the capacity is at least `len`, and the chunks cover all of the first `len` places.
    #[allow(unsafe_code)]
    unsafe {
        out.set_len(len);
    }
    out
}
