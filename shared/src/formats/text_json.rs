//! JSON with raw text and labels at character offsets: spaCy and Prodigy (`spans`), Doccano
//! (`label`, or `entities` with offsets), as JSON Lines or as an array.
//!
//! ```json
//! {"text": "Ada wrote.", "spans": [{"start": 0, "end": 3, "label": "PER"}]}
//! {"text": "Ada wrote.", "label": [[0, 3, "PER"]]}
//! ```
//! Offsets count characters (code points), the end is exclusive. Tokens are those of
//! [`super::tokenise`], or a record's own `tokens` with `start` and `end` (Prodigy). Unknown spans
//! stand in `unknown`: `[[start, end], ...]`.

use std::borrow::Cow;
use std::ops::ControlFlow;

use serde::Deserialize;

use super::builder::{Builder, Sentence};
use super::json::{self, Fields, Record};
use super::layout::{Layout, MarkShape, TextJson};
use super::marked_text::{Fate, Labels, Text, joined};
use super::source::Source;
use super::{Content, FormatError, Layers, ReadOptions, Written, count};
use crate::corpus::Corpus;

const SPAN_FIELDS: [&str; 4] = ["spans", "label", "labels", "entities"];
const TOKENS: &str = "tokens";
const UNKNOWN: &str = "unknown";
const EXPECTED: &str =
    "records such as {\"text\": \"Ada wrote.\", \"spans\": [{\"start\": 0, \"end\": 3, \"label\": \"PER\"}]}";

/// A labelled span as it stands in a record.
struct Mark<'a> {
    raw: &'a str,
    start: usize,
    end: usize,
    label: String,
}

#[derive(Deserialize)]
struct Offsets {
    start: usize,
    end: usize,
}

fn mark(raw: &str) -> serde_json::Result<Mark<'_>> {
    #[derive(Deserialize)]
    struct Object {
        #[serde(alias = "start_offset")]
        start: usize,
        #[serde(alias = "end_offset")]
        end: usize,
        label: String,
    }
    if raw.starts_with('[') {
        let (start, end, label) = serde_json::from_str(raw)?;
        Ok(Mark { raw, start, end, label })
    } else {
        let Object { start, end, label } = serde_json::from_str(raw)?;
        Ok(Mark { raw, start, end, label })
    }
}

fn shape(raw: &str) -> MarkShape {
    if raw.starts_with('[') {
        MarkShape::Triple
    } else if json::fields(raw).is_ok_and(|fields| fields.get("start_offset").is_some()) {
        MarkShape::OffsetObject
    } else {
        MarkShape::Object
    }
}

