//! Text in, the same text with labels out: what `predict` and `annotate` have in common.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use clap::Args;
use shared::corpus::Corpus;
use shared::formats::{self, Content, Format, WriteOptions, Written};
use trainer::console;
use trainer::data::corpus_file;
use trainer::data::text_input::{TextInput, is_standard, read_text};

use super::corpora::{CorpusArgs, format};
use super::failure::{input, usage};
use super::output::{self, Output};

/// How text is read and labelled text written.
#[derive(Args)]
pub struct TextArgs {
    /// Read the input as raw text, one sentence a line, whatever it looks like [default: only standard input and .txt
    /// files, unless they hold JSON or columns of tags]
    #[arg(long, conflicts_with = "format")]
    plain_text: bool,
    /// Format to write [default: the format of the input; for raw text text-jsonl, which keeps the text as it is]
    #[arg(long, value_name = "FORMAT", value_parser = format())]
    to: Option<Format>,
    /// The file to write, a folder for brat, or `-` for standard output
    #[arg(long, value_name = "FILE|-")]
    pub out: PathBuf,
    #[command(flatten)]
    pub corpora: CorpusArgs,
}

impl TextArgs {
    /// Checks what can be known before the work.
    ///
    /// # Errors
    /// Where standard output would carry two things.
    pub fn check(&self, output: &Output) -> Result<()> {
        output.check(&self.out)?;
        if self.to == Some(Format::Brat) && is_standard(&self.out) {
            return no_folder_to_standard_output();
        }
        Ok(())
    }

    /// Reads the text.
    ///
    /// # Errors
    /// Names the file, the line and what was expected.
    pub fn read(&self, path: &Path) -> Result<TextInput> {
        let options = self.corpora.options()?;
        input(read_text(path, self.plain_text, &options.read))
    }

    /// Writes the labelled text; returns what its format cannot hold.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, mut labelled: Corpus, was_plain: bool) -> Result<Vec<String>> {
        if was_plain && self.to.is_some_and(|format| format != labelled.layout.format()) {
            // Only the text itself, which the other format has as tokens.
            labelled.extra.clear();
        }
        let options = WriteOptions { format: self.to, unknown: self.corpora.unknown.clone() };
        let notes = match is_standard(&self.out) {
            true => to_standard_output(&labelled, &options)?,
            false => corpus_file::write(&self.out, &labelled, &options)?,
        };
        notes.iter().for_each(|note| console::note(format_args!("{}: {note}", self.place())));
        Ok(notes)
    }

    /// Where the labelled text goes, in words.
    pub fn place(&self) -> String {
        if is_standard(&self.out) { "standard output".to_owned() } else { self.out.display().to_string() }
    }

    /// Tells what was done: on standard output, unless the labelled text is there.
    ///
    /// # Errors
    /// When standard output cannot be written to.
    pub fn done(&self, output: &Output, value: &impl serde::Serialize, text: &str) -> Result<()> {
        if is_standard(&self.out) {
            console::status(text);
            return Ok(());
        }
        output.done(value, text)
    }
}

fn no_folder_to_standard_output() -> Result<()> {
    usage(Err(anyhow!("brat standoff is a folder; give --out a folder, or --to another format")))
}

fn to_standard_output(corpus: &Corpus, options: &WriteOptions) -> Result<Vec<String>> {
    let Written { content, notes, layout } = formats::write(corpus, options);
    if layout.tag_ids().is_some() {
        return usage(Err(anyhow!(
            "tag ids need a tag_to_id.json beside the file; give --out a file, or --to another format"
        )));
    }
    match content {
        Content::Text(text) => output::write(text)?,
        Content::Documents(_) => no_folder_to_standard_output()?,
    }
    Ok(notes)
}

/// Number of entities of each type.
pub fn counts(corpus: &Corpus) -> BTreeMap<&str, u64> {
    let mut counts: BTreeMap<&str, u64> = corpus.labels.types().iter().map(|kind| (kind.as_str(), 0)).collect();
    for entity in &corpus.entities {
        *counts.entry(corpus.labels.name(entity.label)).or_default() += 1;
    }
    counts
}

/// "12 LOC, 3 PER".
pub fn in_words(counts: &BTreeMap<&str, u64>) -> String {
    let words: Vec<String> = counts.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
    words.join(", ")
}
