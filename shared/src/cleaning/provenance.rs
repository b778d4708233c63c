//! Writes the origin of every change of a cleaned corpus, to a file for any corpus format.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cleaning::Decisions;
use crate::corpus::Corpus;
use crate::corpus::decision::{Decision, Side};
use crate::corpus::labels::{LabelId, O};
use crate::corpus::span::{Span, SpanId, by_span};
use crate::detection::judge::Judge;
use crate::detection::threshold::{Settings, Thresholds};

/// The part that holds for all changes.
#[derive(Serialize)]
struct Head<'a> {
    written_by: &'static str,
    dynamics: &'a str,
    settings: &'a Settings,
    thresholds: &'a Thresholds,
}

/// One changed span.
#[derive(Serialize)]
struct Change<'a> {
    #[serde(flatten)]
    span: Span,
    text: String,
    was: &'a str,
    /// `None`: the label is unknown now.
    now: Option<&'a str>,
    by: &'static str,
    /// The metric value by which the span was judged; `None` if its logits are not finite.
    value: Option<f32>,
    predicted: Option<&'a str>,
    /// Probability that the old label is wrong; `None` if its logits are not finite.
    wrong: Option<f32>,
    /// The reasons, in words.
    because: String,
    /// The other half of a boundary repair: the entity was only a part of a run, and the run is the entity now.
    #[serde(skip_serializing_if = "Option::is_none")]
    together_with: Option<Half>,
}

/// The other span of a boundary repair, in the same sentence.
#[derive(Serialize)]
struct Half {
    start: u32,
    end: u32,
    text: String,
}

/// Pairs the two spans of every boundary repair, in both directions: an entity that changed, and the longer run that
/// became an entity in its place (*States* PER → *United States* LOC). Both changes are one decision.
fn repairs(judge: &Judge, decided: &BTreeMap<SpanId, Decision>) -> BTreeMap<SpanId, SpanId> {
    let becomes_entity = |id: &SpanId| matches!(decided.get(id), Some(Decision::Relabel(label)) if *label != O);
    let changed = decided.iter().filter(|&(&id, &decision)| {
        judge.side(id) == Side::Positives && matches!(decision, Decision::Remove | Decision::Relabel(_))
    });
    let pairs = changed.filter_map(|(&part, _)| {
        let run = judge.index.id(judge.longer_run(part)?).filter(becomes_entity)?;
        Some([(part, run), (run, part)])
    });
    by_span(pairs.flatten())
}

