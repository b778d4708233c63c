//! Dropout masks that depend only on a seed and the position. They are reproducible for any number of threads and
//! need not be stored.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// One dropout mask.
#[derive(Debug, Clone, Copy)]
pub struct Dropout {
    /// Probability that an element becomes 0. The others are divided by 1 − rate.
    pub rate: f32,
    /// Seed of the mask.
    pub seed: u64,
    /// Position of the first element, if the mask is a part of a longer one.
    pub first: u32,
}

impl Dropout {
    /// Returns the factor for the element at this position: 0 or 1 / (1 − rate).
    #[inline(always)]
    pub(super) fn factor(&self, position: u32) -> f32 {
        // MurmurHash3's finaliser, twice, each time with one half of the seed. Its 32-bit operations can be
        // vectorised.
        let mut h = position.wrapping_add(self.first) ^ self.seed as u32;
        for salt in [(self.seed >> 32) as u32, 0x9e37_79b9] {
            h = (h ^ (h >> 16)).wrapping_mul(0x85eb_ca6b);
            h = (h ^ (h >> 13)).wrapping_mul(0xc2b2_ae35);
            h = (h ^ (h >> 16)).wrapping_add(salt);
        }
        // The upper 24 bits as a number in 0..1.
        let uniform = (h >> 8) as f32 * (1.0 / 16_777_216.0);
        if uniform < self.rate { 0.0 } else { 1.0 / (1.0 - self.rate) }
    }
}

/// The size of the part of a batch that stands before the sentences of a pass. Other processes compute that part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Before {
    /// Rows of the encoder.
    pub rows: usize,
    /// Candidate spans.
    pub spans: usize,
    /// Pairs of rows of the same window.
    pub pairs: usize,
}

/// Source of the dropout masks of a forward pass: fresh masks in training, none in evaluation.
pub struct Masks {
    rng: Option<ChaCha8Rng>,
    pub(super) before: Before,
}

impl Masks {
    /// Returns masks for training.
    pub fn training(rng: ChaCha8Rng) -> Self {
        Self { rng: Some(rng), before: Before::default() }
    }

    /// Returns masks for a part of a batch, with `before` in front of it. With the same random numbers, the parts have
    /// the same masks as one pass over the whole batch. This holds on the CPU; on a GPU, masks depend on their shape.
    pub fn after(self, before: Before) -> Self {
        Self { before, ..self }
    }

    /// Returns masks for evaluation: no dropout.
    pub fn evaluation() -> Self {
        Self { rng: None, before: Before::default() }
    }

    /// Returns the next mask for this dropout rate, or `None` if nothing would be dropped. `first` is the position of
    /// its first element.
    pub(super) fn next(&mut self, rate: f32, first: usize) -> Option<Dropout> {
        let mask = self.rng.as_mut().map(|rng| Dropout { rate, seed: rng.next_u64(), first: first as u32 });
        mask.filter(|mask| mask.rate > 0.0)
    }
}
