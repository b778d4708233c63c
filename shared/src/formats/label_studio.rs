//! Label Studio's JSON export: an array of tasks.
//!
//! ```json
//! [{"id": 1, "data": {"text": "Ada wrote."}, "annotations": [{"result": [{"type": "labels",
//!   "from_name": "label", "to_name": "text",
//!   "value": {"start": 0, "end": 3, "text": "Ada", "labels": ["PER"]}}]}]}]
//! ```
//! A task is a sentence. Its labels come from its first annotation that was not cancelled (`completions` in old
//! versions), or from its first prediction. If every task with predictions also has annotations, predictions are
//! the distant layer and annotations are the gold layer. Tasks without either are left out. Offsets count
//! characters. Unknown spans are in `data.unknown`: `[[start, end], ...]`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde::Deserialize;

use super::builder::{Builder, Sentence};
use super::counting::{self, Ruler, Said, is_said};
use super::json::{self, Fields, Record};
use super::layout::{LabelStudio, Layout};
use super::marked_text::{Fate, Labels, Text, joined};
use super::source::Source;
use super::text_json::{Unused, unknown_field};
use super::{Content, FormatError, Layers, ReadOptions, Written, count};
use crate::corpus::Corpus;

const ANNOTATIONS: &str = "annotations";
const COMPLETIONS: &str = "completions";
const PREDICTIONS: &str = "predictions";
const UNKNOWN: &str = "unknown";
const EXPECTED: &str =
    "an array of tasks such as {\"data\": {\"text\": \"...\"}, \"annotations\": [{\"result\": [...]}]}";

/// A labelled region of a text.
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
    #[serde(default)]
    labels: Vec<String>,
}

/// The type of a result: `"labels"`, `"choices"`, ...
fn kind(raw: &str) -> Option<String> {
    serde_json::from_str(json::fields(raw).ok()?.get("type")?).ok()
}

/// Types of results that describe a task or a region, and do not label text.
const NO_LABELS: [&str; 9] =
    ["relation", "choices", "textarea", "rating", "number", "datetime", "pairwise", "ranker", "taxonomy"];

/// Parses a labelled region of text; `None` for other results (choices, relations, ...).
fn region(raw: &str) -> Option<serde_json::Result<Region>> {
    let fields = json::fields(raw).ok()?;
    (fields.get("type") == Some("\"labels\"")).then(|| serde_json::from_str(raw))
}

/// Position and fields of the entry that is used: the layer's first entry that was not cancelled.
fn chosen<'a>(task: &Fields<'a>, layer: &str) -> serde_json::Result<Option<(usize, Fields<'a>)>> {
    let Some(raw) = task.present(layer) else { return Ok(None) };
    for (position, entry) in json::items(raw)?.into_iter().enumerate() {
        let fields = json::fields(entry)?;
        if !is_cancelled(&fields) {
            return Ok(Some((position, fields)));
        }
    }
    Ok(None)
}

fn is_cancelled(entry: &Fields) -> bool {
    ["was_cancelled", "skipped"].iter().any(|name| entry.get(name) == Some("true"))
}

/// Number of entries of a layer that were not cancelled.
fn n_entries(task: &Fields, layer: &str) -> usize {
    let entries = task.present(layer).and_then(|raw| json::items(raw).ok()).unwrap_or_default();
    entries.iter().filter(|entry| json::fields(entry).is_ok_and(|fields| !is_cancelled(&fields))).count()
}

fn results<'a>(entry: &Fields<'a>) -> serde_json::Result<Vec<&'a str>> {
    entry.present("result").map_or(Ok(Vec::new()), json::items)
}

/// What to read of a file, and how.
struct Plan {
    layout: LabelStudio,
    gold: Option<String>,
    notes: Vec<String>,
}

