//! Builds a corpus from sentences and checks them.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use super::{FormatError, Layers, count};
use crate::corpus::labels::{LabelId, LabelSet};
use crate::corpus::span::Span;
use crate::corpus::{Corpus, Entity};
use crate::formats::layout::Layout;

/// A labelled span of a sentence: first token, last token, type.
pub(super) type Labelled<'a> = (u32, u32, Cow<'a, str>);

/// A sentence read by a format.
#[derive(Debug, Default)]
pub(super) struct Sentence<'a> {
    pub tokens: Vec<Cow<'a, str>>,
    pub entities: Vec<Labelled<'a>>,
    /// Empty if the file has no second layer.
    pub gold: Vec<Labelled<'a>>,
    pub unknown: Vec<(u32, u32)>,
    /// A JSON object that the format needs to write the sentence back.
    pub extra: Option<String>,
}

/// Collects sentences. Types are numbered in the order in which they appear and sorted at the end.
#[derive(Default)]
pub(super) struct Builder {
    corpus: Corpus,
    gold: Option<Vec<Entity>>,
    types: Types,
    /// Number of labels that are given twice to the same span.
    twice: usize,
    /// Messages from the reader of the format.
    pub notes: Vec<String>,
}

#[derive(Default)]
struct Types {
    names: Vec<String>,
    ids: HashMap<String, LabelId>,
}

impl Types {
    fn id(&mut self, name: &str) -> Result<LabelId, String> {
        if let Some(&id) = self.ids.get(name) {
            return Ok(id);
        }
        let id = LabelId::try_from(self.names.len() + 1).ok().filter(|&id| id < LabelId::MAX);
        let id = id.ok_or("there are more than 65,534 entity types; choose another label column or field")?;
        self.names.push(name.to_owned());
        self.ids.insert(name.to_owned(), id);
        Ok(id)
    }
}

impl Builder {
    /// A builder for a file with one label layer, or two if `with_gold`.
    pub fn new(with_gold: bool) -> Self {
        Self { gold: with_gold.then(Vec::new), ..Self::default() }
    }

    /// Number of sentences so far, which is also the number of the next sentence.
    pub fn n_sentences(&self) -> usize {
        self.corpus.n_sentences()
    }

    /// Appends a sentence.
    ///
    /// # Errors
    /// When labels and tokens do not fit together. The text is a message without the line.
    pub fn push(&mut self, sentence: Sentence) -> Result<(), String> {
        let number = u32::try_from(self.corpus.n_sentences()).map_err(|_| "there are more than 4 billion sentences")?;
        let at = At { sentence: number, n_tokens: sentence.tokens.len() };
        self.twice += at.add(&sentence.entities, &mut self.corpus.entities, &mut self.types)?;
        if let Some(gold) = &mut self.gold {
            self.twice += at.add(&sentence.gold, gold, &mut self.types)?;
        }
        for (start, end) in &sentence.unknown {
            self.corpus.unknown.push(at.span(*start, *end)?);
        }
        if let Some(extra) = sentence.extra {
            self.corpus.extra.push((number, extra));
        }
        self.corpus.tokens.push(&sentence.tokens).map_err(|e| e.to_string())
    }

    /// Returns the corpus, with its types sorted by name.
    pub fn finish(mut self, layout: Layout) -> Result<Layers, FormatError> {
        let failed = |error: &dyn std::fmt::Display| FormatError { line: 1, message: error.to_string() };
        let in_file_order = LabelSet::in_file_order(self.types.names);
        let sorted = LabelSet::from_types(in_file_order.types().iter().cloned());
        let gold = match self.gold {
            Some(entities) => {
                let gold = Corpus { entities, labels: in_file_order.clone(), ..Corpus::default() };
                Some(gold.with_labels(&sorted).map_err(|e| failed(&e))?.entities)
            }
            None => None,
        };
        self.corpus.labels = in_file_order;
        self.corpus.layout = layout;
        let corpus = self.corpus.with_labels(&sorted).map_err(|e| failed(&e))?;
        if self.twice > 0 {
            self.notes.push(format!("{} given twice to the same span; read once", count(self.twice, "label")));
        }
        Ok(Layers { corpus, gold, notes: self.notes })
    }
}

struct At {
    sentence: u32,
    n_tokens: usize,
}

impl At {
    fn span(&self, start: u32, end: u32) -> Result<Span, String> {
        if start <= end && (end as usize) < self.n_tokens {
            Ok(Span { sentence: self.sentence, start, end })
        } else {
            Err(format!(
                "sentence {} (from 0): span [{start}, {end}] is not inside its {} tokens (indices from 0, end inclusive)",
                self.sentence, self.n_tokens
            ))
        }
    }

    /// Adds labels and returns how many of them were repeated.
    fn add(&self, labelled: &[Labelled], to: &mut Vec<Entity>, types: &mut Types) -> Result<usize, String> {
        let mut labels: BTreeMap<(u32, u32), LabelId> = BTreeMap::new();
        let mut twice = 0;
        for (start, end, kind) in labelled {
            let span = self.span(*start, *end)?;
            if kind.is_empty() || kind == "O" {
                return Err(format!("sentence {} (from 0): {kind:?} is not an entity type", self.sentence));
            }
            let label = types.id(kind)?;
            match labels.insert((*start, *end), label) {
                None => to.push(Entity { span, label }),
                Some(earlier) if earlier == label => twice += 1,
                Some(_) => {
                    return Err(format!(
                        "sentence {} (from 0): span [{start}, {end}] has two labels; keep one of them",
                        self.sentence
                    ));
                }
            }
        }
        Ok(twice)
    }
}
