//! Corpus file formats, each in a module of its own.

pub mod dynclean_json;

/// Why a corpus file cannot be read. `line` counts from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct FormatError {
    /// Line of the offending text, from 1.
    pub line: usize,
    /// What is wrong and what was expected.
    pub message: String,
}
