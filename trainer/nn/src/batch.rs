//! Sentences as model input: packed one after the other, without padding.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::windows::{Window, best_reading};

/// One sentence, ready for an encoder.
///
/// A row is one position of the encoder. It holds a subword piece, or a word if the encoder reads words.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SentenceInput {
    /// Columns of indices that the encoder looks up. Each column has one element per row.
    pub features: Vec<Vec<u32>>,
    /// Number of rows of each window. Rows attend only to rows of their own window. A sentence has several windows
    /// only if it is too long for the encoder.
    pub lengths: Vec<usize>,
    /// Row of the first piece of each word.
    pub first: Vec<u32>,
    /// Row of the last piece of each word.
    pub last: Vec<u32>,
    /// The windows, if there are several. A span's rows then come from one of them, and not from `first` and
    /// `last`.
    pub windows: Vec<Window>,
    /// Word shape of each row; 0 if the row is not a word.
    pub shapes: Vec<u32>,
}

impl SentenceInput {
    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        self.lengths.iter().sum()
    }

    /// Returns the number of rows of the longest window.
    pub fn longest(&self) -> usize {
        self.lengths.iter().copied().max().unwrap_or(0)
    }

    /// Returns the rows of the first and the last piece of the span of words `start..=end`. Both come from the
    /// same window: the one in which the span has the most context.
    ///
    /// # Panics
    /// If the sentence has no word `end`.
    pub fn span_rows(&self, start: usize, end: usize) -> (u32, u32) {
        let in_one = best_reading(&self.windows, self.first.len(), start, end);
        // There are no windows, or the span is wider than the sentence was prepared for.
        in_one.unwrap_or((self.first[start], self.last[end]))
    }
}

/// Number of rows of each window of a batch.
pub type WindowLengths = Arc<[usize]>;

/// Several sentences as one input.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Columns as in [`SentenceInput`], all sentences one after the other.
    pub features: Vec<Arc<[u32]>>,
    /// Number of rows of each window.
    pub lengths: WindowLengths,
    /// First row of each sentence.
    pub offsets: Vec<u32>,
    /// Word shape of each row.
    pub shapes: Arc<[u32]>,
    /// Positions of the rows, if all windows are padded to one length. Features and shapes then also have elements
    /// for the rows of padding, with the index [`PADDING`].
    pub padded: Option<Padded>,
}

/// Rows of a padded batch.
#[derive(Debug, Clone)]
pub struct Padded {
    /// Number of rows of every window, including padding.
    pub length: usize,
    /// For each row of the packed batch, its row in the padded batch.
    pub rows: Arc<[u32]>,
}

/// Rows of the parts of each span of a batch.
#[derive(Debug, Default, Clone)]
pub struct SpanRows {
    /// Row of the first word of each span in the start parts.
    pub start: Vec<u32>,
    /// Row of the last word of each span in the end parts.
    pub end: Vec<u32>,
    /// Row of each span's width in the width parts.
    pub width: Vec<u32>,
}

impl SpanRows {
    /// Returns the rows of the starts, the ends and the widths.
    pub fn parts(&self) -> [&[u32]; 3] {
        [&self.start, &self.end, &self.width]
    }
}

/// Index that stands for nothing, in rows of padding.
pub const PADDING: u32 = u32::MAX;

/// Lengths are padded to multiples of this number, because matrix units work on blocks of this size.
const LENGTH_STEP: usize = 8;

impl Batch {
    /// Packs sentences.
    pub fn pack(sentences: &[&SentenceInput]) -> Self {
        let n_features = sentences.first().map_or(0, |s| s.features.len());
        let mut offsets = Vec::with_capacity(sentences.len());
        let mut rows = 0;
        for sentence in sentences {
            offsets.push(rows);
            rows += sentence.rows() as u32;
        }
        Self {
            features: (0..n_features)
                .map(|column| sentences.iter().flat_map(|s| s.features[column].iter().copied()).collect())
                .collect(),
            lengths: sentences.iter().flat_map(|s| s.lengths.iter().copied()).collect(),
            offsets,
            shapes: sentences.iter().flat_map(|s| s.shapes.iter().copied()).collect(),
            padded: None,
        }
    }

