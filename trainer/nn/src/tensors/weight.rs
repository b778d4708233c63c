//! A weight on a device.

use std::sync::{Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Result, Tensor};

/// The gradient of a weight, summed over the operations that use it.
#[derive(Debug, Clone)]
pub struct TensorGradient {
    /// In the shape of the weight and the dtype of the operation.
    pub sums: Tensor,
    /// For a table: 1 for the rows that were looked up, 0 for the others, u8 `[rows]`. The others do not change,
    /// as on the CPU.
    pub touched: Option<Tensor>,
}

/// The values of a weight, as parts of long tensors that hold many weights, and its gradient.
#[derive(Debug)]
pub struct TensorWeight {
    /// Values in f32.
    values: Part,
    /// Values in the dtype of matrix products.
    rounded: Part,
    shape: Vec<usize>,
    /// `None` for a frozen weight.
    gradient: Option<Mutex<Option<TensorGradient>>>,
}

/// A part of a long tensor `[n]`. It shares the memory of the tensor, and so sees every update.
#[derive(Debug, Clone)]
pub struct Part {
    /// The whole tensor.
    pub whole: Tensor,
    /// Index of the first element.
    pub start: usize,
}

impl Part {
    fn of_shape(&self, shape: &[usize]) -> Result<Tensor> {
        self.whole.narrow(0, self.start, shape.iter().product())?.reshape(shape)
    }
}

impl TensorWeight {
    /// Creates a weight that is trained.
    pub fn trained(values: Part, rounded: Part, shape: &[usize]) -> Self {
        Self { values, rounded, shape: shape.to_vec(), gradient: Some(Mutex::default()) }
    }

    /// Creates a weight that is not trained.
    ///
    /// # Errors
    /// When the device fails.
    pub fn frozen(values: &Tensor, dtype: DType) -> Result<Self> {
        let whole = values.flatten_all()?;
        let rounded = Part { whole: whole.to_dtype(dtype)?, start: 0 };
        Ok(Self { values: Part { whole, start: 0 }, rounded, shape: values.dims().to_vec(), gradient: None })
    }

    /// Returns the shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns the values in f32.
    ///
    /// # Errors
    /// Only if the store is inconsistent.
    pub fn values(&self) -> Result<Tensor> {
        self.values.of_shape(&self.shape)
    }

    /// Returns several weights `[nᵢ, k]` (or `[nᵢ]`) below each other, in the dtype of matrix products or in f32.
    /// If they are adjacent in memory, nothing is copied.
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
        // If the lock is poisoned, a panic is already being reported.
        self.gradient.as_ref().map(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns whether the weight is trained.
    pub fn is_trained(&self) -> bool {
        self.gradient.is_some()
    }

    /// Adds to the gradient. A frozen weight ignores it.
    pub(super) fn add(&self, gradient: TensorGradient) -> Result<()> {
        let Some(mut slot) = self.slot() else { return Ok(()) };
        *slot = Some(match slot.take() {
            None => gradient,
            Some(earlier) => TensorGradient {
                // In bf16 the shares of many batches would be lost.
                sums: (earlier.sums.to_dtype(DType::F32)? + gradient.sums.to_dtype(DType::F32)?)?,
                touched: match (earlier.touched, gradient.touched) {
                    (Some(a), Some(b)) => Some(a.maximum(&b)?),
                    // Some operation used the whole weight.
                    _ => None,
                },
            },
        });
        Ok(())
    }

    /// Returns the gradient of the last backward pass, if any.
    pub fn gradient(&self) -> Option<TensorGradient> {
        self.slot().and_then(|slot| slot.clone())
    }

    /// Deletes the gradient, before a new backward pass.
    pub fn clear(&self) {
        if let Some(mut slot) = self.slot() {
            *slot = None;
        }
    }
}
