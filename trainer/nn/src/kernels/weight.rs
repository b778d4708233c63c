//! Weights on the CPU: values, a place where their gradients are added, and AdamW's state.
//!
//! An operation's backward pass writes a weight's gradient to the place where the optimizer reads it. This memory
//! is reused in every step, because weights are many times larger than the tensors between layers.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use anyhow::{Context, Result, ensure};
use candle_core::{Shape, Tensor};
use rayon::prelude::*;

use super::adamw::{AdamW, Part, Step};
use super::tensor;
use super::vectors::vectorised;
use crate::engine::{Moments, TableRows};
use crate::weight::decays;
use crate::{Group, Rates};

/// Number of elements of a sum of squares that one task adds.
const CHUNK: usize = 16_384;

/// A weight of the model, trained or frozen.
pub struct KernelWeight {
    shape: Shape,
    values: RwLock<Vec<f32>>,
    /// `None` for a frozen weight.
    training: Option<Mutex<Training>>,
}

struct Training {
    group: Group,
    gradient: Gradient,
    optimizer: AdamW,
}

/// The gradient of one weight, summed over the operations that use it.
#[derive(Debug)]
struct Gradient {
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

impl KernelWeight {
    /// Creates a weight with these values. Without a group it is frozen.
    ///
    /// # Errors
    /// When the values are not f32.
    pub fn new(values: &Tensor, group: Option<Group>) -> Result<Self> {
        let training = group.map(|group| {
            let width = values.dims().last().copied().unwrap_or(1);
            let gradient = Gradient { sums: vec![0.0; values.elem_count()], width, state: State::Zero };
            Mutex::new(Training { group, gradient, optimizer: AdamW::new(values.elem_count()) })
        });
        Ok(Self { shape: values.shape().clone(), values: RwLock::new(flat(values)?), training })
    }

    pub(super) fn dims(&self) -> &[usize] {
        self.shape.dims()
    }

    pub(super) fn values(&self) -> RwLockReadGuard<'_, Vec<f32>> {
        // If a lock is poisoned, a panic is already being reported.
        self.values.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_trained(&self) -> bool {
        self.training.is_some()
    }

