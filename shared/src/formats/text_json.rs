//! JSON with raw text and labels at character offsets, as JSON Lines or as an array: Prodigy (`spans`), spaCy
//! (`ents`, or pairs), Doccano (`label`, or `entities` with offsets), and Label Studio's short export.
//!
//! ```json
//! {"text": "Ada wrote.", "spans": [{"start": 0, "end": 3, "label": "PER"}]}
//! {"text": "Ada wrote.", "label": [[0, 3, "PER"]]}
//! ["Ada wrote.", {"entities": [[0, 3, "PER"]]}]
//! ```
//! Offsets count characters (code points), and the end is exclusive. Tokens come from [`super::tokenise`], or from
//! a record's own `tokens` with `start` and `end` (Prodigy). Unknown spans are in `unknown`:
//! `[[start, end], ...]`. Records that an annotator rejected or ignored (Prodigy's `answer`) are left out.

use std::borrow::Cow;
use std::ops::ControlFlow;

use serde::Deserialize;

use super::builder::{Builder, Sentence};
use super::counting::{self, Misfits, Ruler, Said, is_said};
use super::json::{self, Fields, Record};
use super::layout::{Layout, MarkShape, TextJson};
use super::marked_text::{Fate, Labels, Text, joined};
use super::source::Source;
use super::{Content, FormatError, Layers, ReadOptions, Written, count};
use crate::corpus::Corpus;

const SPAN_FIELDS: [&str; 5] = ["spans", "label", "labels", "entities", "ents"];
const ANSWER: &str = "answer";
const TOKENS: &str = "tokens";
const UNKNOWN: &str = "unknown";
const EXPECTED: &str =
    "records such as {\"text\": \"Ada wrote.\", \"spans\": [{\"start\": 0, \"end\": 3, \"label\": \"PER\"}]}";

/// A labelled span in a record.
struct Mark<'a> {
    raw: &'a str,
    start: usize,
    end: usize,
    /// One label. Only Label Studio's short export may have several labels or none.
    labels: Vec<String>,
    /// The text that the span contains, if it has one.
    said: Option<String>,
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
        #[serde(default)]
        label: Option<String>,
        #[serde(default)]
        labels: Option<Vec<String>>,
        #[serde(default)]
        text: Option<String>,
    }
    if raw.starts_with('[') {
        let (start, end, label) = serde_json::from_str(raw)?;
        return Ok(Mark { raw, start, end, labels: vec![label], said: None });
    }
    let Object { start, end, label, labels, text: said } = serde_json::from_str(raw)?;
    let labels = label.map(|label| vec![label]).or(labels);
    let labels = labels.ok_or_else(|| serde::de::Error::missing_field("label"))?;
    Ok(Mark { raw, start, end, labels, said })
}

fn shape(raw: &str) -> MarkShape {
    if raw.starts_with('[') {
        return MarkShape::Triple;
    }
    let fields = json::fields(raw).unwrap_or_default();
    match (fields.get("start_offset"), fields.get("label"), fields.get("labels")) {
        (Some(_), ..) => MarkShape::OffsetObject,
        (None, None, Some(_)) => MarkShape::LabelsObject,
        _ => MarkShape::Object,
    }
}

/// Whether the object of a pair has a field of labelled spans.
pub(super) fn has_spans(fields: &Fields) -> bool {
    ["entities", "spans", "ents"].iter().any(|name| fields.get(name).is_some())
}

/// The fields of a pair, with its text as the first field.
fn fields_of<'a>(raw: &'a str, layout: &TextJson) -> Option<Fields<'a>> {
    let (text, mut fields) = json::pair(raw)?;
    fields.0.insert(0, (layout.text.clone(), text));
    Some(fields)
}

fn record_fields<'a>(record: &Record<'a>, layout: &TextJson) -> Result<Fields<'a>, FormatError> {
    fields_of(record.raw, layout).map_or_else(|| record.fields(), Ok)
}

/// Whether an annotator rejected or ignored this record.
fn is_refused(fields: &Fields) -> bool {
    matches!(fields.get(ANSWER), Some("\"reject\"" | "\"ignore\""))
}

