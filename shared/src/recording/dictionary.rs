//! Dictionary entries behind the distant labels, as a recording stores them.

use serde::{Deserialize, Serialize};

/// A dictionary entry: words with a distant label, and their labels in the annotated sentences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The words, joined by spaces. They are compared as written, including case.
    pub words: String,
    /// The distant label of the words.
    pub label: String,
    /// Number of spans that this entry labels.
    pub spans: u32,
    /// Number of spans with these words in the annotated sentences.
    pub annotated: u32,
    /// Number of these annotated spans that have this entry's label.
    pub agreeing: u32,
    /// The label of the words in the annotated sentences (possibly `O`), if it is clear; otherwise the spans
    /// become unknown.
    pub becomes: Option<String>,
}
