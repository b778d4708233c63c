//! Spans in order of suspicion.

use crate::corpus::span::{Span, SpanId, SpanIndex};

/// A group of spans, sorted by metric (ascending) and then by id. The metric is stored elsewhere.
#[derive(Debug, Default)]
pub(super) struct Ranking(Vec<SpanId>);

impl Ranking {
    /// Ranks the spans whose metric is a number, and leaves out the others. `spans` must be in ascending order.
    pub(super) fn new(spans: Vec<SpanId>, column: &[f32]) -> Self {
        Self(lanes::ranked(spans, column))
    }

    /// Pairs the ranking with the metric of all spans.
    pub(super) fn by<'a>(&'a self, column: &'a [f32]) -> Ascending<'a> {
        Ascending { spans: &self.0, column }
    }

    /// Appends a span. Its metric must not be lower than the others.
    pub(super) fn push(&mut self, span: SpanId) {
        self.0.push(span);
    }
}

/// Spans in ascending order of their metric.
#[derive(Debug, Clone, Copy)]
pub struct Ascending<'a> {
    spans: &'a [SpanId],
    /// The metric of all spans, by span id.
    column: &'a [f32],
}

impl<'a> Ascending<'a> {
    /// Pairs spans with their metric. `spans` must be sorted by it; `column` has the metric of all spans.
    pub fn of_sorted(spans: &'a [SpanId], column: &'a [f32]) -> Self {
        Self { spans, column }
    }

    /// The spans.
    pub fn spans(self) -> &'a [SpanId] {
        self.spans
    }

    /// Number of spans.
    pub fn len(self) -> usize {
        self.spans.len()
    }

    /// Whether there are no spans.
    pub fn is_empty(self) -> bool {
        self.spans.is_empty()
    }

    /// The metric of the span at a rank (from 0).
    pub fn value(self, rank: usize) -> Option<f32> {
        self.spans.get(rank).map(|&span| self.of(span))
    }

    /// Lowest and highest metric; `None` if there are no spans.
    pub fn ends(self) -> Option<(f32, f32)> {
        Some((self.of(*self.spans.first()?), self.of(*self.spans.last()?)))
    }

    /// Returns the number of spans at the start whose metric meets a condition. If a span does not meet it, no later
    /// span may meet it.
    pub fn count_while(self, meets: impl Fn(f32) -> bool) -> usize {
        self.spans.partition_point(|&span| meets(self.of(span)))
    }

    /// The spans whose metric is below the threshold.
    pub(crate) fn below(self, threshold: f32) -> &'a [SpanId] {
        self.spans.get(..self.count_while(|v| v < threshold)).unwrap_or_default()
    }

    /// The upper median; infinity if there are no spans.
    pub(super) fn median(self) -> f32 {
        self.value(self.len() / 2).unwrap_or(f32::INFINITY)
    }

    /// Whether a span is in this ranking. `value` must be its metric.
    pub(super) fn contains(self, span: SpanId, value: f32) -> bool {
        let ties = self.count_while(|v| v < value)..self.count_while(|v| v <= value);
        self.spans.get(ties).is_some_and(|ties| ties.binary_search(&span).is_ok())
    }

    fn of(self, span: SpanId) -> f32 {
        self.column.get(span as usize).copied().unwrap_or(f32::NAN)
    }
}

/// What [`without_overlaps`] needs to know about spans.
pub(super) struct Competition<Candidate, Entity, Possible> {
    /// Whether a span competes. Spans without a metric never do.
    pub(super) is_candidate: Candidate,
    /// Whether a span is an entity, so that no candidate that overlaps it is kept.
    pub(super) is_entity: Entity,
    /// Whether a candidate may be an entity. Called only for candidates whose tokens are free.
    pub(super) may_be_entity: Possible,
}

