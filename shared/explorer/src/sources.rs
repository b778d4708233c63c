//! Fields of the corpus that divide its sentences, such as `source` or `annotator`, and how good the labels of each
//! part look.

use std::fmt::{self, Formatter};

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use shared::corpus::Corpus;
use shared::corpus::decision::Side;
use shared::corpus::labels::{LabelId, O};
use shared::corpus::span::SpanIndex;
use shared::detection::judgement::Judgement;

/// Largest number of values of a field. A field with more values names sentences rather than sources.
const MOST_VALUES: usize = 40;
/// Longest value, in bytes. A longer one is a text and no name.
const LONGEST: usize = 80;
/// The value of sentences that lack the field.
const MISSING: &str = "(none)";

/// A field of the sentences, and its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Name of the field; `outer.inner` for a field inside an object.
    pub name: String,
    /// The values, in alphabetical order.
    values: Vec<String>,
    /// The number of the value of each sentence.
    of_sentence: Vec<u8>,
}

/// The condition that a field has a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Name of the field.
    pub field: String,
    /// The value.
    pub value: String,
}

/// The fields with at least two and at most [`MOST_VALUES`] different values. A value is a text, a whole number, or
/// true or false. Fields that name almost every sentence differently are left out.
pub fn fields(corpus: &Corpus) -> Vec<Field> {
    let mut found: Vec<Found> = Vec::new();
    for (sentence, json) in &corpus.extra {
        let part = Part { found: &mut found, sentence: *sentence, name: String::new(), depth: 0 };
        // A text that is not JSON has no fields.
        let _ = part.deserialize(&mut serde_json::Deserializer::from_str(json));
    }
    let n = corpus.n_sentences();
    found.into_iter().filter_map(|found| Field::new(found, n)).collect()
}

/// The values of a field with their sentences. Lists are kept in alphabetical order while they grow: a sort would make
/// the page larger.
struct Found {
    name: String,
    /// `None` if the field divides nothing.
    values: Option<Vec<(String, Vec<u32>)>>,
}

/// A part of a sentence's record: the record, or the value of a field.
struct Part<'a> {
    found: &'a mut Vec<Found>,
    sentence: u32,
    name: String,
    depth: u8,
}

impl Part<'_> {
    /// Notes the value of the field; `None` if the value cannot be the name of a source.
    fn note(self, value: Option<String>) {
        let at = self.found.binary_search_by(|known| known.name.cmp(&self.name)).unwrap_or_else(|at| {
            self.found.insert(at, Found { name: self.name, values: Some(Vec::new()) });
            at
        });
        let Some(Found { values, .. }) = self.found.get_mut(at) else { return };
        let Some(known) = values else { return };
        let Some(value) = value.filter(|value| value.len() <= LONGEST) else {
            *values = None;
            return;
        };
        match known.binary_search_by(|(of, _)| of.cmp(&value)) {
            Ok(at) => known.get_mut(at).into_iter().for_each(|(_, sentences)| sentences.push(self.sentence)),
            Err(at) if known.len() < MOST_VALUES => known.insert(at, (value, vec![self.sentence])),
            Err(_) => *values = None,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut Formatter) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.note(Some(text.to_owned()));
        Ok(())
    }

    fn visit_bool<E: Error>(self, is_true: bool) -> Result<(), E> {
        self.note(Some(is_true.to_string()));
        Ok(())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.note(Some(number.to_string()));
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.note(Some(number.to_string()));
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.note(None);
        Ok(())
    }

    /// The field counts as missing.
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        self.note(None);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(name) = fields.next_key::<String>()? {
            if self.depth > 1 {
                fields.next_value::<IgnoredAny>()?;
                continue;
            }
            let name = if self.depth == 0 { name } else { format!("{}.{name}", self.name) };
            let found = &mut *self.found;
            fields.next_value_seed(Part { found, sentence: self.sentence, name, depth: self.depth + 1 })?;
        }
        Ok(())
    }
}

