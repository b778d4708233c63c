//! JSON with tokens and one tag per token, as an array or as JSON Lines: BOND (`str_words`, `tags`) and exports of
//! Hugging Face datasets (`tokens`, `ner_tags`).
//!
//! ```json
//! {"id": "0", "tokens": ["Ada", "Lovelace", "wrote"], "ner_tags": ["B-PER", "I-PER", "O"]}
//! {"id": "1", "tokens": ["Ada", "wrote"], "ner_tags": [1, 0]}
//! ```
//! Ids need the names of the tags. The id −100 means "unknown", and so does a span in the field `unknown`, which
//! has the form `[[first token, last token], ...]`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::ControlFlow;

use serde::Deserialize;

use super::builder::{Builder, Labelled, Sentence};
use super::json::{self, Fields, Record};
use super::layout::{Format, Layout, TagJson};
use super::scheme::Evidence;
use super::source::Source;
use super::tags::{self, Chunk, Losses};
use super::{Content, FormatError, Layers, ReadOptions, UnknownAs, Written, count};
use crate::corpus::Corpus;
use crate::corpus::labels::LabelSet;
use crate::corpus::notation::{Notation, Scheme};

/// Names of fields that may have the tags, in order of preference.
pub const TAG_FIELDS: [&str; 6] = ["ner_tags", "tags", "labels", "ner", "label", "tag_ids"];
/// Names of fields that may have the tokens.
pub(super) const TOKEN_FIELDS: [&str; 3] = ["tokens", "words", "str_words"];
const UNKNOWN: &str = "unknown";
/// The tag id that losses ignore by convention.
const IGNORED_ID: i64 = -100;
const EXPECTED: &str = "records such as {\"tokens\": [\"Ada\", \"wrote\"], \"ner_tags\": [\"B-PER\", \"O\"]}";

#[derive(Deserialize)]
#[serde(untagged, expecting = "a tag is neither a name nor an id")]
enum RawTag {
    Id(i64),
    /// An id that pandas changed to a decimal number.
    Fraction(f64),
    Name(String),
}

impl RawTag {
    /// The id, given as a number or (if `quoted`) as a string; `None` for a name.
    fn id(&self, quoted: bool) -> Option<i64> {
        match self {
            Self::Id(id) => Some(*id),
            Self::Fraction(number) => {
                let id = *number as i64;
                (id as f64 == *number).then_some(id)
            }
            Self::Name(name) => name.parse().ok().filter(|_| quoted),
        }
    }
}

/// How the tags of a file are read.
struct Tags<'a> {
    field: String,
    notation: Notation,
    ids: Option<&'a [(i64, String)]>,
    names: HashMap<i64, &'a str>,
    /// Whether the ids are written as strings.
    quoted: bool,
}

/// The names of a sentence's tags, a mask of the ignored ones, and the forms in which the tags are written.
struct Names<'a> {
    names: Vec<Cow<'a, str>>,
    mask: Vec<bool>,
    has_ids: bool,
    has_names: bool,
    has_fractions: bool,
}

impl<'a> Tags<'a> {
    fn new(field: String, ids: Option<&'a [(i64, String)]>) -> Self {
        let names = ids.unwrap_or_default().iter().map(|(id, name)| (*id, name.as_str())).collect();
        Self { field, notation: Notation::default(), ids, names, quoted: false }
    }

