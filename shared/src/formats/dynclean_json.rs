//! DynClean JSON: one array, one object per sentence.
//!
//! ```json
//! [
//! {"tokens": ["Ada", "Lovelace", "wrote"], "entities": [[0, 1, "PER"]], "unknown": [[2, 2]]}
//! ]
//! ```
//! Token indices count from 0, the end is inclusive. `unknown` (optional) lists spans that a
//! cleaning removed: they are neither entities nor `O`. Any other field of a sentence is kept and
//! written back.

use std::fmt::Write as _;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};

use super::FormatError;
use crate::corpus::{Corpus, Entity};
use crate::labels::{LabelId, LabelSet};
use crate::span::Span;

#[derive(Deserialize)]
struct Record {
    tokens: Vec<String>,
    entities: Vec<(u32, u32, String)>,
    #[serde(default)]
    unknown: Vec<(u32, u32)>,
    #[serde(flatten)]
    extra: serde_json::Map<String, serde_json::Value>,
}

/// Reads a corpus. The label set has the types that occur, sorted by name.
///
/// # Errors
/// With the line and what was expected there.
pub fn read(text: &[u8]) -> Result<Corpus, FormatError> {
    let mut builder = Builder::default();
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let outcome = Records(&mut builder).deserialize(&mut deserializer).and_then(|()| deserializer.end());
    outcome.map_err(|error| FormatError { line: error.line().max(1), message: explain(&error) })?;
    builder.finish()
}

fn explain(error: &serde_json::Error) -> String {
    // serde_json appends the position, which the error carries as a field of its own.
    let text = error.to_string();
    let message = text.split(" at line ").next().unwrap_or(&text);
    if error.is_data() {
        message.to_owned()
    } else {
        format!(
            "{message}; expected a JSON array of {{\"tokens\": [...], \"entities\": [[start, end, \"TYPE\"], ...]}}"
        )
    }
}

/// Collects records; types are numbered as they come and sorted at the end.
#[derive(Default)]
struct Builder {
    corpus: Corpus,
    types: Vec<String>,
}

impl Builder {
    fn push(&mut self, record: Record) -> Result<(), String> {
        let sentence = u32::try_from(self.corpus.n_sentences()).map_err(|e| e.to_string())?;
        let n = record.tokens.len();
        let check = |start: u32, end: u32| {
            if start <= end && (end as usize) < n {
                Ok(Span { sentence, start, end })
            } else {
                Err(format!(
                    "sentence {sentence} (from 0): span [{start}, {end}] is not inside its {n} tokens \
                     (indices from 0, end inclusive)"
                ))
            }
        };
        let first = self.corpus.entities.len();
        for (start, end, kind) in &record.entities {
            let span = check(*start, *end)?;
            if kind.is_empty() || kind == "O" {
                return Err(format!("sentence {sentence} (from 0): {kind:?} is not an entity type"));
            }
            let label = self.label(kind)?;
            if self.corpus.entities[first..].iter().any(|e| e.span == span) {
                return Err(format!(
                    "sentence {sentence} (from 0): span [{start}, {end}] has two labels; keep one of them"
                ));
            }
            self.corpus.entities.push(Entity { span, label });
        }
        for (start, end) in &record.unknown {
            self.corpus.unknown.push(check(*start, *end)?);
        }
        if !record.extra.is_empty() {
            let json = serde_json::to_string(&record.extra).map_err(|e| e.to_string())?;
            self.corpus.extra.push((sentence, json));
        }
        self.corpus.tokens.push(&record.tokens).map_err(|e| e.to_string())
    }

    fn label(&mut self, kind: &str) -> Result<LabelId, String> {
        let position = match self.types.iter().position(|t| t == kind) {
            Some(position) => position,
            None => {
                self.types.push(kind.to_owned());
                self.types.len() - 1
            }
        };
        LabelId::try_from(position + 1).map_err(|_| "more than 65,534 entity types".to_owned())
    }

    fn finish(mut self) -> Result<Corpus, FormatError> {
        let sorted = LabelSet::from_types(self.types.iter().cloned());
        self.corpus.labels = LabelSet::in_file_order(self.types);
        self.corpus.with_labels(&sorted).map_err(|error| FormatError { line: 1, message: error.to_string() })
    }
}

struct Records<'a>(&'a mut Builder);

impl<'de> DeserializeSeed<'de> for Records<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Records<'_> {
    type Value = ();
    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("an array of sentences")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut records: A) -> Result<(), A::Error> {
        while let Some(record) = records.next_element::<Record>()? {
            self.0.push(record).map_err(serde::de::Error::custom)?;
        }
        Ok(())
    }
}

/// Writes a corpus, one sentence a line; the same corpus always gives the same bytes.
pub fn write(corpus: &Corpus) -> String {
    let mut out = String::from("[\n");
    for sentence in 0..corpus.n_sentences() as u32 {
        if sentence > 0 {
            out.push_str(",\n");
        }
        write_sentence(&mut out, corpus, sentence);
    }
    out.push_str("\n]\n");
    out
}

fn write_sentence(out: &mut String, corpus: &Corpus, sentence: u32) {
    out.push_str("{\"tokens\": [");
    for (i, token) in corpus.tokens.sentence(sentence).enumerate() {
        separate(out, i);
        push_json_string(out, token);
    }
    out.push_str("], \"entities\": [");
    for (i, entity) in corpus.entities_of(sentence).iter().enumerate() {
        separate(out, i);
        let _ = write!(out, "[{}, {}, ", entity.span.start, entity.span.end);
        push_json_string(out, corpus.labels.name(entity.label));
        out.push(']');
    }
    out.push(']');
    let unknown = corpus.unknown_of(sentence);
    if !unknown.is_empty() {
        out.push_str(", \"unknown\": [");
        for (i, span) in unknown.iter().enumerate() {
            separate(out, i);
            let _ = write!(out, "[{}, {}]", span.start, span.end);
        }
        out.push(']');
    }
    if let Some(fields) = corpus.extra_of(sentence).and_then(|json| json.strip_prefix('{')?.strip_suffix('}')) {
        out.push_str(", ");
        out.push_str(fields);
    }
    out.push('}');
}

fn separate(out: &mut String, i: usize) {
    if i > 0 {
        out.push_str(", ");
    }
}

fn push_json_string(out: &mut String, text: &str) {
    out.push_str(&serde_json::Value::from(text).to_string());
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