impl Field {
    /// A field that was found in some of `n` sentences; `None` if it does not divide them.
    fn new(Found { name, values }: Found, n: usize) -> Option<Self> {
        let mut values = values?;
        let n_known: usize = values.iter().map(|(_, sentences)| sentences.len()).sum();
        // A number or a name for every sentence or document is no source.
        if 2 * values.len() > n_known {
            return None;
        }
        let missing = values.binary_search_by(|(value, _)| value.as_str().cmp(MISSING)).unwrap_or_else(|at| {
            if n_known < n {
                values.insert(at, (MISSING.to_owned(), Vec::new()));
            }
            at
        });
        if values.len() < 2 {
            return None;
        }
        let mut of_sentence = vec![missing as u8; n];
        for (number, (_, sentences)) in (0..).zip(&values) {
            for &sentence in sentences {
                if let Some(of) = of_sentence.get_mut(sentence as usize) {
                    *of = number;
                }
            }
        }
        Some(Self { name, values: values.into_iter().map(|(value, _)| value).collect(), of_sentence })
    }

    /// Whether a sentence has this value.
    pub fn has(&self, sentence: u32, value: &str) -> bool {
        self.number(sentence).and_then(|number| self.values.get(number)).is_some_and(|of| of == value)
    }

    fn number(&self, sentence: u32) -> Option<usize> {
        self.of_sentence.get(sentence as usize).map(|&number| usize::from(number))
    }
}

/// How good the labels of one source look.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRow {
    /// The value of the field.
    pub value: String,
    /// Number of sentences.
    pub sentences: u32,
    /// Number of labelled entities.
    pub entities: u32,
    /// How many of them are likely wrong.
    pub doubted: u32,
    /// `O` spans that are likely missed entities.
    pub missed: u32,
    /// How many of the entities are wrong by gold, if gold is known.
    pub wrong_by_gold: Option<u32>,
}

/// The rows of one field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceTable {
    /// Name of the field.
    pub field: String,
    /// One row for each value, in alphabetical order.
    pub rows: Vec<SourceRow>,
}

/// The counts of every field that stay the same when a threshold moves.
#[derive(Debug)]
pub struct Sources {
    /// The fields.
    pub fields: Vec<Field>,
    tables: Vec<SourceTable>,
}

impl Sources {
    /// Counts sentences and entities. `assigned` and `gold` have one label per span. O(spans × fields).
    pub fn new(corpus: &Corpus, index: &SpanIndex, assigned: &[LabelId], gold: Option<&[LabelId]>) -> Self {
        let fields = fields(corpus);
        let tables = fields.iter().map(|field| {
            let row = |value: &String| SourceRow {
                value: value.clone(),
                wrong_by_gold: gold.map(|_| 0),
                ..SourceRow::default()
            };
            let mut rows: Vec<SourceRow> = field.values.iter().map(row).collect();
            for sentence in 0..corpus.n_sentences() as u32 {
                let Some(row) = field.number(sentence).and_then(|number| rows.get_mut(number)) else { continue };
                row.sentences += 1;
                for span in index.of_sentence(sentence) {
                    let at = span as usize;
                    let Some(label) = assigned.get(at).filter(|&&label| label != O) else { continue };
                    row.entities += 1;
                    if let (Some(wrong), Some(gold)) = (&mut row.wrong_by_gold, gold) {
                        *wrong += u32::from(gold.get(at) != Some(label));
                    }
                }
            }
            SourceTable { field: field.name.clone(), rows }
        });
        Self { tables: tables.collect(), fields }
    }

