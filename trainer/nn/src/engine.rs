//! The interface between a model and the engine that computes it.

use std::sync::Arc;

use anyhow::{Result, ensure};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::{Dropout, Linear, Norm, Rates, Tape, Weight};
use crate::batch::{Batch, SpanRows};

/// Holds the weights of one model with their gradients and AdamW's state, and computes with them.
pub trait Engine: Send {
    /// Returns whether batches must be padded.
    fn pads(&self) -> bool;

    /// Returns the operations for a batch.
    ///
    /// # Errors
    /// When the batch is padded and should not be, or is not padded and should be.
    fn operations<'a>(&'a self, batch: &'a Batch) -> Result<Box<dyn Operations + 'a>>;

    /// Adds two tensors of the same shape and dtype.
    ///
    /// # Errors
    /// When the device fails.
    fn add(&self, a: &Tensor, b: &Tensor) -> Result<Tensor>;

    /// Deletes all gradients, before a new backward pass.
    fn clear_gradients(&self);

    /// Returns whether a weight got a gradient since they were deleted.
    fn has_gradient(&self, weight: Weight) -> bool;

    /// Appends the gradient of a weight to a list on the CPU. Without a gradient it appends nothing.
    ///
    /// # Errors
    /// When the device fails.
    fn append_gradient(&self, weight: Weight, to: &mut Vec<f32>) -> Result<()>;

    /// Returns the rows of a table that have a gradient.
    ///
    /// # Errors
    /// When the device fails.
    fn table_gradient(&self, table: Weight) -> Result<TableRows>;

    /// Replaces the gradient of a weight.
    ///
    /// # Errors
    /// When it has another number of elements, or the device fails.
    fn set_gradient(&self, weight: Weight, gradient: &[f32]) -> Result<()>;

    /// Replaces the gradient of a table by the sum of `shares`.
    ///
    /// # Errors
    /// When the table lacks a row, or the device fails.
    fn set_table_gradient(&self, table: Weight, shares: &[&TableRows]) -> Result<()>;

    /// Makes one step of AdamW with the gradients.
    ///
    /// # Errors
    /// When a trained weight has no gradient, or the device fails.
    fn step(&self, rates: Rates) -> Result<()>;

    /// Copies the values of weights, on the device that computes.
    ///
    /// # Errors
    /// When memory is full.
    fn values(&self, weights: &[Weight]) -> Result<Vec<Tensor>>;

    /// Sets the values of all trained weights, in their order. The tensors may be on any device.
    ///
    /// # Errors
    /// When there are too few tensors, or one has another shape.
    fn set_values(&self, values: &[Tensor]) -> Result<()>;

    /// Copies the state of AdamW of all trained weights.
    ///
    /// # Errors
    /// When memory is full.
    fn moments(&self) -> Result<Vec<Moments>>;

    /// Sets the state of AdamW of all trained weights, in their order.
    ///
    /// # Errors
    /// When there are too few, or one has another shape.
    fn set_moments(&self, moments: &[Moments]) -> Result<()>;
}

/// The gradient of some rows of a table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TableRows {
    /// The rows, in ascending order.
    pub ids: Vec<u32>,
    /// Their gradients, one after the other.
    pub values: Vec<f32>,
}

impl TableRows {
    /// Checks that these are rows of a table of this size.
    ///
    /// # Errors
    /// When a row lies outside, or the number of values is another one.
    pub(super) fn check(&self, rows: usize, width: usize) -> Result<()> {
        let fits = self.values.len() == self.ids.len() * width && self.ids.iter().all(|&id| (id as usize) < rows);
        ensure!(fits, "rows of another table");
        Ok(())
    }
}

/// State of AdamW for one weight.
#[derive(Debug, Clone)]
pub struct Moments {
    /// Running mean of the gradient, in the shape of the weight.
    pub first: Tensor,
    /// Running mean of the squared gradient, in the shape of the weight.
    pub second: Tensor,
    /// Number of steps so far.
    pub steps: i32,
}

/// The differentiable operations on one batch. Each records itself on the tape. Without a mask there is no dropout.
pub trait Operations {
    /// Returns the rows `ids` of a table, `[ids.len(), d]`.
    fn embedding(&self, tape: &mut Tape, table: Weight, ids: Arc<[u32]>) -> Result<Tensor>;

    /// Applies layers to the same input, and puts their outputs beside each other. With `precise` it computes in
    /// f32, even if other products use another dtype.
    fn linears(&self, tape: &mut Tape, x: &Tensor, layers: &[Linear], precise: bool) -> Result<Tensor>;

    /// Applies layer norm to the last dimension.
    fn layer_norm(&self, tape: &mut Tape, x: &Tensor, norm: Norm) -> Result<Tensor>;

    /// Computes `LN(residual + dropout(x))`.
    fn residual_norm(
        &self,
        tape: &mut Tape,
        x: &Tensor,
        mask: Option<Dropout>,
        residual: &Tensor,
        norm: Norm,
    ) -> Result<Tensor>;

    /// Applies self-attention inside each window, with dropout on the probabilities. `qkv` is `[rows, 3·heads·d]`
    /// with queries, keys and values beside each other; the result is `[rows, heads·d]`.
    fn attention(&self, tape: &mut Tape, qkv: &Tensor, heads: usize, mask: Option<Dropout>) -> Result<Tensor>;

    /// Applies GELU, `x·Φ(x)`, where Φ is the normal distribution function.
    fn gelu(&self, tape: &mut Tape, x: &Tensor) -> Result<Tensor>;

    /// Applies the GELU variant with the hyperbolic tangent.
    fn gelu_tanh(&self, tape: &mut Tape, x: &Tensor) -> Result<Tensor>;

    /// Computes `dropout(max(x, 0))`.
    fn relu(&self, tape: &mut Tape, x: &Tensor, mask: Option<Dropout>) -> Result<Tensor>;

    /// Applies dropout.
    fn dropout(&self, tape: &mut Tape, x: &Tensor, mask: Dropout) -> Result<Tensor>;

    /// Returns `[rows, 3·d]` for `[rows, d]`: previous row, own row, next row of the same window.
    fn neighbours(&self, tape: &mut Tape, x: &Tensor) -> Result<Tensor>;

    /// Returns for each span `starts[start] + ends[end] + widths[width]`, `[spans, d]`.
    fn span_sum(
        &self,
        tape: &mut Tape,
        starts: &Tensor,
        ends: &Tensor,
        widths: &Tensor,
        rows: Arc<SpanRows>,
    ) -> Result<Tensor>;

    /// Returns Σ −log softmax(logits)\[target\] over the rows of `logits` `[rows, labels]` with a target.
    fn cross_entropy(&self, tape: &mut Tape, logits: &Tensor, targets: Vec<Option<u32>>) -> Result<Tensor>;

    /// Returns for each row of `vectors` `[n, d]` the sum of its cosines to the rows with `chosen[i]`.
    fn sums_of_cosines(&self, vectors: &Tensor, chosen: &[bool]) -> Result<Vec<f32>>;
}
