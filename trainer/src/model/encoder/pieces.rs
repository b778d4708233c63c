//! Conversion of words to subword pieces.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use nn::batch::{SentenceInput, word_shape};
use nn::windows::{Window, best_reading, windows};
use rayon::prelude::*;
use tokenizers::{NormalizedString, Normalizer, Tokenizer};

use super::architecture::Architecture;
use super::tokenizer_files;
use crate::interrupt;

/// Names of the pieces around a sentence and of the unknown piece. They are used if the tokenizer's post-processor
/// does not give the pieces.
const SPECIAL: [[&str; 3]; 2] = [["[CLS]", "[SEP]", "[UNK]"], ["<s>", "</s>", "<unk>"]];

/// A Hugging Face tokenizer that is used word by word, as with `is_split_into_words=True`.
pub struct Pieces {
    tokenizer: Tokenizer,
    begin: u32,
    end: u32,
    unknown: u32,
    /// Number of pieces for which the encoder has vectors.
    vocab_size: usize,
    first_position: u32,
    /// The padding piece, if it has a position of its own.
    padding: Option<u32>,
    /// Largest number of rows in a window, including begin and end.
    limit: usize,
}

/// The pieces of words.
pub type WordPieces<'a> = HashMap<&'a str, Vec<u32>>;

/// A sentence as the encoder reads it.
pub struct Reading {
    /// The rows of the sentence.
    pub input: SentenceInput,
    /// Number of words that were cut to their first pieces, because otherwise spans would not fit in a window.
    pub shortened: usize,
}

impl Pieces {
    /// Opens the tokenizer of a model folder.
    ///
    /// # Errors
    /// When it cannot be read or lacks the pieces around a sentence.
    pub fn open(folder: &Path, architecture: &Architecture) -> Result<Self> {
        let tokenizer = tokenizer_files::open(folder)?;
        let id = |name: &str| tokenizer.token_to_id(name);
        let around = tokenizer.encode_fast("", true).map_err(|e| anyhow!("the tokenizer fails: {e}"))?;
        let named = SPECIAL.iter().find_map(|[begin, end, _]| Some((id(begin)?, id(end)?)));
        let (begin, end) = match *around.get_ids() {
            [begin, end] => (begin, end),
            _ => named.context("the tokenizer has neither [CLS] and [SEP] nor <s> and </s>")?,
        };
        let unknown = SPECIAL.iter().find_map(|[_, _, unknown]| id(unknown));
        let unknown = unknown.context("the tokenizer has no piece for the unknown, [UNK] or <unk>")?;
        let most = tokenizer_files::model_max_length(folder)?.unwrap_or(usize::MAX);
        let limit = architecture.max_pieces().min(most);
        ensure!(limit > 2, "model_max_length {limit} leaves no room for words");
        let first_position = architecture.first_position();
        let padding = (first_position > 0).then_some(architecture.padding);
        let vocab_size = architecture.vocab_size;
        let pieces = Self { tokenizer, begin, end, unknown, vocab_size, first_position, padding, limit };
        [begin, end, unknown].into_iter().try_for_each(|piece| pieces.check(piece))?;
        Ok(pieces)
    }

    /// Returns the tokenizer, for saving it.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Returns the largest number of pieces that are read at once, including begin and end.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Returns whether upper and lower case look the same to the tokenizer.
    pub fn is_lower_casing(&self) -> bool {
        let normal = |word: &str| {
            let mut text = NormalizedString::from(word);
            let done = self.tokenizer.get_normalizer().map(|n| n.normalize(&mut text));
            done.is_none_or(|result| result.is_ok()).then(|| text.get().to_owned())
        };
        normal("Apple") == normal("apple")
    }

    fn check(&self, piece: u32) -> Result<()> {
        ensure!(
            (piece as usize) < self.vocab_size,
            "the tokenizer has a piece {piece}, but the encoder has vectors for {} pieces only: they are not of one model",
            self.vocab_size
        );
        Ok(())
    }

