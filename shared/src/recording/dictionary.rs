//! What a recording knows of the dictionary behind its distant labels.

use serde::{Deserialize, Serialize};

/// Words that the distant labels give a label, and what the annotated sentences say about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The words, joined by blanks; compared as they are written, case included.
    pub words: String,
    /// Their distant label.
    pub label: String,
    /// Spans that it labels.
    pub spans: u32,
    /// Spans with these words in the annotated sentences.
    pub annotated: u32,
    /// Of those, the ones with this label.
    pub agreeing: u32,
    /// The label that they have there, where it is clear (possibly `O`); else the spans become unknown.
    pub becomes: Option<String>,
}
