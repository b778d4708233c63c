//! Which spans are judged wrong: metrics, samples and sorted columns, computed once per window and
//! metric, from which every change of a threshold is answered by binary searches.

mod ranking;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

pub use self::ranking::Ascending;
use self::ranking::Ranking;
use crate::dictionary_check::{self, Entry, OrdinaryWords};
use crate::dynamics::{Dynamics, Negatives};
use crate::labels::{LabelId, LabelSet, O};
use crate::metrics::{Metrics, MetricsError, Window};
use crate::span::{SpanId, SpanIndex, TooManySpans};
use crate::threshold::{
    Action, Automatic, Basis, MIN_SAMPLES, Metric, Rule, Sample, Samples, Settings, Threshold, Thresholds, positions,
    quantile_threshold, target_precision,
};

/// What is done with a span's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Decision {
    /// The label stays.
    Keep,
    /// The span leaves the training data.
    Remove,
    /// The span takes this label (possibly `O`).
    Relabel(LabelId),
}

impl Decision {
    /// Whether a span with this label keeps it.
    pub fn keeps(self, label: LabelId) -> bool {
        match self {
            Self::Keep => true,
            Self::Remove => false,
            Self::Relabel(new) => new == label,
        }
    }
}

/// The two sides that have thresholds of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// Distant label `O`.
    Negatives,
    /// Distant label an entity type.
    Positives,
}

impl Side {
    /// Both, negatives first.
    pub const BOTH: [Self; 2] = [Self::Negatives, Self::Positives];

    /// The side of a distant label.
    pub fn of(label: LabelId) -> Self {
        if label == O { Self::Negatives } else { Self::Positives }
    }
}

/// Why dynamics cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// See [`TooManySpans`].
    #[error(transparent)]
    TooManySpans(#[from] TooManySpans),
    /// See [`MetricsError`].
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// Judged by a metric that margins alone do not give.
    #[error("these dynamics hold margins, not logits, so the confidence is not known: judge by AUM")]
    NoProbabilities,
}

/// Everything that a decision about any span of a dynamics file needs, for one window and metric.
#[derive(Debug)]
pub struct Judge {
    /// The epochs looked at.
    pub window: Window,
    /// By what spans are ranked.
    pub metric: Metric,
    /// The enumeration.
    pub index: SpanIndex,
    /// The entity types.
    pub labels: LabelSet,
    /// Distant label of every span.
    pub assigned: Vec<LabelId>,
    /// Metrics of every span.
    pub metrics: Metrics,
    /// The threshold samples.
    pub samples: Samples,
    /// What becomes of the spans of dictionary entries that annotated sentences contradict, where settings ask for it.
    pub contradicted: BTreeMap<SpanId, Decision>,
    negatives_of_run: Negatives,
    negatives: Ranking,
    /// Negatives that may be missed entities: they overlap neither a more suspicious one nor a learned positive, and
    /// have no words of which annotated sentences say that they are none.
    possibly_missed: Group,
    /// The same by the dynamics alone, where annotated sentences contradict any entry.
    without_annotated: Option<Group>,
    positives: Group,
    /// The positives again, by type: element i has label i + 1.
    types: Vec<Ranking>,
    /// As `types`; made when first asked for.
    type_estimates: Vec<OnceLock<Automatic>>,
}

/// Spans in the order of suspicion, and what the threshold samples say about them.
#[derive(Debug)]
struct Group {
    ranking: Ranking,
    estimate: Automatic,
}

impl Judge {
    /// Prepares the decisions about `dynamics` over a window, by a metric. O(n log n).
    ///
    /// # Errors
    /// When no epoch is inside the window, or there are too many spans to number.
    pub fn new(dynamics: &Dynamics, window: Window, metric: Metric) -> Result<Self, JudgeError> {
        let index = dynamics.span_index()?;
        let assigned = dynamics.corpus.dense_labels(&index);
        Self::of(dynamics, index, assigned, window, metric)
    }

