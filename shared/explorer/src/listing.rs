//! The most suspicious spans, page by page. Both sides are merged in ascending order of the metric, without
//! building the whole list.

use serde::{Deserialize, Serialize};

use std::borrow::Cow;

use crate::filter::Selection;
use shared::corpus::decision::Side;
use shared::corpus::span::SpanId;
use shared::detection::judgement::Judgement;

/// The choice of spans to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Whether only spans are listed that the settings judge wrong or that annotated sentences contradict.
    pub judged_only: bool,
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
