//! The evidence that the text gives about a label. It uses only tokens and distant labels, no model and no gold.
//!
//! Each source of evidence has its own file, with its definition, its range and its reason. The evidence is stored
//! by token, so reading it for a span takes as many steps as the span has tokens. A source that does not vary in a
//! corpus (text without capitals, a script without case) is 0 for every span there, so it has no weight.

pub mod capitals;
pub mod case;
pub mod elsewhere;

use std::collections::HashMap;

use self::capitals::{Capitals, Counts, Words};
use self::case::CaseCounts;
use crate::corpus::span::Span;
use crate::corpus::{Corpus, Entity};
use crate::recording::dynamics::Dynamics;
use crate::recording::whole::Whole;

/// Below this lower-case share, a capitalised first word of a sentence counts as a name.
const ORDINARY_AT_START: f32 = 0.3;
/// Above this share of tokens in capitals, a whole sentence counts as shouting, and its capitals say nothing.
const SHOUTING: f32 = 0.6;

/// The evidence about every span of one corpus.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// Number of the first token of each sentence; the last element is the number of all tokens.
    first: Vec<u32>,
    words: Vec<Words>,
    /// Lower-case share of each token.
    lower: Vec<f32>,
    /// How often each token's word stands elsewhere without a label. See [`elsewhere`].
    unlabelled: Vec<f32>,
    /// Lower-case share of the first word of sentences that begin with an entity of several words, if that word is
    /// capitalised only because it begins the sentence.
    starts: HashMap<u32, f32>,
    /// The whole runs of which a labelled entity is only a part, in order.
    runs_of_entities: Vec<Span>,
    /// How far capitals mark names in this corpus.
    pub capitals: Capitals,
}

/// The evidence of the text about one span.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SpanEvidence {
    /// The longer capitalised run that an entity is part of; `None` if the run does not go beyond it. See
    /// [`capitals`].
    pub run: Option<Span>,
    /// Whether the span is a whole capitalised run.
    pub is_run: bool,
    /// Whether the span is a run with a joining word inside, such as *of*.
    pub is_joined: bool,
    /// Whether the span is a whole run, and a labelled entity is only a part of it.
    pub is_run_of_entity: bool,
    /// Whether all words are capitalised. Only then does `lower` count for an entity.
    pub is_capitalised: bool,
    /// The smallest lower-case share of the span's words, 0 to 1. See [`case`].
    pub lower: f32,
    /// For an entity of several words at the start of a sentence: the lower-case share of its first word before its
    /// second, if that word is capitalised only because it begins the sentence (*The* in *The Beatles*). Otherwise 0.
    pub start_lower: f32,
    /// For a span of one word: how often the word stands elsewhere without a label, from 0. See [`elsewhere`].
    /// Otherwise 0.
    pub unlabelled: f32,
    /// Whether a token of the span belongs to a labelled entity.
    pub is_covered: bool,
    /// Number of tokens.
    pub width: u32,
    /// How far capitals mark names in the whole corpus.
    pub capitals: Capitals,
}

impl Evidence {
    /// The evidence about a recording: from its text, or, for an extract, from the text of the whole.
    pub fn of_dynamics(dynamics: &Dynamics, max_width: u32) -> Self {
        match &dynamics.whole {
            Some(whole) => Self::of_whole(&dynamics.corpus, whole),
            None => Self::new(&dynamics.corpus, max_width),
        }
    }

