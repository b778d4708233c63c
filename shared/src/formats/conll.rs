//! CoNLL columns: one line per token with its tag, and a blank line after each sentence.
//!
//! ```text
//! Ada    B-PER
//! Lovelace    I-PER
//! wrote    O
//! ```
//! Other columns, comments (`#`), `-DOCSTART-` lines and blank lines are kept unchanged. A last column with only 0
//! and 1 is a mask: 1 means that the token's label is unknown.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::builder::{Builder, Labelled, Sentence};
use super::layout::{Conll, Layout, Separator};
use super::scheme::Evidence;
use super::source::{Source, bom};
use super::tags::{self, Chunk, Losses};
use super::{Content, FormatError, Layers, ReadOptions, UnknownAs, Written, count};
use crate::corpus::Corpus;
use crate::corpus::notation::{Notation, Scheme};

const DOCSTART: &str = "-DOCSTART-";

/// The text of a sentence's lines besides tokens and labels. Parts that are as usual in the file are left out.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Frame {
    /// Lines before the sentence: blank lines and comments.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
    /// For each line, four texts: before the first of token and label; between them; after both, up to the mask or
    /// the end; and the end of the line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<[String; 4]>,
    /// The tags of the file, if they are not the tags that the scheme gives.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    /// The mask of the file, if tags or mask are not as usual.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mask: Vec<bool>,
}

// ---------------------------------------------------------------- lines

/// Splits the content of a line into fields.
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

/// Whether a line is certainly not a token: it is blank or marks a document.
fn is_between(line: &str) -> bool {
    is_blank(line) || line.starts_with(DOCSTART)
}

fn offset(line: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(line.as_ptr() as usize)
}

/// Whether a line that begins with `#` is a token. It is one if it has the same number of columns as other lines,
/// a tag in the label column (or a label of the file, if labels are types), and a mask if the file has one.
fn is_token_with_hash(fields: &[&str], layout: &Conll, labels: &Evidence) -> bool {
    let is_label = |tag: &&str| match &layout.key {
        Some(key) => value_of(tag, key).is_some(),
        None => tags::is_tag(tag) || labels.has(tag),
    };
    let is_mask = |field: &&str| !layout.mask || matches!(*field, "0" | "1");
    let is_setting = layout.separator == Separator::Blank && fields.len() > 3 && fields.get(2) == Some(&"=");
    !is_setting
        && fields.len() == layout.n_columns
        && fields.get(layout.label_column).is_some_and(is_label)
        && fields.last().is_some_and(is_mask)
}

/// The value of `key` in a field of the form `name=value|name=value`.
fn value_of<'a>(field: &'a str, key: &str) -> Option<&'a str> {
    field.split('|').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
}

// ---------------------------------------------------------------- what the file looks like

/// Names of columns in a header line.
const NAMES: [&str; 22] = [
    "token",
    "tokens",
    "word",
    "words",
    "form",
    "text",
    "sentence",
    "sentence #",
    "id",
    "pos",
    "lemma",
    "misc",
    "tag",
    "tags",
    "label",
    "labels",
    "ner",
    "ner_tag",
    "ner_tags",
    "ne",
    "entity",
    "entities",
];

fn names_columns(fields: &[&str]) -> bool {
    let is_name = |field: &&&str| {
        let field = field.trim().to_lowercase();
        NAMES.contains(&field.as_str()) || field.starts_with("ne-") || field.starts_with("ne_")
    };
    fields.iter().filter(is_name).count() >= 2
}

/// The columns of a file and the position of its header.
struct Shape {
    layout: Conll,
    /// Number of the header line (from 0), if there is one.
    header: Option<usize>,
    /// Whether all lines begin with `#`.
    only_hashes: bool,
    notes: Vec<String>,
}

