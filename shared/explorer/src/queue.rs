//! The order in which a person reviews labels, and how far the person has come.
//!
//! One decision can be about all spans with the same words and label, as a dictionary repeats its mistakes. So the
//! words come first whose labels are expected to have the most mistakes together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::sort::by_key;
use crate::surface_forms::{FormId, SurfaceForms};
use shared::corpus::decision::{Decision, Side};
use shared::corpus::span::SpanId;
use shared::detection::judgement::Judgement;

/// How far a person has come with the labels that the settings judge wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Number of labels that the settings judge wrong.
    pub suggested: usize,
    /// Number of them that are decided by hand.
    pub reviewed: usize,
    /// Number of reviewed labels that the person changed or removed, too.
    pub agreed: usize,
    /// Number of wrong labels expected among the labels that are not reviewed.
    pub wrong_left: f64,
}

/// The next labels to decide about.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Next {
    /// The most suspicious span.
    pub span: SpanId,
    /// Number of undecided spans with the same words and label that count with it.
    pub n: usize,
    /// Number of them that are expected to be wrong.
    pub wrong: f64,
}

/// Fewer wrong labels than this are not worth a decision if the settings judge none of them wrong.
const LEAST: f64 = 1.0;

impl Progress {
    /// Compares the decisions by hand with these settings.
    pub fn new(judgement: &Judgement, by_hand: &BTreeMap<SpanId, Decision>) -> Self {
        let mut progress = Self::default();
        for side in Side::BOTH {
            for &span in judgement.changed(side).iter() {
                progress.suggested += 1;
                match by_hand.get(&span) {
                    None => progress.wrong_left += f64::from(wrong(judgement, span, true)),
                    Some(decision) => {
                        let label = judgement.judge().assigned.get(span as usize);
                        progress.reviewed += 1;
                        progress.agreed += usize::from(label.is_some_and(|&label| !decision.keeps(label)));
                    }
                }
            }
        }
        progress
    }
}

/// The probability that a label is wrong. If it is not known, a label is wrong if it is suggested.
fn wrong(judgement: &Judgement, span: SpanId, is_suggested: bool) -> f32 {
    let trust = judgement.judge().metrics.trust.get(span as usize).copied().filter(|trust| trust.is_finite());
    trust.map_or(f32::from(u8::from(is_suggested)), |trust| 1.0 - trust)
}

