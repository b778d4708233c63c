//! A forward pass: the operations in which models are written.

use std::sync::Arc;

use anyhow::{Context, Result};
use candle_core::{D, DType, Tensor};

use super::{Compute, TensorCompute};
use crate::batch::Batch;
use crate::nn::kernels::{self, Dropout, Linear, Norm, SpanRows, Weight};
use crate::nn::tensors::{self as tensors, Padding, Tape};
use crate::random::Masks;

/// The operations of a forward pass over a batch. It knows the layout of the rows and supplies the dropout masks.
///
/// The dropout rate of an operation may be `None`. Then no random number is drawn.
pub struct Pass<'a> {
    batch: &'a Batch,
    masks: &'a mut Masks,
    way: Way<'a>,
}

enum Way<'a> {
    Kernels,
    Tensors { compute: &'a TensorCompute, padding: Padding, tape: Tape },
}

impl<'a> Pass<'a> {
    /// Begins a pass over a batch, which must be packed or padded as the computation needs it. Tensor operations
    /// have a backward pass only if `differentiable` is set.
    ///
    /// # Errors
    /// When a batch that must be padded is not padded, or a batch that must be packed is padded.
    pub fn new(compute: &'a Compute, batch: &'a Batch, masks: &'a mut Masks, differentiable: bool) -> Result<Self> {
        let way = match (compute, &batch.padded) {
            (Compute::Kernels, None) => Way::Kernels,
            (Compute::Tensors(compute), Some(padded)) => {
                let padding = Padding::new(&batch.lengths, padded.length, &compute.device)?;
                let tape = if differentiable { Tape::recording() } else { Tape::silent() };
                Way::Tensors { compute, padding, tape }
            }
            (Compute::Kernels, Some(_)) => anyhow::bail!("the kernels of the CPU take packed batches"),
            (Compute::Tensors(_), None) => anyhow::bail!("tensor operations take padded batches"),
        };
        Ok(Self { batch, masks, way })
    }

