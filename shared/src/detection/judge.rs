//! Which spans are judged wrong: metrics, samples and sorted columns, computed once per window and
//! metric, from which every change of a threshold is answered by binary searches.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::dictionary_check::{self, OrdinaryWords};
use super::noise_model::{self, Known, Reason};
use super::ranking::{Ascending, Ranking};
use super::threshold::{Automatic, Metric, Sample, Samples, Settings, target_precision};
use crate::corpus::Corpus;
use crate::corpus::decision::{Decision, Side};
use crate::corpus::labels::{LabelId, LabelSet, O};
use crate::corpus::span::{Span, SpanId, SpanIndex, TooManySpans};
use crate::evidence::Evidence;
use crate::evidence::capitals::Capitals;
use crate::metrics::{Metrics, MetricsError, Window};
use crate::recording::dictionary::Entry;
use crate::recording::dynamics::{Dynamics, Negatives};

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
    /// What the text says.
    pub(super) evidence: Evidence,
    /// The labelled entities, by sentence and start, where none overlaps another; `None` where the corpus is nested.
    flat: Option<Vec<Span>>,
    /// What becomes of the spans of dictionary entries that annotated sentences contradict, where settings ask for it.
    pub contradicted: BTreeMap<SpanId, Decision>,
    pub(super) negatives_of_run: Negatives,
    negatives: Group,
    /// Negatives that may be missed entities: they overlap neither a more suspicious one nor a learned positive, and
    /// have no words of which annotated sentences say that they are none.
    possibly_missed: Group,
    /// The same by the dynamics alone, where annotated sentences contradict any entry.
    without_annotated: Option<Group>,
    positives: Group,
    /// The positives again, by type: element i has label i + 1.
    pub(super) types: Vec<Group>,
}

