//! Corpus file formats, each in a module of its own; docs/CORPORA.md describes them for users.
//!
//! [`read`] recognises a file by its content; the corpus remembers its [`Layout`], and [`write`]
//! gives the same file back, but for labels that have changed. What a format has beyond tokens and
//! spans travels in [`Corpus::extra`].

pub mod brat;
mod builder;
pub mod conll;
mod counting;
mod detect;
pub mod dynclean_json;
mod json;
pub mod label_studio;
mod marked_text;
#[cfg(test)]
mod misreadings;
pub mod plain_text;
mod scheme;
mod source;
pub mod tag_json;
mod tag_names;
mod tags;
#[cfg(test)]
mod tests;
pub mod text_json;
mod tokeniser;

pub use crate::corpus::notation::{ENTITY, Spelling};
pub use brat::Document;
pub use counting::{Counting, LineEnds, Unit};
pub use detect::detect;
pub use layout::{
    Brat, Conll, Container, DyncleanJson, Format, IGNORE, LabelStudio, Layout, MarkShape, Scheme, Separator, TagJson,
    TextJson,
};
pub use tag_names::TagNames;
pub use tokeniser::tokenise;

use crate::corpus::{Corpus, Entity, layout};

/// Why a corpus file cannot be read. `line` counts from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct FormatError {
    /// Line of the offending text, from 1.
    pub line: usize,
    /// What is wrong and what was expected.
    pub message: String,
}

/// How to read a file, where its content leaves a choice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// The format, instead of recognising it.
    pub format: Option<Format>,
    /// Column of the tokens, from 1 (CoNLL; default: the first).
    pub token_column: Option<usize>,
    /// Where the labels are: a column number from 1 (CoNLL; default: the last), else a field name.
    pub label: Option<String>,
    /// Where a second layer of labels is, of annotators, likewise.
    pub gold: Option<String>,
    /// What tag ids mean.
    pub tags: Option<TagNames>,
    /// The scheme of the tags, instead of recognising it.
    pub scheme: Option<Scheme>,
    /// Entity type whose labels mean "unknown" (default: [`IGNORE`]).
    pub ignore: Option<String>,
    /// Whether JSON records may come without the field of the labels, because these are still to be made.
    pub unlabelled: bool,
}

impl ReadOptions {
    fn ignore(&self) -> String {
        self.ignore.clone().unwrap_or_else(|| IGNORE.to_owned())
    }
}

/// What a file holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layers {
    /// Text and labels.
    pub corpus: Corpus,
    /// The second layer, numbered by the corpus's label set.
    pub gold: Option<Vec<Entity>>,
    /// What could not be used, in words.
    pub notes: Vec<String>,
}

/// How unknown spans are marked in formats with one tag per token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum UnknownAs {
    /// Beside the tags: a last column of 0 and 1 (CoNLL), a field `unknown` (JSON).
    #[default]
    Mask,
    /// By tags of this entity type (−100 where tags are ids).
    Tag(String),
}

/// How to write a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// The format, instead of the one the corpus came in.
    pub format: Option<Format>,
    /// How unknown spans are marked in formats with one tag per token. Default: as the file did, else a mask.
    pub unknown: Option<UnknownAs>,
}

/// The content of a written corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Of the one file.
    Text(String),
    /// Of a brat folder.
    Documents(Vec<Document>),
}

/// A written corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// What goes to disk.
    pub content: Content,
    /// The layout it has.
    pub layout: Layout,
    /// What the format cannot hold and was left out, in words.
    pub notes: Vec<String>,
}

/// Reads a corpus from the bytes of a file.
///
/// # Errors
/// With the line and what was expected there.
pub fn read(bytes: &[u8], options: &ReadOptions) -> Result<Layers, FormatError> {
    let source = source::decode(bytes)?;
    let format = match options.format {
        Some(format) => format,
        None => detect::detect_text(source.text)?,
    };
    match format {
        Format::DyncleanJson => dynclean_json::read_layers(&source, options),
        Format::Conll => conll::read(&source, options),
        Format::Bond | Format::TagsJsonl => tag_json::read(&source, format, options),
        Format::TextJsonl => text_json::read(&source, options),
        Format::LabelStudio => label_studio::read(&source, options),
        Format::Brat => Err(FormatError {
            line: 1,
            message: "brat standoff is a folder of NAME.txt and NAME.ann; give the folder".into(),
        }),
    }
}

