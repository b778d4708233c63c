//! Metrics of training dynamics over a window of epochs.
//!
//! For each span with assigned label y and logits z at the E epochs of the window:
//! - **margin**: z_y − max_{k≠y} z_k; **AUM**: its mean over the epochs (Pleiss et al. 2020, eq. 1–2);
//! - **confidence**, **variability**: mean and population standard deviation of softmax(z)_y (Swayamdipta et al.
//!   2020, §2; for other definitions see [`Variability`]);
//! - **correctness**: number of epochs at which y is the argmax (lowest label on ties);
//! - **forgetting events**: correct at one epoch and not at the next (Toneva et al. 2019);
//! - **predicted label**: argmax of the mean probabilities (lowest label on ties).
//!
//! A span is **flagged** if its metrics say nothing about it. This happens in three cases: a logit inside the
//! window is not finite, a margin overflows, or there is only one label. Logits are not finite in a diverged run;
//! half precision also stores a logit as infinity if it differs from that of `O` by more than 65,504. A flagged
//! span has NaN for its real-valued metrics, 0 for its counts, and its assigned label as predicted label, so that
//! nobody takes them for evidence. Nothing is decided about it. [`Metrics::flagged`] counts flagged spans.

pub mod block_wise;
mod margin_metrics;

use std::ops::Range;
use std::str::FromStr;

use half::f16;
use serde::{Deserialize, Serialize};

use crate::corpus::labels::LabelId;
use crate::recording::dynamics::{EpochLogits, Run};

/// The epochs of a metric: `first..=last`, counted from 1.
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

    /// Number of the run's recorded epochs inside this window.
    pub fn n_epochs(&self, run: &Run) -> usize {
        self.of(&run.epochs).len()
    }

    /// Returns the indices, from 0, of the epochs that are inside this window, if there are `n_epochs` epochs.
    pub(crate) fn range(&self, n_epochs: usize) -> Range<usize> {
        let last = (self.last as usize).min(n_epochs);
        let first = (self.first.max(1) as usize - 1).min(last);
        first..last
    }

    /// The epochs of a run inside this window.
    pub(crate) fn of<'a, T>(&self, epochs: &'a [T]) -> &'a [T] {
        &epochs[self.range(epochs.len())]
    }
}

impl FromStr for Window {
    type Err = NoWindow;

    fn from_str(text: &str) -> Result<Self, NoWindow> {
        let epoch = |part: &str| part.trim().parse::<u32>().ok().filter(|&n| n > 0);
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (epoch(first), epoch(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self { first, last }),
            _ => Err(NoWindow),
        }
    }
}

/// Error: a text is not a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected epochs as FIRST-LAST, counted from 1, such as 1-3")]
pub struct NoWindow;

/// Metrics of all spans: each column has one element per span. The module describes the values of flagged spans.
/// If a run has only margins, the columns that need probabilities are empty ([`Metrics::has_probabilities`]).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    /// Area under the margin.
    pub aum: Vec<f32>,
    /// Mean probability of the assigned label.
    pub confidence: Vec<f32>,
    /// Population standard deviation of that probability.
    pub variability: Vec<f32>,
    /// Number of epochs at which the assigned label was predicted.
    pub correctness: Vec<u16>,
    /// Number of changes from right to wrong.
    pub forgetting: Vec<u16>,
    /// Label with the highest mean probability, the assigned label left out.
    pub alternative: Vec<LabelId>,
    /// Mean probability of the alternative label.
    pub alternative_probability: Vec<f32>,
    /// Probability that the assigned label is right, by the noise model. It needs the text as well: the column is
    /// empty until [`crate::detection::judge::Judge`] fills it.
    pub trust: Vec<f32>,
}

/// What the model predicts for one span, as a mean over the epochs of the window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Probability of the assigned label.
    pub own: f32,
    /// The most probable label apart from the assigned one.
    pub other: LabelId,
    /// Its probability.
    pub other_probability: f32,
}

impl Prediction {
    /// The most probable label (the lowest on ties). `assigned` is the label that the span has.
    pub fn label(&self, assigned: LabelId) -> LabelId {
        let is_tie = self.other_probability == self.own;
        if self.other_probability > self.own || is_tie && self.other < assigned { self.other } else { assigned }
    }

    /// Probability of the most probable label.
    pub fn probability(&self) -> f32 {
        if self.other_probability > self.own { self.other_probability } else { self.own }
    }
}

/// Definitions of variability: how much a probability varies over the epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variability {
    /// √v, with v = Σ (p − mean)² / E: the definition of the paper on dataset cartography, and the values in
    /// [`Metrics::variability`].
    Population,
    /// √(v + v²/(E − 1)): the value that the published code of DynClean stores. For a single epoch it is 0 here;
    /// the published code divides by 0.
    PaperCode,
}

