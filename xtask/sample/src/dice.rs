//! The only source of randomness in the sample.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Random numbers by integer arithmetic on the raw stream. `rand`'s distributions may give other values in another
/// release, and the sample must stay the same byte for byte.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    /// Creates a stream. Streams of one seed are independent, so a change to the dictionary does not change the
    /// text.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(stream);
        Self(rng)
    }

    /// Returns a uniform number in `0..n`, or 0 if `n` is 0. The bias is below n / 2³², too small to matter.
    pub(super) fn below(&mut self, n: usize) -> usize {
        ((u64::from(self.0.next_u32()) * n as u64) >> 32) as usize
    }

    /// Returns a uniform number in `low..=high`.
    pub(super) fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high.saturating_sub(low) + 1)
    }

    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// Returns a number in `0..n` with density −ln(x). A few ranks are frequent and most are rare, like names in
    /// news.
    pub(super) fn skewed(&mut self, n: usize) -> usize {
        let top = self.below(n) + 1;
        self.below(top)
    }

    pub(super) fn pick<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items.get(self.below(items.len())).copied().unwrap_or("")
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}