/// Non-maximum suppression: ranks the candidates that may be an entity and overlap neither an entity nor a kept
/// candidate of lower metric. The result does not depend on any threshold, because only lower values matter. Spans of
/// different sentences do not overlap, so this works sentence by sentence. `column` has the metric of all spans.
pub(super) fn without_overlaps(
    index: &SpanIndex,
    column: &[f32],
    of: Competition<impl Fn(SpanId) -> bool, impl Fn(SpanId) -> bool, impl Fn(Span) -> bool>,
) -> Ranking {
    let mut kept: Vec<SpanId> = Vec::new();
    let (mut is_occupied, mut candidates, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    let tokens = |span: Span| span.start as usize..=span.end as usize;
    for (sentence, &n_tokens) in (0..).zip(index.lengths()) {
        is_occupied.clear();
        is_occupied.resize(n_tokens as usize, false);
        candidates.clear();
        keys.clear();
        for (id, span) in index.of_sentence(sentence).zip(index.spans_of(sentence)) {
            let Some(&value) = column.get(id as usize) else { continue };
            if (of.is_entity)(id) {
                is_occupied.get_mut(tokens(span)).unwrap_or_default().fill(true);
            } else if !value.is_nan() && (of.is_candidate)(id) {
                keys.push(u64::from(lanes::ascending(value)) << 32 | candidates.len() as u64);
                candidates.push((id, span));
            }
        }
        keys.sort_unstable();
        let before = kept.len();
        for &key in &keys {
            let Some(&(id, span)) = candidates.get(key as u32 as usize) else { continue };
            let Some(own) = is_occupied.get_mut(tokens(span)) else { continue };
            if !own.contains(&true) && (of.may_be_entity)(span) {
                own.fill(true);
                kept.push(id);
            }
        }
        kept.get_mut(before..).unwrap_or_default().sort_unstable();
    }
    Ranking::new(kept, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_overlapping_spans_the_lowest_stays() {
        // Long sentences, so that their bits cover several words. The test compares with the definition.
        let index = SpanIndex::new([5, 150, 0, 60, 3], 9).unwrap();
        let column: Vec<f32> = (0..index.len() as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 22) as f32).collect();
        let spans: Vec<SpanId> = (0..index.len() as SpanId).collect();
        let ranking = Ranking::new(spans.clone(), &column);
        let ranked = ranking.by(&column);
        for (entities, least) in [(vec![], 0), (vec![3, 4, 40, 700], 0), (vec![3], 2)] {
            let competition = Competition {
                is_candidate: |_| true,
                is_entity: |id| entities.contains(&id),
                may_be_entity: |span: Span| span.start >= least,
            };
            let kept = without_overlaps(&index, &column, competition);
            let entities: Vec<Span> = entities.iter().map(|&id| index.span(id).unwrap()).collect();
            let mut expected: Vec<Span> = Vec::new();
            for &id in ranked.spans() {
                let span = index.span(id).unwrap();
                if span.start >= least && !entities.iter().chain(&expected).any(|taken| taken.overlaps(&span)) {
                    expected.push(span);
                }
            }
            assert_eq!(kept.0.iter().map(|&id| index.span(id).unwrap()).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn ranks_are_found_by_value() {
        let column = [2.0, -1.0, 0.5, -0.0, 0.0, f32::NAN, 0.5];
        let ranking = Ranking::new(vec![0, 1, 2, 3, 5, 6], &column);
        let ranked = ranking.by(&column);
        assert_eq!(ranked.spans(), [1, 3, 2, 6, 0]);
        assert_eq!(ranked.below(0.5), [1, 3]);
        assert_eq!((ranked.median(), ranked.ends(), ranked.value(9)), (0.5, Some((-1.0, 2.0)), None));
        assert!(ranked.contains(6, 0.5) && !ranked.contains(4, 0.0) && !ranked.contains(5, f32::NAN));
        assert_eq!(Ranking::default().by(&column).median(), f32::INFINITY);
    }
}