    /// The automatic settings, changed as `adjust` does, and the judge for them.
    ///
    /// # Errors
    /// As [`Judge::new`].
    pub fn automatic(dynamics: &Dynamics, adjust: impl FnOnce(&mut Settings)) -> Result<(Self, Settings), JudgeError> {
        let index = dynamics.span_index()?;
        let assigned = dynamics.corpus.dense_labels(&index);
        let mut settings = Settings::automatic(dynamics, &assigned);
        adjust(&mut settings);
        Ok((Self::of(dynamics, index, assigned, settings.window, settings.metric)?, settings))
    }

    fn of(
        dynamics: &Dynamics,
        index: SpanIndex,
        assigned: Vec<LabelId>,
        window: Window,
        metric: Metric,
    ) -> Result<Self, JudgeError> {
        let metrics = Metrics::compute(&dynamics.run, &assigned, window)?;
        Self::with_metrics(dynamics, index, assigned, window, metric, metrics)
    }

    /// As [`Judge::new`], where enumeration, distant labels and the metrics over the window are known already.
    /// Of `dynamics` the main run is not looked at.
    ///
    /// # Errors
    /// When the metric needs probabilities that are not known.
    pub fn with_metrics(
        dynamics: &Dynamics,
        index: SpanIndex,
        assigned: Vec<LabelId>,
        window: Window,
        metric: Metric,
        metrics: Metrics,
    ) -> Result<Self, JudgeError> {
        if metric == Metric::Confidence && !metrics.has_probabilities() {
            return Err(JudgeError::NoProbabilities);
        }
        let samples = Samples::compute(dynamics, &assigned, window, metric, &metrics);
        let labels = dynamics.corpus.labels.clone();
        let mut unknown: Vec<SpanId> = dynamics.corpus.unknown.iter().filter_map(|&s| index.id(s)).collect();
        unknown.sort_unstable();
        let known = |span: &SpanId| unknown.is_empty() || unknown.binary_search(span).is_err();
        let column = metric.column(&metrics);
        let of_side = |side: Side| {
            let spans = (0..).zip(&assigned).filter(move |&(_, &label)| Side::of(label) == side);
            let spans: Vec<SpanId> = spans.map(|(span, _)| span).filter(known).collect();
            Ranking::new(&spans, column)
        };
        let (negatives, positives) = (of_side(Side::Negatives), of_side(Side::Positives));
        let by_metric = positives.by(column);
        let median = by_metric.median();
        let has_learned = |span: SpanId| column.get(span as usize).is_some_and(|&value| value >= median);
        let entries = &dynamics.contradicted;
        let contradicted = dictionary_check::decisions(entries, &dynamics.corpus, &index, has_learned);
        let possibly_missed = |contradicted: &BTreeMap<SpanId, Decision>, entries: &[Entry]| {
            // Entities do not overlap: where the model has learned one that nobody contradicts, none is missed.
            let is_entity =
                |span: &&SpanId| !matches!(contradicted.get(span), Some(Decision::Remove | Decision::Relabel(O)));
            let learned = by_metric.from(metric.natural_threshold()).iter().filter(is_entity);
            let ordinary = OrdinaryWords::new(entries, &labels);
            let may_be_entity = |span| !ordinary.contains(&dynamics.corpus.tokens, span);
            negatives.by(column).without_overlaps(&index, learned.copied(), may_be_entity)
        };
        let mut types: Vec<Ranking> = std::iter::repeat_with(Ranking::default).take(labels.n_types()).collect();
        for &span in by_metric.spans() {
            let label = assigned.get(span as usize).copied().unwrap_or(O);
            if let Some(ranking) = usize::from(label).checked_sub(1).and_then(|i| types.get_mut(i)) {
                ranking.push(span);
            }
        }
        // Few of the random negatives are anywhere near the threshold: what memorisation does there is
        // read off the positives.
        let held_out = pairs(samples.of_side(Side::Positives));
        let group = |side: Side, ranking: Ranking| {
            let (decoys, natural) = (samples.given(side).to_vec(), metric.natural_threshold());
            let estimate = Automatic::estimate(ranking.by(column), decoys, &held_out, natural, target_precision(side));
            Group { ranking, estimate }
        };
        let missed = |contradicted: &_, entries| group(Side::Negatives, possibly_missed(contradicted, entries));
        let without_annotated = (!entries.is_empty()).then(|| missed(&BTreeMap::new(), &[]));
        let possibly_missed = missed(&contradicted, entries);
        let positives = group(Side::Positives, positives);
        Ok(Self {
            window,
            metric,
            type_estimates: vec![OnceLock::new(); types.len()],
            labels,
            contradicted,
            assigned,
            samples,
            negatives_of_run: dynamics.info.negatives,
            negatives,
            possibly_missed,
            without_annotated,
            positives,
            types,
            metrics,
            index,
        })
    }

