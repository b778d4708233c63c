//! Fully connected layers: `y = x·Wᵀ + b` with x `[m, k]`, W `[n, k]`, b `[n]`.

use candle_core::{DType, Result, Tensor};

use super::{Placed, Tape, TensorGradient, sum_of_rows};
use crate::nn::kernels::{Linear, Weight};

/// Applies several layers to the same input and puts their outputs beside each other. It is one matrix product in
/// `dtype`, which is also the dtype of the result.
///
/// # Errors
/// When shapes do not fit.
pub fn linears(tape: &mut Tape, x: &Tensor, layers: &[&Linear], dtype: DType) -> Result<Tensor> {
    let rounded = dtype != DType::F32;
    let placed = layers.iter().map(|layer| layer.weight.placed()).collect::<Result<Vec<_>>>()?;
    let weight = Placed::below_each_other(&placed, rounded)?;
    let input = x.to_dtype(dtype)?.contiguous()?;
    let mut y = input.matmul(&weight.t()?)?;
    let biases: Vec<&Weight> = layers.iter().filter_map(|layer| layer.bias.as_ref()).collect();
    if !biases.is_empty() {
        if biases.len() != layers.len() {
            candle_core::bail!("linear: of layers beside each other, all or none have a bias");
        }
        let biases = biases.iter().map(|bias| bias.placed()).collect::<Result<Vec<_>>>()?;
        y = y.broadcast_add(&Placed::below_each_other(&biases, rounded)?)?;
    }
    let layers: Vec<Linear> = layers.iter().map(|&layer| layer.clone()).collect();
    let x_dtype = x.dtype();
    tape.record(&y, &[x], move |g| {
        let all = g.t()?.matmul(&input)?;
        let biases = if biases_are_there(&layers) { Some(sum_of_rows(g)?.flatten_all()?) } else { None };
        let mut at = 0;
        for layer in &layers {
            let weight = layer.weight.placed()?;
            let n = weight.shape().first().copied().unwrap_or(0);
            weight.add(TensorGradient { sums: all.narrow(0, at, n)?, touched: None })?;
            if let (Some(bias), Some(sums)) = (&layer.bias, &biases) {
                bias.placed()?.add(TensorGradient { sums: sums.narrow(0, at, n)?, touched: None })?;
            }
            at += n;
        }
        Ok(vec![g.matmul(&weight)?.to_dtype(x_dtype)?])
    });
    Ok(y)
}

fn biases_are_there(layers: &[Linear]) -> bool {
    layers.iter().any(|layer| layer.bias.is_some())
}
