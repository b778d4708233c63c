//! From which metric on a label is trusted: rules, settings and thresholds.

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

pub(crate) use self::automatic::target_precision;

/// Quantile of the threshold samples that the paper takes for negatives: their 90th percentile.
pub const PAPER_QUANTILE_NEGATIVES: f32 = 0.10;
/// Quantile of the threshold samples that the paper takes for positives: their maximum.
pub const PAPER_QUANTILE_POSITIVES: f32 = 0.0;

/// By what spans are judged: the lower, the more suspicious.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Area under the margin.
    #[default]
    Aum,
    /// Mean probability of the assigned label.
    Confidence,
    /// Probability that the label is right, from dynamics and text together: see [`crate::detection::noise_model`].
    Trust,
}

impl Metric {
    /// Its value for every span.
    pub fn column(self, metrics: &Metrics) -> &[f32] {
        match self {
            Self::Aum => &metrics.aum,
            Self::Confidence => &metrics.confidence,
            Self::Trust => &metrics.trust,
        }
    }

    /// The value below which the model prefers another label (for confidence: may prefer one). For trust, the value
    /// below which a label is more likely wrong than right.
    pub fn natural_threshold(self) -> f32 {
        match self {
            Self::Aum => 0.0,
            Self::Confidence | Self::Trust => 0.5,
        }
    }

    /// Least probability of the new label for relabelling, unless a person sets it: high where the probability counts
    /// what the text says, so that few labels are changed into wrong ones.
    pub fn relabel_probability(self) -> f32 {
        match self {
            Self::Aum | Self::Confidence => 0.5,
            Self::Trust => 0.8,
        }
    }

    /// Its name in running text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aum => "AUM",
            Self::Confidence => "confidence",
            Self::Trust => "trust",
        }
    }
}

/// How the threshold of a group of spans (negatives, positives, or one type) is found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// At least AUM 0 (below it the model prefers another label over the window), and as far above
    /// it as the threshold samples support: see [`Automatic`]. Where this would judge more than half of a
    /// group wrong, 0 does; where that would, too, the group was not learned, and none of it is judged.
    /// By trust no samples are needed: entities below one half, and `O` spans as far as half of them are expected to be
    /// missed entities.
    Auto,
    /// The sample at index ⌊n·q⌋ of the threshold samples' metric in descending order (DynClean §3.3).
    Quantile(f32),
    /// A given value.
    Fixed(f32),
    /// None: all keep their labels.
    Keep,
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Epochs over which AUM and the other metrics are taken.
    pub window: Window,
    /// By what spans are judged.
    #[serde(default)]
    pub metric: Metric,
    /// Rule for spans labelled `O`.
    pub negatives: Rule,
    /// Rule for spans labelled with an entity type.
    pub positives: Rule,
    /// Find the positives' threshold for every entity type by itself, from its own samples. A type
    /// with fewer than [`MIN_SAMPLES`] of them takes the threshold of all positives.
    #[serde(default)]
    pub per_class: bool,
    /// Rules for single entity types, by name; they win over `positives`.
    #[serde(default)]
    pub classes: BTreeMap<String, Rule>,
    /// Remove or relabel. A run that saw only the top negatives predicts far too many entities: its negatives are
    /// relabelled only where most of those are ruled out, by `overlap_suppression`.
    pub action: Action,
    /// Of overlapping suspicious negatives, judge only the one with the lowest metric wrong, and none that overlaps a
    /// positive that the model has learned: by AUM, most suspicious negatives merely overlap an entity. Trust counts that
    /// already.
    pub overlap_suppression: bool,
    /// Least mean probability of the predicted label for relabelling.
    pub relabel_probability: f32,
    /// Give the spans of dictionary entries that annotated sentences contradict the label they have there, whatever
    /// their metric: see [`crate::detection::dictionary_check`].
    #[serde(default)]
    pub dictionary_check: bool,
}