    fn names<'r>(&self, record: &Record<'r>, fields: &Fields<'r>) -> Result<(Names<'a>, &'r str), FormatError> {
        let raw = fields
            .get(&self.field)
            .ok_or_else(|| record.error(format!("missing field `{}`; expected {EXPECTED}", self.field)))?;
        let tags: Vec<RawTag> = record.parse(raw, &self.field, "a list of tags, names or ids")?;
        let mut found = Names {
            names: Vec::with_capacity(tags.len()),
            mask: vec![false; tags.len()],
            has_ids: false,
            has_names: false,
            has_fractions: false,
        };
        for (tag, masked) in tags.into_iter().zip(&mut found.mask) {
            let id = tag.id(self.quoted);
            let name = match (tag, id) {
                (RawTag::Name(name), None) => {
                    found.has_names = true;
                    found.names.push(Cow::Owned(name));
                    continue;
                }
                (RawTag::Fraction(number), None) => {
                    return Err(record.error_at(raw, format!("{number} is no tag id; expected a whole number")));
                }
                (tag, id) => {
                    found.has_ids = true;
                    found.has_fractions |= matches!(tag, RawTag::Fraction(_));
                    id.unwrap_or_default()
                }
            };
            found.names.push(match name {
                IGNORED_ID => {
                    *masked = true;
                    Cow::Borrowed(self.notation.outside())
                }
                id if self.ids.is_none() => {
                    return Err(record.error_at(
                        raw,
                        format!("`{}` holds ids such as {id}; give their names with --tags tag_to_id.json", self.field),
                    ));
                }
                id => Cow::Borrowed(*self.names.get(&id).ok_or_else(|| {
                    record.error_at(raw, format!("tag id {id} has no name; give all names with --tags"))
                })?),
            });
        }
        Ok((found, raw))
    }
}

/// Finds the fields of tokens and tags in the first record.
fn field_names(source: &Source, format: Format, options: &ReadOptions) -> Result<(String, String), FormatError> {
    let Some(record) = json::first(source.text, EXPECTED)? else {
        return Ok(("tokens".into(), options.label.clone().unwrap_or_else(|| "ner_tags".into())));
    };
    let fields = record.fields()?;
    let usual = if format == Format::Bond { "str_words" } else { "tokens" };
    let tokens = TOKEN_FIELDS.into_iter().find(|name| fields.get(name).is_some()).unwrap_or(usual);
    let tags = match &options.label {
        Some(field) => field.clone(),
        None => {
            let found = TAG_FIELDS.iter().find(|name| fields.get(name).is_some());
            let missing =
                || record.error(format!("no field of tags ({}); name it with --label-column", TAG_FIELDS.join(", ")));
            (*found.ok_or_else(missing)?).to_owned()
        }
    };
    Ok((tokens.to_owned(), tags))
}

pub(super) fn read(source: &Source, format: Format, options: &ReadOptions) -> Result<Layers, FormatError> {
    let (tokens, field) = field_names(source, format, options)?;
    let ids = options.tags.as_ref().map(super::TagNames::pairs);
    let mut layers: Vec<Tags> =
        std::iter::once(field.clone()).chain(options.gold.clone()).map(|field| Tags::new(field, ids)).collect();
    let mut evidence = Vec::with_capacity(layers.len());
    let mut has_ids = false;
    for tags in &mut layers {
        let (mut labels, mut ids_here) = collect(source, tags)?;
        if ids.is_some() && !ids_here && labels.are_numbers() {
            tags.quoted = true;
            (labels, ids_here) = collect(source, tags)?;
        }
        has_ids |= ids_here;
        evidence.push(labels);
    }
    let quoted = layers.first().is_some_and(|tags| tags.quoted);
    let mut judged_notes = Vec::new();
    for (tags, evidence) in layers.iter_mut().zip(&mut evidence) {
        if has_ids {
            ids.unwrap_or_default().iter().for_each(|(_, name)| evidence.know(name));
        }
        let judged = evidence
            .judge(options.scheme, &options.ignore())
            .map_err(|message| FormatError { line: 1, message: format!("`{}`: {message}", tags.field) })?;
        tags.notation = judged.notation;
        judged_notes.extend(judged.note);
    }
    let Notation { scheme, spelling } = layers.first().map(|tags| tags.notation).unwrap_or_default();
    let mut layout = TagJson {
        container: json::container(source.text),
        tokens,
        tags: field,
        scheme,
        spelling,
        ids: ids.filter(|_| has_ids).map(<[_]>::to_vec),
        quoted,
        ignore: options.ignore(),
        has_ignore_tags: false,
        parquet: None,
    };
    let mut builder = Builder::new(layers.len() > 1);
    builder.notes.append(&mut judged_notes);
    let mut irregular = 0;
    json::for_each(source.text, EXPECTED, |record| {
        let (sentence, marks) = read_sentence(&record, &layout, &layers)?;
        layout.has_ignore_tags |= marks.ignores;
        irregular += usize::from(marks.irregular);
        builder.push(sentence).map_err(|message| record.error(message))?;
        Ok(ControlFlow::Continue(()))
    })?;
    if irregular > 0 {
        builder.notes.push(format!(
            "{} with tags that break their scheme, read as conlleval does",
            count(irregular, "sentence")
        ));
    }
    builder.finish(if format == Format::Bond { Layout::Bond(layout) } else { Layout::TagsJsonl(layout) })
}

