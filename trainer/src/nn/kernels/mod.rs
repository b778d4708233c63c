//! Differentiable operations for training on the CPU. Each one is fused into a single pass forward and a single
//! pass backward.
//!
//! candle's fused layer norm and softmax have no backward pass: a model built from them trains without a gradient
//! and without an error. candle's elementary operations pass over the memory once per arithmetic operation. Every
//! operation here is checked against finite differences.
//!
//! All operations take contiguous f32 tensors on the CPU. Sums over rows are computed in blocks of fixed size, and
//! the blocks are added in order. So results do not depend on the number of threads.

mod adamw;
mod attention;
mod cross_entropy;
mod dropout;
mod embedding;
mod gelu;
#[cfg(test)]
mod gradient_check;
mod layer_norm;
mod linear;
mod matrix;
mod neighbours;
mod relu;
mod span_sum;
mod vectors;
mod weight;

pub use adamw::AdamW;
pub use attention::{SentenceLengths, attention};
pub use cross_entropy::cross_entropy;
pub use dropout::{Dropout, dropout};
pub use embedding::embedding;
pub use gelu::gelu;
pub use layer_norm::{Norm, layer_norm, residual_norm};
pub use linear::{Linear, linear, linears};
pub use neighbours::neighbours;
pub use relu::relu;
pub use span_sum::{SpanRows, span_sum};
pub use weight::{Gradient, Part, Weight};

use candle_core::{CpuStorage, Layout, Result, Storage, Tensor};

/// Number of rows handled by one task.
const ROWS: usize = 64;

/// Returns the values of a contiguous f32 tensor.
fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => candle_core::bail!("the operation needs a contiguous tensor"),
    }
}

/// Returns the width of the last dimension.
fn last_dim(layout: &Layout) -> usize {
    layout.dims().last().copied().unwrap_or(1)
}

/// Calls `read` with the values of a contiguous f32 tensor on the CPU.
fn of_cpu<R>(tensor: &Tensor, read: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => Ok(read(values(storage, layout)?)),
        _ => candle_core::bail!("the operation needs a tensor on the CPU"),
    }
}
