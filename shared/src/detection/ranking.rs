//! Spans in order of suspicion.

use crate::corpus::span::{Span, SpanId, SpanIndex};

/// A group of spans, sorted by metric (ascending) and then by id. The metric is stored elsewhere.
#[derive(Debug, Default)]
pub(super) struct Ranking(Vec<SpanId>);

impl Ranking {
    /// Ranks those of `spans` whose metric is a number. `spans` must be in ascending order.
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

    /// Number of spans at the start whose metric meets a condition. No span after one that fails may meet it.
    pub fn count_while(self, meets: impl Fn(f32) -> bool) -> usize {
        self.spans.partition_point(|&span| meets(self.of(span)))
    }

    /// The spans whose metric is below the threshold.
    pub(crate) fn below(self, threshold: f32) -> &'a [SpanId] {
        self.spans.get(..self.count_while(|v| v < threshold)).unwrap_or_default()
    }

    /// The spans whose metric is at least `least`.
    pub(super) fn from(self, least: f32) -> &'a [SpanId] {
        self.spans.get(self.count_while(|v| v < least)..).unwrap_or_default()
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

    /// Non-maximum suppression: keeps spans that may be an entity and overlap neither one of `entities` nor a kept
    /// span of lower metric. The result does not depend on any threshold, because only lower values matter.
    pub(super) fn without_overlaps(
        self,
        index: &SpanIndex,
        entities: impl Iterator<Item = SpanId>,
        may_be_entity: impl Fn(Span) -> bool,
    ) -> Ranking {
        let finder = index.finder();
        let mut occupied = Tokens::none(index);
        entities.filter_map(|id| finder.span(id)).for_each(|span| occupied.fill(span));
        let mut kept = Ranking::default();
        for &id in self.spans {
            let Some(span) = finder.span(id) else { continue };
            if occupied.are_free(span) && may_be_entity(span) {
                occupied.fill(span);
                kept.push(id);
            }
        }
        kept
    }
}

/// A set of tokens of a corpus, one bit per token.
struct Tokens {
    /// Number of the first token of each sentence.
    first: Vec<usize>,
    bits: Vec<u64>,
}

impl Tokens {
    fn none(index: &SpanIndex) -> Self {
        let mut total = 0;
        let first = index.lengths().iter().map(|&n| {
            total += n as usize;
            total - n as usize
        });
        let first = first.collect();
        Self { first, bits: vec![0; total.div_ceil(64)] }
    }

    /// Whether all tokens of a span are free.
    fn are_free(&self, span: Span) -> bool {
        let (start, end) = self.tokens(span);
        let is_free = |word: usize, mask: u64| self.bits.get(word).is_some_and(|bits| bits & mask == 0);
        let (first, last) = (start / 64, end / 64);
        let (from, to) = (u64::MAX << (start % 64), u64::MAX >> (63 - end % 64));
        // Called for every span, and most spans lie in one word of bits.
        if first == last {
            return is_free(first, from & to);
        }
        is_free(first, from) && (first + 1..last).all(|word| is_free(word, u64::MAX)) && is_free(last, to)
    }

    /// Marks the tokens of a span as occupied.
    fn fill(&mut self, span: Span) {
        let (start, end) = self.tokens(span);
        for token in start..=end {
            if let Some(bits) = self.bits.get_mut(token / 64) {
                *bits |= 1 << (token % 64);
            }
        }
    }

    /// First and last token of a span. If the sentence does not exist, they are out of range.
    fn tokens(&self, span: Span) -> (usize, usize) {
        let first = self.first.get(span.sentence as usize).copied().unwrap_or(64 * self.bits.len());
        (first + span.start as usize, first + span.end as usize)
    }
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
            let may_be_entity = |span: Span| span.start >= least;
            let kept = ranked.without_overlaps(&index, entities.iter().copied(), may_be_entity);
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
        assert_eq!((ranked.below(0.5), ranked.from(0.5)), (&[1, 3][..], &[2, 6, 0][..]));
        assert_eq!((ranked.median(), ranked.ends(), ranked.value(9)), (0.5, Some((-1.0, 2.0)), None));
        assert!(ranked.contains(6, 0.5) && !ranked.contains(4, 0.0) && !ranked.contains(5, f32::NAN));
        assert_eq!(Ranking::default().by(&column).median(), f32::INFINITY);
    }
}