    /// Collects the evidence from a corpus with its distant labels. `max_width` is the width of the widest
    /// candidate span, in tokens. O(tokens × width).
    pub fn new(corpus: &Corpus, max_width: u32) -> Self {
        let counts = CaseCounts::new(&corpus.tokens);
        // Without real sentences (ids of an imported recording, or single words), the text says nothing.
        let has_sentences = corpus.tokens.lengths().any(|n| n > 1);
        let mut first = Vec::with_capacity(corpus.n_sentences() + 1);
        let mut words = Vec::with_capacity(corpus.tokens.n_tokens());
        let mut lower = Vec::with_capacity(corpus.tokens.n_tokens());
        for sentence in 0..corpus.n_sentences() as u32 {
            first.push(words.len() as u32);
            let tokens = corpus.tokens.sentence(sentence);
            let n_capitals = tokens.clone().filter(|token| case::is_in_capitals(token)).count();
            let shouts = !has_sentences || n_capitals as f32 > SHOUTING * tokens.len() as f32;
            for (at, token) in tokens.enumerate() {
                let share = counts.lower_share(token);
                let mut word = Words::default();
                if !shouts && case::is_capitalised(token) {
                    word |= Words::CAPITALISED;
                    if at > 0 || share < ORDINARY_AT_START {
                        word |= Words::NAME;
                    }
                }
                if counts.is_joining(token) {
                    word |= Words::JOINING;
                }
                words.push(word);
                lower.push(share);
            }
        }
        first.push(words.len() as u32);
        let unlabelled = if has_sentences { elsewhere::unlabelled_elsewhere(corpus) } else { vec![0.0; words.len()] };
        let (starts, runs_of_entities, capitals) = (HashMap::new(), Vec::new(), Capitals::default());
        let mut evidence = Self { first, words, lower, unlabelled, starts, runs_of_entities, capitals };
        for entity in &corpus.entities {
            for word in evidence.of_mut(entity.span) {
                *word |= Words::COVERED;
            }
        }
        let is_at_start = |entity: &&Entity| {
            let word = evidence.sentence(entity.span.sentence).and_then(|(words, _)| words.first());
            let is_no_name = word.is_some_and(|word| word.has(Words::CAPITALISED) && !word.has(Words::NAME));
            entity.span.start == 0 && entity.span.end > 0 && is_no_name
        };
        let at_start: Vec<u32> =
            corpus.entities.iter().filter(is_at_start).map(|entity| entity.span.sentence).collect();
        evidence.starts = counts.shares_at_start(&corpus.tokens, &at_start);
        evidence.find_runs_of_entities(corpus);
        let is_capitalised = |entity: &&Entity| {
            let mut words = corpus.tokens.words(entity.span);
            let ends = [words.clone().next(), words.clone().last()];
            ends.iter().flatten().all(|word| case::is_capitalised(word))
                && words.all(|word| case::is_capitalised(word) || counts.is_joining(word))
        };
        let entities = if has_sentences { corpus.entities.as_slice() } else { &[] };
        evidence.capitals = Capitals::from(Counts {
            entities: entities.len() as u32,
            capitalised: entities.iter().filter(is_capitalised).count() as u32,
            ..evidence.count_runs(corpus, max_width)
        });
        evidence
    }

    /// Returns the evidence for an extract. It comes from the text of the whole recording.
    pub fn of_whole(corpus: &Corpus, whole: &Whole) -> Self {
        let (first, words, lower, unlabelled) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (starts, runs_of_entities) = (HashMap::new(), Vec::new());
        let [seldom_lower, labelled, entities] = [1, 2, 3].map(|at| whole.number(Whole::CAPITALS + at));
        let capitals = Capitals { runs: whole.count(Whole::CAPITALS), seldom_lower, labelled, entities };
        let mut evidence = Self { first, words, lower, unlabelled, starts, runs_of_entities, capitals };
        let mut tokens = whole.of_tokens();
        for (sentence, length) in (0..).zip(corpus.tokens.lengths()) {
            evidence.first.push(evidence.words.len() as u32);
            for (marks, [lower, unlabelled, start]) in tokens.by_ref().take(length as usize) {
                evidence.words.push(Words::from_bits(marks as u8));
                evidence.lower.push(lower);
                evidence.unlabelled.push(unlabelled);
                if start > 0.0 {
                    evidence.starts.insert(sentence, start);
                }
            }
        }
        evidence.first.push(evidence.words.len() as u32);
        evidence.find_runs_of_entities(corpus);
        evidence
    }

    /// Returns the facts about the tokens of these sentences that [`of_whole`](Self::of_whole) needs.
    pub fn of_tokens(&self, sentences: &[u32]) -> Vec<u32> {
        let mut all = Vec::new();
        for &sentence in sentences {
            let mut start = self.starts.get(&sentence).copied().unwrap_or(0.0);
            for at in self.range(sentence).into_iter().flatten() {
                let (Some(words), Some(lower), Some(unlabelled)) =
                    (self.words.get(at), self.lower.get(at), self.unlabelled.get(at))
                else {
                    continue;
                };
                all.push(u32::from(words.bits()));
                all.extend([*lower, *unlabelled, start].map(f32::to_bits));
                start = 0.0;
            }
        }
        all
    }

    fn find_runs_of_entities(&mut self, corpus: &Corpus) {
        let run = |entity: &Entity| capitals::longer_run(self.sentence(entity.span.sentence)?.0, entity.span);
        let mut runs_of_entities: Vec<Span> = corpus.entities.iter().filter_map(run).collect();
        runs_of_entities.sort_unstable();
        self.runs_of_entities = runs_of_entities;
    }

