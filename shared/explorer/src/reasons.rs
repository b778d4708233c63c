//! Counts the doubted labels by their main reason.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::corpus::decision::Side;
use shared::detection::judgement::Judgement;
use shared::detection::noise_model::Signal;

use crate::sort::by_key;

/// Largest number of doubted labels whose reasons are counted. More would take longer than a frame while a threshold is
/// dragged.
pub const MOST: usize = 50_000;

/// Labels that the thresholds judge wrong for one main reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonCount {
    /// The strongest signal against them.
    pub reason: Signal,
    /// Their number.
    pub spans: u32,
}

/// Counts the labels that the thresholds judge wrong by their main reason, the most frequent reason first. Labels
/// without a reason in words are left out. `None` if there are more than [`MOST`].
pub fn count(judgement: &Judgement) -> Option<Vec<ReasonCount>> {
    let judged = Side::BOTH.map(|side| judgement.judged_wrong(side));
    if judged.iter().map(|spans| spans.len()).sum::<usize>() > MOST {
        return None;
    }
    let mut counts: BTreeMap<Signal, u32> = BTreeMap::new();
    for reason in judged.iter().flat_map(|spans| spans.iter()).filter_map(|&span| judgement.judge().main_reason(span)) {
        *counts.entry(reason).or_default() += 1;
    }
    let counts: Vec<ReasonCount> = counts.into_iter().map(|(reason, spans)| ReasonCount { reason, spans }).collect();
    let largest = by_key(counts.iter().map(|count| u32::MAX - count.spans).zip(0..));
    Some(largest.into_iter().filter_map(|at| counts.get(at as usize).copied()).collect())
}

/// A reason in words, about any span.
pub fn in_words(reason: Signal) -> &'static str {
    match reason {
        Signal::Aum => "the model prefers another label",
        Signal::Rival => "the model finds other boundaries",
        Signal::LongerRun => "part of a longer name",
        Signal::LowerCase | Signal::LowerCaseRun => "in lower case elsewhere",
        Signal::SentenceStart => "capital only begins the sentence",
        Signal::UnlabelledElsewhere => "often without a label elsewhere",
        Signal::Width => "several words long",
        Signal::WholeRun => "capitalised like a whole name",
        Signal::MissedRuns => "many such names are not labelled",
        Signal::JoinedRun => "two names joined by a short word",
        Signal::RunOfEntity => "a label covers only a part of it",
        Signal::Overlap => "overlaps a labelled entity",
        Signal::WeakerThanRival => "a span that overlaps it is more suspicious",
        // Not told: see `Signal::is_told`.
        Signal::Base | Signal::HighAum | Signal::NotARun | Signal::OverlapAum => "other signals",
    }
}

#[cfg(test)]
mod tests {
    use shared::detection::judge::Judge;
    use shared::detection::threshold::{Metric, Rule, Settings};
    use shared::formats::dynclean_json;
    use shared::metrics::Window;

    use super::*;
    use crate::one_epoch::of_one_epoch;

    #[test]
    fn doubted_labels_are_counted_by_their_main_reason() {
        let json = br#"[{"tokens": ["the", "United", "States"], "entities": [[2, 2, "PER"]]},
                        {"tokens": ["I", "saw", "The", "the", "the", "dog"], "entities": [[2, 2, "PER"]]}]"#;
        let corpus = dynclean_json::read(json).unwrap();
        let index = corpus.span_index(8).unwrap();
        // Every label has an AUM of 3: the model trusts it, but the text speaks against it. O spans are kept.
        let assigned = corpus.dense_labels(&index);
        let rows: Vec<f32> =
            assigned.iter().flat_map(|&label| if label == 0 { [3.0, 0.0] } else { [0.0, 3.0] }).collect();
        let dynamics = of_one_epoch(corpus, &rows);
        let judge = Judge::new(&dynamics, Window::first_epochs(1), Metric::Trust).unwrap();
        let settings = Settings {
            positives: Rule::Fixed(1.0),
            negatives: Rule::Keep,
            ..Settings::automatic(&dynamics, &judge.assigned)
        };
        let counts = count(&judge.under(&settings)).unwrap();
        let count = |reason| ReasonCount { reason, spans: 1 };
        assert_eq!(counts, [count(Signal::LongerRun), count(Signal::LowerCase)]);
        assert_eq!(in_words(counts[0].reason), "part of a longer name");
    }
}
