//! Which sentences of an epoch make a batch, and in which order.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Batches whose sentences are sorted by length together.
const WINDOW: usize = 32;

/// The sentences 0, 1, … (as many as there are `lengths`) in shuffled batches of `size`; the last may be smaller.
///
/// With `of_like_length`, for batches that are padded: among the sentences of 32 batches that follow each other in the
/// shuffled order, those of like length come together, and the batches are shuffled again. Which sentences meet in a
/// batch is then less random, by their length alone.
pub fn batches(lengths: &[usize], size: usize, of_like_length: bool, rng: &mut ChaCha8Rng) -> Vec<Vec<u32>> {
    let size = size.max(1);
    let mut order: Vec<u32> = (0..lengths.len() as u32).collect();
    order.shuffle(rng);
    if !of_like_length {
        return order.chunks(size).map(<[u32]>::to_vec).collect();
    }
    let mut all = Vec::new();
    for window in order.chunks_mut(size * WINDOW) {
        // A stable sort: of equal length, the order stays random.
        window.sort_by_key(|&sentence| lengths.get(sentence as usize));
        let mut batches: Vec<Vec<u32>> = window.chunks(size).map(<[u32]>::to_vec).collect();
        batches.shuffle(rng);
        all.extend(batches);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::stream;

    #[test]
    fn every_sentence_comes_once_and_like_lengths_together() {
        let lengths: Vec<usize> = (0..1000).map(|i| i * 7 % 50).collect();
        let of = |seed, alike| batches(&lengths, 8, alike, &mut stream(seed, "order"));
        for alike in [false, true] {
            let mut all: Vec<u32> = of(1, alike).concat();
            assert_eq!(of(1, alike).len(), 125);
            assert_eq!(of(1, alike), of(1, alike));
            assert_ne!(of(1, alike), of(2, alike));
            all.sort_unstable();
            assert!(all.iter().copied().eq(0..1000));
        }
        // Rows, padding included, per row that counts.
        let padded = |batches: &[Vec<u32>]| {
            let length = |&s: &u32| lengths[s as usize];
            let rows: usize = batches.iter().map(|b| b.len() * b.iter().map(length).max().unwrap()).sum();
            rows as f64 / lengths.iter().sum::<usize>() as f64
        };
        assert!(padded(&of(1, false)) > 1.6);
        assert!(padded(&of(1, true)) < 1.1);
        // Batches of short sentences do not all come first.
        let means: Vec<usize> =
            of(1, true)[..32].iter().map(|b| b.iter().map(|&s| lengths[s as usize]).sum()).collect();
        assert!(!means.is_sorted());
    }
}
