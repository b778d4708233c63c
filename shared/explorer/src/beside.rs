//! The word beside a span.

use serde::{Deserialize, Serialize};
use shared::corpus::Corpus;
use shared::corpus::span::Span;

/// The condition that a word stands beside the span.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beside {
    /// Whether the word is the next one, and not the one before.
    pub is_after: bool,
    /// The word in lower case; empty at the edge of the sentence.
    pub word: String,
}

impl Beside {
    /// The word before or after a span.
    pub fn of(corpus: &Corpus, span: Span, is_after: bool) -> Self {
        let at = if is_after { (span.end as usize).checked_add(1) } else { (span.start as usize).checked_sub(1) };
        let word = at.and_then(|at| corpus.tokens.sentence(span.sentence).nth(at));
        Self { is_after, word: word.unwrap_or_default().to_lowercase() }
    }
}
