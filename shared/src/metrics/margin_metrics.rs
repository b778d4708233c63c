//! Metrics of runs with margins only, such as those that the aum package records.
//!
//! AUM is the mean margin. An epoch counts as correct if the margin is above 0. Confidence, variability and the
//! predicted label need the other logits, so their columns stay empty.

use crate::corpus::labels::LabelId;
use crate::metrics::Metrics;
use crate::recording::dynamics::EpochLogits;

/// Computes the metrics of all spans over these epochs. Each epoch has one margin per span, for its assigned
/// label.
pub(crate) fn compute(epochs: &[EpochLogits], assigned: &[LabelId]) -> Metrics {
    let n = assigned.len();
    let mut metrics = Metrics::default();
    metrics.aum.reserve_exact(n);
    metrics.correctness.reserve_exact(n);
    metrics.forgetting.reserve_exact(n);
    for (span, &label) in assigned.iter().enumerate() {
        let (mut sum, mut correct, mut forgotten, mut was_correct) = (0f32, 0u16, 0u16, false);
        let mut is_finite = true;
        for epoch in epochs {
            let margin = epoch.margin(span, label);
            if !margin.is_finite() {
                // Not recorded: it counts neither as right nor as wrong.
                is_finite = false;
                continue;
            }
            sum += margin;
            let is_correct = margin > 0.0;
            correct += u16::from(is_correct);
            forgotten += u16::from(was_correct && !is_correct);
            was_correct = is_correct;
        }
        // As in the other metrics, a flagged span must not give evidence.
        let (aum, correct, forgotten) =
            if is_finite { (sum / epochs.len() as f32, correct, forgotten) } else { (f32::NAN, 0, 0) };
        metrics.aum.push(aum);
        metrics.correctness.push(correct);
        metrics.forgetting.push(forgotten);
    }
    metrics
}

#[cfg(test)]
mod tests {
    use crate::metrics::{Metrics, Window};
    use crate::recording::dynamics::{EpochLogits, Run};

    #[test]
    fn by_hand() {
        let epochs = [vec![1.0, f32::NAN], vec![-0.5, 1.0], vec![0.0, 2.0]].map(EpochLogits::from_margins).into();
        let run = Run { epochs, scores: vec![] };
        let m = Metrics::compute(&run, &[9, 0], Window::first_epochs(3)).unwrap();
        assert!((m.aum[0] - 0.5 / 3.0).abs() < 1e-7);
        assert_eq!((m.correctness[0], m.forgetting[0]), (1, 1));
        assert!(m.is_flagged(1) && !m.is_flagged(0));
        assert!(!m.has_probabilities() && m.prediction(0).is_none());
        assert_eq!(Metrics::compute(&run, &[9, 0], Window { first: 2, last: 3 }).unwrap().aum[1], 1.5);
        assert_eq!(run.epochs.iter().map(|epoch| epoch.margin(0, 9)).collect::<Vec<_>>(), [1.0, -0.5, 0.0]);
    }
}