/// Writes the changes as JSON, one per line. Each has the span, its text, the old label (`was`), the new label
/// (`now`, null if it was removed), and who decided (`by`: a rule, the dictionary check, or a person). Then come
/// the metric value by which it was judged (`value`), the label that the model predicts, the probability that the
/// old label is wrong (`wrong`) and the reasons (`because`). The two changes of a boundary repair name each other
/// (`together_with`). `decided` must come from [`Decisions::resolve`].
pub fn json(corpus: &Corpus, judge: &Judge, decisions: &Decisions, decided: &BTreeMap<SpanId, Decision>) -> String {
    let judgement = judge.under(&decisions.settings);
    let mut by_hand: Vec<SpanId> = decisions.overrides.iter().filter_map(|(span, _)| judge.index.id(*span)).collect();
    by_hand.sort_unstable();
    let by_dictionary = judgement.contradicted();
    let head = Head {
        written_by: concat!("DynClean ", env!("CARGO_PKG_VERSION")),
        dynamics: &decisions.dynamics,
        settings: &decisions.settings,
        thresholds: judgement.thresholds(),
    };
    let repairs = repairs(judge, decided);
    let half = |id: &SpanId| {
        let span = judge.index.span(*repairs.get(id)?)?;
        Some(Half { start: span.start, end: span.end, text: corpus.tokens.surface(span) })
    };
    let name = |label: &LabelId| corpus.labels.name(*label);
    let changes = decided.iter().filter_map(|(&id, &decision)| {
        let (span, at) = (judge.index.span(id)?, id as usize);
        let change = Change {
            span,
            text: corpus.tokens.surface(span),
            was: judge.assigned.get(at).map(name)?,
            now: match decision {
                Decision::Keep => return None,
                Decision::Remove => None,
                Decision::Relabel(label) => Some(corpus.labels.name(label)),
            },
            by: match &by_hand {
                spans if spans.binary_search(&id).is_ok() => "hand",
                _ if by_dictionary.contains_key(&id) => "dictionary",
                _ => "rule",
            },
            value: Some(judge.value(id)).filter(|value| value.is_finite()),
            predicted: judge.predicted(id).as_ref().map(name),
            wrong: judge.metrics.trust.get(at).map(|trust| 1.0 - trust).filter(|wrong| wrong.is_finite()),
            because: judge.explain(&corpus.tokens, id).line(),
            together_with: half(&id),
        };
        serde_json::to_string(&change).ok()
    });
    let lines: Vec<String> = changes.collect();
    // Plain structures with string keys can always be serialised. The list is written by hand so that each change
    // is one line and files can be compared.
    let head = serde_json::to_string(&head).unwrap_or_default();
    let open = head.strip_suffix('}').unwrap_or(&head);
    format!("{open},\n\"changes\": [\n{}\n]}}\n", lines.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cleaning::Override;
    use crate::detection::threshold::{Metric, Rule};
    use crate::formats::dynclean_json;
    use crate::metrics::Window;
    use crate::recording::dynamics::Dynamics;

    #[test]
    fn a_boundary_repair_is_one_decision() {
        let text = br#"[{"tokens": ["the", "United", "States"], "entities": [[2, 2, "PER"]]}]"#;
        // Spans: [0,0], [0,1], [0,2], [1,1], [1,2], [2,2]. The model finds *United States*.
        let rows: Vec<f32> = [-9.0, -9.0, -9.0, -7.0, 6.0, -6.0].iter().flat_map(|&z| [0.0, z]).collect();
        let dynamics = Dynamics::of_one_epoch(dynclean_json::read(text).unwrap(), &rows);
        let (judge, settings) = Judge::automatic(&dynamics, |_| {}).unwrap();
        let decisions = Decisions::new("d1g35t".into(), settings);
        let decided = decisions.resolve(&judge, &dynamics.corpus.labels).unwrap();
        let parsed: serde_json::Value =
            serde_json::from_str(&json(&dynamics.corpus, &judge, &decisions, &decided)).unwrap();
        let change = |i: usize| &parsed["changes"][i];
        assert_eq!((&change(0)["text"], &change(0)["now"]), (&"United States".into(), &"PER".into()));
        assert_eq!(change(0)["together_with"], serde_json::json!({"start": 2, "end": 2, "text": "States"}));
        assert_eq!((&change(1)["text"], &change(1)["was"]), (&"States".into(), &"PER".into()));
        assert_eq!(change(1)["together_with"], serde_json::json!({"start": 1, "end": 2, "text": "United States"}));
        assert_eq!(parsed["changes"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn every_change_is_explained() {
        let json_text = br#"[{"tokens": ["Ada", "wrote", "\"it\""], "entities": [[0, 0, "PER"], [2, 2, "PER"]]}]"#;
        // The logit of PER for [0,0], [0,1], [0,2], [1,1], [1,2], [2,2].
        let rows: Vec<f32> = [-1.5, -3.0, -3.0, -3.0, f32::NAN, -0.5].iter().flat_map(|&z| [0.0, z]).collect();
        let dynamics = Dynamics::of_one_epoch(dynclean_json::read(json_text).unwrap(), &rows);
        let judge = Judge::new(&dynamics, Window::first_epochs(1), Metric::Aum).unwrap();
        let settings = Settings { negatives: Rule::Auto, positives: Rule::Fixed(0.0), ..Settings::paper() };
        let mut decisions = Decisions::new("d1g35t".into(), settings);
        let span = |start, end| Span { sentence: 0, start, end };
        decisions.overrides = vec![
            (span(1, 2), Override::Remove),
            (span(1, 1), Override::Relabel("PER".into())),
            (span(2, 2), Override::Keep),
        ];
        let decided = decisions.resolve(&judge, &dynamics.corpus.labels).unwrap();
        let text = json(&dynamics.corpus, &judge, &decisions, &decided);
        let mut parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed["dynamics"], "d1g35t");
        assert_eq!(parsed["thresholds"]["positives"]["value"], 0.0);
        // *Ada*, 1 / (1 + e^−x): x = −1.05 + .65·1.5 + .2·(6 − 3) = .525. *wrote*: x = −.3 − .35·3 − 2.3·10/12,
        // where 10/12 counts one capitalised entity of two, and the prior (nine of ten).
        let mut wrong = |change: usize| parsed["changes"][change].as_object_mut().unwrap().remove("wrong").unwrap();
        let probabilities = [0, 1, 2].map(|change| wrong(change).as_f64());
        for (found, x) in probabilities.iter().zip([-0.525f64, 1.35 + 23.0 / 12.0]) {
            assert!((found.unwrap() - 1.0 / (1.0 + x.exp())).abs() < 1e-6, "{probabilities:?}");
        }
        assert_eq!(probabilities[2], None);
        let expected = serde_json::json!([
            {"sentence": 0, "start": 0, "end": 0, "text": "Ada", "was": "PER", "now": null, "by": "rule", "value": -1.5, "predicted": "O",
             "because": "the model prefers another label (AUM -1.5); the model finds an entity with other boundaries"},
            {"sentence": 0, "start": 1, "end": 1, "text": "wrote", "was": "O", "now": "PER", "by": "hand", "value": 3.0, "predicted": "O",
             "because": "but the model learned this label (AUM 3.0)"},
            {"sentence": 0, "start": 1, "end": 2, "text": "wrote \"it\"", "was": "O", "now": null, "by": "hand", "value": null, "predicted": "O",
             "because": ""},
        ]);
        assert_eq!(parsed["changes"], expected);
        assert_eq!(text.lines().count(), 6, "a change is a line");
    }
}
