//! AdamW (Loshchilov & Hutter 2019, algorithm 2), in place, with one pass per parameter.

use std::cell::{Cell, RefCell};

use candle_core::{CpuStorage, InplaceOp1, Layout, Result};
use rayon::prelude::*;

use super::vectors::vectorised;
use super::weight::{Part, Weight};

const CHUNK: usize = 16_384;
const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// Optimizer state of one weight: running means of its gradient and of the squared gradient.
///
/// In a table whose rows are looked up, only the rows that were looked up change. The other rows keep their value
/// and state, as in PyTorch's `SparseAdam`.
#[derive(Debug, Clone)]
pub struct AdamW {
    moments: RefCell<Moments>,
    steps: Cell<i32>,
}

#[derive(Debug, Clone)]
struct Moments {
    first: Vec<f32>,
    second: Vec<f32>,
}

impl AdamW {
    /// Creates a fresh state for a weight with this many elements.
    pub fn new(elements: usize) -> Self {
        let moments = Moments { first: vec![0.0; elements], second: vec![0.0; elements] };
        Self { moments: moments.into(), steps: 0.into() }
    }

    /// Returns the running means of the gradient and of its square, and the number of steps, for continuing later.
    pub fn state(&self) -> (Vec<f32>, Vec<f32>, i32) {
        let Moments { first, second } = self.moments.borrow().clone();
        (first, second, self.steps.get())
    }

    /// Sets the state. Returns false if it has another size.
    pub fn set_state(&self, first: Vec<f32>, second: Vec<f32>, steps: i32) -> bool {
        let mut moments = self.moments.borrow_mut();
        let fits = first.len() == moments.first.len() && second.len() == moments.second.len();
        if fits {
            *moments = Moments { first, second };
            self.steps.set(steps);
        }
        fits
    }

    /// Makes one step with this learning rate and (decoupled) weight decay. The gradient is multiplied by `scale`.
    ///
    /// # Errors
    /// When the weight has no gradient, or its values are not contiguous f32 on the CPU.
    pub fn step(&self, weight: &Weight, scale: f32, rate: f32, weight_decay: f32) -> Result<()> {
        let Some(gradient) = weight.gradient() else { candle_core::bail!("AdamW: the weight is frozen") };
        self.steps.set(self.steps.get() + 1);
        let steps = self.steps.get();
        let update = Update {
            moments: &self.moments,
            gradient: gradient.sums(),
            part: gradient.part(),
            width: gradient.width(),
            coefficients: Coefficients {
                scale,
                rate,
                decay: 1.0 - rate * weight_decay,
                first_correction: 1.0 / (1.0 - BETA1.powi(steps)),
                second_correction: 1.0 / (1.0 - BETA2.powi(steps)),
            },
        };
        weight.values().inplace_op1(&update)
    }
}

struct Update<'a> {
    moments: &'a RefCell<Moments>,
    gradient: &'a [f32],
    part: Part<'a>,
    width: usize,
    coefficients: Coefficients,
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

impl InplaceOp1 for Update<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let (CpuStorage::F32(values), Some((start, end))) = (storage, layout.contiguous_offsets()) else {
            candle_core::bail!("AdamW needs contiguous f32 values")
        };
        let p = &mut values[start..end];
        let Moments { first, second } = &mut *self.moments.borrow_mut();
        let coefficients = self.coefficients;
        match self.part {
            Part::None => candle_core::bail!("AdamW: the weight has no gradient"),
            Part::Rows(rows) => vectorised(|| {
                for &row in rows {
                    let row = row as usize * self.width..(row as usize + 1) * self.width;
                    let (p, g) = (&mut p[row.clone()], &self.gradient[row.clone()]);
                    coefficients.update(p, &mut first[row.clone()], &mut second[row], g);
                }
            }),
            Part::All => {
                let moments = first.par_chunks_mut(CHUNK).zip(second.par_chunks_mut(CHUNK));
                let chunks = p.par_chunks_mut(CHUNK).zip(moments).zip(self.gradient.par_chunks(CHUNK));
                chunks.for_each(|((p, (m, v)), g)| vectorised(|| coefficients.update(p, m, v, g)));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    fn weight(values: &[f32]) -> Weight {
        Weight::trained(&Var::new(values, &Device::Cpu).unwrap())
    }

    /// Makes one step with this gradient.
    fn step(optimizer: &AdamW, weight: &Weight, gradient: &[f32], scale: f32, weight_decay: f32) -> Vec<f32> {
        weight.gradient().unwrap().clear();
        weight.accumulate(|sums, _| sums.copy_from_slice(gradient));
        optimizer.step(weight, scale, 0.1, weight_decay).unwrap();
        weight.values().flatten_all().unwrap().to_vec1::<f32>().unwrap()
    }

    #[test]
    fn a_scaled_gradient_is_that_gradient() {
        let after = |gradient: f32, scale: f32| {
            let (weight, optimizer) = (weight(&[1.0]), AdamW::new(1));
            step(&optimizer, &weight, &[gradient], scale, 0.0);
            step(&optimizer, &weight, &[0.5], 1.0, 0.0)
        };
        assert_eq!(after(4.0, 0.25), after(1.0, 1.0));
        assert_ne!(after(4.0, 0.25), after(4.0, 1.0));
    }

    #[test]
    fn steps_by_hand() {
        // In Adam's first step the corrected moments are g and g², so the step is rate·g/(|g| + ε).
        let (weight, optimizer) = (weight(&[1.0, -2.0, 0.5]), AdamW::new(3));
        let after = step(&optimizer, &weight, &[0.5, -4.0, 0.0], 1.0, 0.0);
        for (found, expected) in after.iter().zip([0.9, -1.9, 0.5]) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
        // Second step, gradient 0: m = 0.05·0.9 = 0.045, corrected 0.045/0.19; v = 2.5e-4·0.999,
        // corrected by 1/(1 − 0.998001); decay first: 0.9·(1 − 0.1·0.5).
        let after = step(&optimizer, &weight, &[0.0; 3], 1.0, 0.5);
        let m: f64 = 0.045 / 0.19;
        let v: f64 = 2.5e-4 * 0.999 / (1.0 - 0.998001);
        let expected = 0.9 * 0.95 - 0.1 * m / v.sqrt();
        assert!((f64::from(after[0]) - expected).abs() < 1e-5, "{} is not {expected}", after[0]);
    }

    #[test]
    fn rows_that_were_not_looked_up_stay() {
        let table = Weight::trained(&Var::new(&[[1f32, 1.0], [1.0, 1.0], [1.0, 1.0]], &Device::Cpu).unwrap());
        let optimizer = AdamW::new(6);
        table.accumulate_rows(&[0, 2], &[1.0, -1.0, 2.0, 2.0]);
        optimizer.step(&table, 1.0, 0.1, 0.0).unwrap();
        table.gradient().unwrap().clear();
        // Row 0 has momentum now, but it is not looked up again.
        table.accumulate_rows(&[2], &[2.0, 2.0]);
        optimizer.step(&table, 1.0, 0.1, 0.0).unwrap();
        let after = table.values().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (found, expected) in after.iter().zip([0.9, 1.1, 1.0, 1.0, 0.8, 0.8]) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
    }

    #[test]
    fn a_weight_without_a_gradient_is_an_error() {
        assert!(AdamW::new(1).step(&weight(&[1.0]), 1.0, 0.1, 0.0).is_err());
    }
}