impl Variability {
    /// Computes this variability from a population standard deviation over `n_epochs`.
    pub fn from_population(self, deviation: f32, n_epochs: usize) -> f32 {
        let variance = deviation * deviation;
        match self {
            Self::Population => deviation,
            // This also returns NaN for NaN, so a flagged span stays flagged.
            Self::PaperCode if n_epochs < 2 => deviation,
            Self::PaperCode => (variance + variance * variance / (n_epochs - 1) as f32).sqrt(),
        }
    }
}

/// Errors when labels and logits do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetricsError {
    /// No epoch of the run is inside the window.
    #[error("no recorded epoch is inside the window {first}–{last}; the run has {epochs}", first = .window.first, last = .window.last)]
    EmptyWindow {
        /// The window.
        window: Window,
        /// Number of recorded epochs.
        epochs: usize,
    },
    /// The epochs do not have one row per label.
    #[error("epoch {epoch} has logits for {found} spans, expected {expected}")]
    WrongLength {
        /// Epoch, counted from 1.
        epoch: usize,
        /// Number of rows found.
        found: usize,
        /// Number of rows expected.
        expected: usize,
    },
    /// There is no logit for a label.
    #[error("span {span} has label {label}, but there are logits for {n_types} entity types")]
    NoSuchLabel {
        /// The span.
        span: usize,
        /// Its label.
        label: LabelId,
        /// Number of types with logits.
        n_types: usize,
    },
}

impl Metrics {
    /// Computes all metrics of `run` for spans with these assigned labels.
    ///
    /// # Errors
    /// When the window is empty or labels and logits do not fit together.
    pub fn compute(run: &Run, assigned: &[LabelId], window: Window) -> Result<Self, MetricsError> {
        Self::with_margins(run, assigned, window, &mut [])
    }

    /// Computes only AUM, in a third of the time of [`compute`](Self::compute).
    ///
    /// # Errors
    /// The same as [`compute`](Self::compute).
    pub fn aum_only(run: &Run, assigned: &[LabelId], window: Window) -> Result<Vec<f32>, MetricsError> {
        let epochs = window.of(&run.epochs);
        check(run, epochs, assigned, window)?;
        if run.is_margins() {
            return Ok(margin_metrics::compute(epochs, assigned).aum);
        }
        let views: Vec<lanes::Epoch> = epochs.iter().filter_map(EpochLogits::view).collect();
        Ok(lanes::aum(&views, assigned))
    }

    /// Computes the same as [`compute`](Self::compute). It also appends the margins ([`EpochLogits::margin`]) of all
    /// epochs to `margins`, in half precision. `margins` has one element per epoch, or none. If it has none, only the
    /// epochs of the window are read.
    pub(crate) fn with_margins(
        run: &Run,
        assigned: &[LabelId],
        window: Window,
        margins: &mut [Vec<f16>],
    ) -> Result<Self, MetricsError> {
        check(run, window.of(&run.epochs), assigned, window)?;
        if !margins.is_empty() {
            check_shapes(&run.epochs, assigned.len(), Window::first_epochs(1))?;
        }
        if run.is_margins() {
            for (margins, epoch) in margins.iter_mut().zip(&run.epochs) {
                lanes::narrowed(epoch.recorded_margins().unwrap_or_default(), margins);
            }
            return Ok(margin_metrics::compute(window.of(&run.epochs), assigned));
        }
        let (epochs, window) = match window.range(run.epochs.len()) {
            range if margins.is_empty() => (&run.epochs[range.clone()], 0..range.len()),
            range => (run.epochs.as_slice(), range),
        };
        let views: Vec<lanes::Epoch> = epochs.iter().filter_map(EpochLogits::view).collect();
        let lanes::Sums { aum, confidence, variability, correctness, forgetting, alternative, alternative_probability } =
            lanes::sums(&views, window, assigned, margins);
        Ok(Self {
            aum,
            confidence,
            variability,
            correctness,
            forgetting,
            alternative,
            alternative_probability,
            trust: Vec::new(),
        })
    }

    /// Whether confidence, variability and the predicted label are known. They are not known if only margins were
    /// recorded.
    pub fn has_probabilities(&self) -> bool {
        self.confidence.len() == self.aum.len()
    }

    /// Whether the dynamics of a span say nothing about it (see the module).
    pub fn is_flagged(&self, span: usize) -> bool {
        self.aum.get(span).is_some_and(|a| a.is_nan())
    }

