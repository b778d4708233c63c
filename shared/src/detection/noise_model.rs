//! The noise model: the probability that a label is wrong, from dynamics and text together.
//!
//! The log odds of "this label is wrong" are a weighted sum of a few signals. They come from the model during
//! training (AUM, rivals) and from the text ([`crate::evidence`]). The weights are fixed, so the corpus at hand
//! needs no gold label. We took the weights from logistic models, fitted on the gold labels of three corpora, one
//! at a time. The weights differ little between corpora (docs/DETECTION.md has the figures). A signal that does
//! not vary in a corpus adds nothing.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::corpus::decision::Side;
use crate::corpus::labels::LabelId;
use crate::corpus::span::{Span, SpanId, SpanIndex};
use crate::evidence::{Evidence, SpanEvidence};
use crate::exp::exp_nonpositive;
use crate::ln::ln;
use crate::recording::whole::Whole;

/// AUM is cut off at these values. Beyond them, it says no more.
const AUM_RANGE: (f32, f32) = (-6.0, 8.0);

/// A signal that moves the log odds by less than this is not told as a reason.
const LEAST: f32 = 0.5;

/// Number of sentences that are judged in one go. The last bits of sums depend on it.
const SENTENCES: u32 = 1024;

/// If fewer labels have the same reason, the share of them that is wrong is not told.
const LEAST_LABELS: u32 = 10;

/// A signal for or against a label. Its value is multiplied by its weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// Always 1.
    Base,
    /// AUM of the label, cut off at −6 and 8. A low value: the model prefers another label.
    Aum,
    /// AUM − 4, at least 0: the model is sure of the label.
    HighAum,
    /// 6 − the lowest AUM of the `O` spans that overlap this entity, 0 to 10. A high value: the model finds an
    /// entity with other boundaries.
    Rival,
    /// AUM − the lowest AUM of the `O` spans that overlap this one, 0 to 3. A high value: a neighbour is more
    /// suspicious.
    WeakerThanRival,
    /// If the entity is part of a longer capitalised run: the weight of capitals in this corpus, 0 to 1. Otherwise
    /// 0.
    LongerRun,
    /// Lower-case share of a capitalised entity's words × the weight of capitals in this corpus, 0 to 1.
    LowerCase,
    /// For an entity of several words at the start of a sentence: the lower-case share of its first word × the
    /// weight of capitals in this corpus, 0 to 1. It is 0 if that word is seldom in lower case.
    SentenceStart,
    /// How often the same word stands elsewhere without a label, from 0. 0 for spans of several words.
    UnlabelledElsewhere,
    /// Number of words after the first, 0 to 3.
    Width,
    /// If the span is not a whole capitalised run: the share of labelled entities that are capitalised, 0 to 1.
    /// Otherwise 0.
    NotARun,
    /// 1 if the span is a whole capitalised run.
    WholeRun,
    /// Log odds that a whole run is a missed entity, given the share of all runs that is labelled; −3 to 3.
    MissedRuns,
    /// Lower-case share of the words of a whole run, 0 to 1.
    LowerCaseRun,
    /// 1 if a whole run has a joining word inside.
    JoinedRun,
    /// 1 if the span is a whole run, and a labelled entity is only a part of it.
    RunOfEntity,
    /// 1 if the span overlaps a labelled entity.
    Overlap,
    /// The highest AUM of the entities that the span overlaps, −4 to 4.
    OverlapAum,
}

impl Signal {
    /// Whether the signal is a reason that a person is told. The others only set the scale.
    pub fn is_told(self) -> bool {
        !matches!(self, Self::Base | Self::HighAum | Self::NotARun | Self::OverlapAum)
    }
}

/// Number of signals.
const SIGNALS: usize = Signal::OverlapAum as usize + 1;

/// Weights of the signals of entities.
const POSITIVES: &[(Signal, f32)] = &[
    (Signal::Base, -1.05),
    (Signal::Aum, -0.65),
    (Signal::Rival, 0.2),
    (Signal::LongerRun, 2.8),
    (Signal::LowerCase, 5.5),
    (Signal::SentenceStart, 3.0),
    (Signal::UnlabelledElsewhere, 0.5),
    (Signal::Width, -0.3),
];

/// Weights of the signals of spans labelled `O`.
const NEGATIVES: &[(Signal, f32)] = &[
    (Signal::Base, -0.3),
    (Signal::Aum, -0.35),
    (Signal::HighAum, -0.5),
    (Signal::NotARun, -2.3),
    (Signal::WholeRun, 1.5),
    (Signal::MissedRuns, 1.0),
    (Signal::LowerCaseRun, -3.0),
    (Signal::JoinedRun, -1.0),
    (Signal::RunOfEntity, 1.5),
    (Signal::UnlabelledElsewhere, -0.2),
    (Signal::Overlap, -0.6),
    (Signal::OverlapAum, -0.4),
    (Signal::WeakerThanRival, -0.2),
];

