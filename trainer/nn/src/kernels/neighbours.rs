//! Puts each row of a packed batch beside its neighbours in the same window. A convolution of width 3 is then one
//! matrix product.

use candle_core::{Result, Tensor};

use super::{tensor, values};
use crate::Tape;
use crate::batch::WindowLengths;

/// Returns `[rows, 3·d]` for `[rows, d]`: previous row, own row, next row. Beyond a window's ends there are zeros.
///
/// # Errors
/// When the lengths of the windows do not add up to the number of rows.
pub(super) fn neighbours(tape: &mut Tape, x: &Tensor, lengths: &WindowLengths) -> Result<Tensor> {
    let (rows, d) = x.dims2()?;
    if lengths.iter().sum::<usize>() != rows {
        candle_core::bail!("neighbours: windows do not add up to {:?}", x.dims());
    }
    let y = tensor(forward(&values(x)?, lengths, rows, d), (rows, 3 * d))?;
    let lengths = lengths.clone();
    tape.record(&y, &[x], move |g| Ok(vec![tensor(backward(&values(g)?, &lengths, rows, d), (rows, d))?]));
    Ok(y)
}

/// Returns the range of a row and its neighbours in its window, which has `length` rows and begins at row `first`.
fn around(row: usize, first: usize, length: usize) -> (usize, usize) {
    let from = if row > first { row - 1 } else { row };
    let to = if row + 1 < first + length { row + 2 } else { row + 1 };
    (from, to)
}

fn forward(x: &[f32], lengths: &[usize], rows: usize, d: usize) -> Vec<f32> {
    let mut y = vec![0f32; rows * 3 * d];
    let mut first = 0;
    for &length in lengths {
        for row in first..first + length {
            let y = &mut y[row * 3 * d..(row + 1) * 3 * d];
            let (from, to) = around(row, first, length);
            let at = (from + 1 - row) * d;
            y[at..at + (to - from) * d].copy_from_slice(&x[from * d..to * d]);
        }
        first += length;
    }
    y
}

fn backward(g: &[f32], lengths: &[usize], rows: usize, d: usize) -> Vec<f32> {
    let mut dx = vec![0f32; rows * d];
    let mut first = 0;
    for &length in lengths {
        for row in first..first + length {
            let (from, to) = around(row, first, length);
            let at = row * 3 * d + (from + 1 - row) * d;
            for (sum, &value) in dx[from * d..to * d].iter_mut().zip(&g[at..]) {
                *sum += value;
            }
        }
        first += length;
    }
    dx
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradient_check::{check, random};

    #[test]
    fn rows_stand_beside_their_neighbours() {
        let x = tensor(vec![1.0, 2.0, 3.0, 4.0], (4, 1)).unwrap();
        let y = neighbours(&mut Tape::silent(), &x, &[3usize, 1].into()).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(y, [[0.0, 1.0, 2.0], [1.0, 2.0, 3.0], [2.0, 3.0, 0.0], [0.0, 4.0, 0.0]]);
    }

    #[test]
    fn gradients_match_finite_differences() {
        let lengths: WindowLengths = [3usize, 0, 1, 2].into();
        check(&[random(&[6, 2], 1)], |tape, t| neighbours(tape, &t[0].tensor, &lengths));
    }
}
