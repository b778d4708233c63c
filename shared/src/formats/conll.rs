//! CoNLL columns: a token a line with its tag, a blank line after each sentence.
//!
//! ```text
//! Ada    B-PER
//! Lovelace    I-PER
//! wrote    O
//! ```
//! Other columns, comments (`#`), `-DOCSTART-` lines and blank lines are kept as they are. A last
//! column of 0s and 1s only is a mask: 1 where a token's label is unknown.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::builder::{Builder, Labelled, Sentence};
use super::layout::{Conll, Layout, Scheme, Separator};
use super::source::{Source, bom};
use super::tags::{self, Chunk, Evidence, Losses};
use super::{Content, FormatError, Layers, ReadOptions, UnknownAs, Written, count};
use crate::corpus::Corpus;

const DOCSTART: &str = "-DOCSTART-";

/// What of a sentence's lines is neither token nor label; parts are left out where they are as
/// usual in the file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Frame {
    /// Lines before the sentence: blank ones, comments.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
    /// Per line: what stands before the token or the label (whichever is first), between them,
    /// after both up to the mask or the end, and the line's end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<[String; 4]>,
    /// The tags as they came, where the scheme would put it otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    /// Likewise the mask.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mask: Vec<bool>,
}

// ---------------------------------------------------------------- lines

/// The fields of a line as byte ranges, and where its content ends.
fn split<'a>(line: &'a str, separator: Separator, fields: &mut Vec<&'a str>) {
    fields.clear();
    let content = line.trim_end_matches(['\n', '\r']);
    match separator {
        Separator::Tab => fields.extend(content.split('\t')),
        Separator::Blank => fields.extend(content.split([' ', '\t']).filter(|field| !field.is_empty())),
    }
}

fn is_blank(line: &str) -> bool {
    line.bytes().all(|b| b" \t\r\n".contains(&b))
}

/// Whether a line is certainly no token: blank or the mark of a document.
fn is_between(line: &str) -> bool {
    is_blank(line) || line.starts_with(DOCSTART)
}

fn offset(line: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(line.as_ptr() as usize)
}

/// Whether a line that begins with `#` is a token all the same: it has as many columns as the
/// others, a tag where the label is, and a mask where there is one.
fn is_token_with_hash(fields: &[&str], layout: &Conll) -> bool {
    let is_tag = |tag: &&str| layout.scheme == Scheme::Plain || tags::is_tag(tag);
    let is_mask = |field: &&str| !layout.mask || matches!(*field, "0" | "1");
    fields.len() == layout.n_columns
        && fields.get(layout.label_column).is_some_and(is_tag)
        && fields.last().is_some_and(is_mask)
}

// ---------------------------------------------------------------- what the file looks like

fn columns(source: &Source, options: &ReadOptions) -> Result<Conll, FormatError> {
    let lines = || source.text.split_inclusive('\n').enumerate().filter(|(_, line)| !is_between(line));
    // A file whose tokens all begin with `#` has no other lines.
    let only_hashes = lines().all(|(_, line)| line.starts_with('#'));
    let all = || lines().filter(|(_, line)| only_hashes || !line.starts_with('#'));
    let separator = if all().all(|(_, line)| line.contains('\t')) { Separator::Tab } else { Separator::Blank };
    let mut fields = Vec::new();
    let Some((first, line)) = all().next() else {
        return Err(FormatError { line: 1, message: "there is no token; expected a token and its tag a line".into() });
    };
    split(line, separator, &mut fields);
    let n_columns = fields.len();
    if n_columns < 2 {
        return Err(FormatError {
            line: first + 1,
            message: format!(
                "{:?} is one column; expected a token and its tag in columns separated by tabs or blanks",
                line.trim_end().chars().take(40).collect::<String>()
            ),
        });
    }
    let mut last_is_mask = n_columns > 2;
    for (_, line) in all() {
        split(line, separator, &mut fields);
        last_is_mask &= fields.len() == n_columns && matches!(fields.last(), Some(&("0" | "1")));
        if !last_is_mask {
            break;
        }
    }
    let number = |text: &str, what: &str| {
        let column = text.parse::<usize>().ok().filter(|c| (1..=n_columns).contains(c));
        column.map(|c| c - 1).ok_or_else(|| FormatError {
            line: first + 1,
            message: format!("{what} {text:?} does not exist; expected a column from 1 to {n_columns}"),
        })
    };
    let label_column = match &options.label {
        Some(column) => number(column, "the label column")?,
        None => n_columns - 1 - usize::from(last_is_mask),
    };
    if let Some(gold) = &options.gold {
        number(gold, "the gold column")?;
    }
    let token_column = match options.token_column {
        Some(column) => number(&column.to_string(), "the token column")?,
        None => 0,
    };
    if token_column == label_column {
        let message = format!("column {} cannot hold both tokens and labels; choose two columns", label_column + 1);
        return Err(FormatError { line: first + 1, message });
    }
    Ok(Conll {
        separator,
        token_column,
        label_column,
        n_columns,
        mask: last_is_mask && label_column + 1 < n_columns && token_column + 1 < n_columns,
        ignore: options.ignore(),
        crlf: line.ends_with("\r\n"),
        bom: source.bom,
        ..Conll::default()
    })
}

