//! Fully connected layers: `y = x·Wᵀ + b` with x `[m, k]`, W `[n, k]`, b `[n]`.

use std::sync::Arc;

use candle_core::{DType, Result, Tensor};

use super::{TensorGradient, TensorWeight, sum_of_rows};
use crate::{Linear, Tape};

type Layer = Linear<Arc<TensorWeight>>;

/// Applies several layers to the same input and puts their outputs beside each other. It is one matrix product in
/// `dtype`, which is also the dtype of the result.
///
/// # Errors
/// When shapes do not fit.
pub fn linears(tape: &mut Tape, x: &Tensor, layers: Vec<Layer>, dtype: DType) -> Result<Tensor> {
    let rounded = dtype != DType::F32;
    let weights: Vec<&TensorWeight> = layers.iter().map(|layer| &*layer.weight).collect();
    let weight = TensorWeight::below_each_other(&weights, rounded)?;
    let input = x.to_dtype(dtype)?.contiguous()?;
    let mut y = input.matmul(&weight.t()?)?;
    let biases: Vec<&TensorWeight> = layers.iter().filter_map(|layer| layer.bias.as_deref()).collect();
    if !biases.is_empty() {
        if biases.len() != layers.len() {
            candle_core::bail!("linear: of layers beside each other, all or none have a bias");
        }
        y = y.broadcast_add(&TensorWeight::below_each_other(&biases, rounded)?)?;
    }
    let x_dtype = x.dtype();
    tape.record(&y, &[x], move |g| {
        let all = g.t()?.matmul(&input)?;
        let has_biases = layers.iter().any(|layer| layer.bias.is_some());
        let biases = has_biases.then(|| sum_of_rows(g)?.flatten_all()).transpose()?;
        let mut at = 0;
        for layer in &layers {
            let n = layer.weight.shape().first().copied().unwrap_or(0);
            layer.weight.add(TensorGradient { sums: all.narrow(0, at, n)?, touched: None })?;
            if let (Some(bias), Some(sums)) = (&layer.bias, &biases) {
                bias.add(TensorGradient { sums: sums.narrow(0, at, n)?, touched: None })?;
            }
            at += n;
        }
        Ok(vec![g.matmul(&weight)?.to_dtype(x_dtype)?])
    });
    Ok(y)
}