impl Settings {
    /// Checks what may come from a file that a person wrote.
    ///
    /// # Errors
    /// Says what is out of range.
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
        Self {
            window: automatic_window(&dynamics.run, assigned),
            metric: Metric::Trust,
            negatives: Rule::Auto,
            positives: Rule::Auto,
            per_class: false,
            classes: BTreeMap::new(),
            // Margins do not say what the model predicts.
            action: if dynamics.run.is_margins() { Action::Remove } else { Action::Relabel },
            overlap_suppression: false,
            relabel_probability: Metric::Trust.relabel_probability(),
            dictionary_check: !dynamics.contradicted.is_empty(),
        }
    }

    /// A class with a rule of its own that these labels do not have.
    pub fn unknown_class(&self, labels: &LabelSet) -> Option<&str> {
        self.classes.keys().map(String::as_str).find(|name| labels.id(name).is_none_or(|label| label == O))
    }

    /// The paper's settings: quantiles of the threshold samples, the first three epochs.
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
    positives.filter(|&(span, &label)| epoch.predicts(span, label)).count() as u64
}

/// What a threshold rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// A person gave it.
    Given,
    /// A quantile of the threshold samples.
    Quantile,
    /// The automatic estimate from the threshold samples.
    Estimate,
    /// The natural threshold: there are too few threshold samples for an estimate, or it would judge more than half.
    Natural,
    /// A probability that the label is right: below it, the label is more likely wrong.
    Probability,
    /// A probability that `O` is right: of those below it at least half are expected to be missed entities.
    HalfMissed,
    /// No threshold: the model has not learned these spans.
    NotLearned,
    /// No threshold: there are no samples to take a quantile of.
    NoSamples,
    /// The threshold of all positives: the type has too few samples of its own.
    AllPositives,
    /// No threshold, as the settings say.
    Kept,
}

/// Spans with a metric **below** the value are judged wrong. Minus infinity judges none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// The threshold.
    pub value: f32,
    /// Its 90 % interval over threshold samples, where it depends on them.
    pub interval: Option<(f32, f32)>,
    /// What it rests on.
    pub basis: Basis,
}

impl Threshold {
    /// Judges nothing.
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
    /// For single entity types, by name, where they have a threshold of their own.
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

/// The threshold at a quantile of samples in descending order, with its interval: that of the samples' ranks within
/// 1.645 standard errors. The k-th of n ordered samples has, as a share of the whole, a variance of
/// k (n + 1 − k) / ((n + 1)² (n + 2)) (order statistics; David & Nagaraja 2003, §2.3).
pub(crate) fn quantile_threshold(descending: &[f32], q: f32) -> Threshold {
    let Some(value) = quantile(descending, q) else { return Threshold::none(Basis::NoSamples) };
    let (n, k) = (descending.len() as f64, quantile_index(descending.len(), q) as f64 + 1.0);
    let margin = 1.645 * (k * (n + 1.0 - k) / (n + 2.0)).sqrt();
    let at = |rank: f64| descending.get((rank.clamp(1.0, n) - 1.0) as usize).copied();
    let interval = at((k + margin).round()).zip(at((k - margin).round()));
    Threshold { value, interval, basis: Basis::Quantile }
}

/// The element at index ⌊n·q⌋ of a descending list; the last one for q ≥ 1.
fn quantile(descending: &[f32], q: f32) -> Option<f32> {
    descending.get(quantile_index(descending.len(), q)).copied()
}

fn quantile_index(n: usize, q: f32) -> usize {
    // As the decimal that was written, in double precision: .1 of 10 elements is index 1, as in the paper's code.
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
        // In single precision .7 is a little less.
        assert_eq!((quantile_index(100, 0.7), quantile_index(20_000, 0.05)), (70, 1_000));
    }

    #[test]
    fn quantiles_come_with_an_interval() {
        let descending: Vec<f32> = (0..1000).rev().map(|i| i as f32).collect();
        let threshold = quantile_threshold(&descending, 0.1);
        assert_eq!((threshold.value, threshold.basis), (899.0, Basis::Quantile));
        // Standard error of the rank: √(1000·0.1·0.9) = 9.5; ±1.645 of it.
        let (low, high) = threshold.interval.unwrap();
        assert!((low - 883.4).abs() < 1.0 && (high - 914.6).abs() < 1.0, "{low} {high}");
        // The highest of many may as well be the third: e⁻³ of all resamples have none of the three highest.
        assert_eq!(quantile_threshold(&descending, 0.0).interval, Some((997.0, 999.0)));
        assert_eq!(quantile_threshold(&[1.0], 0.5).interval, Some((1.0, 1.0)));
        assert_eq!(quantile_threshold(&[], 0.1), Threshold::none(Basis::NoSamples));
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
