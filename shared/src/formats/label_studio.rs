//! Label Studio's JSON export: an array of tasks.
//!
//! ```json
//! [{"id": 1, "data": {"text": "Ada wrote."}, "annotations": [{"result": [{"type": "labels",
//!   "from_name": "label", "to_name": "text",
//!   "value": {"start": 0, "end": 3, "text": "Ada", "labels": ["PER"]}}]}]}]
//! ```
//! A task is a sentence. Its labels are those of the first annotation that was not cancelled, or of
//! the first prediction. Where a file has both, predictions are the distant and annotations the gold
//! layer. Offsets count characters. Unknown spans stand in `data.unknown`: `[[start, end], ...]`.

use std::borrow::Cow;
use std::ops::ControlFlow;

use serde::Deserialize;

use super::builder::{Builder, Sentence};
use super::json::{self, Fields, Record};
use super::layout::{LabelStudio, Layout};
use super::marked_text::{Fate, Labels, Text, joined};
use super::source::Source;
use super::text_json::{misaligned_note, unknown_field};
use super::{Content, FormatError, Layers, ReadOptions, Written, count};
use crate::corpus::Corpus;

const ANNOTATIONS: &str = "annotations";
const PREDICTIONS: &str = "predictions";
const UNKNOWN: &str = "unknown";
const EXPECTED: &str =
    "an array of tasks such as {\"data\": {\"text\": \"...\"}, \"annotations\": [{\"result\": [...]}]}";

/// The label of one region of text.
#[derive(Deserialize)]
struct Region {
    #[serde(default)]
    from_name: Option<String>,
    #[serde(default)]
    to_name: Option<String>,
    value: Value,
}

#[derive(Deserialize)]
struct Value {
    start: usize,
    end: usize,
    #[serde(default)]
    text: Option<String>,
    labels: Vec<String>,
}

/// A region of text with a label; `None` for other results (choices, relations, ...).
fn region(raw: &str) -> Option<serde_json::Result<Region>> {
    let fields = json::fields(raw).ok()?;
    (fields.get("type") == Some("\"labels\"")).then(|| serde_json::from_str(raw))
}

/// Position and fields of the entry of a layer that counts: the first that was not cancelled.
fn chosen<'a>(task: &Fields<'a>, layer: &str) -> serde_json::Result<Option<(usize, Fields<'a>)>> {
    let Some(raw) = task.present(layer) else { return Ok(None) };
    for (position, entry) in json::items(raw)?.into_iter().enumerate() {
        let fields = json::fields(entry)?;
        if fields.get("was_cancelled") != Some("true") {
            return Ok(Some((position, fields)));
        }
    }
    Ok(None)
}

fn results<'a>(entry: &Fields<'a>) -> serde_json::Result<Vec<&'a str>> {
    entry.present("result").map_or(Ok(Vec::new()), json::items)
}

