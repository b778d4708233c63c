//! The engine of GPUs: operations built from tensor operations that every device has, on padded sentences. Nothing
//! here is written for one device, so the same computation is tested on the CPU.
//!
//! On a GPU, starting an operation costs more than its arithmetic. Three things make the operations fast there:
//! - Gradients are analytic. candle's backward pass adds every gradient to new zeros, and candle's fused softmax
//!   and layer norm have no gradient.
//! - Nothing is scattered. The backward pass of a look-up is a look-up with the inverse indices (see `gather`),
//!   and sums over rows are matrix products with a row of ones.
//! - Weights, moments and gradients are stored one after the other in a few long tensors (see `store`). So a step
//!   of AdamW is a dozen operations for any number of weights.
//!
//! [`Padding`] describes the rows of a batch. Rows of padding hold numbers that nothing reads, and get the gradient
//! 0. Matrix products use f32 or bf16. Layer norm, softmax, the last layer, the loss and the optimizer use f32.

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
#[cfg(test)]
mod tests;
mod weight;

use std::sync::Arc;

use anyhow::Context;
use candle_core::{DType, Device, Result, Tensor};

use super::engine::{Engine, Moments, Operations, TableRows};
use super::{Dropout, Linear, Norm, Rates, StartingValues, Tape, Weight};
use crate::batch::{Batch, SpanRows};
use dropout::MaskPool;
use store::Store;
use weight::{TensorGradient, TensorWeight};

/// The weights of a model on a device.
pub struct Tensors {
    device: Device,
    /// Type of the numbers in matrix products.
    dtype: DType,
    /// All weights, in their order.
    weights: Vec<Arc<TensorWeight>>,
    /// The trained weights.
    store: Store,
    masks: MaskPool,
}

impl Tensors {
    /// Copies the declared weights of a model to a device, in their order. Matrix products will be in this dtype.
    ///
    /// # Errors
    /// When the device does not have enough memory.
    pub fn new(weights: &[StartingValues], dtype: DType, device: &Device) -> Result<Self> {
        let trained: Vec<&StartingValues> = weights.iter().filter(|weight| weight.group.is_some()).collect();
        let (store, placed) = Store::new(&trained, dtype, device)?;
        let mut placed = placed.into_iter();
        let place = |weight: &StartingValues| match weight.group.and_then(|_| placed.next()) {
            Some(trained) => Ok(Arc::new(trained)),
            None => {
                // Rows of tables are looked up in f32.
                let dtype = if weight.is_table { DType::F32 } else { dtype };
                Ok(Arc::new(TensorWeight::frozen(&weight.values.to_device(device)?, dtype)?))
            }
        };
        let weights = weights.iter().map(place).collect::<Result<_>>()?;
        Ok(Self { device: device.clone(), dtype, weights, store, masks: MaskPool::new(device) })
    }

    fn weight(&self, weight: Weight) -> anyhow::Result<&Arc<TensorWeight>> {
        self.weights.get(weight.0).context("a weight of another model")
    }
}

impl Engine for Tensors {
    fn pads(&self) -> bool {
        true
    }

    fn operations<'a>(&'a self, batch: &'a Batch) -> anyhow::Result<Box<dyn Operations + 'a>> {
        let padded = batch.padded.as_ref().context("tensor operations take padded batches")?;
        let padding = Padding::new(&batch.lengths, padded.length, &self.device)?;
        Ok(Box::new(OfBatch { tensors: self, batch, padding }))
    }

    fn add(&self, a: &Tensor, b: &Tensor) -> anyhow::Result<Tensor> {
        Ok((a + b)?)
    }

    fn clear_gradients(&self) {
        self.weights.iter().for_each(|weight| weight.clear());
    }

    fn has_gradient(&self, weight: Weight) -> bool {
        self.weights.get(weight.0).is_some_and(|weight| weight.gradient().is_some())
    }

