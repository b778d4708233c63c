//! Spans in the order of suspicion.

use crate::span::{SpanId, SpanIndex};

/// A group of spans in ascending order of the metric.
#[derive(Debug, Default)]
pub(super) struct Ranking {
    /// Ascending.
    pub(super) value: Vec<f32>,
    pub(super) span: Vec<SpanId>,
}

impl Ranking {
    pub(super) fn new(spans: impl Iterator<Item = SpanId>, column: &[f32]) -> Self {
        // Order and id packed into one integer sort several times faster than pairs.
        let mut keys: Vec<u64> = spans
            .filter_map(|span| column.get(span as usize).filter(|v| !v.is_nan()).map(|&v| sort_key(v, span)))
            .collect();
        keys.sort_unstable();
        let span: Vec<SpanId> = keys.iter().map(|&key| key as SpanId).collect();
        let value = span.iter().filter_map(|&s| column.get(s as usize).copied()).collect();
        Self { value, span }
    }

    /// Spans whose metric is below the threshold, ascending.
    pub(super) fn below(&self, threshold: f32) -> &[SpanId] {
        &self.span[..self.value.partition_point(|&v| v < threshold)]
    }

    /// Whether a span, whose metric this is, is among them.
    pub(super) fn contains(&self, span: SpanId, value: f32) -> bool {
        let ties = self.value.partition_point(|&v| v < value)..self.value.partition_point(|&v| v <= value);
        self.span[ties].binary_search(&span).is_ok()
    }

    /// The spans that overlap no span of lower metric that itself stays: non-maximum suppression.
    /// Who stays does not depend on any threshold, since only lower values matter.
    pub(super) fn without_overlaps(&self, index: &SpanIndex, n_sentences: usize) -> Self {
        let mut occupied: Vec<Vec<(u32, u32)>> = vec![Vec::new(); n_sentences];
        let mut kept = Self::default();
        for (&value, &id) in self.value.iter().zip(&self.span) {
            let Some(span) = index.span(id) else { continue };
            let Some(taken) = occupied.get_mut(span.sentence as usize) else { continue };
            if taken.iter().all(|&(start, end)| end < span.start || span.end < start) {
                taken.push((span.start, span.end));
                kept.value.push(value);
                kept.span.push(id);
            }
        }
        kept
    }
}

/// Sorts like (metric ascending, span id ascending); −0 counts as 0.
fn sort_key(value: f32, span: SpanId) -> u64 {
    let bits = (value + 0.0).to_bits();
    let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    u64::from(ordered) << 32 | u64::from(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_like_numbers() {
        let mut values = [-1e30, -2.5, -1.0, -0.0, 0.0, 1e-40, 3.5, 1e30];
        values.sort_by_key(|&v| sort_key(v, 0));
        assert_eq!(values.map(|v: f32| v + 0.0), [-1e30, -2.5, -1.0, 0.0, 0.0, 1e-40, 3.5, 1e30]);
        assert!(sort_key(-0.0, 2) > sort_key(0.0, 1));
    }
}