/// Spans in the order of suspicion, and what the threshold samples say about them, when first asked for.
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
        mut metrics: Metrics,
    ) -> Result<Self, JudgeError> {
        if metric == Metric::Confidence && !metrics.has_probabilities() {
            return Err(JudgeError::NoProbabilities);
        }
        let evidence = Evidence::new(&dynamics.corpus, index.max_width());
        metrics.trust = noise_model::trust_of_all(&evidence, &index, &assigned, &metrics.aum);
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
            let spans = (0..).zip(&assigned).filter(move |&(_, &label)| Side::of(label) == side);
            let spans: Vec<SpanId> = spans.map(|(span, _)| span).filter(known).collect();
            Ranking::new(&spans, column)
        };
        let (negatives, positives) = (of_side(Side::Negatives), of_side(Side::Positives));
        let by_metric = positives.by(column);
        let median = by_metric.median();
        let has_learned = |span: SpanId| column.get(span as usize).is_some_and(|&value| value >= median);
        let entries = &dynamics.contradicted;
        let mut contradicted = dictionary_check::decisions(entries, &dynamics.corpus, &index, has_learned);
        // Nothing is decided about a flagged span, whoever asks.
        contradicted.retain(|&span, _| !metrics.is_flagged(span as usize));
        let possibly_missed = |contradicted: &BTreeMap<SpanId, Decision>, entries: &[Entry]| {
            // Entities do not overlap: where the model has learned one that nobody contradicts, none is missed.
            let is_entity =
                |span: &&SpanId| !matches!(contradicted.get(span), Some(Decision::Remove | Decision::Relabel(O)));
            let learned = by_metric.from(metric.natural_threshold()).iter().filter(is_entity);
            let ordinary = OrdinaryWords::new(entries);
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
        let without_annotated = (!entries.is_empty()).then(|| possibly_missed(&BTreeMap::new(), &[]).into());
        let possibly_missed = possibly_missed(&contradicted, entries).into();
        Ok(Self {
            window,
            metric,
            labels,
            evidence,
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

    /// What speaks for and against a span's label, in a fixed order; it adds up to the log odds that the label is wrong.
    /// Nothing where the span is flagged or does not exist.
    pub fn reasons(&self, span: SpanId) -> Vec<Reason> {
        let known = noise_model::known(&self.evidence, &self.index, &self.assigned, &self.metrics.aum, span);
        known.filter(|known| !known.aum.is_nan()).map_or(Vec::new(), |known| noise_model::reasons(&known).collect())
    }

    /// What the text says in this corpus, and how far it counts; `None` where labels are not judged by it.
    pub fn capitals(&self) -> Option<Capitals> {
        (self.metric == Metric::Trust).then_some(self.evidence.capitals)
    }

    /// What the text says against an entity: see [`noise_model::text_against`]. Nothing against an `O` span.
    pub(super) fn text_against(&self, span: SpanId) -> f32 {
        let entity = self.index.span(span).filter(|_| self.side(span) == Side::Positives);
        entity.map_or(0.0, |entity| noise_model::text_against(self.evidence.of(entity, true)))
    }

    /// The labelled entities that overlap a span, where entities do not overlap in this corpus; `None` where they do.
    pub(super) fn overlapped(&self, span: Span) -> Option<impl Iterator<Item = Span> + '_> {
        let entities = self.flat.as_ref()?;
        // They do not overlap, so their ends ascend as their starts do.
        let from = entities.partition_point(|e| (e.sentence, e.end) < (span.sentence, span.start));
        Some(entities.iter().skip(from).copied().take_while(move |entity| entity.overlaps(&span)))
    }

    /// The capitalised run that an entity is part of, where it goes on beyond the entity.
    pub fn longer_run(&self, span: SpanId) -> Option<Span> {
        let is_entity = self.side(span) == Side::Positives;
        self.evidence.of(self.index.span(span)?, is_entity).run
    }

    /// Spans with non-finite logits: kept, and not judged.
    pub fn flagged(&self) -> u64 {
        self.metrics.flagged() as u64
    }

    /// All negatives, and those that may be missed entities, also by the dynamics alone, the metric ascending. Which of
    /// them settings judge, [`super::judgement::Judgement::negatives_judged`] says.
    pub fn negatives(&self) -> [&[SpanId]; 3] {
        let missed = [true, false].map(|check| &self.missed(check).ranking);
        [&self.negatives.ranking, missed[0], missed[1]].map(|ranking| self.by_metric(ranking).spans())
    }

    /// The negatives that may be missed entities, annotated sentences heeded or not.
    pub(super) fn missed(&self, dictionary_check: bool) -> &Group {
        self.without_annotated.as_ref().filter(|_| !dictionary_check).unwrap_or(&self.possibly_missed)
    }

    /// Groups of spans, each with the metric ascending: those of [`Judge::negatives`], and the spans of every entity
    /// type.
    pub fn groups(&self) -> impl Iterator<Item = &[SpanId]> {
        self.negatives().into_iter().chain(self.types.iter().map(|group| self.by_metric(&group.ranking).spans()))
    }

    /// All rankable spans of a side, the metric ascending.
    pub fn ranked(&self, side: Side) -> Ascending<'_> {
        self.by_metric(match side {
            Side::Negatives => &self.negatives.ranking,
            Side::Positives => &self.positives.ranking,
        })
    }

    /// The spans of a side that settings could judge wrong.
    pub(super) fn group(&self, side: Side, settings: &Settings) -> &Group {
        match side {
            Side::Positives => &self.positives,
            Side::Negatives if settings.overlap_suppression => self.missed(settings.dictionary_check),
            Side::Negatives => &self.negatives,
        }
    }

    /// The positives, those first that annotated sentences contradict; both parts with the metric ascending.
    pub fn contradicted_first(&self) -> [Vec<SpanId>; 2] {
        let is_contradicted = |span: &SpanId| self.contradicted.contains_key(span);
        let (first, others) = self.ranked(Side::Positives).spans().iter().partition(|span| is_contradicted(span));
        [first, others]
    }

    /// Of these spans, the metric ascending, each with its metric.
    pub fn of_sorted<'a>(&'a self, spans: &'a [SpanId]) -> Ascending<'a> {
        Ascending::of_sorted(spans, self.metric.column(&self.metrics))
    }

    pub(super) fn by_metric<'a>(&'a self, ranking: &'a Ranking) -> Ascending<'a> {
        ranking.by(self.metric.column(&self.metrics))
    }

    /// What the threshold samples say about the spans of a side that settings could judge wrong.
    pub(super) fn estimate(&self, side: Side, settings: &Settings) -> &Automatic {
        // Few of the random negatives are anywhere near the threshold: what memorisation does there is
        // read off the positives.
        let held_out = || pairs(self.samples.of_side(Side::Positives));
        self.estimate_of(self.group(side, settings), side, || self.samples.given(side).to_vec(), held_out)
    }

    /// What the threshold samples of an entity type say about it; `None` for `O` and unknown labels.
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

/// The entities of a corpus by sentence and start; `None` where two overlap.
fn flat_entities(corpus: &Corpus) -> Option<Vec<Span>> {
    let mut spans: Vec<Span> = corpus.entities.iter().map(|entity| entity.span).collect();
    spans.sort_unstable();
    let overlap = spans.iter().zip(spans.iter().skip(1)).any(|(a, b)| a.overlaps(b));
    (!overlap).then_some(spans)
}

/// (held-out, trained) metric of samples.
fn pairs<'a>(samples: impl Iterator<Item = &'a Sample>) -> Vec<(f32, f32)> {
    samples.filter(|s| s.held_out.is_finite()).map(|s| (s.held_out, s.trained)).collect()
}