/// Finds the layers of a file, the field of the text and the names of the controls.
fn plan(source: &Source, options: &ReadOptions) -> Result<Plan, FormatError> {
    let mut layout = LabelStudio { container: json::container(source.text), ..LabelStudio::default() };
    let mut named = false;
    let mut annotations = ANNOTATIONS;
    // Numbers of tasks with annotations, with predictions, and with both.
    let (mut n_annotated, mut n_predicted, mut n_both) = (0, 0, 0);
    // Whether annotations and predictions have any label.
    let (mut annotated, mut predicted) = (false, false);
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
        if task.get(ANNOTATIONS).is_none() && task.get(COMPLETIONS).is_some() {
            annotations = COMPLETIONS;
        }
        let mut has = [false; 2];
        for ((layer, seen), has) in
            [(annotations, &mut annotated), (PREDICTIONS, &mut predicted)].into_iter().zip(&mut has)
        {
            let Ok(Some((_, entry))) = chosen(&task, layer) else { continue };
            *has = true;
            for item in results(&entry).unwrap_or_default() {
                let Some(Ok(region)) = region(item) else { continue };
                *seen = true;
                if !std::mem::replace(&mut named, true) {
                    layout.from_name = region.from_name.unwrap_or(layout.from_name.clone());
                    layout.to_name = region.to_name.unwrap_or(layout.to_name.clone());
                }
            }
        }
        n_annotated += usize::from(has[0]);
        n_predicted += usize::from(has[1]);
        n_both += usize::from(has == [true; 2]);
        Ok(ControlFlow::Continue(()))
    })?;
    let known = |layer: &String| match layer.as_str() {
        ANNOTATIONS => Ok(annotations.to_owned()),
        PREDICTIONS | COMPLETIONS => Ok(layer.clone()),
        _ => Err(FormatError {
            line: 1,
            message: format!("{layer:?} is no layer of Label Studio; expected annotations or predictions"),
        }),
    };
    layout.layer = match &options.label {
        Some(layer) => known(layer)?,
        None if predicted || (n_predicted > 0 && n_annotated == 0) => PREDICTIONS.to_owned(),
        None => annotations.to_owned(),
    };
    let mut notes = Vec::new();
    let gold = match &options.gold {
        Some(layer) => Some(known(layer)?),
        None if annotated && layout.layer == PREDICTIONS => {
            if n_both == n_predicted {
                notes.push(format!(
                    "the file has both: {PREDICTIONS} are taken as distant labels, {annotations} as gold"
                ));
                Some(annotations.to_owned())
            } else {
                notes.push(format!(
                    "{PREDICTIONS} are taken as labels, and {annotations} are not taken as gold: only {n_both} of {} have \
                     any (--gold-column {annotations} takes these alone, --label-column {annotations} instead of the \
                     {PREDICTIONS})",
                    count(n_predicted, "predicted task")
                ));
                None
            }
        }
        None => None,
    };
    layout.counting = counting::of_file(|see| {
        // Errors in a task are reported later, when the task is read.
        let _ = json::for_each(source.text, EXPECTED, |record| {
            let task = record.fields()?;
            let text = data(&record, &task)?.get(&layout.text).and_then(|raw| serde_json::from_str::<String>(raw).ok());
            let layers = std::iter::once(&layout.layer).chain(&gold);
            let entries = layers.filter_map(|layer| chosen(&task, layer).ok().flatten());
            let said: Vec<Said> = entries
                .flat_map(|(_, entry)| results(&entry).unwrap_or_default())
                .filter_map(|item| region(item)?.ok())
                .filter_map(|region| said(&region))
                .collect();
            if let Some(text) = text {
                see(&text, &said);
            }
            Ok(ControlFlow::Continue(()))
        });
    });
    if !layout.counting.is_usual() {
        notes.push(counting::note(layout.counting));
    }
    Ok(Plan { layout, gold, notes })
}

/// The text that a region contains. Line ends in it are the two characters `\n`.
fn said(region: &Region) -> Option<Said> {
    let Value { start, end, text, .. } = &region.value;
    let text = text.as_ref()?.replace("\\n", " ");
    Some(Said { start: *start, end: *end, text })
}

fn data<'a>(record: &Record<'a>, task: &Fields<'a>) -> Result<Fields<'a>, FormatError> {
    let raw = task.get("data").ok_or_else(|| record.error(format!("missing field `data`; expected {EXPECTED}")))?;
    record.fields_of(raw, "data")
}

/// Numbers of tasks and results that could not be used.
#[derive(Default)]
struct Tally {
    unused: Unused,
    /// Tasks without labels (`n_unlabelled`), and tasks that annotators skipped (`n_skipped`).
    n_unlabelled: usize,
    n_skipped: usize,
    /// Tasks with several annotations. Only one of them is read.
    n_several: usize,
    /// Number of results by type, for types that are not read.
    others: BTreeMap<String, usize>,
}

impl Tally {
    fn notes(&self, layer: &str) -> Vec<String> {
        let mut notes = self.unused.notes();
        let mut note = |n: usize, noun: &str, what: String| {
            if n > 0 {
                notes.push(format!("{} {what}", count(n, noun)));
            }
        };
        note(self.n_several, "task", format!("with several {layer}: the first that was not cancelled is read"));
        note(self.n_skipped, "task", "left out, also in what is written: annotators skipped them".into());
        note(self.n_unlabelled, "task", format!("left out, also in what is written: they have no {layer}"));
        for (kind, &n) in &self.others {
            note(n, "result", format!("of type {kind:?} kept, but not read: only those of type \"labels\" label text"));
        }
        notes
    }
}

