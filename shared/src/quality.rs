//! How well the judged spans are the wrong ones, where gold labels are known.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::judge::{Decision, Judge, Side};
use crate::labels::{LabelId, O};
use crate::score::Prf;
use crate::span::SpanId;

/// Noise detection on one side.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// Judged spans that are wrong / judged spans / wrong spans.
    #[serde(flatten)]
    pub prf: Prf,
    /// Average precision of the ranking by ascending AUM.
    pub average_precision: f64,
}

/// Noise detection, false positives and false negatives apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NoiseDetection {
    /// Distant positives whose gold label differs (wrong type included).
    pub false_positives: Detection,
    /// Spans labelled `O` whose gold label is an entity type.
    pub false_negatives: Detection,
}

/// Compares decisions with gold labels (one per span).
pub fn detect(judge: &Judge, decided: &BTreeMap<SpanId, Decision>, gold: &[LabelId]) -> NoiseDetection {
    let is_wrong = |span: SpanId| judge.assigned.get(span as usize) != gold.get(span as usize);
    let detection = |side: Side| {
        let judged = || decided.keys().filter(|&&s| judge.side(s) == side);
        let correct = judged().filter(|&&s| is_wrong(s)).count() as u64;
        let Ranked { wrong, average_precision } = Ranked::new(judge, gold, side);
        Detection { prf: Prf::from_counts(correct, judged().count() as u64, wrong), average_precision }
    };
    NoiseDetection { false_positives: detection(Side::Positives), false_negatives: detection(Side::Negatives) }
}

/// How well AUM ranks one side, whatever the threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranked {
    /// Spans that are wrong.
    pub wrong: u64,
    /// Average precision of the ranking by ascending AUM.
    pub average_precision: f64,
}

impl Ranked {
    /// Compares the ranking with gold labels (one per span).
    pub fn new(judge: &Judge, gold: &[LabelId], side: Side) -> Self {
        let is_wrong = |span: SpanId| judge.assigned.get(span as usize) != gold.get(span as usize);
        let wrong = wrong_spans(judge, gold, side);
        let average_precision = average_precision(judge.ranked_aum(side), judge.ranked(side), is_wrong, wrong);
        Self { wrong, average_precision }
    }
}

fn wrong_spans(judge: &Judge, gold: &[LabelId], side: Side) -> u64 {
    let pairs = judge.assigned.iter().zip(gold);
    pairs.filter(|&(&label, &gold)| label != gold && (label != O) == (side == Side::Positives)).count() as u64
}

/// Σ (recall gained at a threshold × precision there), spans of equal score taken together.
fn average_precision(scores: &[f32], ranked: &[SpanId], is_wrong: impl Fn(SpanId) -> bool, wrong: u64) -> f64 {
    let (mut found, mut seen, mut sum) = (0u64, 0u64, 0f64);
    for group in scores.chunk_by(|a, b| a == b) {
        let spans = &ranked[seen as usize..seen as usize + group.len()];
        let gained = spans.iter().filter(|&&s| is_wrong(s)).count() as u64;
        seen += group.len() as u64;
        found += gained;
        sum += gained as f64 * found as f64 / seen as f64;
    }
    if wrong == 0 { 0.0 } else { sum / wrong as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn average_precision_by_hand() {
        // Wrong spans at ranks 1 and 3 of 4: (1/1 + 2/3) / 2.
        let ap = average_precision(&[0.0, 1.0, 2.0, 3.0], &[7, 8, 9, 10], |s| s == 7 || s == 9, 2);
        assert!((ap - (1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-12);
        // All tied: the base rate.
        let ap = average_precision(&[1.0; 4], &[7, 8, 9, 10], |s| s == 10, 1);
        assert!((ap - 0.25).abs() < 1e-12);
        // A wrong span that is not ranked (flagged) is never found.
        let ap = average_precision(&[1.0], &[7], |s| s == 7, 2);
        assert!((ap - 0.5).abs() < 1e-12);
    }
}
