//! Explains in words why a label is doubted or trusted: the signals of the noise model, strongest first.

use serde::{Deserialize, Serialize};

use super::judge::Judge;
use super::noise_model::{Reason, Signal};
use crate::corpus::TokenTable;
use crate::corpus::decision::Side;
use crate::corpus::span::SpanId;

/// The reasons against and for a label, each list with the strongest reason first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Reasons to doubt the label.
    pub against: Vec<String>,
    /// Reasons to trust the label.
    pub in_favour: Vec<String>,
}

impl Explanation {
    /// Both lists in one line; empty if there are no reasons.
    pub fn line(&self) -> String {
        let part = |intro: &str, reasons: &[String]| {
            if reasons.is_empty() { String::new() } else { format!("{intro}{}", reasons.join("; ")) }
        };
        let parts = [part("", &self.against), part("but ", &self.in_favour)];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
    }
}

impl Judge {
    /// Explains why the label of a span is doubted or trusted. `tokens` are the tokens of the corpus. Empty if the
    /// span is flagged or does not exist. The strongest reason against it says which share of all labels with that
    /// reason is wrong, by estimate.
    pub fn explain(&self, tokens: &TokenTable, span: SpanId) -> Explanation {
        let mut reasons: Vec<Reason> = self.reasons(span).filter(Reason::is_told).collect();
        // The sort is stable: signals of equal strength stay in the order of the weights.
        reasons.sort_by(|a, b| b.log_odds.abs().total_cmp(&a.log_odds.abs()));
        let mut explanation = Explanation::default();
        for reason in &reasons {
            let is_against = reason.log_odds > 0.0;
            let list = if is_against { &mut explanation.against } else { &mut explanation.in_favour };
            let share = self.shares.wrong(self.side(span), reason.signal).filter(|_| is_against && list.is_empty());
            let of_such = |share: f64| format!(": about {:.0}% of such are wrong", (100.0 * share).clamp(1.0, 99.0));
            let of_such = share.map_or(String::new(), of_such);
            list.extend(self.in_words(tokens, span, reason).map(|words| words + &of_such));
        }
        explanation
    }

    /// The strongest signal against the label of a span, if one is worth mentioning.
    pub fn main_reason(&self, span: SpanId) -> Option<Signal> {
        let against = self.reasons(span).filter(|reason| reason.log_odds > 0.0 && reason.is_told());
        // If several are equally strong, the first one counts, as in an explanation.
        let strongest = against.reduce(|best, next| if next.log_odds > best.log_odds { next } else { best });
        strongest.map(|reason| reason.signal)
    }