/// The field of the labels, and how they are written.
fn layout(source: &Source, options: &ReadOptions) -> Result<TextJson, FormatError> {
    let mut found: Option<String> = options.label.clone();
    let mut shape_found = None;
    json::for_each(source.text, EXPECTED, |record| {
        let fields = record.fields()?;
        if found.is_none() {
            found = SPAN_FIELDS.iter().find(|name| fields.get(name).is_some()).map(|name| (*name).to_owned());
        }
        let items = found.as_deref().and_then(|name| json::items(fields.get(name)?).ok());
        shape_found = items.and_then(|items| items.first().map(|item| shape(item)));
        Ok(if shape_found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    let default = || options.unlabelled.then(|| TextJson::default().spans);
    let spans = found.or_else(default).ok_or_else(|| FormatError {
        line: 1,
        message: format!("no record has a field of labels ({}); name it with --label-column", SPAN_FIELDS.join(", ")),
    })?;
    let shape = shape_found.unwrap_or(if spans == "label" { MarkShape::Triple } else { MarkShape::Object });
    Ok(TextJson { container: json::container(source.text), text: "text".into(), spans, shape })
}

/// A record's own tokens.
fn own_tokens(fields: &Fields) -> Option<Vec<(usize, usize)>> {
    let offsets: Vec<Offsets> = serde_json::from_str(fields.present(TOKENS)?).ok()?;
    Some(offsets.into_iter().map(|t| (t.start, t.end)).collect())
}

fn tokens_of<'t>(text: &'t str, fields: &Fields) -> Option<Text<'t>> {
    match own_tokens(fields) {
        Some(tokens) => Text::with_tokens(text, tokens),
        None => Some(Text::new(text)),
    }
}

pub(super) fn read(source: &Source, options: &ReadOptions) -> Result<Layers, FormatError> {
    let layout = layout(source, options)?;
    let mut builder = Builder::new(options.gold.is_some());
    let mut n_misaligned = 0;
    json::for_each(source.text, EXPECTED, |record| {
        let sentence = read_record(&record, &layout, options.gold.as_deref(), &mut n_misaligned)?;
        builder.push(sentence).map_err(|message| record.error(message))?;
        Ok(ControlFlow::Continue(()))
    })?;
    builder.notes.extend(misaligned_note(n_misaligned));
    builder.finish(Layout::TextJsonl(layout))
}

/// What users are told about labels between tokens.
pub(super) fn misaligned_note(n: usize) -> Option<String> {
    (n > 0)
        .then(|| format!("{} off the token boundaries: kept as they are, but they cannot be judged", count(n, "label")))
}

fn read_record(
    record: &Record,
    layout: &TextJson,
    gold: Option<&str>,
    n_misaligned: &mut usize,
) -> Result<Sentence<'static>, FormatError> {
    let fields = record.fields()?;
    for name in [layout.text.as_str(), layout.spans.as_str(), UNKNOWN] {
        if fields.is_double(name) {
            return Err(record.error(format!("field `{name}` stands twice in one record; keep one of them")));
        }
    }
    let raw = fields
        .get(&layout.text)
        .ok_or_else(|| record.error(format!("missing field `{}`; expected {EXPECTED}", layout.text)))?;
    let text: String = record.parse(raw, &layout.text, "a string")?;
    let text = tokens_of(&text, &fields).ok_or_else(|| {
        record.error("the record's `tokens` are not in order or outside its text; correct or drop them")
    })?;
    let n_characters = text.n_characters();
    let outside = |part: &str, start: usize, end: usize| {
        let message = format!(
            "[{start}, {end}] is not inside the text of {}; offsets count characters from 0, the end exclusive",
            count(n_characters, "character")
        );
        record.error_at(part, message)
    };
    let mut aligned = |name: &str| -> Result<Vec<(u32, u32, Cow<'static, str>)>, FormatError> {
        let mut labels = Vec::new();
        let items = fields.present(name).map_or(Ok(Vec::new()), |raw| record.items(raw, name))?;
        for item in items {
            let mark = mark(item).map_err(|_| {
                record.error_at(item, format!("`{name}` holds {}; expected {{\"start\": 0, \"end\": 3, \"label\": \"PER\"}} or [0, 3, \"PER\"]", excerpt(item)))
            })?;
            if mark.start > mark.end || mark.end > n_characters {
                return Err(outside(item, mark.start, mark.end));
            }
            match text.align(mark.start, mark.end) {
                Some((first, last)) => labels.push((first, last, Cow::Owned(mark.label))),
                None => *n_misaligned += 1,
            }
        }
        Ok(labels)
    };
    let entities = aligned(&layout.spans)?;
    let gold = gold.map_or(Ok(Vec::new()), &mut aligned)?;
    let mut unknown = Vec::new();
    if let Some(raw) = fields.present(UNKNOWN) {
        for (start, end) in record.parse::<Vec<(usize, usize)>>(raw, UNKNOWN, "[[start, end], ...] in characters")? {
            if start > end || end > n_characters {
                return Err(outside(raw, start, end));
            }
            unknown.extend(text.align(start, end));
        }
    }
    Ok(Sentence {
        tokens: text.tokens().map(|token| Cow::Owned(token.to_owned())).collect(),
        entities,
        gold,
        unknown,
        extra: Some(record.raw.to_owned()),
    })
}

/// The beginning of a piece of JSON.
fn excerpt(raw: &str) -> String {
    let short: String = raw.chars().take(40).collect();
    if short.len() < raw.len() { format!("{short}…") } else { short }
}

// ---------------------------------------------------------------- writing

pub(super) fn write(corpus: &Corpus, layout: &TextJson) -> Written {
    let records = (0..corpus.n_sentences() as u32).map(|sentence| {
        let record = corpus.extra_of(sentence);
        record.and_then(|raw| edited(corpus, sentence, raw, layout)).unwrap_or_else(|| made(corpus, sentence, layout))
    });
    let content = Content::Text(json::file(layout.container, records));
    Written { content, layout: Layout::TextJsonl(layout.clone()), notes: Vec::new() }
}

