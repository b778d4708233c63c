//! The noise model: how probable it is that a label is wrong, from dynamics and text together.
//!
//! The log odds of "this label is wrong" are a weighted sum of few signals: what the model thought while it trained (AUM,
//! rivals) and what the text says ([`crate::evidence`]). The weights are fixed. They were read off logistic models that
//! were fitted on gold labels of three corpora, one at a time; the weights of one differ little from those of the next
//! (docs/DETECTION.md has the figures). So no gold label of the corpus at hand is needed. A signal that does not vary there
//! adds nothing.

use serde::Serialize;

use crate::corpus::decision::Side;
use crate::corpus::labels::LabelId;
use crate::corpus::span::{Span, SpanId, SpanIndex};
use crate::evidence::{Evidence, SpanEvidence};
use crate::exp::exp_nonpositive;
use crate::ln::ln;

/// AUM is cut off at these values: beyond them more of it says nothing more.
const AUM_RANGE: (f32, f32) = (-6.0, 8.0);

/// One thing that speaks for or against a label. Its value is multiplied by its weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// Always 1.
    Base,
    /// AUM of the label, cut off at −6 and 8: the model prefers another label.
    Aum,
    /// How far AUM lies above 4: the model is sure of the label.
    HighAum,
    /// 6 − the lowest AUM of the `O` spans that overlap this entity, 0 to 10: the model finds an entity with other
    /// boundaries.
    Rival,
    /// AUM − the lowest AUM of the `O` spans that overlap this one, 0 to 3: a neighbour is more suspicious.
    WeakerThanRival,
    /// Where the capitalised run of the entity goes on: how much capitals say in this corpus, 0 to 1.
    LongerRun,
    /// Lower-case share of the words of a capitalised entity × how much capitals say in this corpus, 0 to 1.
    LowerCase,
    /// For an entity of several words that begins a sentence: the lower-case share of its first word × how much capitals
    /// say in this corpus, 0 to 1. 0 if that word is seldom in lower case.
    SentenceStart,
    /// Number of words after the first, 0 to 3.
    Width,
    /// Where the span is no whole capitalised run: the share of labelled entities that are capitalised, 0 to 1.
    NotARun,
    /// 1 where the span is a whole capitalised run.
    WholeRun,
    /// Log odds that such a run is a missed entity, by what share of all runs is labelled; −3 to 3.
    MissedRuns,
    /// Lower-case share of the words of such a run, 0 to 1.
    LowerCaseRun,
    /// 1 where such a run has a joining word inside.
    JoinedRun,
    /// 1 where the span overlaps a labelled entity.
    Overlap,
    /// The highest AUM of the entities that it overlaps, −4 to 4.
    OverlapAum,
}

/// Weights of the signals of entities.
const POSITIVES: &[(Signal, f32)] = &[
    (Signal::Base, -1.05),
    (Signal::Aum, -0.65),
    (Signal::Rival, 0.2),
    (Signal::LongerRun, 2.8),
    (Signal::LowerCase, 5.5),
    (Signal::SentenceStart, 3.0),
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
    (Signal::Overlap, -0.6),
    (Signal::OverlapAum, -0.4),
    (Signal::WeakerThanRival, -0.2),
];

/// What is known about one span.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Known {
    /// Its side.
    pub side: Side,
    /// AUM of its label.
    pub aum: f32,
    /// Lowest AUM of the `O` spans that share a token with it (of a span labelled `O`: itself included); infinite
    /// without any.
    pub rival: f32,
    /// Highest AUM of the entities that share a token with it; minus infinity without any.
    pub overlapped: f32,
    /// What the text says.
    pub text: SpanEvidence,
}

/// A signal of one span, with what it adds to the log odds of "wrong".
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Reason {
    /// The signal.
    pub signal: Signal,
    /// Its value.
    pub value: f32,
    /// Value × weight.
    pub log_odds: f32,
}

