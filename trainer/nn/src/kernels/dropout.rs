//! Dropout. The backward pass computes the mask again instead of storing it.

use candle_core::{Result, Tensor};

use super::vectors::vectorised;
use super::{CHUNK, in_chunks, tensor, values};
use crate::{Dropout, Tape};

/// Applies a dropout mask.
///
/// # Errors
/// When the tensor is not contiguous f32 on the CPU.
pub(super) fn dropout(tape: &mut Tape, x: &Tensor, mask: Dropout) -> Result<Tensor> {
    let y = tensor(masked(&values(x)?, mask), x.shape().clone())?;
    tape.record(&y, &[x], move |g| Ok(vec![tensor(masked(&values(g)?, mask), g.shape().clone())?]));
    Ok(y)
}

/// Returns the elements of `x` multiplied by the mask.
pub(super) fn masked(x: &[f32], mask: Dropout) -> Vec<f32> {
    in_chunks(x.len(), CHUNK, |start, y| {
        vectorised(|| {
            for ((y, &x), i) in y.iter_mut().zip(&x[start..]).zip(0u32..) {
                *y = x * mask.factor((start as u32).wrapping_add(i));
            }
        });
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradient_check::{check, random};

    #[test]
    fn gradients_match_finite_differences() {
        check(&[random(&[6, 4], 1)], |tape, t| dropout(tape, &t[0].tensor, Dropout { rate: 0.3, seed: 5, first: 0 }));
    }

    #[test]
    fn the_rate_is_kept_and_masks_differ() {
        let mask = |seed| masked(&vec![1.0; 100_000], Dropout { rate: 0.2, seed, first: 0 });
        let (a, b) = (mask(1), mask(2));
        let dropped = |m: &[f32]| m.iter().filter(|&&v| v == 0.0).count();
        // 20,000 are expected; four standard deviations are 506.
        assert!(dropped(&a).abs_diff(20_000) < 506, "{}", dropped(&a));
        assert!(a.iter().all(|&v| v == 0.0 || v == 1.25));
        let both = a.iter().zip(&b).filter(|&(&x, &y)| x == 0.0 && y == 0.0).count();
        assert!(both.abs_diff(4_000) < 250, "masks of two seeds are independent: {both}");
        let neighbours = a.windows(2).filter(|w| w[0] == 0.0 && w[1] == 0.0).count();
        assert!(neighbours.abs_diff(4_000) < 250, "neighbours are independent: {neighbours}");
    }
}