fn shape(source: &Source, options: &ReadOptions) -> Result<Shape, FormatError> {
    let lines = || source.text.split_inclusive('\n').enumerate().filter(|(_, line)| !is_between(line));
    // If all lines begin with `#`, the `#` belongs to the tokens.
    let only_hashes = lines().all(|(_, line)| line.starts_with('#'));
    let with_header = || lines().filter(|(_, line)| only_hashes || !line.starts_with('#'));
    let separator = if with_header().all(|(_, line)| line.contains('\t')) { Separator::Tab } else { Separator::Blank };
    let mut fields = Vec::new();
    let header = with_header().next().filter(|(_, line)| {
        split(line, separator, &mut fields);
        // If the last field occurs again in later lines, it is a label, and the line is not a header.
        let again = fields.last().is_some_and(|last| {
            with_header().skip(1).any(|(_, other)| other.split([' ', '\t', '\n', '\r']).any(|field| field == *last))
        });
        names_columns(&fields) && !again && with_header().nth(1).is_some()
    });
    let all = || with_header().filter(|(number, _)| Some(*number) != header.map(|(number, _)| number));
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
    let mut notes = Vec::new();
    if let Some((_, line)) = header {
        let line = line.trim_end().chars().take(60).collect::<String>();
        notes.push(format!("the first line is a header and not a token: {line:?}"));
    }
    let token_column = match options.token_column {
        Some(column) => number(&column.to_string(), "the token column")?,
        None if label_column > 1 && n_columns > 2 && counts_tokens(source, separator) => {
            notes.push("the first column numbers the tokens, which are taken from column 2 (--token-column)".into());
            1
        }
        None => 0,
    };
    if token_column == label_column {
        let message = format!("column {} cannot hold both tokens and labels; choose two columns", label_column + 1);
        return Err(FormatError { line: first + 1, message });
    }
    let layout = Conll {
        separator,
        token_column,
        label_column,
        n_columns,
        mask: last_is_mask && label_column + 1 < n_columns && token_column + 1 < n_columns,
        ignore: options.ignore(),
        crlf: line.ends_with("\r\n"),
        bom: source.bom,
        ..Conll::default()
    };
    Ok(Shape { layout, header: header.map(|(number, _)| number), only_hashes, notes })
}

/// Whether the first column counts 1, 2, 3, … in every sentence, and at least one sentence has two tokens.
fn counts_tokens(source: &Source, separator: Separator) -> bool {
    let mut fields = Vec::new();
    let (mut due, mut highest) = (1, 0);
    for line in source.text.split_inclusive('\n') {
        if is_between(line) || line.starts_with('#') {
            due = 1;
            continue;
        }
        split(line, separator, &mut fields);
        if fields.first().and_then(|first| first.parse::<usize>().ok()) != Some(due) {
            return false;
        }
        highest = highest.max(due);
        due += 1;
    }
    highest > 1
}

/// Calls `each` for every line: with its fields and whether it begins with `#`, or with `None` if it is not a
/// token.
fn each_row<'a>(source: &Source<'a>, shape: &Shape, mut each: impl FnMut(Option<(&[&'a str], bool)>)) {
    let mut fields = Vec::new();
    for (number, line) in source.text.split_inclusive('\n').enumerate() {
        if is_between(line) || Some(number) == shape.header {
            each(None);
            continue;
        }
        split(line, shape.layout.separator, &mut fields);
        each(Some((&fields, line.starts_with('#'))));
    }
}

/// Finds the key of the tags in a column of the form `name=value|name=value`.
fn key(source: &Source, shape: &Shape, column: usize) -> Option<String> {
    // Numbers of values for each name: entity tags, `O`, other values.
    let mut values: Vec<(&str, [usize; 3])> = Vec::new();
    each_row(source, shape, |row| {
        let Some((fields, false)) = row else { return };
        let Some(field) = fields.get(column).filter(|field| field.contains('=')) else { return };
        for (name, value) in field.split('|').filter_map(|pair| pair.split_once('=')) {
            let sort = if value == "O" { 1 } else { 2 * usize::from(!tags::is_tag(value)) };
            let place = values.iter().position(|(n, _)| *n == name).unwrap_or_else(|| {
                values.push((name, [0; 3]));
                values.len() - 1
            });
            if let Some(n) = values.get_mut(place).and_then(|(_, counts)| counts.get_mut(sort)) {
                *n += 1;
            }
        }
    });
    let of_tags = values.into_iter().filter(|(_, [entities, _, others])| *entities > 0 && *others == 0);
    of_tags.max_by_key(|(_, [entities, outside, _])| entities + outside).map(|(name, _)| name.to_owned())
}

/// The label in a column. It is the value of `key`, if there is one; an id is replaced by its name.
fn label_at<'x>(fields: &[&'x str], column: usize, key: Option<&str>, names: &Names<'x>) -> Option<&'x str> {
    let field = fields.get(column)?;
    let label = key.map_or(Some(*field), |key| value_of(field, key))?;
    Some(names.get(label).copied().unwrap_or(label))
}

/// Collects the labels of a column.
fn evidence<'x>(source: &Source<'x>, shape: &Shape, column: usize, key: Option<&str>, names: &Names<'x>) -> Evidence {
    let mut evidence = Evidence::default();
    // The labels decide which lines with `#` are tokens, so they are collected first.
    each_row(source, shape, |row| {
        let fields = row.filter(|(_, has_hash)| !has_hash || shape.only_hashes);
        if let Some(label) = fields.and_then(|(fields, _)| label_at(fields, column, key, names)) {
            evidence.know(label);
        }
    });
    each_row(source, shape, |row| {
        let Some((fields, has_hash)) = row else { return evidence.end_sentence() };
        if has_hash && !is_token_with_hash(fields, &shape.layout, &evidence) {
            return;
        }
        if let Some(label) = label_at(fields, column, key, names) {
            evidence.see(label);
        }
    });
    evidence
}

