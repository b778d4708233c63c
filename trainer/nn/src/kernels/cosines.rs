//! Scores of top-negative sampling.

use candle_core::Result;
use rayon::prelude::*;

use super::vectors::{lane_dot, lane_sum, vectorised};

/// Number of rows handled by one task.
const ROWS: usize = 512;

/// Returns for each row of `vectors` the sum of its cosines to the rows with `chosen[i]`.
///
/// # Errors
/// When the vectors cannot be divided into as many rows as there are choices.
pub fn sums_of_cosines(vectors: &[f32], chosen: &[bool]) -> Result<Vec<f32>> {
    let width = vectors.len() / chosen.len().max(1);
    if width == 0 || width * chosen.len() != vectors.len() {
        candle_core::bail!("cosines: {} choices for {} numbers", chosen.len(), vectors.len());
    }
    let mut direction = vec![0f32; width];
    for (row, _) in vectors.chunks_exact(width).zip(chosen).filter(|&(_, &chosen)| chosen) {
        let norm = vectorised(|| norm(row));
        for (sum, value) in direction.iter_mut().zip(row) {
            *sum += value / norm;
        }
    }
    // Σ cos(n, p) = n/|n| · Σ p/|p|
    let mut sums = vec![0f32; chosen.len()];
    sums.par_chunks_mut(ROWS).zip(vectors.par_chunks(ROWS * width)).for_each(|(sums, rows)| {
        vectorised(|| {
            for (sum, row) in sums.iter_mut().zip(rows.chunks_exact(width)) {
                *sum = lane_dot(row, &direction) / norm(row);
            }
        });
    });
    Ok(sums)
}

#[inline(always)]
fn norm(row: &[f32]) -> f32 {
    lane_sum(row, |v| v * v).sqrt().max(1e-12)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_by_hand() {
        // To (3, 4) and (0, 1): (1, 0) has 3/5 + 0, (0, −2) has −4/5 − 1; the zero vector has none.
        let vectors = [3.0, 4.0, 0.0, 1.0, 1.0, 0.0, 0.0, -2.0, 0.0, 0.0];
        let sums = sums_of_cosines(&vectors, &[true, true, false, false, false]).unwrap();
        for (found, expected) in sums.iter().zip([1.8, 1.8, 0.6, -1.8, 0.0]) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
        assert!(sums_of_cosines(&vectors, &[true; 3]).is_err());
    }
}
