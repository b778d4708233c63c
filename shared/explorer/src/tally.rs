//! Live figures: counts and quality for changing settings on the same judge. If thresholds only remove spans, a
//! change needs only a few binary searches. If spans are relabelled or decided by hand, the time also grows with
//! the number of those spans. The figures are the same as those of [`CleaningSummary::new`] and
//! [`shared::evaluation::quality::detect`], which look at everything.

use std::collections::BTreeMap;

use shared::cleaning::{CleaningSummary, LabelCount, count};
use shared::corpus::decision::{Decision, Side};
use shared::corpus::labels::{LabelId, LabelSet, O};
use shared::corpus::span::SpanId;
use shared::detection::estimate::Estimate;
use shared::detection::judge::Judge;
use shared::detection::judgement::Judgement;
use shared::detection::threshold::{Action, Settings};
use shared::evaluation::quality::{Detection, NoiseDetection, Ranked};
use shared::evaluation::score::Prf;

/// Totals that stay the same when a threshold moves.
#[derive(Debug, Clone)]
pub struct Tally {
    totals: Vec<LabelCount>,
    flagged: u64,
    gold: Option<AgainstGold>,
}

#[derive(Debug, Clone)]
struct AgainstGold {
    /// The rankings of the lists of [`Judge::negatives`].
    negatives: [Ranked; 3],
    /// Two rankings of all positives. The first is by the metric. In the second, the spans that annotated sentences
    /// contradict come first.
    positives: [Ranked; 2],
    /// For each group of [`Judge::groups`]: the number of wrong spans among the first n of the ranking, for n from
    /// 0.
    wrong: Vec<Vec<u32>>,
}

/// The figures of one setting.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// Thresholds and counts.
    pub summary: CleaningSummary,
    /// Quality of noise detection, if gold is known.
    pub quality: Option<NoiseDetection>,
    /// Estimates without gold for negatives and positives.
    pub estimate: [Option<Estimate>; 2],
}

#[derive(Clone, Copy, Default)]
struct Found {
    judged: u64,
    wrong: u64,
}

impl Tally {
    /// Prepares the figures of this judge. `gold` has one label per span, if gold is known.
    pub fn new(judge: &Judge, labels: &LabelSet, gold: Option<&[LabelId]>) -> Self {
        Self {
            totals: count(judge, &BTreeMap::new(), labels),
            flagged: judge.flagged(),
            gold: gold.map(|gold| AgainstGold {
                negatives: judge.negatives().map(|spans| Ranked::new(judge, [&[], spans], gold, Side::Negatives)),
                positives: {
                    let [contradicted, others] = judge.contradicted_first();
                    let by_metric = [&[][..], judge.ranked(Side::Positives).spans()];
                    [by_metric, [contradicted.as_slice(), others.as_slice()]]
                        .map(|ranked| Ranked::new(judge, ranked, gold, Side::Positives))
                },
                wrong: judge.groups().map(|spans| wrong_among_first(judge, spans, gold)).collect(),
            }),
        }
    }

    /// The figures of these settings. `by_hand` has decisions that overrule the settings. `gold` is as in
    /// [`Tally::new`].
    pub fn at(
        &self,
        judge: &Judge,
        settings: &Settings,
        by_hand: &BTreeMap<SpanId, Decision>,
        gold: Option<&[LabelId]>,
    ) -> Figures {
        let judgement = judge.under(settings);
        let mut counts = self.totals.clone();
        let mut found = [Found::default(); 2];
        match settings.action {
            Action::Remove => self.add_removed(&judgement, &mut counts, &mut found),
            Action::Relabel => {
                for side in Side::BOTH {
                    for &span in judgement.judged_wrong(side).iter() {
                        add(judge, &mut counts, &mut found, span, judgement.verdict(span), gold, 1);
                    }
                }
            }
        }
        let contradicted = judgement.contradicted().iter().filter(|&(span, _)| !by_hand.contains_key(span));
        for (&span, &decision) in contradicted.chain(by_hand) {
            // Takes back the decision of the thresholds.
            add(judge, &mut counts, &mut found, span, judgement.by_threshold(span), gold, -1);
            add(judge, &mut counts, &mut found, span, decision, gold, 1);
        }
        let summary = CleaningSummary { thresholds: judgement.thresholds().clone(), counts, flagged: self.flagged };
        let quality = self.gold.as_ref().map(|against| {
            let negatives = &against.negatives[judgement.negatives_judged()];
            let [by_metric, contradicted_first] = &against.positives;
            let positives = if settings.dictionary_check { contradicted_first } else { by_metric };
            let detection = |found: &Found, ranked: &Ranked| Detection {
                prf: Prf::from_counts(found.wrong, found.judged, ranked.wrong),
                average_precision: ranked.average_precision,
            };
            NoiseDetection {
                false_positives: detection(&found[1], positives),
                false_negatives: detection(&found[0], negatives),
            }
        });
        Figures { summary, quality, estimate: Side::BOTH.map(|side| Estimate::new(&judgement, side)) }
    }