    /// The side that a span is on.
    pub fn side(&self, span: SpanId) -> Side {
        Side::of(self.assigned.get(span as usize).copied().unwrap_or(O))
    }

    /// The metric by which a span is ranked; NaN for a flagged span and for one that does not exist.
    pub fn value(&self, span: SpanId) -> f32 {
        self.metric.column(&self.metrics).get(span as usize).copied().unwrap_or(f32::NAN)
    }

    /// Spans with non-finite logits: kept, and not judged.
    pub fn flagged(&self) -> u64 {
        self.metrics.flagged() as u64
    }

    /// All negatives, and those that may be missed entities, also by the dynamics alone, the metric ascending. Which of
    /// them settings judge, [`Judgement::negatives_judged`] says.
    pub(crate) fn negatives(&self) -> [&[SpanId]; 3] {
        let missed = [true, false].map(|check| &self.missed(check).ranking);
        [&self.negatives, missed[0], missed[1]].map(|ranking| self.by_metric(ranking).spans())
    }

    /// The negatives that may be missed entities, annotated sentences heeded or not.
    fn missed(&self, dictionary_check: bool) -> &Group {
        self.without_annotated.as_ref().filter(|_| !dictionary_check).unwrap_or(&self.possibly_missed)
    }

    /// Groups of spans, each with the metric ascending: those of [`Judge::negatives`], and the spans of every entity
    /// type.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &[SpanId]> {
        self.negatives().into_iter().chain(self.types.iter().map(|ranking| self.by_metric(ranking).spans()))
    }

    /// All rankable spans of a side, the metric ascending.
    pub fn ranked(&self, side: Side) -> Ascending<'_> {
        self.by_metric(match side {
            Side::Negatives => &self.negatives,
            Side::Positives => &self.positives.ranking,
        })
    }

    /// The positives, those first that annotated sentences contradict; both parts with the metric ascending.
    pub(crate) fn contradicted_first(&self) -> [Vec<SpanId>; 2] {
        let is_contradicted = |span: &SpanId| self.contradicted.contains_key(span);
        let (first, others) = self.ranked(Side::Positives).spans().iter().partition(|span| is_contradicted(span));
        [first, others]
    }

    /// Of these spans, the metric ascending, each with its metric.
    pub fn of_sorted<'a>(&'a self, spans: &'a [SpanId]) -> Ascending<'a> {
        Ascending::of_sorted(spans, self.metric.column(&self.metrics))
    }

    fn by_metric<'a>(&'a self, ranking: &'a Ranking) -> Ascending<'a> {
        ranking.by(self.metric.column(&self.metrics))
    }

    /// What the threshold samples say about a side.
    fn estimate(&self, side: Side, dictionary_check: bool) -> &Automatic {
        match side {
            Side::Negatives => &self.missed(dictionary_check).estimate,
            Side::Positives => &self.positives.estimate,
        }
    }

    /// What the threshold samples of an entity type say about it; `None` for `O` and unknown labels.
    pub fn type_estimate(&self, label: LabelId) -> Option<&Automatic> {
        let at = usize::from(label).checked_sub(1)?;
        let (estimate, ranking) = (self.type_estimates.get(at)?, self.types.get(at)?);
        Some(estimate.get_or_init(|| {
            let own = || self.samples.of_label(label);
            let (decoys, natural) = (own().map(|s| s.given).collect(), self.metric.natural_threshold());
            let target = target_precision(Side::Positives);
            Automatic::estimate(self.by_metric(ranking), decoys, &pairs(own()), natural, target)
        }))
    }

    /// What these settings, whose window and metric must be the judge's, decide.
    pub fn under<'a>(&'a self, settings: &'a Settings) -> Judgement<'a> {
        Judgement::new(self, settings)
    }
}

