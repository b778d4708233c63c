//! AdamW (Loshchilov & Hutter 2019, algorithm 2), one pass per parameter, in place.

use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Tensor, Var};
use rayon::prelude::*;

use super::values;

const CHUNK: usize = 16_384;
const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// State of one parameter: running means of its gradient and of the squared gradient.
#[derive(Debug, Clone)]
pub struct AdamW {
    moments: std::cell::RefCell<Moments>,
    steps: std::cell::Cell<i32>,
}

#[derive(Debug, Clone)]
struct Moments {
    first: Vec<f32>,
    second: Vec<f32>,
}

impl AdamW {
    /// Fresh state for a parameter of this many elements.
    pub fn new(elements: usize) -> Self {
        let moments = Moments { first: vec![0.0; elements], second: vec![0.0; elements] };
        Self { moments: moments.into(), steps: 0.into() }
    }

    /// Running means of the gradient and of its square, and the number of steps so far: to go on from later.
    pub fn state(&self) -> (Vec<f32>, Vec<f32>, i32) {
        let Moments { first, second } = self.moments.borrow().clone();
        (first, second, self.steps.get())
    }

    /// Takes up a state of this parameter's optimizer; false where it is of another size.
    pub fn set_state(&self, first: Vec<f32>, second: Vec<f32>, steps: i32) -> bool {
        let mut moments = self.moments.borrow_mut();
        let fits = first.len() == moments.first.len() && second.len() == moments.second.len();
        if fits {
            *moments = Moments { first, second };
            self.steps.set(steps);
        }
        fits
    }

    /// One step with the given learning rate and (decoupled) weight decay; the gradient counts
    /// `scale` times.
    ///
    /// # Errors
    /// When the gradient has another shape, or a tensor is not contiguous f32 on the CPU.
    pub fn step(&self, parameter: &Var, gradient: &Tensor, scale: f32, rate: f32, weight_decay: f32) -> Result<()> {
        if parameter.shape() != gradient.shape() {
            candle_core::bail!("AdamW: parameter {:?}, gradient {:?}", parameter.dims(), gradient.dims());
        }
        self.steps.set(self.steps.get() + 1);
        let steps = self.steps.get();
        let update = Update {
            moments: &self.moments,
            scale,
            rate,
            decay: 1.0 - rate * weight_decay,
            first_correction: 1.0 / (1.0 - BETA1.powi(steps)),
            second_correction: 1.0 / (1.0 - BETA2.powi(steps)),
        };
        parameter.as_tensor().inplace_op2(&gradient.contiguous()?, &update)
    }
}

struct Update<'a> {
    moments: &'a std::cell::RefCell<Moments>,
    scale: f32,
    rate: f32,
    decay: f32,
    first_correction: f32,
    second_correction: f32,
}

impl InplaceOp2 for Update<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(&self, s1: &mut CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<()> {
        let g = values(s2, l2)?;
        let (CpuStorage::F32(parameter), Some((start, end))) = (s1, l1.contiguous_offsets()) else {
            candle_core::bail!("AdamW needs a contiguous f32 parameter")
        };
        let parameter = &mut parameter[start..end];
        let Moments { first, second } = &mut *self.moments.borrow_mut();
        let (scale, rate, decay) = (self.scale, self.rate, self.decay);
        let (first_correction, second_correction) = (self.first_correction, self.second_correction);
        let moments = first.par_chunks_mut(CHUNK).zip(second.par_chunks_mut(CHUNK));
        parameter.par_chunks_mut(CHUNK).zip(moments).zip(g.par_chunks(CHUNK)).for_each(|((p, (m, v)), g)| {
            for (((p, m), v), &g) in p.iter_mut().zip(m).zip(v).zip(g) {
                let g = g * scale;
                *m = BETA1 * *m + (1.0 - BETA1) * g;
                *v = BETA2 * *v + (1.0 - BETA2) * g * g;
                *p = *p * decay - rate * (*m * first_correction) / ((*v * second_correction).sqrt() + EPSILON);
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn a_scaled_gradient_is_that_gradient() {
        let after = |gradient: f32, scale: f32| {
            let parameter = Var::new(&[1f32], &Device::Cpu).unwrap();
            let optimizer = AdamW::new(1);
            for _ in 0..2 {
                optimizer.step(&parameter, &Tensor::new(&[gradient], &Device::Cpu).unwrap(), scale, 0.1, 0.0).unwrap();
                optimizer.step(&parameter, &Tensor::new(&[0.5f32], &Device::Cpu).unwrap(), 1.0, 0.1, 0.0).unwrap();
            }
            parameter.to_vec1::<f32>().unwrap()
        };
        assert_eq!(after(4.0, 0.25), after(1.0, 1.0));
        assert_ne!(after(4.0, 0.25), after(4.0, 1.0));
    }

    #[test]
    fn steps_by_hand() {
        // First step of Adam: the corrected moments are g and g², so the step is rate·g/(|g| + ε).
        let parameter = Var::new(&[1f32, -2.0, 0.5], &Device::Cpu).unwrap();
        let optimizer = AdamW::new(3);
        let gradient = Tensor::new(&[0.5f32, -4.0, 0.0], &Device::Cpu).unwrap();
        optimizer.step(&parameter, &gradient, 1.0, 0.1, 0.0).unwrap();
        let after = parameter.to_vec1::<f32>().unwrap();
        for (found, expected) in after.iter().zip([0.9, -1.9, 0.5]) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
        // Second step, gradient 0: m = 0.05·0.9 = 0.045, corrected 0.045/0.19; v = 2.5e-4·0.999,
        // corrected by 1/(1 − 0.998001); decay first: 0.9·(1 − 0.1·0.5).
        let zero = Tensor::zeros(3, candle_core::DType::F32, &Device::Cpu).unwrap();
        optimizer.step(&parameter, &zero, 1.0, 0.1, 0.5).unwrap();
        let m: f64 = 0.045 / 0.19;
        let v: f64 = 2.5e-4 * 0.999 / (1.0 - 0.998001);
        let expected = 0.9 * 0.95 - 0.1 * m / v.sqrt();
        let found = f64::from(parameter.to_vec1::<f32>().unwrap()[0]);
        assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
    }
}
