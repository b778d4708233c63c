//! Metrics of training dynamics over a window of epochs.
//!
//! For each span with assigned label y and logits z at the E epochs of the window:
//! - **margin** z_y − max_{k≠y} z_k; **AUM** its mean over the epochs (Pleiss et al. 2020, eq. 1–2);
//! - **confidence**, **variability**: mean and population standard deviation of softmax(z)_y
//!   (Swayamdipta et al. 2020, §2);
//! - **correctness**: number of epochs at which y is the argmax (lowest label on ties);
//! - **forgetting events**: correct at one epoch and not at the next (Toneva et al. 2019);
//! - **predicted label**: argmax of the mean probabilities.

use serde::{Deserialize, Serialize};

use crate::dynamics::{EpochLogits, Run};
use crate::exp::exp_nonpositive;
use crate::labels::LabelId;

/// Epochs that a metric looks at: `first..=last`, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// First epoch.
    pub first: u32,
    /// Last epoch.
    pub last: u32,
}

impl Window {
    /// The first `n` epochs.
    pub fn first_epochs(n: u32) -> Self {
        Self { first: 1, last: n.max(1) }
    }

    /// The epochs of a run inside this window.
    pub(crate) fn of<'a>(&self, epochs: &'a [EpochLogits]) -> &'a [EpochLogits] {
        let last = (self.last as usize).min(epochs.len());
        let first = (self.first.max(1) as usize - 1).min(last);
        &epochs[first..last]
    }
}

/// Metrics of all spans, one element per span in every column.
///
/// A span with a non-finite logit inside the window has AUM, confidence and variability NaN and
/// counts as [`Metrics::is_flagged`]: nothing is decided about it. Where a run holds margins only,
/// the columns that need probabilities are empty ([`Metrics::has_probabilities`]).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    /// Area under the margin.
    pub aum: Vec<f32>,
    /// Mean probability of the assigned label.
    pub confidence: Vec<f32>,
    /// Population standard deviation of that probability.
    pub variability: Vec<f32>,
    /// Epochs at which the assigned label was predicted.
    pub correctness: Vec<u16>,
    /// Times from right to wrong.
    pub forgetting: Vec<u16>,
    /// Label with the highest mean probability.
    pub predicted: Vec<LabelId>,
    /// That probability.
    pub predicted_probability: Vec<f32>,
}

/// Labels and logits that do not belong together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetricsError {
    /// No epoch of the run is inside the window.
    #[error("no recorded epoch is inside the window {first}–{last}; the run has {epochs}", first = .window.first, last = .window.last)]
    EmptyWindow {
        /// The window.
        window: Window,
        /// Epochs recorded.
        epochs: usize,
    },
    /// The epochs do not have one row per label.
    #[error("epoch {epoch} has logits for {found} spans, expected {expected}")]
    WrongLength {
        /// Epoch, from 1.
        epoch: usize,
        /// Rows found.
        found: usize,
        /// Rows expected.
        expected: usize,
    },
    /// A label for which there is no logit.
    #[error("span {span} has label {label}, but there are logits for {n_types} entity types")]
    NoSuchLabel {
        /// Row.
        span: usize,
        /// Its label.
        label: LabelId,
        /// Types with logits.
        n_types: usize,
    },
}

/// Spans handled together: their working set stays in the first-level cache.
const BLOCK: usize = 256;

impl Metrics {
    /// Computes all metrics of `run` for spans with these assigned labels.
    ///
    /// # Errors
    /// When the window is empty or labels and logits do not fit together.
    pub fn compute(run: &Run, assigned: &[LabelId], window: Window) -> Result<Self, MetricsError> {
        let epochs = window.of(&run.epochs);
        check(run, epochs, assigned, window)?;
        if run.is_margins() {
            return Ok(crate::margin_metrics::compute(epochs, assigned));
        }
        let n = assigned.len();
        let mut metrics = Self::default();
        let Self { aum, confidence, variability, correctness, forgetting, predicted, predicted_probability } =
            &mut metrics;
        for column in [aum, confidence, variability, predicted_probability] {
            column.reserve_exact(n);
        }
        for column in [correctness, forgetting, predicted] {
            column.reserve_exact(n);
        }
        let n_types = epochs.iter().map(EpochLogits::n_types).max().unwrap_or(0);
        let mut block = Block::new(n_types + 1);
        for start in (0..n).step_by(BLOCK) {
            let spans = start..(start + BLOCK).min(n);
            block.start(&assigned[spans.clone()]);
            for epoch in epochs {
                block.load(epoch, spans.clone());
                block.accumulate();
            }
            block.finish(epochs.len(), &mut metrics);
        }
        Ok(metrics)
    }

