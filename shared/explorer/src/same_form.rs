//! Finds all spans with the same words in the corpus. Errors of a dictionary repeat, so such spans are best
//! decided together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use shared::corpus::Corpus;
use shared::corpus::decision::Decision;
use shared::corpus::labels::LabelId;
use shared::corpus::span::{Span, SpanId};
use shared::detection::judge::Judge;
use shared::detection::judgement::Judgement;

/// A surface form with one distant label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// The words, as written.
    pub words: Vec<String>,
    /// The distant label.
    pub label: LabelId,
}

/// All candidate spans with the same words, grouped by distant label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SameForm {
    /// The words, joined by spaces. They are compared as written, including case.
    pub form: String,
    /// The groups: first the one with the label of the given span, then the others by label.
    pub groups: Vec<FormGroup>,
}

/// Spans with the same words and the same distant label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormGroup {
    /// The distant label.
    pub label: LabelId,
    /// The spans, in ascending order.
    pub spans: Vec<SpanId>,
    /// Number of the spans that do not keep their label, including decisions by hand.
    pub judged: usize,
}

impl SameForm {
    /// Finds all spans with the words of span `id`; `None` if there is no such span. It looks at every token once.
    pub fn new(
        corpus: &Corpus,
        judgement: &Judgement,
        by_hand: &BTreeMap<SpanId, Decision>,
        id: SpanId,
    ) -> Option<Self> {
        let judge = judgement.judge();
        let span = judge.index.span(id)?;
        let own = *judge.assigned.get(id as usize)?;
        let mut groups: BTreeMap<LabelId, FormGroup> = BTreeMap::new();
        let words: Vec<&str> = corpus.tokens.words(span).collect();
        for other in occurrences(corpus, &words).filter_map(|other| judge.index.id(other)) {
            let Some(&label) = judge.assigned.get(other as usize) else { continue };
            let decision = by_hand.get(&other).copied().unwrap_or_else(|| judgement.decide(other));
            let group = groups.entry(label).or_insert(FormGroup { label, spans: Vec::new(), judged: 0 });
            group.spans.push(other);
            group.judged += usize::from(!decision.keeps(label));
        }
        let first = groups.remove(&own);
        let groups = first.into_iter().chain(groups.into_values()).collect();
        Some(Self { form: corpus.tokens.surface(span), groups })
    }
}

/// Finds all spans with the words and the distant label of a form, in ascending order. It looks at every token
/// once.
pub fn spans_of(corpus: &Corpus, judge: &Judge, form: &Form) -> Vec<SpanId> {
    let words: Vec<&str> = form.words.iter().map(String::as_str).collect();
    let spans = occurrences(corpus, &words).filter_map(|span| judge.index.id(span));
    spans.filter(|&span| judge.assigned.get(span as usize) == Some(&form.label)).collect()
}

/// The form of a span.
pub fn form_of(corpus: &Corpus, judge: &Judge, span: SpanId) -> Option<Form> {
    let words = corpus.tokens.words(judge.index.span(span)?).map(str::to_owned).collect();
    Some(Form { words, label: *judge.assigned.get(span as usize)? })
}

/// Finds where the words occur one after the other, by ascending sentence. Nothing is found if there are no words.
fn occurrences<'a>(corpus: &'a Corpus, words: &'a [&'a str]) -> impl Iterator<Item = Span> + 'a {
    let width = words.len();
    (0..corpus.n_sentences() as u32).flat_map(move |sentence| {
        let tokens = corpus.tokens.sentence(sentence);
        let starts = (tokens.len() + 1).saturating_sub(width);
        let first = words.first().copied();
        let candidates = tokens.clone().take(starts).zip(0u32..).filter(move |&(token, _)| Some(token) == first);
        candidates
            .map(|(_, start)| start)
            .filter(move |&start| tokens.clone().skip(start as usize).zip(words).all(|(token, word)| token == *word))
            .map(move |start| Span { sentence, start, end: start + width as u32 - 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::one_epoch::of_one_epoch;
    use shared::detection::threshold::{Metric, Rule, Settings};
    use shared::formats::dynclean_json;
    use shared::metrics::Window;

    #[test]
    fn the_same_words_are_found_by_label_and_counted_as_judged() {
        let json = br#"[{"tokens": ["New", "New", "York"], "entities": [[1, 2, "X"]]},
                        {"tokens": ["New", "York", "new"], "entities": []},
                        {"tokens": [], "entities": []},
                        {"tokens": ["York", "New", "York"], "entities": [[1, 2, "X"]]}]"#;
        let corpus = dynclean_json::read(json).unwrap();
        // Six spans in each sentence of three tokens. Only the last X is unlikely to be an entity.
        let mut rows = vec![0.0; 18 * 2];
        for span in 0..18 {
            rows[span * 2 + 1] = if span == 4 { 3.0 } else { -3.0 };
        }
        let dynamics = of_one_epoch(corpus, &rows);
        let judge = Judge::new(&dynamics, Window::first_epochs(1), Metric::Aum).unwrap();
        let rule = Rule::Fixed(0.0);
        let settings = Settings { negatives: rule, positives: rule, ..Settings::paper() };
        let judgement = judge.under(&settings);
        let of = |id: SpanId, by_hand: &[(SpanId, Decision)]| {
            SameForm::new(&dynamics.corpus, &judgement, &by_hand.iter().copied().collect(), id)
        };
        let found = of(4, &[]).unwrap();
        assert_eq!(found.form, "New York");
        let groups: Vec<_> = found.groups.iter().map(|g| (g.label, g.spans.clone(), g.judged)).collect();
        assert_eq!(groups, [(1, vec![4, 16], 1), (0, vec![7], 0)]);
        // The group of the other label comes first, and decisions by hand are counted.
        let found = of(7, &[(7, Decision::Relabel(1)), (16, Decision::Relabel(1))]).unwrap();
        let groups: Vec<_> = found.groups.iter().map(|g| (g.label, g.judged)).collect();
        assert_eq!(groups, [(0, 1), (1, 0)]);
        assert_eq!(of(18, &[]), None);
    }
}