/// Finds the words with the most wrong labels that are undecided, without the words of the `skipped` spans. All
/// entities count, but of the spans labelled `O` only those that are judged wrong. Returns `None` if all is
/// decided.
pub fn next(
    forms: &SurfaceForms,
    judgement: &Judgement,
    by_hand: &BTreeMap<SpanId, Decision>,
    skipped: &[SpanId],
) -> Option<Next> {
    let skipped: Vec<FormId> = skipped.iter().filter_map(|&span| forms.form(span)).collect();
    let judge = judgement.judge();
    let negatives = judgement.changed(Side::Negatives);
    let spans = judge.ranked(Side::Positives).spans().iter().chain(negatives.iter()).copied();
    let undecided = spans.filter(|span| !by_hand.contains_key(span)).filter_map(|span| Some((forms.form(span)?, span)));
    // The spans of a form follow each other.
    let spans = by_key(undecided);
    let mut best: Option<Next> = None;
    for alike in spans.chunk_by(|&a, &b| forms.form(a) == forms.form(b)) {
        let Some(&first) = alike.first() else { continue };
        if forms.form(first).is_some_and(|form| skipped.contains(&form)) {
            continue;
        }
        let mut next = Next { span: first, n: alike.len(), wrong: 0.0 };
        let (mut highest, mut is_worthy) = (f32::NEG_INFINITY, false);
        for &span in alike {
            let is_suggested = judgement.decide(span) != Decision::Keep;
            let wrong = wrong(judgement, span, is_suggested);
            next.wrong += f64::from(wrong);
            is_worthy |= is_suggested;
            if wrong > highest {
                (highest, next.span) = (wrong, span);
            }
        }
        // Of equal ones, the first is taken.
        if (is_worthy || next.wrong >= LEAST) && best.is_none_or(|best| next.wrong > best.wrong) {
            best = Some(next);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::one_epoch::of_one_epoch;
    use shared::detection::judge::Judge;
    use shared::detection::threshold::{Metric, Rule, Settings};
    use shared::formats::dynclean_json;
    use shared::metrics::Window;

    /// One span a sentence: 0, 1, 2 The (X), 3 Ann (X), 4 Bob (X), 5 and 6 lea (O), 7 and 8 oak (O).
    const CORPUS: &[u8] = br#"[
        {"tokens": ["The"], "entities": [[0, 0, "X"]]}, {"tokens": ["The"], "entities": [[0, 0, "X"]]},
        {"tokens": ["The"], "entities": [[0, 0, "X"]]}, {"tokens": ["Ann"], "entities": [[0, 0, "X"]]},
        {"tokens": ["Bob"], "entities": [[0, 0, "X"]]}, {"tokens": ["lea"], "entities": []},
        {"tokens": ["lea"], "entities": []}, {"tokens": ["oak"], "entities": []}, {"tokens": ["oak"], "entities": []}]"#;
    const TRUST: [f32; 9] = [0.7, 0.6, 0.8, 0.15, 0.9, 0.3, 0.9, 0.9, 0.9];

    #[test]
    fn the_words_with_most_wrong_labels_come_first() {
        let dynamics = of_one_epoch(dynclean_json::read(CORPUS).unwrap(), &[0.0; 18]);
        let mut judge = Judge::new(&dynamics, Window::first_epochs(1), Metric::Confidence).unwrap();
        // The confidence of a span decides what is judged wrong: all below .5.
        judge.metrics.trust = TRUST.to_vec();
        let settings = Settings { positives: Rule::Keep, negatives: Rule::Keep, ..Settings::paper() };
        let forms = SurfaceForms::new(&dynamics.corpus, &judge.index, &judge.assigned);
        let none = BTreeMap::new();

        // Nothing is judged wrong. "The" has .3 + .4 + .2, which is not worth a decision.
        let judgement = judge.under(&settings);
        assert_eq!(Progress::new(&judgement, &none), Progress::default());
        assert_eq!(next(&forms, &judgement, &none, &[]), None);
        let settings = Settings { positives: Rule::Fixed(2.0), negatives: Rule::Fixed(2.0), ..settings };
        let judgement = judge.under(&settings);
        // Everything is judged wrong: 5 entities and 4 spans labelled O.
        let progress = Progress::new(&judgement, &none);
        assert_eq!((progress.suggested, progress.reviewed, progress.agreed), (9, 0, 0));
        assert!((progress.wrong_left - 2.85).abs() < 1e-5, "{progress:?}");

        let mut by_hand = BTreeMap::new();
        let mut order = Vec::new();
        while let Some(found) = next(&forms, &judgement, &by_hand, &[]) {
            order.push((found.span, found.n, (found.wrong * 100.0).round() / 100.0));
            // Decides about all spans with these words.
            by_hand.extend((0..9).filter(|&s| forms.form(s) == forms.form(found.span)).map(|s| (s, Decision::Keep)));
        }
        assert_eq!(order, [(1, 3, 0.9), (3, 1, 0.85), (5, 2, 0.8), (7, 2, 0.2), (4, 1, 0.1)]);

        // A skipped form does not come, and a span that is decided alone does not count.
        let by_hand = BTreeMap::from([(3, Decision::Relabel(0)), (5, Decision::Keep)]);
        let found = next(&forms, &judgement, &by_hand, &[2]).unwrap();
        assert_eq!((found.span, found.n), (7, 2));
        let progress = Progress::new(&judgement, &by_hand);
        assert_eq!((progress.suggested, progress.reviewed, progress.agreed), (9, 2, 1));
    }
}
