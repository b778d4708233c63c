//! Corpus file formats, each in its own module. docs/CORPORA.md describes them for users.
//!
//! [`read`] recognises a file by its content. The corpus remembers its [`Layout`], so that [`write`] gives the
//! same file back, except for labels that have changed. Other content of a file is stored in [`Corpus::extra`].

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

/// Error: a corpus file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct FormatError {
    /// The line with the error, counted from 1.
    pub line: usize,
    /// What is wrong and what was expected.
    pub message: String,
}

/// Options for reading a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// The format; `None` to recognise it.
    pub format: Option<Format>,
    /// Column of the tokens, from 1 (CoNLL; default: usually the first).
    pub token_column: Option<usize>,
    /// The place of the labels: a column number from 1 (CoNLL; default: the last column), or the name of a field.
    pub label: Option<String>,
    /// The place of a second label layer (gold), in the same form.
    pub gold: Option<String>,
    /// The names of tag ids.
    pub tags: Option<TagNames>,
    /// The scheme of the tags; `None` to recognise it.
    pub scheme: Option<Scheme>,
    /// The entity type whose labels mean "unknown" (default: [`IGNORE`]).
    pub ignore: Option<String>,
    /// Whether JSON records may have no field with labels, because the text is not labelled yet.
    pub unlabelled: bool,
    /// How offsets count in JSON with texts; `None` to recognise it.
    pub counting: Option<Counting>,
}

impl ReadOptions {
    fn ignore(&self) -> String {
        self.ignore.clone().unwrap_or_else(|| IGNORE.to_owned())
    }
}

/// The content of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layers {
    /// Text and labels.
    pub corpus: Corpus,
    /// The entities of the second layer, numbered by the corpus's label set.
    pub gold: Option<Vec<Entity>>,
    /// Messages about what could not be used.
    pub notes: Vec<String>,
}

/// How unknown spans are marked in formats with one tag per token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum UnknownAs {
    /// By a mask beside the tags: a last column of 0 and 1 (CoNLL), or a field `unknown` (JSON).
    #[default]
    Mask,
    /// By tags of this entity type (by −100 if the tags are ids).
    Tag(String),
}

/// Options for writing a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// The format; `None` for the format in which the corpus was read.
    pub format: Option<Format>,
    /// How unknown spans are marked in formats with one tag per token. Default: as in the file, or else by a mask.
    pub unknown: Option<UnknownAs>,
}

/// The content to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The content of a single file.
    Text(String),
    /// The documents of a brat folder.
    Documents(Vec<Document>),
}

/// The result of writing a corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The content to write to disk.
    pub content: Content,
    /// The layout of the content.
    pub layout: Layout,
    /// Messages about what was left out because the format cannot store it.
    pub notes: Vec<String>,
}

/// Reads a corpus from the bytes of a file.
///
/// # Errors
/// When the file cannot be read. The error has the line and what was expected there.
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

/// Writes a corpus in the format in which it was read, or in another format.
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

/// Number of sentences whose record has more than text and labels. Another format cannot store this.
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

/// The default layout of a format, for a corpus that was read in another format.
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

/// Formats a number with a noun: "1 label", "3 labels".
fn count(n: usize, noun: &str) -> String {
    let plural = match (n, noun.strip_suffix('y')) {
        (1, _) => noun.to_owned(),
        (_, Some(stem)) => format!("{stem}ies"),
        (_, None) => format!("{noun}s"),
    };
    format!("{n} {plural}")
}
