//! One decision about many spans. First a person looks at some of them, which are chosen at random.

use shared::corpus::span::SpanId;
use shared::random::Stream;

/// The largest number of spans that one decision may be about. More are too many for a careful person, and for the
/// list of decisions that the page keeps.
pub const MOST: usize = 100_000;

/// Returns `n` of these spans, or all if there are fewer, in random order. Each is as likely as any other. The same
/// seed gives the same ones.
pub fn some_of(spans: &[SpanId], n: usize, seed: u64) -> Vec<SpanId> {
    let mut spans = spans.to_vec();
    let n = n.min(spans.len());
    let mut random = Stream(seed);
    // The first n steps of a shuffle (Fisher–Yates).
    for at in 0..n {
        let chosen = at + random.below(spans.len() - at);
        spans.swap(at, chosen);
    }
    spans.truncate(n);
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_spans_are_chosen_without_repetition_and_all_are_as_likely() {
        let spans: Vec<SpanId> = (100..120).collect();
        let mut times = [0; 20];
        for seed in 0..4000 {
            let mut some = some_of(&spans, 5, seed);
            assert_eq!(some, some_of(&spans, 5, seed));
            some.iter().for_each(|&span| times[span as usize - 100] += 1);
            some.sort_unstable();
            some.dedup();
            assert_eq!(some.len(), 5);
        }
        // 1,000 each are expected, with a standard deviation of 27.
        assert!(times.iter().all(|n| (860..1140).contains(n)), "{times:?}");
        let mut all = some_of(&spans, 50, 1);
        all.sort_unstable();
        assert_eq!(all, spans);
        assert!(some_of(&[], 5, 1).is_empty());
    }
}