/// Names of tag ids, with the ids as text.
type Names<'a> = HashMap<String, &'a str>;

fn names(ids: Option<&[(i64, String)]>) -> Names<'_> {
    ids.unwrap_or_default().iter().map(|(id, name)| (id.to_string(), name.as_str())).collect()
}

/// Names in words the other columns that hold tags.
fn columns_of_tags(source: &Source, shape: &Shape) -> String {
    let is_of_tags = |column: &usize| {
        let evidence = evidence(source, shape, *column, None, &Names::new());
        let judged = evidence.judge(None, &shape.layout.ignore);
        *column != shape.layout.label_column
            && judged.is_ok_and(|judged| judged.notation.scheme != Scheme::Plain && evidence.has_other_than("O"))
    };
    let columns: Vec<String> =
        (0..shape.layout.n_columns).filter(is_of_tags).map(|column| (column + 1).to_string()).collect();
    match columns.as_slice() {
        [] => String::new(),
        [column] => format!("; column {column} holds tags"),
        columns => format!("; columns {} hold tags", columns.join(", ")),
    }
}

// ---------------------------------------------------------------- reading

/// The lines of the current sentence.
#[derive(Default)]
struct Lines<'a> {
    /// Line number of each token, from 1.
    first: Vec<usize>,
    tokens: Vec<&'a str>,
    tags: Vec<&'a str>,
    gold: Vec<&'a str>,
    mask: Vec<bool>,
    parts: Vec<[&'a str; 4]>,
}

/// How to read a second label layer.
struct Gold {
    column: usize,
    key: Option<String>,
    notation: Notation,
}

struct Reader<'a> {
    layout: Conll,
    gold: Option<Gold>,
    names: Names<'a>,
    builder: Builder,
    /// The lines since the last sentence.
    between: String,
    lines: Lines<'a>,
    /// Number of sentences whose tags break the scheme.
    irregular: usize,
}

