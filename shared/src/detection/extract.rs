//! Extracts the most suspicious part of a recording that is too large to look at, and the facts about the whole
//! recording that this part needs.

use super::judgement::Judgement;
use crate::corpus::decision::Side;
use crate::corpus::span::SpanId;
use crate::recording::whole::Whole;

impl Judgement<'_> {
    /// Returns the sentences of the most suspicious labels, in ascending order. Together they have at most `n_spans`
    /// candidate spans. But there is always at least one sentence.
    pub fn most_suspicious(&self, n_spans: usize) -> Vec<u32> {
        let judge = self.judge();
        let [[_, negatives], [contradicted, positives]] =
            [Side::Negatives, Side::Positives].map(|side| self.by_suspicion(side));
        let mut rest = [negatives.as_ref(), positives.as_ref()];
        let by_value = std::iter::from_fn(|| next(&mut rest, |span| judge.value(span)));
        let mut is_chosen = vec![false; judge.index.n_sentences()];
        let (mut all, mut n) = (Vec::new(), 0);
        for span in contradicted.iter().copied().chain(by_value) {
            let Some(sentence) = judge.index.span(span).map(|span| span.sentence) else { continue };
            let Some(is_chosen) = is_chosen.get_mut(sentence as usize).filter(|is_chosen| !**is_chosen) else {
                continue;
            };
            n += judge.index.of_sentence(sentence).len();
            if n > n_spans && !all.is_empty() {
                break;
            }
            *is_chosen = true;
            all.push(sentence);
        }
        all.sort_unstable();
        all
    }

    /// Returns the facts about the whole recording that an extract of these sentences needs. With them, trust, reasons
    /// and decisions are the same in both.
    pub fn whole(&self, sentences: &[u32]) -> Whole {
        let (judge, window) = (self.judge(), self.judge().window);
        let [negatives, positives] = [self.thresholds().negatives, self.thresholds().positives];
        let capitals = judge.evidence.capitals;
        let [a, b, c] = [capitals.seldom_lower, capitals.labelled, capitals.entities].map(f32::to_bits);
        let thresholds = [negatives.value, positives.value, judge.median].map(f32::to_bits);
        let mut numbers = vec![window.first, window.last];
        numbers.extend(thresholds);
        numbers.extend([capitals.runs, a, b, c]);
        numbers.extend(judge.shares.numbers());
        Whole { numbers, tokens: judge.evidence.of_tokens(sentences) }
    }
}

/// Takes the more suspicious of the first spans of two lists.
fn next(lists: &mut [&[SpanId]; 2], value: impl Fn(SpanId) -> f32) -> Option<SpanId> {
    let [a, b] = lists.map(|list| list.first().map(|&span| value(span)));
    let from_second = match (a, b) {
        (Some(a), Some(b)) => b < a,
        (a, _) => a.is_none(),
    };
    let list = &mut lists[usize::from(from_second)];
    let (&span, rest) = list.split_first()?;
    *list = rest;
    Some(span)
}