    /// Whether confidence, variability and the predicted label are known: not where only margins were
    /// recorded.
    pub fn has_probabilities(&self) -> bool {
        self.confidence.len() == self.aum.len()
    }

    /// Whether the dynamics of a span contain a non-finite logit.
    pub fn is_flagged(&self, span: usize) -> bool {
        self.aum.get(span).is_some_and(|a| a.is_nan())
    }
}

/// Margins of one span at every epoch of a run.
pub fn margins(run: &Run, span: usize, assigned: LabelId) -> Vec<f32> {
    run.epochs.iter().map(|epoch| epoch.margin(span, assigned)).collect()
}

fn check(run: &Run, epochs: &[EpochLogits], assigned: &[LabelId], window: Window) -> Result<(), MetricsError> {
    let Some(first) = epochs.first() else {
        return Err(MetricsError::EmptyWindow { window, epochs: run.epochs.len() });
    };
    for (i, epoch) in epochs.iter().enumerate() {
        if epoch.n_spans() != assigned.len() || epoch.n_types() != first.n_types() {
            let epoch_number = window.first.max(1) as usize + i;
            return Err(MetricsError::WrongLength {
                epoch: epoch_number,
                found: epoch.n_spans(),
                expected: assigned.len(),
            });
        }
    }
    if first.is_margins() {
        return Ok(());
    }
    match assigned.iter().position(|&l| usize::from(l) > first.n_types()) {
        Some(span) => Err(MetricsError::NoSuchLabel { span, label: assigned[span], n_types: first.n_types() }),
        None => Ok(()),
    }
}

/// Working columns of one block; every loop runs over spans, so that it vectorises.
struct Block {
    len: usize,
    n_labels: usize,
    epoch: usize,
    label: [LabelId; BLOCK],
    /// Logits of the epoch at hand, then its exponentials: `n_labels` columns of `BLOCK`.
    logits: Vec<f32>,
    /// Sum over epochs of the probabilities, laid out likewise.
    probability: Vec<f32>,
    margin_sum: [f32; BLOCK],
    mean: [f32; BLOCK],
    squares: [f32; BLOCK],
    correct: [u16; BLOCK],
    was_correct: [u16; BLOCK],
    forgotten: [u16; BLOCK],
    finite: [bool; BLOCK],
}

impl Block {
    fn new(n_labels: usize) -> Self {
        Self {
            len: 0,
            n_labels,
            epoch: 0,
            label: [0; BLOCK],
            logits: vec![0.0; n_labels * BLOCK],
            probability: vec![0.0; n_labels * BLOCK],
            margin_sum: [0.0; BLOCK],
            mean: [0.0; BLOCK],
            squares: [0.0; BLOCK],
            correct: [0; BLOCK],
            was_correct: [0; BLOCK],
            forgotten: [0; BLOCK],
            finite: [true; BLOCK],
        }
    }

    fn start(&mut self, labels: &[LabelId]) {
        self.len = labels.len();
        self.epoch = 0;
        self.label[..labels.len()].copy_from_slice(labels);
        self.probability.fill(0.0);
        self.margin_sum.fill(0.0);
        self.mean.fill(0.0);
        self.squares.fill(0.0);
        self.correct.fill(0);
        self.was_correct.fill(0);
        self.forgotten.fill(0);
        self.finite.fill(true);
    }

    fn load(&mut self, epoch: &EpochLogits, spans: std::ops::Range<usize>) {
        self.logits[..BLOCK].fill(0.0);
        for kind in 0..self.n_labels - 1 {
            let at = (kind + 1) * BLOCK;
            epoch.read(kind, spans.clone(), &mut self.logits[at..at + self.len]);
        }
    }

