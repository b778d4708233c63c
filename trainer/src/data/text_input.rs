//! Text to be labelled: raw text, or a corpus in any format, from a file or standard input.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use shared::corpus::Corpus;
use shared::formats::{self, ReadOptions, plain_text};

use crate::console;
use crate::data::corpus_file::{at, bytes_of, read, read_bytes};
use crate::data::parquet_corpus;

/// The file name that stands for standard input or output.
pub const STANDARD: &str = "-";

/// Returns whether the path stands for standard input or output.
pub fn is_standard(path: &Path) -> bool {
    path == Path::new(STANDARD)
}

/// A text, and the form in which it came.
pub struct TextInput {
    /// The sentences. If the text had labels, they are still there.
    pub corpus: Corpus,
    /// Whether it was raw text.
    pub is_plain: bool,
}

/// Reads raw text or a corpus.
///
/// Text from standard input or from a `.txt` file is raw text, unless it looks like JSON or columns of tags.
/// `plain` makes any text raw text. A format in the options makes it that format.
///
/// # Errors
/// The error names the file, the line and what was expected.
pub fn read_text(path: &Path, plain: bool, options: &ReadOptions) -> Result<TextInput> {
    let options = ReadOptions { unlabelled: true, ..options.clone() };
    let is_plain = |bytes: &[u8]| plain || options.format.is_none() && plain_text::is_plain(bytes);
    let plain_text = |bytes: &[u8], path: &Path| -> Result<TextInput> {
        Ok(TextInput { corpus: plain_text::read(bytes).map_err(at(path))?, is_plain: true })
    };
    let empty = |path: &Path| anyhow!("{} has no sentences", path.display());
    let layers = if is_standard(path) {
        let (mut bytes, path) = (Vec::new(), Path::new("standard input"));
        std::io::stdin().lock().read_to_end(&mut bytes).context("cannot read standard input")?;
        ensure!(!bytes.trim_ascii().is_empty(), empty(path));
        if is_plain(&bytes) {
            return plain_text(&bytes, path);
        }
        match parquet_corpus::is_parquet(&bytes) {
            true => parquet_corpus::read(&bytes, path, &options, |_| Ok(None))?,
            false => formats::read(&bytes, &options).map_err(at(path))?,
        }
    } else if path.is_dir() {
        read(path, &options)?
    } else {
        let bytes = bytes_of(path)?;
        ensure!(!bytes.trim_ascii().is_empty(), empty(path));
        let may_be_plain = is_plain(&bytes);
        if may_be_plain && (plain || path.extension().is_some_and(|extension| extension == "txt")) {
            return plain_text(&bytes, path);
        }
        let hint = "if it is raw text, a sentence a line, give --plain-text";
        if may_be_plain {
            console::note(format_args!("{} is read as columns, a token a line; {hint}", path.display()));
        }
        read_bytes(&bytes, path, &options)
            .map_err(|error| if may_be_plain { anyhow!("{error:#}; {hint}") } else { error })?
    };
    layers.notes.iter().for_each(|note| console::note(format_args!("{}: {note}", path.display())));
    ensure!(layers.corpus.n_sentences() > 0, empty(path));
    Ok(TextInput { corpus: layers.corpus, is_plain: false })
}
