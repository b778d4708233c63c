//! The most suspicious spans, page by page. Both sides are merged in ascending order of the metric, without
//! building the whole list.

use serde::{Deserialize, Serialize};

use std::borrow::Cow;

use crate::filter::Selection;
use crate::sort::{ascending, by_key};
use shared::corpus::decision::Side;
use shared::corpus::span::SpanId;
use shared::detection::judge::Judge;
use shared::detection::judgement::Judgement;

/// The choice of spans to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Whether only spans are listed that the settings judge wrong or that annotated sentences contradict.
    pub judged_only: bool,
}

/// What a list of spans can be sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Column {
    /// The metric by which spans are judged.
    #[default]
    Metric,
    /// AUM.
    Aum,
    /// Confidence.
    Confidence,
    /// Variability.
    Variability,
    /// Number of words.
    Width,
    /// The words, in alphabetical order.
    Words,
}

/// The order of a list of spans.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The column that counts.
    pub column: Column,
    /// Whether the highest value comes first.
    pub descending: bool,
}

impl Column {
    /// The columns that show numbers.
    pub const NUMBERS: [Self; 5] = [Self::Metric, Self::Aum, Self::Confidence, Self::Variability, Self::Width];

    /// Returns the number that a list in this order shows for a span; NaN if it is not known. A list by words shows the
    /// metric.
    pub fn value(self, judge: &Judge, span: SpanId) -> f32 {
        let of = |column: &[f32]| column.get(span as usize).copied().unwrap_or(f32::NAN);
        match self {
            Self::Metric | Self::Words => judge.value(span),
            Self::Aum => of(&judge.metrics.aum),
            Self::Confidence => of(&judge.metrics.confidence),
            Self::Variability => of(&judge.metrics.variability),
            Self::Width => judge.index.span(span).map_or(f32::NAN, |span| span.width() as f32),
        }
    }
}

impl Order {
    /// Sorts spans. Those without a value come last. O(n log n). `alphabet` returns the [ranks](crate::alphabet::ranks)
    /// of all spans. It is called only if the order is by words.
    pub fn sort<'a>(
        self,
        judge: &Judge,
        alphabet: impl FnOnce() -> &'a [u32],
        spans: impl Iterator<Item = SpanId>,
    ) -> Vec<SpanId> {
        let ranks = if self.column == Column::Words { alphabet() } else { &[] };
        by_key(spans.map(|span| {
            let (key, is_last) = match ranks.get(span as usize) {
                Some(&rank) => (rank, false),
                None => {
                    let value = self.column.value(judge, span);
                    (ascending(value), value.is_nan())
                }
            };
            (if self.descending && !is_last { !key } else { key }, span)
        }))
    }
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Number of spans in the whole listing.
    pub total: usize,
    /// The spans of this page.
    pub spans: Vec<SpanId>,
}

impl Listing {
    /// The spans at `offset..offset + limit` of this listing, the most suspicious first. With `selection`, only
    /// spans that pass its filter.
    pub fn page(&self, judgement: &Judgement, selection: Option<&Selection>, offset: usize, limit: usize) -> Page {
        let judge = judgement.judge();
        let list = |side: Side| match (self.judged_only, selection) {
            (true, None) => judgement.changed(side),
            (true, Some(only)) => {
                let changed = judgement.changed(side);
                Cow::Owned(changed.iter().copied().filter(|&span| only.contains(span)).collect())
            }
            (false, None) => Cow::Borrowed(judge.ranked(side).spans()),
            (false, Some(only)) => Cow::Borrowed(only.ranked(side)),
        };
        let (negatives, positives) = (list(Side::Negatives), list(Side::Positives));
        let total = negatives.len() + positives.len();
        let less = |a: SpanId, b: SpanId| (judge.value(a), a) < (judge.value(b), b);
        Page { total, spans: merged(&negatives, &positives, offset, limit, less) }
    }
}

