//! Live figures: counts and quality of one setting after another on the same judge, in time
//! proportional to the spans that are judged wrong. They equal [`CleaningSummary::new`] and
//! [`crate::quality::detect`], which look at everything.

use std::collections::BTreeMap;

use crate::cleaning::{CleaningSummary, LabelCount, count};
use crate::judge::{Decision, Judge, Side};
use crate::labels::{LabelId, LabelSet};
use crate::quality::{Detection, NoiseDetection, Ranked};
use crate::score::Prf;
use crate::span::SpanId;
use crate::threshold::{Action, Settings};

/// What no threshold changes.
#[derive(Debug, Clone)]
pub struct Tally {
    totals: Vec<LabelCount>,
    flagged: u64,
    ranked: Option<[Ranked; 2]>,
}

/// One setting in figures.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// Thresholds and counts.
    pub summary: CleaningSummary,
    /// Noise detection, where gold is known.
    pub quality: Option<NoiseDetection>,
}

#[derive(Default)]
struct Found {
    judged: u64,
    wrong: u64,
}

impl Tally {
    /// Prepares the figures of this judge. `gold`: one label per span, where known.
    pub fn new(judge: &Judge, labels: &LabelSet, gold: Option<&[LabelId]>) -> Self {
        Self {
            totals: count(judge, &BTreeMap::new(), labels),
            flagged: judge.metrics.aum.iter().filter(|a| a.is_nan()).count() as u64,
            ranked: gold
                .map(|gold| [Ranked::new(judge, gold, Side::Negatives), Ranked::new(judge, gold, Side::Positives)]),
        }
    }

    /// The figures of these settings. `by_hand`: decisions that overrule the settings; `gold` as for
    /// [`Tally::new`].
    pub fn at(
        &self,
        judge: &Judge,
        settings: &Settings,
        by_hand: &BTreeMap<SpanId, Decision>,
        gold: Option<&[LabelId]>,
    ) -> Figures {
        let mut counts = self.totals.clone();
        let mut found = [Found::default(), Found::default()];
        for (side, found) in [Side::Negatives, Side::Positives].into_iter().zip(&mut found) {
            let judged = judge.judged_wrong(side, settings);
            let by_rule = judged.iter().filter(|span| by_hand.is_empty() || !by_hand.contains_key(span));
            let decided = by_rule.map(|&span| match settings.action {
                Action::Remove => (span, Decision::Remove),
                Action::Relabel => (span, judge.verdict(span, settings)),
            });
            let overruled = by_hand.iter().filter(|&(&span, _)| judge.side(span) == side);
            for (span, decision) in decided.chain(overruled.map(|(&span, &decision)| (span, decision))) {
                let Some(&label) = judge.assigned.get(span as usize) else { continue };
                let Some(count) = counts.get_mut(usize::from(label)) else { continue };
                match decision {
                    Decision::Remove => count.removed += 1,
                    Decision::Relabel(new) if new != label => count.relabelled += 1,
                    Decision::Keep | Decision::Relabel(_) => continue,
                }
                found.judged += 1;
                found.wrong += u64::from(gold.and_then(|gold| gold.get(span as usize)).is_some_and(|&g| g != label));
            }
        }
        let summary = CleaningSummary { thresholds: judge.thresholds(settings), counts, flagged: self.flagged };
        let quality = self.ranked.as_ref().map(|[negatives, positives]| {
            let detection = |found: &Found, ranked: &Ranked| Detection {
                prf: Prf::from_counts(found.wrong, found.judged, ranked.wrong),
                average_precision: ranked.average_precision,
            };
            NoiseDetection {
                false_positives: detection(&found[1], positives),
                false_negatives: detection(&found[0], negatives),
            }
        });
        Figures { summary, quality }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cleaning::{Decisions, Override};
    use crate::dynamics::{Dynamics, EpochLogits, Negatives, Precision, Run, RunInfo};
    use crate::formats::dynclean_json;
    use crate::metrics::Window;
    use crate::quality::detect;
    use crate::threshold::Rule;

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
        gold.push(crate::corpus::Entity { span: crate::span::Span { sentence: 0, start: 1, end: 2 }, label: 2 });
        Dynamics {
            info: RunInfo { max_span_width: 8, negatives: Negatives::All, ..RunInfo::default() },
            corpus,
            gold: Some(gold),
            run: Run { epochs: vec![EpochLogits::from_rows(&rows, 2, Precision::F32).unwrap()], scores: vec![] },
            threshold_run: None,
            complete: true,
        }
    }

    #[test]
    fn figures_equal_those_of_the_whole_cleaning() {
        let dynamics = example();
        let judge = Judge::new(&dynamics, Window::first_epochs(1)).unwrap();
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
                    for with_overrides in [false, true] {
                        let rule = Rule::Fixed(threshold);
                        let settings = Settings {
                            negatives: rule,
                            positives: rule,
                            action,
                            overlap_suppression,
                            ..Settings::paper()
                        };
                        let mut decisions = Decisions::new(String::new(), settings);
                        let mut hand = BTreeMap::new();
                        if with_overrides {
                            decisions.overrides = overrides.clone();
                            hand = by_hand.clone();
                        }
                        let decided = decisions.resolve(&judge, labels).unwrap();
                        let figures = tally.at(&judge, &settings, &hand, Some(&gold));
                        assert_eq!(figures.summary, CleaningSummary::new(&judge, &settings, &decided, labels));
                        assert_eq!(figures.quality, Some(detect(&judge, &decided, &gold)));
                    }
                }
            }
        }
        assert_eq!(Tally::new(&judge, labels, None).at(&judge, &Settings::paper(), &by_hand, None).quality, None);
    }
}