/// The facts about one span that the signals use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Known {
    /// The span's side.
    pub side: Side,
    /// AUM of the span's label.
    pub aum: f32,
    /// Lowest AUM of the `O` spans that share a token with this span; an `O` span itself counts too. Infinity if
    /// there are none.
    pub rival: f32,
    /// Highest AUM of the entities that share a token with it; minus infinity if there are none.
    pub overlapped: f32,
    /// What the text says about the span.
    pub text: SpanEvidence,
}

/// A signal of one span and the amount that it adds to the log odds of "wrong".
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Reason {
    /// The signal.
    pub signal: Signal,
    /// The signal's value.
    pub value: f32,
    /// Value × weight.
    pub log_odds: f32,
}

impl Reason {
    /// Whether the signal counts enough that a person is told.
    pub fn is_told(&self) -> bool {
        self.log_odds.abs() >= LEAST && self.signal.is_told()
    }
}

/// The labels of a corpus that have a reason against them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Doubted {
    labels: u32,
    /// How many of them are wrong, by estimate.
    wrong: f64,
}

/// For each side and signal: which share of the labels with this reason against them is wrong, by estimate.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shares([[Doubted; SIGNALS]; 2]);

const _: () = assert!(SIGNALS <= Whole::MOST_SIGNALS, "an extract has no room for so many signals");

impl Shares {
    /// The shares in the whole recording, in place of those in an extract.
    pub(super) fn of_whole(mut self, whole: &Whole) -> Self {
        for (side, all) in self.0.iter_mut().enumerate() {
            for (signal, doubted) in all.iter_mut().enumerate() {
                let at = Whole::SHARES + 3 * (side * Whole::MOST_SIGNALS + signal);
                let wrong = u64::from(whole.count(at + 1)) | u64::from(whole.count(at + 2)) << 32;
                *doubted = Doubted { labels: whole.count(at), wrong: f64::from_bits(wrong) };
            }
        }
        self
    }

    /// Returns the numbers that [`of_whole`](Self::of_whole) reads.
    pub(super) fn numbers(&self) -> Vec<u32> {
        let mut all = Vec::new();
        for side in &self.0 {
            for Doubted { labels, wrong } in side {
                let wrong = wrong.to_bits();
                all.extend([*labels, wrong as u32, (wrong >> 32) as u32]);
            }
            all.resize(all.len() + 3 * (Whole::MOST_SIGNALS - SIGNALS), 0);
        }
        all
    }

    /// Adds the labels of another part.
    fn add_all(&mut self, part: &Self) {
        for (sum, Doubted { labels, wrong }) in self.0.iter_mut().flatten().zip(part.0.iter().flatten()) {
            sum.labels += labels;
            sum.wrong += wrong;
        }
    }

    /// Adds a label with these reasons against it, and the probability that it is wrong.
    fn add(&mut self, side: Side, reasons: u32, wrong: f32) {
        for (place, doubted) in self.0.get_mut(side as usize).into_iter().flatten().enumerate() {
            if reasons >> place & 1 == 1 {
                doubted.labels += 1;
                doubted.wrong += f64::from(wrong);
            }
        }
    }

    /// The share, 0 to 1, for a reason against labels of a side. `None` if only few labels have it.
    pub fn wrong(&self, side: Side, reason: Signal) -> Option<f64> {
        let doubted = self.0.get(side as usize)?.get(reason as usize)?;
        (doubted.labels >= LEAST_LABELS).then(|| doubted.wrong / f64::from(doubted.labels))
    }
}

