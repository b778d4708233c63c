//! Thresholds: the metric values from which labels are trusted, with the rules and settings behind them.

mod automatic;
mod bootstrap;
mod samples;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::automatic::{Automatic, MIN_SAMPLES, WrongLabels};
pub use self::samples::{Sample, Samples};
use crate::corpus::decision::Side;
use crate::corpus::labels::{LabelId, LabelSet, O};
use crate::metrics::{Metrics, Window};
use crate::recording::dynamics::{Dynamics, EpochLogits, Run};
use crate::recording::whole::Whole;

pub(crate) use self::automatic::target_precision;

/// The paper's quantile of the threshold samples for negatives: the 90th percentile.
pub const PAPER_QUANTILE_NEGATIVES: f32 = 0.10;
/// The paper's quantile of the threshold samples for positives: the maximum.
pub const PAPER_QUANTILE_POSITIVES: f32 = 0.0;

/// The metric that judges spans. A lower value is more suspicious.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Area under the margin.
    #[default]
    Aum,
    /// Mean probability of the assigned label.
    Confidence,
    /// Probability that the label is right, from dynamics and text: see [`crate::detection::noise_model`].
    Trust,
}

impl Metric {
    /// The metric's value for every span.
    pub fn column(self, metrics: &Metrics) -> &[f32] {
        match self {
            Self::Aum => &metrics.aum,
            Self::Confidence => &metrics.confidence,
            Self::Trust => &metrics.trust,
        }
    }

    /// The natural threshold. AUM: below it the model prefers another label. Confidence: below it the model may
    /// prefer one. Trust: below it the label is more likely wrong than right.
    pub fn natural_threshold(self) -> f32 {
        match self {
            Self::Aum => 0.0,
            Self::Confidence | Self::Trust => 0.5,
        }
    }

    /// Default for the least probability of a new label. It is high for trust, whose probabilities include the
    /// text, so that few labels are changed into wrong ones.
    pub fn relabel_probability(self) -> f32 {
        match self {
            Self::Aum | Self::Confidence => 0.5,
            Self::Trust => 0.8,
        }
    }

    /// The metric's name in running text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aum => "AUM",
            Self::Confidence => "confidence",
            Self::Trust => "trust",
        }
    }
}

/// The rule that finds the threshold of a group of spans (negatives, positives, or one type).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The automatic threshold. By AUM it is at least 0, because below 0 the model prefers another label. It is as far
    /// above 0 as the threshold samples support: see [`Automatic`]. If it would judge more than half of a group wrong,
    /// it is 0. If 0 would do so too, the model has not learned the group, and none of it is judged. By confidence it
    /// works in the same way, with 0.5 in place of 0. By trust, no samples are needed. Entities are judged below 0.5.
    /// The threshold of `O` spans rises as long as at least half of the spans below it are expected to be missed
    /// entities.
    Auto,
    /// The value at index ⌊n·q⌋ of the threshold samples' metric in descending order (DynClean §3.3).
    Quantile(f32),
    /// A fixed value.
    Fixed(f32),
    /// No threshold: all labels are kept.
    Keep,
}

/// The action on a span that is judged wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Remove the span from the training data: it is neither an entity nor `O`.
    Remove,
    /// Give the span its most probable other label, if that is probable enough; otherwise remove it.
    Relabel,
}

/// All settings of a cleaning. Together with the dynamics they decide what is cleaned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The epochs over which the metrics are computed.
    pub window: Window,
    /// The metric that judges spans.
    #[serde(default)]
    pub metric: Metric,
    /// Rule for spans labelled `O`.
    pub negatives: Rule,
    /// Rule for spans labelled with an entity type.
    pub positives: Rule,
    /// Whether each entity type gets its own threshold, from its own samples. A type with fewer than
    /// [`MIN_SAMPLES`] samples takes the threshold of all positives.
    #[serde(default)]
    pub per_class: bool,
    /// Rules for single entity types, by name. They override `positives`.
    #[serde(default)]
    pub classes: BTreeMap<String, Rule>,
    /// Remove or relabel. A run that saw only the top negatives predicts far too many entities. By AUM or confidence,
    /// its negatives are relabelled only with `overlap_suppression`, which rules out most of these entities.
    pub action: Action,
    /// Whether only the most suspicious of overlapping negatives is judged, and none that overlaps a learned
    /// positive. By AUM, most suspicious negatives merely overlap an entity. Trust already takes overlaps into
    /// account.
    pub overlap_suppression: bool,
    /// Relabel only if the new label is at least this probable.
    pub relabel_probability: f32,
    /// Whether spans of dictionary entries that annotated sentences contradict take the label from there, whatever
    /// their metric: see [`crate::detection::dictionary_check`].
    #[serde(default)]
    pub dictionary_check: bool,
}