impl Signal {
    /// Its value for a span.
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

/// Every signal of a span, in the order of the weights. They add up to the log odds that its label is wrong.
pub fn reasons(known: &Known) -> impl Iterator<Item = Reason> {
    let known = *known;
    weights(known.side).iter().map(move |&(signal, weight)| {
        let value = signal.value(&known);
        Reason { signal, value, log_odds: weight * value }
    })
}

/// Trust: the probability that the label is right, 0 to 1. NaN where AUM is not known.
pub fn trust(known: &Known) -> f32 {
    if known.aum.is_nan() {
        return f32::NAN;
    }
    let wrong: f32 = weights(known.side).iter().map(|&(signal, weight)| weight * signal.value(known)).sum();
    let small = exp_nonpositive(-wrong.abs());
    if wrong > 0.0 { small / (1.0 + small) } else { 1.0 / (1.0 + small) }
}

/// What the text says against an entity, as log odds: that there is none with these boundaries, whatever its type. Needs
/// nothing of the span's neighbours.
pub fn text_against(text: SpanEvidence) -> f32 {
    let known = Known { side: Side::Positives, aum: 0.0, rival: f32::INFINITY, overlapped: f32::NEG_INFINITY, text };
    let of_text = |signal| matches!(signal, Signal::LongerRun | Signal::LowerCase | Signal::SentenceStart);
    reasons(&known).filter(|reason| of_text(reason.signal)).map(|reason| reason.log_odds).sum()
}

/// The trust of every span. `assigned`, `aum`: one element per span. O(spans × width).
pub fn trust_of_all(evidence: &Evidence, index: &SpanIndex, assigned: &[LabelId], aum: &[f32]) -> Vec<f32> {
    let mut all = Vec::with_capacity(aum.len());
    let mut neighbours = Neighbours::default();
    for sentence in 0..index.n_sentences() as u32 {
        neighbours.read(index, sentence, assigned, aum);
        all.extend(neighbours.spans(index, sentence, assigned, aum, evidence).map(|known| trust(&known)));
    }
    all
}

/// What is known about one span; `None` for a span that does not exist.
pub fn known(evidence: &Evidence, index: &SpanIndex, assigned: &[LabelId], aum: &[f32], span: SpanId) -> Option<Known> {
    let place = index.span(span)?;
    let mut neighbours = Neighbours::default();
    neighbours.read(index, place.sentence, assigned, aum);
    let (&label, &aum) = (assigned.get(span as usize)?, aum.get(span as usize)?);
    Some(neighbours.known(place, label, aum, evidence))
}

/// For every token of a sentence the most telling spans that contain it. Spans overlap if they share a token.
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
            // NaN is never lower or higher.
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
        trust_of_all(&Evidence::new(corpus, 8), &index, &assigned, aum)
    }

    #[test]
    fn probabilities_by_hand() {
        let trust = of_all(&corpus(), &[9.0, 7.0, 6.5, 5.0, 1.0, 2.0]);
        // One run, unlabelled: R = (1 + 9) / 11, L = 5 / 11. Weight R; missed (.8·R − L) / (1 − L) = .5.
        // *States*: −1.05 − .65·2 + .2·(6 − 1) + 2.8·10/11 = 1.195….
        let expected = 1.0 / (1.0 + (-1.35 + 28.0 / 11.0f64).exp());
        assert!((f64::from(trust[5]) - expected).abs() < 1e-6, "{}", trust[5]);
        // *United States*: −.3 − .35 + 1.5 + 0 − .6 − .4·2 = −.55; nothing is more suspicious.
        let expected = 1.0 / (1.0 + (-0.55f64).exp());
        assert!((f64::from(trust[4]) - expected).abs() < 1e-6, "{}", trust[4]);
        // *United*, AUM 5, is no whole run: −.3 − .35·5 − .5 − 2.3·C − .2·3. It overlaps no entity. C: one entity, and
        // nine of ten before.
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
            let wrong: f64 = reasons(&known).map(|reason| f64::from(reason.log_odds)).sum();
            assert!((f64::from(trust[span as usize]) - 1.0 / (1.0 + wrong.exp())).abs() < 1e-6, "{span}");
        }
        assert_eq!(known(&evidence, &index, &assigned, &aum, 6), None);
    }

    #[test]
    fn spans_without_numbers_are_not_judged_and_tell_nothing() {
        let trust = of_all(&corpus(), &[9.0, 7.0, 6.5, 5.0, f32::NAN, 2.0]);
        assert!(trust[4].is_nan());
        // The lowest rival of *States* is [0,2] now, with 6.5: −1.05 − 1.3 + .2·0 + 2.8·10/11.
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