pub(super) fn read(source: &Source, options: &ReadOptions) -> Result<Layers, FormatError> {
    let mut shape = shape(source, options)?;
    let ids = options.tags.as_ref().map(super::TagNames::pairs);
    let no_names = Names::new();
    let label_column = shape.layout.label_column;
    shape.layout.key = key(source, &shape, label_column);
    let mut labels = evidence(source, &shape, label_column, shape.layout.key.as_deref(), &no_names);
    if ids.is_some() && labels.are_numbers() {
        shape.layout.ids = ids.map(<[_]>::to_vec);
        labels = evidence(source, &shape, label_column, shape.layout.key.as_deref(), &names(ids));
    }
    let judge = |labels: &Evidence, column: usize| {
        labels.judge(options.scheme, &shape.layout.ignore).map_err(|message| {
            let first = source.text.split_inclusive('\n').position(|line| !is_between(line) && !line.starts_with('#'));
            let others = columns_of_tags(source, &shape);
            let line = first.map_or(1, |first| first + 1 + usize::from(Some(first) == shape.header));
            FormatError { line, message: format!("column {}: {message}{others}", column + 1) }
        })
    };
    let judged = judge(&labels, label_column)?;
    let gold_column = options.gold.as_deref().and_then(|g| g.parse::<usize>().ok()?.checked_sub(1));
    let gold = match gold_column {
        Some(column) => {
            let key = key(source, &shape, column);
            let labels = evidence(source, &shape, column, key.as_deref(), &names(shape.layout.ids.as_deref()));
            Some(Gold { column, key, notation: judge(&labels, column)?.notation })
        }
        None => None,
    };
    let Shape { mut layout, header, notes, only_hashes: _ } = shape;
    (layout.scheme, layout.spelling) = (judged.notation.scheme, judged.notation.spelling);
    let mut builder = Builder::new(gold.is_some());
    builder.notes.extend(notes.into_iter().chain(judged.note));
    if let Some(key) = &layout.key {
        builder.notes.push(format!("tags are taken from `{key}=` in column {}", label_column + 1));
    }
    let names = if layout.ids.is_some() { names(ids) } else { no_names };
    let mut reader =
        Reader { layout, gold, names, builder, between: String::new(), lines: Lines::default(), irregular: 0 };
    let mut fields = Vec::new();
    for (number, line) in (1..).zip(source.text.split_inclusive('\n')) {
        let ends_sentence = is_between(line) || header.is_some_and(|header| header + 1 == number);
        if !ends_sentence {
            split(line, reader.layout.separator, &mut fields);
            if !line.starts_with('#') || is_token_with_hash(&fields, &reader.layout, &labels) {
                reader.token(number, line, &fields)?;
                continue;
            }
        }
        // A comment inside a sentence also ends the sentence, because there is no other place to keep it.
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
        let tag = &match &layout.key {
            Some(key) => value_of(tag, key).ok_or_else(|| {
                error(format!("{tag:?} has no `{key}=`, as other lines have; write `{key}=O` where there is no entity"))
            })?,
            None => tag,
        };
        if layout.ids.is_some() && !self.names.contains_key(*tag) {
            return Err(error(format!("tag id {tag:?} has no name; give all names with --tags")));
        }
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
        if let Some(gold) = &self.gold {
            let field = fields.get(gold.column).copied().unwrap_or_default();
            let tag = gold.key.as_deref().map_or(Some(field), |key| value_of(field, key)).unwrap_or_default();
            self.lines.gold.push(self.names.get(tag).copied().unwrap_or(tag));
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
        let (notation, ignore) = (self.layout.notation(), self.layout.ignore.as_str());
        let named: Vec<&'a str> = lines.tags.iter().map(|tag| self.names.get(*tag).copied().unwrap_or(tag)).collect();
        let (entities, unknown) = tags::untag(&named, &lines.mask, notation, ignore).map_err(bad_tag)?;
        let gold = match &self.gold {
            Some(gold) => tags::untag(&lines.gold, &[], gold.notation, ignore).map_err(bad_tag)?.0,
            None => Vec::new(),
        };
        self.layout.has_ignore_tags |= lines.mask.iter().all(|masked| !masked) && !unknown.is_empty();
        let frame = self.frame(&lines, &named, &entities, &unknown);
        let breaks_scheme = !frame.tags.is_empty() && frame.mask.is_empty() && notation.scheme != Scheme::Brackets;
        self.irregular += usize::from(breaks_scheme);
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

    fn frame(&mut self, lines: &Lines, named: &[&str], entities: &[Chunk], unknown: &[(u32, u32)]) -> Frame {
        let layout = &self.layout;
        let before = std::mem::take(&mut self.between);
        let usual_before = usual_between(layout, self.builder.n_sentences());
        let usual = usual_parts(layout);
        let tagged = canonical(layout, lines.tokens.len(), entities, unknown);
        let is_usual = tagged.tags == named && (!layout.mask || tagged.mask == lines.mask);
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

/// The tags that this layout usually has. Unknown spans are marked by its mask, or else by tags.
fn canonical<'a>(
    layout: &'a Conll,
    n_tokens: usize,
    entities: &[Chunk<'a>],
    unknown: &[(u32, u32)],
) -> tags::Tagged<'a> {
    tags::tag(n_tokens, entities, unknown, layout.notation(), (!layout.mask).then_some(layout.ignore.as_str()))
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

/// The usual text before a sentence: a blank line, except before the first sentence.
fn usual_between(layout: &Conll, sentence: usize) -> &'static str {
    if sentence == 0 { "" } else { end_of_line(layout) }
}

/// The usual text around token and label in a line.
fn usual_parts(layout: &Conll) -> [&'static str; 4] {
    ["", separator(layout), if layout.mask { separator(layout) } else { "" }, end_of_line(layout)]
}

/// Whether there are comments or a header before a sentence.
pub(super) fn has_further_lines(frame: &str) -> bool {
    let frame: Frame = serde_json::from_str(frame).unwrap_or_default();
    frame.before.is_some_and(|before| before.lines().any(|line| !is_between(line)))
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
    // Otherwise the first token would lose its own byte order mark.
    to.bom |= corpus.tokens.sentence(0).next().is_some_and(|token| token.starts_with(bom(true)));
    let mut writer = Writer {
        corpus,
        from: layout,
        to: &to,
        out: String::from(bom(to.bom)),
        n_written: 0,
        losses: Losses::default(),
        ids: layout.ids.as_ref().map(|ids| ids.iter().rev().map(|(id, name)| (name.as_str(), *id)).collect()),
        names: names(layout.ids.as_deref()),
        n_unnamed: 0,
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
    /// If the tags are ids: the id of each tag name. `names` has the name of each id.
    ids: Option<HashMap<&'a str, i64>>,
    names: Names<'a>,
    /// Number of entities whose type has no id.
    n_unnamed: usize,
    /// Number of sentences without tokens.
    n_empty: usize,
    /// Number of tokens and tags that a column cannot hold unchanged.
    n_altered: usize,
}

impl<'a> Writer<'a> {
    fn sentence(&mut self, sentence: u32) {
        let corpus = self.corpus;
        let tokens = corpus.tokens.sentence(sentence);
        let n_tokens = tokens.len();
        // A frame from elsewhere is ignored, and the sentence is written as usual.
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
                let (named, n_unnamed) = tags::with_ids(entities, self.ids.as_ref(), self.to.notation());
                self.n_unnamed += n_unnamed;
                let tagged = canonical(self.to, n_tokens, &named, &unknown);
                self.losses.add(&tagged);
                let tags = tagged.tags.into_iter();
                (tags.map(|tag| tags::id_of(&tag, self.ids.as_ref()).map_or(tag, Cow::Owned)).collect(), tagged.mask)
            }
        };
        let usual = usual_parts(self.from).map(str::to_owned);
        let lines = if frame.lines.len() == n_tokens { frame.lines } else { vec![usual; n_tokens] };
        let mut mask = mask.into_iter();
        for ((token, tag), parts) in tokens.zip(&tags).zip(&lines) {
            self.line(token, tag, mask.next().unwrap_or(false), parts);
        }
    }

    /// The original tags and mask of an unchanged sentence, if they are not the usual ones.
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
        let named = |tag: &'_ String| self.names.get(tag).map_or_else(|| tag.clone(), |name| (*name).to_owned());
        let tags: Vec<String> = frame.tags.iter().map(named).collect();
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        let (mut was, were_unknown) = tags::untag(&tags, &frame.mask, self.from.notation(), &self.from.ignore).ok()?;
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

    /// Changes a text so that a column can hold it. If `begins_line`, it must not look like the mark of a
    /// document.
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
        notes.extend(tags::unnamed_note(self.n_unnamed));
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
