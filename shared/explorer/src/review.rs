//! What a person leaves about spans in a review.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::corpus::decision::Decision;
use shared::corpus::span::SpanId;

/// Notes, sorted by span. A note may be empty.
// A sorted list: another kind of map would add 4 kB to the page.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Notes(Vec<(SpanId, String)>);

impl Notes {
    /// No notes.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// The note about a span.
    pub fn get(&self, span: SpanId) -> Option<&str> {
        let at = self.place(span).ok()?;
        self.0.get(at).map(|(_, note)| note.as_str())
    }

    /// Sets the note about a span; `None` takes it away.
    pub fn set(&mut self, span: SpanId, note: Option<String>) {
        match (self.place(span), note) {
            (Ok(at), None) => drop(self.0.remove(at)),
            (Ok(at), Some(note)) => self.0[at].1 = note,
            (Err(at), Some(note)) => self.0.insert(at, (span, note)),
            (Err(_), None) => {}
        }
    }

    /// Whether there is no note.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All notes with their spans.
    pub fn iter(&self) -> impl Iterator<Item = (SpanId, &str)> {
        self.0.iter().map(|(span, note)| (*span, note.as_str()))
    }

    fn place(&self, span: SpanId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&span, |(span, _)| *span)
    }
}

impl FromIterator<(SpanId, String)> for Notes {
    fn from_iter<T: IntoIterator<Item = (SpanId, String)>>(notes: T) -> Self {
        let mut all = Self::default();
        notes.into_iter().for_each(|(span, note)| all.set(span, Some(note)));
        all
    }
}

/// Decisions and notes of a person.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Review {
    /// Decisions by hand.
    pub by_hand: BTreeMap<SpanId, Decision>,
    /// Notes.
    pub notes: Notes,
    /// Suggestions that were chosen at random, sorted.
    pub sampled: Vec<SpanId>,
}

impl Review {
    /// A review with these decisions alone.
    pub fn of(by_hand: BTreeMap<SpanId, Decision>) -> Self {
        Self { by_hand, ..Self::default() }
    }

    /// Whether the person has neither decided about a span nor left a note.
    pub fn is_open(&self, span: SpanId) -> bool {
        !self.by_hand.contains_key(&span) && self.notes.get(span).is_none()
    }

    /// The number of spans that the person is unsure about: with a note and without a decision.
    pub fn unsure(&self) -> usize {
        self.notes.iter().filter(|(span, _)| !self.by_hand.contains_key(span)).count()
    }
}

/// Adds spans to a sorted list that does not have them yet.
pub fn add(sorted: &mut Vec<SpanId>, spans: &[SpanId]) {
    for span in spans {
        if let Err(at) = sorted.binary_search(span) {
            sorted.insert(at, *span);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_left_changed_and_taken_away() {
        let mut notes: Notes = [(7, "b".to_owned()), (3, String::new()), (7, "c".to_owned())].into_iter().collect();
        assert_eq!(notes.iter().collect::<Vec<_>>(), [(3, ""), (7, "c")]);
        assert_eq!((notes.get(3), notes.get(5), notes.get(7)), (Some(""), None, Some("c")));
        notes.set(3, None);
        notes.set(5, None);
        assert_eq!(notes.iter().collect::<Vec<_>>(), [(7, "c")]);
        let by_hand = [(7, Decision::Keep)].into();
        let review = Review { notes, ..Review::of(by_hand) };
        assert_eq!((review.unsure(), review.is_open(7), review.is_open(3)), (0, false, true));
        notes = Notes::default();
        assert!(notes.is_empty());
        let mut spans = vec![2, 5];
        add(&mut spans, &[5, 1, 9, 1]);
        assert_eq!(spans, [1, 2, 5, 9]);
    }
}