    fn append_gradient(&self, weight: Weight, to: &mut Vec<f32>) -> anyhow::Result<()> {
        if let Some(gradient) = self.weight(weight)?.gradient() {
            to.extend(single(&gradient.sums)?.flatten_all()?.to_vec1::<f32>()?);
        }
        Ok(())
    }

    fn table_gradient(&self, table: Weight) -> anyhow::Result<TableRows> {
        let Some(TensorGradient { sums, touched }) = self.weight(table)?.gradient() else {
            return Ok(TableRows::default());
        };
        let is_touched = touched.map(|touched| touched.flatten_all()?.to_vec1::<u8>()).transpose()?;
        let rows = 0..sums.dim(0)? as u32;
        let ids: Vec<u32> = match is_touched {
            Some(is_touched) => rows.zip(is_touched).filter(|&(_, touched)| touched != 0).map(|(id, _)| id).collect(),
            None => rows.collect(),
        };
        let values = single(&sums)?.index_select(&indices(&ids, &sums)?, 0)?.flatten_all()?.to_vec1()?;
        Ok(TableRows { ids, values })
    }

    fn set_gradient(&self, weight: Weight, gradient: &[f32]) -> anyhow::Result<()> {
        let weight = self.weight(weight)?;
        let sums = Tensor::from_slice(gradient, weight.shape(), &self.device)?;
        weight.clear();
        Ok(weight.add(TensorGradient { sums, touched: None })?)
    }

    fn set_table_gradient(&self, table: Weight, shares: &[&TableRows]) -> anyhow::Result<()> {
        let weight = self.weight(table)?;
        let elements: usize = weight.shape().iter().product();
        let width = weight.shape().last().copied().unwrap_or(1);
        let rows = elements / width.max(1);
        let (mut sums, mut touched) = (vec![0f32; elements], vec![0u8; rows]);
        for share in shares {
            share.check(rows, width)?;
            for (&id, values) in share.ids.iter().zip(share.values.chunks_exact(width.max(1))) {
                touched[id as usize] = 1;
                for (sum, value) in sums[id as usize * width..].iter_mut().zip(values) {
                    *sum += value;
                }
            }
        }
        let sums = Tensor::from_vec(sums, weight.shape(), &self.device)?;
        let touched = Tensor::from_vec(touched, rows, &self.device)?;
        weight.clear();
        Ok(weight.add(TensorGradient { sums, touched: Some(touched) })?)
    }

    fn step(&self, rates: Rates) -> anyhow::Result<()> {
        let trained = self.weights.iter().filter(|weight| weight.is_trained());
        let gradient = |weight: &Arc<TensorWeight>| weight.gradient().context("a weight has no gradient");
        let gradients = trained.map(gradient).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(self.store.step(&gradients, rates)?)
    }

    fn values(&self, weights: &[Weight]) -> anyhow::Result<Vec<Tensor>> {
        let mut copies = self.store.values()?.into_iter();
        // Frozen weights never change, so they need no copy.
        let of = |weight: &Arc<TensorWeight>| match weight.is_trained() {
            true => copies.next().context("a weight has no place"),
            false => Ok(weight.values()?),
        };
        let all = self.weights.iter().map(of).collect::<anyhow::Result<Vec<Tensor>>>()?;
        weights.iter().map(|weight| all.get(weight.0).cloned().context("a weight of another model")).collect()
    }

    fn set_values(&self, values: &[Tensor]) -> anyhow::Result<()> {
        Ok(self.store.set_values(values)?)
    }

    fn moments(&self) -> anyhow::Result<Vec<Moments>> {
        Ok(self.store.moments()?)
    }

    fn set_moments(&self, moments: &[Moments]) -> anyhow::Result<()> {
        Ok(self.store.set_moments(moments)?)
    }
}

/// The operations on one batch.
struct OfBatch<'a> {
    tensors: &'a Tensors,
    batch: &'a Batch,
    padding: Padding,
}

