//! brat standoff: a folder with `NAME.txt`, the text, and `NAME.ann`, its annotations.
//!
//! ```text
//! T1<tab>PER 0 3<tab>Ada
//! ```
//! Every line of a text is a sentence. Text-bound annotations (`T`) are the labels; their offsets count characters
//! of the document. All other annotations, and `T` lines with several fragments, are kept unchanged. Unknown spans
//! are `T` lines of the type `IGNORE`.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::builder::{Builder, Labelled, Sentence};
use super::counting::{self, Counting, Ruler, Said, is_said};
use super::label_studio::retokenised_note;
use super::layout::{Brat, Layout};
use super::marked_text::{Fate, Labels, Text, joined};
use super::source::decode;
use super::text_json::Unused;
use super::{Content, FormatError, Layers, ReadOptions, UnknownAs, Written, count};
use crate::corpus::Corpus;

/// A document, with the content of its two files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// File name without extension. If the file is in a subfolder, the path to it, with `/` between the parts.
    pub name: String,
    /// Content of `NAME.txt`.
    pub text: String,
    /// Content of `NAME.ann`.
    pub annotations: String,
}

impl Document {
    /// Makes a document from the bytes of its files.
    ///
    /// # Errors
    /// When one of them is not UTF-8.
    pub fn from_bytes(name: &str, text: &[u8], annotations: &[u8]) -> Result<Self, FormatError> {
        let string = |bytes: &[u8], extension: &str| match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            // `decode` finds the line of the error.
            Err(_) => Err(decode(bytes).err().map_or_else(
                || FormatError { line: 1, message: format!("{name}.{extension} is not UTF-8 text") },
                |e| FormatError { message: format!("{name}.{extension}: {}", e.message), ..e },
            )),
        };
        Ok(Self { name: name.to_owned(), text: string(text, "txt")?, annotations: string(annotations, "ann")? })
    }
}

/// The text of a document in tokens and sentences, and the way of counting of its offsets.
struct Sentences<'a> {
    text: Text<'a>,
    ruler: Ruler,
    counting: Counting,
    /// The tokens of each sentence. A text without tokens has one empty sentence.
    ranges: Vec<Range<u32>>,
}

impl<'a> Sentences<'a> {
    fn new(document: &'a Document) -> Self {
        let said: Vec<Said> =
            document.annotations.split_inclusive('\n').filter_map(|line| text_bound(line)?.ok()?.said()).collect();
        let counting = counting::of_file(|see| see(&document.text, &said));
        let ruler = Ruler::new(&document.text, counting);
        let text = Text::new(&document.text);
        let offsets = text.token_offsets();
        let breaks = offsets.windows(2).enumerate().filter_map(|(i, pair)| match pair {
            [a, b] => text.slice(a.1, b.0).contains(['\n', '\r']).then_some(i as u32 + 1),
            _ => None,
        });
        let mut ends: Vec<u32> = breaks.collect();
        ends.push(offsets.len() as u32);
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let ranges = starts.zip(&ends).map(|(start, &end)| start..end).collect();
        Self { text, ruler, counting, ranges }
    }

    /// The characters of a text-bound annotation; `None` if they are not in the text.
    fn characters(&self, bound: &TextBound) -> Option<(usize, usize)> {
        let (start, end) = bound.offsets?;
        self.ruler.characters(start, end)
    }

    /// The annotation's own text and the text at its offsets, if they differ.
    fn misfit(&self, bound: &TextBound) -> Option<(Said, &'a str)> {
        let (start, end) = self.characters(bound)?;
        let there = self.text.slice(start, end);
        let said = bound.said().filter(|said| !is_said(there, &said.text))?;
        Some((said, there))
    }

    /// The tokens of a text-bound annotation. `None` if it is not inside one sentence, or if its own text differs
    /// from the text at its offsets.
    fn align(&self, bound: &TextBound) -> Option<(u32, u32)> {
        if self.misfit(bound).is_some() {
            return None;
        }
        let (start, end) = self.characters(bound)?;
        let (first, last) = self.text.align(start, end)?;
        let sentence = self.ranges.get(self.sentence_of(first))?;
        sentence.contains(&last).then_some((first, last))
    }

    fn sentence_of(&self, token: u32) -> usize {
        self.ranges.partition_point(|range| range.end <= token)
    }
}

/// A text-bound annotation.
struct TextBound<'a> {
    kind: &'a str,
    /// First character and end (exclusive); `None` if there are several fragments.
    offsets: Option<(usize, usize)>,
    /// The parts of the line before and after the type.
    before: &'a str,
    after: &'a str,
}

impl TextBound<'_> {
    /// The annotation's own text with its offsets, if the line has it.
    fn said(&self) -> Option<Said> {
        let (start, end) = self.offsets?;
        let text = self.after.split_once('\t')?.1.trim_end_matches(['\n', '\r']);
        (!text.is_empty()).then(|| Said { start, end, text: text.to_owned() })
    }
}