/// Writes a corpus in the format it came in, or another.
pub fn write(corpus: &Corpus, options: &WriteOptions) -> Written {
    let format = options.format.unwrap_or(corpus.layout.format());
    let mut converted;
    let (corpus, mut notes) = if format == corpus.layout.format() {
        (corpus, Vec::new())
    } else {
        let notes = match n_with_further_fields(corpus) {
            0 => Vec::new(),
            n => vec![format!(
                "{} with fields beyond tokens and labels in {}; these fields were left out",
                count(n, "sentence"),
                corpus.layout.format().title()
            )],
        };
        converted = Corpus { extra: Vec::new(), ..corpus.clone() };
        converted.layout = default_layout(format, corpus);
        (&converted, notes)
    };
    let mut written = match &corpus.layout {
        Layout::DyncleanJson(layout) => dynclean_json::write_as(corpus, layout),
        Layout::Conll(layout) => conll::write(corpus, layout, options.unknown.as_ref()),
        Layout::Bond(layout) | Layout::TagsJsonl(layout) => tag_json::write(corpus, layout, options.unknown.as_ref()),
        Layout::TextJsonl(layout) => text_json::write(corpus, layout),
        Layout::LabelStudio(layout) => label_studio::write(corpus, layout),
        Layout::Brat(layout) => brat::write(corpus, layout, options.unknown.as_ref()),
    };
    notes.append(&mut written.notes);
    Written { notes, ..written }
}

/// Sentences whose record has something beyond text and labels, which another format does not hold.
fn n_with_further_fields(corpus: &Corpus) -> usize {
    let others = |json: &str, own: &[&str]| {
        let fields = json::fields(json).unwrap_or_default();
        fields.0.iter().any(|(name, _)| !own.contains(&name.as_str()))
    };
    let count = |has: &dyn Fn(&str) -> bool| corpus.extra.iter().filter(|(_, extra)| has(extra)).count();
    match &corpus.layout {
        Layout::DyncleanJson(layout) => count(&|extra| others(extra, &["tokens", &layout.entities, "unknown"])),
        Layout::Bond(layout) | Layout::TagsJsonl(layout) => {
            count(&|extra| others(extra, &[&layout.tokens, &layout.tags, "unknown"]))
        }
        Layout::TextJsonl(layout) => count(&|extra| text_json::has_further_fields(extra, layout)),
        Layout::LabelStudio(layout) => count(&|extra| label_studio::has_further_fields(extra, layout)),
        Layout::Conll(layout) => match layout.n_columns > 2 + usize::from(layout.mask) {
            true => corpus.n_sentences(),
            false => count(&conll::has_further_lines),
        },
        Layout::Brat(_) => count(&brat::has_further_annotations),
    }
}

/// The layout of a corpus that comes from another format.
fn default_layout(format: Format, corpus: &Corpus) -> Layout {
    match format {
        Format::DyncleanJson => Layout::DyncleanJson(DyncleanJson::default()),
        Format::Conll => Layout::Conll(Conll::default()),
        Format::Bond => Layout::Bond(tag_json::bond_layout(&corpus.labels)),
        Format::TagsJsonl => Layout::TagsJsonl(TagJson::default()),
        Format::TextJsonl => Layout::TextJsonl(TextJson::default()),
        Format::LabelStudio => Layout::LabelStudio(LabelStudio::default()),
        Format::Brat => Layout::Brat(Brat::default()),
    }
}

/// "1 label", "3 labels".
fn count(n: usize, noun: &str) -> String {
    let plural = match (n, noun.strip_suffix('y')) {
        (1, _) => noun.to_owned(),
        (_, Some(stem)) => format!("{stem}ies"),
        (_, None) => format!("{noun}s"),
    };
    format!("{n} {plural}")
}
