//! Candidate spans and their numbering.
//!
//! Every span of 1 to `max_width` tokens inside one sentence is a candidate. Candidates are numbered by sentence
//! (in file order), then by start, then by end. The number is the `guid` in the files of the paper's code.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Default width of the widest candidate, in tokens (as in the paper).
pub const DEFAULT_MAX_WIDTH: u32 = 8;

/// The number of a span in the enumeration.
pub type SpanId = u32;

/// A span: the indices of its first and last token in one sentence. The end is inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    /// Index of the sentence in its corpus.
    pub sentence: u32,
    /// Index of the first token.
    pub start: u32,
    /// Index of the last token.
    pub end: u32,
}

impl Span {
    /// Number of tokens.
    pub fn width(&self) -> u32 {
        self.end - self.start + 1
    }

    /// The same span, so many sentences later.
    pub(crate) fn moved(self, sentences: u32) -> Self {
        Self { sentence: self.sentence + sentences, ..self }
    }

    /// Whether the two spans share a token.
    pub fn overlaps(&self, other: &Span) -> bool {
        self.sentence == other.sentence && self.start <= other.end && other.start <= self.end
    }
}

/// Number of candidate spans in a sentence of `n_tokens`.
pub fn spans_in_sentence(n_tokens: u32, max_width: u32) -> u64 {
    let (n, w) = (u64::from(n_tokens), u64::from(max_width));
    if n <= w { n * (n + 1) / 2 } else { w * (w + 1) / 2 + (n - w) * w }
}

/// The numbering of a corpus's candidates. It converts between span ids and spans without storing the spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanIndex {
    max_width: u32,
    /// The first span id of each sentence. The last element is the total number of spans.
    first: Vec<SpanId>,
    n_tokens: Vec<u32>,
}

/// Error: there are more candidates than a 32-bit number can count.
#[derive(Debug, thiserror::Error)]
#[error("the corpus has {0} candidate spans; at most {max} can be numbered: split it", max = SpanId::MAX)]
pub struct TooManySpans(pub u64);

impl SpanIndex {
    /// Numbers the candidates of sentences with the given numbers of tokens.
    ///
    /// # Errors
    /// When there are more than 2³² − 1 candidates.
    pub fn new(sentence_lengths: impl IntoIterator<Item = u32>, max_width: u32) -> Result<Self, TooManySpans> {
        let n_tokens: Vec<u32> = sentence_lengths.into_iter().collect();
        let mut total = 0u64;
        let mut first = Vec::with_capacity(n_tokens.len() + 1);
        first.push(0);
        for &n in &n_tokens {
            total += spans_in_sentence(n, max_width);
            first.push(SpanId::try_from(total).map_err(|_| TooManySpans(total))?);
        }
        Ok(Self { max_width, first, n_tokens })
    }

    /// Number of candidate spans.
    pub fn len(&self) -> usize {
        self.first.last().map_or(0, |&n| n as usize)
    }

    /// Whether there are no candidates.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of sentences.
    pub fn n_sentences(&self) -> usize {
        self.n_tokens.len()
    }

    /// Width of the widest candidates, in tokens.
    pub fn max_width(&self) -> u32 {
        self.max_width
    }

    /// The ids of a sentence's candidates; empty if the sentence does not exist.
    pub fn of_sentence(&self, sentence: u32) -> std::ops::Range<SpanId> {
        match self.first.get(sentence as usize..sentence as usize + 2) {
            Some(&[a, b]) => a..b,
            _ => 0..0,
        }
    }

    /// The id of a span; `None` if the span is not a candidate (too wide, or outside its sentence).
    pub fn id(&self, span: Span) -> Option<SpanId> {
        let n = *self.n_tokens.get(span.sentence as usize)?;
        if span.start > span.end || span.end >= n || span.width() > self.max_width {
            return None;
        }
        let first = *self.first.get(span.sentence as usize)?;
        Some(first + spans_before(span.start, n, self.max_width) + (span.end - span.start))
    }

    /// The span with this id; `None` if there is none.
    pub fn span(&self, id: SpanId) -> Option<Span> {
        if id as usize >= self.len() {
            return None;
        }
        self.span_in(self.first.partition_point(|&f| f <= id) - 1, id)
    }