/// Parses a `T` line. `None` for other lines; an error for a malformed `T` line.
fn text_bound(line: &str) -> Option<Result<TextBound<'_>, &'static str>> {
    line.starts_with('T').then(|| {
        let expected = "expected a text-bound annotation such as \"T1<tab>PER 0 3<tab>Ada\"";
        let (id, rest) = line.split_once('\t').ok_or(expected)?;
        let body = rest.split(['\t', '\n', '\r']).next().unwrap_or_default();
        let (kind, places) = body.split_once(' ').ok_or(expected)?;
        let offsets = if places.contains(';') {
            None
        } else {
            let mut numbers = places.split(' ').map(str::parse::<usize>);
            match (numbers.next(), numbers.next(), numbers.next()) {
                (Some(Ok(start)), Some(Ok(end)), None) if start <= end => Some((start, end)),
                _ => return Err(expected),
            }
        };
        let at = id.len() + 1;
        let (before, after) = (line.get(..at).unwrap_or_default(), line.get(at + kind.len()..).unwrap_or_default());
        Ok(TextBound { kind, offsets, before, after })
    })
}

/// Reads the documents of a folder, in the given order.
///
/// # Errors
/// When a document cannot be read. The error has the document, the line and what was expected there.
pub fn read(documents: &[Document], options: &ReadOptions) -> Result<Layers, FormatError> {
    if documents.is_empty() {
        let message = "there is no document; expected pairs of NAME.txt and NAME.ann".to_owned();
        return Err(FormatError { line: 1, message });
    }
    let layout = Brat { ignore: options.ignore() };
    let mut builder = Builder::new(false);
    let mut unused = Unused::default();
    for document in documents {
        add(&mut builder, document, &layout, &mut unused)?;
    }
    builder.notes.extend(unused.notes());
    builder.finish(Layout::Brat(layout))
}

fn add(builder: &mut Builder, document: &Document, layout: &Brat, unused: &mut Unused) -> Result<(), FormatError> {
    let at = |line: usize, message: String| FormatError { line, message: format!("{}.ann: {message}", document.name) };
    let text = Sentences::new(document);
    let n_characters = text.text.n_characters();
    if !text.counting.is_usual() {
        builder.notes.push(format!("{}.ann: {}", document.name, counting::note(text.counting)));
    }
    let mut sentences: Vec<Sentence> = text
        .ranges
        .iter()
        .map(|range| Sentence {
            tokens: text.text.tokens_in(range).map(Cow::Borrowed).collect(),
            ..Sentence::default()
        })
        .collect();
    // For errors: the line of each sentence's last label.
    let mut lines = vec![1; sentences.len()];
    for (number, line) in (1..).zip(document.annotations.split_inclusive('\n')) {
        let Some(bound) = text_bound(line) else { continue };
        let bound = bound.map_err(|expected| at(number, format!("{:?}; {expected}", line.trim_end())))?;
        if bound.offsets.is_some() && text.characters(&bound).is_none() {
            return Err(at(
                number,
                format!("the annotation is not inside the text of {}", count(n_characters, "character")),
            ));
        }
        if let Some((said, there)) = text.misfit(&bound) {
            unused.misfits.add(&format!("{}.ann, line {number}", document.name), &said.text, there);
            continue;
        }
        let Some((first, last)) = text.align(&bound) else {
            unused.n_misaligned += 1;
            continue;
        };
        let place = text.sentence_of(first);
        let (Some(sentence), Some(range)) = (sentences.get_mut(place), text.ranges.get(place)) else { continue };
        let (first, last) = (first - range.start, last - range.start);
        if bound.kind == layout.ignore {
            sentence.unknown.push((first, last));
        } else {
            sentence.entities.push(Labelled::from((first, last, Cow::Borrowed(bound.kind))));
        }
        if let Some(line) = lines.get_mut(place) {
            *line = number;
        }
    }
    if let Some(first) = sentences.first_mut() {
        first.extra = Some(serde_json::to_string(document).map_err(|e| at(1, e.to_string()))?);
    }
    for (sentence, line) in sentences.into_iter().zip(lines) {
        builder.push(sentence).map_err(|message| at(line, message))?;
    }
    Ok(())
}

/// Whether a document has annotations that are not labels.
pub(super) fn has_further_annotations(document: &str) -> bool {
    let document: Document = serde_json::from_str(document).unwrap_or_default();
    let is_label = |line: &str| matches!(text_bound(line), Some(Ok(TextBound { offsets: Some(_), .. })));
    document.annotations.lines().any(|line| !line.trim().is_empty() && !is_label(line))
}

// ---------------------------------------------------------------- writing

pub(super) fn write(corpus: &Corpus, layout: &Brat, unknown: Option<&UnknownAs>) -> Written {
    let layout = &match unknown {
        Some(UnknownAs::Tag(name)) => Brat { ignore: name.clone() },
        _ => layout.clone(),
    };
    let written = |documents, notes| Written {
        content: Content::Documents(documents),
        layout: Layout::Brat(layout.clone()),
        notes,
    };
    match edited(corpus, layout) {
        Some((documents, notes)) => written(documents, notes),
        None => {
            let mut n_retokenised = 0;
            let document = made(corpus, layout, &mut n_retokenised);
            written(vec![document], retokenised_note(n_retokenised))
        }
    }
}

