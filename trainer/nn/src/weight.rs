//! Weights and layers as models see them, and the settings of the optimizer.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// A weight of a model: its number among all weights that the model declared. The [`Engine`](super::Engine) holds
/// its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight(pub(super) usize);

/// A fully connected layer, `y = x·Wᵀ + b`.
#[derive(Debug, Clone, Copy)]
pub struct Linear<W = Weight> {
    /// W, `[outputs, inputs]`.
    pub weight: W,
    /// b, `[outputs]`.
    pub bias: Option<W>,
}

impl<W> Linear<W> {
    /// Returns the layer with the engine's weights in place of numbers.
    pub(super) fn try_map<V, E>(&self, of: impl Fn(&W) -> Result<V, E>) -> Result<Linear<V>, E> {
        Ok(Linear { weight: of(&self.weight)?, bias: self.bias.as_ref().map(of).transpose()? })
    }
}

/// A layer norm. Its weights have the size of the normalised dimension.
#[derive(Debug, Clone, Copy)]
pub struct Norm<W = Weight> {
    /// Scale, `[d]`.
    pub weight: W,
    /// Shift, `[d]`.
    pub bias: W,
    /// Added to the variance.
    pub eps: f32,
}

impl<W> Norm<W> {
    /// Returns the layer norm with the engine's weights in place of numbers.
    pub(super) fn try_map<V, E>(&self, of: impl Fn(&W) -> Result<V, E>) -> Result<Norm<V>, E> {
        Ok(Norm { weight: of(&self.weight)?, bias: of(&self.bias)?, eps: self.eps })
    }
}

/// Parts of a model that have their own learning rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Token representations.
    Encoder,
    /// Span classifier.
    Head,
}

/// A declared weight, before an engine takes it.
#[derive(Debug, Clone)]
pub struct StartingValues {
    /// Values in f32 on the CPU.
    pub values: Tensor,
    /// The group whose learning rate it uses, or `None` if the weight is not trained.
    pub group: Option<Group>,
    /// Whether it is a table whose rows are looked up. Only the rows that were looked up change.
    pub is_table: bool,
}

/// Settings of one step of AdamW.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Rates {
    /// Learning rate of the encoder.
    pub encoder: f32,
    /// Learning rate of the head.
    pub head: f32,
    /// Decoupled weight decay of matrices and tables. Vectors (biases and layer norms) do not decay.
    pub weight_decay: f32,
    /// Largest Euclidean norm of all gradients together. Longer gradients are scaled down to it.
    pub clip_norm: Option<f32>,
}

impl Rates {
    /// Returns the learning rate of a group.
    pub fn of(&self, group: Group) -> f32 {
        match group {
            Group::Encoder => self.encoder,
            Group::Head => self.head,
        }
    }

    /// Returns the factor for gradients whose Euclidean norm is `norm()`. It is 1 unless they must be clipped.
    pub(super) fn scale<E>(&self, norm: impl FnOnce() -> Result<f64, E>) -> Result<f32, E> {
        match self.clip_norm {
            Some(limit) => Ok((f64::from(limit) / norm()?).min(1.0) as f32),
            None => Ok(1.0),
        }
    }
}

/// Returns whether weight decay acts on a weight of this shape.
///
/// It does not act on vectors. Every vector is a bias or belongs to a layer norm, and pulling these to 0 weakens
/// the model without making it simpler.
pub(super) fn decays(shape: &[usize]) -> bool {
    shape.len() > 1
}
