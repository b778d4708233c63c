//! Rectifier and dropout in one pass: `dropout(max(x, 0))`.

use candle_core::{Result, Tensor};

use super::vectors::vectorised;
use super::{CHUNK, in_chunks, tensor, values};
use crate::{Dropout, Tape};

/// Applies the rectifier and, with a mask, dropout.
///
/// # Errors
/// When the tensor is not contiguous f32 on the CPU.
pub(super) fn relu(tape: &mut Tape, x: &Tensor, mask: Option<Dropout>) -> Result<Tensor> {
    let y = {
        let x = values(x)?;
        pass(&x, &x, mask)
    };
    let y = tensor(y, x.shape().clone())?;
    let input = x.clone();
    tape.record(&y, &[x], move |g| Ok(vec![tensor(pass(&values(&input)?, &values(g)?, mask), input.shape().clone())?]));
    Ok(y)
}

/// Returns `from`, multiplied by the mask, where x is above 0, and else 0. NaN in x also passes: it must reach the
/// loss.
fn pass(x: &[f32], from: &[f32], mask: Option<Dropout>) -> Vec<f32> {
    in_chunks(x.len(), CHUNK, |start, out| {
        let parts = out.iter_mut().zip(&x[start..]).zip(&from[start..]);
        vectorised(|| match mask {
            Some(mask) => {
                for (((out, &x), &from), i) in parts.zip(0u32..) {
                    let factor = mask.factor((start as u32).wrapping_add(i));
                    *out = if x <= 0.0 { 0.0 } else { from * factor };
                }
            }
            None => {
                for ((out, &x), &from) in parts {
                    *out = if x <= 0.0 { 0.0 } else { from };
                }
            }
        });
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradient_check::{check, random};
    use crate::kernels::dropout::dropout;

    #[test]
    fn gradients_match_finite_differences() {
        // Stay away from the kink at 0, where finite differences are wrong.
        let x = random(&[6, 5], 1);
        let x = (x.sign().unwrap() * 0.1).unwrap().add(&x).unwrap();
        for mask in [None, Some(Dropout { rate: 0.3, seed: 5, first: 0 })] {
            check(std::slice::from_ref(&x), |tape, t| relu(tape, &t[0].tensor, mask));
        }
    }

    #[test]
    fn it_is_dropout_of_the_rectifier() {
        let (x, mask) = (random(&[7, 9], 2), Dropout { rate: 0.3, seed: 5, first: 0 });
        let tape = &mut Tape::silent();
        let values = |t: Tensor| t.to_vec2::<f32>().unwrap();
        let expected = dropout(tape, &x.relu().unwrap(), mask).unwrap();
        assert_eq!(values(relu(tape, &x, Some(mask)).unwrap()), values(expected));
        // NaN must reach the loss, which then stops the training.
        let nan = tensor(vec![f32::NAN], 1).unwrap();
        assert!(relu(tape, &nan, None).unwrap().to_vec1::<f32>().unwrap()[0].is_nan());
    }
}
