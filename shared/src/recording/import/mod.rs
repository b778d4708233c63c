//! Imports training dynamics that other programs recorded. It reads them line by line into columns.
//!
//! [`read`] recognises the layout of a file and adds its content to a [`Recording`]. One recording can take
//! several files, for example one per epoch. [`Imported`] then joins the recording with its text, or makes
//! dynamics without text.

pub mod aum_csv;
mod guids;
mod imported;
pub mod jsonl;
mod label_order;
mod recording;

use std::io::BufRead;

pub use imported::{Imported, Text};
pub use recording::{Guid, Measured, Measurement, Recording};

/// Reasons why recorded dynamics cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A line does not fit its file or the lines before it.
    #[error("{file}, line {line}: {message}")]
    Line {
        /// Name of the file.
        file: String,
        /// Line, counted from 1.
        line: u64,
        /// What is wrong and what was expected.
        message: String,
    },
    /// A file as a whole is wrong.
    #[error("{file}: {message}")]
    File {
        /// Name of the file.
        file: String,
        /// What is wrong and what was expected.
        message: String,
    },
    /// The files do not fit together, or do not fit the corpus.
    #[error("{0}")]
    Misfit(String),
}

/// The line of a file that is being read.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Name of the file.
    pub file: &'a str,
    /// Line, counted from 1.
    pub line: u64,
}

impl Place<'_> {
    /// Makes an error about this line.
    pub(crate) fn error(&self, message: impl ToString) -> ImportError {
        ImportError::Line { file: self.file.to_owned(), line: self.line, message: message.to_string() }
    }
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, line {}", self.file, self.line)
    }
}

/// The layouts that can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One JSON object per line with `guid`, `gold` and logits: see [`jsonl`].
    Jsonl,
    /// One row per sample and measurement with its margin: see [`aum_csv`].
    AumRecords,
    /// One row per sample with its final AUM: see [`aum_csv`].
    AumValues,
}

impl Layout {
    /// Describes the layout in words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Jsonl => "JSON lines with logits",
            Self::AumRecords => "full_aum_records.csv of the aum package: margins only",
            Self::AumValues => "aum_values.csv of the aum package: final AUM only",
        }
    }
}

/// Adds the content of a file to a recording. `file` is the name of the file; if it contains an epoch, the epoch
/// is checked.
///
/// # Errors
/// When the layout is unknown, or when a line is malformed or does not fit the earlier lines.
pub fn read(mut reader: impl BufRead, file: &str, recording: &mut Recording) -> Result<Layout, ImportError> {
    let unreadable = |e: std::io::Error| ImportError::File { file: file.to_owned(), message: e.to_string() };
    let start = reader.fill_buf().map_err(unreadable)?;
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    match start.iter().find(|b| !b.is_ascii_whitespace()) {
        None => Err(ImportError::File {
            file: file.to_owned(),
            message: "the file is empty: expected recorded training dynamics".to_owned(),
        }),
        Some(b'{') => {
            jsonl::read(reader, file, recording)?;
            Ok(Layout::Jsonl)
        }
        Some(b'[') => Err(ImportError::File {
            file: file.to_owned(),
            message: "this is a JSON array: write one JSON object per line instead, in pandas \
                      `to_json(..., orient=\"records\", lines=True)`"
                .to_owned(),
        }),
        Some(_) => aum_csv::read(reader, file, recording),
    }
}

#[cfg(test)]
mod tests;
