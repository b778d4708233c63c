//! Compares two recordings of the same corpus (two seeds, two encoders): do they judge the same labels wrong?

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::sort::{ascending, by_key};
use shared::corpus::decision::{Decision, Side};
use shared::corpus::span::SpanId;
use shared::detection::judge::Judge;
use shared::detection::judgement::Judgement;
use shared::detection::threshold::Settings;
use shared::recording::dynamics::Dynamics;

/// Reasons why two recordings cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OtherCorpus {
    /// The candidate spans differ.
    #[error("it has {other} candidate spans, the open file {open}: compare recordings of the same corpus")]
    Spans {
        /// Number in the open file.
        open: usize,
        /// Number in the other file.
        other: usize,
    },
    /// The words differ.
    #[error("sentence {0} has other words than in the open file: compare recordings of the same corpus")]
    Words(u32),
    /// The entity types differ.
    #[error("its entity types are {other}, those of the open file {open}: compare recordings of the same corpus")]
    Types {
        /// Types of the open file.
        open: String,
        /// Types of the other file.
        other: String,
    },
}

/// The data that are kept of the other recording.
#[derive(Debug, Clone)]
pub struct Other {
    /// AUM of every span, over the other recording's window.
    pub aum: Vec<f32>,
    /// Spans that do not keep their label, in ascending order.
    judged: Vec<SpanId>,
}

/// Agreement of two recordings on one side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Number of spans that both judge wrong.
    pub both: u64,
    /// Number of spans that only the open recording judges wrong.
    pub only_here: u64,
    /// Number of spans that only the other recording judges wrong.
    pub only_there: u64,
    /// Number of spans that both keep.
    pub neither: u64,
    /// Pearson's correlation of the AUMs; NaN if it is not defined.
    pub correlation: f64,
}

impl Agreement {
    /// Cohen's κ: agreement beyond chance, at most 1. NaN if chance alone would always agree.
    pub fn kappa(&self) -> f64 {
        let [both, here, there, neither] =
            [self.both, self.only_here, self.only_there, self.neither].map(|count| count as f64);
        let n = both + here + there + neither;
        let observed = (both + neither) / n;
        let chance = ((both + here) * (both + there) + (neither + there) * (neither + here)) / (n * n);
        (observed - chance) / (1.0 - chance)
    }
}

impl Other {
    /// Collects the decisions of `judge` and `settings` about the other recording.
    ///
    /// # Errors
    /// When the other recording is not of the same corpus as `open`.
    pub fn new(open: &Dynamics, other: &Dynamics, judge: &Judge, settings: &Settings) -> Result<Self, OtherCorpus> {
        if open.corpus.labels != other.corpus.labels {
            let names = |d: &Dynamics| d.corpus.labels.types().join(", ");
            return Err(OtherCorpus::Types { open: names(open), other: names(other) });
        }
        let (a, b) = (&open.corpus.tokens, &other.corpus.tokens);
        let differs = |&sentence: &u32| !a.sentence(sentence).eq(b.sentence(sentence));
        if a.n_sentences() == b.n_sentences()
            && let Some(sentence) = (0..a.n_sentences() as u32).find(differs)
        {
            return Err(OtherCorpus::Words(sentence));
        }
        let spans = open.span_index().map_or(0, |index| index.len());
        if spans != judge.index.len() || a.n_sentences() != b.n_sentences() {
            return Err(OtherCorpus::Spans { open: spans, other: judge.index.len() });
        }
        let judged = not_kept(&judge.under(settings), &BTreeMap::new());
        Ok(Self { aum: judge.metrics.aum.clone(), judged })
    }

    /// Agreement with the decisions about the open recording, for negatives and positives.
    pub fn agreement(&self, judgement: &Judgement, by_hand: &BTreeMap<SpanId, Decision>) -> [Agreement; 2] {
        let judge = judgement.judge();
        let here = not_kept(judgement, by_hand);
        let is_here = |span: &SpanId| here.binary_search(span).is_ok();
        Side::BOTH.map(|side| {
            let of_side = |span: &&SpanId| judge.side(**span) == side;
            let total = judge.assigned.iter().filter(|&&label| Side::of(label) == side).count() as u64;
            let both = self.judged.iter().filter(of_side).filter(|span| is_here(span)).count() as u64;
            let only_here = here.iter().filter(of_side).count() as u64 - both;
            let only_there = self.judged.iter().filter(of_side).count() as u64 - both;
            let neither = total.saturating_sub(both + only_here + only_there);
            let pairs = judge.metrics.aum.iter().zip(&self.aum).zip(&judge.assigned);
            let pairs = pairs.filter(|&(_, &label)| Side::of(label) == side).map(|((&a, &b), _)| (a, b));
            Agreement { both, only_here, only_there, neither, correlation: correlation(pairs) }
        })
    }