/// (held-out, trained) metric of samples.
fn pairs<'a>(samples: impl Iterator<Item = &'a Sample>) -> Vec<(f32, f32)> {
    samples.filter(|s| s.held_out.is_finite()).map(|s| (s.held_out, s.trained)).collect()
}

/// What settings decide, their thresholds found once. Making one takes a few binary searches.
#[derive(Debug)]
pub struct Judgement<'a> {
    judge: &'a Judge,
    settings: &'a Settings,
    thresholds: Thresholds,
    /// Value of every label's threshold, `O` first.
    by_label: Vec<f32>,
}

impl<'a> Judgement<'a> {
    fn new(judge: &'a Judge, settings: &'a Settings) -> Self {
        let side = |side: Side, rule: Rule| {
            let quantile = |q| judge.samples.quantile(side, q);
            threshold(judge.metric, rule, judge.ranked(side), quantile, || {
                Some(judge.estimate(side, settings.dictionary_check))
            })
        };
        let mut thresholds = Thresholds {
            negatives: side(Side::Negatives, settings.negatives),
            positives: side(Side::Positives, settings.positives),
            classes: Default::default(),
        };
        let mut by_label = vec![thresholds.negatives.value];
        for (label, (name, ranking)) in (1..).zip(judge.labels.types().iter().zip(&judge.types)) {
            let own_rule = settings.classes.get(name);
            let threshold = if own_rule.is_none() && !settings.per_class {
                thresholds.positives
            } else {
                let found =
                    type_threshold(judge, label, judge.by_metric(ranking), *own_rule.unwrap_or(&settings.positives));
                let found = found.unwrap_or(Threshold { basis: Basis::AllPositives, ..thresholds.positives });
                thresholds.classes.insert(name.clone(), found);
                found
            };
            by_label.push(threshold.value);
        }
        Self { judge, settings, thresholds, by_label }
    }

