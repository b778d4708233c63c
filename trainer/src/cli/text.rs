//! Reads text and writes the same text with labels. The commands `predict` and `annotate` share this code.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use clap::Args;
use rayon::prelude::*;
use serde_json::json;
use shared::corpus::Corpus;
use shared::formats::{self, Content, Format, WriteOptions, Written};
use trainer::data::corpus_file;
use trainer::data::parquet_corpus::{self, RowWriter};
use trainer::data::text_input::{self, Block, Opened, Parts, Rows, TextInput, is_standard};
use trainer::files::{cannot_write, write_whole_during};
use trainer::progress::Progress;
use trainer::{console, interrupt};

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
    /// Label only a part of the input: with I/N the sentences I, I + N, I + 2·N, and so on, counted from 0. N programs on
    /// N machines label all of it
    #[arg(long, value_name = "I/N", value_parser = shard)]
    shard: Option<Shard>,
    /// The file to write, a folder for brat, or `-` for standard output
    #[arg(long, value_name = "FILE|-")]
    pub out: PathBuf,
    #[command(flatten)]
    pub corpora: CorpusArgs,
}

/// One of several parts of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shard {
    /// Which part, from 0.
    number: u32,
    /// Number of parts.
    of: u32,
}

fn shard(text: &str) -> Result<Shard, String> {
    let parsed = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
    match parsed {
        Some((number, of)) if number < of => Ok(Shard { number, of }),
        _ => Err("expected I/N with I from 0 to N - 1, such as 0/8".to_owned()),
    }
}

impl TextArgs {
    /// Checks the options, as far as that is possible before the text is read.
    ///
    /// # Errors
    /// When both the result and the labelled text would go to standard output, or a folder would go there.
    pub fn check(&self, output: &Output) -> Result<()> {
        output.check(&self.out)?;
        if self.to == Some(Format::Brat) && is_standard(&self.out) {
            return no_folder_to_standard_output();
        }
        Ok(())
    }