fn scheme(source: &Source, layout: &Conll, column: usize) -> Scheme {
    let mut evidence = Evidence::default();
    let mut fields = Vec::new();
    for line in source.text.split_inclusive('\n') {
        if is_between(line) {
            evidence.end_sentence();
            continue;
        }
        split(line, layout.separator, &mut fields);
        if line.starts_with('#') && !is_token_with_hash(&fields, layout) {
            continue;
        }
        if let Some(tag) = fields.get(column) {
            evidence.see(tag);
        }
    }
    evidence.scheme()
}

// ---------------------------------------------------------------- reading

/// The lines of one sentence, until it is complete.
#[derive(Default)]
struct Lines<'a> {
    /// Number of the first token's line, from 1.
    first: Vec<usize>,
    tokens: Vec<&'a str>,
    tags: Vec<&'a str>,
    gold: Vec<&'a str>,
    mask: Vec<bool>,
    parts: Vec<[&'a str; 4]>,
}

struct Reader<'a> {
    layout: Conll,
    gold: Option<(usize, Scheme)>,
    builder: Builder,
    /// Begin and end of the text between sentences, in bytes.
    between: String,
    lines: Lines<'a>,
    /// Sentences whose tags break the scheme.
    irregular: usize,
}

pub(super) fn read(source: &Source, options: &ReadOptions) -> Result<Layers, FormatError> {
    let mut layout = columns(source, options)?;
    layout.scheme = scheme(source, &layout, layout.label_column);
    let gold = options.gold.as_deref().and_then(|g| g.parse::<usize>().ok()?.checked_sub(1));
    let gold = gold.map(|column| (column, scheme(source, &layout, column)));
    let builder = Builder::new(gold.is_some());
    let mut reader = Reader { layout, gold, builder, between: String::new(), lines: Lines::default(), irregular: 0 };
    let mut fields = Vec::new();
    for (number, line) in (1..).zip(source.text.split_inclusive('\n')) {
        let ends_sentence = is_between(line);
        if !ends_sentence {
            split(line, reader.layout.separator, &mut fields);
            if !line.starts_with('#') || is_token_with_hash(&fields, &reader.layout) {
                reader.token(number, line, &fields)?;
                continue;
            }
        }
        // A comment inside a sentence ends it too: it would have no place otherwise.
        reader.end_sentence()?;
        reader.between.push_str(line);
    }
    reader.end_sentence()?;
    reader.layout.tail = std::mem::take(&mut reader.between);
    if reader.irregular > 0 {
        reader.builder.notes.push(format!(
            "{} with tags that break their scheme, read as conlleval does",
            count(reader.irregular, "sentence")
        ));
    }
    reader.builder.finish(Layout::Conll(reader.layout))
}

