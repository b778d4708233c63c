//! AdamW (Loshchilov & Hutter 2019, algorithm 2), in place, with one pass per weight.

use rayon::prelude::*;

use super::vectors::vectorised;

const CHUNK: usize = 16_384;
const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// Optimizer state of one weight.
///
/// In a table whose rows are looked up, only the rows that were looked up change. The other rows keep their value
/// and state, as in PyTorch's `SparseAdam`.
#[derive(Debug, Clone)]
pub(super) struct AdamW {
    /// Running mean of the gradient.
    pub first: Vec<f32>,
    /// Running mean of the squared gradient.
    pub second: Vec<f32>,
    /// Number of steps so far.
    pub steps: i32,
}

/// The part of a gradient that was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// Nothing: no operation used the weight.
    None,
    /// These rows of a table, in ascending order. The other rows are 0.
    Rows(&'a [u32]),
    /// Everything.
    All,
}

/// Settings of one step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// Factor on the gradient.
    pub scale: f32,
    /// Learning rate.
    pub rate: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
}

impl AdamW {
    /// Creates a fresh state for a weight with this many elements.
    pub fn new(elements: usize) -> Self {
        Self { first: vec![0.0; elements], second: vec![0.0; elements], steps: 0 }
    }

    /// Makes one step. `gradient` has rows of `width` elements, of which only `part` counts.
    pub fn step(&mut self, step: Step, values: &mut [f32], gradient: &[f32], part: Part, width: usize) {
        self.steps += 1;
        let coefficients = Coefficients {
            scale: step.scale,
            rate: step.rate,
            decay: 1.0 - step.rate * step.weight_decay,
            first_correction: 1.0 / (1.0 - BETA1.powi(self.steps)),
            second_correction: 1.0 / (1.0 - BETA2.powi(self.steps)),
        };
        let (first, second) = (&mut self.first, &mut self.second);
        match part {
            Part::None => {}
            Part::Rows(rows) => vectorised(|| {
                for &row in rows {
                    let row = row as usize * width..(row as usize + 1) * width;
                    let (p, g) = (&mut values[row.clone()], &gradient[row.clone()]);
                    coefficients.update(p, &mut first[row.clone()], &mut second[row], g);
                }
            }),
            Part::All => {
                let moments = first.par_chunks_mut(CHUNK).zip(second.par_chunks_mut(CHUNK));
                let chunks = values.par_chunks_mut(CHUNK).zip(moments).zip(gradient.par_chunks(CHUNK));
                chunks.for_each(|((p, (m, v)), g)| vectorised(|| coefficients.update(p, m, v, g)));
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Coefficients {
    scale: f32,
    rate: f32,
    decay: f32,
    first_correction: f32,
    second_correction: f32,
}

impl Coefficients {
    #[inline(always)]
    fn update(self, p: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32]) {
        for (((p, m), v), &g) in p.iter_mut().zip(m).zip(v).zip(g) {
            let g = g * self.scale;
            *m = BETA1 * *m + (1.0 - BETA1) * g;
            *v = BETA2 * *v + (1.0 - BETA2) * g * g;
            let step = *m * self.first_correction / ((*v * self.second_correction).sqrt() + EPSILON);
            *p = *p * self.decay - self.rate * step;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(scale: f32, weight_decay: f32) -> Step {
        Step { scale, rate: 0.1, weight_decay }
    }

    #[test]
    fn a_scaled_gradient_is_that_gradient() {
        let after = |gradient: f32, scale: f32| {
            let (mut values, mut optimizer) = ([1.0], AdamW::new(1));
            optimizer.step(step(scale, 0.0), &mut values, &[gradient], Part::All, 1);
            optimizer.step(step(1.0, 0.0), &mut values, &[0.5], Part::All, 1);
            values
        };
        assert_eq!(after(4.0, 0.25), after(1.0, 1.0));
        assert_ne!(after(4.0, 0.25), after(4.0, 1.0));
    }

    #[test]
    fn steps_by_hand() {
        // In Adam's first step the corrected moments are g and g², so the step is rate·g/(|g| + ε).
        let (mut values, mut optimizer) = ([1.0, -2.0, 0.5], AdamW::new(3));
        optimizer.step(step(1.0, 0.0), &mut values, &[0.5, -4.0, 0.0], Part::All, 3);
        for (found, expected) in values.iter().zip([0.9, -1.9, 0.5]) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
        // Second step, gradient 0: m = 0.05·0.9 = 0.045, corrected 0.045/0.19; v = 2.5e-4·0.999,
        // corrected by 1/(1 − 0.998001); decay first: 0.9·(1 − 0.1·0.5).
        optimizer.step(step(1.0, 0.5), &mut values, &[0.0; 3], Part::All, 3);
        let m: f64 = 0.045 / 0.19;
        let v: f64 = 2.5e-4 * 0.999 / (1.0 - 0.998001);
        let expected = 0.9 * 0.95 - 0.1 * m / v.sqrt();
        assert!((f64::from(values[0]) - expected).abs() < 1e-5, "{} is not {expected}", values[0]);
    }

    #[test]
    fn rows_that_were_not_looked_up_stay() {
        let (mut table, mut optimizer) = ([1.0; 6], AdamW::new(6));
        optimizer.step(step(1.0, 0.0), &mut table, &[1.0, -1.0, 0.0, 0.0, 2.0, 2.0], Part::Rows(&[0, 2]), 2);
        // Row 0 has momentum now, but it is not looked up again.
        optimizer.step(step(1.0, 0.0), &mut table, &[0.0, 0.0, 0.0, 0.0, 2.0, 2.0], Part::Rows(&[2]), 2);
        for (found, expected) in table.iter().zip([0.9, 1.1, 1.0, 1.0, 0.8, 0.8]) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
    }
}
