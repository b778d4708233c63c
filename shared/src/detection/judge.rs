//! Holds metrics, threshold samples and sorted spans, computed once per window and metric. After that, a change of
//! a threshold needs only binary searches.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::dictionary_check::{self, OrdinaryWords};
use super::noise_model::{self, Known, Reason, Shares};
use super::ranking::{Ascending, Competition, Ranking, without_overlaps};
use super::threshold::{Automatic, Metric, Sample, Samples, Settings, target_precision};
use crate::corpus::Corpus;
use crate::corpus::decision::{Decision, Side};
use crate::corpus::labels::{LabelId, LabelSet, O};
use crate::corpus::span::{Span, SpanId, SpanIndex, TooManySpans};
use crate::evidence::Evidence;
use crate::evidence::capitals::Capitals;
use crate::metrics::{Metrics, MetricsError, Prediction, Window};
use crate::recording::dictionary::Entry;
use crate::recording::dynamics::{Dynamics, Negatives};
use crate::recording::whole::Whole;

/// Reasons why dynamics cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// See [`TooManySpans`].
    #[error(transparent)]
    TooManySpans(#[from] TooManySpans),
    /// See [`MetricsError`].
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The metric needs probabilities, but the dynamics have only margins.
    #[error("these dynamics hold margins, not logits, so the confidence is not known: judge by AUM")]
    NoProbabilities,
}

/// The candidate spans of a recording, before their logits are read.
#[derive(Debug)]
pub struct Spans {
    /// Their numbering.
    pub index: SpanIndex,
    /// Distant label of every span.
    pub assigned: Vec<LabelId>,
    /// What the text says about labels.
    pub evidence: Evidence,
}

/// Everything that is needed to decide about any span of a dynamics file, for one window and one metric.
#[derive(Debug)]
pub struct Judge {
    /// The epochs of the metrics.
    pub window: Window,
    /// The metric that ranks the spans.
    pub metric: Metric,
    /// The numbering of the spans.
    pub index: SpanIndex,
    /// The entity types.
    pub labels: LabelSet,
    /// Distant label of every span.
    pub assigned: Vec<LabelId>,
    /// Metrics of every span.
    pub metrics: Metrics,
    /// Predictions for some spans, if the metrics have none.
    predictions: BTreeMap<SpanId, Prediction>,
    /// The threshold samples.
    pub samples: Samples,
    /// What the text says about labels.
    pub(super) evidence: Evidence,
    /// How many of the labels with a certain reason against them are wrong, by estimate.
    pub(super) shares: Shares,
    /// Median of the metric over the positives. In an extract, the median trust of the whole recording.
    pub(super) median: f32,
    /// The labelled entities, sorted by sentence and start; `None` if some of them overlap.
    flat: Option<Vec<Span>>,
    /// Decisions about the spans of dictionary entries that annotated sentences contradict. They count only if the
    /// settings use this check.
    pub contradicted: BTreeMap<SpanId, Decision>,
    pub(super) negatives_of_run: Negatives,
    negatives: Group,
    /// Negatives that may be missed entities. Such a negative overlaps no learned positive and no more suspicious
    /// negative of this group. The annotated sentences do not show its words as ordinary words.
    possibly_missed: Group,
    /// The same group without the annotated sentences; `None` if they contradict no entry.
    without_annotated: Option<Group>,
    positives: Group,
    /// The positives by type: element `i` has label `i + 1`.
    pub(super) types: Vec<Group>,
}

/// Spans in order of suspicion, with the estimate from the threshold samples, computed when first needed.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) ranking: Ranking,
    estimate: OnceLock<Automatic>,
}

impl From<Ranking> for Group {
    fn from(ranking: Ranking) -> Self {
        Self { ranking, estimate: OnceLock::new() }
    }
}

impl Judge {
    /// Prepares the decisions about `dynamics`, over a window and by a metric. O(n log n).
    ///
    /// # Errors
    /// When no epoch is inside the window, the metric needs probabilities that are not known, or there are too
    /// many spans to number.
    pub fn new(dynamics: &Dynamics, window: Window, metric: Metric) -> Result<Self, JudgeError> {
        let index = dynamics.span_index()?;
        let assigned = dynamics.corpus.dense_labels(&index);
        Self::of(dynamics, index, assigned, window, metric)
    }