impl<'a> Reader<'a> {
    fn token(&mut self, number: usize, line: &'a str, fields: &[&'a str]) -> Result<(), FormatError> {
        let layout = &self.layout;
        let error = |message: String| FormatError { line: number, message };
        if line.trim_end_matches(['\n', '\r']).contains('\r') {
            return Err(error("a carriage return inside a line; end lines with \\n or \\r\\n alone".into()));
        }
        let (Some(token), Some(tag), true) =
            (fields.get(layout.token_column), fields.get(layout.label_column), fields.len() == layout.n_columns)
        else {
            return Err(error(format!(
                "{} where {} were expected, as in the first line of the file; separated by {}",
                count(fields.len(), "column"),
                layout.n_columns,
                match layout.separator {
                    Separator::Tab => "a tab",
                    Separator::Blank => "blanks",
                }
            )));
        };
        let (a, b) = if layout.token_column < layout.label_column { (token, tag) } else { (tag, token) };
        let content = line.trim_end_matches(['\n', '\r', ' ', '\t']).len().max(offset(line, b) + b.len());
        let (mask, end) = match fields.last().filter(|_| layout.mask) {
            Some(mask) => (*mask == "1", offset(line, mask)),
            None => (false, content),
        };
        let slice = |range: std::ops::Range<usize>| line.get(range).unwrap_or_default();
        let parts = [
            slice(0..offset(line, a)),
            slice(offset(line, a) + a.len()..offset(line, b)),
            slice(offset(line, b) + b.len()..end),
            slice(if layout.mask { end + 1 } else { end }..line.len()),
        ];
        if let Some((column, _)) = self.gold {
            self.lines.gold.push(fields.get(column).copied().unwrap_or_default());
        }
        self.lines.first.push(number);
        self.lines.tokens.push(token);
        self.lines.tags.push(tag);
        self.lines.mask.push(mask);
        self.lines.parts.push(parts);
        Ok(())
    }

    fn end_sentence(&mut self) -> Result<(), FormatError> {
        if self.lines.tokens.is_empty() {
            return Ok(());
        }
        let lines = std::mem::take(&mut self.lines);
        let at = |i: usize| lines.first.get(i).copied().unwrap_or(1);
        let bad_tag = |error: tags::BadTag| FormatError { line: at(error.at), message: error.message };
        let (scheme, ignore) = (self.layout.scheme, self.layout.ignore.as_str());
        let (entities, unknown) = tags::untag(&lines.tags, &lines.mask, scheme, ignore).map_err(bad_tag)?;
        let gold = match self.gold {
            Some((_, scheme)) => tags::untag(&lines.gold, &[], scheme, ignore).map_err(bad_tag)?.0,
            None => Vec::new(),
        };
        self.layout.has_ignore_tags |= lines.mask.iter().all(|masked| !masked) && !unknown.is_empty();
        let frame = self.frame(&lines, &entities, &unknown);
        self.irregular += usize::from(!frame.tags.is_empty() && frame.mask.is_empty());
        let json = serde_json::to_string(&frame).map_err(|e| FormatError { line: at(0), message: e.to_string() })?;
        let owned = |chunks: Vec<Chunk<'a>>| -> Vec<Labelled<'a>> {
            chunks.into_iter().map(|(start, end, kind)| (start, end, Cow::Borrowed(kind))).collect()
        };
        let sentence = Sentence {
            tokens: lines.tokens.iter().map(|t| Cow::Borrowed(*t)).collect(),
            entities: owned(entities),
            gold: owned(gold),
            unknown,
            extra: (json != "{}").then_some(json),
        };
        self.builder.push(sentence).map_err(|message| FormatError { line: at(0), message })
    }

    fn frame(&mut self, lines: &Lines, entities: &[Chunk], unknown: &[(u32, u32)]) -> Frame {
        let layout = &self.layout;
        let before = std::mem::take(&mut self.between);
        let usual_before = usual_between(layout, self.builder.n_sentences());
        let usual = usual_parts(layout);
        let tagged = canonical(layout, lines.tokens.len(), entities, unknown);
        let is_usual = tagged.tags == lines.tags && (!layout.mask || tagged.mask == lines.mask);
        Frame {
            before: (before != usual_before).then_some(before),
            lines: if lines.parts.iter().all(|p| *p == usual) {
                Vec::new()
            } else {
                lines.parts.iter().map(|p| p.map(str::to_owned)).collect()
            },
            tags: if is_usual { Vec::new() } else { lines.tags.iter().map(|t| (*t).to_owned()).collect() },
            mask: if is_usual || !layout.mask { Vec::new() } else { lines.mask.clone() },
        }
    }
}

