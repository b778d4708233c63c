//! Unlabelled elsewhere: how often the same word stands in the corpus without any label.
//!
//! *Value* = share × ln(1 + n), where n is the number of other places where the word has no label, and the share is n /
//! (n + places where it is an entity of its own + 1). Places inside a longer entity and places of unknown label do not
//! count. Words are compared in lower case. Range: 0 (all other places are labelled, or there are none) to about 10
//! (*the* in a large corpus).
//!
//! The reason: whoever labelled the text (a dictionary with exceptions, a knowledge base, a language model) gave the
//! word no label at these places. A word that often has no label is seldom a name. This needs no capitals. It counts
//! only for spans of one word. Measurements show that longer spans are repeated too seldom to say more.

use std::collections::HashMap;

use crate::corpus::Corpus;
use crate::ln::ln;

/// What the labels say about one place of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Unlabelled,
    /// The word is an entity of its own.
    Entity,
    /// The word is a part of a longer entity, or its label is unknown.
    Unclear,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    unlabelled: u32,
    entities: u32,
}

impl Counts {
    fn of(&mut self, place: Place) -> Option<&mut u32> {
        match place {
            Place::Unlabelled => Some(&mut self.unlabelled),
            Place::Entity => Some(&mut self.entities),
            Place::Unclear => None,
        }
    }

    fn value(self) -> f32 {
        let n = self.unlabelled as f32;
        n / (n + self.entities as f32 + 1.0) * ln(1.0 + n)
    }
}

/// The value of every token of the corpus, in order. O(tokens).
pub fn unlabelled_elsewhere(corpus: &Corpus) -> Vec<f32> {
    let mut words: HashMap<String, u32> = HashMap::new();
    let mut counts: Vec<Counts> = Vec::new();
    let mut tokens: Vec<(u32, Place)> = Vec::with_capacity(corpus.tokens.n_tokens());
    let mut places = Vec::new();
    for sentence in 0..corpus.n_sentences() as u32 {
        let sentence_tokens = corpus.tokens.sentence(sentence);
        places.clear();
        places.resize(sentence_tokens.len(), Place::Unlabelled);
        for span in corpus.unknown_of(sentence).iter().filter(|span| span.start == span.end) {
            if let Some(place) = places.get_mut(span.start as usize) {
                *place = Place::Unclear;
            }
        }
        for entity in corpus.entities_of(sentence) {
            let (start, end) = (entity.span.start as usize, entity.span.end as usize);
            let place = if start == end { Place::Entity } else { Place::Unclear };
            // An entity within a longer one stays an entity.
            for old in places.get_mut(start..=end).unwrap_or_default() {
                if *old != Place::Entity {
                    *old = place;
                }
            }
        }
        for (token, &place) in sentence_tokens.zip(&places) {
            let lower = token.to_lowercase();
            let id = *words.entry(lower).or_insert_with(|| {
                counts.push(Counts::default());
                counts.len() as u32 - 1
            });
            if let Some(count) = counts.get_mut(id as usize).and_then(|counts| counts.of(place)) {
                *count += 1;
            }
            tokens.push((id, place));
        }
    }
    let value = |&(id, place): &(u32, Place)| {
        let mut elsewhere = counts.get(id as usize).copied().unwrap_or_default();
        // The place itself does not count.
        if let Some(count) = elsewhere.of(place) {
            *count -= 1;
        }
        elsewhere.value()
    };
    tokens.iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::dynclean_json;

    #[test]
    fn values_by_hand() {
        let corpus = dynclean_json::read(
            br#"[{"tokens": ["May", "in", "New", "York"], "entities": [[0, 0, "PER"], [2, 3, "LOC"]]},
                 {"tokens": ["may", "York", "MAY", "May"], "entities": [], "unknown": [[1, 2], [3, 3]]}]"#,
        )
        .unwrap();
        let ln = |x: f64| x.ln() as f32;
        let expected = [
            // *May*, an entity: two other places, both without label.
            2.0 / 3.0 * ln(3.0),
            0.0,
            0.0,
            // *York* in *New York*: one other place.
            0.5 * ln(2.0),
            // *may*: one other place without label, one where it is an entity.
            1.0 / 3.0 * ln(2.0),
            // *York*: the other place is inside an entity.
            0.0,
            1.0 / 3.0 * ln(2.0),
            // The last *May* is unknown: two other places without label, one where it is an entity.
            2.0 / 4.0 * ln(3.0),
        ];
        let values = unlabelled_elsewhere(&corpus);
        assert_eq!(values.len(), expected.len());
        for (at, (value, expected)) in values.iter().zip(expected).enumerate() {
            assert!((value - expected).abs() < 1e-6, "{at}: {value}, {expected}");
        }
    }
}