/// Which layers there are, the field of the text and the names of the controls.
fn layout(source: &Source, options: &ReadOptions) -> Result<(LabelStudio, Option<String>), FormatError> {
    let mut layout = LabelStudio { container: json::container(source.text), ..LabelStudio::default() };
    let (mut annotated, mut predicted, mut named) = (false, false, false);
    let mut is_first = true;
    json::for_each(source.text, EXPECTED, |record| {
        let task = record.fields()?;
        if std::mem::take(&mut is_first) {
            let data = data(&record, &task)?;
            if data.get("text").is_none() {
                let text = data.0.iter().find(|(_, value)| value.starts_with('"'));
                let missing = || record.error(format!("`data` has no text; expected {EXPECTED}"));
                layout.text = text.ok_or_else(missing)?.0.clone();
            }
        }
        for (layer, seen) in [(ANNOTATIONS, &mut annotated), (PREDICTIONS, &mut predicted)] {
            let Ok(Some((_, entry))) = chosen(&task, layer) else { continue };
            for item in results(&entry).unwrap_or_default() {
                let Some(Ok(region)) = region(item) else { continue };
                *seen = true;
                if !std::mem::replace(&mut named, true) {
                    layout.from_name = region.from_name.unwrap_or(layout.from_name.clone());
                    layout.to_name = region.to_name.unwrap_or(layout.to_name.clone());
                }
            }
        }
        Ok(if annotated && predicted { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    let both = annotated && predicted;
    let known = |layer: &String| match layer.as_str() {
        ANNOTATIONS | PREDICTIONS => Ok(layer.clone()),
        _ => Err(FormatError {
            line: 1,
            message: format!("{layer:?} is no layer of Label Studio; expected annotations or predictions"),
        }),
    };
    layout.layer = match &options.label {
        Some(layer) => known(layer)?,
        None if predicted => PREDICTIONS.to_owned(),
        None => ANNOTATIONS.to_owned(),
    };
    let gold = match &options.gold {
        Some(layer) => Some(known(layer)?),
        None => (both && layout.layer == PREDICTIONS).then(|| ANNOTATIONS.to_owned()),
    };
    Ok((layout, gold))
}

fn data<'a>(record: &Record<'a>, task: &Fields<'a>) -> Result<Fields<'a>, FormatError> {
    let raw = task.get("data").ok_or_else(|| record.error(format!("missing field `data`; expected {EXPECTED}")))?;
    record.fields_of(raw, "data")
}

pub(super) fn read(source: &Source, options: &ReadOptions) -> Result<Layers, FormatError> {
    let (layout, gold) = layout(source, options)?;
    let mut builder = Builder::new(gold.is_some());
    let mut n_misaligned = 0;
    json::for_each(source.text, EXPECTED, |record| {
        let sentence = read_task(&record, &layout, gold.as_deref(), &mut n_misaligned)?;
        builder.push(sentence).map_err(|message| record.error(message))?;
        Ok(ControlFlow::Continue(()))
    })?;
    if let (Some(gold), None) = (&gold, &options.gold) {
        let layer = &layout.layer;
        builder.notes.push(format!("the file has both: {layer} are taken as distant labels, {gold} as gold"));
    }
    builder.notes.extend(misaligned_note(n_misaligned));
    builder.finish(Layout::LabelStudio(layout))
}

fn read_task(
    record: &Record,
    layout: &LabelStudio,
    gold: Option<&str>,
    n_misaligned: &mut usize,
) -> Result<Sentence<'static>, FormatError> {
    let task = record.fields()?;
    let data = data(record, &task)?;
    let raw = data
        .get(&layout.text)
        .ok_or_else(|| record.error(format!("`data` has no field `{}`; expected {EXPECTED}", layout.text)))?;
    let text: String = record.parse(raw, &layout.text, "a string")?;
    let text = Text::new(&text);
    let mut labels = |layer: &str| -> Result<Vec<(u32, u32, Cow<'static, str>)>, FormatError> {
        let malformed = |e: serde_json::Error| record.error(format!("`{layer}`: {e}; expected {EXPECTED}"));
        let Some((_, entry)) = chosen(&task, layer).map_err(malformed)? else { return Ok(Vec::new()) };
        let mut labels = Vec::new();
        for item in results(&entry).map_err(malformed)? {
            let Some(region) = region(item) else { continue };
            let region = region.map_err(|e| {
                let expected = "\"value\": {\"start\": 0, \"end\": 3, \"labels\": [\"PER\"]}";
                record.error_at(item, format!("{e}; expected a label with {expected}"))
            })?;
            let Some(span) = aligned(&text, &region) else {
                *n_misaligned += 1;
                continue;
            };
            match region.value.labels.as_slice() {
                [] => {}
                [label] => labels.push((span.0, span.1, Cow::Owned(label.clone()))),
                _ => return Err(record.error_at(item, "a region has several labels; keep one of them")),
            }
        }
        Ok(labels)
    };
    let entities = labels(&layout.layer)?;
    let gold = gold.map_or(Ok(Vec::new()), &mut labels)?;
    let unknown: Vec<(usize, usize)> = match data.present(UNKNOWN) {
        Some(raw) => record.parse(raw, UNKNOWN, "[[start, end], ...] in characters")?,
        None => Vec::new(),
    };
    Ok(Sentence {
        tokens: text.tokens().map(|token| Cow::Owned(token.to_owned())).collect(),
        entities,
        gold,
        unknown: unknown.into_iter().filter_map(|(start, end)| text.align(start, end)).collect(),
        extra: Some(record.raw.to_owned()),
    })
}

/// The tokens of a region, unless its text says that the offsets mean other characters (some
/// versions count UTF-16 units).
fn aligned(text: &Text, region: &Region) -> Option<(u32, u32)> {
    let Value { start, end, text: said, .. } = &region.value;
    let is_said = |said: &String| {
        let here = text.slice(*start, *end);
        // Line ends stand as `\n` in two characters there.
        here.split_whitespace().eq(said.replace("\\n", " ").split_whitespace())
    };
    if said.as_ref().is_none_or(is_said) { text.align(*start, *end) } else { None }
}

// ---------------------------------------------------------------- writing

pub(super) fn write(corpus: &Corpus, layout: &LabelStudio) -> Written {
    let mut n_retokenised = 0;
    let records: Vec<String> = (0..corpus.n_sentences() as u32)
        .map(|sentence| {
            let task = corpus.extra_of(sentence);
            task.and_then(|raw| edited(corpus, sentence, raw, layout))
                .unwrap_or_else(|| made(corpus, sentence, layout, &mut n_retokenised))
        })
        .collect();
    let content = Content::Text(json::file(layout.container, records));
    Written { content, layout: Layout::LabelStudio(layout.clone()), notes: retokenised_note(n_retokenised) }
}

/// What users are told about sentences whose tokens the text alone does not give.
pub(super) fn retokenised_note(n: usize) -> Vec<String> {
    let note =
        || format!("{} with other tokens when read back: this format holds text, and no tokens", count(n, "sentence"));
    (n > 0).then(note).into_iter().collect()
}

/// The task as it came, with the labels as they are now; `None` where it is not the sentence's.
fn edited(corpus: &Corpus, sentence: u32, raw: &str, layout: &LabelStudio) -> Option<String> {
    let task = json::fields(raw).ok()?;
    let data = json::fields(task.get("data")?).ok()?;
    let text: String = serde_json::from_str(data.get(&layout.text)?).ok()?;
    let text = Text::new(&text);
    if !text.tokens().eq(corpus.tokens.sentence(sentence)) {
        return None;
    }
    let mut labels = Labels::default();
    labels.add(corpus, sentence, 0);
    let entry = chosen(&task, &layout.layer).ok()?;
    let had = match &entry {
        Some((_, fields)) => results(fields).ok()?,
        None => Vec::new(),
    };
    let mut now: Vec<String> = Vec::new();
    for item in &had {
        match fate(&text, item, &mut labels)? {
            Fate::Keep => now.push((*item).to_owned()),
            Fate::Relabel(label) => now.push(relabelled(item, label)?),
            Fate::Drop => {}
        }
    }
    let kept = now.len() == had.len() && now == had;
    now.extend(labels.added().filter_map(|(span, label)| new_region(&text, span, label, layout)));
    let layer = match !kept || now.len() > had.len() {
        true => Some(with_results(&task, layout, entry.as_ref(), &now)?),
        false => None,
    };
    let had_unknown: Vec<(usize, usize)> = match data.present(UNKNOWN) {
        Some(raw) => serde_json::from_str(raw).ok()?,
        None => Vec::new(),
    };
    let unknown = unknown_field(&text, &labels, &had_unknown);
    let data = (unknown.is_some() || !had_unknown.is_empty()).then(|| replaced(&data, UNKNOWN, unknown.as_deref()));
    let mut out = task.clone();
    if let Some(layer) = &layer {
        set(&mut out, &layout.layer, layer);
    }
    if let Some(data) = &data {
        set(&mut out, "data", data);
    }
    Some(if layer.is_none() && data.is_none() { raw.to_owned() } else { json::object(out.0) })
}

fn set<'a>(fields: &mut Fields<'a>, name: &str, value: &'a str) {
    match fields.0.iter_mut().find(|(n, _)| n == name) {
        Some(field) => field.1 = value,
        None => fields.0.push((name.to_owned(), value)),
    }
}

/// An object with one field replaced, added or (`None`) left out.
fn replaced(fields: &Fields, name: &str, value: Option<&str>) -> String {
    let mut out = Fields(fields.0.clone());
    match value {
        Some(value) => set(&mut out, name, value),
        None => out.0.retain(|(n, _)| n != name),
    }
    json::object(out.0)
}

fn fate<'a>(text: &Text, item: &str, labels: &mut Labels<'a>) -> Option<Fate<'a>> {
    let Some(region) = region(item) else { return Some(Fate::Keep) };
    let region = region.ok()?;
    Some(match (aligned(text, &region), region.value.labels.as_slice()) {
        (Some(span), [label]) => labels.fate(span, label),
        _ => Fate::Keep,
    })
}