impl Settings {
    /// Checks the ranges of values, which may come from a file that a person wrote.
    ///
    /// # Errors
    /// When a value is out of range; the text says which.
    pub fn check(&self) -> Result<(), &'static str> {
        let Window { first, last } = self.window;
        let rules = [self.negatives, self.positives].into_iter().chain(self.classes.values().copied());
        let is_share = |value: f32| (0.0..=1.0).contains(&value);
        if first == 0 || first > last {
            return Err("a window that is none: epochs count from 1");
        }
        if rules.into_iter().any(|rule| matches!(rule, Rule::Quantile(q) if !is_share(q))) {
            return Err("a quantile that is not in 0..1");
        }
        if !is_share(self.relabel_probability) {
            return Err("a probability that is not in 0..1");
        }
        let rules = [self.negatives, self.positives].into_iter().chain(self.classes.values().copied());
        let is_outside = |rule: Rule| matches!(rule, Rule::Fixed(value) if !is_share(value));
        if self.metric == Metric::Trust && rules.into_iter().any(is_outside) {
            return Err(
                "a threshold outside 0..1, although labels are judged by trust, a probability; judge by AUM for others",
            );
        }
        Ok(())
    }

    /// The automatic settings for these dynamics.
    pub fn automatic(dynamics: &Dynamics, assigned: &[LabelId]) -> Self {
        let whole = dynamics.whole.as_ref();
        // An extract has the thresholds of the whole recording.
        let rule = |at: usize| match whole.map(|whole| whole.number(at)) {
            None => Rule::Auto,
            Some(value) if value.is_finite() => Rule::Fixed(value),
            Some(_) => Rule::Keep,
        };
        let window =
            whole.map(|whole| Window { first: whole.count(Whole::WINDOW), last: whole.count(Whole::WINDOW + 1) });
        Self {
            window: window.unwrap_or_else(|| automatic_window(&dynamics.run, assigned)),
            metric: Metric::Trust,
            negatives: rule(Whole::THRESHOLDS),
            positives: rule(Whole::THRESHOLDS + 1),
            per_class: false,
            classes: BTreeMap::new(),
            // Margins do not tell which label the model predicts.
            action: if dynamics.run.is_margins() { Action::Remove } else { Action::Relabel },
            overlap_suppression: false,
            relabel_probability: Metric::Trust.relabel_probability(),
            dictionary_check: !dynamics.contradicted.is_empty(),
        }
    }

    /// Judges by this metric, with the defaults of the settings that depend on it.
    pub fn judge_by(&mut self, metric: Metric) {
        self.metric = metric;
        // Trust has weights for overlaps.
        self.overlap_suppression = metric != Metric::Trust;
        self.relabel_probability = metric.relabel_probability();
    }

    /// A class that has its own rule but is not in the label set.
    pub fn unknown_class(&self, labels: &LabelSet) -> Option<&str> {
        self.classes.keys().map(String::as_str).find(|name| labels.id(name).is_none_or(|label| label == O))
    }

    /// The paper's settings: quantiles of the threshold samples, over the first three epochs.
    pub fn paper() -> Self {
        Self {
            window: Window::first_epochs(WINDOW_EPOCHS),
            metric: Metric::Aum,
            negatives: Rule::Quantile(PAPER_QUANTILE_NEGATIVES),
            positives: Rule::Quantile(PAPER_QUANTILE_POSITIVES),
            per_class: false,
            classes: BTreeMap::new(),
            action: Action::Remove,
            overlap_suppression: false,
            relabel_probability: 0.5,
            dictionary_check: false,
        }
    }
}

/// Number of epochs in an automatic window.
const WINDOW_EPOCHS: u32 = 3;

/// The automatic window: three epochs, from the first at which the model has learned positives. There it predicts
/// the distant label of at least half as many positives as at its best epoch. Before that, everything looks like
/// `O`; long after it, wrong labels are memorised.
pub fn automatic_window(run: &Run, assigned: &[LabelId]) -> Window {
    let n = run.epochs.len() as u32;
    let learned: Vec<u64> = run.epochs.iter().map(|epoch| positives_learned(epoch, assigned)).collect();
    let most = learned.iter().copied().max().unwrap_or(0);
    let first = learned.iter().position(|&l| 2 * l >= most).map_or(1, |i| i as u32 + 1);
    // A later start would leave too few epochs.
    let first = first.min(n.saturating_sub(WINDOW_EPOCHS - 1)).max(1);
    Window { first, last: (first + WINDOW_EPOCHS - 1).min(n.max(1)) }
}

/// Number of positives whose distant label the model predicts after this epoch. It looks only at the positives,
/// which are few.
fn positives_learned(epoch: &EpochLogits, assigned: &[LabelId]) -> u64 {
    let positives = assigned.iter().enumerate().filter(|&(_, &label)| label != O);
    positives.filter(|&(span, &label)| epoch.predicts(span, label)).count() as u64
}