/// Finds the field of the labels, and their form.
fn layout(source: &Source, options: &ReadOptions) -> Result<TextJson, FormatError> {
    let mut found: Option<String> = options.label.clone();
    let mut shape_found = None;
    let (mut pair, mut n_kept) = (false, 0);
    let mut layout = TextJson { container: json::container(source.text), ..TextJson::default() };
    json::for_each(source.text, EXPECTED, |record| {
        let fields = record_fields(&record, &layout)?;
        pair |= record.raw.starts_with('[');
        if is_refused(&fields) {
            return Ok(ControlFlow::Continue(()));
        }
        n_kept += 1;
        if found.is_none() {
            found = SPAN_FIELDS.iter().find(|name| fields.get(name).is_some()).map(|name| (*name).to_owned());
        }
        let items = found.as_deref().and_then(|name| json::items(fields.get(name)?).ok());
        shape_found = items.and_then(|items| items.first().map(|item| shape(item)));
        Ok(if shape_found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    let default = || (options.unlabelled || n_kept == 0).then(|| TextJson::default().spans);
    layout.spans = found.or_else(default).ok_or_else(|| FormatError {
        line: 1,
        message: format!("no record has a field of labels ({}); name it with --label-column", SPAN_FIELDS.join(", ")),
    })?;
    let is_triple = pair || layout.spans == "label";
    layout.shape = shape_found.unwrap_or(if is_triple { MarkShape::Triple } else { MarkShape::Object });
    layout.pair = pair;
    let recognised = || {
        counting::of_file(|see| {
            // Errors in a record are reported later, when the record is read.
            let _ = json::for_each(source.text, EXPECTED, |record| {
                let fields = record_fields(&record, &layout)?;
                let items = fields.present(&layout.spans).and_then(|raw| json::items(raw).ok()).unwrap_or_default();
                let said: Vec<Said> = items
                    .iter()
                    .filter_map(|item| mark(item).ok())
                    .filter_map(|mark| Some(Said { start: mark.start, end: mark.end, text: mark.said? }))
                    .collect();
                let text = fields.get(&layout.text).and_then(|raw| serde_json::from_str::<String>(raw).ok());
                if let Some(text) = text.filter(|_| !said.is_empty()) {
                    see(&text, &said);
                }
                Ok(ControlFlow::Continue(()))
            });
        })
    };
    layout.counting = options.counting.unwrap_or_else(recognised);
    Ok(layout)
}

/// The tokens that a record gives itself.
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

/// Labels that could not be used.
#[derive(Debug, Default)]
pub(super) struct Unused {
    /// Number of labels that do not begin and end at token boundaries.
    pub n_misaligned: usize,
    /// Labels whose own text is not at their offsets.
    pub misfits: Misfits,
    /// Number of regions without a type.
    pub n_untyped: usize,
}

impl Unused {
    /// Tells the user about these labels.
    pub fn notes(&self) -> Vec<String> {
        let untyped = (self.n_untyped > 0)
            .then(|| format!("{} without a type: kept, but not read as labels", count(self.n_untyped, "region")));
        misaligned_note(self.n_misaligned).into_iter().chain(self.misfits.note()).chain(untyped).collect()
    }
}

pub(super) fn read(source: &Source, options: &ReadOptions) -> Result<Layers, FormatError> {
    let layout = layout(source, options)?;
    let mut builder = Builder::new(options.gold.is_some());
    let mut unused = Unused::default();
    let mut n_refused = 0;
    json::for_each(source.text, EXPECTED, |record| {
        if is_refused(&record_fields(&record, &layout)?) {
            n_refused += 1;
            return Ok(ControlFlow::Continue(()));
        }
        let sentence = read_record(&record, &layout, options.gold.as_deref(), &mut unused)?;
        builder.push(sentence).map_err(|message| record.error(message))?;
        Ok(ControlFlow::Continue(()))
    })?;
    if !layout.counting.is_usual() {
        builder.notes.push(counting::note(layout.counting));
    }
    builder.notes.extend(unused.notes());
    if n_refused > 0 {
        builder.notes.push(format!(
            "{} left out, also in what is written: an annotator rejected or ignored them (`{ANSWER}`)",
            count(n_refused, "record")
        ));
    }
    builder.finish(Layout::TextJsonl(layout))
}

/// Tells the user about labels that do not begin and end at token boundaries.
pub(super) fn misaligned_note(n: usize) -> Option<String> {
    (n > 0)
        .then(|| format!("{} off the token boundaries: kept as they are, but they cannot be judged", count(n, "label")))
}

fn read_record(
    record: &Record,
    layout: &TextJson,
    gold: Option<&str>,
    unused: &mut Unused,
) -> Result<Sentence<'static>, FormatError> {
    let fields = record_fields(record, layout)?;
    for name in [layout.text.as_str(), layout.spans.as_str(), UNKNOWN] {
        if fields.is_double(name) {
            return Err(record.error(format!("field `{name}` stands twice in one record; keep one of them")));
        }
    }
    let raw = fields
        .get(&layout.text)
        .ok_or_else(|| record.error(format!("missing field `{}`; expected {EXPECTED}", layout.text)))?;
    let string: String = record.parse(raw, &layout.text, "a string")?;
    let ruler = (!layout.counting.is_usual()).then(|| Ruler::new(&string, layout.counting));
    let text = tokens_of(&string, &fields).ok_or_else(|| {
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
            let place = match &ruler {
                Some(ruler) => ruler.characters(mark.start, mark.end),
                None => Some((mark.start, mark.end)).filter(|(start, end)| start <= end && *end <= n_characters),
            };
            let label = match (place, mark.labels.as_slice()) {
                (None, _) => return Err(outside(item, mark.start, mark.end)),
                (Some(_), []) => {
                    unused.n_untyped += 1;
                    continue;
                }
                (Some(place), [label]) => (place, label),
                _ => return Err(record.error_at(item, "a span has several labels; keep one of them")),
            };
            let ((start, end), label) = label;
            let there = text.slice(start, end);
            if let Some(said) = mark.said.as_ref().filter(|said| !is_said(there, said)) {
                unused.misfits.add(&record.name(), said, there);
                continue;
            }
            match text.align(start, end) {
                Some((first, last)) => labels.push((first, last, Cow::Owned(label.clone()))),
                None => unused.n_misaligned += 1,
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

/// The beginning of a JSON text.
fn excerpt(raw: &str) -> String {
    let short: String = raw.chars().take(40).collect();
    if short.len() < raw.len() { format!("{short}…") } else { short }
}

/// Whether a record has more than text, tokens and labels.
pub(super) fn has_further_fields(raw: &str, layout: &TextJson) -> bool {
    let fields = fields_of(raw, layout).or_else(|| json::fields(raw).ok()).unwrap_or_default();
    let own = [layout.text.as_str(), &layout.spans, TOKENS, UNKNOWN];
    fields.0.iter().any(|(name, _)| !own.contains(&name.as_str()))
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

/// The original record with the current labels. `None` if it does not have the sentence's text.
fn edited(corpus: &Corpus, sentence: u32, raw: &str, layout: &TextJson) -> Option<String> {
    let fields = fields_of(raw, layout).or_else(|| json::fields(raw).ok())?;
    let string: String = serde_json::from_str(fields.get(&layout.text)?).ok()?;
    let text = tokens_of(&string, &fields)?;
    let ruler = Ruler::new(&string, layout.counting);
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
        let place = ruler.characters(mark.start, mark.end);
        let is_right = |(start, end): &(usize, usize)| {
            mark.said.as_ref().is_none_or(|said| is_said(text.slice(*start, *end), said))
        };
        let span = place.filter(is_right).and_then(|(start, end)| text.align(start, end));
        let fate = match (span, mark.labels.as_slice()) {
            (Some(span), [label]) => labels.fate(span, label),
            _ => Fate::Keep,
        };
        match fate {
            Fate::Keep => spans.push((*item).to_owned()),
            Fate::Relabel(label) => spans.push(relabelled(&mark, label)?),
            Fate::Drop => {}
        }
    }
    let changed_before_adding = spans != had;
    for (span, label) in labels.added() {
        spans.push(new_mark(&text, &ruler, span, label, layout, has_own_tokens)?);
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
                // The record had unknown spans, and none of them is unknown now.
                None if !had_unknown.is_empty() => {}
                None => out.push((UNKNOWN, value)),
            },
            name => out.push((name, value)),
        }
    }
    out.extend(missing.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))));
    Some(rendered(out, layout))
}

/// Formats a record with these fields. In a pair, the text comes first.
fn rendered<S: AsRef<str>>(fields: Vec<(&str, S)>, layout: &TextJson) -> String {
    if !layout.pair {
        return json::object(fields);
    }
    let (text, others): (Vec<_>, Vec<_>) = fields.into_iter().partition(|(name, _)| *name == layout.text);
    let text = text.first().map_or("\"\"", |(_, text)| text.as_ref()).to_owned();
    json::array([text, json::object(others)])
}

/// The characters of unknown spans. Unknown spans of the record (`had`) that are not at token boundaries are kept.
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
    let labels = json::array([&label]);
    let fields = fields.0.iter().map(|(name, value)| match name.as_str() {
        "label" => (name, label.as_str()),
        "labels" => (name, labels.as_str()),
        _ => (name, *value),
    });
    Some(json::object(fields))
}