impl OfBatch<'_> {
    fn norm(&self, norm: Norm) -> anyhow::Result<Norm<Arc<TensorWeight>>> {
        norm.try_map(|&weight| self.tensors.weight(weight).cloned())
    }

    fn mask(&self, mask: Option<Dropout>, shape: &[usize], dtype: DType) -> Result<Option<Tensor>> {
        mask.map(|mask| self.tensors.masks.mask(mask, shape, dtype)).transpose()
    }
}

impl Operations for OfBatch<'_> {
    fn embedding(&self, tape: &mut Tape, table: Weight, ids: Arc<[u32]>) -> anyhow::Result<Tensor> {
        Ok(embedding::embedding(tape, self.tensors.weight(table)?, ids)?)
    }

    fn linears(&self, tape: &mut Tape, x: &Tensor, layers: &[Linear], precise: bool) -> anyhow::Result<Tensor> {
        let layer = |layer: &Linear| layer.try_map(|&weight| self.tensors.weight(weight).cloned());
        let layers = layers.iter().map(layer).collect::<anyhow::Result<_>>()?;
        Ok(linear::linears(tape, x, layers, if precise { DType::F32 } else { self.tensors.dtype })?)
    }

    fn layer_norm(&self, tape: &mut Tape, x: &Tensor, norm: Norm) -> anyhow::Result<Tensor> {
        Ok(layer_norm::layer_norm(tape, x, self.norm(norm)?)?)
    }

    fn residual_norm(
        &self,
        tape: &mut Tape,
        x: &Tensor,
        mask: Option<Dropout>,
        residual: &Tensor,
        norm: Norm,
    ) -> anyhow::Result<Tensor> {
        let mask = self.mask(mask, x.dims(), DType::F32)?;
        Ok(layer_norm::residual_norm(tape, x, mask, residual, self.norm(norm)?)?)
    }

    fn attention(&self, tape: &mut Tape, qkv: &Tensor, heads: usize, mask: Option<Dropout>) -> anyhow::Result<Tensor> {
        let Padding { blocks, length, .. } = self.padding;
        let mask = self.mask(mask, &[blocks, heads, length, length], DType::F32)?;
        Ok(attention::attention(tape, qkv, heads, &self.padding, mask)?)
    }

    fn gelu(&self, tape: &mut Tape, x: &Tensor) -> anyhow::Result<Tensor> {
        Ok(activation::gelu(tape, x)?)
    }

    fn gelu_tanh(&self, tape: &mut Tape, x: &Tensor) -> anyhow::Result<Tensor> {
        Ok(activation::gelu_tanh(tape, x)?)
    }

    fn relu(&self, tape: &mut Tape, x: &Tensor, mask: Option<Dropout>) -> anyhow::Result<Tensor> {
        let mask = self.mask(mask, x.dims(), x.dtype())?;
        Ok(activation::relu(tape, x, mask)?)
    }

    fn dropout(&self, tape: &mut Tape, x: &Tensor, mask: Dropout) -> anyhow::Result<Tensor> {
        Ok(dropout::dropout(tape, x, self.tensors.masks.mask(mask, x.dims(), x.dtype())?)?)
    }

    fn neighbours(&self, tape: &mut Tape, x: &Tensor) -> anyhow::Result<Tensor> {
        Ok(gather::neighbours(tape, x, &self.batch.lengths, self.padding.length)?)
    }

    fn span_sum(
        &self,
        tape: &mut Tape,
        starts: &Tensor,
        ends: &Tensor,
        widths: &Tensor,
        rows: Arc<SpanRows>,
    ) -> anyhow::Result<Tensor> {
        Ok(gather::span_sum(tape, starts, ends, widths, &rows)?)
    }

    fn cross_entropy(&self, tape: &mut Tape, logits: &Tensor, targets: Vec<Option<u32>>) -> anyhow::Result<Tensor> {
        Ok(cross_entropy::cross_entropy(tape, logits, &targets)?)
    }

    fn sums_of_cosines(&self, vectors: &Tensor, chosen: &[bool]) -> anyhow::Result<Vec<f32>> {
        Ok(similarity::sums_of_cosines(vectors, chosen)?)
    }
}

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
