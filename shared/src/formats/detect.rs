//! Recognising a format by content.

use super::json::{self, Fields};
use super::source::decode;
use super::{Format, FormatError};

/// What users are told where nothing fits.
const KNOWN: &str = "expected DynClean JSON, CoNLL columns, BOND JSON, JSON Lines (tokens and tags, or text and \
                     offsets) or Label Studio's JSON";

/// The format of a file, by its content.
///
/// # Errors
/// When it is none that is known, with what is.
pub fn detect(bytes: &[u8]) -> Result<Format, FormatError> {
    detect_text(decode(bytes)?.text)
}

pub(super) fn detect_text(text: &str) -> Result<Format, FormatError> {
    if !json::looks_like_json(text) {
        return Ok(Format::Conll);
    }
    // An array without elements is a corpus without sentences.
    let Some(record) = json::first(text, KNOWN)? else { return Ok(Format::DyncleanJson) };
    by_fields(&record.fields()?).ok_or_else(|| {
        record.error(format!("the first record has neither tokens nor text; {KNOWN}; `--format` names one"))
    })
}

fn by_fields(fields: &Fields) -> Option<Format> {
    let has = |name: &str| fields.get(name).is_some();
    let is_array_of_objects = |raw: &str| raw.trim_start_matches('[').trim_start().starts_with('{');
    let is_object = |raw: &str| raw.starts_with('{');
    if fields.get("data").is_some_and(is_object) {
        Some(Format::LabelStudio)
    } else if has("str_words") {
        Some(Format::Bond)
    } else if fields.get("tokens").is_some_and(|raw| !is_array_of_objects(raw))
        && !fields.get("text").is_some_and(|_| has("spans"))
    {
        let tags = super::tag_json::TAG_FIELDS.iter().any(|name| has(name));
        Some(if has("entities") || !tags { Format::DyncleanJson } else { Format::TagsJsonl })
    } else if has("text") {
        Some(Format::TextJsonl)
    } else {
        None
    }
}
