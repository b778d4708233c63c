//! Compares the spans judged wrong with the spans that gold says are wrong.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::corpus::decision::{Decision, Side};
use crate::corpus::labels::{LabelId, O};
use crate::corpus::span::SpanId;
use crate::detection::judge::Judge;
use crate::detection::judgement::Judgement;
use crate::evaluation::score::Prf;

/// Quality of noise detection on one side.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// Precision: wrong among judged. Recall: judged among wrong.
    #[serde(flatten)]
    pub prf: Prf,
    /// Average precision of the ranking of all spans that some threshold would judge wrong. Spans that annotated
    /// sentences contradict come first, if the settings use that check. Both parts are in ascending order of the
    /// metric.
    pub average_precision: f64,
}

/// Quality of noise detection, separately for false positives and false negatives.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NoiseDetection {
    /// Distant positives whose gold label differs, including those with a wrong type.
    pub false_positives: Detection,
    /// Spans labelled `O` whose gold label is an entity type.
    pub false_negatives: Detection,
}

/// Compares decisions with gold labels. `gold` has one label per span.
pub fn detect(judgement: &Judgement, decided: &BTreeMap<SpanId, Decision>, gold: &[LabelId]) -> NoiseDetection {
    let judge = judgement.judge();
    let is_wrong = |span: SpanId| judge.assigned.get(span as usize) != gold.get(span as usize);
    let detection = |side: Side| {
        let judged = || decided.keys().filter(|&&s| judge.side(s) == side);
        let correct = judged().filter(|&&s| is_wrong(s)).count() as u64;
        let ranked = judgement.by_suspicion(side);
        let Ranked { wrong, average_precision } = Ranked::new(judge, ranked.each_ref().map(|s| &**s), gold, side);
        Detection { prf: Prf::from_counts(correct, judged().count() as u64, wrong), average_precision }
    };
    NoiseDetection { false_positives: detection(Side::Positives), false_negatives: detection(Side::Negatives) }
}

/// Quality of the ranking of one side. It does not depend on a threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranked {
    /// Number of wrong spans.
    pub wrong: u64,
    /// Average precision of the ranking. Wrong spans outside the ranking count as never found.
    pub average_precision: f64,
}

impl Ranked {
    /// Compares a ranking of one side's spans with gold labels. The spans of the first list come before those of
    /// the second; each list must be in ascending order of the metric. `gold` has one label per span.
    pub fn new(judge: &Judge, ranked: [&[SpanId]; 2], gold: &[LabelId], side: Side) -> Self {
        let is_wrong = |span: SpanId| judge.assigned.get(span as usize) != gold.get(span as usize);
        let wrong = wrong_spans(judge, gold, side);
        Self { wrong, average_precision: average_precision(ranked, |span| judge.value(span), is_wrong, wrong) }
    }
}

fn wrong_spans(judge: &Judge, gold: &[LabelId], side: Side) -> u64 {
    let pairs = judge.assigned.iter().zip(gold);
    pairs.filter(|&(&label, &gold)| label != gold && (label != O) == (side == Side::Positives)).count() as u64
}

/// Σ (gain in recall at a threshold × precision there). Spans of equal score enter together.
fn average_precision(
    ranked: [&[SpanId]; 2],
    score: impl Fn(SpanId) -> f32,
    is_wrong: impl Fn(SpanId) -> bool,
    wrong: u64,
) -> f64 {
    let (mut found, mut seen, mut sum) = (0u64, 0u64, 0f64);
    for spans in ranked.into_iter().flat_map(|part| part.chunk_by(|&a, &b| score(a) == score(b))) {
        let gained = spans.iter().filter(|&&s| is_wrong(s)).count() as u64;
        seen += spans.len() as u64;
        found += gained;
        sum += gained as f64 * found as f64 / seen as f64;
    }
    if wrong == 0 { 0.0 } else { sum / wrong as f64 }
}

/// A point of a precision–recall curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Spans below this value of the metric are judged wrong.
    pub threshold: f32,
    /// Precision: wrong among judged.
    pub precision: f32,
    /// Recall: judged among wrong.
    pub recall: f32,
}

