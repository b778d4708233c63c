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

#[cfg(test)]
mod tests {
    use nn::random::stream;

    use super::*;

    #[test]
    fn negatives_like_the_positives_stay() {
        // Positive along x; negatives along x, y and −x; the last span was left out beforehand.
        let cosines_to_x = vec![1.0, 0.99, 0.0, -1.0, 1.0];
        let mut targets = [Some(2), Some(0), Some(0), Some(0), None];
        let cosines = |chosen: &[bool]| {
            assert_eq!(chosen, [true, false, false, false, false]);
            Ok(cosines_to_x.clone())
        };
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