    /// Takes the automatic settings, changes them with `adjust`, and returns the judge for them and the settings.
    ///
    /// # Errors
    /// The same as [`Judge::new`].
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
        let evidence = Evidence::of_dynamics(dynamics, index.max_width());
        Self::with_metrics(dynamics, Spans { index, assigned, evidence }, window, metric, metrics)
    }

    /// The same as [`Judge::new`], if the spans and their metrics are already known. It reads no logits of the main run
    /// of `dynamics`.
    ///
    /// # Errors
    /// When the metric needs probabilities that are not known.
    pub fn with_metrics(
        dynamics: &Dynamics,
        spans: Spans,
        window: Window,
        metric: Metric,
        mut metrics: Metrics,
    ) -> Result<Self, JudgeError> {
        if metric == Metric::Confidence && !metrics.has_probabilities() {
            return Err(JudgeError::NoProbabilities);
        }
        let whole = dynamics.whole.as_ref();
        let Spans { index, assigned, evidence } = spans;
        let (trust, mut shares) = noise_model::trust_of_all(&evidence, &index, &assigned, &metrics.aum);
        if let Some(whole) = whole {
            shares = shares.of_whole(whole);
        }
        metrics.trust = trust;
        let trust_with_aum = |span: SpanId, aum: f32| {
            let known = noise_model::known(&evidence, &index, &assigned, &metrics.aum, span)?;
            Some(noise_model::trust(&Known { aum, ..known }))
        };
        let samples = Samples::compute(dynamics, &assigned, window, metric, &metrics, trust_with_aum);
        let labels = dynamics.corpus.labels.clone();
        let mut unknown: Vec<SpanId> = dynamics.corpus.unknown.iter().filter_map(|&s| index.id(s)).collect();
        unknown.sort_unstable();
        let known = |span: &SpanId| unknown.is_empty() || unknown.binary_search(span).is_err();
        let column = metric.column(&metrics);
        let of_side = |side: Side| {
            let of_side = |label: &LabelId| Side::of(*label) == side;
            // Reserved at once: there can be very many, and growing step by step would need twice the memory.
            let mut spans = Vec::with_capacity(assigned.iter().copied().filter(|label| of_side(label)).count());
            spans.extend((0..).zip(&assigned).filter(|(_, label)| of_side(label)).map(|(span, _)| span).filter(known));
            Ranking::new(spans, column)
        };
        let (negatives, positives) = (of_side(Side::Negatives), of_side(Side::Positives));
        let by_metric = positives.by(column);
        let median = match whole {
            Some(whole) if metric == Metric::Trust => whole.number(Whole::MEDIAN),
            _ => by_metric.median(),
        };
        let has_learned = |span: SpanId| column.get(span as usize).is_some_and(|&value| value >= median);
        let entries = &dynamics.contradicted;
        let mut contradicted = dictionary_check::decisions(entries, &dynamics.corpus, &index, has_learned);
        // A flagged span gets no decision, not even by annotated sentences.
        contradicted.retain(|&span, _| !metrics.is_flagged(span as usize));
        let possibly_missed = |contradicted: &BTreeMap<SpanId, Decision>, entries: &[Entry]| {
            // Entities do not overlap. So no entity is missed where the model has learned one, unless that one is
            // contradicted.
            let is_entity =
                |span: &SpanId| !matches!(contradicted.get(span), Some(Decision::Remove | Decision::Relabel(O)));
            let value = |span: SpanId| column.get(span as usize).copied().unwrap_or(f32::NAN);
            let side = |span: SpanId| Side::of(assigned.get(span as usize).copied().unwrap_or(O));
            let ordinary = OrdinaryWords::new(entries);
            let competition = Competition {
                is_candidate: |span| side(span) == Side::Negatives && known(&span),
                is_entity: |span| {
                    side(span) == Side::Positives
                        && value(span) >= metric.natural_threshold()
                        && known(&span)
                        && is_entity(&span)
                },
                may_be_entity: |span| !ordinary.contains(&dynamics.corpus.tokens, span),
            };
            without_overlaps(&index, column, competition)
        };
        let mut types: Vec<Ranking> = std::iter::repeat_with(Ranking::default).take(labels.n_types()).collect();
        for &span in by_metric.spans() {
            let label = assigned.get(span as usize).copied().unwrap_or(O);
            if let Some(ranking) = usize::from(label).checked_sub(1).and_then(|i| types.get_mut(i)) {
                ranking.push(span);
            }
        }
        let without_annotated = (!entries.is_empty()).then(|| possibly_missed(&BTreeMap::new(), &[]).into());
        let possibly_missed = possibly_missed(&contradicted, entries).into();
        Ok(Self {
            window,
            metric,
            labels,
            evidence,
            shares,
            median,
            flat: flat_entities(&dynamics.corpus),
            contradicted,
            assigned,
            samples,
            negatives_of_run: dynamics.info.negatives,
            negatives: negatives.into(),
            possibly_missed,
            without_annotated,
            positives: positives.into(),
            types: types.into_iter().map(Group::from).collect(),
            metrics,
            predictions: BTreeMap::new(),
            index,
        })
    }

    /// The spans, to judge them again.
    pub fn spans(&self) -> Spans {
        Spans { index: self.index.clone(), assigned: self.assigned.clone(), evidence: self.evidence.clone() }
    }

    /// The side of a span.
    pub fn side(&self, span: SpanId) -> Side {
        Side::of(self.assigned.get(span as usize).copied().unwrap_or(O))
    }

    /// The value of the ranking metric for a span; NaN if the span is flagged or does not exist.
    pub fn value(&self, span: SpanId) -> f32 {
        self.metric.column(&self.metrics).get(span as usize).copied().unwrap_or(f32::NAN)
    }

    /// Adds the predictions for some spans, if the metrics are AUM only.
    pub fn add_predictions(&mut self, predictions: impl IntoIterator<Item = (SpanId, Prediction)>) {
        self.predictions.extend(predictions);
    }

    /// What the model predicts for a span; `None` if it is not known.
    pub fn prediction(&self, span: SpanId) -> Option<Prediction> {
        self.metrics.prediction(span as usize).or_else(|| self.predictions.get(&span).copied())
    }

    /// The label that the model predicts for a span; `None` if it is not known.
    pub fn predicted(&self, span: SpanId) -> Option<LabelId> {
        Some(self.prediction(span)?.label(*self.assigned.get(span as usize)?))
    }

    /// The reasons for and against a span's label, in a fixed order. They add up to the log odds that the label is
    /// wrong. Empty if the span is flagged or does not exist.
    pub fn reasons(&self, span: SpanId) -> impl Iterator<Item = Reason> {
        let known = noise_model::known(&self.evidence, &self.index, &self.assigned, &self.metrics.aum, span);
        known.filter(|known| !known.aum.is_nan()).into_iter().flat_map(noise_model::reasons)
    }

    /// How far capitals mark names in this corpus; `None` if the metric is not trust.
    pub fn capitals(&self) -> Option<Capitals> {
        (self.metric == Metric::Trust).then_some(self.evidence.capitals)
    }

    /// Log odds that the text gives against an entity: see [`noise_model::text_against`]. 0 for an `O` span.
    pub(super) fn text_against(&self, span: SpanId) -> f32 {
        let entity = self.index.span(span).filter(|_| self.side(span) == Side::Positives);
        entity.map_or(0.0, |entity| noise_model::text_against(self.evidence.of(entity, true)))
    }

    /// The labelled entities that overlap a span; `None` if entities of this corpus overlap each other.
    pub(super) fn overlapped(&self, span: Span) -> Option<impl Iterator<Item = Span> + '_> {
        let entities = self.flat.as_ref()?;
        // The entities do not overlap, so their ends are in the same order as their starts.
        let from = entities.partition_point(|e| (e.sentence, e.end) < (span.sentence, span.start));
        Some(entities.iter().skip(from).copied().take_while(move |entity| entity.overlaps(&span)))
    }

    /// The longer capitalised run that an entity is part of; `None` if the run does not go beyond the entity.
    pub fn longer_run(&self, span: SpanId) -> Option<Span> {
        let is_entity = self.side(span) == Side::Positives;
        self.evidence.of(self.index.span(span)?, is_entity).run
    }

    /// Number of spans with non-finite logits. They are kept and not judged.
    pub fn flagged(&self) -> u64 {
        self.metrics.flagged() as u64
    }

    /// Three lists of negatives: all of them; those that may be missed entities; and the same without the
    /// annotated sentences. Each is in ascending order of the metric.
    /// [`super::judgement::Judgement::negatives_judged`] says which list the settings judge.
    pub fn negatives(&self) -> [&[SpanId]; 3] {
        let missed = [true, false].map(|check| &self.missed(check).ranking);
        [&self.negatives.ranking, missed[0], missed[1]].map(|ranking| self.by_metric(ranking).spans())
    }

    /// The negatives that may be missed entities, with or without the annotated sentences.
    pub(super) fn missed(&self, dictionary_check: bool) -> &Group {
        self.without_annotated.as_ref().filter(|_| !dictionary_check).unwrap_or(&self.possibly_missed)
    }

    /// Groups of spans, each in ascending order of the metric: the lists of [`Judge::negatives`], then the spans
    /// of each entity type.
    pub fn groups(&self) -> impl Iterator<Item = &[SpanId]> {
        self.negatives().into_iter().chain(self.types.iter().map(|group| self.by_metric(&group.ranking).spans()))
    }

    /// All rankable spans of a side, in ascending order of the metric.
    pub fn ranked(&self, side: Side) -> Ascending<'_> {
        self.by_metric(match side {
            Side::Negatives => &self.negatives.ranking,
            Side::Positives => &self.positives.ranking,
        })
    }

    /// The spans of a side that the settings could judge wrong.
    pub(super) fn group(&self, side: Side, settings: &Settings) -> &Group {
        match side {
            Side::Positives => &self.positives,
            Side::Negatives if settings.overlap_suppression => self.missed(settings.dictionary_check),
            Side::Negatives => &self.negatives,
        }
    }

    /// The positives in two lists: first those that annotated sentences contradict, then the others. Both are in
    /// ascending order of the metric.
    pub fn contradicted_first(&self) -> [Vec<SpanId>; 2] {
        let is_contradicted = |span: &SpanId| self.contradicted.contains_key(span);
        let (first, others) = self.ranked(Side::Positives).spans().iter().partition(|span| is_contradicted(span));
        [first, others]
    }

    /// Pairs each span with its metric value. `spans` must be sorted by that value.
    pub fn of_sorted<'a>(&'a self, spans: &'a [SpanId]) -> Ascending<'a> {
        Ascending::of_sorted(spans, self.metric.column(&self.metrics))
    }

    pub(super) fn by_metric<'a>(&'a self, ranking: &'a Ranking) -> Ascending<'a> {
        ranking.by(self.metric.column(&self.metrics))
    }

    /// The estimate from the threshold samples, for the spans of a side that the settings could judge wrong.
    pub(super) fn estimate(&self, side: Side, settings: &Settings) -> &Automatic {
        // Both sides use the positives here: too few random negatives are near the threshold to show the effect of
        // memorisation.
        let held_out = || pairs(self.samples.of_side(Side::Positives));
        self.estimate_of(self.group(side, settings), side, || self.samples.given(side).to_vec(), held_out)
    }

    /// The estimate from the threshold samples of one entity type; `None` for `O` and unknown labels.
    pub fn type_estimate(&self, label: LabelId) -> Option<&Automatic> {
        let group = self.types.get(usize::from(label).checked_sub(1)?)?;
        let own = || self.samples.of_label(label);
        let decoys = || own().map(|sample| sample.given).collect();
        Some(self.estimate_of(group, Side::Positives, decoys, || pairs(own())))
    }

    fn estimate_of<'a>(
        &'a self,
        group: &'a Group,
        side: Side,
        decoys: impl FnOnce() -> Vec<f32>,
        held_out: impl FnOnce() -> Vec<(f32, f32)>,
    ) -> &'a Automatic {
        group.estimate.get_or_init(|| {
            let (natural, target) = (self.metric.natural_threshold(), target_precision(side));
            Automatic::estimate(self.by_metric(&group.ranking), decoys(), &held_out(), natural, target)
        })
    }
}

/// The entities of a corpus, sorted by sentence and start; `None` if two of them overlap.
fn flat_entities(corpus: &Corpus) -> Option<Vec<Span>> {
    let mut spans: Vec<Span> = corpus.entities.iter().map(|entity| entity.span).collect();
    spans.sort_unstable();
    let overlap = spans.iter().zip(spans.iter().skip(1)).any(|(a, b)| a.overlaps(b));
    (!overlap).then_some(spans)
}

/// Pairs the held-out metric of each sample with its trained metric.
fn pairs<'a>(samples: impl Iterator<Item = &'a Sample>) -> Vec<(f32, f32)> {
    samples.filter(|s| s.held_out.is_finite()).map(|s| (s.held_out, s.trained)).collect()
}