    /// What the model predicts for a span; `None` if it is not known.
    pub fn prediction(&self, span: usize) -> Option<Prediction> {
        Some(Prediction {
            own: *self.confidence.get(span)?,
            other: *self.alternative.get(span)?,
            other_probability: *self.alternative_probability.get(span)?,
        })
    }

    /// Number of flagged spans.
    pub fn flagged(&self) -> usize {
        self.aum.iter().filter(|a| a.is_nan()).count()
    }

    /// Appends the spans of the next block of the same run. `total` is the number of spans in all blocks.
    pub(crate) fn append(&mut self, block: Self, total: usize) {
        fn add<T>(column: &mut Vec<T>, block: Vec<T>, total: usize) {
            if !block.is_empty() {
                // Reserve everything at once: growing step by step would need twice the memory.
                column.reserve_exact(total.saturating_sub(column.len()).max(block.len()));
                column.extend(block);
            }
        }
        add(&mut self.aum, block.aum, total);
        add(&mut self.confidence, block.confidence, total);
        add(&mut self.variability, block.variability, total);
        add(&mut self.correctness, block.correctness, total);
        add(&mut self.forgetting, block.forgetting, total);
        add(&mut self.alternative, block.alternative, total);
        add(&mut self.alternative_probability, block.alternative_probability, total);
    }
}

/// Mean predicted distribution of one span: for every label, `O` first, its mean probability over the epochs of
/// the window. NaN if a logit of the span is not finite; empty if only margins are known.
///
/// [`Prediction::label`] is its argmax and [`Prediction::probability`] its maximum, bit by bit. The distribution is
/// not a column of [`Metrics`], because it would double its size.
///
/// # Errors
/// When no epoch is inside the window, or the span does not exist.
pub fn mean_distribution(run: &Run, span: usize, window: Window) -> Result<Vec<f32>, MetricsError> {
    let columns = mean_distributions(run, span..span.saturating_add(1), window)?;
    Ok(columns.iter().flatten().copied().collect())
}

/// Mean predicted distributions of a range of spans, for exports: one column per label, `O` first, with one
/// element per span. See [`mean_distribution`]. There are no columns if only margins are known.
///
/// # Errors
/// When no epoch is inside the window, or a span of the range does not exist.
pub fn mean_distributions(run: &Run, spans: Range<usize>, window: Window) -> Result<Vec<Vec<f32>>, MetricsError> {
    let epochs = window.of(&run.epochs);
    let Some(first) = epochs.first() else {
        return Err(MetricsError::EmptyWindow { window, epochs: run.epochs.len() });
    };
    if first.is_margins() {
        return Ok(Vec::new());
    }
    check_shapes(epochs, first.n_spans(), window)?;
    if spans.end > first.n_spans() {
        let epoch = window.first.max(1) as usize;
        return Err(MetricsError::WrongLength { epoch, found: first.n_spans(), expected: spans.end });
    }
    let views: Vec<lanes::Epoch> = epochs.iter().filter_map(EpochLogits::view).collect();
    Ok(lanes::mean_distributions(&views, spans))
}

fn check(run: &Run, epochs: &[EpochLogits], assigned: &[LabelId], window: Window) -> Result<(), MetricsError> {
    let Some(first) = epochs.first() else {
        return Err(MetricsError::EmptyWindow { window, epochs: run.epochs.len() });
    };
    check_shapes(epochs, assigned.len(), window)?;
    if first.is_margins() {
        return Ok(());
    }
    match assigned.iter().position(|&l| usize::from(l) > first.n_types()) {
        Some(span) => Err(MetricsError::NoSuchLabel { span, label: assigned[span], n_types: first.n_types() }),
        None => Ok(()),
    }
}