    /// Spans that only one of the two recordings judges wrong. Spans whose AUMs differ most come first.
    pub fn flips(&self, judgement: &Judgement, by_hand: &BTreeMap<SpanId, Decision>) -> Vec<SpanId> {
        let here = not_kept(judgement, by_hand);
        let mut flips: Vec<SpanId> =
            here.iter().copied().filter(|span| self.judged.binary_search(span).is_err()).collect();
        flips.extend(self.judged.iter().filter(|span| here.binary_search(span).is_err()));
        let aum = &judgement.judge().metrics.aum;
        let value = |column: &[f32], span: SpanId| column.get(span as usize).copied().unwrap_or(f32::NAN);
        let difference = |span: SpanId| (value(aum, span) - value(&self.aum, span)).abs();
        by_key(flips.into_iter().map(|span| (!ascending(difference(span)), span)))
    }
}

/// The spans that do not keep their label, in ascending order.
fn not_kept(judgement: &Judgement, by_hand: &BTreeMap<SpanId, Decision>) -> Vec<SpanId> {
    let judge = judgement.judge();
    let keeps = |span: SpanId, decision: Decision| {
        decision == Decision::Keep || judge.assigned.get(span as usize).is_some_and(|&label| decision.keeps(label))
    };
    let changed = judgement.decided(by_hand).into_iter().filter(|&(span, decision)| !keeps(span, decision));
    let mut spans: Vec<SpanId> = changed.map(|(span, _)| span).collect();
    spans.sort_unstable();
    spans
}

/// Pearson's correlation of all finite pairs.
fn correlation(pairs: impl Iterator<Item = (f32, f32)>) -> f64 {
    let (mut n, mut mean, mut square, mut product) = (0.0, [0.0; 2], [0.0; 2], 0.0);
    for (a, b) in pairs.filter(|(a, b)| a.is_finite() && b.is_finite()) {
        // Welford's updates avoid the cancellation of large sums of squares.
        n += 1.0;
        let values = [f64::from(a), f64::from(b)];
        let before = [values[0] - mean[0], values[1] - mean[1]];
        for i in 0..2 {
            mean[i] += before[i] / n;
            square[i] += before[i] * (values[i] - mean[i]);
        }
        product += before[0] * (values[1] - mean[1]);
    }
    product / (square[0] * square[1]).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::one_epoch::of_one_epoch;
    use shared::detection::threshold::{Metric, Rule};
    use shared::formats::dynclean_json;
    use shared::metrics::Window;

    fn recording(words: [&str; 4], label: &str, aums: [f32; 4]) -> Dynamics {
        let sentence = |word: &&str| format!(r#"{{"tokens": ["{word}"], "entities": [[0, 0, "{label}"]]}}"#);
        let json = format!("[{}]", words.iter().map(sentence).collect::<Vec<_>>().join(","));
        let rows: Vec<f32> = aums.iter().flat_map(|&aum| [0.0, aum]).collect();
        of_one_epoch(dynclean_json::read(json.as_bytes()).unwrap(), &rows)
    }

    #[test]
    fn agreement_flips_and_correlation_by_hand() {
        let words = ["a", "b", "c", "d"];
        let open = recording(words, "X", [-1.0, -2.0, 3.0, 4.0]);
        let second = recording(words, "X", [-1.0, 1.0, -5.0, 5.0]);
        let judge = |d: &Dynamics| Judge::new(d, Window::first_epochs(1), Metric::Aum).unwrap();
        let settings = Settings { positives: Rule::Fixed(0.0), ..Settings::paper() };
        let (here, there) = (judge(&open), judge(&second));
        let other = Other::new(&open, &second, &there, &settings).unwrap();
        let judgement = here.under(&settings);
        let [negatives, positives] = other.agreement(&judgement, &BTreeMap::new());
        assert_eq!((negatives.both, negatives.neither), (0, 0));
        let Agreement { both, only_here, only_there, neither, correlation } = positives;
        assert_eq!((both, only_here, only_there, neither), (1, 1, 1, 1));
        assert_eq!(positives.kappa(), 0.0, "half agree, as chance would");
        // Σ(a − 1)(b − 0) = 2 − 3 − 10 + 15 = 4; Σ(a − 1)² = 26; Σb² = 52.
        assert!((correlation - 4.0 / (26.0f64 * 52.0).sqrt()).abs() < 1e-12);
        assert_eq!(other.flips(&judgement, &BTreeMap::new()), [2, 1], "AUMs differ by 8 and 3");
        let by_hand: BTreeMap<_, _> = [(1, Decision::Keep), (2, Decision::Remove), (3, Decision::Relabel(1))].into();
        assert_eq!(other.flips(&judgement, &by_hand), Vec::<SpanId>::new());
        assert_eq!(other.agreement(&judgement, &by_hand)[1].kappa(), 1.0);
    }

    #[test]
    fn another_corpus_is_refused() {
        let open = recording(["a", "b", "c", "d"], "X", [0.0; 4]);
        let settings = Settings::paper();
        let refused = |other: Dynamics| {
            let judge = Judge::new(&other, Window::first_epochs(1), Metric::Aum).unwrap();
            Other::new(&open, &other, &judge, &settings).unwrap_err()
        };
        assert_eq!(refused(recording(["a", "b", "e", "d"], "X", [0.0; 4])), OtherCorpus::Words(2));
        assert!(matches!(refused(recording(["a", "b", "c", "d"], "Y", [0.0; 4])), OtherCorpus::Types { .. }));
    }
}
