//! Seeded randomness. Each purpose has its own independent stream, so that a change in one does not affect the
//! others.

use candle_core::{Device, Result, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use xxhash_rust::xxh3::xxh3_64_with_seed;

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