/// Checks that each epoch has `n_spans` rows and that all epochs have the same columns.
fn check_shapes(epochs: &[EpochLogits], n_spans: usize, window: Window) -> Result<(), MetricsError> {
    for (i, epoch) in epochs.iter().enumerate() {
        if epoch.n_spans() != n_spans || epoch.n_types() != epochs[0].n_types() {
            let number = window.first.max(1) as usize + i;
            return Err(MetricsError::WrongLength { epoch: number, found: epoch.n_spans(), expected: n_spans });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::dynamics::Precision;

    fn run(epochs: &[&[f32]], n_types: usize) -> Run {
        let epochs = epochs.iter().map(|rows| EpochLogits::from_rows(rows, n_types, Precision::F32).unwrap()).collect();
        Run { epochs, scores: vec![] }
    }

    fn close(found: f32, expected: f64) {
        assert!((f64::from(found) - expected).abs() < 1e-6, "{found} is not {expected}");
    }

    /// Computes AUM, confidence and variability directly from the definitions, in double precision.
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
    fn windows_are_read() {
        assert_eq!("2-5".parse(), Ok(Window { first: 2, last: 5 }));
        assert_eq!("4".parse(), Ok(Window { first: 4, last: 4 }));
        for wrong in ["", "0-3", "3-2", "a-b", "1-2-3"] {
            assert_eq!(wrong.parse::<Window>(), Err(NoWindow), "{wrong}");
        }
    }

    #[test]
    fn worked_by_hand() {
        // One span, labels O, A, B; assigned A. Margins: 2−1 = 1, then 0−3 = −3, then 4−1 = 3.
        let run = run(&[&[0.0, 2.0, 1.0], &[3.0, 0.0, -1.0], &[1.0, 4.0, 0.0]], 2);
        let m = Metrics::compute(&run, &[1], Window::first_epochs(3)).unwrap();
        close(m.aum[0], 1.0 / 3.0);
        assert_eq!((m.correctness[0], m.forgetting[0], m.prediction(0).unwrap().label(1)), (2, 1, 1));
        assert_eq!(run.epochs.iter().map(|epoch| epoch.margin(0, 1)).collect::<Vec<_>>(), [1.0, -3.0, 3.0]);
        let first_two = Metrics::compute(&run, &[1], Window::first_epochs(2)).unwrap();
        close(first_two.aum[0], -1.0);
        let last = Metrics::compute(&run, &[1], Window { first: 3, last: 9 }).unwrap();
        close(last.aum[0], 3.0);
        close(last.variability[0], 0.0);
    }

    #[test]
    fn many_spans_agree_with_the_definitions() {
        // More than one block, a short last block, and every label. The values are a fixed linear congruential
        // sequence.
        let (n, n_types, n_epochs) = (lanes::BLOCK * 2 + 37, 4, 6);
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
        assert_eq!([(0, 0), (1, 2)].map(|(span, label)| m.prediction(span).unwrap().label(label)), [0; 2]);
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
    fn flagged_spans_claim_nothing() {
        // Assigned label 2; right at both epochs, except for the bad logit of another label.
        let run = run(&[&[0.0, 1.0, 5.0], &[0.0, f32::NEG_INFINITY, 5.0]], 2);
        let m = Metrics::compute(&run, &[2], Window::first_epochs(2)).unwrap();
        let prediction = m.prediction(0).unwrap();
        assert_eq!((m.correctness[0], m.forgetting[0], prediction.label(2), m.flagged()), (0, 0, 2, 1));
        for column in [&m.aum, &m.confidence, &m.variability] {
            assert!(column[0].is_nan());
        }
        assert!(prediction.probability().is_nan());
        assert!(mean_distribution(&run, 0, Window::first_epochs(2)).unwrap().iter().all(|p| p.is_nan()));
        assert_eq!(mean_distribution(&run, 0, Window::first_epochs(1)).unwrap().len(), 3);
    }

    #[test]
    fn what_overflows_is_flagged() {
        let rows = [0.0, 65_519.0, 0.0, 65_520.0];
        let half = EpochLogits::from_rows(&rows, 1, Precision::F16).unwrap();
        let m =
            Metrics::compute(&Run { epochs: vec![half], scores: vec![] }, &[1, 1], Window::first_epochs(1)).unwrap();
        assert_eq!((m.aum[0], m.is_flagged(0), m.is_flagged(1)), (65_504.0, false, true));
        // Both logits are finite in single precision, but their difference is not.
        let run = run(&[&[0.0, 3e38, -3e38]], 2);
        assert!(Metrics::compute(&run, &[2], Window::first_epochs(1)).unwrap().is_flagged(0));
    }

    #[test]
    fn one_label_alone_has_no_margin() {
        let run = run(&[&[1.0, 2.0]], 0);
        let m = Metrics::compute(&run, &[0, 0], Window::first_epochs(1)).unwrap();
        assert_eq!(m.flagged(), 2);
    }

    #[test]
    fn variability_of_the_papers_code_by_hand() {
        // p is 0 and 1 in turn: v = 1/4; √(1/4 + 1/16 / 3) over four epochs.
        close(Variability::PaperCode.from_population(0.5, 4), (0.25f64 + 0.0625 / 3.0).sqrt());
        close(Variability::Population.from_population(0.5, 4), 0.5);
        assert_eq!(Variability::PaperCode.from_population(0.0, 1), 0.0);
        assert!(Variability::PaperCode.from_population(f32::NAN, 1).is_nan());
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
        assert!(matches!(mean_distribution(&run, 0, outside), Err(MetricsError::EmptyWindow { .. })));
        assert!(matches!(mean_distribution(&run, 1, Window::first_epochs(1)), Err(MetricsError::WrongLength { .. })));
    }
}