pub(super) fn read(source: &Source, options: &ReadOptions) -> Result<Layers, FormatError> {
    let Plan { layout, gold, notes } = plan(source, options)?;
    let mut builder = Builder::new(gold.is_some());
    let mut tally = Tally::default();
    json::for_each(source.text, EXPECTED, |record| {
        let task = record.fields()?;
        let layers = std::iter::once(&layout.layer).chain(&gold);
        let mut lacks = layers.filter(|layer| matches!(chosen(&task, layer), Ok(None)));
        if let Some(layer) = lacks.next().filter(|_| !options.unlabelled) {
            let has_some =
                task.present(layer).and_then(|raw| json::items(raw).ok()).is_some_and(|items| !items.is_empty());
            *(if has_some { &mut tally.n_skipped } else { &mut tally.n_unlabelled }) += 1;
            return Ok(ControlFlow::Continue(()));
        }
        tally.n_several += usize::from(n_entries(&task, &layout.layer) > 1);
        let sentence = read_task(&record, &layout, gold.as_deref(), &mut tally)?;
        builder.push(sentence).map_err(|message| record.error(message))?;
        Ok(ControlFlow::Continue(()))
    })?;
    builder.notes.extend(notes);
    builder.notes.extend(tally.notes(&layout.layer));
    builder.finish(Layout::LabelStudio(layout))
}

fn read_task(
    record: &Record,
    layout: &LabelStudio,
    gold: Option<&str>,
    tally: &mut Tally,
) -> Result<Sentence<'static>, FormatError> {
    let task = record.fields()?;
    let data = data(record, &task)?;
    let raw = data
        .get(&layout.text)
        .ok_or_else(|| record.error(format!("`data` has no field `{}`; expected {EXPECTED}", layout.text)))?;
    let string: String = record.parse(raw, &layout.text, "a string")?;
    let text = Text::new(&string);
    let ruler = Ruler::new(&string, layout.counting);
    let mut labels = |layer: &str| -> Result<Vec<(u32, u32, Cow<'static, str>)>, FormatError> {
        let malformed = |e: serde_json::Error| record.error(format!("`{layer}`: {e}; expected {EXPECTED}"));
        let Some((_, entry)) = chosen(&task, layer).map_err(malformed)? else { return Ok(Vec::new()) };
        let mut labels = Vec::new();
        for item in results(&entry).map_err(malformed)? {
            let Some(region) = region(item) else {
                if let Some(kind) = kind(item).filter(|kind| !NO_LABELS.contains(&kind.as_str())) {
                    *tally.others.entry(kind).or_default() += 1;
                }
                continue;
            };
            let region = region.map_err(|e| {
                let expected = "\"value\": {\"start\": 0, \"end\": 3, \"labels\": [\"PER\"]}";
                record.error_at(item, format!("{e}; expected a label with {expected}"))
            })?;
            let label = match region.value.labels.as_slice() {
                [] => {
                    tally.unused.n_untyped += 1;
                    continue;
                }
                [label] => label,
                _ => return Err(record.error_at(item, "a region has several labels; keep one of them")),
            };
            match placed(&text, &ruler, &region) {
                Placed::Tokens(first, last) => labels.push((first, last, Cow::Owned(label.clone()))),
                Placed::Between => tally.unused.n_misaligned += 1,
                Placed::Elsewhere(said, there) => tally.unused.misfits.add(&record.name(), &said, &there),
                Placed::Outside => {
                    let Value { start, end, .. } = region.value;
                    let n = count(text.n_characters(), "character");
                    let message = format!("the region from {start} to {end} is not inside the text of {n}");
                    return Err(record.error_at(item, message));
                }
            }
        }
        Ok(labels)
    };
    let entities = labels(&layout.layer)?;
    let gold = gold.map_or(Ok(Vec::new()), &mut labels)?;
    let listed: Vec<(usize, usize)> = match data.present(UNKNOWN) {
        Some(raw) => record.parse(raw, UNKNOWN, "[[start, end], ...] in characters")?,
        None => Vec::new(),
    };
    let mut unknown = Vec::new();
    for (start, end) in listed {
        if start > end || end > text.n_characters() {
            let n = count(text.n_characters(), "character");
            return Err(record.error(format!("`{UNKNOWN}`: [{start}, {end}] is not inside the text of {n}")));
        }
        unknown.extend(text.align(start, end));
    }
    Ok(Sentence {
        tokens: text.tokens().map(|token| Cow::Owned(token.to_owned())).collect(),
        entities,
        gold,
        unknown,
        extra: Some(record.raw.to_owned()),
    })
}

/// The place of a region.
enum Placed {
    Tokens(u32, u32),
    /// The region does not begin and end at token boundaries.
    Between,
    /// The region's own text, and the different text at its offsets.
    Elsewhere(String, String),
    Outside,
}