    /// The span with this id, which must be in this sentence.
    fn span_in(&self, sentence: usize, id: SpanId) -> Option<Span> {
        let n = *self.n_tokens.get(sentence)?;
        let offset = id.checked_sub(*self.first.get(sentence)?)?;
        let n_full = n.saturating_sub(self.max_width - 1);
        if u64::from(offset) < u64::from(n_full) * u64::from(self.max_width) {
            let (start, further) = (offset / self.max_width, offset % self.max_width);
            return Some(Span { sentence: sentence as u32, start, end: start + further });
        }
        // Binary search: the last start whose first candidate is not after the offset.
        let (mut low, mut high) = (n_full.min(n.saturating_sub(1)), n);
        while low + 1 < high {
            let middle = low.midpoint(high);
            if spans_before(middle, n, self.max_width) <= offset {
                low = middle;
            } else {
                high = middle;
            }
        }
        let end = low + (offset - spans_before(low, n, self.max_width));
        Some(Span { sentence: sentence as u32, start: low, end })
    }

    /// Number of tokens in each sentence.
    pub(crate) fn lengths(&self) -> &[u32] {
        &self.n_tokens
    }

    /// All candidates of one sentence, in the order of their ids.
    pub fn spans_of(&self, sentence: u32) -> impl Iterator<Item = Span> + use<> {
        let n = self.n_tokens.get(sentence as usize).copied().unwrap_or(0);
        let width = self.max_width;
        (0..n).flat_map(move |start| {
            (start..n.min(start.saturating_add(width))).map(move |end| Span { sentence, start, end })
        })
    }
}

/// Number of candidates that start before token `start`, in a sentence of `n` tokens.
fn spans_before(start: u32, n: u32, max_width: u32) -> u32 {
    // The first `full` starts have spans of all widths. Each later start has one candidate less than the one
    // before it.
    let full = n.saturating_sub(max_width - 1).min(start);
    // Computed in 64 bits, because the products can pass 2³² before the halving.
    let [full, rest, widest_after, width] = [full, start - full, n - full, max_width].map(u64::from);
    (full * width + rest * widest_after - rest * rest.saturating_sub(1) / 2) as u32
}

/// A map by span. If a span comes twice, its last value counts.
// `collect` would compile another sort for every kind of iterator, 3 kB of the page each time.
pub fn by_span<V>(pairs: impl IntoIterator<Item = (SpanId, V)>) -> BTreeMap<SpanId, V> {
    let mut map = BTreeMap::new();
    map.extend(pairs);
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enumeration_is_start_then_end() {
        let index = SpanIndex::new([3, 0, 2], 2).unwrap();
        let all: Vec<_> = (0..3).flat_map(|s| index.spans_of(s)).map(|s| (s.sentence, s.start, s.end)).collect();
        assert_eq!(all, [(0, 0, 0), (0, 0, 1), (0, 1, 1), (0, 1, 2), (0, 2, 2), (2, 0, 0), (2, 0, 1), (2, 1, 1)]);
        assert_eq!(index.len(), all.len());
    }

    #[test]
    fn ids_and_spans_are_inverse() {
        for width in 1..=9 {
            let lengths = [0, 1, 2, 7, 8, 9, 20, 0, 3, 1, 1, 1, 40, 0, 0, 2];
            let index = SpanIndex::new(lengths, width).unwrap();
            let mut id = 0;
            for sentence in 0..lengths.len() as u32 {
                for span in index.spans_of(sentence) {
                    assert_eq!(index.id(span), Some(id), "{span:?} at width {width}");
                    assert_eq!(index.span(id), Some(span));
                    assert!(index.of_sentence(sentence).contains(&id));
                    id += 1;
                }
            }
            assert_eq!(id as usize, index.len());
            assert_eq!(index.span(id), None);
        }
    }

    #[test]
    fn long_sentences_and_unlimited_widths_are_numbered() {
        let n = 92_000;
        let index = SpanIndex::new([3, n], u32::MAX).unwrap();
        let last = Span { sentence: 1, start: n - 1, end: n - 1 };
        assert_eq!(index.id(last), Some(index.len() as SpanId - 1));
        for span in [last, Span { sentence: 1, start: 70_000, end: 91_000 }, Span { sentence: 1, start: 1, end: 1 }] {
            assert_eq!(index.id(span).and_then(|id| index.span(id)), Some(span));
        }
        assert_eq!(index.spans_of(0).count(), 6);
    }

    #[test]
    fn what_is_no_candidate_has_no_id() {
        let index = SpanIndex::new([5], 2).unwrap();
        for (sentence, start, end) in [(0, 0, 2), (0, 4, 5), (1, 0, 0), (0, 3, 2)] {
            assert_eq!(index.id(Span { sentence, start, end }), None);
        }
    }

    #[test]
    fn too_many_spans_is_an_error() {
        assert!(SpanIndex::new([u32::MAX], 8).is_err());
    }
}
