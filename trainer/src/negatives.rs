//! Top-negative sampling (DynClean §3.2): only the negatives that are most similar to the positives of the same
//! batch enter the loss.

use anyhow::{Result, ensure};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use shared::corpus::labels::O;

/// Keeps a share of 1 − `rate` of the negatives in `targets` and sets the others to `None`.
///
/// The negatives that stay are those with the largest sum of cosines between their hidden vector and the hidden
/// vectors of the positives. `sums_of_cosines` gets a mask with `true` for every positive and returns this sum for
/// every target. In a batch without positives a random share stays.
///
/// # Errors
/// Errors of `sums_of_cosines`, or a wrong number of sums.
pub fn most_similar_negatives(
    sums_of_cosines: impl FnOnce(&[bool]) -> Result<Vec<f32>>,
    targets: &mut [Option<u32>],
    rate: f32,
    rng: &mut ChaCha8Rng,
) -> Result<()> {
    let is_negative = |target: &Option<u32>| *target == Some(u32::from(O));
    let mut negatives: Vec<usize> = (0..targets.len()).filter(|&i| is_negative(&targets[i])).collect();
    // Subtract a thousandth, because 1 − 0.95 is a little more than 0.05 in binary.
    let keep = ((1.0 - rate) * negatives.len() as f32 - 1e-3).ceil() as usize;
    let positives: Vec<bool> = targets.iter().map(|t| t.is_some() && !is_negative(t)).collect();
    if positives.contains(&true) {
        let scores = sums_of_cosines(&positives)?;
        ensure!(scores.len() == targets.len(), "{} scores for {} spans", scores.len(), targets.len());
        negatives.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    } else {
        negatives.shuffle(rng);
    }
    for &i in negatives.iter().skip(keep) {
        targets[i] = None;
    }
    Ok(())
}

/// Returns for each row of `vectors` the sum of its cosines to the rows with `chosen[i]`.
pub fn sums_of_cosines(vectors: &[f32], chosen: &[bool]) -> Vec<f32> {
    let width = (vectors.len() / chosen.len().max(1)).max(1);
    let mut direction = vec![0f32; width];
    for (row, _) in vectors.chunks_exact(width).zip(chosen).filter(|&(_, &chosen)| chosen) {
        let norm = norm(row);
        for (sum, value) in direction.iter_mut().zip(row) {
            *sum += value / norm;
        }
    }
    // Σ cos(n, p) = n/|n| · Σ p/|p|
    let score = |row: &[f32]| row.iter().zip(&direction).map(|(a, b)| a * b).sum::<f32>() / norm(row);
    vectors.chunks_exact(width).map(score).collect()
}

fn norm(row: &[f32]) -> f32 {
    row.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-12)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::stream;

    #[test]
    fn negatives_like_the_positives_stay() {
        // Positive along x; negatives along x, y and −x; the last span was left out beforehand.
        let hidden = [1.0, 0.0, 9.0, 0.1, 0.0, 2.0, -1.0, 0.0, 1.0, 0.0];
        let mut targets = [Some(2), Some(0), Some(0), Some(0), None];
        let cosines = |chosen: &[bool]| Ok(sums_of_cosines(&hidden, chosen));
        most_similar_negatives(cosines, &mut targets, 0.6, &mut stream(1, "test")).unwrap();
        assert_eq!(targets, [Some(2), Some(0), Some(0), None, None]);
        most_similar_negatives(cosines, &mut targets, 0.9, &mut stream(1, "test")).unwrap();
        assert_eq!(targets, [Some(2), Some(0), None, None, None]);
    }

    #[test]
    fn without_positives_a_random_share_stays() {
        let mut targets = vec![Some(0); 100];
        let cosines = |_: &[bool]| panic!("there is nothing to be similar to");
        most_similar_negatives(cosines, &mut targets, 0.95, &mut stream(1, "test")).unwrap();
        assert_eq!(targets.iter().flatten().count(), 5);
    }
}
