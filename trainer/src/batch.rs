//! Sentences as model input: packed one after the other, without padding.

use std::sync::Arc;

use crate::ops::SentenceLengths;
use crate::windows::{Window, best_reading};

/// One sentence, ready for an encoder. A row is what the encoder sees as one position: a subword
/// piece, or a word for encoders that read words.
#[derive(Debug, Clone, Default)]
pub struct SentenceInput {
    /// Columns of indices that the encoder looks up, one element per row in each.
    pub features: Vec<Vec<u32>>,
    /// Rows of each stretch that attends to itself; one, unless the sentence is too long for the encoder.
    pub lengths: Vec<usize>,
    /// Row of the first piece of each word.
    pub first: Vec<u32>,
    /// Row of the last piece of each word.
    pub last: Vec<u32>,
    /// The stretches, where there are several; then a span's rows are not those of its words.
    pub windows: Vec<Window>,
    /// Word shape of each row (0 where a row is no word).
    pub shapes: Vec<u32>,
}

impl SentenceInput {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.lengths.iter().sum()
    }

    /// Rows of the first and the last piece of the span of words `start..=end`: of one stretch, the one
    /// in which it has the most context.
    ///
    /// # Panics
    /// When the sentence has no word `end`.
    pub fn span_rows(&self, start: usize, end: usize) -> (u32, u32) {
        let in_one = best_reading(&self.windows, self.first.len(), start, end);
        // Without windows; or a span wider than the sentence was prepared for.
        in_one.unwrap_or((self.first[start], self.last[end]))
    }
}

/// Several sentences in one input.
#[derive(Debug, Clone)]
pub struct Batch {
    /// As in [`SentenceInput`], all sentences one after the other.
    pub features: Vec<Arc<[u32]>>,
    /// Rows of each stretch.
    pub lengths: SentenceLengths,
    /// First row of each sentence.
    pub offsets: Vec<u32>,
    /// Word shape of each row.
    pub shapes: Arc<[u32]>,
}

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
        }
    }
}

/// What a word looks like, as six yes-or-no questions in one number: what an encoder that
/// lower-cases cannot see.
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
    // 0 is kept for rows that are no word.
    1 + questions.iter().enumerate().map(|(bit, &yes)| u32::from(yes) << bit).sum::<u32>()
}

/// Number of word shapes, "no word" included.
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
    }
}
