//! The order in which a person reviews labels, and how far the person has come.
//!
//! One decision can be about all spans with the same words and label, because a dictionary repeats its mistakes. So the
//! words that are expected to have the most wrong labels come first.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bulk::some_of;
use crate::review::Review;
use crate::sort::by_key;
use crate::surface_forms::{FormId, SurfaceForms};
use shared::corpus::decision::{Decision, Side};
use shared::corpus::labels::O;
use shared::corpus::span::SpanId;
use shared::detection::judgement::Judgement;

/// How far a person has come with the labels that the settings judge wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Number of labels that the settings judge wrong.
    pub suggested: usize,
    /// Number of them that are decided by hand.
    pub reviewed: usize,
    /// Number of reviewed labels about which the person agrees with the settings: the person changed or removed them,
    /// too.
    pub agreed: usize,
    /// Number of labels with a note that are not decided.
    pub unsure: usize,
    /// Expected number of wrong labels among the labels that are not reviewed. If the [`Sample`] is large enough, the
    /// number comes from the sample. Otherwise it is the sum of the probabilities that labels are wrong.
    pub wrong_left: f64,
    /// The suggestions that were checked at random.
    pub sample: Sample,
}

/// Suggestions that were chosen at random and then decided by hand. Only these say how often suggestions are right,
/// because a person chooses the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Their number.
    pub decided: usize,
    /// Number of them that are right: the person changed or removed them, too.
    pub right: usize,
}

/// With fewer decisions, a sample says too little.
const LEAST_SAMPLE: usize = 20;

impl Sample {
    /// The share of suggestions that are right, with the ends of its 95 % interval (Wilson 1927, with z = 1.96). `None`
    /// if the sample is too small.
    pub fn share(self) -> Option<[f64; 3]> {
        if self.decided < LEAST_SAMPLE {
            return None;
        }
        let (n, z) = (self.decided as f64, 1.96f64);
        let share = self.right as f64 / n;
        let middle = (share + z * z / (2.0 * n)) / (1.0 + z * z / n);
        let half = z / (1.0 + z * z / n) * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
        Some([share, middle - half, middle + half])
    }
}

/// How fast a person decides. Breaks do not count.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pace {
    /// Time of the last decision, in milliseconds.
    last: Option<f64>,
    /// Time between decisions.
    active: f64,
    /// Labels decided in that time.
    decided: usize,
}

/// A longer time without a decision is a break, in milliseconds.
const BREAK: f64 = 120_000.0;
/// With fewer labels decided, the pace is not known.
const LEAST_DECIDED: usize = 10;

impl Pace {
    /// Notes a decision about `n` labels at this time, in milliseconds.
    pub fn decide(&mut self, now: f64, n: usize) {
        let since = self.last.map_or(f64::INFINITY, |last| now - last);
        if (0.0..BREAK).contains(&since) {
            self.active += since;
            self.decided += n;
        }
        self.last = Some(now);
    }

    /// The minutes that `n` more labels take; `None` if that is not known yet.
    pub fn minutes(&self, n: usize) -> Option<f64> {
        (self.decided >= LEAST_DECIDED).then(|| self.active / 60_000.0 / self.decided as f64 * n as f64)
    }
}

/// The next labels to decide about.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Next {
    /// The most suspicious span.
    pub span: SpanId,
    /// Number of open spans with the same words and label that count with it.
    pub n: usize,
    /// Number of them that are expected to be wrong.
    pub wrong: f64,
}

/// Fewer wrong labels than this are not worth a decision if the settings judge none of them wrong.
const LEAST: f64 = 1.0;

impl Progress {
    /// Compares the decisions by hand with these settings.
    pub fn new(judgement: &Judgement, review: &Review) -> Self {
        let mut progress = Self { unsure: review.unsure(), ..Self::default() };
        for side in Side::BOTH {
            for &span in judgement.changed(side).iter() {
                progress.suggested += 1;
                match review.by_hand.get(&span) {
                    None => progress.wrong_left += f64::from(wrong(judgement, span, true)),
                    Some(decision) => {
                        let label = judgement.judge().assigned.get(span as usize);
                        let agrees = usize::from(label.is_some_and(|&label| !decision.keeps(label)));
                        progress.reviewed += 1;
                        progress.agreed += agrees;
                        if review.sampled.binary_search(&span).is_ok() {
                            progress.sample.decided += 1;
                            progress.sample.right += agrees;
                        }
                    }
                }
            }
        }
        if let Some([share, ..]) = progress.sample.share() {
            progress.wrong_left = share * (progress.suggested - progress.reviewed) as f64;
        }
        progress
    }
}

/// An open suggestion (without decision and note), chosen at random by this seed. `None` if there is none.
pub fn any(judgement: &Judgement, review: &Review, seed: u64) -> Option<SpanId> {
    let changed = Side::BOTH.map(|side| judgement.changed(side));
    let suggested = changed.iter().flat_map(|spans| spans.iter().copied());
    let open: Vec<SpanId> = suggested.filter(|&span| review.is_open(span)).collect();
    some_of(&open, 1, seed).first().copied()
}

