//! Spans in the order of suspicion.

use crate::span::{Span, SpanId, SpanIndex};

/// A group of spans in ascending order of the metric.
#[derive(Debug, Default)]
pub(super) struct Ranking {
    /// Ascending.
    pub(super) value: Vec<f32>,
    pub(super) span: Vec<SpanId>,
}

impl Ranking {
    /// Of `spans`, ascending, those whose metric is a number.
    pub(super) fn new(spans: impl Iterator<Item = SpanId> + Clone, column: &[f32]) -> Self {
        let keys = || {
            let ranked = spans.clone().filter_map(|span| Some((span, *column.get(span as usize)?)));
            ranked.filter(|(_, value)| !value.is_nan()).map(|(span, value)| sort_key(value, span))
        };
        // Order and id packed into one integer sort several times faster than pairs. Counted first: a list
        // that grows takes twice the memory.
        let mut sorted = Vec::with_capacity(keys().count());
        sorted.extend(keys());
        lanes::sort_ascending(&mut sorted);
        let span: Vec<SpanId> = sorted.iter().map(|&key| key as SpanId).collect();
        let value = sorted.iter().map(|&key| match value_of(key) {
            // Its sign is not in the key.
            0.0 => column.get(key as u32 as usize).copied().unwrap_or(0.0),
            value => value,
        });
        let value = value.collect();
        Self { value, span }
    }

    /// Spans whose metric is below the threshold, ascending.
    pub(super) fn below(&self, threshold: f32) -> &[SpanId] {
        &self.span[..self.value.partition_point(|&v| v < threshold)]
    }

    /// The upper median; infinite where there are no spans.
    pub(super) fn median(&self) -> f32 {
        self.value.get(self.value.len() / 2).copied().unwrap_or(f32::INFINITY)
    }

    /// Whether a span, whose metric this is, is among them.
    pub(super) fn contains(&self, span: SpanId, value: f32) -> bool {
        let ties = self.value.partition_point(|&v| v < value)..self.value.partition_point(|&v| v <= value);
        self.span[ties].binary_search(&span).is_ok()
    }

    /// Spans whose metric is at least this, ascending.
    pub(super) fn from(&self, least: f32) -> &[SpanId] {
        &self.span[self.value.partition_point(|&v| v < least)..]
    }

    /// The spans that may be an entity, and overlap neither one of `entities` nor a span of lower metric that itself
    /// stays: non-maximum suppression. Who stays does not depend on any threshold, since only lower values matter.
    pub(super) fn without_overlaps(
        &self,
        index: &SpanIndex,
        entities: impl Iterator<Item = SpanId>,
        may_be_entity: impl Fn(Span) -> bool,
    ) -> Self {
        let finder = index.finder();
        let mut occupied = Tokens::none(index);
        entities.filter_map(|id| finder.span(id)).for_each(|span| occupied.fill(span));
        let mut kept = Self::default();
        for (&value, &id) in self.value.iter().zip(&self.span) {
            let Some(span) = finder.span(id) else { continue };
            if occupied.are_free(span) && may_be_entity(span) {
                occupied.fill(span);
                kept.value.push(value);
                kept.span.push(id);
            }
        }
        kept
    }
}

/// Tokens of a corpus, a bit each.
struct Tokens {
    /// First token of every sentence.
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

    /// Whether no token of a span is taken.
    fn are_free(&self, span: Span) -> bool {
        let (start, end) = self.tokens(span);
        let is_free = |word: usize, mask: u64| self.bits.get(word).is_some_and(|bits| bits & mask == 0);
        let (first, last) = (start / 64, end / 64);
        let (from, to) = (u64::MAX << (start % 64), u64::MAX >> (63 - end % 64));
        // Asked of every span there is, of which most lie in one word.
        if first == last {
            return is_free(first, from & to);
        }
        is_free(first, from) && (first + 1..last).all(|word| is_free(word, u64::MAX)) && is_free(last, to)
    }

    /// Takes the tokens of a span.
    fn fill(&mut self, span: Span) {
        let (start, end) = self.tokens(span);
        for token in start..=end {
            if let Some(bits) = self.bits.get_mut(token / 64) {
                *bits |= 1 << (token % 64);
            }
        }
    }

    /// First and last token of a span; of a sentence that is not there, some where none are.
    fn tokens(&self, span: Span) -> (usize, usize) {
        let first = self.first.get(span.sentence as usize).copied().unwrap_or(64 * self.bits.len());
        (first + span.start as usize, first + span.end as usize)
    }
}

/// Sorts like (metric ascending, span id ascending); −0 counts as 0.
fn sort_key(value: f32, span: SpanId) -> u64 {
    let bits = (value + 0.0).to_bits();
    let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    u64::from(ordered) << 32 | u64::from(span)
}

/// The value of a sort key; 0 for −0.
fn value_of(key: u64) -> f32 {
    let ordered = (key >> 32) as u32;
    f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_overlapping_spans_the_lowest_stays() {
        // Long sentences, so that their tokens lie in several words; against the definition.
        let index = SpanIndex::new([5, 150, 0, 60, 3], 9).unwrap();
        let column: Vec<f32> = (0..index.len() as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 22) as f32).collect();
        let ranking = Ranking::new(0..index.len() as SpanId, &column);
        assert!(ranking.value.is_sorted() && ranking.span.len() == column.len());
        for (entities, least) in [(vec![], 0), (vec![3, 4, 40, 700], 0), (vec![3], 2)] {
            let may_be_entity = |span: Span| span.start >= least;
            let kept = ranking.without_overlaps(&index, entities.iter().copied(), may_be_entity);
            let entities: Vec<Span> = entities.iter().map(|&id| index.span(id).unwrap()).collect();
            let mut expected: Vec<Span> = Vec::new();
            for &id in &ranking.span {
                let span = index.span(id).unwrap();
                if span.start >= least && !entities.iter().chain(&expected).any(|taken| taken.overlaps(&span)) {
                    expected.push(span);
                }
            }
            assert_eq!(kept.span.iter().map(|&id| index.span(id).unwrap()).collect::<Vec<_>>(), expected);
            assert!(kept.span.iter().zip(&kept.value).all(|(&id, &value)| column[id as usize] == value));
        }
    }

    #[test]
    fn keys_sort_like_numbers() {
        let mut values = [-1e30, -2.5, -1.0, -0.0, 0.0, 1e-40, 3.5, 1e30];
        values.sort_by_key(|&v| sort_key(v, 0));
        assert_eq!(values.map(|v: f32| v + 0.0), [-1e30, -2.5, -1.0, 0.0, 0.0, 1e-40, 3.5, 1e30]);
        assert!(sort_key(-0.0, 2) > sort_key(0.0, 1));
        for value in [f32::NEG_INFINITY, -1e30, -2.5, -1e-40, 0.0, 1e-40, 3.5, f32::INFINITY] {
            assert_eq!(value_of(sort_key(value, 7)), value);
        }
        let ranking = Ranking::new(0..3, &[0.0, -0.0, -1.0]);
        assert_eq!(
            ranking.value.iter().map(|v| v.to_bits()).collect::<Vec<_>>(),
            [-1.0f32, 0.0, -0.0].map(f32::to_bits)
        );
    }
}
