//! A labelled corpus. Tokens are stored in columns; only entities are stored, not the label of every span.

pub mod counting;
pub mod decision;
pub mod forms;
pub mod labels;
pub mod layout;
pub mod notation;
pub mod span;

use std::collections::HashMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use self::labels::{LabelId, LabelSet, O};
use self::layout::Layout;
use self::span::{Span, SpanIndex, TooManySpans};

/// The tokens of all sentences, in three columns. No token has its own allocation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenTable {
    /// The text of all tokens, one after the other.
    text: String,
    /// The end of each token in `text`, in bytes.
    token_ends: Vec<u32>,
    /// The end of each sentence, as an index into `token_ends`.
    sentence_ends: Vec<u32>,
}

/// Error: the text of a corpus is too long for 32-bit offsets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the corpus has more than 4 GiB of text: split it")]
pub struct TextTooLong;

impl TokenTable {
    /// Appends a sentence.
    ///
    /// # Errors
    /// When the text becomes longer than 4 GiB.
    pub fn push<S: AsRef<str>>(&mut self, tokens: impl IntoIterator<Item = S>) -> Result<(), TextTooLong> {
        for token in tokens {
            self.text.push_str(token.as_ref());
            self.token_ends.push(u32::try_from(self.text.len()).map_err(|_| TextTooLong)?);
        }
        self.sentence_ends.push(u32::try_from(self.token_ends.len()).map_err(|_| TextTooLong)?);
        Ok(())
    }

    /// Appends all sentences of another table.
    ///
    /// # Errors
    /// When the text becomes longer than 4 GiB.
    pub fn append(&mut self, other: &Self) -> Result<(), TextTooLong> {
        let bytes = u32::try_from(self.text.len()).map_err(|_| TextTooLong)?;
        let tokens = u32::try_from(self.token_ends.len()).map_err(|_| TextTooLong)?;
        // The ends ascend, so the last ones tell whether all fit.
        let last = other.token_ends.last().map_or(Some(0), |end| bytes.checked_add(*end));
        last.and(other.sentence_ends.last().map_or(Some(0), |end| tokens.checked_add(*end))).ok_or(TextTooLong)?;
        self.text.push_str(&other.text);
        self.token_ends.extend(other.token_ends.iter().map(|end| bytes + end));
        self.sentence_ends.extend(other.sentence_ends.iter().map(|end| tokens + end));
        Ok(())
    }

    /// Number of sentences.
    pub fn n_sentences(&self) -> usize {
        self.sentence_ends.len()
    }

    /// Number of tokens of all sentences.
    pub fn n_tokens(&self) -> usize {
        self.token_ends.len()
    }

    /// Number of tokens of each sentence.
    pub fn lengths(&self) -> impl Iterator<Item = u32> + '_ {
        let starts = std::iter::once(0).chain(self.sentence_ends.iter().copied());
        self.sentence_ends.iter().zip(starts).map(|(&end, start)| end - start)
    }

    /// The tokens of a sentence; empty if the sentence does not exist.
    pub fn sentence(&self, sentence: u32) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.token_range(sentence).map(|token| self.token(token))
    }

    /// The tokens of a span.
    pub fn words(&self, span: Span) -> impl Iterator<Item = &str> + Clone {
        self.sentence(span.sentence).skip(span.start as usize).take(span.width() as usize)
    }

    /// The surface form of a span: its tokens, joined by spaces.
    pub fn surface(&self, span: Span) -> String {
        self.words(span).collect::<Vec<_>>().join(" ")
    }

    fn token_range(&self, sentence: u32) -> Range<usize> {
        let sentence = sentence as usize;
        let end = self.sentence_ends.get(sentence).map_or(0, |&e| e as usize);
        let start = match sentence.checked_sub(1) {
            Some(previous) => self.sentence_ends.get(previous).map_or(end, |&e| e as usize),
            None => 0,
        };
        start.min(end)..end
    }

    fn token(&self, token: usize) -> &str {
        let end = self.token_ends.get(token).map_or(0, |&e| e as usize);
        let start = match token.checked_sub(1) {
            Some(previous) => self.token_ends.get(previous).map_or(end, |&e| e as usize),
            None => 0,
        };
        self.text.get(start..end).unwrap_or_default()
    }

    /// Whether the columns fit together. A table from untrusted bytes must pass this check.
    pub(crate) fn is_consistent(&self) -> bool {
        let ascending = |ends: &[u32]| ends.windows(2).all(|w| w[0] <= w[1]);
        ascending(&self.token_ends)
            && ascending(&self.sentence_ends)
            && self.token_ends.last().map_or(0, |&e| e as usize) == self.text.len()
            && self.token_ends.iter().all(|&e| self.text.is_char_boundary(e as usize))
            && self.sentence_ends.last().map_or(0, |&e| e as usize) == self.token_ends.len()
    }
}