fn new_mark(
    text: &Text,
    ruler: &Ruler,
    span: (u32, u32),
    label: &str,
    layout: &TextJson,
    with_tokens: bool,
) -> Option<String> {
    let (start, end) = text.offsets(span)?;
    let said = json::string(text.slice(start, end));
    let (start, end) = ruler.units((start, end))?;
    let (start, end, label) = (start.to_string(), end.to_string(), json::string(label));
    Some(match layout.shape {
        MarkShape::Triple => json::array([start, end, label]),
        MarkShape::OffsetObject => json::object([("label", label), ("start_offset", start), ("end_offset", end)]),
        MarkShape::LabelsObject => {
            json::object([("start", start), ("end", end), ("text", said), ("labels", json::array([label]))])
        }
        MarkShape::Object => {
            let mut fields = vec![("start", start), ("end", end), ("label", label)];
            if with_tokens {
                fields.extend([("token_start", span.0.to_string()), ("token_end", span.1.to_string())]);
            }
            json::object(fields)
        }
    })
}

/// A new record, for a sentence from another format. Its text is the tokens joined by spaces. The tokens are also
/// listed if the text alone would give different tokens.
fn made(corpus: &Corpus, sentence: u32, layout: &TextJson) -> String {
    let (string, offsets) = joined(corpus.tokens.sentence(sentence));
    let ruled = Text::new(&string);
    let lists_tokens = ruled.token_offsets() != offsets.as_slice();
    let text = if lists_tokens { Text::with_tokens(&string, offsets).unwrap_or(ruled) } else { ruled };
    let mut labels = Labels::default();
    labels.add(corpus, sentence, 0);
    let ruler = Ruler::new(&string, layout.counting);
    let spans = labels.added().filter_map(|(span, label)| new_mark(&text, &ruler, span, label, layout, lists_tokens));
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
    rendered(fields, layout)
}