    /// Labels the text and writes it, in parts if it is long. `label` gets up to `at_once` parts. For each part, in the
    /// order of the text, `see` gets the labelled part and the further results of `label`. Returns notes about what the
    /// format cannot hold.
    ///
    /// # Errors
    /// When the text cannot be read, labelled or written.
    pub fn label<T: Send>(
        &self,
        path: &Path,
        at_once: usize,
        mut label: impl FnMut(Vec<Corpus>, &Progress) -> Result<Vec<(Corpus, T)>>,
        mut see: impl FnMut(&Corpus, T) -> Result<()>,
    ) -> Result<Vec<String>> {
        let options = self.corpora.options()?;
        let (in_parts, as_rows) = (self.may_come_in_parts(), parquet_corpus::has_extension(&self.out));
        let parts = match input(text_input::open(path, self.plain_text, &options.read, in_parts, as_rows))? {
            Opened::Parts(parts) => parts,
            Opened::Whole(TextInput { corpus, is_plain }) => {
                if self.shard.is_some() && self.to.unwrap_or(corpus.layout.format()) == Format::Brat {
                    return usage(Err(anyhow!(
                        "a document of brat standoff cannot be divided: give --to another format, such as text-jsonl"
                    )));
                }
                let corpus = self.of_shard(corpus, 0);
                let progress = Progress::new("labelling", corpus.n_sentences() as u64, 0, 1);
                let done = label(vec![corpus], &progress)?;
                drop(progress);
                let mut notes = Vec::new();
                for (labelled, found) in done {
                    see(&labelled, found)?;
                    notes = self.write(labelled, is_plain)?;
                }
                return Ok(notes);
            }
        };
        let Parts { mut blocks, reader, rows } = parts;
        // Progress counts the rows of a Parquet file, or else the bytes of the text.
        let all = rows.as_ref().map_or_else(|| fs::metadata(path).map_or(0, |file| file.len()), |rows| rows.number);
        let progress = if all > 0 { Progress::new("labelling", all, 0, 1) } else { Progress::hidden() };
        let counts_rows = rows.is_some();
        let has_sentences = |text: &TextInput| text.corpus.n_sentences() > 0;
        let (mut of_input, mut of_output) = (Notes::default(), Notes::default());
        let mut n_read = 0u64;
        let mut write_all = |write: &mut dyn FnMut(&str) -> Result<()>| -> Result<()> {
            loop {
                interrupt::check()?;
                let several = input(blocks.by_ref().take(at_once).collect::<Result<Vec<_>>>())?;
                if several.is_empty() {
                    return input(if n_read > 0 { Ok(()) } else { Err(text_input::empty(reader.place())) });
                }
                let before = n_read;
                let texts = input(several.par_iter().map(|block| reader.read(block)).collect::<Result<Vec<_>>>())?;
                let texts = texts.into_iter().map(|(TextInput { corpus, is_plain }, told)| {
                    told.into_iter().for_each(|note| of_input.add(note));
                    let before = n_read;
                    n_read += corpus.n_sentences() as u64;
                    TextInput { corpus: self.of_shard(corpus, before), is_plain }
                });
                let (texts, are_plain): (Vec<_>, Vec<_>) =
                    texts.filter(has_sentences).map(|text| (text.corpus, text.is_plain)).unzip();
                let done = label(texts, &Progress::hidden())?;
                let done = done.into_par_iter().zip(are_plain).map(|((labelled, found), is_plain)| {
                    let labelled = self.converted(labelled, is_plain);
                    let written = formats::write(&labelled, &self.write_options());
                    (labelled, found, written)
                });
                for (labelled, found, written) in done.collect::<Vec<_>>() {
                    see(&labelled, found)?;
                    // Formats that consist of several documents are never written in parts.
                    if let Content::Text(text) = written.content {
                        write(&text)?;
                    }
                    written.notes.into_iter().for_each(|note| of_output.add(note));
                }
                let done = if counts_rows { (n_read - before) as usize } else { several.iter().map(Block::len).sum() };
                progress.advance(done, None);
            }
        };
        let unwritten = |error| cannot_write(&self.out, error);
        match (is_standard(&self.out), rows.filter(|_| as_rows)) {
            (true, _) => write_all(&mut |text| output::write(text))?,
            (false, rows) => write_whole_during(&self.out, |file| {
                // An interruption removes the unfinished file, so there is nothing to go on from.
                interrupt::listen_without_checkpoints()?;
                let Some(Rows { columns, .. }) = rows else {
                    let mut write = |text: &str| file.write_all(text.as_bytes());
                    return write_all(&mut |text| write(text).map_err(|error| unwritten(error.into())));
                };
                // The labels may need a column that the input does not have.
                let label = json!({ "start": 0, "end": 0, "label": "" });
                let further = json!({ reader.label_field().unwrap_or("spans"): [label] }).to_string();
                let mut rows = RowWriter::new(file, &columns, &further).map_err(unwritten)?;
                write_all(&mut |text| rows.write(text).map_err(unwritten))?;
                rows.finish().map(drop).map_err(unwritten)
            })?,
        }
        of_input.all().iter().for_each(|note| console::note(format_args!("{}: {note}", reader.place().display())));
        Ok(self.told(of_output.all()))
    }

    /// Returns the sentences of a part that this program must label. `before` is the number of sentences before the
    /// part.
    fn of_shard(&self, corpus: Corpus, before: u64) -> Corpus {
        let Some(Shard { number, of }) = self.shard else { return corpus };
        // The difference cannot be negative, because the remainder is less than `of`.
        let first = (u64::from(of) + u64::from(number) - before % u64::from(of)) % u64::from(of);
        let own = (first as u32..corpus.n_sentences() as u32).step_by(of as usize);
        corpus.select(&own.collect::<Vec<_>>())
    }

