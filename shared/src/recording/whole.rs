//! The facts about a whole recording that an extract keeps. With them, labels are judged in the extract as in the whole
//! recording.
//!
//! The numbers are facts about all sentences, such as how often a word stands in lower case. `evidence` and `detection`
//! say what they mean. All of them are stored as 32 bits, so that the page needs no further decoder.

/// Facts about the whole recording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Whole {
    /// [`Whole::NUMBERS`] numbers about the whole recording.
    pub numbers: Vec<u32>,
    /// [`Whole::OF_TOKEN`] numbers about each token of the extract.
    pub tokens: Vec<u32>,
}

impl Whole {
    /// Number of numbers about the whole recording. The constants from `WINDOW` to `SHARES` give the index of the first
    /// number of each kind.
    pub const NUMBERS: usize = Self::SHARES + 2 * 3 * Self::MOST_SIGNALS;
    /// First and last epoch of the window.
    pub const WINDOW: usize = 0;
    /// Thresholds of the negatives and of the positives.
    pub const THRESHOLDS: usize = 2;
    /// Median trust of the positives.
    pub const MEDIAN: usize = 4;
    /// Number of runs of capitalised words, and the three shares by which capitals count.
    pub const CAPITALS: usize = 5;
    /// For each of two sides and each signal of the noise model: the number of doubted labels, and how many of them are
    /// wrong (f64, low half first).
    pub const SHARES: usize = 9;
    /// Number of signals for which there is room.
    pub const MOST_SIGNALS: usize = 32;
    /// Number of numbers about each token: marks, lower-case share, how often the word stands elsewhere without a
    /// label, and lower-case share at the start of the sentence.
    pub const OF_TOKEN: usize = 4;

    /// A whole number. 0 if it is missing.
    pub fn count(&self, at: usize) -> u32 {
        self.numbers.get(at).copied().unwrap_or(0)
    }

    /// A number, as f32.
    pub fn number(&self, at: usize) -> f32 {
        f32::from_bits(self.count(at))
    }

    /// The numbers of each token: the first as whole number, the others as f32.
    pub fn of_tokens(&self) -> impl Iterator<Item = (u32, [f32; 3])> + '_ {
        let (tokens, _) = self.tokens.as_chunks::<{ Self::OF_TOKEN }>();
        tokens.iter().map(|&[marks, a, b, c]| (marks, [a, b, c].map(f32::from_bits)))
    }
}

/// Where the sentences of an extract come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Digest of the whole recording.
    pub digest: String,
    /// Number of each sentence in the whole recording, from 0, ascending.
    pub sentences: Vec<u32>,
}