    /// The judge.
    pub fn judge(&self) -> &'a Judge {
        self.judge
    }

    /// The settings.
    pub fn settings(&self) -> &'a Settings {
        self.settings
    }

    /// The thresholds.
    pub fn thresholds(&self) -> &Thresholds {
        &self.thresholds
    }

    /// What the threshold samples say about a side.
    pub fn estimate(&self, side: Side) -> &'a Automatic {
        self.judge.estimate(side, self.settings.dictionary_check)
    }

    /// Which of [`Judge::negatives`] are judged, by index.
    pub(crate) fn negatives_judged(&self) -> usize {
        match self.settings {
            Settings { overlap_suppression: false, .. } => 0,
            Settings { dictionary_check: true, .. } => 1,
            Settings { dictionary_check: false, .. } => 2,
        }
    }

    /// The threshold of a label.
    pub fn threshold(&self, label: LabelId) -> f32 {
        self.by_label.get(usize::from(label)).copied().unwrap_or(f32::NEG_INFINITY)
    }

    /// Spans of a side that are judged wrong, the metric ascending.
    pub fn judged_wrong(&self, side: Side) -> Cow<'a, [SpanId]> {
        let ranking = self.judgeable(side);
        let (lowest, highest) = match (side, self.by_label.get(1..)) {
            (Side::Positives, Some(types)) => types
                .iter()
                .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &value| (low.min(value), high.max(value))),
            _ => (self.threshold(O), self.threshold(O)),
        };
        let below = ranking.below(highest);
        if lowest >= highest {
            return Cow::Borrowed(below);
        }
        let label = |span: SpanId| self.judge.assigned.get(span as usize).copied().unwrap_or(O);
        let is_judged = |span: &SpanId| self.judge.value(*span) < self.threshold(label(*span));
        Cow::Owned(below.iter().copied().filter(is_judged).collect())
    }

    /// Spans of a side that are judged wrong or contradicted by annotated sentences, the metric ascending.
    pub fn changed(&self, side: Side) -> Cow<'a, [SpanId]> {
        let judged = self.judged_wrong(side);
        let is_new = |&span: &SpanId| {
            self.judge.side(span) == side
                && self.judge.value(span).is_finite()
                && self.by_threshold(span) == Decision::Keep
        };
        let contradicted: Vec<SpanId> = self.contradicted().keys().copied().filter(is_new).collect();
        if contradicted.is_empty() {
            return judged;
        }
        let mut all = [judged.as_ref(), &contradicted].concat();
        all.sort_by(|&a, &b| self.judge.value(a).total_cmp(&self.judge.value(b)).then(a.cmp(&b)));
        Cow::Owned(all)
    }

    /// What becomes of the spans of contradicted dictionary entries; none where the settings do not ask for it.
    pub fn contradicted(&self) -> &'a BTreeMap<SpanId, Decision> {
        static NONE: BTreeMap<SpanId, Decision> = BTreeMap::new();
        if self.settings.dictionary_check { &self.judge.contradicted } else { &NONE }
    }

    /// Every decision there is, in no order: by the thresholds, by annotated sentences, which overrule those, and by hand,
    /// which overrules both. All other spans keep their labels.
    pub fn decided(&self, by_hand: &BTreeMap<SpanId, Decision>) -> Vec<(SpanId, Decision)> {
        let contradicted = self.contradicted();
        let mut decided: Vec<(SpanId, Decision)> = Vec::new();
        for side in Side::BOTH {
            let stands = |span: &&SpanId| !contradicted.contains_key(span) && !by_hand.contains_key(span);
            decided.extend(self.judged_wrong(side).iter().filter(stands).map(|&span| (span, self.verdict(span))));
        }
        let overruling = contradicted.iter().filter(|(span, _)| !by_hand.contains_key(span)).chain(by_hand);
        decided.extend(overruling.map(|(&span, &decision)| (span, decision)));
        decided
    }

    /// The spans of a side that could be judged wrong, the most suspicious first: those that annotated sentences
    /// contradict, whatever their metric, and then the others; both parts with the metric ascending.
    pub(crate) fn by_suspicion(&self, side: Side) -> [Cow<'a, [SpanId]>; 2] {
        match side {
            Side::Positives if !self.contradicted().is_empty() => self.judge.contradicted_first().map(Cow::Owned),
            side => [Cow::Borrowed(&[]), Cow::Borrowed(self.judgeable(side).spans())],
        }
    }

    /// How many spans with this label are judged wrong.
    pub fn count(&self, label: LabelId) -> usize {
        self.group(label).map_or(0, |ranking| ranking.below(self.threshold(label)).len())
    }

    fn group(&self, label: LabelId) -> Option<Ascending<'a>> {
        match usize::from(label).checked_sub(1) {
            None => Some(self.judgeable(Side::Negatives)),
            Some(at) => self.judge.types.get(at).map(|ranking| self.judge.by_metric(ranking)),
        }
    }

    /// The spans of a side that could be judged wrong, were the threshold high enough.
    fn judgeable(&self, side: Side) -> Ascending<'a> {
        match side {
            Side::Negatives if self.settings.overlap_suppression => {
                self.judge.by_metric(&self.judge.missed(self.settings.dictionary_check).ranking)
            }
            side => self.judge.ranked(side),
        }
    }

    /// What is decided about one span.
    pub fn decide(&self, span: SpanId) -> Decision {
        self.contradicted().get(&span).copied().unwrap_or_else(|| self.by_threshold(span))
    }

    /// What the thresholds alone decide about one span: the same as [`Judgement::judged_wrong`] and
    /// [`Judgement::verdict`] say about all.
    pub(crate) fn by_threshold(&self, span: SpanId) -> Decision {
        let (value, side) = (self.judge.value(span), self.judge.side(span));
        let label = self.judge.assigned.get(span as usize).copied().unwrap_or(O);
        if value < self.threshold(label) && self.judgeable(side).contains(span, value) {
            self.verdict(span)
        } else {
            Decision::Keep
        }
    }

    /// What happens to a span that is judged wrong.
    pub fn verdict(&self, span: SpanId) -> Decision {
        let (judge, at) = (self.judge, span as usize);
        let may_relabel = self.settings.action == Action::Relabel
            && (judge.side(span) == Side::Positives
                || self.settings.overlap_suppression
                || judge.negatives_of_run == Negatives::All);
        match (judge.metrics.predicted.get(at), judge.metrics.predicted_probability.get(at), judge.assigned.get(at)) {
            (Some(&predicted), Some(&probability), Some(&label))
                if may_relabel && predicted != label && probability >= self.settings.relabel_probability =>
            {
                Decision::Relabel(predicted)
            }
            _ => Decision::Remove,
        }
    }
}