    /// Adds the spans that the thresholds remove, without looking at any span.
    fn add_removed(&self, judgement: &Judgement, counts: &mut [LabelCount], found: &mut [Found; 2]) {
        for (label, count) in (O..).zip(counts) {
            let judged = judgement.count(label);
            let group = match usize::from(label).checked_sub(1) {
                None => judgement.negatives_judged(),
                Some(at) => 3 + at,
            };
            let wrong = self.gold.as_ref().and_then(|gold| gold.wrong.get(group)?.get(judged)).copied().unwrap_or(0);
            count.removed += judged as u64;
            let found = &mut found[usize::from(label != O)];
            found.judged += judged as u64;
            found.wrong += u64::from(wrong);
        }
    }
}

/// Adds a decision to the counts, or takes it back if `sign` is −1.
fn add(
    judge: &Judge,
    counts: &mut [LabelCount],
    found: &mut [Found; 2],
    span: SpanId,
    decision: Decision,
    gold: Option<&[LabelId]>,
    sign: i64,
) {
    let Some(&label) = judge.assigned.get(span as usize) else { return };
    let Some(count) = counts.get_mut(usize::from(label)) else { return };
    let number = match decision {
        Decision::Remove => &mut count.removed,
        Decision::Relabel(new) if new != label => &mut count.relabelled,
        Decision::Keep | Decision::Relabel(_) => return,
    };
    *number = number.wrapping_add_signed(sign);
    let found = &mut found[usize::from(label != O)];
    found.judged = found.judged.wrapping_add_signed(sign);
    if gold.and_then(|gold| gold.get(span as usize)).is_some_and(|&gold| gold != label) {
        found.wrong = found.wrong.wrapping_add_signed(sign);
    }
}