    /// The tables under these decisions of the settings.
    pub fn at(&self, judgement: &Judgement) -> Vec<SourceTable> {
        let mut tables = self.tables.clone();
        if tables.is_empty() {
            return tables;
        }
        for side in Side::BOTH {
            for &span in judgement.changed(side).iter() {
                let Some(span) = judgement.judge().index.span(span) else { continue };
                for (field, table) in self.fields.iter().zip(&mut tables) {
                    if let Some(row) = field.number(span.sentence).and_then(|number| table.rows.get_mut(number)) {
                        match side {
                            Side::Negatives => row.missed += 1,
                            Side::Positives => row.doubted += 1,
                        }
                    }
                }
            }
        }
        tables
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use shared::detection::judge::Judge;
    use shared::detection::threshold::{Metric, Rule, Settings};
    use shared::formats::dynclean_json;
    use shared::metrics::Window;

    use super::*;
    use crate::filter::{Facts, Filter, Selection};
    use crate::one_epoch::of_one_epoch;

    /// Six sentences of one word. `id` names each of them, `list` and `long` are no names, `same` never varies.
    fn corpus() -> Corpus {
        let long = "x".repeat(81);
        let sentence = |n: u32, more: &str| {
            format!(
                r#"{{"tokens": ["w{n}"], "entities": [[0, 0, "X"]], "id": "s{n}", "list": [1], "long": "{long}", "same": 1{more}}}"#
            )
        };
        let json = [
            sentence(0, r#", "source": "wiki", "meta": {"by": "ann", "sure": true}"#),
            sentence(1, r#", "source": "news", "meta": {"by": "bo", "sure": false}"#),
            sentence(2, r#", "source": "wiki", "meta": {"by": "ann", "sure": true}"#),
            sentence(3, r#", "source": "news", "meta": {"by": "bo", "sure": true}"#),
            sentence(4, r#", "source": "wiki", "meta": {"by": null}"#),
            sentence(5, ""),
        ];
        dynclean_json::read(format!("[{}]", json.join(",")).as_bytes()).unwrap()
    }

    #[test]
    fn fields_that_divide_the_sentences_are_found() {
        let fields = fields(&corpus());
        let found: Vec<(&str, Vec<&str>, &[u8])> = fields
            .iter()
            .map(|f| (f.name.as_str(), f.values.iter().map(String::as_str).collect(), f.of_sentence.as_slice()))
            .collect();
        assert_eq!(
            found,
            [
                ("meta.by", vec!["(none)", "ann", "bo"], &[1, 2, 1, 2, 0, 0][..]),
                ("meta.sure", vec!["(none)", "false", "true"], &[2, 1, 2, 2, 0, 0]),
                ("source", vec!["(none)", "news", "wiki"], &[2, 1, 2, 1, 2, 0]),
            ]
        );
        assert!(fields[2].has(0, "wiki") && !fields[2].has(1, "wiki") && !fields[2].has(6, "wiki"));
    }

    #[test]
    fn labels_are_counted_by_source() {
        let corpus = corpus();
        // Words 1 and 3 prefer `O`: their labels are wrong below an AUM of 0.
        let rows: Vec<f32> = (0..6).flat_map(|n| if n == 1 || n == 3 { [2.0, 0.0] } else { [0.0, 2.0] }).collect();
        let dynamics = of_one_epoch(corpus, &rows);
        let judge = Judge::new(&dynamics, Window::first_epochs(1), Metric::Aum).unwrap();
        let gold = [1, 0, 1, 1, 0, 1];
        let sources = Sources::new(&dynamics.corpus, &judge.index, &judge.assigned, Some(&gold));
        let settings = Settings { positives: Rule::Fixed(0.0), negatives: Rule::Keep, ..Settings::paper() };
        let (judgement, none) = (judge.under(&settings), BTreeMap::new());
        let tables = sources.at(&judgement);
        let table = tables.iter().find(|table| table.field == "source").unwrap();
        let row = |value: &str, sentences, doubted, wrong| SourceRow {
            value: value.to_owned(),
            sentences,
            entities: sentences,
            doubted,
            missed: 0,
            wrong_by_gold: Some(wrong),
        };
        assert_eq!(table.rows, [row("(none)", 1, 0, 0), row("news", 2, 2, 1), row("wiki", 3, 0, 1)]);

        let facts = Facts { fields: &sources.fields, ..Facts::alone(&judgement, &none, &dynamics.corpus) };
        let passing = |field: &str, value: &str| {
            let source = Some(Source { field: field.to_owned(), value: value.to_owned() });
            let selection = Selection::new(&Filter { source, ..Filter::default() }, &facts);
            (0..7).filter(|&span| selection.contains(span)).collect::<Vec<_>>()
        };
        assert_eq!(passing("source", "wiki"), [0, 2, 4]);
        assert_eq!(passing("source", MISSING), [5]);
        assert_eq!(passing("meta.by", "bo"), [1, 3]);
        assert!(passing("source", "radio").is_empty());
        // A link may name a field of another file.
        assert!(passing("other", "wiki").is_empty());
    }
}