/// The labels of a sentence as they are decided now: all entities and all changes that no person has decided yet.
pub fn as_it_stands(
    judgement: &Judgement,
    by_hand: &BTreeMap<SpanId, Decision>,
    sentence: u32,
) -> Vec<(SpanId, Decision)> {
    let judge = judgement.judge();
    let decided = judge.index.of_sentence(sentence).map(|span| (span, judgement.decide(span)));
    let is_label = |span: SpanId| judge.assigned.get(span as usize).is_some_and(|&label| label != O);
    let counts = |&(span, decision): &(SpanId, Decision)| is_label(span) || decision != Decision::Keep;
    decided.filter(|(span, _)| !by_hand.contains_key(span)).filter(counts).collect()
}

/// The probability that a label is wrong. If it is not known, a label is wrong if it is suggested.
fn wrong(judgement: &Judgement, span: SpanId, is_suggested: bool) -> f32 {
    let trust = judgement.judge().metrics.trust.get(span as usize).copied().filter(|trust| trust.is_finite());
    trust.map_or(f32::from(u8::from(is_suggested)), |trust| 1.0 - trust)
}

/// Returns for each label how much a wrong one counts: 1 if none of the suggestions about this label is reviewed, ½ if
/// all are.
fn weights(judgement: &Judgement, review: &Review) -> Vec<f64> {
    let judge = judgement.judge();
    let mut suggestions = vec![[0u32; 2]; judge.labels.n_types() + 1];
    for side in Side::BOTH {
        for &span in judgement.changed(side).iter() {
            let label = judge.assigned.get(span as usize).map_or(0, |&label| usize::from(label));
            if let Some([all, reviewed]) = suggestions.get_mut(label) {
                *all += 1;
                *reviewed += u32::from(!review.is_open(span));
            }
        }
    }
    suggestions.into_iter().map(|[all, reviewed]| 1.0 / (1.0 + f64::from(reviewed) / f64::from(all.max(1)))).collect()
}