/// The field of the layer with other results in its entry.
fn with_results(
    task: &Fields,
    layout: &LabelStudio,
    entry: Option<&(usize, Fields)>,
    results: &[String],
) -> Option<String> {
    let results = json::array(results);
    let mut entries: Vec<String> = match task.present(&layout.layer) {
        Some(raw) => json::items(raw).ok()?.into_iter().map(str::to_owned).collect(),
        None => Vec::new(),
    };
    match entry {
        Some((position, fields)) => *entries.get_mut(*position)? = replaced(fields, "result", Some(&results)),
        None => entries.push(json::object([("result", results)])),
    }
    Some(json::array(entries))
}

fn relabelled(item: &str, label: &str) -> Option<String> {
    let item = json::fields(item).ok()?;
    let value = json::fields(item.get("value")?).ok()?;
    let value = replaced(&value, "labels", Some(&json::array([json::string(label)])));
    Some(replaced(&item, "value", Some(&value)))
}

fn new_region(text: &Text, span: (u32, u32), label: &str, layout: &LabelStudio) -> Option<String> {
    let (start, end) = text.offsets(span)?;
    let value = json::object([
        ("start", start.to_string()),
        ("end", end.to_string()),
        ("text", json::string(text.slice(start, end))),
        ("labels", json::array([json::string(label)])),
    ]);
    Some(json::object([
        ("id", json::string(&format!("dynclean-{start}-{end}"))),
        ("from_name", json::string(&layout.from_name)),
        ("to_name", json::string(&layout.to_name)),
        ("type", json::string("labels")),
        ("value", value),
    ]))
}

/// A task for a sentence that came from elsewhere.
fn made(corpus: &Corpus, sentence: u32, layout: &LabelStudio, n_retokenised: &mut usize) -> String {
    let (string, offsets) = joined(corpus.tokens.sentence(sentence));
    *n_retokenised += usize::from(Text::new(&string).token_offsets() != offsets.as_slice());
    // The corpus's own tokens: labels are given by characters.
    let text = Text::with_tokens(&string, offsets).unwrap_or_else(|| Text::new(&string));
    let mut labels = Labels::default();
    labels.add(corpus, sentence, 0);
    let results: Vec<String> =
        labels.added().filter_map(|(span, label)| new_region(&text, span, label, layout)).collect();
    let mut data = vec![(layout.text.as_str(), json::string(&string))];
    data.extend(unknown_field(&text, &labels, &[]).map(|unknown| (UNKNOWN, unknown)));
    let entry = json::object([("result", json::array(results))]);
    json::object([("data", json::object(data)), (layout.layer.as_str(), json::array([entry]))])
}