    fn in_words(&self, tokens: &TokenTable, span: SpanId, reason: &Reason) -> Option<String> {
        let doubts = reason.log_odds > 0.0;
        let lower = || {
            let place = self.index.span(span)?;
            Some((100.0 * self.evidence.of(place, self.side(span) == Side::Positives).lower).round())
        };
        Some(match reason.signal {
            Signal::Base | Signal::HighAum | Signal::NotARun | Signal::OverlapAum => return None,
            Signal::MissedRuns if doubts => "many such runs are not labelled here".to_owned(),
            Signal::MissedRuns => "most such runs without a label are no names here".to_owned(),
            // Shows the AUM as it was recorded. The noise model cuts it off.
            Signal::Aum if doubts => {
                format!("the model prefers another label (AUM {:.1})", self.metrics.aum.get(span as usize)?)
            }
            Signal::Aum => format!("the model learned this label (AUM {:.1})", self.metrics.aum.get(span as usize)?),
            Signal::Rival => "the model finds an entity with other boundaries".to_owned(),
            Signal::WeakerThanRival => "a span that overlaps it is more suspicious".to_owned(),
            Signal::LongerRun => format!("part of “{}”", tokens.surface(self.longer_run(span)?)),
            Signal::LowerCase | Signal::LowerCaseRun => {
                format!("the words are in lower case elsewhere ({}%)", lower()?)
            }
            Signal::SentenceStart => {
                let first = tokens.words(self.index.span(span)?).next()?;
                format!("“{first}” only begins the sentence")
            }
            Signal::UnlabelledElsewhere => "the same word often has no label elsewhere".to_owned(),
            Signal::Width => "several words long".to_owned(),
            Signal::WholeRun => "capitalised like a whole name, and not labelled".to_owned(),
            Signal::JoinedRun => "two names joined by a short word".to_owned(),
            Signal::RunOfEntity => "a labelled entity is only a part of it".to_owned(),
            Signal::Overlap => "overlaps a labelled entity".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detection::threshold::Metric;
    use crate::formats::dynclean_json;
    use crate::metrics::Window;
    use crate::recording::dynamics::Dynamics;

    #[test]
    fn the_first_reason_says_how_many_of_such_labels_are_wrong() {
        let states = r#"{"tokens": ["the", "United", "States"], "entities": [[2, 2, "LOC"]]}"#;
        let corpus = dynclean_json::read(format!("[{}]", [states; 10].join(",")).as_bytes()).unwrap();
        let rows: Vec<f32> = (0..60).flat_map(|span| if span % 6 == 5 { [0.0, 1.0] } else { [6.0, 0.0] }).collect();
        let dynamics = Dynamics::of_one_epoch(corpus, &rows);
        let judge = Judge::new(&dynamics, Window::first_epochs(1), Metric::Trust).unwrap();
        // −1.05 − .65 · 1 + .2 · 0 + 2.8 · weight, which is (10 + 9) / (10 + 10) for ten unlabelled runs: .96, or 72 %.
        let explanation = judge.explain(&dynamics.corpus.tokens, 5);
        assert_eq!(explanation.against, ["part of “United States”: about 72% of such are wrong"]);
    }

    #[test]
    fn reasons_name_what_the_text_says() {
        let json = br#"[{"tokens": ["the", "United", "States"], "entities": [[2, 2, "PER"]]},
                        {"tokens": ["I", "saw", "The", "the", "the", "dog"], "entities": [[2, 2, "PER"]]}]"#;
        let corpus = dynclean_json::read(json).unwrap();
        let index = corpus.span_index(8).unwrap();
        // The noise model cuts off AUM at −6.
        let rows: Vec<f32> = (0..index.len()).flat_map(|_| [0.0, -7.0]).collect();
        let dynamics = Dynamics::of_one_epoch(corpus, &rows);
        let judge = Judge::new(&dynamics, Window::first_epochs(1), Metric::Trust).unwrap();
        let tokens = &dynamics.corpus.tokens;
        // [2,2] of the first sentence is span 5; its AUM is −7.
        let states = judge.explain(tokens, 5);
        assert_eq!(states.against[0], "the model prefers another label (AUM -7.0)");
        assert!(states.against.contains(&"part of “United States”".to_owned()), "{states:?}");
        // *The* in the second sentence; *the* is lower case three times: 3 / (3 + 1 + .5) = 67 %.
        let the = judge.index.id(crate::corpus::span::Span { sentence: 1, start: 2, end: 2 }).unwrap();
        let line = judge.explain(tokens, the).line();
        assert!(line.contains("the words are in lower case elsewhere (67%)"), "{line}");
        // *The dog* in the second sentence is not at the start of a sentence.
        assert!(!line.contains("begins the sentence"), "{line}");
        assert_eq!(judge.explain(tokens, 9_999), Explanation::default());
        // −.65 · −6 = 3.9 for the AUM. For *The* in lower case 5.5 · 67 %, for *States* 2.8 · the weight of capitals.
        assert_eq!((judge.main_reason(5), judge.main_reason(the)), (Some(Signal::Aum), Some(Signal::Aum)));
        assert_eq!(judge.main_reason(9_999), None);
    }
}