    /// Counts the whole runs of the corpus.
    fn count_runs(&self, corpus: &Corpus, max_width: u32) -> Counts {
        let mut counts = Counts::default();
        for sentence in 0..corpus.n_sentences() as u32 {
            let Some((words, lower)) = self.sentence(sentence) else { continue };
            for start in 0..words.len() {
                for end in start..words.len().min(start.saturating_add(max_width as usize)) {
                    if !capitals::is_whole_run(words, start, end) {
                        continue;
                    }
                    let span = Span { sentence, start: start as u32, end: end as u32 };
                    let lowest = lower.get(start..=end).unwrap_or_default().iter().copied().fold(1.0, f32::min);
                    counts.runs += 1;
                    counts.seldom_lower += u32::from(lowest < capitals::SELDOM_LOWER);
                    counts.labelled += u32::from(corpus.entities_of(sentence).iter().any(|entity| entity.span == span));
                }
            }
        }
        counts
    }

    /// The evidence about a span. `is_entity`: whether its distant label is an entity type. A span that does not
    /// exist gets the default, no evidence.
    pub fn of(&self, span: Span, is_entity: bool) -> SpanEvidence {
        let Some((sentence, lower)) = self.sentence(span.sentence) else { return SpanEvidence::default() };
        let range = span.start as usize..span.end as usize + 1;
        let (Some(words), Some(lower)) = (sentence.get(range.clone()), lower.get(range)) else {
            return SpanEvidence::default();
        };
        let is_run = capitals::is_whole_run(sentence, span.start as usize, span.end as usize);
        let is_long_at_start = is_entity && span.start == 0 && span.end > 0;
        let token = self.range(span.sentence).map_or(0, |range| range.start) + span.start as usize;
        let unlabelled = (span.start == span.end).then(|| self.unlabelled.get(token)).flatten().copied();
        let start_lower = is_long_at_start.then(|| self.starts.get(&span.sentence)).flatten().copied().unwrap_or(0.0);
        SpanEvidence {
            run: if is_entity { capitals::longer_run(sentence, span) } else { None },
            is_run,
            is_joined: is_run && !words.iter().all(|word| word.has(Words::NAME)),
            is_run_of_entity: is_run && self.runs_of_entities.binary_search(&span).is_ok(),
            is_capitalised: words.iter().all(|word| word.has(Words::CAPITALISED)),
            lower: lower.iter().copied().fold(1.0, f32::min),
            start_lower,
            unlabelled: unlabelled.unwrap_or(0.0),
            is_covered: words.iter().any(|word| word.has(Words::COVERED)),
            width: span.width(),
            capitals: self.capitals,
        }
    }

    /// The words and the lower-case shares of a sentence.
    fn sentence(&self, sentence: u32) -> Option<(&[Words], &[f32])> {
        let range = self.range(sentence)?;
        Some((self.words.get(range.clone())?, self.lower.get(range)?))
    }

    fn range(&self, sentence: u32) -> Option<std::ops::Range<usize>> {
        match self.first.get(sentence as usize..sentence as usize + 2) {
            Some(&[start, end]) => Some(start as usize..end as usize),
            _ => None,
        }
    }

    fn of_mut(&mut self, span: Span) -> &mut [Words] {
        let tokens = self.range(span.sentence).and_then(|sentence| {
            let (start, end) = (sentence.start + span.start as usize, sentence.start + span.end as usize + 1);
            self.words.get_mut(start..end.min(sentence.end))
        });
        tokens.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::dynclean_json;

    fn corpus(json: &str) -> Corpus {
        dynclean_json::read(json.as_bytes()).unwrap()
    }

    fn span(sentence: u32, start: u32, end: u32) -> Span {
        Span { sentence, start, end }
    }

    #[test]
    fn an_entity_is_part_of_a_longer_run() {
        let corpus = corpus(
            r#"[{"tokens": ["in", "the", "United", "States", "of", "America", "."], "entities": [[3, 3, "LOC"]]},
                {"tokens": ["New", "York", "City", "fell"], "entities": [[1, 2, "LOC"]]},
                {"tokens": ["The", "Beatles", "sang"], "entities": [[1, 1, "ORG"]]},
                {"tokens": ["the", "the", "the", "of"], "entities": []}]"#,
        );
        let evidence = Evidence::new(&corpus, 8);
        assert_eq!(evidence.of(span(0, 3, 3), true).run, Some(span(0, 2, 3)));
        assert_eq!(evidence.of(span(1, 1, 2), true).run, Some(span(1, 0, 2)));
        // *The* begins a sentence and is in lower case elsewhere, so it is not part of the name.
        assert_eq!(evidence.of(span(2, 1, 1), true).run, None);
        // This is about the run itself, not about other runs of the sentence.
        let is_run_of_entity = |start, end| evidence.of(span(0, start, end), false).is_run_of_entity;
        assert!(is_run_of_entity(2, 3) && !is_run_of_entity(2, 5) && !is_run_of_entity(5, 5));
        // A labelled entity bounds the run.
        let bounded = Corpus {
            entities: vec![corpus.entities[0], crate::corpus::Entity { span: span(0, 2, 2), label: 1 }],
            ..corpus
        };
        assert_eq!(Evidence::new(&bounded, 8).of(span(0, 3, 3), true).run, None);
    }