fn placed(text: &Text, ruler: &Ruler, region: &Region) -> Placed {
    let Some((start, end)) = ruler.characters(region.value.start, region.value.end) else { return Placed::Outside };
    let there = text.slice(start, end);
    if let Some(said) = said(region).filter(|said| !is_said(there, &said.text)) {
        return Placed::Elsewhere(said.text, there.to_owned());
    }
    text.align(start, end).map_or(Placed::Between, |(first, last)| Placed::Tokens(first, last))
}

/// Whether a task has more than its text and its labels.
pub(super) fn has_further_fields(raw: &str, layout: &LabelStudio) -> bool {
    let has_others = |fields: &Fields, own: [&str; 2]| fields.0.iter().any(|(name, _)| !own.contains(&name.as_str()));
    let task = json::fields(raw).unwrap_or_default();
    let data = task.get("data").and_then(|data| json::fields(data).ok()).unwrap_or_default();
    let results = || chosen(&task, &layout.layer).ok().flatten().and_then(|(_, entry)| results(&entry).ok());
    has_others(&task, ["data", &layout.layer])
        || has_others(&data, [&layout.text, UNKNOWN])
        || results().unwrap_or_default().iter().any(|item| region(item).is_none())
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

/// Tells the user about sentences whose tokens cannot be found again from the text.
pub(super) fn retokenised_note(n: usize) -> Vec<String> {
    let note =
        || format!("{} with other tokens when read back: this format holds text, and no tokens", count(n, "sentence"));
    (n > 0).then(note).into_iter().collect()
}

/// The original task with the current labels. `None` if it does not have the sentence's text.
fn edited(corpus: &Corpus, sentence: u32, raw: &str, layout: &LabelStudio) -> Option<String> {
    let task = json::fields(raw).ok()?;
    let data = json::fields(task.get("data")?).ok()?;
    let string: String = serde_json::from_str(data.get(&layout.text)?).ok()?;
    let text = Text::new(&string);
    let ruler = Ruler::new(&string, layout.counting);
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
        match fate(&text, &ruler, item, &mut labels)? {
            Fate::Keep => now.push((*item).to_owned()),
            Fate::Relabel(label) => now.push(relabelled(item, label)?),
            Fate::Drop => {}
        }
    }
    let kept = now.len() == had.len() && now == had;
    now.extend(labels.added().filter_map(|(span, label)| new_region(&text, &ruler, span, label, layout)));
    // Without an entry, nobody could see that this task is labelled.
    let layer = match entry.is_none() || !kept || now.len() > had.len() {
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

/// An object with one field replaced or added, or left out if `value` is `None`.
fn replaced(fields: &Fields, name: &str, value: Option<&str>) -> String {
    let mut out = Fields(fields.0.clone());
    match value {
        Some(value) => set(&mut out, name, value),
        None => out.0.retain(|(n, _)| n != name),
    }
    json::object(out.0)
}

fn fate<'a>(text: &Text, ruler: &Ruler, item: &str, labels: &mut Labels<'a>) -> Option<Fate<'a>> {
    let Some(region) = region(item) else { return Some(Fate::Keep) };
    let region = region.ok()?;
    Some(match (placed(text, ruler, &region), region.value.labels.as_slice()) {
        (Placed::Tokens(first, last), [label]) => labels.fate((first, last), label),
        _ => Fate::Keep,
    })
}

/// The field of the layer, with new results in the entry that is used.
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

fn new_region(text: &Text, ruler: &Ruler, span: (u32, u32), label: &str, layout: &LabelStudio) -> Option<String> {
    let characters = text.offsets(span)?;
    let (start, end) = ruler.units(characters)?;
    let value = json::object([
        ("start", start.to_string()),
        ("end", end.to_string()),
        ("text", json::string(text.slice(characters.0, characters.1))),
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

/// A new task, for a sentence from another format.
fn made(corpus: &Corpus, sentence: u32, layout: &LabelStudio, n_retokenised: &mut usize) -> String {
    let (string, offsets) = joined(corpus.tokens.sentence(sentence));
    *n_retokenised += usize::from(Text::new(&string).token_offsets() != offsets.as_slice());
    // Uses the corpus's own tokens, because labels are given by characters.
    let text = Text::with_tokens(&string, offsets).unwrap_or_else(|| Text::new(&string));
    let ruler = Ruler::new(&string, layout.counting);
    let mut labels = Labels::default();
    labels.add(corpus, sentence, 0);
    let results: Vec<String> =
        labels.added().filter_map(|(span, label)| new_region(&text, &ruler, span, label, layout)).collect();
    let mut data = vec![(layout.text.as_str(), json::string(&string))];
    data.extend(unknown_field(&text, &labels, &[]).map(|unknown| (UNKNOWN, unknown)));
    let entry = json::object([("result", json::array(results))]);
    json::object([("data", json::object(data)), (layout.layer.as_str(), json::array([entry]))])
}
