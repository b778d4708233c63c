//! Top-negative sampling (DynClean §3.2): of a batch's negatives, only those that look most like its
//! positives enter the loss.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use shared::labels::O;

/// Takes all but a share of 1 − `rate` of the negatives out of `targets`: those stay whose hidden
/// vectors (`hidden`, one row per target) have the largest sum of cosines to the positives'. In a
/// batch without positives a random share stays.
pub fn most_similar_negatives(hidden: &[f32], targets: &mut [Option<u32>], rate: f32, rng: &mut ChaCha8Rng) {
    let width = hidden.len() / targets.len().max(1);
    let is_negative = |target: &Option<u32>| *target == Some(u32::from(O));
    let mut negatives: Vec<usize> = (0..targets.len()).filter(|&i| is_negative(&targets[i])).collect();
    // Less a thousandth: 1 − 0.95 is a little more than 0.05 in binary.
    let keep = ((1.0 - rate) * negatives.len() as f32 - 1e-3).ceil() as usize;
    let row = |i: usize| &hidden[i * width..(i + 1) * width];
    let mut direction = vec![0f32; width];
    let mut has_positive = false;
    for i in (0..targets.len()).filter(|&i| targets[i].is_some() && !is_negative(&targets[i])) {
        has_positive = true;
        let norm = norm(row(i));
        for (sum, value) in direction.iter_mut().zip(row(i)) {
            *sum += value / norm;
        }
    }
    if has_positive {
        // Σ cos(n, p) = n/|n| · Σ p/|p|
        let score = |i: usize| {
            let dot: f32 = row(i).iter().zip(&direction).map(|(a, b)| a * b).sum();
            dot / norm(row(i))
        };
        let scores: Vec<f32> =
            (0..targets.len()).map(|i| if is_negative(&targets[i]) { score(i) } else { 0.0 }).collect();
        negatives.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    } else {
        negatives.shuffle(rng);
    }
    for &i in negatives.iter().skip(keep) {
        targets[i] = None;
    }
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
        // Positive along x; negatives along x, y, −x; one span left out beforehand.
        let hidden = [1.0, 0.0, 9.0, 0.1, 0.0, 2.0, -1.0, 0.0, 1.0, 0.0];
        let mut targets = [Some(2), Some(0), Some(0), Some(0), None];
        most_similar_negatives(&hidden, &mut targets, 0.6, &mut stream(1, "test"));
        assert_eq!(targets, [Some(2), Some(0), Some(0), None, None]);
        most_similar_negatives(&hidden, &mut targets, 0.9, &mut stream(1, "test"));
        assert_eq!(targets, [Some(2), Some(0), None, None, None]);
    }

    #[test]
    fn without_positives_a_random_share_stays() {
        let hidden = vec![1.0; 200];
        let mut targets = vec![Some(0); 100];
        most_similar_negatives(&hidden, &mut targets, 0.95, &mut stream(1, "test"));
        assert_eq!(targets.iter().flatten().count(), 5);
    }
}
