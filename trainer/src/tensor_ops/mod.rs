//! The differentiable operations of [`crate::ops`] once more, from tensor operations that every device has: the way a
//! GPU computes. Nothing here is written for one device, so that on the CPU the very same computation is tested.
//!
//! Three things make them fast on a GPU, where starting an operation costs more than its arithmetic:
//! - gradients are analytic and go over a [`Tape`] of our own: candle's backward pass adds every gradient to fresh
//!   zeros, and its fused softmax and layer norm have none;
//! - nothing is scattered: the backward pass of a look-up is a look-up by the inverse indices (see `gather`), and
//!   sums over rows are matrix products with a row of ones;
//! - weights, moments and gradients lie one after the other in few long tensors (see `store`), so that a step of
//!   AdamW is a dozen operations, whatever the number of weights.
//!
//! Batches are padded: [`Padding`] says where the rows are. Rows of padding hold numbers that nothing reads, and
//! receive gradient 0. Matrix products are made in the dtype of [`Pass`](crate::compute::Pass), f32 or bf16; layer
//! norm, softmax, the last layer, the loss and the optimizer are f32.

mod activation;
mod adamw;
mod attention;
mod cross_entropy;
mod dropout;
mod embedding;
mod gather;
mod layer_norm;
mod linear;
mod similarity;
mod store;
mod tape;
#[cfg(test)]
mod tests;
mod weight;

pub use activation::{gelu, gelu_tanh, relu};
pub use attention::attention;
pub use cross_entropy::cross_entropy;
pub use dropout::{MaskPool, dropout};
pub use embedding::embedding;
pub use gather::{neighbours, span_sum};
pub use layer_norm::{layer_norm, residual_norm};
pub use linear::linears;
pub use similarity::sums_of_cosines;
pub use store::{Layout, Store};
pub use tape::{Gradients, Tape};
pub use weight::{Placed, TensorGradient};

use candle_core::{DType, Device, Result, Tensor};

/// Where the rows of a padded batch are: `blocks` stretches of `length` rows each, of which only the first count.
#[derive(Debug, Clone)]
pub struct Padding {
    /// Number of stretches.
    pub blocks: usize,
    /// Rows of each, padding included.
    pub length: usize,
    /// Added to attention scores, `[blocks, 1, 1, length]`: 0, and at padding so low that its probability is 0.
    pub key_bias: Tensor,
}

/// Low enough for a probability of exactly 0, and finite, so that not even a stretch of padding alone makes NaN.
const NEVER: f32 = -1e30;

impl Padding {
    /// For stretches with these numbers of rows that count, padded to `length`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn new(lengths: &[usize], length: usize, device: &Device) -> Result<Self> {
        let bias: Vec<f32> =
            lengths.iter().flat_map(|&real| (0..length).map(move |row| if row < real { 0.0 } else { NEVER })).collect();
        let key_bias = Tensor::from_vec(bias, (lengths.len(), 1, 1, length), device)?;
        Ok(Self { blocks: lengths.len(), length, key_bias })
    }
}

/// The sum of the rows of `x` `[n, d]`: `[1, d]`. A product with ones: candle sums over the first dimension one
/// strided column at a time, and in bf16 without a wider accumulator on some devices.
fn sum_of_rows(x: &Tensor) -> Result<Tensor> {
    let ones = Tensor::ones((1, x.dims2()?.0), x.dtype(), x.device())?;
    ones.matmul(x)
}

/// Indices on the device of `like`.
fn indices(ids: &[u32], like: &Tensor) -> Result<Tensor> {
    Tensor::new(ids, like.device())
}

/// In f32.
fn single(x: &Tensor) -> Result<Tensor> {
    x.to_dtype(DType::F32)
}
