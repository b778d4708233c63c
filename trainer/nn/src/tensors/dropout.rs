//! Dropout masks that are parts of one long random mask.
//!
//! Making a mask on a GPU takes several operations, and seeding its generator costs more than a whole training
//! step. So the device keeps one long mask per rate, which is the same in every run and on every device. A mask is
//! a window of the long mask. The seed decides where the window starts, so no operation is needed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Result, Tensor};
use rayon::prelude::*;

use crate::{Dropout, Tape};

/// Number of elements of the long mask. It is longer only if a mask takes more than half of that.
const SHORTEST: usize = 1 << 24;
/// Windows start at multiples of this number, because GPUs prefer to read 16 bytes at a time.
const ALIGNMENT: usize = 8;
const CHUNK: usize = 1 << 16;

/// The long masks of a device, by rate and dtype.
#[derive(Debug)]
pub struct MaskPool {
    device: Device,
    masks: Mutex<HashMap<(u32, DType), Tensor>>,
}

impl MaskPool {
    /// Creates an empty pool.
    pub fn new(device: &Device) -> Self {
        Self { device: device.clone(), masks: Mutex::default() }
    }

    /// Returns a mask of this shape, with elements 0 or 1 / (1 − rate). It depends only on
    /// rate, seed, first position and shape.
    ///
    /// # Errors
    /// When memory is full.
    pub fn mask(&self, dropout: Dropout, shape: &[usize], dtype: DType) -> Result<Tensor> {
        let n: usize = shape.iter().product();
        let length = (2 * n).next_power_of_two().max(SHORTEST);
        let starts = (length - n) / ALIGNMENT + 1;
        let seed = dropout.seed.wrapping_add(u64::from(dropout.first));
        let start = (seed % starts as u64) as usize * ALIGNMENT;
        self.long(dropout.rate, length, dtype)?.narrow(0, start, n)?.reshape(shape)
    }

    /// Returns the long mask with at least `length` elements.
    fn long(&self, rate: f32, length: usize, dtype: DType) -> Result<Tensor> {
        let mut masks = self.masks.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (rate.to_bits(), dtype);
        if let Some(mask) = masks.get(&key).filter(|mask| mask.elem_count() >= length) {
            return Ok(mask.clone());
        }
        let all = Dropout { rate, seed: 0, first: 0 };
        let mut values = vec![0f32; length];
        values.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, values)| {
            for (value, position) in values.iter_mut().zip((chunk * CHUNK) as u32..) {
                *value = all.factor(position);
            }
        });
        let mask = Tensor::from_vec(values, length, &self.device)?.to_dtype(dtype)?;
        masks.insert(key, mask.clone());
        Ok(mask)
    }
}

/// Computes `x·mask`. The mask has the shape and dtype of `x`.
///
/// # Errors
/// When shapes do not fit.
pub fn dropout(tape: &mut Tape, x: &Tensor, mask: Tensor) -> Result<Tensor> {
    let y = (x * &mask)?;
    tape.record(&y, &[x], move |g| Ok(vec![(g * mask)?]));
    Ok(y)
}