/// The origin of a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// Given by a person.
    Given,
    /// A quantile of the threshold samples.
    Quantile,
    /// The automatic estimate from the threshold samples.
    Estimate,
    /// The natural threshold. There are too few threshold samples for an estimate, or the estimate would judge
    /// more than half.
    Natural,
    /// Trust one half: below it, a label is more likely wrong than right.
    Probability,
    /// A trust below which at least half of the `O` spans are expected to be missed entities.
    HalfMissed,
    /// No threshold: the model has not learned these spans.
    NotLearned,
    /// No threshold: there are no samples for a quantile.
    NoSamples,
    /// The threshold of all positives: the type has too few samples of its own.
    AllPositives,
    /// No threshold: the settings keep all labels.
    Kept,
}

/// A threshold: spans with a metric **below** its value are judged wrong. Minus infinity judges none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// The value of the threshold.
    pub value: f32,
    /// The 90 % interval over threshold samples; `None` if the value does not depend on samples.
    pub interval: Option<(f32, f32)>,
    /// The origin of the value.
    pub basis: Basis,
}

impl Threshold {
    /// A threshold that judges no span.
    pub(crate) fn none(basis: Basis) -> Self {
        Self { value: f32::NEG_INFINITY, interval: None, basis }
    }
}

/// The thresholds in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// For spans labelled `O`.
    pub negatives: Threshold,
    /// For spans labelled with an entity type.
    pub positives: Threshold,
    /// For entity types that have their own threshold, by name.
    pub classes: BTreeMap<String, Threshold>,
}

impl Thresholds {
    /// The threshold of one side.
    pub fn of(&self, side: Side) -> Threshold {
        match side {
            Side::Negatives => self.negatives,
            Side::Positives => self.positives,
        }
    }
}

/// The threshold at a quantile of samples in descending order. Its interval is that of the ranks within 1.645
/// standard errors. The k-th of n ordered samples, as a share of all, has a variance of k (n + 1 − k) / ((n + 1)²
/// (n + 2)) (order statistics; David & Nagaraja 2003, §2.3).
pub(crate) fn quantile_threshold(descending: &[f32], q: f32) -> Threshold {
    let Some(value) = quantile(descending, q) else { return Threshold::none(Basis::NoSamples) };
    let (n, k) = (descending.len() as f64, quantile_index(descending.len(), q) as f64 + 1.0);
    let margin = 1.645 * (k * (n + 1.0 - k) / (n + 2.0)).sqrt();
    let at = |rank: f64| descending.get((rank.clamp(1.0, n) - 1.0) as usize).copied();
    let interval = at((k + margin).round()).zip(at((k - margin).round()));
    Threshold { value, interval, basis: Basis::Quantile }
}

/// The element at index ⌊n·q⌋ of a descending list; the last element if q ≥ 1.
fn quantile(descending: &[f32], q: f32) -> Option<f32> {
    descending.get(quantile_index(descending.len(), q)).copied()
}

fn quantile_index(n: usize, q: f32) -> usize {
    // `q` is rounded to its decimal in double precision: .1 of 10 elements is index 1, as in the paper's code.
    let q = (f64::from(q).max(0.0) * 1e7).round() / 1e7;
    let index = (n as f64 * q + 1e-6).floor() as usize;
    index.min(n.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::dynamics::{EpochLogits, Precision};

    #[test]
    fn quantiles_are_the_papers() {
        let descending: Vec<f32> = (0..10).rev().map(|i| i as f32).collect();
        assert_eq!(quantile(&descending, 0.0), Some(9.0));
        assert_eq!(quantile(&descending, 0.1), Some(8.0));
        assert_eq!(quantile(&descending, 0.19), Some(8.0));
        assert_eq!(quantile(&descending, 1.0), Some(0.0));
        assert_eq!(quantile(&[], 0.5), None);
        // In single precision .7 is slightly smaller.
        assert_eq!((quantile_index(100, 0.7), quantile_index(20_000, 0.05)), (70, 1_000));
    }

    #[test]
    fn quantiles_come_with_an_interval() {
        let descending: Vec<f32> = (0..1000).rev().map(|i| i as f32).collect();
        let threshold = quantile_threshold(&descending, 0.1);
        assert_eq!((threshold.value, threshold.basis), (899.0, Basis::Quantile));
        // Standard error of the rank: √(1000·0.1·0.9) = 9.5; the interval is ±1.645 of it.
        let (low, high) = threshold.interval.unwrap();
        assert!((low - 883.4).abs() < 1.0 && (high - 914.6).abs() < 1.0, "{low} {high}");
        // The highest of many samples might also be the third: a share e⁻³ of all resamples has none of the three
        // highest.
        assert_eq!(quantile_threshold(&descending, 0.0).interval, Some((997.0, 999.0)));
        assert_eq!(quantile_threshold(&[1.0], 0.5).interval, Some((1.0, 1.0)));
        assert_eq!(quantile_threshold(&[], 0.1), Threshold::none(Basis::NoSamples));
    }

    #[test]
    fn the_window_begins_when_positives_are_learned() {
        // Two positives and one negative. The model predicts the positives right from epoch 3 on.
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