    /// Adds the loaded epoch to all sums.
    fn accumulate(&mut self) {
        self.epoch += 1;
        let count = self.epoch as f32;
        // The rest of a short block holds old values: computed along, never read.
        let mut best = [f32::NEG_INFINITY; BLOCK];
        let mut second = [f32::NEG_INFINITY; BLOCK];
        let mut argmax = [0 as LabelId; BLOCK];
        let mut own = [0f32; BLOCK];
        for (label, column) in self.logits.as_chunks::<BLOCK>().0.iter().enumerate() {
            let label = label as LabelId;
            for i in 0..BLOCK {
                let z = column[i];
                let is_best = z > best[i];
                let runner_up = if z > second[i] { z } else { second[i] };
                second[i] = if is_best { best[i] } else { runner_up };
                best[i] = if is_best { z } else { best[i] };
                argmax[i] = if is_best { label } else { argmax[i] };
                own[i] = if self.label[i] == label { z } else { own[i] };
                self.finite[i] &= z.is_finite();
            }
        }
        let mut sum = [0f32; BLOCK];
        for column in self.logits.as_chunks_mut::<BLOCK>().0 {
            for i in 0..BLOCK {
                column[i] = exp_nonpositive(column[i] - best[i]);
                sum[i] += column[i];
            }
        }
        let mut own_probability = [0f32; BLOCK];
        let columns = self.logits.as_chunks::<BLOCK>().0.iter();
        for (label, (column, total)) in columns.zip(self.probability.as_chunks_mut::<BLOCK>().0).enumerate() {
            for i in 0..BLOCK {
                let p = column[i] / sum[i];
                total[i] += p;
                own_probability[i] = if usize::from(self.label[i]) == label { p } else { own_probability[i] };
            }
        }
        for i in 0..BLOCK {
            let is_correct = argmax[i] == self.label[i];
            let other = if is_correct { second[i] } else { best[i] };
            self.margin_sum[i] += own[i] - other;
            // Welford's update: no cancellation between large sums of squares.
            let delta = own_probability[i] - self.mean[i];
            self.mean[i] += delta / count;
            self.squares[i] += delta * (own_probability[i] - self.mean[i]);
            let now = u16::from(is_correct);
            self.correct[i] += now;
            self.forgotten[i] += self.was_correct[i] & (1 - now);
            self.was_correct[i] = now;
        }
    }