/// Finds the words with the most wrong labels. Only open labels count: they have neither a decision nor a note. The
/// words of the `skipped` spans are left out. All entities count, but spans labelled `O` count only if they are judged
/// wrong. The more of a label's suggestions are reviewed, the less its wrong labels count, down to a half. So the types
/// take turns. Returns `None` if nothing is open.
pub fn next(forms: &SurfaceForms, judgement: &Judgement, review: &Review, skipped: &[SpanId]) -> Option<Next> {
    let skipped: Vec<FormId> = skipped.iter().filter_map(|&span| forms.form(span)).collect();
    let judge = judgement.judge();
    let negatives = judgement.changed(Side::Negatives);
    let spans = judge.ranked(Side::Positives).spans().iter().chain(negatives.iter()).copied();
    let open = spans.filter(|&span| review.is_open(span)).filter_map(|span| Some((forms.form(span)?, span)));
    // The spans of a form follow each other.
    let spans = by_key(open);
    let weights = weights(judgement, review);
    let mut best: Option<(f64, Next)> = None;
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
        // Of words with equal values, the first are taken.
        let label = judge.assigned.get(first as usize).copied().unwrap_or(O);
        let value = next.wrong * weights.get(usize::from(label)).copied().unwrap_or(1.0);
        if (is_worthy || next.wrong >= LEAST) && best.is_none_or(|(highest, _)| value > highest) {
            best = Some((value, next));
        }
    }
    best.map(|(_, next)| next)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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
        let none = Review::default();

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

        let mut review = Review::default();
        let mut order = Vec::new();
        while let Some(found) = next(&forms, &judgement, &review, &[]) {
            order.push((found.span, found.n, (found.wrong * 100.0).round() / 100.0));
            // Decides about all spans with these words.
            let alike = (0..9).filter(|&s| forms.form(s) == forms.form(found.span));
            review.by_hand.extend(alike.map(|s| (s, Decision::Keep)));
        }
        // After "The", 3 of 5 suggestions about entities are reviewed, so .85 counts .53. After "lea", 2 of 4 about O.
        assert_eq!(order, [(1, 3, 0.9), (5, 2, 0.8), (3, 1, 0.85), (7, 2, 0.2), (4, 1, 0.1)]);

        // A skipped form is left out. A span that was decided by itself does not count any more.
        let mut review = Review::of(BTreeMap::from([(3, Decision::Relabel(0)), (5, Decision::Keep)]));
        let found = next(&forms, &judgement, &review, &[2]).unwrap();
        assert_eq!((found.span, found.n), (7, 2));
        // Span 5 was chosen at random, and 7 too, but that one is not decided.
        review.sampled = vec![5, 7];
        let progress = Progress::new(&judgement, &review);
        assert_eq!((progress.suggested, progress.reviewed, progress.agreed, progress.unsure), (9, 2, 1, 0));
        assert_eq!(progress.sample, Sample { decided: 1, right: 0 });

        // Every undecided suggestion can be chosen at random.
        let chosen: BTreeSet<SpanId> = (0..200).filter_map(|seed| any(&judgement, &review, seed)).collect();
        assert_eq!(chosen.into_iter().collect::<Vec<_>>(), [0, 1, 2, 4, 6, 7, 8]);
        // A span that the person is unsure about is not chosen at random and does not come next. But it is not decided.
        // A note about a decided span changes nothing.
        review.notes = [4, 5, 7, 8].map(|span| (span, String::new())).into_iter().collect();
        let chosen: BTreeSet<SpanId> = (0..200).filter_map(|seed| any(&judgement, &review, seed)).collect();
        assert_eq!(chosen.into_iter().collect::<Vec<_>>(), [0, 1, 2, 6]);
        assert_eq!(next(&forms, &judgement, &review, &[2]).map(|next| (next.span, next.n)), Some((6, 1)));
        let noted = Progress::new(&judgement, &review);
        assert_eq!(noted, Progress { unsure: 3, ..progress });
        let all = Review::of((0..9).map(|span| (span, Decision::Keep)).collect());
        assert_eq!(any(&judgement, &all, 1), None);
    }

    #[test]
    fn a_large_sample_says_how_many_wrong_labels_are_left() {
        // Thirty sentences of one word, all labelled and all judged wrong, with a trust of .9.
        let corpus = format!("[{}]", vec![r#"{"tokens": ["a"], "entities": [[0, 0, "X"]]}"#; 30].join(","));
        let dynamics = of_one_epoch(dynclean_json::read(corpus.as_bytes()).unwrap(), &[0.0; 60]);
        let mut judge = Judge::new(&dynamics, Window::first_epochs(1), Metric::Confidence).unwrap();
        judge.metrics.trust = vec![0.9; 30];
        let settings = Settings { positives: Rule::Fixed(2.0), negatives: Rule::Keep, ..Settings::paper() };
        let judgement = judge.under(&settings);
        // Of the first 20, the person keeps 6.
        let decision = |span: SpanId| if span < 6 { Decision::Keep } else { Decision::Remove };
        let by_hand: BTreeMap<SpanId, Decision> = (0..20).map(|span| (span, decision(span))).collect();
        let mut review = Review { sampled: (0..19).collect(), ..Review::of(by_hand) };
        let few = Progress::new(&judgement, &review);
        assert_eq!((few.sample.share(), (few.wrong_left * 1e4).round()), (None, 1e4));
        review.sampled.push(19);
        let all = Progress::new(&judgement, &review);
        assert!((all.wrong_left - 7.0).abs() < 1e-9, "{all:?}");
        // 14 of 20, as statistics packages give it.
        let interval = all.sample.share().unwrap().map(|share| (share * 1e4).round());
        assert_eq!(interval, [7000.0, 4810.0, 8545.0]);
    }

    #[test]
    fn breaks_do_not_slow_the_pace() {
        let mut pace = Pace::default();
        let minute = 60_000.0;
        pace.decide(5.0 * minute, 100);
        pace.decide(6.0 * minute, 5);
        assert_eq!(pace.minutes(10), None, "too little is known");
        pace.decide(60.0 * minute, 1);
        // The clock was set back.
        pace.decide(59.0 * minute, 1);
        pace.decide(60.0 * minute, 5);
        assert_eq!(pace.minutes(10), Some(2.0));
    }

    #[test]
    fn a_sentence_is_decided_as_it_stands() {
        // Spans of sentence 0: 0 "a" X, 1 "a b", 2 "b". The model prefers X for the span "b".
        let corpus =
            br#"[{"tokens": ["a", "b"], "entities": [[0, 0, "X"]]}, {"tokens": ["a"], "entities": [[0, 0, "X"]]}]"#;
        let rows = [0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0];
        let dynamics = of_one_epoch(dynclean_json::read(corpus).unwrap(), &rows);
        let judge = Judge::new(&dynamics, Window::first_epochs(1), Metric::Aum).unwrap();
        let rule = Rule::Fixed(0.0);
        let settings = Settings { negatives: rule, positives: rule, overlap_suppression: false, ..Settings::paper() };
        let judgement = judge.under(&settings);
        let none = BTreeMap::new();
        assert_eq!(as_it_stands(&judgement, &none, 0), [(0, Decision::Keep), (2, Decision::Remove)]);
        // What a person has decided stays.
        let by_hand = BTreeMap::from([(2, Decision::Keep)]);
        assert_eq!(as_it_stands(&judgement, &by_hand, 0), [(0, Decision::Keep)]);
        assert_eq!(as_it_stands(&judgement, &none, 1), [(3, Decision::Keep)]);
    }
}
