//! One decision about many spans: a look at some of them first, chosen at random.

use shared::corpus::span::SpanId;

/// The largest number of spans that one decision may be about. More are too many for a careful person, and for the
/// list of decisions that the page keeps.
pub const MOST: usize = 100_000;

/// Returns `n` of these spans, or all if there are fewer, in random order. Each is as likely as any other. The same
/// seed gives the same ones.
pub fn some_of(spans: &[SpanId], n: usize, seed: u64) -> Vec<SpanId> {
    let mut spans = spans.to_vec();
    let n = n.min(spans.len());
    let mut random = seed;
    // The first n steps of a shuffle (Fisher–Yates).
    for at in 0..n {
        let left = (spans.len() - at) as u64;
        spans.swap(at, at + (next(&mut random) % left) as usize);
    }
    spans.truncate(n);
    spans
}

/// The next number of SplitMix64 (Steele, Lea and Flood 2014).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_paper() {
        // The first output of SplitMix64 for the seed 0, as its authors publish it.
        assert_eq!(next(&mut 0), 0xe220_a839_7b1d_cdaf);
    }

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