/// Collects the labels of all sentences by name. Also returns whether they are ids.
fn collect(source: &Source, tags: &Tags) -> Result<(Evidence, bool), FormatError> {
    let mut labels = Evidence::default();
    let (mut has_ids, mut has_names) = (false, false);
    json::for_each(source.text, EXPECTED, |record| {
        let (found, raw) = tags.names(&record, &record.fields()?)?;
        has_ids |= found.has_ids;
        has_names |= found.has_names;
        if has_ids && has_names {
            let message = format!("`{}` holds names of tags and ids of tags; choose one of them", tags.field);
            return Err(record.error_at(raw, message));
        }
        let known = found.names.iter().zip(&found.mask).filter(|(_, masked)| !**masked);
        known.for_each(|(name, _)| labels.see(name));
        labels.end_sentence();
        Ok(ControlFlow::Continue(()))
    })?;
    Ok((labels, has_ids))
}

/// Facts about the tags of a sentence.
struct Marks {
    ignores: bool,
    irregular: bool,
}

fn read_sentence<'r>(
    record: &Record<'r>,
    layout: &TagJson,
    layers: &[Tags],
) -> Result<(Sentence<'r>, Marks), FormatError> {
    let fields = record.fields()?;
    let own = [layout.tokens.as_str(), layout.tags.as_str(), UNKNOWN];
    if let Some(name) = own.iter().find(|name| fields.is_double(name)) {
        return Err(record.error(format!("field `{name}` stands twice in one sentence; keep one of them")));
    }
    let raw = fields
        .get(&layout.tokens)
        .ok_or_else(|| record.error(format!("missing field `{}`; expected {EXPECTED}", layout.tokens)))?;
    let tokens: Vec<String> = record.parse(raw, &layout.tokens, "a list of words")?;
    let mut sentence = Sentence::default();
    let mut marks = Marks { ignores: false, irregular: false };
    let mut kept = None;
    for (number, tags) in layers.iter().enumerate() {
        let (Names { names, mask, has_fractions, .. }, raw) = tags.names(record, &fields)?;
        if names.len() != tokens.len() {
            let message = format!(
                "{} and {}: there must be one tag per token",
                count(names.len(), "tag"),
                count(tokens.len(), "token")
            );
            return Err(record.error_at(raw, message));
        }
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        let (entities, unknown) = tags::untag(&names, &mask, tags.notation, &layout.ignore)
            .map_err(|error| record.error_at(raw, format!("tag {}: {}", error.at, error.message)))?;
        let labelled: Vec<Labelled> =
            entities.iter().map(|&(start, end, kind)| (start, end, Cow::Owned(kind.to_owned()))).collect();
        if number > 0 {
            sentence.gold = labelled;
            continue;
        }
        marks.ignores = !unknown.is_empty();
        let tagged = tag(layout, tokens.len(), &entities, &unknown, true);
        let is_regular = tagged.tags == names && (layout.ids.is_none() || tagged.mask == mask);
        if !is_regular || has_fractions {
            let breaks_scheme = !is_regular && layout.scheme != Scheme::Brackets;
            marks.irregular = breaks_scheme && mask.iter().all(|masked| !masked);
            kept = Some((layout.tags.as_str(), raw));
        }
        (sentence.entities, sentence.unknown) = (labelled, unknown);
    }
    if let Some(raw) = fields.present(UNKNOWN) {
        let listed: Vec<(u32, u32)> = record.parse(raw, UNKNOWN, "[[first token, last token], ...]")?;
        sentence.unknown.extend(listed);
        let mut seen = std::collections::HashSet::new();
        sentence.unknown.retain(|span| seen.insert(*span));
    }
    sentence.extra = json::further_fields(&fields, &own, kept);
    sentence.tokens = tokens.into_iter().map(Cow::Owned).collect();
    Ok((sentence, marks))
}

