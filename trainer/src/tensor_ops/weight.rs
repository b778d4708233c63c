//! A weight on a device.

use std::sync::{Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Result, Tensor};

/// The gradient of a weight, summed over the operations that use it.
#[derive(Debug, Clone)]
pub struct TensorGradient {
    /// In the weight's shape; the dtype is that of the operation.
    pub sums: Tensor,
    /// Of a table: 1 for the rows that were looked up, 0 for the others, u8 `[rows]`. They do not move, as on the CPU.
    pub touched: Option<Tensor>,
}

/// Values of a weight, as parts of the long tensors that hold all of them, and its gradient.
#[derive(Debug)]
pub struct Placed {
    /// In f32.
    values: Part,
    /// In the dtype of matrix products.
    rounded: Part,
    shape: Vec<usize>,
    /// None for a frozen weight.
    gradient: Option<Mutex<Option<TensorGradient>>>,
}

/// A stretch of a long tensor `[n]`, which shares its memory and so sees every step.
#[derive(Debug, Clone)]
pub struct Part {
    /// All of it.
    pub whole: Tensor,
    /// First element.
    pub start: usize,
}

impl Part {
    fn of_shape(&self, shape: &[usize]) -> Result<Tensor> {
        self.whole.narrow(0, self.start, shape.iter().product())?.reshape(shape)
    }
}

impl Placed {
    /// A weight that trains.
    pub fn trained(values: Part, rounded: Part, shape: &[usize]) -> Self {
        Self { values, rounded, shape: shape.to_vec(), gradient: Some(Mutex::default()) }
    }

    /// A weight that stays.
    ///
    /// # Errors
    /// When the device fails.
    pub fn frozen(values: &Tensor, dtype: DType) -> Result<Self> {
        let whole = values.flatten_all()?;
        let rounded = Part { whole: whole.to_dtype(dtype)?, start: 0 };
        Ok(Self { values: Part { whole, start: 0 }, rounded, shape: values.dims().to_vec(), gradient: None })
    }

    /// Its shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its values in f32.
    ///
    /// # Errors
    /// Never, unless the store is not what it should be.
    pub fn values(&self) -> Result<Tensor> {
        self.values.of_shape(&self.shape)
    }

    /// Several weights `[nᵢ, k]` (or `[nᵢ]`) below each other, rounded to the dtype of matrix products or not. Where
    /// they lie so in memory already, nothing is copied.
    ///
    /// # Errors
    /// When their shapes do not fit together.
    pub fn below_each_other(weights: &[&Self], rounded: bool) -> Result<Tensor> {
        let part = |weight: &Self| if rounded { weight.rounded.clone() } else { weight.values.clone() };
        let parts: Vec<(Part, &[usize])> = weights.iter().map(|&w| (part(w), w.shape.as_slice())).collect();
        let Some(((first, shape), rest)) = parts.split_first() else { candle_core::bail!("no weight") };
        let (mut end, mut rows) = (first.start + shape.iter().product::<usize>(), shape.first().copied().unwrap_or(1));
        let mut adjacent = true;
        for (part, shape) in rest {
            adjacent &= part.whole.id() == first.whole.id() && part.start == end;
            end = part.start + shape.iter().product::<usize>();
            rows += shape.first().copied().unwrap_or(1);
        }
        if adjacent {
            let mut all = shape.to_vec();
            all[0] = rows;
            return first.of_shape(&all);
        }
        let each = parts.iter().map(|(part, shape)| part.of_shape(shape)).collect::<Result<Vec<_>>>()?;
        Tensor::cat(&each, 0)
    }

    fn slot(&self) -> Option<MutexGuard<'_, Option<TensorGradient>>> {
        // A poisoned lock means that a panic is already on its way to the user.
        self.gradient.as_ref().map(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether it trains.
    pub fn is_trained(&self) -> bool {
        self.gradient.is_some()
    }

    /// Adds to the gradient. Nothing happens for a frozen weight.
    pub(super) fn add(&self, gradient: TensorGradient) -> Result<()> {
        let Some(mut slot) = self.slot() else { return Ok(()) };
        *slot = Some(match slot.take() {
            None => gradient,
            Some(earlier) => TensorGradient {
                sums: (earlier.sums + gradient.sums)?,
                touched: match (earlier.touched, gradient.touched) {
                    (Some(a), Some(b)) => Some(a.maximum(&b)?),
                    // Some operation used all of it.
                    _ => None,
                },
            },
        });
        Ok(())
    }

    /// The gradient of the last backward pass, if any.
    pub fn gradient(&self) -> Option<TensorGradient> {
        self.slot().and_then(|slot| slot.clone())
    }

    /// Forgets the gradient, as before every backward pass.
    pub fn clear(&self) {
        if let Some(mut slot) = self.slot() {
            *slot = None;
        }
    }
}
