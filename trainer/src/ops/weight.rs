//! Parameters as operations take them: values, and a place of their own where gradients are added.
//!
//! candle's backward pass adds every gradient to a fresh tensor of zeros: for weights, which are many
//! times larger than what flows between layers, that costs more than all activations. Here an operation's
//! backward pass writes a weight's gradient where the optimizer reads it, in memory that is kept from
//! step to step.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use candle_core::{Result, Tensor, Var};

use crate::tensor_ops::Placed;

/// A tensor of the model.
#[derive(Clone)]
pub struct Weight {
    values: Tensor,
    gradient: Option<Arc<Mutex<Gradient>>>,
    /// On a device, once the model is whole; `values` and `gradient` then mean nothing any more.
    placed: Arc<OnceLock<Placed>>,
}

/// The gradient of one weight, summed over the operations that use it.
#[derive(Debug)]
pub struct Gradient {
    sums: Vec<f32>,
    /// Elements of a row.
    width: usize,
    state: State,
}

/// What the sums are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Nothing yet; the sums are those of an earlier step.
    Stale,
    /// Nothing yet; the sums are 0.
    Zero,
    /// 0 but in these rows, ascending.
    Rows(Vec<u32>),
    /// Any of them may differ from 0.
    Dense,
}

/// Which part of a gradient there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// None: no operation used the weight.
    None,
    /// These rows of a table, ascending; the others are 0.
    Rows(&'a [u32]),
    /// All.
    All,
}

impl Weight {
    /// A tensor that is trained.
    pub fn trained(variable: &Var) -> Self {
        let values = variable.as_tensor().clone();
        let width = values.dims().last().copied().unwrap_or(1);
        let gradient = Gradient { sums: vec![0.0; values.elem_count()], width, state: State::Zero };
        Self { values, gradient: Some(Arc::new(Mutex::new(gradient))), placed: Arc::default() }
    }

    /// A tensor that stays as it is.
    pub fn frozen(values: Tensor) -> Self {
        Self { values, gradient: None, placed: Arc::default() }
    }

    /// Its values on the CPU; of a weight that was placed on a device, those from which it started.
    pub fn values(&self) -> &Tensor {
        &self.values
    }

    /// Says where on a device it is from now on.
    pub(crate) fn place(&self, placed: Placed) {
        // A second time would be a mistake of ours, and without effect.
        let _ = self.placed.set(placed);
    }

    /// The weight on its device.
    ///
    /// # Errors
    /// When it has no place there.
    pub(crate) fn placed(&self) -> Result<&Placed> {
        match self.placed.get() {
            Some(placed) => Ok(placed),
            None => candle_core::bail!("a weight was not placed on the device"),
        }
    }

    /// The gradient so far; none for a frozen weight.
    pub fn gradient(&self) -> Option<MutexGuard<'_, Gradient>> {
        // A poisoned lock means that a panic is already on its way to the user.
        self.gradient.as_ref().map(|gradient| gradient.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets `write` put its share into the gradient's sums: it overwrites them, or adds to them where
    /// its second argument says so. Nothing happens for a frozen weight.
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
    /// All sums; what `part` does not cover is no gradient.
    pub fn sums(&self) -> &[f32] {
        &self.sums
    }

    /// Which of them count.
    pub fn part(&self) -> Part<'_> {
        match &self.state {
            State::Stale | State::Zero => Part::None,
            State::Rows(rows) => Part::Rows(rows),
            State::Dense => Part::All,
        }
    }

    /// Forgets the gradient, as before every backward pass.
    pub fn clear(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Stale) {
            // Row by row: a table is much larger than what one batch looks up in it.
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

    /// Elements of a row.
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
        // What an earlier step left does not come back, whichever kind of share is the first.
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