impl Signal {
    /// The signal's value for a span.
    fn value(self, known: &Known) -> f32 {
        let aum = known.aum.clamp(AUM_RANGE.0, AUM_RANGE.1);
        let text = &known.text;
        let yes = |is: bool| if is { 1.0 } else { 0.0 };
        match self {
            Self::Base => 1.0,
            Self::Aum => aum,
            Self::HighAum => (aum - 4.0).max(0.0),
            Self::Rival => (6.0 - known.rival).clamp(0.0, 10.0),
            Self::WeakerThanRival => (aum - known.rival).clamp(0.0, 3.0),
            Self::LongerRun => yes(text.run.is_some()) * text.capitals.weight(),
            Self::LowerCase => yes(text.is_capitalised) * text.lower * text.capitals.weight(),
            Self::SentenceStart => text.start_lower * text.capitals.weight(),
            Self::UnlabelledElsewhere => text.unlabelled,
            Self::Width => text.width.saturating_sub(1).min(3) as f32,
            Self::NotARun => yes(!text.is_run) * text.capitals.entities,
            Self::WholeRun => yes(text.is_run),
            Self::MissedRuns if text.is_run => {
                let missed = text.capitals.missed();
                ln(missed) - ln(1.0 - missed)
            }
            Self::MissedRuns => 0.0,
            Self::LowerCaseRun => yes(text.is_run) * text.lower,
            Self::JoinedRun => yes(text.is_joined),
            Self::RunOfEntity => yes(text.is_run_of_entity),
            Self::Overlap => yes(text.is_covered),
            Self::OverlapAum if known.overlapped == f32::NEG_INFINITY => 0.0,
            Self::OverlapAum => known.overlapped.clamp(-4.0, 4.0),
        }
    }
}

/// The weights of a side.
fn weights(side: Side) -> &'static [(Signal, f32)] {
    match side {
        Side::Positives => POSITIVES,
        Side::Negatives => NEGATIVES,
    }
}

/// All signals of a span, in the order of the weights. They add up to the log odds that its label is wrong.
pub fn reasons(known: Known) -> impl Iterator<Item = Reason> {
    weights(known.side).iter().map(move |&(signal, weight)| {
        let value = signal.value(&known);
        Reason { signal, value, log_odds: weight * value }
    })
}

/// Trust: the probability that the label is right, 0 to 1. NaN if AUM is not known.
pub fn trust(known: &Known) -> f32 {
    trust_and_reasons(known).0
}

/// The same as [`trust`], and the reasons against the label: bit i is set if signal i is one.
fn trust_and_reasons(known: &Known) -> (f32, u32) {
    if known.aum.is_nan() {
        return (f32::NAN, 0);
    }
    let (mut wrong, mut reasons) = (0.0, 0);
    for &(signal, weight) in weights(known.side) {
        let log_odds = weight * signal.value(known);
        wrong += log_odds;
        reasons |= u32::from(log_odds >= LEAST) << signal as u32;
    }
    let small = exp_nonpositive(-f32::abs(wrong));
    (if wrong > 0.0 { small / (1.0 + small) } else { 1.0 / (1.0 + small) }, reasons)
}

/// Log odds, from the text alone, that there is no entity with these boundaries, whatever its type. The span's
/// neighbours do not matter.
pub fn text_against(text: SpanEvidence) -> f32 {
    let known = Known { side: Side::Positives, aum: 0.0, rival: f32::INFINITY, overlapped: f32::NEG_INFINITY, text };
    let of_text = |signal| {
        matches!(signal, Signal::LongerRun | Signal::LowerCase | Signal::SentenceStart | Signal::UnlabelledElsewhere)
    };
    reasons(known).filter(|reason| of_text(reason.signal)).map(|reason| reason.log_odds).sum()
}

/// The trust of every span, and the shares of the reasons. `assigned` and `aum` have one element per span.
/// O(spans × width).
pub fn trust_of_all(evidence: &Evidence, index: &SpanIndex, assigned: &[LabelId], aum: &[f32]) -> (Vec<f32>, Shares) {
    let mut all = vec![0.0; index.len()];
    let (mut parts, mut rest) = (Vec::new(), all.as_mut_slice());
    let n = index.n_sentences() as u32;
    for first in (0..n).step_by(SENTENCES as usize) {
        let sentences = first..n.min(first + SENTENCES);
        let n_spans = sentences.clone().map(|sentence| index.of_sentence(sentence).len()).sum();
        let (own, after) = rest.split_at_mut_checked(n_spans).unwrap_or_default();
        parts.push((sentences, own));
        rest = after;
    }
    let of_part = |(sentences, trusts): (Range<u32>, &mut [f32])| {
        let (mut shares, mut neighbours) = (Shares::default(), Neighbours::default());
        let mut trusts = trusts.iter_mut();
        for sentence in sentences {
            neighbours.read(index, sentence, assigned, aum);
            let spans = neighbours.spans(index, sentence, assigned, aum, evidence);
            for (known, own) in spans.zip(trusts.by_ref()) {
                let (trust, reasons) = trust_and_reasons(&known);
                if reasons > 0 {
                    shares.add(known.side, reasons, 1.0 - trust);
                }
                *own = trust;
            }
        }
        shares
    };
    let mut shares = Shares::default();
    lanes::map(parts, of_part).iter().for_each(|part| shares.add_all(part));
    (all, shares)
}