/// The number of wrong spans among the first 0, 1, … of these spans.
fn wrong_among_first(judge: &Judge, spans: &[SpanId], gold: &[LabelId]) -> Vec<u32> {
    let mut wrong = 0;
    let sums = spans.iter().map(|&span| {
        wrong += u32::from(judge.assigned.get(span as usize) != gold.get(span as usize));
        wrong
    });
    std::iter::once(0).chain(sums).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::cleaning::{Decisions, Override};
    use shared::detection::threshold::{Metric, Rule};
    use shared::evaluation::quality::detect;
    use shared::formats::dynclean_json;
    use shared::metrics::Window;
    use shared::recording::dictionary::Entry;
    use shared::recording::dynamics::{Dynamics, EpochLogits, Negatives, Precision, Run, RunInfo};

    /// Six tokens, two types, pseudo-random logits.
    fn example() -> Dynamics {
        let json = br#"[{"tokens": ["a", "b", "c", "d", "e", "f"],
                         "entities": [[0, 1, "X"], [3, 3, "Y"], [5, 5, "X"]], "unknown": [[2, 4]]}]"#;
        let corpus = dynclean_json::read(json).unwrap();
        let mut state = 7u32;
        let mut rows: Vec<f32> = (0..21 * 3)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as f32 / 16.0 - 8.0
            })
            .collect();
        rows[30] = f32::NAN;
        let mut gold = corpus.entities.clone();
        gold[1].label = 1;
        gold.remove(0);
        gold.push(shared::corpus::Entity {
            span: shared::corpus::span::Span { sentence: 0, start: 1, end: 2 },
            label: 2,
        });
        Dynamics {
            info: RunInfo { max_span_width: 8, negatives: Negatives::All, ..RunInfo::default() },
            corpus,
            gold: Some(gold),
            contradicted: Vec::new(),
            run: Run { epochs: vec![EpochLogits::from_rows(&rows, 2, Precision::F32).unwrap()], scores: vec![] },
            threshold_run: None,
            complete: true,
            whole: None,
        }
    }

    #[test]
    fn figures_equal_those_of_the_whole_cleaning() {
        let dynamics = example();
        let entry = |words: &str, label: &str, becomes: Option<&str>| Entry {
            words: words.into(),
            label: label.into(),
            spans: 1,
            annotated: 2,
            agreeing: 0,
            becomes: becomes.map(str::to_owned),
        };
        let contradicted = vec![entry("a b", "X", None), entry("d", "Y", Some("O")), entry("f", "Y", Some("O"))];
        let dynamics = Dynamics { contradicted, ..dynamics };
        let judge = Judge::new(&dynamics, Window::first_epochs(1), Metric::Aum).unwrap();
        // "f" has another distant label than its entry.
        assert_eq!(judge.contradicted, [(1, Decision::Remove), (15, Decision::Relabel(0))].into());
        let labels = &dynamics.corpus.labels;
        let gold = dynamics.dense_gold(&judge.index).unwrap();
        let tally = Tally::new(&judge, labels, Some(&gold));
        let by_hand: BTreeMap<SpanId, Decision> = [
            (0, Decision::Remove),
            (1, Decision::Keep),
            (2, Decision::Relabel(2)),
            (3, Decision::Relabel(0)),
            (15, Decision::Relabel(2)),
            (20, Decision::Keep),
        ]
        .into();
        let overrides = by_hand.iter().map(|(&id, &decision)| {
            let by_hand = match decision {
                Decision::Keep => Override::Keep,
                Decision::Remove => Override::Remove,
                Decision::Relabel(label) => Override::Relabel(labels.name(label).to_owned()),
            };
            (judge.index.span(id).unwrap(), by_hand)
        });
        let overrides: Vec<_> = overrides.collect();
        for threshold in [f32::NEG_INFINITY, -3.0, 0.0, 2.5, f32::INFINITY] {
            for action in [Action::Remove, Action::Relabel] {
                for overlap_suppression in [false, true] {
                    for (with_overrides, dictionary_check) in
                        [(false, false), (false, true), (true, false), (true, true)]
                    {
                        let rule = Rule::Fixed(threshold);
                        let settings = Settings {
                            negatives: rule,
                            positives: rule,
                            action,
                            overlap_suppression,
                            dictionary_check,
                            classes: [("X".to_owned(), Rule::Fixed(threshold + 1.0))].into(),
                            ..Settings::paper()
                        };
                        let mut decisions = Decisions::new(String::new(), settings.clone());
                        let mut hand = BTreeMap::new();
                        if with_overrides {
                            decisions.overrides = overrides.clone();
                            hand = by_hand.clone();
                        }
                        let decided = decisions.resolve(&judge, labels).unwrap();
                        let figures = tally.at(&judge, &settings, &hand, Some(&gold));
                        assert_eq!(figures.summary, CleaningSummary::new(&judge, &settings, &decided, labels));
                        assert_eq!(figures.quality, Some(detect(&judge.under(&settings), &decided, &gold)));
                        let judgement = judge.under(&settings);
                        let changed = Side::BOTH.map(|side| judgement.changed(side).into_owned()).concat();
                        assert!(with_overrides || changed.len() == decided.len());
                        assert!(with_overrides || changed.iter().all(|s| decided[s] == judgement.decide(*s)));
                    }
                }
            }
        }
        assert_eq!(Tally::new(&judge, labels, None).at(&judge, &Settings::paper(), &by_hand, None).quality, None);
    }
}