    #[test]
    fn an_entity_may_begin_with_the_first_word_of_the_sentence() {
        let corpus = corpus(
            r#"[{"tokens": ["The", "Beatles", "sang"], "entities": [[0, 1, "ORG"]]},
                {"tokens": ["Tom", "Jones", "and", "the", "The", "The"], "entities": [[0, 1, "PER"], [4, 5, "ORG"]]},
                {"tokens": ["The", "the", "the"], "entities": [[0, 0, "ORG"]]}]"#,
        );
        let evidence = Evidence::new(&corpus, 8);
        // *the*: three times in lower case, and twice capitalised inside a sentence, but never before *Beatles*.
        assert_eq!(evidence.of(span(0, 0, 1), true).start_lower, 3.0 / 5.5);
        assert_eq!(evidence.of(span(0, 0, 1), false).start_lower, 0.0, "only entities");
        assert_eq!(evidence.of(span(1, 0, 1), true).start_lower, 0.0, "Tom is a name");
        assert_eq!(evidence.of(span(1, 4, 5), true).start_lower, 0.0, "within a sentence");
        assert_eq!(evidence.of(span(2, 0, 0), true).start_lower, 0.0, "one word: the lower-case share says it");
    }

    #[test]
    fn whole_runs_are_joined_by_frequent_short_words() {
        let corpus = corpus(
            r#"[{"tokens": ["the", "Bank", "of", "England", "and", "Tom"], "entities": []},
                {"tokens": ["LOUD", "NEWS", "HERE"], "entities": []}]"#,
        );
        let evidence = Evidence::new(&corpus, 8);
        let is_run = |start, end| evidence.of(span(0, start, end), false).is_run;
        assert!(is_run(1, 1) && is_run(1, 3) && is_run(3, 3) && is_run(1, 5) && is_run(5, 5));
        assert!(!is_run(0, 1) && !is_run(1, 2) && !is_run(2, 3) && !is_run(0, 0));
        assert!(evidence.of(span(0, 1, 3), false).is_joined && !evidence.of(span(0, 1, 1), false).is_joined);
        assert!(!evidence.of(span(1, 0, 2), false).is_run, "a sentence in capitals says nothing");
    }

    #[test]
    fn labelled_entities_with_capitals_are_counted() {
        let corpus = corpus(
            r#"[{"tokens": ["Bank", "of", "England", "iPhone", "rome"],
                 "entities": [[0, 2, "X"], [1, 2, "X"], [0, 0, "X"], [3, 3, "X"], [4, 4, "X"]]},
                {"tokens": ["of", "of"], "entities": []}]"#,
        );
        // Two of five entities, and the prior (nine of ten).
        assert_eq!(Evidence::new(&corpus, 8).capitals.entities, 11.0 / 15.0);
    }

    #[test]
    fn ids_in_place_of_text_have_no_evidence() {
        let one = |id: u32, label: &str| format!(r#"{{"tokens": ["Train-{id}"], "entities": [{label}]}}"#);
        let ids: Vec<String> = (0..20).map(|id| one(id, if id % 2 == 0 { r#"[0, 0, "X"]"# } else { "" })).collect();
        let evidence = Evidence::new(&corpus(&format!("[{}]", ids.join(","))), 1);
        assert_eq!(evidence.capitals, Capitals::default());
        let found = evidence.of(span(1, 0, 0), false);
        assert!(!found.is_run && !found.is_capitalised, "{found:?}");
    }

    #[test]
    fn text_without_capitals_has_no_evidence() {
        let corpus = corpus(
            r#"[{"tokens": ["italian", "food", "near", "boston"], "entities": [[3, 3, "LOC"]]},
                {"tokens": ["我", "在", "北京"], "entities": [[2, 2, "LOC"]]}]"#,
        );
        let evidence = Evidence::new(&corpus, 8);
        for sentence in 0..2 {
            for start in 0..3 {
                let found = evidence.of(span(sentence, start, start), true);
                assert!(found.run.is_none() && !found.is_run && !found.is_capitalised, "{sentence} {start} {found:?}");
            }
        }
        assert_eq!(evidence.of(span(7, 0, 0), true), SpanEvidence::default());
        assert_eq!(evidence.of(span(0, 3, 9), true), SpanEvidence::default());
    }
}