/// A labelled span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Entity {
    /// Where the entity is.
    pub span: Span,
    /// Its type; never `O`.
    pub label: LabelId,
}

impl Entity {
    /// The same entity, so many sentences later.
    pub(crate) fn moved(self, sentences: u32) -> Self {
        Self { span: self.span.moved(sentences), ..self }
    }
}

/// Sentences with one label layer (distant or gold).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Corpus {
    /// The text.
    pub tokens: TokenTable,
    /// The entity types. Labels are numbers in this set.
    pub labels: LabelSet,
    /// Labelled spans, sorted by sentence. Within a sentence they are in file order.
    pub entities: Vec<Entity>,
    /// Spans whose label is not known because a cleaning removed it. They are neither entities nor `O`.
    pub unknown: Vec<Span>,
    /// The other fields of each sentence's record, unchanged: (sentence, JSON object). The content depends on the
    /// format, see [`crate::formats`].
    pub extra: Vec<(u32, String)>,
    /// The format of the file that the corpus was read from.
    pub layout: Layout,
}

/// Error: a type name is not in the label set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entity type {0:?} is not in the label set")]
pub struct UnknownType(pub String);

impl Corpus {
    /// Number of sentences.
    pub fn n_sentences(&self) -> usize {
        self.tokens.n_sentences()
    }

    /// The entities of one sentence.
    pub fn entities_of(&self, sentence: u32) -> &[Entity] {
        &self.entities[sentence_range(&self.entities, sentence, |e| e.span.sentence)]
    }

    /// The unknown spans of one sentence.
    pub fn unknown_of(&self, sentence: u32) -> &[Span] {
        &self.unknown[sentence_range(&self.unknown, sentence, |s| s.sentence)]
    }

    /// The other fields of one sentence's record, as a JSON object.
    pub fn extra_of(&self, sentence: u32) -> Option<&str> {
        let at = self.extra.binary_search_by_key(&sentence, |e| e.0).ok()?;
        self.extra.get(at).map(|e| e.1.as_str())
    }

    /// Numbers the candidate spans of this corpus.
    ///
    /// # Errors
    /// When there are too many candidates to number.
    pub fn span_index(&self, max_width: u32) -> Result<SpanIndex, TooManySpans> {
        SpanIndex::new(self.tokens.lengths(), max_width)
    }

    /// The label of every candidate span, one element per span id (`O` if the span is no entity).
    pub fn dense_labels(&self, index: &SpanIndex) -> Vec<LabelId> {
        dense_labels(&self.entities, index)
    }

    /// Returns the same corpus with its labels numbered by another label set.
    ///
    /// # Errors
    /// When an entity has a type that the other set does not contain.
    pub fn with_labels(mut self, labels: &LabelSet) -> Result<Self, UnknownType> {
        let mut renumbered: HashMap<LabelId, LabelId> = HashMap::new();
        let ids: HashMap<&str, LabelId> = labels.types().iter().map(String::as_str).zip(1..).collect();
        for entity in &mut self.entities {
            let renumber = || {
                let name = self.labels.name(entity.label);
                ids.get(name).copied().ok_or_else(|| UnknownType(name.to_owned()))
            };
            let label = match renumbered.get(&entity.label) {
                Some(&label) => label,
                None => renumber()?,
            };
            renumbered.insert(entity.label, label);
            entity.label = label;
        }
        self.labels = labels.clone();
        Ok(self)
    }