    fn training(&self) -> Option<MutexGuard<'_, Training>> {
        self.training.as_ref().map(|training| training.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets `write` add its share to the sums of the gradient. `write` must overwrite the sums, or add to them if
    /// its second argument is true. For a frozen weight it is not called.
    pub(super) fn accumulate(&self, write: impl FnOnce(&mut [f32], bool)) {
        if let Some(mut training) = self.training() {
            let Gradient { sums, state, .. } = &mut training.gradient;
            let adds = matches!(state, State::Dense | State::Rows(_));
            write(sums, adds);
            *state = State::Dense;
        }
    }

    /// Adds row i of `rows` to the gradient's row `ids[i]`.
    pub(super) fn accumulate_rows(&self, ids: &[u32], rows: &[f32]) {
        let Some(mut training) = self.training() else { return };
        let Gradient { sums, width, state } = &mut training.gradient;
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

    /// Deletes the gradient, before a new backward pass.
    pub(super) fn clear(&self) {
        let Some(mut training) = self.training() else { return };
        let Gradient { sums, width, state } = &mut training.gradient;
        *state = match std::mem::replace(state, State::Stale) {
            // Clear row by row, because a table is much larger than the rows that one batch looks up.
            State::Rows(rows) => {
                for row in rows {
                    let start = row as usize * *width;
                    sums[start..start + *width].fill(0.0);
                }
                State::Zero
            }
            State::Zero => State::Zero,
            State::Stale | State::Dense => State::Stale,
        };
    }

    pub(super) fn has_gradient(&self) -> bool {
        self.training().is_some_and(|training| training.gradient.part() != Part::None)
    }

    /// Returns a copy of the gradient, or nothing if there is none.
    pub fn gradient(&self) -> Vec<f32> {
        let mut gradient = Vec::new();
        self.append_gradient(&mut gradient);
        gradient
    }

    /// Appends the gradient to a list, if there is one.
    pub(super) fn append_gradient(&self, to: &mut Vec<f32>) {
        if let Some(training) = self.training().filter(|training| training.gradient.part() != Part::None) {
            to.extend_from_slice(&training.gradient.sums);
        }
    }

    /// Returns the rows with a gradient.
    pub(super) fn table_gradient(&self) -> TableRows {
        let Some(training) = self.training() else { return TableRows::default() };
        let Gradient { sums, width, .. } = &training.gradient;
        let ids: Vec<u32> = match training.gradient.part() {
            Part::None => Vec::new(),
            Part::Rows(rows) => rows.to_vec(),
            Part::All => (0..(sums.len() / (*width).max(1)) as u32).collect(),
        };
        let row = |&id: &u32| sums[id as usize * *width..].iter().take(*width).copied();
        TableRows { values: ids.iter().flat_map(row).collect(), ids }
    }

    /// Replaces the gradient.
    ///
    /// # Errors
    /// When it has another number of elements.
    pub(super) fn set_gradient(&self, gradient: &[f32]) -> Result<()> {
        ensure!(gradient.len() == self.shape.elem_count(), "the gradient of another weight");
        self.clear();
        self.accumulate(|sums, _| sums.copy_from_slice(gradient));
        Ok(())
    }

    /// Replaces the gradient by the sum of these rows.
    ///
    /// # Errors
    /// When the weight has no such rows.
    pub(super) fn set_table_gradient(&self, shares: &[&TableRows]) -> Result<()> {
        let width = self.dims().last().copied().unwrap_or(1);
        shares.iter().try_for_each(|share| share.check(self.shape.elem_count() / width.max(1), width))?;
        self.clear();
        for share in shares.iter().filter(|share| !share.ids.is_empty()) {
            self.accumulate_rows(&share.ids, &share.values);
        }
        Ok(())
    }

    /// Returns the sum of the squares of the gradient. It is added in chunks of fixed size, so that it does not
    /// depend on the number of threads.
    pub(super) fn squared_norm(&self) -> f64 {
        let Some(training) = self.training() else { return 0.0 };
        let square = |chunk: &[f32]| chunk.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
        let chunks: Vec<f64> =
            training.gradient.sums.par_chunks(CHUNK).map(|chunk| vectorised(|| square(chunk))).collect();
        chunks.iter().sum()
    }

    /// Makes one step of AdamW with the gradient, multiplied by `scale`.
    ///
    /// # Errors
    /// When the weight is frozen or has no gradient.
    pub(super) fn step(&self, scale: f32, rates: Rates) -> Result<()> {
        let mut training = self.training().context("AdamW: the weight is frozen")?;
        let Training { group, gradient, optimizer } = &mut *training;
        ensure!(gradient.part() != Part::None, "AdamW: the weight has no gradient");
        let weight_decay = if decays(self.dims()) { rates.weight_decay } else { 0.0 };
        let step = Step { scale, rate: rates.of(*group), weight_decay };
        let mut values = self.values.write().unwrap_or_else(PoisonError::into_inner);
        optimizer.step(step, &mut values, &gradient.sums, gradient.part(), gradient.width);
        Ok(())
    }

    /// Copies the values.
    pub(super) fn to_tensor(&self) -> Result<Tensor> {
        Ok(tensor(self.values().clone(), self.shape.clone())?)
    }

    /// Sets the values.
    ///
    /// # Errors
    /// When the shape is another one.
    pub(super) fn set(&self, values: &Tensor) -> Result<()> {
        let values = self.checked(values)?;
        *self.values.write().unwrap_or_else(PoisonError::into_inner) = values;
        Ok(())
    }

    fn checked(&self, values: &Tensor) -> Result<Vec<f32>> {
        ensure!(values.shape() == &self.shape, "{:?} in place of {:?}", values.dims(), self.dims());
        flat(values)
    }

    /// Copies AdamW's state.
    pub(super) fn moments(&self) -> Result<Moments> {
        let training = self.training().context("AdamW: the weight is frozen")?;
        let AdamW { first, second, steps } = training.optimizer.clone();
        Ok(Moments { first: tensor(first, self.shape.clone())?, second: tensor(second, self.shape.clone())?, steps })
    }

    /// Sets AdamW's state.
    ///
    /// # Errors
    /// When it has another shape.
    pub(super) fn set_moments(&self, moments: &Moments) -> Result<()> {
        let (first, second) = (self.checked(&moments.first)?, self.checked(&moments.second)?);
        let mut training = self.training().context("AdamW: the weight is frozen")?;
        training.optimizer = AdamW { first, second, steps: moments.steps };
        Ok(())
    }
}

/// Returns the values of a tensor on any device.
fn flat(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.flatten_all()?.to_vec1()?)
}

impl Gradient {
    /// Returns the part of the sums that belongs to the gradient.
    fn part(&self) -> Part<'_> {
        match &self.state {
            State::Stale | State::Zero => Part::None,
            State::Rows(rows) => Part::Rows(rows),
            State::Dense => Part::All,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn shares_add_up_and_are_forgotten() {
        let zeros = Tensor::zeros((3, 2), DType::F32, &Device::Cpu).unwrap();
        let weight = KernelWeight::new(&zeros, Some(Group::Head)).unwrap();
        let touched = || match weight.training().unwrap().gradient.part() {
            Part::None => Some(vec![]),
            Part::Rows(rows) => Some(rows.to_vec()),
            Part::All => None,
        };
        assert!(!weight.has_gradient());
        weight.accumulate_rows(&[2, 0, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(touched(), Some(vec![0, 2]));
        assert_eq!(weight.gradient(), [3.0, 4.0, 0.0, 0.0, 6.0, 8.0]);
        assert_eq!(weight.squared_norm(), 9.0 + 16.0 + 36.0 + 64.0);
        let one = |sums: &mut [f32], adds: bool| {
            sums.iter_mut().for_each(|s| *s = if adds { *s + 1.0 } else { 1.0 });
        };
        weight.accumulate(one);
        assert_eq!(touched(), None);
        assert_eq!(weight.gradient(), [4.0, 5.0, 1.0, 1.0, 7.0, 9.0]);
        // Sums of an earlier step do not come back, whichever kind of share comes first.
        weight.clear();
        weight.accumulate_rows(&[1], &[1.0, 1.0]);
        assert_eq!(weight.gradient(), [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
        weight.clear();
        weight.accumulate_rows(&[0], &[1.0, 1.0]);
        assert_eq!(weight.gradient(), [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        weight.clear();
        weight.accumulate(one);
        assert_eq!(weight.gradient(), [1.0; 6]);
    }

    #[test]
    fn a_weight_without_a_gradient_is_an_error() {
        let one = Tensor::ones(1, DType::F32, &Device::Cpu).unwrap();
        let rates = Rates { encoder: 0.1, head: 0.1, weight_decay: 0.0, clip_norm: None };
        for group in [Some(Group::Head), None] {
            assert!(KernelWeight::new(&one, group).unwrap().step(1.0, rates).is_err());
        }
    }

    #[test]
    fn other_shapes_are_errors() {
        let zeros = |n: usize| Tensor::zeros(n, DType::F32, &Device::Cpu).unwrap();
        let weight = KernelWeight::new(&zeros(2), Some(Group::Head)).unwrap();
        assert!(weight.set(&zeros(2)).is_ok() && weight.set(&zeros(3)).is_err());
        let moments = |n| Moments { first: zeros(n), second: zeros(n), steps: 1 };
        assert!(weight.set_moments(&moments(2)).is_ok() && weight.set_moments(&moments(3)).is_err());
    }
}
