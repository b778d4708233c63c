//! Division of an epoch's sentences into batches, and the order of the batches.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Number of batches whose sentences are sorted by length together.
const WINDOW: usize = 32;

/// Returns the sentences 0, 1, … in shuffled batches of `size`. There is one sentence per element of `lengths`.
/// The last batch may be smaller.
///
/// `of_like_length` is for batches that are padded. It takes the sentences of 32 batches in the shuffled order,
/// puts sentences of similar length into the same batch, and shuffles these batches. The composition of a batch is
/// then less random, but it depends on length only.
pub fn batches(lengths: &[usize], size: usize, of_like_length: bool, rng: &mut ChaCha8Rng) -> Vec<Vec<u32>> {
    let size = size.max(1);
    let mut order: Vec<u32> = (0..lengths.len() as u32).collect();
    order.shuffle(rng);
    if !of_like_length {
        return order.chunks(size).map(<[u32]>::to_vec).collect();
    }
    let mut all = Vec::new();
    for window in order.chunks_mut(size * WINDOW) {
        // The sort is stable, so sentences of equal length stay in random order.
        window.sort_by_key(|&sentence| lengths.get(sentence as usize));
        let mut batches: Vec<Vec<u32>> = window.chunks(size).map(<[u32]>::to_vec).collect();
        batches.shuffle(rng);
        all.extend(batches);
    }
    all
}

#[cfg(test)]
mod tests {
    use nn::random::stream;

    use super::*;

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
        // Number of rows including padding, per row without padding.
        let padded = |batches: &[Vec<u32>]| {
            let length = |&s: &u32| lengths[s as usize];
            let rows: usize = batches.iter().map(|b| b.len() * b.iter().map(length).max().unwrap()).sum();
            rows as f64 / lengths.iter().sum::<usize>() as f64
        };
        assert!(padded(&of(1, false)) > 1.6);
        assert!(padded(&of(1, true)) < 1.1);
        // The batches of short sentences must not all come first.
        let means: Vec<usize> =
            of(1, true)[..32].iter().map(|b| b.iter().map(|&s| lengths[s as usize]).sum()).collect();
        assert!(!means.is_sorted());
    }
}