/// Collects the facts about one span; `None` if the span does not exist.
pub fn known(evidence: &Evidence, index: &SpanIndex, assigned: &[LabelId], aum: &[f32], span: SpanId) -> Option<Known> {
    let place = index.span(span)?;
    let mut neighbours = Neighbours::default();
    neighbours.read(index, place.sentence, assigned, aum);
    let (&label, &aum) = (assigned.get(span as usize)?, aum.get(span as usize)?);
    Some(neighbours.known(place, label, aum, evidence))
}

/// For each token of a sentence: the lowest AUM of the `O` spans, and the highest AUM of the entities, that
/// contain it.
#[derive(Debug, Default)]
struct Neighbours {
    lowest_negative: Vec<f32>,
    highest_positive: Vec<f32>,
}

impl Neighbours {
    fn read(&mut self, index: &SpanIndex, sentence: u32, assigned: &[LabelId], aum: &[f32]) {
        let n = index.lengths().get(sentence as usize).copied().unwrap_or(0) as usize;
        self.lowest_negative.clear();
        self.lowest_negative.resize(n, f32::INFINITY);
        self.highest_positive.clear();
        self.highest_positive.resize(n, f32::NEG_INFINITY);
        for (span, id) in index.spans_of(sentence).zip(index.of_sentence(sentence)) {
            let (Some(&label), Some(&aum)) = (assigned.get(id as usize), aum.get(id as usize)) else { continue };
            // A comparison with NaN is always false.
            let (column, is_more): (_, fn(f32, f32) -> bool) = match Side::of(label) {
                Side::Negatives => (&mut self.lowest_negative, |new, old| new < old),
                Side::Positives => (&mut self.highest_positive, |new, old| new > old),
            };
            for old in column.get_mut(span.start as usize..=span.end as usize).unwrap_or_default() {
                if is_more(aum, *old) {
                    *old = aum;
                }
            }
        }
    }

    fn known(&self, span: Span, label: LabelId, aum: f32, evidence: &Evidence) -> Known {
        let side = Side::of(label);
        let tokens = span.start as usize..=span.end as usize;
        let of = |column: &[f32], first: f32, choose: fn(f32, f32) -> f32| {
            column.get(tokens.clone()).unwrap_or_default().iter().copied().fold(first, choose)
        };
        Known {
            side,
            aum,
            rival: of(&self.lowest_negative, f32::INFINITY, f32::min),
            overlapped: of(&self.highest_positive, f32::NEG_INFINITY, f32::max),
            text: evidence.of(span, side == Side::Positives),
        }
    }

