//! AdamW (Loshchilov & Hutter 2019, algorithm 2) on long tensors: a dozen operations for all their weights.

use candle_core::{Result, Tensor};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// Running means of the gradient and of its square.
#[derive(Debug, Clone)]
pub struct Means {
    pub first: Tensor,
    pub second: Tensor,
}

/// Settings of one step.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// Factor on the gradient.
    pub scale: f64,
    /// Learning rate.
    pub rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Number of elements that decay. They come first.
    pub decaying: usize,
    /// Number of this step, from 1.
    pub number: i32,
}

impl Step {
    /// Returns values and means after the step. All tensors are f32 and have the same shape.
    pub fn apply(self, values: &Tensor, means: &Means, gradient: &Tensor) -> Result<(Tensor, Means)> {
        let g = if self.scale == 1.0 { gradient.clone() } else { gradient.affine(self.scale, 0.0)? };
        let first = (means.first.affine(BETA1, 0.0)? + g.affine(1.0 - BETA1, 0.0)?)?;
        let second = (means.second.affine(BETA2, 0.0)? + g.sqr()?.affine(1.0 - BETA2, 0.0)?)?;
        let first_correction = 1.0 / (1.0 - BETA1.powi(self.number));
        let second_correction = 1.0 / (1.0 - BETA2.powi(self.number));
        let size = second.sqrt()?.affine(second_correction.sqrt(), EPSILON)?;
        let change = (&first / size)?.affine(self.rate * first_correction, 0.0)?;
        let decay = 1.0 - self.rate * self.weight_decay;
        let rest = values.elem_count() - self.decaying;
        let kept = match (decay == 1.0, rest) {
            (true, _) => values.clone(),
            (_, 0) => values.affine(decay, 0.0)?,
            _ => {
                let decayed = values.narrow(0, 0, self.decaying)?.affine(decay, 0.0)?;
                Tensor::cat(&[decayed, values.narrow(0, self.decaying, rest)?], 0)?
            }
        };
        Ok(((kept - change)?, Means { first, second }))
    }
}

/// Returns `new` where `moves` (u8) is 1, else `old`.
pub fn where_moved(moves: &Tensor, new: (Tensor, Means), old: (&Tensor, &Means)) -> Result<(Tensor, Means)> {
    let choose = |new: &Tensor, old: &Tensor| moves.where_cond(new, old);
    let means = Means { first: choose(&new.1.first, &old.1.first)?, second: choose(&new.1.second, &old.1.second)? };
    Ok((choose(&new.0, old.0)?, means))
}