    /// Returns some sentences with all that belongs to them. `sentences` must be in ascending order.
    pub fn select(&self, sentences: &[u32]) -> Self {
        let mut tokens = TokenTable::default();
        for &sentence in sentences {
            // It is a part of a text that was not too long.
            if tokens.push(self.tokens.sentence(sentence)).is_err() {
                break;
            }
        }
        let numbered = || (0..).zip(sentences.iter().copied());
        let extra = |(number, sentence)| Some((number, self.extra_of(sentence)?.to_owned()));
        Self {
            tokens,
            labels: self.labels.clone(),
            entities: select_entities(&self.entities, sentences),
            unknown: numbered()
                .flat_map(|(number, sentence)| {
                    self.unknown_of(sentence).iter().map(move |span| Span { sentence: number, ..*span })
                })
                .collect(),
            extra: numbered().filter_map(extra).collect(),
            layout: self.layout.clone(),
        }
    }

    /// Appends the sentences of another corpus with all that belongs to them. Both must number their labels alike. The
    /// format stays that of this corpus.
    ///
    /// # Errors
    /// When the text becomes longer than 4 GiB.
    pub fn append(&mut self, other: Self) -> Result<(), TextTooLong> {
        let n = self.n_sentences() as u32;
        self.tokens.append(&other.tokens)?;
        self.entities.extend(other.entities.into_iter().map(|entity| entity.moved(n)));
        self.unknown.extend(other.unknown.into_iter().map(|span| span.moved(n)));
        self.extra.extend(other.extra.into_iter().map(|(sentence, extra)| (sentence + n, extra)));
        Ok(())
    }
}

/// Returns the entities of some sentences. The sentences get new numbers, from 0. `entities` must be sorted by
/// sentence, and `sentences` must be ascending.
pub fn select_entities(entities: &[Entity], sentences: &[u32]) -> Vec<Entity> {
    let of_sentence = |(number, &sentence): (u32, &u32)| {
        let own = &entities[sentence_range(entities, sentence, |e| e.span.sentence)];
        own.iter().map(move |entity| Entity { span: Span { sentence: number, ..entity.span }, ..*entity })
    };
    (0..).zip(sentences).flat_map(of_sentence).collect()
}

/// The label of every candidate span, one element per span id (`O` if the span is no entity).
pub(crate) fn dense_labels(entities: &[Entity], index: &SpanIndex) -> Vec<LabelId> {
    let mut labels = vec![O; index.len()];
    for entity in entities {
        if let Some(label) = index.id(entity.span).and_then(|id| labels.get_mut(id as usize)) {
            *label = entity.label;
        }
    }
    labels
}

