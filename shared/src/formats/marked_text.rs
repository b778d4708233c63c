//! Text with labels at character offsets. Converts between characters and tokens.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::tokeniser::tokenise;
use crate::corpus::Corpus;

/// A text with its tokens and its characters.
#[derive(Debug, Clone)]
pub(super) struct Text<'a> {
    text: &'a str,
    /// First byte of each character; the last element is the length of the text.
    bytes: Vec<usize>,
    /// Tokens in ascending order: first character, end (exclusive).
    tokens: Vec<(usize, usize)>,
}

impl<'a> Text<'a> {
    /// Splits a text into tokens with [`tokenise`].
    pub fn new(text: &'a str) -> Self {
        let bytes = Self::bytes(text);
        // As many bytes as characters: their numbers are the same.
        let is_ascii = bytes.len() == text.len() + 1;
        let character = |byte: usize| if is_ascii { byte } else { bytes.binary_search(&byte).unwrap_or_else(|at| at) };
        let tokens = tokenise(text).map(|(a, b)| (character(a), character(b))).collect();
        Self { text, bytes, tokens }
    }

    /// Returns the first byte of each character, and the length of the text.
    fn bytes(text: &str) -> Vec<usize> {
        match text.is_ascii() {
            true => (0..=text.len()).collect(),
            false => text.char_indices().map(|(at, _)| at).chain([text.len()]).collect(),
        }
    }

    /// Uses the given tokens; `None` if they are not in order or not inside the text.
    pub fn with_tokens(text: &'a str, tokens: Vec<(usize, usize)>) -> Option<Self> {
        let n = text.chars().count();
        let are_ordered = tokens.windows(2).all(|pair| matches!(pair, [a, b] if a.1 <= b.0 && a.0 < b.0));
        let are_inside = tokens.iter().all(|&(start, end)| start <= end && end <= n);
        (are_ordered && are_inside).then(|| Self { tokens, text, bytes: Self::bytes(text) })
    }

    /// The tokens.
    pub fn tokens(&self) -> impl ExactSizeIterator<Item = &'a str> + '_ {
        self.tokens.iter().map(|&(start, end)| self.slice(start, end))
    }

    /// Number of characters.
    pub fn n_characters(&self) -> usize {
        self.bytes.len().saturating_sub(1)
    }

    /// The tokens in a range.
    pub fn tokens_in(&self, range: &Range<u32>) -> impl ExactSizeIterator<Item = &'a str> + '_ {
        let tokens = self.tokens.get(range.start as usize..range.end as usize).unwrap_or_default();
        tokens.iter().map(|&(start, end)| self.slice(start, end))
    }

    /// The characters of each token: first, end (exclusive).
    pub fn token_offsets(&self) -> &[(usize, usize)] {
        &self.tokens
    }

    /// The characters from `start` to `end` (exclusive); empty if they are not in the text.
    pub fn slice(&self, start: usize, end: usize) -> &'a str {
        match (self.bytes.get(start), self.bytes.get(end)) {
            (Some(&a), Some(&b)) => self.text.get(a..b).unwrap_or_default(),
            _ => "",
        }
    }

    /// The tokens (first, last) of these characters, without white space at the ends.
    pub fn align(&self, start: usize, end: usize) -> Option<(u32, u32)> {
        self.align_exactly(start, end).or_else(|| {
            // Characters outside all tokens are white space.
            let first = self.tokens.partition_point(|t| t.0 < start);
            let last = self.tokens.partition_point(|t| t.1 <= end).checked_sub(1)?;
            let cuts_before = first.checked_sub(1).and_then(|t| self.tokens.get(t)).is_some_and(|t| t.1 > start);
            let cuts_after = self.tokens.get(last + 1).is_some_and(|t| t.0 < end);
            (first <= last && !cuts_before && !cuts_after).then_some((first as u32, last as u32))
        })
    }

    fn align_exactly(&self, start: usize, end: usize) -> Option<(u32, u32)> {
        let first = self.tokens.binary_search_by_key(&start, |t| t.0).ok()?;
        // Ends are in the same order as starts. An empty token may have the same end as the token before it; the
        // last token with this end is used.
        let last = self.tokens.partition_point(|t| t.1 <= end).checked_sub(1)?;
        let fits = self.tokens.get(last).is_some_and(|t| t.1 == end) && first <= last;
        fits.then_some((first as u32, last as u32))
    }

    /// The characters of a span of tokens: first, end (exclusive).
    pub fn offsets(&self, (first, last): (u32, u32)) -> Option<(usize, usize)> {
        Some((self.tokens.get(first as usize)?.0, self.tokens.get(last as usize)?.1))
    }
}

/// What happened to a label of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate<'a> {
    Keep,
    Relabel(&'a str),
    Drop,
}

/// The current labels of one sentence.
#[derive(Debug, Default)]
pub(super) struct Labels<'a> {
    entities: BTreeMap<(u32, u32), &'a str>,
    /// Unknown spans as (first token, last token).
    pub unknown: BTreeSet<(u32, u32)>,
    seen: BTreeSet<(u32, u32)>,
}

impl<'a> Labels<'a> {
    /// Adds the labels of a sentence. `first` is added to its token indices.
    pub fn add(&mut self, corpus: &'a Corpus, sentence: u32, first: u32) {
        for entity in corpus.entities_of(sentence) {
            let span = (entity.span.start + first, entity.span.end + first);
            self.entities.insert(span, corpus.labels.name(entity.label));
        }
        self.unknown.extend(corpus.unknown_of(sentence).iter().map(|s| (s.start + first, s.end + first)));
    }

    /// What happened to a label at this span. The span then counts as written.
    pub fn fate(&mut self, span: (u32, u32), label: &str) -> Fate<'a> {
        self.seen.insert(span);
        match self.entities.get(&span) {
            Some(&now) if now == label => Fate::Keep,
            Some(&now) => Fate::Relabel(now),
            None => Fate::Drop,
        }
    }

    /// The labels that are not in the file, in ascending order.
    pub fn added(&self) -> impl Iterator<Item = ((u32, u32), &'a str)> + '_ {
        self.entities.iter().filter(|(span, _)| !self.seen.contains(span)).map(|(&span, &label)| (span, label))
    }
}

/// A text for tokens without text: the tokens, joined by spaces.
pub(super) fn joined<'t>(tokens: impl Iterator<Item = &'t str>) -> (String, Vec<(usize, usize)>) {
    let mut text = String::new();
    let mut offsets = Vec::new();
    let mut at = 0;
    for (i, token) in tokens.enumerate() {
        if i > 0 {
            text.push(' ');
            at += 1;
        }
        let end = at + token.chars().count();
        offsets.push((at, end));
        text.push_str(token);
        at = end;
    }
    (text, offsets)
}