/// Returns precision and recall if the first 1, 2, … spans of the ranking are judged wrong. It keeps at most `points`
/// points, which are evenly spaced in recall. Spans that annotated sentences contradict come first, with a threshold of
/// −∞.
pub fn curve(judgement: &Judgement, side: Side, gold: &[LabelId], points: usize) -> Vec<CurvePoint> {
    let judge = judgement.judge();
    let wrong = wrong_spans(judge, gold, side);
    let spacing = (wrong as f64 / points.max(1) as f64).max(1.0);
    let (mut found, mut due) = (0u64, 0.0);
    let mut curve = Vec::new();
    let [contradicted, others] = judgement.by_suspicion(side);
    let thresholds = contradicted.iter().map(|_| f32::NEG_INFINITY).chain(others.iter().map(|&span| judge.value(span)));
    let spans = contradicted.iter().chain(others.iter());
    for ((seen, &span), threshold) in (1u64..).zip(spans).zip(thresholds) {
        if judge.assigned.get(span as usize) != gold.get(span as usize) {
            found += 1;
            if found as f64 >= due {
                due = found as f64 + spacing;
                let (precision, recall) = (found as f32 / seen as f32, found as f32 / wrong as f32);
                curve.push(CurvePoint { threshold, precision, recall });
            }
        }
    }
    curve
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detection::estimate::tests::dynamics;
    use crate::detection::threshold::{Metric, Settings};
    use crate::formats::dynclean_json;
    use crate::metrics::Window;

    #[test]
    fn average_precision_by_hand() {
        // Wrong spans at ranks 1 and 3 of 4: (1/1 + 2/3) / 2.
        let ap = average_precision([&[], &[7, 8, 9, 10]], |s| s as f32, |s| s == 7 || s == 9, 2);
        assert!((ap - (1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-12);
        // All spans are tied: the base rate.
        let ap = average_precision([&[], &[7, 8, 9, 10]], |_| 1.0, |s| s == 10, 1);
        assert!((ap - 0.25).abs() < 1e-12);
        // Spans of different lists are never tied. One wrong span at rank 1, one at ranks 2–3: (1/1 + 2/3) / 2.
        let ap = average_precision([&[10], &[7, 8]], |_| 1.0, |s| s == 10 || s == 8, 2);
        assert!((ap - (1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-12);
        // A wrong span outside the ranking (a flagged one) is never found.
        let ap = average_precision([&[], &[7]], |_| 1.0, |s| s == 7, 2);
        assert!((ap - 0.5).abs() < 1e-12);
    }

    #[test]
    fn the_curve_passes_through_precision_and_recall_by_hand() {
        let dynamics = dynamics(&[3.0, -1.0, 2.0, 1.0], &[]);
        let judge = Judge::new(&dynamics, Window::first_epochs(1), Metric::Aum).unwrap();
        // Order by AUM: span 1 (wrong), 3 (right), 2 (wrong), 0 (right).
        let gold = [1, 0, 0, 1];
        let settings = Settings::paper();
        let points = curve(&judge.under(&settings), Side::Positives, &gold, 100);
        let found: Vec<_> = points.iter().map(|p| (p.threshold, p.precision, p.recall)).collect();
        assert_eq!(found, [(-1.0, 1.0, 0.5), (2.0, 2.0 / 3.0, 1.0)]);
    }

    #[test]
    fn what_dev_contradicts_comes_first() {
        // Order by AUM: 1, 3, 2, 0. Spans 1 and 2 are wrong. Span 2 is "b"; dev says that "b" is no entity.
        let mut dynamics = dynamics(&[3.0, -1.0, 2.0, 1.0], &[]);
        let json = ["a", "a", "b", "a"].map(|word| format!(r#"{{"tokens": ["{word}"], "entities": [[0, 0, "X"]]}}"#));
        dynamics.corpus = dynclean_json::read(format!("[{}]", json.join(",")).as_bytes()).unwrap();
        dynamics.contradicted = vec![crate::recording::dictionary::Entry {
            words: "b".into(),
            label: "X".into(),
            spans: 1,
            annotated: 3,
            agreeing: 0,
            becomes: Some("O".into()),
        }];
        let judge = Judge::new(&dynamics, Window::first_epochs(1), Metric::Aum).unwrap();
        let gold = [1, 0, 0, 1];
        let checked = Settings { dictionary_check: true, ..Settings::paper() };
        let judgement = judge.under(&checked);
        let points = curve(&judgement, Side::Positives, &gold, 100);
        let found: Vec<_> = points.iter().map(|p| (p.threshold, p.precision, p.recall)).collect();
        assert_eq!(found, [(f32::NEG_INFINITY, 1.0, 0.5), (-1.0, 1.0, 1.0)]);
        let precision = |settings: &Settings| {
            let detection = detect(&judge.under(settings), &BTreeMap::new(), &gold);
            detection.false_positives.average_precision
        };
        assert_eq!(precision(&checked), 1.0);
        assert!((precision(&Settings::paper()) - (1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-12);
    }
}