/// The record as it came, with the labels as they are now; `None` where it is not the sentence's.
fn edited(corpus: &Corpus, sentence: u32, raw: &str, layout: &TextJson) -> Option<String> {
    let fields = json::fields(raw).ok()?;
    let text: String = serde_json::from_str(fields.get(&layout.text)?).ok()?;
    let text = tokens_of(&text, &fields)?;
    if !text.tokens().eq(corpus.tokens.sentence(sentence)) {
        return None;
    }
    let has_own_tokens = own_tokens(&fields).is_some();
    let mut labels = Labels::default();
    labels.add(corpus, sentence, 0);
    let mut spans = Vec::new();
    let had = fields.present(&layout.spans).map_or(Some(Vec::new()), |raw| json::items(raw).ok())?;
    for item in &had {
        let mark = mark(item).ok()?;
        let fate = match text.align(mark.start, mark.end) {
            Some(span) => labels.fate(span, &mark.label),
            None => Fate::Keep,
        };
        match fate {
            Fate::Keep => spans.push((*item).to_owned()),
            Fate::Relabel(label) => spans.push(relabelled(&mark, label)?),
            Fate::Drop => {}
        }
    }
    let changed_before_adding = spans != had;
    for (span, label) in labels.added() {
        spans.push(new_mark(&text, span, label, layout, has_own_tokens)?);
    }
    let had_unknown: Vec<(usize, usize)> = match fields.present(UNKNOWN) {
        Some(raw) => serde_json::from_str(raw).ok()?,
        None => Vec::new(),
    };
    let is_same = !changed_before_adding && spans.len() == had.len();
    let spans = if is_same { None } else { Some(json::array(spans)) };
    let unknown = unknown_field(&text, &labels, &had_unknown);
    let mut missing = vec![(layout.spans.as_str(), &spans), (UNKNOWN, &unknown)];
    let mut out = Vec::new();
    for (name, value) in &fields.0 {
        missing.retain(|(n, _)| n != name);
        match name.as_str() {
            n if n == layout.spans => out.push((name.as_str(), spans.as_deref().unwrap_or(value))),
            UNKNOWN => match &unknown {
                Some(unknown) => out.push((UNKNOWN, unknown)),
                // Listed, and nothing of it is unknown any more.
                None if !had_unknown.is_empty() => {}
                None => out.push((UNKNOWN, value)),
            },
            name => out.push((name, value)),
        }
    }
    out.extend(missing.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))));
    Some(json::object(out))
}

/// The characters of unknown spans; those of the record between tokens stay.
pub(super) fn unknown_field(text: &Text, labels: &Labels, had: &[(usize, usize)]) -> Option<String> {
    let mut left: std::collections::BTreeSet<(u32, u32)> = labels.unknown.clone();
    let mut spans: Vec<(usize, usize)> = Vec::new();
    for &(start, end) in had {
        match text.align(start, end) {
            Some(span) if !left.remove(&span) => {}
            _ => spans.push((start, end)),
        }
    }
    spans.extend(left.into_iter().filter_map(|span| text.offsets(span)));
    (!spans.is_empty()).then(|| json::pairs(spans))
}

fn relabelled(mark: &Mark, label: &str) -> Option<String> {
    let label = json::string(label);
    if mark.raw.starts_with('[') {
        let mut items = json::items(mark.raw).ok()?;
        *items.get_mut(2)? = &label;
        return Some(json::array(items));
    }
    let fields = json::fields(mark.raw).ok()?;
    let fields = fields.0.iter().map(|(name, value)| (name, if name == "label" { label.as_str() } else { value }));
    Some(json::object(fields))
}

fn new_mark(text: &Text, span: (u32, u32), label: &str, layout: &TextJson, with_tokens: bool) -> Option<String> {
    let (start, end) = text.offsets(span)?;
    let (start, end, label) = (start.to_string(), end.to_string(), json::string(label));
    Some(match layout.shape {
        MarkShape::Triple => json::array([start, end, label]),
        MarkShape::OffsetObject => json::object([("label", label), ("start_offset", start), ("end_offset", end)]),
        MarkShape::Object => {
            let mut fields = vec![("start", start), ("end", end), ("label", label)];
            if with_tokens {
                fields.extend([("token_start", span.0.to_string()), ("token_end", span.1.to_string())]);
            }
            json::object(fields)
        }
    })
}

/// A record for a sentence that came from elsewhere: its tokens with a blank between each two, and
/// listed where the text alone would not give the same ones.
fn made(corpus: &Corpus, sentence: u32, layout: &TextJson) -> String {
    let (string, offsets) = joined(corpus.tokens.sentence(sentence));
    let ruled = Text::new(&string);
    let lists_tokens = ruled.token_offsets() != offsets.as_slice();
    let text = if lists_tokens { Text::with_tokens(&string, offsets).unwrap_or(ruled) } else { ruled };
    let mut labels = Labels::default();
    labels.add(corpus, sentence, 0);
    let spans = labels.added().filter_map(|(span, label)| new_mark(&text, span, label, layout, lists_tokens));
    let mut fields = vec![(layout.text.as_str(), json::string(&string))];
    if lists_tokens {
        let token = |(id, (token, (start, end))): (usize, (&str, &(usize, usize)))| {
            let (start, end, id) = (start.to_string(), end.to_string(), id.to_string());
            json::object([("text", json::string(token)), ("start", start), ("end", end), ("id", id)])
        };
        let tokens = corpus.tokens.sentence(sentence).zip(text.token_offsets()).enumerate().map(token);
        fields.push((TOKENS, json::array(tokens)));
    }
    fields.push((layout.spans.as_str(), json::array(spans)));
    fields.extend(unknown_field(&text, &labels, &[]).map(|unknown| (UNKNOWN, unknown)));
    json::object(fields)
}