/// The original documents with the current labels. `None` if the documents do not have the corpus's text.
fn edited(corpus: &Corpus, layout: &Brat) -> Option<(Vec<Document>, Vec<String>)> {
    let n_sentences = corpus.n_sentences() as u32;
    let mut documents = Vec::new();
    let mut n_dangling = 0;
    let mut sentence = 0;
    while sentence < n_sentences {
        let document: Document = serde_json::from_str(corpus.extra_of(sentence)?).ok()?;
        let text = Sentences::new(&document);
        let mut labels = Labels::default();
        for range in &text.ranges {
            if !text.text.tokens_in(range).eq(corpus.tokens.sentence(sentence)) {
                return None;
            }
            labels.add(corpus, sentence, range.start);
            sentence += 1;
        }
        let annotations = annotations(&document, &text, labels, layout, &mut n_dangling)?;
        documents.push(Document { annotations, ..document });
    }
    let note =
        || format!("{} referring to text-bound annotations that are no longer there", count(n_dangling, "annotation"));
    Some((documents, (n_dangling > 0).then(note).into_iter().collect()))
}

fn annotations(
    document: &Document,
    text: &Sentences,
    mut labels: Labels,
    layout: &Brat,
    n_dangling: &mut usize,
) -> Option<String> {
    let mut out = String::new();
    let mut marked: BTreeSet<(u32, u32)> = BTreeSet::new();
    let mut gone: BTreeSet<&str> = BTreeSet::new();
    let mut last_id = 0;
    for line in document.annotations.split_inclusive('\n') {
        let Some(bound) = text_bound(line) else {
            out.push_str(line);
            continue;
        };
        let bound = bound.ok()?;
        let id = bound.before.trim_end();
        last_id = last_id.max(id.get(1..).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0));
        let Some(span) = text.align(&bound) else {
            out.push_str(line);
            continue;
        };
        let kind = match labels.fate(span, bound.kind) {
            Fate::Keep => Cow::Borrowed(bound.kind),
            Fate::Relabel(label) => Cow::Owned(kind_of(label)),
            Fate::Drop if labels.unknown.contains(&span) => {
                marked.insert(span);
                Cow::Borrowed(layout.ignore.as_str())
            }
            Fate::Drop => {
                gone.insert(id);
                continue;
            }
        };
        for part in [bound.before, &kind, bound.after] {
            out.push_str(part);
        }
    }
    if !gone.is_empty() {
        let refers = |line: &&str| {
            !line.starts_with('T') && line.split([' ', '\t', ':', '\n', '\r']).any(|word| gone.contains(word))
        };
        *n_dangling += document.annotations.lines().filter(refers).count();
    }
    let unknown = labels.unknown.difference(&marked).map(|&span| (span, layout.ignore.as_str()));
    for (span, kind) in labels.added().chain(unknown) {
        let Some((start, end)) = text.text.offsets(span) else { continue };
        let said = text.text.slice(start, end);
        let Some((start, end)) = text.ruler.units((start, end)) else { continue };
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        last_id += 1;
        let _ = writeln!(out, "T{last_id}\t{} {start} {end}\t{said}", kind_of(kind));
    }
    Some(out)
}

/// A type in the form that brat accepts.
fn kind_of(kind: &str) -> String {
    kind.replace(char::is_whitespace, "_")
}

/// Makes one document for a corpus from another format: one line per sentence.
fn made(corpus: &Corpus, layout: &Brat, n_retokenised: &mut usize) -> Document {
    let mut document = Document { name: "corpus".into(), ..Document::default() };
    let (mut id, mut at) = (0, 0);
    for sentence in 0..corpus.n_sentences() as u32 {
        let one_line = |token: &str| token.replace(['\n', '\r'], " ");
        let tokens: Vec<String> = corpus.tokens.sentence(sentence).map(one_line).collect();
        let (line, offsets) = joined(tokens.iter().map(String::as_str));
        let text = Text::new(&line);
        *n_retokenised += usize::from(text.token_offsets() != offsets.as_slice());
        let entities = corpus.entities_of(sentence).iter().map(|e| (e.span, corpus.labels.name(e.label)));
        let unknown = corpus.unknown_of(sentence).iter().map(|&span| (span, layout.ignore.as_str()));
        for (span, kind) in entities.chain(unknown) {
            let (Some(first), Some(last)) = (offsets.get(span.start as usize), offsets.get(span.end as usize)) else {
                continue;
            };
            let characters = text.slice(first.0, last.1);
            id += 1;
            let (start, end) = (at + first.0, at + last.1);
            let _ = writeln!(document.annotations, "T{id}\t{} {start} {end}\t{characters}", kind_of(kind));
        }
        at += line.chars().count() + 1;
        document.text.push_str(&line);
        document.text.push('\n');
    }
    document
}
