//! From which AUM on a label is trusted: rules, settings and the estimator.

use serde::{Deserialize, Serialize};

use crate::dynamics::{Dynamics, EpochLogits, Negatives, Run};
use crate::judge::Side;
use crate::labels::{LabelId, O};
use crate::metrics::{Metrics, Window};

/// Quantile of the threshold samples that the paper takes for negatives: their 90th percentile.
pub const PAPER_QUANTILE_NEGATIVES: f32 = 0.10;
/// Quantile of the threshold samples that the paper takes for positives: their maximum.
pub const PAPER_QUANTILE_POSITIVES: f32 = 0.0;

/// How the threshold of one side (negatives or positives) is found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// AUM < 0 (over the window the model prefers another label), or less where even the
    /// deliberately mislabelled samples lie lower: the paper's threshold where that is below 0.
    /// The paper's threshold alone moves by several units from seed to seed; 0 does not. A side of
    /// which this would judge more than half wrong was not learned: then none is (see
    /// [`crate::judge::Judge::thresholds`]).
    Auto,
    /// The sample at index ⌊n·q⌋ of the threshold samples' AUM in descending order (DynClean §3.3).
    Quantile(f32),
    /// A given AUM.
    Fixed(f32),
}

/// What happens to a span that is judged wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It leaves the training data: neither an entity nor `O`.
    Remove,
    /// It takes the label that the model predicts, where the model is confident; else it is removed.
    Relabel,
}

/// All that decides, together with the dynamics, what is cleaned.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Epochs over which AUM and the other metrics are taken.
    pub window: Window,
    /// Rule for spans labelled `O`.
    pub negatives: Rule,
    /// Rule for spans labelled with an entity type.
    pub positives: Rule,
    /// Remove or relabel.
    pub action: Action,
    /// Of overlapping suspicious negatives, judge only the one with the lowest AUM wrong: half of
    /// the suspicious negatives merely overlap a missed entity.
    pub overlap_suppression: bool,
    /// Least mean probability of the predicted label for relabelling.
    pub relabel_probability: f32,
}

impl Settings {
    /// The automatic settings for these dynamics.
    pub fn automatic(dynamics: &Dynamics, assigned: &[LabelId]) -> Self {
        Self {
            window: automatic_window(&dynamics.run, assigned),
            negatives: Rule::Auto,
            positives: Rule::Auto,
            action: Action::Remove,
            overlap_suppression: true,
            relabel_probability: 0.5,
        }
    }

    /// The paper's settings: quantiles of the threshold samples, the first three epochs.
    pub fn paper() -> Self {
        Self {
            window: Window::first_epochs(WINDOW_EPOCHS),
            negatives: Rule::Quantile(PAPER_QUANTILE_NEGATIVES),
            positives: Rule::Quantile(PAPER_QUANTILE_POSITIVES),
            action: Action::Remove,
            overlap_suppression: false,
            relabel_probability: 0.5,
        }
    }
}

/// Epochs in an automatic window.
const WINDOW_EPOCHS: u32 = 3;

/// Three epochs from the first at which the model has learned positives at all: at which it
/// predicts the distant label of at least half as many positives as at its best epoch. Before
/// that, everything looks like `O`; long after it, wrong labels are memorised.
pub fn automatic_window(run: &Run, assigned: &[LabelId]) -> Window {
    let n = run.epochs.len() as u32;
    let learned: Vec<u64> = run.epochs.iter().map(|epoch| positives_learned(epoch, assigned)).collect();
    let most = learned.iter().copied().max().unwrap_or(0);
    let first = learned.iter().position(|&l| 2 * l >= most).map_or(1, |i| i as u32 + 1);
    // A start close to the end would leave too few epochs.
    let first = first.min(n.saturating_sub(WINDOW_EPOCHS - 1)).max(1);
    Window { first, last: (first + WINDOW_EPOCHS - 1).min(n.max(1)) }
}

/// Positives whose label the model predicts after this epoch; only their logits are looked at, for
/// they are few.
fn positives_learned(epoch: &EpochLogits, assigned: &[LabelId]) -> u64 {
    let positives = assigned.iter().enumerate().filter(|&(_, &label)| label != O);
    let right = positives.filter(|&(span, &label)| {
        let row = epoch.row(span);
        let highest = row.iter().fold(f32::NEG_INFINITY, |highest, &z| highest.max(z));
        row.iter().position(|&z| z == highest) == Some(usize::from(label))
    });
    right.count() as u64
}

/// AUM thresholds; spans **below** are judged wrong. Minus infinity judges none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// For spans labelled `O`.
    pub negatives: f32,
    /// For spans labelled with an entity type.
    pub positives: f32,
}

impl Thresholds {
    /// The threshold of one side.
    pub fn of(&self, side: Side) -> f32 {
        match side {
            Side::Negatives => self.negatives,
            Side::Positives => self.positives,
        }
    }
}