/// Tags as this layout says unknown spans: by its mask, else by tags.
fn canonical<'a>(
    layout: &'a Conll,
    n_tokens: usize,
    entities: &[Chunk<'a>],
    unknown: &[(u32, u32)],
) -> tags::Tagged<'a> {
    tags::tag(n_tokens, entities, unknown, layout.scheme, (!layout.mask).then_some(layout.ignore.as_str()))
}

fn end_of_line(layout: &Conll) -> &'static str {
    if layout.crlf { "\r\n" } else { "\n" }
}

fn separator(layout: &Conll) -> &'static str {
    match layout.separator {
        Separator::Tab => "\t",
        Separator::Blank => " ",
    }
}

/// What usually stands before a sentence: a blank line, but for the first.
fn usual_between(layout: &Conll, sentence: usize) -> &'static str {
    if sentence == 0 { "" } else { end_of_line(layout) }
}

/// What usually stands around token and label in a line.
fn usual_parts(layout: &Conll) -> [&'static str; 4] {
    ["", separator(layout), if layout.mask { separator(layout) } else { "" }, end_of_line(layout)]
}

// ---------------------------------------------------------------- writing

pub(super) fn write(corpus: &Corpus, layout: &Conll, unknown: Option<&UnknownAs>) -> Written {
    let mut to = layout.clone();
    match unknown {
        Some(UnknownAs::Tag(name)) => {
            to.ignore.clone_from(name);
            to.mask = false;
        }
        Some(UnknownAs::Mask) => to.mask |= !corpus.unknown.is_empty(),
        None => to.mask |= !corpus.unknown.is_empty() && !layout.has_ignore_tags,
    }
    to.n_columns = to.n_columns.saturating_add(to.mask.into()).saturating_sub(layout.mask.into());
    // Else the first token would lose its own.
    to.bom |= corpus.tokens.sentence(0).next().is_some_and(|token| token.starts_with(bom(true)));
    let mut writer = Writer {
        corpus,
        from: layout,
        to: &to,
        out: String::from(bom(to.bom)),
        n_written: 0,
        losses: Losses::default(),
        n_empty: 0,
        n_altered: 0,
    };
    (0..corpus.n_sentences() as u32).for_each(|sentence| writer.sentence(sentence));
    writer.out.push_str(&layout.tail);
    let notes = writer.notes();
    Written { content: Content::Text(writer.out), layout: Layout::Conll(to), notes }
}

struct Writer<'a> {
    corpus: &'a Corpus,
    from: &'a Conll,
    to: &'a Conll,
    out: String,
    n_written: usize,
    losses: Losses,
    /// Sentences without tokens.
    n_empty: usize,
    /// Tokens and types that a column cannot hold as they are.
    n_altered: usize,
}

