//! Recognises the format of a file by its content.

use super::json::{self, Fields};
use super::source::decode;
use super::{Format, FormatError, tag_json, text_json};

/// The known formats, for error messages.
const KNOWN: &str = "DynClean JSON, CoNLL columns, BOND JSON, JSON Lines (tokens and tags, or text and \
                     offsets) or Label Studio's JSON";

/// Recognises the format of a file by its content.
///
/// # Errors
/// When the format is not known. The message lists the known formats.
pub fn detect(bytes: &[u8]) -> Result<Format, FormatError> {
    detect_text(decode(bytes)?.text)
}

pub(super) fn detect_text(text: &str) -> Result<Format, FormatError> {
    if !json::looks_like_json(text) {
        return Ok(Format::Conll);
    }
    // An empty array is a corpus without sentences.
    let Some(record) = json::first(text, KNOWN)? else { return Ok(Format::DyncleanJson) };
    if json::pair(record.raw).is_some_and(|(_, fields)| text_json::has_spans(&fields)) {
        return Ok(Format::TextJsonl);
    }
    let not_known = |what: String| record.error(format!("{what}; expected {KNOWN}; `--format` names one"));
    if !record.raw.starts_with('{') {
        return Err(not_known(element(record.raw).to_owned()));
    }
    let fields = record.fields()?;
    match by_fields(&fields) {
        Some(format) => Ok(format),
        None => Err(not_known(object(&fields))),
    }
}

/// Describes an element of the outer array that is not an object.
fn element(raw: &str) -> &'static str {
    let inner = raw.trim_start_matches('[').trim_start();
    match (raw.starts_with('['), inner.chars().next()) {
        (false, Some('"')) => "this is a list of strings, without labels",
        (false, _) => "this is a list of numbers or other values, without tokens and labels",
        (true, Some('"')) if json::pair(raw).is_some() => {
            "this is a list of pairs of a text and an object without `entities`, `spans` or `ents`"
        }
        (true, Some('"')) => "this is a list of lists of strings; write each as an object with tokens and tags",
        (true, _) => "this is a list of lists; write each sentence as an object with tokens and tags",
    }
}

/// Describes an object that is not a corpus record.
fn object(fields: &Fields) -> String {
    let has = |name: &str| fields.get(name).is_some();
    let begins =
        |raw: &str, inner: char| raw.strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with(inner));
    if has("paragraphs") {
        return "this is spaCy's training format of version 2 (`paragraphs`); write a line with text and entities for each \
                text: [\"Ada wrote.\", {\"entities\": [[0, 3, \"PER\"]]}]"
            .into();
    }
    if tag_json::TOKEN_FIELDS.iter().any(|name| fields.get(name).is_some_and(|raw| begins(raw, '['))) {
        return "this is one object with the columns of a table, all sentences in one; write a record for each sentence, in \
                Python with `datasets` Dataset.from_dict(columns).to_json(\"train.jsonl\")"
            .into();
    }
    if let Some((name, _)) = fields.0.iter().find(|(_, raw)| begins(raw, '{') || begins(raw, '[')) {
        let records = format!("give what is in `{name}` as a file of its own, with `jq .{name}` for example");
        return match fields.0.iter().filter(|(_, raw)| begins(raw, '{')).count() {
            0 | 1 => format!("this is one object, and the records seem to be in its field `{name}`; {records}"),
            _ => format!("this is one object with several lists of records, as splits of a data set are; {records}"),
        };
    }
    if fields.0.iter().any(|(_, raw)| raw.starts_with('{')) {
        return "this is one object that holds others; write a list of the records, each with tokens or text".into();
    }
    let names: Vec<String> = fields.0.iter().take(8).map(|(name, _)| format!("`{name}`")).collect();
    match names.is_empty() {
        true => "the first record is empty: it has neither tokens nor text".into(),
        false => format!("the first record has neither tokens nor text, but the fields {}", names.join(", ")),
    }
}

fn by_fields(fields: &Fields) -> Option<Format> {
    let has = |name: &str| fields.get(name).is_some();
    let is_array_of =
        |inner: char| move |raw: &str| raw.strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with(inner));
    let is_object = |raw: &str| raw.starts_with('{');
    let has_tags = tag_json::TAG_FIELDS.iter().any(|name| has(name));
    let words = || fields.get("words").filter(|raw| has_tags && raw.starts_with('['));
    let tokens = fields.get("tokens").or_else(words);
    // Columns of a table: one record has all sentences.
    if tokens.is_some_and(is_array_of('[')) {
        return None;
    }
    let is_tokens = |raw: &str| !is_array_of('{')(raw);
    if fields.get("data").is_some_and(is_object) {
        Some(Format::LabelStudio)
    } else if has("str_words") {
        Some(Format::Bond)
    } else if tokens.is_some_and(is_tokens) && !(has("text") && (has("spans") || has("ents"))) {
        Some(if has("tokens") && (has("entities") || !has_tags) { Format::DyncleanJson } else { Format::TagsJsonl })
    } else if has("text") {
        Some(Format::TextJsonl)
    } else {
        None
    }
}
