//! Where and how a model computes.
//!
//! A model is written once, by the operations of a [`Pass`]. On the CPU these are the kernels of [`crate::ops`], on
//! packed sentences; on a GPU the tensor operations of [`crate::tensor_ops`], on padded ones.

mod device;
mod pass;
mod rounding;

use std::sync::Arc;

use candle_core::{DType, Device};

use crate::tensor_ops::MaskPool;

pub use device::{Place, parse_place};
pub use pass::Pass;
pub use rounding::Rounding;

/// How a model computes.
#[derive(Debug, Clone, Default)]
pub enum Compute {
    /// By kernels of our own, on the CPU: same seed, same bytes.
    #[default]
    Kernels,
    /// By tensor operations on a device.
    Tensors(TensorCompute),
}

/// Tensor operations on a device.
#[derive(Debug, Clone)]
pub struct TensorCompute {
    /// Where.
    pub device: Device,
    /// Of matrix products: f32 or bf16.
    pub dtype: DType,
    pub(crate) masks: Arc<MaskPool>,
}

impl Compute {
    /// By tensor operations on this device, matrix products in this dtype.
    pub fn tensors(device: Device, dtype: DType) -> Self {
        let masks = Arc::new(MaskPool::new(&device));
        Self::Tensors(TensorCompute { device, dtype, masks })
    }

    /// Whether batches are padded.
    pub fn pads(&self) -> bool {
        matches!(self, Self::Tensors(_))
    }
}