    fn spans<'a>(
        &'a self,
        index: &'a SpanIndex,
        sentence: u32,
        assigned: &'a [LabelId],
        aum: &'a [f32],
        evidence: &'a Evidence,
    ) -> impl Iterator<Item = Known> + 'a {
        index.spans_of(sentence).zip(index.of_sentence(sentence)).map(move |(span, id)| {
            let label = assigned.get(id as usize).copied().unwrap_or_default();
            self.known(span, label, aum.get(id as usize).copied().unwrap_or(f32::NAN), evidence)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::Corpus;
    use crate::formats::dynclean_json;

    fn corpus() -> Corpus {
        // Spans: 0 [0,0] "the", 1 [0,1], 2 [0,2], 3 [1,1] "United", 4 [1,2] "United States", 5 [2,2] "States".
        dynclean_json::read(br#"[{"tokens": ["the", "United", "States"], "entities": [[2, 2, "LOC"]]}]"#).unwrap()
    }

    fn of_all(corpus: &Corpus, aum: &[f32]) -> Vec<f32> {
        let index = corpus.span_index(8).unwrap();
        let assigned = corpus.dense_labels(&index);
        trust_of_all(&Evidence::new(corpus, 8), &index, &assigned, aum).0
    }

    #[test]
    fn probabilities_by_hand() {
        let trust = of_all(&corpus(), &[9.0, 7.0, 6.5, 5.0, 1.0, 2.0]);
        // One run, unlabelled: R = (1 + 9) / 11, L = 5 / 11. The weight is R; missed is (.8·R − L) / (1 − L) = .5.
        // *States*: −1.05 − .65·2 + .2·(6 − 1) + 2.8·10/11 = 1.195….
        let expected = 1.0 / (1.0 + (-1.35 + 28.0 / 11.0f64).exp());
        assert!((f64::from(trust[5]) - expected).abs() < 1e-6, "{}", trust[5]);
        // *United States*: −.3 − .35 + 1.5 + 0 + 1.5 − .6 − .4·2 = .95; no overlapping span is more suspicious.
        let expected = 1.0 / (1.0 + 0.95f64.exp());
        assert!((f64::from(trust[4]) - expected).abs() < 1e-6, "{}", trust[4]);
        // *United*, AUM 5, is not a whole run: −.3 − .35·5 − .5 − 2.3·C − .2·3. It overlaps no entity. C counts
        // one entity and the prior (nine of ten).
        let expected = 1.0 / (1.0 + (-3.15 - 2.3 * 10.0 / 11.0f64).exp());
        assert!((f64::from(trust[3]) - expected).abs() < 1e-6, "{}", trust[3]);
    }

    #[test]
    fn reasons_add_up_to_the_probability() {
        let corpus = corpus();
        let aum = [9.0, 7.0, 6.5, 5.0, 1.0, 2.0];
        let index = corpus.span_index(8).unwrap();
        let (assigned, evidence) = (corpus.dense_labels(&index), Evidence::new(&corpus, 8));
        let trust = of_all(&corpus, &aum);
        for span in 0..6 {
            let known = known(&evidence, &index, &assigned, &aum, span).unwrap();
            let wrong: f64 = reasons(known).map(|reason| f64::from(reason.log_odds)).sum();
            assert!((f64::from(trust[span as usize]) - 1.0 / (1.0 + wrong.exp())).abs() < 1e-6, "{span}");
        }
        assert_eq!(known(&evidence, &index, &assigned, &aum, 6), None);
    }

    #[test]
    fn a_share_is_the_mean_probability_of_all_labels_with_a_reason() {
        // Twelve times *States* in *United States*, with different AUM, and once *Rome*, which is no part of a run.
        let states = r#"{"tokens": ["the", "United", "States"], "entities": [[2, 2, "LOC"]]}"#;
        let json =
            format!(r#"[{}, {{"tokens": ["to", "Rome"], "entities": [[1, 1, "LOC"]]}}]"#, [states; 12].join(","));
        let corpus = dynclean_json::read(json.as_bytes()).unwrap();
        let index = corpus.span_index(8).unwrap();
        let assigned = corpus.dense_labels(&index);
        let aum: Vec<f32> = (0..index.len()).map(|span| if span < 6 { f32::NAN } else { span as f32 / 10.0 }).collect();
        let evidence = Evidence::new(&corpus, 8);
        let (trust, shares) = trust_of_all(&evidence, &index, &assigned, &aum);
        // The first sentence is left out, because its AUMs are not numbers.
        let doubts: Vec<f64> = (1..12).map(|sentence| f64::from(1.0 - trust[6 * sentence + 5])).collect();
        assert_eq!(shares.wrong(Side::Positives, Signal::LongerRun), Some(doubts.iter().sum::<f64>() / 11.0));
        // *United States* is a whole run without a label.
        let missed: Vec<f64> = (1..12).map(|sentence| f64::from(1.0 - trust[6 * sentence + 4])).collect();
        assert_eq!(shares.wrong(Side::Negatives, Signal::RunOfEntity), Some(missed.iter().sum::<f64>() / 11.0));
        assert_eq!(shares.wrong(Side::Positives, Signal::RunOfEntity), None);
        // Without the AUMs of three sentences, only nine labels have this reason. Ten are needed.
        let (_, few) = trust_of_all(&evidence, &index, &assigned, &[&[f32::NAN; 18], &aum[18..]].concat());
        assert_eq!(few.wrong(Side::Positives, Signal::LongerRun), None);
    }

    #[test]
    fn spans_without_numbers_are_not_judged_and_tell_nothing() {
        let trust = of_all(&corpus(), &[9.0, 7.0, 6.5, 5.0, f32::NAN, 2.0]);
        assert!(trust[4].is_nan());
        // Now the lowest rival of *States* is [0,2], with 6.5: −1.05 − 1.3 + .2·0 + 2.8·10/11.
        assert!((f64::from(trust[5]) - 1.0 / (1.0 + (-2.35 + 28.0 / 11.0f64).exp())).abs() < 1e-6);
    }

    #[test]
    fn a_lower_aum_is_never_more_trusted() {
        for side in Side::BOTH {
            let known = |aum: f32| Known { side, aum, rival: 1.0, overlapped: 0.5, text: SpanEvidence::default() };
            let values: Vec<f32> = (-80..120).map(|i| trust(&known(i as f32 / 10.0))).collect();
            assert!(values.windows(2).all(|pair| pair[0] <= pair[1]), "{side:?}");
            assert!(values.iter().all(|p| (0.0..=1.0).contains(p)));
        }
    }
}