/// Encodes a sentence. If unknown spans go into the tags, they are marked as in this layout.
fn tag<'a>(
    layout: &'a TagJson,
    n_tokens: usize,
    entities: &[Chunk<'a>],
    unknown: &[(u32, u32)],
    unknown_in_tags: bool,
) -> tags::Tagged<'a> {
    match (unknown_in_tags, &layout.ids) {
        (false, _) => tags::tag(n_tokens, entities, &[], layout.notation(), Some(&layout.ignore)),
        (true, Some(_)) => tags::tag(n_tokens, entities, unknown, layout.notation(), None),
        (true, None) => tags::tag(n_tokens, entities, unknown, layout.notation(), Some(&layout.ignore)),
    }
}

/// The layout of BOND files, with ids for the tags of these types.
pub(super) fn bond_layout(labels: &LabelSet) -> TagJson {
    let tags = labels.types().iter().flat_map(|kind| [format!("B-{kind}"), format!("I-{kind}")]);
    let names = std::iter::once("O".to_owned()).chain(tags);
    TagJson {
        container: super::Container::Array,
        tokens: "str_words".into(),
        tags: "tags".into(),
        ids: Some((0..).zip(names).collect()),
        ..TagJson::default()
    }
}

// ---------------------------------------------------------------- writing

pub(super) fn write(corpus: &Corpus, layout: &TagJson, unknown: Option<&UnknownAs>) -> Written {
    let mut to = layout.clone();
    let in_tags = match unknown {
        Some(UnknownAs::Tag(name)) => {
            to.ignore.clone_from(name);
            true
        }
        Some(UnknownAs::Mask) => false,
        // In a Parquet file, a field `unknown` would be a new column.
        None => layout.has_ignore_tags || layout.parquet.is_some() && layout.ids.is_some(),
    };
    let ids: Option<HashMap<&str, i64>> =
        to.ids.as_ref().map(|ids| ids.iter().rev().map(|(id, name)| (name.as_str(), *id)).collect());
    let mut writer = Writer { corpus, from: layout, to: &to, ids, in_tags, losses: Losses::default(), n_unnamed: 0 };
    let records: Vec<String> = (0..corpus.n_sentences() as u32).map(|sentence| writer.sentence(sentence)).collect();
    let mut notes = writer.losses.notes();
    notes.extend(tags::unnamed_note(writer.n_unnamed));
    let content = Content::Text(json::file(to.container, records));
    let layout = match corpus.layout {
        Layout::Bond(_) => Layout::Bond(to.clone()),
        _ => Layout::TagsJsonl(to.clone()),
    };
    Written { content, layout, notes }
}

struct Writer<'a> {
    corpus: &'a Corpus,
    from: &'a TagJson,
    to: &'a TagJson,
    ids: Option<HashMap<&'a str, i64>>,
    /// Whether unknown spans are marked by tags.
    in_tags: bool,
    losses: Losses,
    /// Number of entities whose type has no id.
    n_unnamed: usize,
}

