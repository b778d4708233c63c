//! Weights as the operations use them: values, and a place where their gradients are added.
//!
//! candle's backward pass adds every gradient to a new tensor of zeros. Weights are many times larger than the
//! tensors between layers, so for weights that costs more than all activations. Here, an operation's backward pass
//! writes a weight's gradient to the place where the optimizer reads it. This memory is reused in every step.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use candle_core::{Result, Tensor, Var};

use crate::nn::tensors::Placed;

/// A weight of the model: a tensor that is trained or frozen.
#[derive(Clone)]
pub struct Weight {
    values: Tensor,
    gradient: Option<Arc<Mutex<Gradient>>>,
    /// The weight on a device, after the model is built. Then `values` and `gradient` are not used any more.
    placed: Arc<OnceLock<Placed>>,
}

/// The gradient of one weight, summed over the operations that use it.
#[derive(Debug)]
pub struct Gradient {
    sums: Vec<f32>,
    /// Number of elements in a row.
    width: usize,
    state: State,
}

/// State of the sums.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// No gradient yet. The sums are left from an earlier step.
    Stale,
    /// No gradient yet. The sums are 0.
    Zero,
    /// The sums are 0 except in these rows, in ascending order.
    Rows(Vec<u32>),
    /// Any sum may differ from 0.
    Dense,
}

/// The part of a gradient that was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// Nothing: no operation used the weight.
    None,
    /// These rows of a table, in ascending order. The other rows are 0.
    Rows(&'a [u32]),
    /// Everything.
    All,
}

impl Weight {
    /// Creates a weight that is trained.
    pub fn trained(variable: &Var) -> Self {
        let values = variable.as_tensor().clone();
        let width = values.dims().last().copied().unwrap_or(1);
        let gradient = Gradient { sums: vec![0.0; values.elem_count()], width, state: State::Zero };
        Self { values, gradient: Some(Arc::new(Mutex::new(gradient))), placed: Arc::default() }
    }

    /// Creates a weight that is not trained.
    pub fn frozen(values: Tensor) -> Self {
        Self { values, gradient: None, placed: Arc::default() }
    }

    /// Returns the values on the CPU. For a weight on a device these are its starting values.
    pub fn values(&self) -> &Tensor {
        &self.values
    }

    /// Sets the place of the weight on a device.
    pub(crate) fn place(&self, placed: Placed) {
        // A second call would be a programming error, and has no effect.
        let _ = self.placed.set(placed);
    }

    /// Returns the weight on its device.
    ///
    /// # Errors
    /// When it has no place there.
    pub(crate) fn placed(&self) -> Result<&Placed> {
        match self.placed.get() {
            Some(placed) => Ok(placed),
            None => candle_core::bail!("a weight was not placed on the device"),
        }
    }

    /// Returns the gradient so far, or `None` for a frozen weight.
    pub fn gradient(&self) -> Option<MutexGuard<'_, Gradient>> {
        // If the lock is poisoned, a panic is already being reported.
        self.gradient.as_ref().map(|gradient| gradient.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets `write` add its share to the sums of the gradient. `write` must overwrite the sums, or add to them if
    /// its second argument is true. For a frozen weight it is not called.
    pub(super) fn accumulate(&self, write: impl FnOnce(&mut [f32], bool)) {
        if let Some(mut gradient) = self.gradient() {
            let adds = matches!(gradient.state, State::Dense | State::Rows(_));
            write(&mut gradient.sums, adds);
            gradient.state = State::Dense;
        }
    }

    /// Adds row i of `rows` to the gradient's row `ids[i]`.
    pub(super) fn accumulate_rows(&self, ids: &[u32], rows: &[f32]) {
        let Some(mut gradient) = self.gradient() else { return };
        let Gradient { sums, width, state } = &mut *gradient;
        if *state == State::Stale {
            sums.fill(0.0);
        }
        for (row, &id) in rows.chunks_exact(*width).zip(ids) {
            for (sum, &value) in sums[id as usize * *width..].iter_mut().zip(row) {
                *sum += value;
            }
        }
        let mut touched = match std::mem::replace(state, State::Dense) {
            State::Dense => return,
            State::Rows(rows) => rows,
            State::Stale | State::Zero => Vec::new(),
        };
        touched.extend_from_slice(ids);
        touched.sort_unstable();
        touched.dedup();
        *state = State::Rows(touched);
    }
}

impl Gradient {
    /// Returns all sums. Only those that `part` covers belong to the gradient.
    pub fn sums(&self) -> &[f32] {
        &self.sums
    }

    /// Returns the part of the sums that belongs to the gradient.
    pub fn part(&self) -> Part<'_> {
        match &self.state {
            State::Stale | State::Zero => Part::None,
            State::Rows(rows) => Part::Rows(rows),
            State::Dense => Part::All,
        }
    }

    /// Deletes the gradient, before a new backward pass.
    pub fn clear(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Stale) {
            // Clear row by row, because a table is much larger than the rows that one batch looks up.
            State::Rows(rows) => {
                for row in rows {
                    let start = row as usize * self.width;
                    self.sums[start..start + self.width].fill(0.0);
                }
                State::Zero
            }
            State::Zero => State::Zero,
            State::Stale | State::Dense => State::Stale,
        };
    }

    /// Returns the number of elements in a row.
    pub fn width(&self) -> usize {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn shares_add_up_and_are_forgotten() {
        let weight = Weight::trained(&Var::zeros((3, 2), DType::F32, &Device::Cpu).unwrap());
        let sums = || weight.gradient().unwrap().sums().to_vec();
        let clear = || weight.gradient().unwrap().clear();
        assert_eq!(weight.gradient().unwrap().part(), Part::None);
        weight.accumulate_rows(&[2, 0, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(weight.gradient().unwrap().part(), Part::Rows(&[0, 2]));
        assert_eq!(sums(), [3.0, 4.0, 0.0, 0.0, 6.0, 8.0]);
        let one = |sums: &mut [f32], adds: bool| {
            sums.iter_mut().for_each(|s| *s = if adds { *s + 1.0 } else { 1.0 });
        };
        weight.accumulate(one);
        assert_eq!(weight.gradient().unwrap().part(), Part::All);
        assert_eq!(sums(), [4.0, 5.0, 1.0, 1.0, 7.0, 9.0]);
        // Sums of an earlier step do not come back, whichever kind of share comes first.
        clear();
        weight.accumulate_rows(&[1], &[1.0, 1.0]);
        assert_eq!(sums(), [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
        clear();
        weight.accumulate_rows(&[0], &[1.0, 1.0]);
        assert_eq!(sums(), [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        clear();
        weight.accumulate(one);
        assert_eq!(sums(), [1.0; 6]);
    }
}