    /// Returns the batch.
    pub fn batch(&self) -> &'a Batch {
        self.batch
    }

    /// Returns the recorded operations, if candle does not keep them itself.
    pub fn into_tape(self) -> Option<Tape> {
        match self.way {
            Way::Kernels => None,
            Way::Tensors { tape, .. } => Some(tape),
        }
    }

    /// Looks up the rows `ids` of a table.
    pub fn embedding(&mut self, table: &Weight, ids: Arc<[u32]>) -> Result<Tensor> {
        Ok(match &mut self.way {
            Way::Kernels => kernels::embedding(table, ids)?,
            Way::Tensors { tape, .. } => tensors::embedding(tape, table, ids)?,
        })
    }

    /// Applies a fully connected layer.
    pub fn linear(&mut self, x: &Tensor, layer: &Linear) -> Result<Tensor> {
        self.linears(x, &[layer])
    }

    /// Applies several layers to the same input, and puts their outputs beside each other.
    pub fn linears(&mut self, x: &Tensor, layers: &[&Linear]) -> Result<Tensor> {
        Ok(match &mut self.way {
            Way::Kernels => kernels::linears(x, layers)?,
            Way::Tensors { compute, tape, .. } => tensors::linears(tape, x, layers, compute.dtype)?,
        })
    }

    /// Applies a fully connected layer in f32, even if other layers use another dtype.
    pub fn precise_linear(&mut self, x: &Tensor, layer: &Linear) -> Result<Tensor> {
        Ok(match &mut self.way {
            Way::Kernels => kernels::linear(x, layer)?,
            Way::Tensors { tape, .. } => tensors::linears(tape, x, &[layer], DType::F32)?,
        })
    }

    /// Applies layer norm.
    pub fn layer_norm(&mut self, x: &Tensor, norm: &Norm) -> Result<Tensor> {
        Ok(match &mut self.way {
            Way::Kernels => kernels::layer_norm(x, norm)?,
            Way::Tensors { tape, .. } => tensors::layer_norm(tape, x, norm)?,
        })
    }

    /// Computes `LN(residual + dropout(x))`.
    pub fn residual_norm(&mut self, x: &Tensor, rate: Option<f32>, residual: &Tensor, norm: &Norm) -> Result<Tensor> {
        let mask = rate.and_then(|rate| self.masks.next(rate));
        Ok(match &mut self.way {
            Way::Kernels => kernels::residual_norm(x, mask, residual, norm)?,
            Way::Tensors { compute, tape, .. } => {
                let mask = tensor_mask(compute, mask, x.dims(), DType::F32)?;
                tensors::residual_norm(tape, x, mask, residual, norm)?
            }
        })
    }

    /// Applies self-attention inside each window, with dropout on the probabilities.
    pub fn attention(&mut self, qkv: &Tensor, heads: usize, rate: Option<f32>) -> Result<Tensor> {
        let mask = rate.and_then(|rate| self.masks.next(rate));
        Ok(match &mut self.way {
            Way::Kernels => kernels::attention(qkv, heads, &self.batch.lengths, mask)?,
            Way::Tensors { compute, padding, tape } => {
                let shape = [padding.blocks, heads, padding.length, padding.length];
                let mask = tensor_mask(compute, mask, &shape, DType::F32)?;
                tensors::attention(tape, qkv, heads, padding, mask)?
            }
        })
    }

    /// Applies GELU, `x·Φ(x)`.
    pub fn gelu(&mut self, x: &Tensor) -> Result<Tensor> {
        Ok(match &mut self.way {
            Way::Kernels => kernels::gelu(x)?,
            Way::Tensors { tape, .. } => tensors::gelu(tape, x)?,
        })
    }

    /// Applies the GELU variant with the hyperbolic tangent.
    pub fn gelu_tanh(&mut self, x: &Tensor) -> Result<Tensor> {
        Ok(match &mut self.way {
            Way::Kernels => x.gelu()?,
            Way::Tensors { tape, .. } => tensors::gelu_tanh(tape, x)?,
        })
    }

    /// Computes `dropout(max(x, 0))`.
    pub fn relu(&mut self, x: &Tensor, rate: Option<f32>) -> Result<Tensor> {
        let mask = rate.and_then(|rate| self.masks.next(rate));
        Ok(match &mut self.way {
            Way::Kernels => kernels::relu(x, mask)?,
            Way::Tensors { compute, tape, .. } => {
                let mask = tensor_mask(compute, mask, x.dims(), x.dtype())?;
                tensors::relu(tape, x, mask)?
            }
        })
    }

    /// Applies dropout.
    pub fn dropout(&mut self, x: &Tensor, rate: Option<f32>) -> Result<Tensor> {
        let mask = rate.and_then(|rate| self.masks.next(rate));
        Ok(match &mut self.way {
            Way::Kernels => kernels::dropout(x, mask)?,
            Way::Tensors { compute, tape, .. } => {
                let mask = tensor_mask(compute, mask, x.dims(), x.dtype())?;
                tensors::dropout(tape, x, mask)?
            }
        })
    }

    /// Puts each row beside its neighbours in the same window.
    pub fn neighbours(&mut self, x: &Tensor) -> Result<Tensor> {
        Ok(match &mut self.way {
            Way::Kernels => kernels::neighbours(x, &self.batch.lengths)?,
            Way::Tensors { padding, tape, .. } => tensors::neighbours(tape, x, &self.batch.lengths, padding.length)?,
        })
    }

    /// Returns for each span the sum of its three parts.
    pub fn span_sum(&mut self, starts: &Tensor, ends: &Tensor, widths: &Tensor, rows: Arc<SpanRows>) -> Result<Tensor> {
        Ok(match &mut self.way {
            Way::Kernels => kernels::span_sum(starts, ends, widths, rows)?,
            Way::Tensors { tape, .. } => tensors::span_sum(tape, starts, ends, widths, &rows)?,
        })
    }

    /// Adds two tensors of the same shape and dtype.
    pub fn add(&mut self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        let sum = (a + b)?;
        if let Way::Tensors { tape, .. } = &mut self.way {
            tape.record(&sum, &[a, b], |g| Ok(vec![g.clone(), g.clone()]));
        }
        Ok(sum)
    }

    /// Puts two tensors of the same dtype beside each other, along the last dimension.
    pub fn beside(&mut self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        let both = Tensor::cat(&[a, b], D::Minus1)?;
        if let Way::Tensors { tape, .. } = &mut self.way {
            let width = |x: &Tensor| x.dims().last().copied().context("a tensor without dimensions");
            let (left, right) = (width(a)?, width(b)?);
            tape.record(&both, &[a, b], move |g| {
                Ok(vec![g.narrow(D::Minus1, 0, left)?.contiguous()?, g.narrow(D::Minus1, left, right)?.contiguous()?])
            });
        }
        Ok(both)
    }
}

fn tensor_mask(
    compute: &TensorCompute,
    mask: Option<Dropout>,
    shape: &[usize],
    dtype: DType,
) -> candle_core::Result<Option<Tensor>> {
    mask.map(|mask| compute.masks.mask(mask, shape, dtype)).transpose()
}