impl Writer<'_> {
    fn sentence(&mut self, sentence: u32) -> String {
        let corpus = self.corpus;
        let tokens = corpus.tokens.sentence(sentence);
        let n_tokens = tokens.len();
        let extra = corpus.extra_of(sentence);
        let entities: Vec<Chunk> = corpus
            .entities_of(sentence)
            .iter()
            .map(|e| (e.span.start, e.span.end, corpus.labels.name(e.label)))
            .collect();
        let unknown: Vec<(u32, u32)> = corpus.unknown_of(sentence).iter().map(|s| (s.start, s.end)).collect();
        let tags = match extra.and_then(|extra| self.as_they_came(extra, n_tokens, &entities, &unknown)) {
            Some(same) => same,
            None => self.tags(n_tokens, &entities, &unknown),
        };
        let listed = (!self.in_tags && !unknown.is_empty()).then(|| json::pairs(unknown));
        let own = [
            (self.to.tokens.as_str(), Some(json::array(tokens.map(json::string)))),
            (self.to.tags.as_str(), Some(tags)),
            (UNKNOWN, listed),
        ];
        json::token_record(&own, extra)
    }

    fn tags(&mut self, n_tokens: usize, entities: &[Chunk], unknown: &[(u32, u32)]) -> String {
        let to = self.to;
        let Some(ids) = &self.ids else {
            let tagged = tag(to, n_tokens, entities, unknown, self.in_tags);
            self.losses.add(&tagged);
            return json::array(tagged.tags.iter().map(|tag| json::string(tag)));
        };
        let (named, n_unnamed) = tags::with_ids(entities.to_vec(), Some(ids), to.notation());
        self.n_unnamed += n_unnamed;
        let tagged = tag(to, n_tokens, &named, unknown, self.in_tags);
        self.losses.add(&tagged);
        let mask = tagged.mask.iter().copied().chain(std::iter::repeat(false));
        let id = |(tag, masked): (&Cow<str>, bool)| {
            let id = if masked { None } else { tags::id_of(tag, Some(ids)) };
            let id = id.unwrap_or_else(|| IGNORED_ID.to_string());
            if to.quoted { json::string(&id) } else { id }
        };
        json::array(tagged.tags.iter().zip(mask).map(id))
    }

    /// The original tags of an unchanged sentence, if they are not the ones that the scheme gives.
    fn as_they_came(&self, extra: &str, n_tokens: usize, entities: &[Chunk], unknown: &[(u32, u32)]) -> Option<String> {
        let fields = json::fields(extra).ok()?;
        let raw = fields.present(&self.from.tags)?;
        let record: Vec<RawTag> = serde_json::from_str(raw).ok()?;
        let names: HashMap<i64, &str> =
            self.from.ids.as_deref().unwrap_or_default().iter().map(|(id, name)| (*id, name.as_str())).collect();
        let ids: Vec<Option<i64>> = record.iter().map(|tag| tag.id(self.from.quoted)).collect();
        let mask: Vec<bool> = ids.iter().map(|id| *id == Some(IGNORED_ID)).collect();
        let tags: Option<Vec<&str>> = record
            .iter()
            .zip(&ids)
            .map(|(tag, id)| match (tag, id) {
                (_, Some(IGNORED_ID)) => Some(self.from.notation().outside()),
                (_, Some(id)) => names.get(id).copied(),
                (RawTag::Name(name), None) => Some(name.as_str()),
                _ => None,
            })
            .collect();
        let tags = tags.filter(|tags| tags.len() == n_tokens)?;
        let (mut was, mut were_unknown) = tags::untag(&tags, &mask, self.from.notation(), &self.from.ignore).ok()?;
        let (mut is, mut are_unknown) = (entities.to_vec(), unknown.to_vec());
        was.sort_unstable();
        is.sort_unstable();
        are_unknown.sort_unstable();
        if !self.in_tags {
            are_unknown.clear();
            if !were_unknown.is_empty() {
                return None;
            }
        }
        were_unknown.sort_unstable();
        (was == is && were_unknown == are_unknown && self.from.ignore == self.to.ignore).then(|| raw.to_owned())
    }
}
