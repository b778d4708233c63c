//! Compares all metrics with values that numpy computed in double precision (`peers/metrics.py`). The spans come
//! from a real run and from adversarial cases, over several windows.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use shared::corpus::labels::LabelId;
use shared::metrics::{Metrics, Variability, Window, mean_distribution, mean_distributions};
use shared::recording::dynamics::{EpochLogits, Precision, Run};

#[derive(Deserialize)]
struct Case {
    labels: Vec<LabelId>,
    /// Logits by epoch, span and label.
    epochs: Vec<Vec<Vec<Value>>>,
}

#[derive(Deserialize)]
struct Expected {
    first: u32,
    last: u32,
    flagged: Vec<bool>,
    aum: Vec<Value>,
    confidence: Vec<Value>,
    variability: Vec<Value>,
    variability_paper: Vec<Value>,
    correctness: Vec<u16>,
    forgetting: Vec<u16>,
    mean_distribution: Vec<Vec<Value>>,
}

/// Returns a number. A string stands for a number that JSON cannot hold.
fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap())
}

impl Case {
    fn run(&self, precision: Precision) -> Run {
        let epochs = self.epochs.iter().map(|rows| {
            let n_types = rows[0].len() - 1;
            let logits: Vec<f32> = rows.iter().flatten().map(|z| number(z) as f32).collect();
            EpochLogits::from_rows(&logits, n_types, precision).unwrap()
        });
        Run { epochs: epochs.collect(), scores: vec![] }
    }
}

/// Checks that two numbers differ by at most 10⁻⁵: absolute up to 1, relative above. NaN must meet NaN.
fn assert_close(found: f32, expected: &Value, what: &str) {
    let expected = number(expected);
    let is_close = (f64::from(found) - expected).abs() <= 1e-5 * expected.abs().max(1.0);
    assert!(is_close || found.is_nan() && expected.is_nan(), "{what}: {found} against {expected}");
}

fn compare(name: &str, case: &Case, run: &Run, expected: &Expected) {
    let window = Window { first: expected.first, last: expected.last };
    let metrics = Metrics::compute(run, &case.labels, window).unwrap();
    let n_epochs = window.n_epochs(run);
    assert_eq!(metrics.flagged(), expected.flagged.iter().filter(|&&f| f).count());
    let all = mean_distributions(run, 0..case.labels.len(), window).unwrap();
    for (span, &label) in case.labels.iter().enumerate() {
        let what = |metric: &str| format!("{metric} of span {span}, {name}, epochs {}–{}", window.first, window.last);
        assert_eq!(metrics.is_flagged(span), expected.flagged[span], "{}", what("flag"));
        let paper = Variability::PaperCode.from_population(metrics.variability[span], n_epochs);
        for (found, expected, metric) in [
            (metrics.aum[span], &expected.aum[span], "AUM"),
            (metrics.confidence[span], &expected.confidence[span], "confidence"),
            (metrics.variability[span], &expected.variability[span], "variability"),
            (paper, &expected.variability_paper[span], "the paper code's variability"),
        ] {
            assert_close(found, expected, &what(metric));
        }
        assert_eq!(metrics.correctness[span], expected.correctness[span], "{}", what("correctness"));
        assert_eq!(metrics.forgetting[span], expected.forgetting[span], "{}", what("forgetting"));

        let distribution = mean_distribution(run, span, window).unwrap();
        for ((found, of_all), expected) in distribution.iter().zip(&all).zip(&expected.mean_distribution[span]) {
            assert_close(*found, expected, &what("mean distribution"));
            assert_eq!(found.to_bits(), of_all[span].to_bits(), "one span is computed like all");
        }
        let prediction = metrics.prediction(span).unwrap();
        let predicted = prediction.label(label);
        if expected.flagged[span] {
            assert_eq!(predicted, label, "a flagged span suggests no other label");
        } else {
            let highest = distribution.iter().fold(f32::MIN, |highest, &p| highest.max(p));
            assert_eq!(distribution.iter().position(|&p| p == highest), Some(usize::from(predicted)));
            assert_eq!(prediction.probability().to_bits(), highest.to_bits());
        }
    }
}

#[test]
fn metrics_are_those_of_numpy() {
    let real: Case = serde_json::from_str(include_str!("../golden/metrics/real.json")).unwrap();
    let mut cases: BTreeMap<String, Case> =
        serde_json::from_str(include_str!("../golden/metrics/adversarial.json")).unwrap();
    cases.insert("real".to_owned(), real);
    let expected: BTreeMap<String, Vec<Expected>> =
        serde_json::from_str(include_str!("../golden/metrics/expected.json")).unwrap();
    assert!(cases.keys().eq(expected.keys()));
    for (name, windows) in &expected {
        let case = &cases[name];
        // The real logits were stored in half precision: nothing may be lost on the way back.
        let precision = if name == "real" { Precision::F16 } else { Precision::F32 };
        let run = case.run(precision);
        windows.iter().for_each(|window| compare(name, case, &run, window));
    }
}
