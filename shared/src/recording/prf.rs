//! Precision, recall and F1, as recorded for each epoch.

use serde::{Deserialize, Serialize};

/// Precision, recall and F1, each in 0..=1, with the counts they come from.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Prf {
    /// Correct / predicted; 0 if nothing is predicted.
    pub precision: f64,
    /// Correct / actual; 0 if there is nothing to find.
    pub recall: f64,
    /// Harmonic mean of precision and recall.
    pub f1: f64,
    /// True positives.
    pub correct: u64,
    /// Number of predicted items.
    pub predicted: u64,
    /// Number of items to find.
    pub actual: u64,
}

impl Prf {
    /// Computes the scores from counts.
    pub fn from_counts(correct: u64, predicted: u64, actual: u64) -> Self {
        let ratio = |of: u64| if of == 0 { 0.0 } else { correct as f64 / of as f64 };
        let (precision, recall) = (ratio(predicted), ratio(actual));
        let f1 = if correct == 0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) };
        Self { precision, recall, f1, correct, predicted, actual }
    }
}
