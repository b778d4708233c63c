//! Seeded randomness. Each purpose has its own independent stream, so that a change in one does not affect the
//! others.

use candle_core::{Device, Result, Tensor};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::nn::kernels::Dropout;

/// Returns the random stream with this name for a run's seed.
pub fn stream(seed: u64, name: &str) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(xxh3_64_with_seed(name.as_bytes(), seed))
}

/// Returns the seed for an extra training with this name. Its streams differ from all streams of the run's own
/// seed.
pub fn derived_seed(seed: u64, name: &str) -> u64 {
    xxh3_64_with_seed(format!("seed of {name}").as_bytes(), seed)
}

/// Returns a tensor of numbers drawn uniformly from −bound..=bound.
///
/// # Errors
/// When the shape does not fit in memory.
pub fn uniform(rng: &mut ChaCha8Rng, shape: &[usize], bound: f32) -> Result<Tensor> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(-bound..=bound)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu)
}

/// Source of the dropout masks of a forward pass: fresh masks in training, none in evaluation.
pub struct Masks(Option<ChaCha8Rng>);

impl Masks {
    /// Masks for training.
    pub fn training(rng: ChaCha8Rng) -> Self {
        Self(Some(rng))
    }

    /// Masks for evaluation: no dropout.
    pub fn evaluation() -> Self {
        Self(None)
    }

    /// Returns the next mask for this dropout rate, or `None` if nothing would be dropped.
    pub fn next(&mut self, rate: f32) -> Option<Dropout> {
        let mask = self.0.as_mut().map(|rng| Dropout { rate, seed: rng.next_u64() });
        mask.filter(|mask| mask.rate > 0.0)
    }
}