    /// Pads all windows to the length of the longest, rounded up.
    pub fn padded(self) -> Self {
        let longest = self.lengths.iter().copied().max().unwrap_or(0).max(1);
        let length = longest.next_multiple_of(LENGTH_STEP);
        let stretches = self.lengths.iter().enumerate();
        let rows: Arc<[u32]> =
            stretches.flat_map(|(block, &n)| (0..n).map(move |row| (block * length + row) as u32)).collect();
        let pad = |column: &[u32]| -> Arc<[u32]> {
            let mut padded = vec![PADDING; self.lengths.len() * length];
            for (&row, &index) in rows.iter().zip(column) {
                padded[row as usize] = index;
            }
            padded.into()
        };
        Self {
            features: self.features.iter().map(|column| pad(column)).collect(),
            shapes: pad(&self.shapes),
            lengths: self.lengths,
            offsets: self.offsets,
            padded: Some(Padded { length, rows }),
        }
    }

    /// Returns the row in this batch for a row of the packed batch.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, packed: u32) -> u32 {
        self.padded.as_ref().map_or(packed, |padded| padded.rows[packed as usize])
    }

    /// Returns the number of rows, including padding.
    pub fn n_rows(&self) -> usize {
        self.shapes.len()
    }
}

/// Returns the shape of a word: the answers to six yes-or-no questions as one number. An encoder that lower-cases
/// its input cannot see these properties.
pub fn word_shape(word: &str) -> u32 {
    let letters = || word.chars().filter(|c| c.is_alphabetic());
    let questions = [
        word.chars().next().is_some_and(char::is_uppercase),
        letters().count() > 1 && letters().all(char::is_uppercase),
        word.chars().skip(1).any(char::is_uppercase),
        word.chars().any(char::is_numeric),
        word.chars().any(|c| !c.is_alphanumeric()),
        letters().next().is_none(),
    ];
    // 0 stands for rows that are not words.
    1 + questions.iter().enumerate().map(|(bit, &yes)| u32::from(yes) << bit).sum::<u32>()
}

/// Number of word shapes, including "not a word".
pub const N_SHAPES: usize = 65;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_tell_what_lower_case_hides() {
        let shapes = ["apple", "Apple", "NATO", "McDonald", "B2B", "3.5", ",", "été"].map(word_shape);
        assert_eq!(shapes[0], shapes[7]);
        for (i, a) in shapes[..7].iter().enumerate() {
            assert!((*a as usize) < N_SHAPES);
            assert!(shapes[..i].iter().all(|b| a != b), "{i}");
        }
    }

    #[test]
    fn packing_keeps_sentences_apart() {
        let sentence = |ids: &[u32]| SentenceInput {
            features: vec![ids.to_vec()],
            lengths: vec![ids.len()],
            first: (0..ids.len() as u32).collect(),
            last: (0..ids.len() as u32).collect(),
            windows: vec![],
            shapes: vec![1; ids.len()],
        };
        let (a, empty, b) = (sentence(&[5, 6]), sentence(&[]), sentence(&[7]));
        let batch = Batch::pack(&[&a, &empty, &b]);
        assert_eq!(*batch.features[0], [5, 6, 7]);
        assert_eq!(*batch.lengths, [2, 0, 1]);
        assert_eq!(batch.offsets, [0, 2, 2]);
        let padded = batch.padded();
        assert_eq!(padded.n_rows(), 3 * 8);
        assert_eq!(padded.features[0][..3], [5, 6, PADDING]);
        assert_eq!([0, 1, 2].map(|row| padded.row(row)), [0, 1, 16]);
        assert_eq!(padded.features[0][16..18], [7, PADDING]);
    }
}
