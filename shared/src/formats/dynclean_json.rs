//! DynClean JSON: an array (or JSON Lines) with one object per sentence.
//!
//! ```json
//! [
//! {"tokens": ["Ada", "Lovelace", "wrote"], "entities": [[0, 1, "PER"]], "unknown": [[2, 2]]}
//! ]
//! ```
//! Token indices count from 0, and the end is inclusive. `unknown` (optional) lists spans that a cleaning removed:
//! they are neither entities nor `O`. All other fields of a sentence are kept and written back.

use std::borrow::Cow;
use std::ops::ControlFlow;

use super::builder::{Builder, Labelled, Sentence};
use super::json::{self, Record};
use super::layout::{DyncleanJson, Layout};
use super::source::{Source, decode};
use super::{Content, FormatError, Layers, ReadOptions, Written};
use crate::corpus::Corpus;

const EXPECTED: &str = "a JSON array of {\"tokens\": [...], \"entities\": [[start, end, \"TYPE\"], ...]}";
const TOKENS: &str = "tokens";
const UNKNOWN: &str = "unknown";

/// Reads a corpus. The label set has the types that occur, sorted by name.
///
/// # Errors
/// When the file cannot be read. The error has the line and what was expected there.
pub fn read(text: &[u8]) -> Result<Corpus, FormatError> {
    if text.trim_ascii().is_empty() {
        return Err(FormatError { line: 1, message: format!("the file is empty; expected {EXPECTED}") });
    }
    Ok(read_layers(&decode(text)?, &ReadOptions::default())?.corpus)
}

pub(super) fn read_layers(source: &Source, options: &ReadOptions) -> Result<Layers, FormatError> {
    let layout = DyncleanJson {
        container: json::container(source.text),
        entities: options.label.clone().unwrap_or_else(|| "entities".into()),
    };
    let mut builder = Builder::new(options.gold.is_some());
    json::for_each(source.text, EXPECTED, |record| {
        let sentence = read_sentence(&record, &layout, options)?;
        builder.push(sentence).map_err(|message| record.error(message))?;
        Ok(ControlFlow::Continue(()))
    })?;
    builder.finish(Layout::DyncleanJson(layout))
}

fn read_sentence<'a>(
    record: &Record<'a>,
    layout: &DyncleanJson,
    options: &ReadOptions,
) -> Result<Sentence<'a>, FormatError> {
    let fields = record.fields()?;
    let own = [TOKENS, layout.entities.as_str(), UNKNOWN];
    if let Some(name) = own.iter().find(|name| fields.is_double(name)) {
        return Err(record.error(format!("field `{name}` stands twice in one sentence; keep one of them")));
    }
    let needed = |name: &str| {
        fields.get(name).ok_or_else(|| record.error(format!("missing field `{name}`; expected {EXPECTED}")))
    };
    let labels = |name: &str| -> Result<Vec<Labelled<'a>>, FormatError> {
        let raw = needed(name)?;
        let labels: Vec<(u32, u32, String)> = record.parse(raw, name, "[[start, end, \"TYPE\"], ...]")?;
        Ok(labels.into_iter().map(|(start, end, kind)| (start, end, Cow::Owned(kind))).collect())
    };
    let tokens: Vec<String> = record.parse(needed(TOKENS)?, TOKENS, "a list of words")?;
    Ok(Sentence {
        tokens: tokens.into_iter().map(Cow::Owned).collect(),
        entities: match fields.get(&layout.entities) {
            None if options.unlabelled => Vec::new(),
            _ => labels(&layout.entities)?,
        },
        gold: options.gold.as_deref().map_or(Ok(Vec::new()), labels)?,
        unknown: match fields.get(UNKNOWN) {
            Some(raw) => record.parse(raw, UNKNOWN, "[[start, end], ...]")?,
            None => Vec::new(),
        },
        extra: json::further_fields(&fields, &own, None),
    })
}

/// Writes a corpus as DynClean JSON, one sentence per line. The same corpus always gives the same bytes. Other
/// fields of a sentence are written only if the corpus was read from DynClean JSON.
pub fn write(corpus: &Corpus) -> String {
    let layout = match &corpus.layout {
        Layout::DyncleanJson(layout) => layout,
        _ => &DyncleanJson::default(),
    };
    json::file(layout.container, (0..corpus.n_sentences() as u32).map(|s| write_sentence(corpus, s, layout)))
}

pub(super) fn write_as(corpus: &Corpus, layout: &DyncleanJson) -> Written {
    Written { content: Content::Text(write(corpus)), layout: Layout::DyncleanJson(layout.clone()), notes: Vec::new() }
}

fn write_sentence(corpus: &Corpus, sentence: u32, layout: &DyncleanJson) -> String {
    let tokens = json::array(corpus.tokens.sentence(sentence).map(json::string));
    let entities = json::array(
        corpus
            .entities_of(sentence)
            .iter()
            .map(|e| format!("[{}, {}, {}]", e.span.start, e.span.end, json::string(corpus.labels.name(e.label)))),
    );
    let unknown = corpus.unknown_of(sentence);
    let unknown = (!unknown.is_empty()).then(|| json::pairs(unknown.iter().map(|s| (s.start, s.end))));
    let own = [(TOKENS, Some(tokens)), (layout.entities.as_str(), Some(entities)), (UNKNOWN, unknown)];
    let is_own_format = matches!(corpus.layout, Layout::DyncleanJson(_));
    json::token_record(&own, corpus.extra_of(sentence).filter(|_| is_own_format))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"[
{"tokens": ["Ada", "\"L\"", "été"], "entities": [[2, 2, "PER"], [0, 1, "LOC"]], "unknown": [[1, 2]], "id": 7},
{"tokens": [], "entities": []}
]
"#;

    #[test]
    fn round_trip_is_byte_exact() {
        let corpus = read(SMALL.as_bytes()).unwrap();
        assert_eq!(corpus.labels.types(), ["LOC", "PER"]);
        assert_eq!(corpus.entities[0].label, 2, "types are numbered by name, not by occurrence");
        assert_eq!(write(&corpus), SMALL.replace("\"id\": 7", "\"id\":7"));
        assert_eq!(read(write(&corpus).as_bytes()).unwrap(), corpus);
    }

    #[test]
    fn an_empty_corpus_round_trips() {
        let corpus = read(b"[]").unwrap();
        assert_eq!(corpus.n_sentences(), 0);
        assert_eq!(read(write(&corpus).as_bytes()).unwrap(), corpus);
    }

    fn error(text: &str) -> FormatError {
        read(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn errors_name_the_line_and_the_expectation() {
        let e =
            error("[\n{\"tokens\": [\"a\"], \"entities\": []},\n{\"tokens\": [\"a\"], \"entities\": [[0, 1, \"X\"]]}]");
        assert_eq!(e.line, 3);
        assert!(e.message.contains("[0, 1] is not inside its 1 tokens"), "{e}");
        assert!(error("[\n{\"entities\": []}]").message.contains("missing field `tokens`"));
        assert!(error("").message.contains("expected a JSON array"));
        assert!(
            error("[{\"tokens\": [\"a\"], \"entities\": [[0, 0, \"X\"], [0, 0, \"Y\"]]}]")
                .message
                .contains("two labels")
        );
        assert!(error("[{\"tokens\": [\"a\"], \"entities\": [[0, 0, \"O\"]]}]").message.contains("not an entity type"));
        assert!(error("[] x").message.contains("trailing"));
        assert!(read(&[0xff, 0xfe]).is_err());
    }
}