/// The elements `offset..offset + limit` of two merged sorted lists.
fn merged(
    a: &[SpanId],
    b: &[SpanId],
    offset: usize,
    limit: usize,
    less: impl Fn(SpanId, SpanId) -> bool,
) -> Vec<SpanId> {
    let offset = offset.min(a.len() + b.len());
    // Number of elements from `a` among the first `offset`: the smallest `i` such that `a[i]` comes after
    // `b[offset − i − 1]`.
    let (mut low, mut high) = (offset.saturating_sub(b.len()), offset.min(a.len()));
    while low < high {
        let i = low.midpoint(high);
        if less(a[i], b[offset - i - 1]) {
            low = i + 1;
        } else {
            high = i;
        }
    }
    let (mut a, mut b) = (a[low..].iter().peekable(), b[offset - low..].iter().peekable());
    let next = || match (a.peek(), b.peek()) {
        (Some(&&x), Some(&&y)) => (if less(y, x) { b.next() } else { a.next() }).copied(),
        (Some(_), None) => a.next().copied(),
        (None, _) => b.next().copied(),
    };
    std::iter::from_fn(next).take(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::one_epoch::of_one_epoch;
    use shared::detection::threshold::Metric;
    use shared::formats::dynclean_json;
    use shared::metrics::Window;

    #[test]
    fn lists_are_sorted_by_any_column_and_unknown_values_come_last() {
        // Spans: 0 "a", 1 "a b", 2 "a b c", 3 "b", 4 "b c", 5 "c". Span 4 has no margins.
        let json = br#"[{"tokens": ["a", "b", "c"], "entities": [[1, 1, "X"]]}]"#;
        let margins = [3.0, -1.0, 0.5, 2.0, f32::NAN, 1.0];
        // The label of span 3 is X.
        let rows: Vec<f32> =
            margins.iter().zip(0..).flat_map(|(&m, span)| if span == 3 { [0.0, m] } else { [0.0, -m] }).collect();
        let dynamics = of_one_epoch(dynclean_json::read(json).unwrap(), &rows);
        let judge = Judge::new(&dynamics, Window::first_epochs(1), Metric::Aum).unwrap();
        let ranks = crate::alphabet::ranks(&dynamics.corpus.tokens, &judge.index);
        let sorted = |column, descending| Order { column, descending }.sort(&judge, || &ranks, 0..6);
        assert_eq!(sorted(Column::Metric, false), [1, 2, 5, 3, 0, 4]);
        assert_eq!(sorted(Column::Aum, true), [0, 3, 5, 2, 1, 4]);
        // The confidence rises with the margin, because there are two labels.
        assert_eq!(sorted(Column::Confidence, false), [1, 2, 5, 3, 0, 4]);
        // Ties are in the order of the text.
        assert_eq!(sorted(Column::Width, false), [0, 3, 5, 1, 4, 2]);
        assert_eq!(sorted(Column::Width, true), [2, 1, 4, 0, 3, 5]);
        assert_eq!(sorted(Column::Words, false), [0, 1, 2, 3, 4, 5]);
        assert_eq!(sorted(Column::Words, true), [5, 4, 3, 2, 1, 0]);
        // One epoch does not vary.
        assert_eq!(sorted(Column::Variability, true), [0, 1, 2, 3, 5, 4]);
    }

    #[test]
    fn every_page_of_every_merger_is_a_piece_of_the_sorted_whole() {
        // All ways to split the numbers 0..8 into two lists.
        for dealt in 0..256u32 {
            let (a, b): (Vec<SpanId>, Vec<SpanId>) = (0..8).partition(|i| dealt >> i & 1 == 1);
            for offset in 0..=9usize {
                for limit in [0, 1, 3, 20] {
                    let expected: Vec<SpanId> = (0..8).skip(offset).take(limit).collect();
                    assert_eq!(merged(&a, &b, offset, limit, |x, y| x < y), expected, "{a:?} {b:?} from {offset}");
                }
            }
        }
    }
}
