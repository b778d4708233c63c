//! A forward pass: the operations in which models are written.

use std::sync::Arc;

use anyhow::{Context, Result};
use candle_core::{D, Tensor};

use super::{Dropout, Engine, Linear, Masks, Norm, Operations, Tape, Weight};
use crate::batch::{Batch, SpanRows};

/// The operations of a forward pass over a batch. It records them for the backward pass, and supplies the dropout
/// masks.
///
/// The dropout rate of an operation may be `None`. Then no random number is drawn.
pub struct Pass<'a> {
    engine: &'a dyn Engine,
    batch: &'a Batch,
    masks: Masks,
    /// Whether the rows of tensors are spans now, and no longer rows of the encoder.
    rows_are_spans: bool,
    operations: Box<dyn Operations + 'a>,
    tape: Tape,
}

/// A loss that is ready for its backward pass.
pub struct Loss {
    /// The loss, a scalar.
    pub value: Tensor,
    /// The operations that led to it.
    pub tape: Tape,
}

impl<'a> Pass<'a> {
    /// Begins a pass over a batch, packed or padded as the engine needs it. A backward pass needs a recording tape.
    ///
    /// # Errors
    /// When the batch is padded and should not be, or is not padded and should be.
    pub fn new(engine: &'a dyn Engine, batch: &'a Batch, masks: Masks, tape: Tape) -> Result<Self> {
        Ok(Self { engine, batch, masks, rows_are_spans: false, operations: engine.operations(batch)?, tape })
    }

    /// Returns the batch.
    pub fn batch(&self) -> &'a Batch {
        self.batch
    }

    /// Returns the recorded operations.
    pub fn into_tape(self) -> Tape {
        self.tape
    }

    /// Returns the next mask for the rows of `x`.
    fn mask(&mut self, rate: Option<f32>, x: &Tensor) -> Option<Dropout> {
        let before = if self.rows_are_spans { self.masks.before.spans } else { self.masks.before.rows };
        let width = x.dims().last().copied().unwrap_or(1);
        rate.and_then(|rate| self.masks.next(rate, before * width))
    }

    /// Looks up the rows `ids` of a table.
    pub fn embedding(&mut self, table: Weight, ids: Arc<[u32]>) -> Result<Tensor> {
        self.operations.embedding(&mut self.tape, table, ids)
    }

    /// Applies a fully connected layer.
    pub fn linear(&mut self, x: &Tensor, layer: Linear) -> Result<Tensor> {
        self.linears(x, &[layer])
    }

    /// Applies several layers to the same input, and puts their outputs beside each other.
    pub fn linears(&mut self, x: &Tensor, layers: &[Linear]) -> Result<Tensor> {
        self.operations.linears(&mut self.tape, x, layers, false)
    }

    /// Applies a fully connected layer in f32, even if other layers use another dtype.
    pub fn precise_linear(&mut self, x: &Tensor, layer: Linear) -> Result<Tensor> {
        self.operations.linears(&mut self.tape, x, &[layer], true)
    }

    /// Applies layer norm.
    pub fn layer_norm(&mut self, x: &Tensor, norm: Norm) -> Result<Tensor> {
        self.operations.layer_norm(&mut self.tape, x, norm)
    }

    /// Computes `LN(residual + dropout(x))`.
    pub fn residual_norm(&mut self, x: &Tensor, rate: Option<f32>, residual: &Tensor, norm: Norm) -> Result<Tensor> {
        let mask = self.mask(rate, x);
        self.operations.residual_norm(&mut self.tape, x, mask, residual, norm)
    }

    /// Applies self-attention inside each window, with dropout on the probabilities.
    pub fn attention(&mut self, qkv: &Tensor, heads: usize, rate: Option<f32>) -> Result<Tensor> {
        let before = self.masks.before.pairs * heads;
        let mask = rate.and_then(|rate| self.masks.next(rate, before));
        self.operations.attention(&mut self.tape, qkv, heads, mask)
    }

    /// Applies GELU, `x·Φ(x)`.
    pub fn gelu(&mut self, x: &Tensor) -> Result<Tensor> {
        self.operations.gelu(&mut self.tape, x)
    }

    /// Applies the GELU variant with the hyperbolic tangent.
    pub fn gelu_tanh(&mut self, x: &Tensor) -> Result<Tensor> {
        self.operations.gelu_tanh(&mut self.tape, x)
    }

    /// Computes `dropout(max(x, 0))`.
    pub fn relu(&mut self, x: &Tensor, rate: Option<f32>) -> Result<Tensor> {
        let mask = self.mask(rate, x);
        self.operations.relu(&mut self.tape, x, mask)
    }

    /// Applies dropout.
    pub fn dropout(&mut self, x: &Tensor, rate: Option<f32>) -> Result<Tensor> {
        match self.mask(rate, x) {
            Some(mask) => self.operations.dropout(&mut self.tape, x, mask),
            None => Ok(x.clone()),
        }
    }

    /// Puts each row beside its neighbours in the same window.
    pub fn neighbours(&mut self, x: &Tensor) -> Result<Tensor> {
        self.operations.neighbours(&mut self.tape, x)
    }

    /// Returns for each span the sum of its three parts. From then on, the rows of tensors are spans.
    pub fn span_sum(&mut self, starts: &Tensor, ends: &Tensor, widths: &Tensor, rows: Arc<SpanRows>) -> Result<Tensor> {
        self.rows_are_spans = true;
        self.operations.span_sum(&mut self.tape, starts, ends, widths, rows)
    }

    /// Adds two tensors of the same shape and dtype.
    pub fn add(&mut self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        let sum = self.engine.add(a, b)?;
        self.tape.record(&sum, &[a, b], |g| Ok(vec![g.clone(), g.clone()]));
        Ok(sum)
    }

    /// Puts two tensors of the same dtype beside each other, along the last dimension.
    pub fn beside(&mut self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        let both = Tensor::cat(&[a, b], D::Minus1)?;
        let width = |x: &Tensor| x.dims().last().copied().context("a tensor without dimensions");
        let (left, right) = (width(a)?, width(b)?);
        self.tape.record(&both, &[a, b], move |g| {
            Ok(vec![g.narrow(D::Minus1, 0, left)?.contiguous()?, g.narrow(D::Minus1, left, right)?.contiguous()?])
        });
        Ok(both)
    }

    /// Returns for each row of `vectors` `[n, d]` the sum of its cosines to the rows with `chosen[i]`.
    ///
    /// # Errors
    /// When the number of choices is not the number of rows.
    pub fn sums_of_cosines(&self, vectors: &Tensor, chosen: &[bool]) -> Result<Vec<f32>> {
        self.operations.sums_of_cosines(vectors, chosen)
    }

    /// Ends the pass with the cross entropy of the logits, summed over the rows with a target.
    ///
    /// # Errors
    /// When the number of targets is not the number of rows, or a target has no logit.
    pub fn cross_entropy(mut self, logits: &Tensor, targets: Vec<Option<u32>>) -> Result<Loss> {
        let value = self.operations.cross_entropy(&mut self.tape, logits, targets)?;
        Ok(Loss { value, tape: self.tape })
    }
}
