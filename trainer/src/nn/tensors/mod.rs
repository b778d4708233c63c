//! The differentiable operations of [`crate::nn::kernels`] for GPUs, built from tensor operations that every device has.
//! Nothing here is written for one device, so the same computation is tested on the CPU.
//!
//! On a GPU, starting an operation costs more than its arithmetic. Three things make the operations fast there:
//! - Gradients are analytic and use a [`Tape`] of this crate. candle's backward pass adds every gradient to new
//!   zeros, and candle's fused softmax and layer norm have no gradient.
//! - Nothing is scattered. The backward pass of a look-up is a look-up with the inverse indices (see `gather`),
//!   and sums over rows are matrix products with a row of ones.
//! - Weights, moments and gradients are stored one after the other in a few long tensors (see `store`). So a step
//!   of AdamW is a dozen operations for any number of weights.
//!
//! Batches are padded, and [`Padding`] describes the rows. Rows of padding hold numbers that nothing reads, and
//! get the gradient 0. Matrix products use the dtype of [`Pass`](crate::nn::Pass), f32 or bf16. Layer norm,
//! softmax, the last layer, the loss and the optimizer use f32.

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

/// Rows of a padded batch: `blocks` windows of `length` rows each. In each window only the first rows count.
#[derive(Debug, Clone)]
pub struct Padding {
    /// Number of windows.
    pub blocks: usize,
    /// Number of rows of each window, including padding.
    pub length: usize,
    /// Added to attention scores, `[blocks, 1, 1, length]`. It is 0, or for padding so low that the probability is
    /// 0.
    pub key_bias: Tensor,
}

/// Low enough for a probability of exactly 0, but finite, so that even a window of nothing but padding gives no
/// NaN.
const NEVER: f32 = -1e30;

impl Padding {
    /// Creates the padding of windows with these numbers of rows to `length` rows.
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

/// Returns the sum of the rows of `x` `[n, d]`, as `[1, d]`.
///
/// It is a matrix product with ones. candle's sum over the first dimension works on one strided column at a time,
/// and on some devices it has no wider accumulator for bf16.
fn sum_of_rows(x: &Tensor) -> Result<Tensor> {
    let ones = Tensor::ones((1, x.dims2()?.0), x.dtype(), x.device())?;
    ones.matmul(x)
}

/// Returns indices as a tensor on the device of `like`.
fn indices(ids: &[u32], like: &Tensor) -> Result<Tensor> {
    Tensor::new(ids, like.device())
}

/// Converts a tensor to f32.
fn single(x: &Tensor) -> Result<Tensor> {
    x.to_dtype(DType::F32)
}