    fn pieces(&self, word: &str) -> Result<Vec<u32>> {
        let encoding =
            self.tokenizer.encode_fast(word, false).map_err(|e| anyhow!("the tokenizer fails on {word:?}: {e}"))?;
        let mut pieces = encoding.get_ids().to_vec();
        // A word needs a row even if the tokenizer drops all its characters.
        if pieces.is_empty() {
            pieces.push(self.unknown);
        }
        pieces.iter().try_for_each(|&piece| self.check(piece)).with_context(|| format!("word {word:?}"))?;
        Ok(pieces)
    }

    /// Converts words to pieces, each word once, on all threads. Words for which the tokenizer fails are left out.
    /// After an interruption, all remaining words are left out.
    pub fn of_words<'a>(&self, words: impl Iterator<Item = &'a str>) -> WordPieces<'a> {
        let distinct: HashSet<&str> = words.collect();
        let of = |word| interrupt::check().ok().and_then(|()| Some((word, self.pieces(word).ok()?)));
        distinct.into_par_iter().filter_map(of).collect()
    }

    /// Converts a sentence to rows with piece ids and positions. Words that are not `known` are converted here.
    ///
    /// A sentence that is longer than the encoder's limit is read in several windows (see [`nn::windows`]). Its
    /// long words are then cut, so that any `max_width` words fit in a window.
    ///
    /// # Errors
    /// When the tokenizer fails, or a window does not have room for `max_width` words.
    pub fn read(&self, words: &[&str], known: &WordPieces, max_width: usize) -> Result<Reading> {
        let room = self.limit - 2;
        let of = |word: &&str| known.get(word).map_or_else(|| self.pieces(word), |pieces| Ok(pieces.clone()));
        let mut pieces: Vec<Vec<u32>> = words.iter().map(of).collect::<Result<_>>()?;
        let mut shortened = 0;
        if pieces.iter().map(Vec::len).sum::<usize>() > room {
            let most = room / max_width.max(1);
            ensure!(
                most > 0,
                "the encoder reads {room} pieces at once, fewer than the widest spans have words; lower --max-span-width"
            );
            for pieces in pieces.iter_mut().filter(|p| p.len() > most) {
                pieces.truncate(most);
                shortened += 1;
            }
        }
        let sizes: Vec<usize> = pieces.iter().map(Vec::len).collect();
        let mut input = SentenceInput { features: vec![vec![], vec![]], ..SentenceInput::default() };
        for range in windows(&sizes, room, max_width) {
            let mut window = Window { start: range.start, first: vec![], last: vec![] };
            self.push(&mut input, self.begin, 0);
            for (word, pieces) in words[range.clone()].iter().zip(&pieces[range]) {
                window.first.push(input.shapes.len() as u32);
                let shape = word_shape(word);
                pieces.iter().for_each(|&piece| self.push(&mut input, piece, shape));
                window.last.push(input.shapes.len() as u32 - 1);
            }
            self.push(&mut input, self.end, 0);
            let first_row = input.rows();
            let length = input.shapes.len() - first_row;
            input.lengths.push(length);
            let positions = self.positions(&input.features[0][first_row..]);
            input.features[1].extend(positions);
            input.windows.push(window);
        }
        let alone = |word: usize| best_reading(&input.windows, words.len(), word, word).context("a word without a row");
        (input.first, input.last) = (0..words.len()).map(alone).collect::<Result<Vec<_>>>()?.into_iter().unzip();
        if input.windows.len() == 1 {
            input.windows.clear();
        }
        Ok(Reading { input, shortened })
    }

    fn push(&self, input: &mut SentenceInput, piece: u32, shape: u32) {
        input.features[0].push(piece);
        input.shapes.push(shape);
    }

    /// Returns the positions of the pieces of a window. RoBERTa gives a padding piece in the text the position of
    /// padding, and does not count it.
    fn positions(&self, pieces: &[u32]) -> Vec<u32> {
        let mut next = self.first_position;
        let position = |&piece: &u32| {
            if Some(piece) == self.padding {
                return piece;
            }
            next += 1;
            next - 1
        };
        pieces.iter().map(position).collect()
    }
}