/// The threshold that a rule gives a group of spans. `quantile`: that of its samples.
fn threshold<'a>(
    metric: Metric,
    rule: Rule,
    ranking: Ascending,
    quantile: impl Fn(f32) -> Threshold,
    estimate: impl Fn() -> Option<&'a Automatic>,
) -> Threshold {
    match rule {
        Rule::Fixed(value) => Threshold { value, interval: None, basis: Basis::Given },
        Rule::Keep => Threshold::none(Basis::Kept),
        Rule::Quantile(q) => quantile(q),
        Rule::Auto => {
            let natural = Threshold { value: metric.natural_threshold(), interval: None, basis: Basis::Natural };
            let estimated = estimate().and_then(|estimate| estimate.threshold).map(|(value, interval)| Threshold {
                value,
                interval: Some(interval),
                basis: Basis::Estimate,
            });
            // What judges more than half of a group says that the model has not learned it: too few
            // epochs, or a window that begins too early.
            let is_learned = |t: &Threshold| 2 * ranking.below(t.value).len() <= ranking.len();
            estimated.into_iter().chain([natural]).find(is_learned).unwrap_or(Threshold::none(Basis::NotLearned))
        }
    }
}

/// A type's own threshold; `None` where it has too few samples.
fn type_threshold(judge: &Judge, label: LabelId, ranking: Ascending, rule: Rule) -> Option<Threshold> {
    let mut descending: Vec<f32> = Vec::new();
    if !matches!(rule, Rule::Fixed(_) | Rule::Keep) {
        descending.extend(judge.samples.of_label(label).map(|s| s.given));
        if descending.len() < MIN_SAMPLES {
            return None;
        }
        descending.sort_by(f32::total_cmp);
        descending.reverse();
    }
    let quantile = |q| quantile_threshold(&descending, q, &positions(descending.len()));
    Some(threshold(judge.metric, rule, ranking, quantile, || judge.type_estimate(label)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::dynclean_json;

    /// One sentence of three tokens; logit of the only type per span, O at 0.
    fn judge(logits: [f32; 6], unknown: &str) -> Judge {
        let json = format!(r#"[{{"tokens": ["a", "b", "c"], "entities": [[2, 2, "X"]], "unknown": {unknown}}}]"#);
        let corpus = dynclean_json::read(json.as_bytes()).unwrap();
        let rows: Vec<f32> = logits.iter().flat_map(|&z| [0.0, z]).collect();
        let dynamics = Dynamics::of_one_epoch(corpus, &rows);
        Judge::new(&dynamics, Window::first_epochs(1), Metric::Aum).unwrap()
    }

    /// The entry "b", an X, contradicted.
    fn against_b(becomes: Option<&str>) -> dictionary_check::Entry {
        let becomes = becomes.map(str::to_owned);
        dictionary_check::Entry { words: "b".into(), label: "X".into(), spans: 1, annotated: 9, agreeing: 0, becomes }
    }

    fn settings(overlap_suppression: bool) -> Settings {
        Settings { negatives: Rule::Fixed(0.0), positives: Rule::Fixed(0.0), overlap_suppression, ..Settings::paper() }
    }

    #[test]
    fn the_most_suspicious_of_overlapping_negatives_stays() {
        // Spans: 0 [0,0], 1 [0,1], 2 [0,2], 3 [1,1], 4 [1,2], 5 [2,2] (the positive).
        let judge = judge([1.0, 3.0, 2.0, -1.0, 2.5, -4.0], "[]");
        assert_eq!(*judge.under(&settings(false)).judged_wrong(Side::Negatives), [1, 4, 2, 0]);
        assert_eq!(*judge.under(&settings(true)).judged_wrong(Side::Negatives), [1]);
        assert_eq!(*judge.under(&settings(true)).judged_wrong(Side::Positives), [5]);
    }

    #[test]
    fn no_entity_is_missed_where_one_is_learned() {
        // [0,1] is the most suspicious, but [1,1] is an entity whose AUM is 2; −0.5: one that the model resists.
        let heeding = |dictionary_check| Settings { dictionary_check, ..settings(true) };
        let suspicious = |positive: f32, contradicted: Option<&str>| {
            let json = r#"[{"tokens": ["a", "b", "c"], "entities": [[1, 1, "X"]]}]"#;
            let corpus = dynclean_json::read(json.as_bytes()).unwrap();
            let rows: Vec<f32> = [1.0, 3.0, 2.0, positive, 2.5, 0.5].iter().flat_map(|&z| [0.0, z]).collect();
            let mut dynamics = Dynamics::of_one_epoch(corpus, &rows);
            dynamics.contradicted = contradicted.map(|becomes| against_b(Some(becomes))).into_iter().collect();
            let judge = Judge::new(&dynamics, Window::first_epochs(1), Metric::Aum).unwrap();
            let judged = |check| judge.under(&heeding(check)).judged_wrong(Side::Negatives).into_owned();
            assert_eq!(judged(false), if positive < 0.0 { [1, 5] } else { [0, 5] }, "whatever dev says");
            judged(true)
        };
        assert_eq!(suspicious(2.0, None), [0, 5]);
        assert_eq!(suspicious(0.0, None), [0, 5]);
        assert_eq!(suspicious(-0.5, None), [1, 5]);
        assert_eq!(suspicious(2.0, Some("O")), [1, 5]);
        assert_eq!(suspicious(2.0, Some("X")), [0, 5]);
    }

    #[test]
    fn words_that_are_no_entity_are_not_missed_ones() {
        // "b" is labelled once, and once it is not; dev says that it is none.
        let json = r#"[{"tokens": ["b"], "entities": [[0, 0, "X"]]}, {"tokens": ["a", "b"], "entities": []}]"#;
        let mut dynamics = Dynamics::of_one_epoch(
            dynclean_json::read(json.as_bytes()).unwrap(),
            &[4.0, 1.0, 2.0, 3.0].map(|z| [0.0, z]).concat(),
        );
        let judged = |dynamics: &Dynamics| {
            let judge = Judge::new(dynamics, Window::first_epochs(1), Metric::Aum).unwrap();
            let judged = |dictionary_check| {
                let settings = Settings { dictionary_check, ..settings(true) };
                judge.under(&settings).judged_wrong(Side::Negatives).into_owned()
            };
            assert_eq!(judged(false), [3, 1], "whatever dev says");
            judged(true)
        };
        // Spans: 1 "a", 2 "a b", 3 "b".
        assert_eq!(judged(&dynamics), [3, 1]);
        dynamics.contradicted = vec![against_b(Some("O"))];
        assert_eq!(judged(&dynamics), [2]);
        dynamics.contradicted = vec![against_b(None)];
        assert_eq!(judged(&dynamics), [3, 1], "what they are is not clear");
    }

    #[test]
    fn one_span_is_decided_as_all_are() {
        let judge = judge([1.0, 1.0, f32::NAN, 1.0, 2.5, -4.0], "[[1, 2]]");
        for suppression in [false, true] {
            for action in [Action::Remove, Action::Relabel] {
                let settings = Settings { action, ..settings(suppression) };
                for side in [Side::Negatives, Side::Positives] {
                    let judged = judge.under(&settings).judged_wrong(side);
                    for span in (0..6).filter(|&s| judge.side(s) == side) {
                        let expected =
                            if judged.contains(&span) { judge.under(&settings).verdict(span) } else { Decision::Keep };
                        assert_eq!(judge.under(&settings).decide(span), expected, "span {span}, {settings:?}");
                    }
                }
            }
        }
        assert_eq!(judge.under(&settings(true)).decide(99), Decision::Keep);
    }

    #[test]
    fn unknown_and_flagged_spans_are_not_judged() {
        let judge = judge([1.0, 3.0, f32::NAN, -1.0, -2.5, 4.0], "[[0, 1]]");
        assert_eq!(*judge.under(&settings(false)).judged_wrong(Side::Negatives), [0]);
        assert!(judge.metrics.is_flagged(2));
    }

    #[test]
    fn a_side_that_was_not_learned_is_not_judged_automatically() {
        let automatic = Settings { negatives: Rule::Auto, positives: Rule::Auto, ..settings(false) };
        // The only positive has a negative AUM: the model has not learned positives.
        let judge = judge([1.0, -3.0, -2.0, -1.0, -2.5, -4.0], "[]");
        assert_eq!(judge.under(&automatic).thresholds().positives, Threshold::none(Basis::NotLearned));
        assert!(judge.under(&automatic).judged_wrong(Side::Positives).is_empty());
        assert_eq!(*judge.under(&automatic).judged_wrong(Side::Negatives), [0]);
        assert_eq!(*judge.under(&settings(false)).judged_wrong(Side::Positives), [5], "a fixed threshold is obeyed");
        let kept = Settings { negatives: Rule::Keep, positives: Rule::Keep, per_class: true, ..settings(false) };
        let judgement = judge.under(&kept);
        let thresholds = [judgement.thresholds().positives, judgement.thresholds().classes["X"]];
        assert!(thresholds.iter().all(|t| (t.value, t.basis) == (f32::NEG_INFINITY, Basis::Kept)));
        assert!(Side::BOTH.iter().all(|&side| judgement.judged_wrong(side).is_empty()));
    }

    #[test]
    fn relabelling_needs_confidence_and_negatives_that_may_be_entities() {
        let judge = judge([1.0, 3.0, 2.0, -1.0, 2.5, -0.1], "[]");
        let relabel = Settings { action: Action::Relabel, ..settings(true) };
        assert_eq!(judge.under(&relabel).verdict(5), Decision::Relabel(O));
        assert_eq!(judge.under(&Settings { relabel_probability: 0.9, ..relabel.clone() }).verdict(5), Decision::Remove);
        assert_eq!(judge.under(&relabel).verdict(1), Decision::Relabel(1));
        let with_overlaps = Settings { overlap_suppression: false, ..relabel };
        assert_eq!(judge.under(&with_overlaps).verdict(1), Decision::Remove, "top-negatives run");
        assert_eq!(judge.under(&settings(true)).verdict(5), Decision::Remove);
    }

    #[test]
    fn types_can_have_thresholds_of_their_own() {
        // Positives: [0,0] X at 0.5, [1,1] Y at 0.5, [2,2] X at −1. Span ids 0, 3, 5.
        let json = r#"[{"tokens": ["a", "b", "c"], "entities": [[0, 0, "X"], [1, 1, "Y"], [2, 2, "X"]]}]"#;
        let logits = [[0.5, -9.0], [-9.0; 2], [-9.0; 2], [-9.0, 0.5], [-9.0; 2], [-1.0, -9.0]];
        let rows: Vec<f32> = logits.iter().flat_map(|&[x, y]| [0.0, x, y]).collect();
        let dynamics = Dynamics::of_one_epoch(dynclean_json::read(json.as_bytes()).unwrap(), &rows);
        let judge = Judge::new(&dynamics, Window::first_epochs(1), Metric::Aum).unwrap();
        let mut settings = settings(true);
        settings.classes = [("Y".to_owned(), Rule::Fixed(1.0))].into();
        let judgement = judge.under(&settings);
        assert_eq!(*judgement.judged_wrong(Side::Positives), [5, 3]);
        assert_eq!([judgement.count(O), judgement.count(1), judgement.count(2)], [0, 1, 1]);
        assert_eq!(judgement.decide(0), Decision::Keep);
        assert_eq!(judgement.decide(3), Decision::Remove);
        // Without samples of its own, a type takes the threshold of all positives.
        settings.classes.clear();
        settings.per_class = true;
        settings.positives = Rule::Auto;
        let judgement = judge.under(&settings);
        let expected = Threshold { value: 0.0, interval: None, basis: Basis::AllPositives };
        assert_eq!(judgement.thresholds().classes["X"], expected);
        assert_eq!(*judgement.judged_wrong(Side::Positives), [5]);
        // By confidence: the probability of Y at [1,1] is e^0.5 / (1 + e^0.5 + e^−9) = .622.
        let judge = Judge::new(&dynamics, Window::first_epochs(1), Metric::Confidence).unwrap();
        assert_eq!(*judge.under(&settings).judged_wrong(Side::Positives), [5]);
        let high = Settings { positives: Rule::Fixed(0.63), per_class: false, ..settings };
        assert_eq!(*judge.under(&high).judged_wrong(Side::Positives), [5, 0, 3]);
    }
}
