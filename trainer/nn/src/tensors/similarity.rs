//! Scores of top-negative sampling, computed on the device.

use candle_core::{D, DType, Result, Tensor};

use super::{single, sum_of_rows};

/// Returns for each row of `vectors` `[n, d]` the sum of its cosines to the rows with `chosen[i]`.
///
/// # Errors
/// When the number of choices is not the number of rows.
pub fn sums_of_cosines(vectors: &Tensor, chosen: &[bool]) -> Result<Vec<f32>> {
    let vectors = single(vectors)?;
    let n = vectors.dims2()?.0;
    let lengths = vectors.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?.maximum(1e-12f64)?;
    let unit = vectors.broadcast_div(&lengths)?;
    let chosen: Vec<u8> = chosen.iter().map(|&chosen| u8::from(chosen)).collect();
    let chosen = Tensor::from_vec(chosen, (n, 1), unit.device())?.to_dtype(DType::F32)?;
    // Σ cos(n, p) = n/|n| · Σ p/|p|
    let direction = sum_of_rows(&unit.broadcast_mul(&chosen)?)?;
    unit.matmul(&direction.t()?)?.flatten_all()?.to_vec1()
}