impl<'a> Writer<'a> {
    fn sentence(&mut self, sentence: u32) {
        let corpus = self.corpus;
        let tokens = corpus.tokens.sentence(sentence);
        let n_tokens = tokens.len();
        // A frame that is not ours says nothing: the sentence is written as usual.
        let frame: Frame =
            corpus.extra_of(sentence).and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        if n_tokens == 0 {
            self.n_empty += 1;
            self.out.push_str(frame.before.as_deref().unwrap_or_default());
            return;
        }
        self.out.push_str(frame.before.as_deref().unwrap_or(usual_between(self.from, self.n_written)));
        self.n_written += 1;
        let entities: Vec<Chunk<'a>> = corpus
            .entities_of(sentence)
            .iter()
            .map(|e| (e.span.start, e.span.end, corpus.labels.name(e.label)))
            .collect();
        let unknown: Vec<(u32, u32)> = corpus.unknown_of(sentence).iter().map(|s| (s.start, s.end)).collect();
        let (tags, mask) = match self.as_they_came(&frame, n_tokens, &entities, &unknown) {
            Some(same) => same,
            None => {
                let tagged = canonical(self.to, n_tokens, &entities, &unknown);
                self.losses.add(&tagged);
                (tagged.tags, tagged.mask)
            }
        };
        let usual = usual_parts(self.from).map(str::to_owned);
        let lines = if frame.lines.len() == n_tokens { frame.lines } else { vec![usual; n_tokens] };
        let mut mask = mask.into_iter();
        for ((token, tag), parts) in tokens.zip(&tags).zip(&lines) {
            self.line(token, tag, mask.next().unwrap_or(false), parts);
        }
    }

    /// Tags and mask of an unchanged sentence whose tags are not those the scheme would give.
    fn as_they_came(
        &self,
        frame: &Frame,
        n_tokens: usize,
        entities: &[Chunk<'a>],
        unknown: &[(u32, u32)],
    ) -> Option<(Vec<Cow<'a, str>>, Vec<bool>)> {
        let same_marks = self.from.mask == self.to.mask && self.from.ignore == self.to.ignore;
        if frame.tags.len() != n_tokens || !(same_marks || unknown.is_empty()) {
            return None;
        }
        let tags: Vec<&str> = frame.tags.iter().map(String::as_str).collect();
        let (mut was, were_unknown) = tags::untag(&tags, &frame.mask, self.from.scheme, &self.from.ignore).ok()?;
        let (mut is, mut are_unknown) = (entities.to_vec(), unknown.to_vec());
        was.sort_unstable();
        is.sort_unstable();
        are_unknown.sort_unstable();
        let is_same = was == is && were_unknown == are_unknown;
        is_same.then(|| (frame.tags.iter().map(|t| Cow::Owned(t.clone())).collect(), frame.mask.clone()))
    }

    fn line(&mut self, token: &str, tag: &str, masked: bool, [before, between, after, end]: &[String; 4]) {
        let token_first = self.to.token_column < self.to.label_column;
        let token = self.fitting(token, token_first && before.is_empty());
        let tag = self.fitting(tag, !token_first && before.is_empty());
        let (a, b) = if token_first { (&token, &tag) } else { (&tag, &token) };
        let after = match (self.from.mask, self.to.mask) {
            (true, false) => after.trim_end_matches([' ', '\t']),
            _ => after,
        };
        for part in [before, a.as_ref(), between, b.as_ref(), after] {
            self.out.push_str(part);
        }
        if self.to.mask {
            if !self.from.mask {
                self.out.push_str(separator(self.to));
            }
            self.out.push(if masked { '1' } else { '0' });
        }
        self.out.push_str(end);
    }

    /// The text as a column can hold it. `begins_line`: where it must not look like the mark of a document.
    fn fitting<'t>(&mut self, text: &'t str, begins_line: bool) -> Cow<'t, str> {
        let breaks = |c: char| match self.to.separator {
            Separator::Tab => "\t\n\r".contains(c),
            Separator::Blank => " \t\n\r".contains(c),
        };
        let is_empty = text.is_empty() && self.to.separator == Separator::Blank;
        let is_mark = begins_line && text.starts_with(DOCSTART);
        if !is_empty && !is_mark && !text.contains(breaks) {
            return Cow::Borrowed(text);
        }
        self.n_altered += 1;
        let altered = text.replace(breaks, "_");
        Cow::Owned(if is_empty || is_mark { format!("_{altered}") } else { altered })
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = self.losses.notes();
        if self.n_empty > 0 {
            notes.push(format!("{} without tokens left out", count(self.n_empty, "sentence")));
        }
        if self.n_altered > 0 {
            notes.push(format!(
                "{} not fit for a column (white space, empty, {DOCSTART}), written with _",
                count(self.n_altered, "token or tag")
            ));
        }
        notes
    }
}
