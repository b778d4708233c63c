//! Divides sentences that are too long for an encoder into overlapping windows of whole words.
//!
//! Windows overlap by half or more, so that every candidate span lies whole in at least one. A span is read in the
//! window where it has the most context. The context of a span is the number of words to its left or right in the
//! window, whichever is smaller. A side where the window reaches the end of the sentence counts as infinite. Among
//! windows with equal context the first is used. A span's start and end vectors thus come from the same window.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Rows of one part of a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Index of its first word in the sentence.
    pub start: usize,
    /// Row of the first piece of each of its words.
    pub first: Vec<u32>,
    /// Row of the last piece of each of its words.
    pub last: Vec<u32>,
}

impl Window {
    fn words(&self) -> Range<usize> {
        self.start..self.start + self.first.len()
    }

    /// Returns the rows of a span's first and last piece, or `None` if the span is not whole in this window.
    fn rows(&self, start: usize, end: usize) -> Option<(u32, u32)> {
        let first = self.first.get(start.checked_sub(self.start)?)?;
        let last = self.last.get(end.checked_sub(self.start)?)?;
        Some((*first, *last))
    }
}

/// Returns the rows of the first and last piece of the span `start..=end` in the window with the most context.
/// `n_words` is the length of the sentence. Returns `None` if no window contains the whole span.
pub fn best_reading(windows: &[Window], n_words: usize, start: usize, end: usize) -> Option<(u32, u32)> {
    let mut best = None;
    for window in windows {
        let Some(rows) = window.rows(start, end) else { continue };
        let words = window.words();
        let left = if words.start == 0 { usize::MAX } else { start - words.start };
        let right = if words.end == n_words { usize::MAX } else { words.end - 1 - end };
        let context = left.min(right);
        if best.is_none_or(|(most, _)| context > most) {
            best = Some((context, rows));
        }
    }
    best.map(|(_, rows)| rows)
}

/// Returns ranges of words of at most `limit` pieces each, such that every span of up to `max_width` words is
/// whole in one of them. `sizes` holds the number of pieces of each word.
///
/// There is one range if everything fits. Otherwise any `max_width` words in a row must fit in `limit`.
pub fn windows(sizes: &[usize], limit: usize, max_width: usize) -> Vec<Range<usize>> {
    let mut windows = Vec::new();
    let mut start = 0;
    loop {
        let mut pieces = 0;
        let fitting = sizes[start..].iter().take_while(|&&n| {
            pieces += n;
            pieces <= limit
        });
        let end = start + fitting.count();
        windows.push(start..end);
        if end >= sizes.len() {
            return windows;
        }
        // The earliest start of a span that is not whole in this window.
        let first_cut = (end + 1).saturating_sub(max_width);
        let half = start + (end - start) / 2;
        start = first_cut.min(half).max(start + 1);
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::random::stream;

    /// Builds the rows that an encoder without begin and end pieces would give.
    fn readings(sizes: &[usize], ranges: &[Range<usize>]) -> Vec<Window> {
        let mut row = 0;
        let read = |words: &Range<usize>| {
            let (mut first, mut last) = (vec![], vec![]);
            for &n in &sizes[words.clone()] {
                first.push(row);
                row += n as u32;
                last.push(row - 1);
            }
            Window { start: words.start, first, last }
        };
        ranges.iter().map(read).collect()
    }

    #[test]
    fn short_sentences_are_one_window() {
        assert_eq!(windows(&[1, 2, 3], 6, 2), std::slice::from_ref(&(0..3)));
        assert_eq!(windows(&[], 6, 2), std::slice::from_ref(&(0..0)));
    }

    #[test]
    fn a_span_is_read_where_it_has_the_most_context() {
        // Ten words of one piece each, six to a window: 0–5, 3–8, 6–9 (moved by half of six).
        let sizes = [1; 10];
        let ranges = windows(&sizes, 6, 3);
        assert_eq!(ranges, [0..6, 3..9, 6..10]);
        let readings = readings(&sizes, &ranges);
        let row = |start, end| best_reading(&readings, 10, start, end);
        // The first window begins with the sentence, so only the words to the right count.
        assert_eq!(row(0, 2), Some((0, 2)));
        // Words 3–4: one word to the right in the first window, no word to the left in the second.
        assert_eq!(row(3, 4), Some((3, 4)));
        // Word 5 is the last of the first window. The second window (rows 6 to 11) has two words to its left and
        // three to its right.
        assert_eq!(row(5, 5), Some((8, 8)));
        // Words 6–8: no word to the right in the second window, none to the left in the third. The first of equals
        // is used.
        assert_eq!(row(6, 8), Some((9, 11)));
        assert_eq!(row(8, 9), Some((14, 15)));
        assert_eq!(row(2, 9), None);
    }

    #[test]
    fn every_span_is_whole_in_one_window_for_any_lengths() {
        let mut rng = stream(5, "windows");
        for _ in 0..300 {
            let max_width = rng.random_range(1..9usize);
            let limit = rng.random_range(max_width..60);
            let n = rng.random_range(0..120);
            let sizes: Vec<usize> = (0..n).map(|_| rng.random_range(1..=limit / max_width)).collect();
            let ranges = windows(&sizes, limit, max_width);
            let readings = readings(&sizes, &ranges);
            assert!(ranges.iter().all(|r| sizes[r.clone()].iter().sum::<usize>() <= limit));
            assert!(ranges.windows(2).all(|w| w[1].start > w[0].start && w[1].start <= w[0].end));
            for start in 0..n {
                for end in start..n.min(start + max_width) {
                    let (first, last) = best_reading(&readings, n, start, end).unwrap();
                    let pieces: usize = sizes[start..=end].iter().sum();
                    assert_eq!((last - first + 1) as usize, pieces, "{start}..={end} is read in two windows");
                }
            }
        }
    }
}