    /// Returns the number of a labelled sentence in the input, given its number in the output. Both count from 0.
    pub fn number_in_input(&self, sentence: u64) -> u64 {
        self.shard.map_or(sentence, |Shard { number, of }| sentence * u64::from(of) + u64::from(number))
    }

    /// Returns whether the output can be written in parts, that is, whether the parts one after the other are a whole
    /// file of the output format.
    fn may_come_in_parts(&self) -> bool {
        match self.to {
            None | Some(Format::TextJsonl) => true,
            Some(Format::TagsJsonl) => !parquet_corpus::has_extension(&self.out),
            Some(_) => false,
        }
    }

    fn write_options(&self) -> WriteOptions {
        WriteOptions { format: self.to, unknown: self.corpora.unknown.clone() }
    }

    /// Prepares the labelled text for its output format.
    fn converted(&self, mut labelled: Corpus, was_plain: bool) -> Corpus {
        if was_plain && self.to.is_some_and(|format| format != labelled.layout.format()) {
            // The further fields hold only the raw text. The other format has the text as tokens.
            labelled.extra.clear();
        }
        labelled
    }

    /// Writes the labelled text. Returns notes about what its format cannot hold.
    fn write(&self, labelled: Corpus, was_plain: bool) -> Result<Vec<String>> {
        let (labelled, options) = (self.converted(labelled, was_plain), self.write_options());
        let notes = match is_standard(&self.out) {
            true => to_standard_output(&labelled, &options)?,
            false => corpus_file::write(&self.out, &labelled, &options)?,
        };
        Ok(self.told(notes))
    }

    fn told(&self, notes: Vec<String>) -> Vec<String> {
        notes.iter().for_each(|note| console::note(format_args!("{}: {note}", self.place())));
        notes
    }

    /// Names the place where the labelled text goes, for messages.
    pub fn place(&self) -> String {
        if is_standard(&self.out) { "standard output".to_owned() } else { self.out.display().to_string() }
    }

    /// Prints a summary of the work on standard output. If the labelled text is there, it prints to standard error.
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

/// Notes about the parts of a text. Of notes that differ only in their numbers, only the first is printed.
#[derive(Default)]
struct Notes(BTreeMap<String, (String, usize)>);

impl Notes {
    fn add(&mut self, note: String) {
        let kind = note.chars().filter(|c| !c.is_ascii_digit()).collect();
        self.0.entry(kind).or_insert((note, 0)).1 += 1;
    }

    fn all(self) -> Vec<String> {
        let note = |(note, parts): (String, usize)| match parts {
            1 => note,
            _ => format!("{note} (this is the first of {parts} parts of the text of which this is true)"),
        };
        self.0.into_values().map(note).collect()
    }
}

/// Number of sentences, and of entities of each type.
#[derive(Default)]
pub struct Counts {
    pub sentences: usize,
    pub entities: BTreeMap<String, u64>,
}

impl Counts {
    /// Counts the sentences and entities of a text.
    pub fn add(&mut self, corpus: &Corpus) {
        self.sentences += corpus.n_sentences();
        let mut of_labels = vec![0; corpus.labels.n_types() + 1];
        for entity in &corpus.entities {
            if let Some(n) = of_labels.get_mut(usize::from(entity.label)) {
                *n += 1;
            }
        }
        for (kind, n) in corpus.labels.types().iter().zip(of_labels.into_iter().skip(1)) {
            *self.entities.entry(kind.clone()).or_default() += n;
        }
    }

    pub fn n_entities(&self) -> u64 {
        self.entities.values().sum()
    }

    /// Describes the counts in words: "15 entities (12 LOC, 3 PER) in 7 sentences".
    pub fn in_words(&self) -> String {
        let kinds: Vec<String> = self.entities.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
        format!("{} entities ({}) in {} sentences", self.n_entities(), kinds.join(", "), self.sentences)
    }
}