/// AUM of the threshold samples, descending; apart by the side the span really is on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SampleAums {
    /// Of spans whose distant label is `O`.
    pub negatives: Vec<f32>,
    /// Of spans whose distant label is an entity type.
    pub positives: Vec<f32>,
}

impl SampleAums {
    /// The samples' AUM over a window; none where there was no threshold run, or it has no epoch
    /// inside the window. Samples with non-finite logits are left out.
    pub fn compute(dynamics: &Dynamics, assigned: &[LabelId], window: Window) -> Self {
        let mut samples = Self::default();
        let Some(threshold_run) = &dynamics.threshold_run else { return samples };
        let Ok(metrics) = Metrics::compute(&threshold_run.run, &threshold_run.assigned, window) else {
            return samples;
        };
        for (&span, &aum) in threshold_run.spans.iter().zip(&metrics.aum) {
            if aum.is_nan() {
                continue;
            }
            match assigned.get(span as usize) {
                Some(&O) => samples.negatives.push(aum),
                Some(_) => samples.positives.push(aum),
                None => {}
            }
        }
        samples.negatives.sort_by(|a, b| b.total_cmp(a));
        samples.positives.sort_by(|a, b| b.total_cmp(a));
        samples
    }

    /// The thresholds that these rules give.
    pub fn thresholds(&self, settings: &Settings) -> Thresholds {
        Thresholds {
            negatives: threshold(&self.negatives, settings.negatives, PAPER_QUANTILE_NEGATIVES),
            positives: threshold(&self.positives, settings.positives, PAPER_QUANTILE_POSITIVES),
        }
    }
}

/// The threshold from samples' AUM in descending order. Without samples a quantile judges nothing.
fn threshold(descending: &[f32], rule: Rule, paper_quantile: f32) -> f32 {
    match rule {
        Rule::Fixed(value) => value,
        Rule::Quantile(q) => quantile(descending, q).unwrap_or(f32::NEG_INFINITY),
        Rule::Auto => quantile(descending, paper_quantile).map_or(0.0, |paper| paper.min(0.0)),
    }
}

/// The element at index ⌊n·q⌋ of a descending list; the last one for q ≥ 1.
fn quantile(descending: &[f32], q: f32) -> Option<f32> {
    let n = descending.len();
    // In double precision, so that 0.1 of 10 elements is index 1, as in the paper's code.
    let index = (n as f64 * f64::from(q).max(0.0) + 1e-6).floor() as usize;
    descending.get(index.min(n.checked_sub(1)?)).copied()
}

/// Whether negatives' predictions may be used as labels: a run that saw only the top negatives
/// predicts entities far too often on the others.
pub(crate) fn may_relabel_negatives(negatives: Negatives) -> bool {
    negatives == Negatives::All
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dynamics::{EpochLogits, Precision};

    #[test]
    fn quantiles_are_the_papers() {
        let descending: Vec<f32> = (0..10).rev().map(|i| i as f32).collect();
        assert_eq!(quantile(&descending, 0.0), Some(9.0));
        assert_eq!(quantile(&descending, 0.1), Some(8.0));
        assert_eq!(quantile(&descending, 0.19), Some(8.0));
        assert_eq!(quantile(&descending, 1.0), Some(0.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn auto_is_zero_or_less() {
        assert_eq!(threshold(&[4.5, 1.0], Rule::Auto, 0.0), 0.0);
        assert_eq!(threshold(&[-0.5, -1.0], Rule::Auto, 0.0), -0.5);
        assert_eq!(threshold(&[], Rule::Auto, 0.0), 0.0);
        assert_eq!(threshold(&[], Rule::Quantile(0.1), 0.0), f32::NEG_INFINITY);
    }

    #[test]
    fn the_window_begins_when_positives_are_learned() {
        // Two positives and a negative; the positives are predicted right from epoch 3 on.
        let wrong = EpochLogits::from_rows(&[0.0, -1.0, 0.0, -1.0, 0.0, -1.0], 1, Precision::F32).unwrap();
        let right = EpochLogits::from_rows(&[0.0, 1.0, 0.0, 1.0, 0.0, -1.0], 1, Precision::F32).unwrap();
        let epochs = |n_wrong: usize, n_right: usize| Run {
            epochs: [vec![wrong.clone(); n_wrong], vec![right.clone(); n_right]].concat(),
            scores: vec![],
        };
        let labels = [1, 1, 0];
        assert_eq!(automatic_window(&epochs(2, 6), &labels), Window { first: 3, last: 5 });
        assert_eq!(automatic_window(&epochs(0, 6), &labels), Window { first: 1, last: 3 });
        assert_eq!(automatic_window(&epochs(4, 1), &labels), Window { first: 3, last: 5 });
        assert_eq!(automatic_window(&epochs(0, 1), &labels), Window { first: 1, last: 1 });
    }
}