/// The range of a sentence's elements in a list that is sorted by sentence.
fn sentence_range<T>(sorted: &[T], sentence: u32, key: impl Fn(&T) -> u32) -> Range<usize> {
    let start = sorted.partition_point(|e| key(e) < sentence);
    let length = sorted[start..].partition_point(|e| key(e) == sentence);
    start..start + length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_table_gives_back_what_was_pushed() {
        let mut table = TokenTable::default();
        table.push(["Zürich", "", "is"]).unwrap();
        table.push::<&str>([]).unwrap();
        table.push(["日本"]).unwrap();
        assert_eq!(table.sentence(0).collect::<Vec<_>>(), ["Zürich", "", "is"]);
        assert_eq!(table.sentence(1).len(), 0);
        assert_eq!(table.sentence(2).collect::<Vec<_>>(), ["日本"]);
        assert_eq!(table.sentence(3).len(), 0);
        assert_eq!(table.lengths().collect::<Vec<_>>(), [3, 0, 1]);
        assert!(table.is_consistent());
        assert_eq!(table.surface(Span { sentence: 0, start: 1, end: 2 }), " is");
    }

    #[test]
    fn sentences_of_another_corpus_come_after_ones_own() {
        let read = |json: &str| crate::formats::dynclean_json::read(json.as_bytes()).unwrap();
        let first = read(r#"[{"tokens": ["a", "b"], "entities": [[1, 1, "X"]], "unknown": [[0, 0]], "id": 7}]"#);
        let second = read(
            r#"[{"tokens": [], "entities": [], "id": 8},
                {"tokens": ["c"], "entities": [[0, 0, "X"]]}, {"tokens": ["d"], "entities": [], "unknown": [[0, 0]]}]"#,
        );
        let mut both = first.clone();
        both.append(second.clone()).unwrap();
        assert_eq!((both.n_sentences(), both.tokens.surface(both.entities[1].span)), (4, "c".to_owned()));
        assert_eq!((both.entities_of(0).len(), both.entities_of(2).len()), (1, 1));
        assert_eq!((both.unknown_of(0).len(), both.unknown_of(3).len()), (1, 1));
        assert_eq!(both.tokens.lengths().collect::<Vec<_>>(), [2, 0, 1, 1]);
        assert!(both.extra_of(0).is_some_and(|e| e.contains('7')) && both.extra_of(1).is_some_and(|e| e.contains('8')));
        assert!(both.tokens.is_consistent());
        assert_eq!((both.select(&[0]), both.select(&[1, 2, 3])), (first, second));
    }

    #[test]
    fn text_that_is_too_long_together_is_refused_whole() {
        let mut table = TokenTable::default();
        table.push(["a"]).unwrap();
        let end = |token_ends, sentence_ends| TokenTable { text: String::new(), token_ends, sentence_ends };
        for (long, is_too_long) in [
            (end(vec![u32::MAX - 1], vec![1]), false),
            (end(vec![u32::MAX], vec![1]), true),
            (end(vec![1], vec![u32::MAX]), true),
        ] {
            let mut both = table.clone();
            assert_eq!(both.append(&long).is_err(), is_too_long);
            assert_eq!(both == table, is_too_long);
        }
    }

    #[test]
    fn some_sentences_keep_what_belongs_to_them() {
        let json = r#"[{"tokens": ["a"], "entities": [[0, 0, "X"]]},
            {"tokens": ["b", "c"], "entities": [[1, 1, "Y"]], "unknown": [[0, 0]], "id": 7},
            {"tokens": ["d"], "entities": []},
            {"tokens": ["e"], "entities": [[0, 0, "X"]], "id": 9}]"#;
        let corpus = crate::formats::dynclean_json::read(json.as_bytes()).unwrap();
        let odd = corpus.select(&[1, 3]);
        assert_eq!(odd.tokens.lengths().collect::<Vec<_>>(), [2, 1]);
        let entity = |e: &Entity| (odd.tokens.surface(e.span), odd.labels.name(e.label));
        assert_eq!(odd.entities.iter().map(entity).collect::<Vec<_>>(), [("c".to_owned(), "Y"), ("e".to_owned(), "X")]);
        assert_eq!(odd.unknown, [Span { sentence: 0, start: 0, end: 0 }]);
        assert!(odd.extra_of(0).is_some_and(|e| e.contains('7')) && odd.extra_of(1).is_some_and(|e| e.contains('9')));
        assert_eq!(corpus.select(&[0, 1, 2, 3]), corpus);
        assert_eq!(corpus.select(&[]).n_sentences(), 0);
    }

    #[test]
    fn inconsistent_columns_are_seen() {
        let mut table = TokenTable::default();
        table.push(["é"]).unwrap();
        let mut inside_a_character = table.clone();
        inside_a_character.token_ends = vec![1, 2];
        inside_a_character.sentence_ends = vec![2];
        assert!(!inside_a_character.is_consistent());
        let mut too_short = table.clone();
        too_short.text.push('x');
        assert!(!too_short.is_consistent());
    }
}
