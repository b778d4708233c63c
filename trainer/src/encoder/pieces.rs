//! From words to subword pieces and back to words.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use tokenizers::Tokenizer;

use crate::batch::{SentenceInput, word_shape};

/// A Hugging Face tokenizer, used word by word.
pub struct Pieces {
    tokenizer: Tokenizer,
    begin: u32,
    end: u32,
    unknown: u32,
    /// Most rows in one stretch, begin and end included.
    limit: usize,
}

impl Pieces {
    /// Reads tokenizer.json.
    ///
    /// # Errors
    /// When it cannot be read or lacks BERT's special tokens.
    pub fn open(file: &Path, limit: usize) -> Result<Self> {
        let mut tokenizer = Tokenizer::from_file(file).map_err(|e| anyhow!("cannot read {}: {e}", file.display()))?;
        tokenizer.with_truncation(None).map_err(|e| anyhow!("{}: {e}", file.display()))?;
        tokenizer.with_padding(None);
        let special = |token: &str| {
            tokenizer.token_to_id(token).with_context(|| format!("{} has no token {token}", file.display()))
        };
        let (begin, end, unknown) = (special("[CLS]")?, special("[SEP]")?, special("[UNK]")?);
        anyhow::ensure!(limit > 2, "max_position_embeddings {limit} leaves no room for words");
        Ok(Self { tokenizer, begin, end, unknown, limit })
    }

    /// Whether upper and lower case give the same pieces.
    pub fn is_lower_casing(&self) -> bool {
        let pieces = |word: &str| self.pieces(word).unwrap_or_default();
        pieces("Apple") == pieces("apple")
    }

    fn pieces(&self, word: &str) -> Result<Vec<u32>> {
        let encoding =
            self.tokenizer.encode_fast(word, false).map_err(|e| anyhow!("the tokenizer fails on {word:?}: {e}"))?;
        let mut pieces = encoding.get_ids().to_vec();
        // Words of characters that the tokenizer drops still need a row.
        if pieces.is_empty() {
            pieces.push(self.unknown);
        }
        pieces.truncate(self.limit - 2);
        Ok(pieces)
    }

    /// A sentence as rows: piece ids and positions. One that is longer than the encoder's position
    /// limit becomes several overlapping stretches; each word is read where it is farthest from a cut.
    pub fn input(&self, words: &[&str]) -> Result<SentenceInput> {
        let pieces: Vec<Vec<u32>> = words.iter().map(|w| self.pieces(w)).collect::<Result<_>>()?;
        let sizes: Vec<usize> = pieces.iter().map(Vec::len).collect();
        let mut input = SentenceInput {
            first: vec![0; words.len()],
            last: vec![0; words.len()],
            features: vec![vec![], vec![]],
            ..SentenceInput::default()
        };
        // Distance of each word's reading to the nearest cut so far.
        let mut distance = vec![None; words.len()];
        for stretch in stretches(&sizes, self.limit - 2) {
            let first_row = input.rows();
            input.features[0].push(self.begin);
            input.shapes.push(0);
            for word in stretch.clone() {
                let to_start = if stretch.start == 0 { usize::MAX } else { word - stretch.start };
                let to_end = if stretch.end == words.len() { usize::MAX } else { stretch.end - 1 - word };
                let row = input.features[0].len() as u32;
                if distance[word] < Some(to_start.min(to_end)) {
                    distance[word] = Some(to_start.min(to_end));
                    input.first[word] = row;
                    input.last[word] = row + sizes[word] as u32 - 1;
                }
                input.features[0].extend(&pieces[word]);
                input.shapes.extend(std::iter::repeat_n(word_shape(words[word]), sizes[word]));
            }
            input.features[0].push(self.end);
            input.shapes.push(0);
            let length = input.features[0].len() - first_row;
            input.features[1].extend(0..length as u32);
            input.lengths.push(length);
        }
        Ok(input)
    }
}

/// Ranges of words whose pieces fit in `limit`, each beginning in the middle of the one before.
fn stretches(sizes: &[usize], limit: usize) -> Vec<std::ops::Range<usize>> {
    let mut stretches = Vec::new();
    let mut start = 0;
    loop {
        let mut pieces = 0;
        let fitting = sizes[start..].iter().take_while(|&&n| {
            pieces += n;
            pieces <= limit
        });
        let end = start + fitting.count();
        stretches.push(start..end);
        if end >= sizes.len() {
            return stretches;
        }
        // At least one word forward, and never past the end, so that no word is left out.
        start += ((end - start) / 2).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_sentences_are_one_stretch() {
        assert_eq!(stretches(&[1, 2, 3], 6), std::slice::from_ref(&(0..3)));
        assert_eq!(stretches(&[], 6), std::slice::from_ref(&(0..0)));
    }

    #[test]
    fn long_sentences_overlap_and_miss_no_word() {
        let sizes: Vec<usize> = (0..50).map(|i| 1 + i % 4).collect();
        let found = stretches(&sizes, 9);
        assert!(found.len() > 5);
        assert!(found.iter().all(|s| !s.is_empty() && sizes[s.clone()].iter().sum::<usize>() <= 9));
        assert!(found.windows(2).all(|w| w[1].start > w[0].start && w[1].start <= w[0].end));
        assert_eq!((found[0].start, found[found.len() - 1].end), (0, 50));
    }
}