    fn finish(&self, n_epochs: usize, out: &mut Metrics) {
        let n = n_epochs as f32;
        for i in 0..self.len {
            let finite = self.finite[i];
            let keep = |value: f32| if finite { value } else { f32::NAN };
            out.aum.push(keep(self.margin_sum[i] / n));
            out.confidence.push(keep(self.mean[i]));
            out.variability.push(keep((self.squares[i] / n).max(0.0).sqrt()));
            out.correctness.push(self.correct[i]);
            out.forgetting.push(self.forgotten[i]);
            let mut predicted = 0;
            let mut highest = f32::NEG_INFINITY;
            for (label, column) in self.probability.as_chunks::<BLOCK>().0.iter().enumerate() {
                if column[i] > highest {
                    (predicted, highest) = (label as LabelId, column[i]);
                }
            }
            out.predicted.push(predicted);
            out.predicted_probability.push(keep(highest / n));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dynamics::Precision;

    fn run(epochs: &[&[f32]], n_types: usize) -> Run {
        let epochs = epochs.iter().map(|rows| EpochLogits::from_rows(rows, n_types, Precision::F32).unwrap()).collect();
        Run { epochs, scores: vec![] }
    }

    fn close(found: f32, expected: f64) {
        assert!((f64::from(found) - expected).abs() < 1e-6, "{found} is not {expected}");
    }

    /// Straight from the definitions, in double precision.
    fn by_definition(logits: &[Vec<f64>], y: usize) -> (f64, f64, f64) {
        let margin =
            |z: &[f64]| z[y] - z.iter().enumerate().filter(|(k, _)| *k != y).map(|(_, v)| *v).fold(f64::MIN, f64::max);
        let p = |z: &[f64]| z[y].exp() / z.iter().map(|v| v.exp()).sum::<f64>();
        let e = logits.len() as f64;
        let aum = logits.iter().map(|z| margin(z)).sum::<f64>() / e;
        let mean = logits.iter().map(|z| p(z)).sum::<f64>() / e;
        let variance = logits.iter().map(|z| (p(z) - mean).powi(2)).sum::<f64>() / e;
        (aum, mean, variance.sqrt())
    }

    #[test]
    fn worked_by_hand() {
        // One span, labels O, A, B; assigned A. Margins: 2−1 = 1, then 0−3 = −3, then 4−1 = 3.
        let run = run(&[&[0.0, 2.0, 1.0], &[3.0, 0.0, -1.0], &[1.0, 4.0, 0.0]], 2);
        let m = Metrics::compute(&run, &[1], Window::first_epochs(3)).unwrap();
        close(m.aum[0], 1.0 / 3.0);
        assert_eq!((m.correctness[0], m.forgetting[0], m.predicted[0]), (2, 1, 1));
        assert_eq!(margins(&run, 0, 1), [1.0, -3.0, 3.0]);
        let first_two = Metrics::compute(&run, &[1], Window::first_epochs(2)).unwrap();
        close(first_two.aum[0], -1.0);
        let last = Metrics::compute(&run, &[1], Window { first: 3, last: 9 }).unwrap();
        close(last.aum[0], 3.0);
        close(last.variability[0], 0.0);
    }

    #[test]
    fn many_spans_agree_with_the_definitions() {
        // More than one block, a short last block, every label; a fixed linear congruential sequence.
        let (n, n_types, n_epochs) = (BLOCK * 2 + 37, 4, 6);
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (f64::from(state >> 8) / f64::from(1 << 24) - 0.5) * 24.0
        };
        let values: Vec<Vec<f32>> =
            (0..n_epochs).map(|_| (0..n * (n_types + 1)).map(|_| next() as f32).collect()).collect();
        let labels: Vec<LabelId> = (0..n).map(|i| (i % (n_types + 1)) as LabelId).collect();
        let run = run(&values.iter().map(Vec::as_slice).collect::<Vec<_>>(), n_types);
        let m = Metrics::compute(&run, &labels, Window::first_epochs(n_epochs as u32)).unwrap();
        for i in 0..n {
            let logits: Vec<Vec<f64>> = values
                .iter()
                .map(|v| v[i * (n_types + 1)..(i + 1) * (n_types + 1)].iter().map(|&z| f64::from(z)).collect())
                .collect();
            let (aum, confidence, variability) = by_definition(&logits, usize::from(labels[i]));
            assert!((f64::from(m.aum[i]) - aum).abs() < 1e-5);
            assert!((f64::from(m.confidence[i]) - confidence).abs() < 1e-6);
            assert!((f64::from(m.variability[i]) - variability).abs() < 1e-6);
        }
    }

    #[test]
    fn ties_have_margin_zero_and_the_lowest_label_wins() {
        let run = run(&[&[1.0, 1.0, 1.0, 1.0, 1.0, 1.0]], 2);
        let m = Metrics::compute(&run, &[0, 2], Window::first_epochs(1)).unwrap();
        assert_eq!(m.aum, [0.0, 0.0]);
        assert_eq!(m.correctness, [1, 0]);
        assert_eq!(m.predicted, [0, 0]);
    }

    #[test]
    fn non_finite_logits_flag_the_span_and_no_other() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let run = run(&[&[0.0, 1.0, 0.0, bad, 0.0, 2.0], &[0.0, 1.0, 0.0, 1.0, 0.0, 2.0]], 1);
            let m = Metrics::compute(&run, &[1, 1, 1], Window::first_epochs(2)).unwrap();
            assert_eq!([0, 1, 2].map(|i| m.is_flagged(i)), [false, true, false]);
            let later = Metrics::compute(&run, &[1, 1, 1], Window { first: 2, last: 2 }).unwrap();
            assert!(!later.is_flagged(1), "the bad epoch is outside the window");
        }
    }

    #[test]
    fn what_does_not_fit_together_is_an_error() {
        let run = run(&[&[0.0, 1.0]], 1);
        assert!(matches!(
            Metrics::compute(&run, &[1, 1], Window::first_epochs(1)),
            Err(MetricsError::WrongLength { .. })
        ));
        assert!(matches!(Metrics::compute(&run, &[2], Window::first_epochs(1)), Err(MetricsError::NoSuchLabel { .. })));
        let outside = Window { first: 2, last: 3 };
        assert!(matches!(Metrics::compute(&run, &[1], outside), Err(MetricsError::EmptyWindow { .. })));
    }
}
