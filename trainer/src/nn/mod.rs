//! Devices for models, and their operations.
//!
//! A model is written once, with the operations of a [`Pass`]. On the CPU these are the kernels of [`crate::nn::kernels`],
//! on packed sentences. On a GPU they are the tensor operations of [`crate::nn::tensors`], on padded sentences.

mod device;
pub mod kernels;
pub mod parameters;
mod pass;
mod rounding;
pub mod tensors;

use std::sync::Arc;

use candle_core::{DType, Device};

use crate::nn::tensors::MaskPool;

pub use device::{Place, parse_place};
pub use pass::Pass;
pub use rounding::Rounding;

/// How a model computes.
#[derive(Debug, Clone, Default)]
pub enum Compute {
    /// With this program's own kernels on the CPU: the same seed gives the same bytes.
    #[default]
    Kernels,
    /// With tensor operations on a device.
    Tensors(TensorCompute),
}

/// Settings for tensor operations on a device.
#[derive(Debug, Clone)]
pub struct TensorCompute {
    /// The device.
    pub device: Device,
    /// Type of the numbers in matrix products: f32 or bf16.
    pub dtype: DType,
    pub(crate) masks: Arc<MaskPool>,
}

impl Compute {
    /// Computes with tensor operations on this device, with matrix products in this dtype.
    pub fn tensors(device: Device, dtype: DType) -> Self {
        let masks = Arc::new(MaskPool::new(&device));
        Self::Tensors(TensorCompute { device, dtype, masks })
    }

    /// Returns whether batches are padded.
    pub fn pads(&self) -> bool {
        matches!(self, Self::Tensors(_))
    }
}
