//! Estimates, from the threshold samples or from trust, how many of the judged spans are wrong.

use serde::{Deserialize, Serialize};

use super::judgement::Judgement;
use super::threshold::{Metric, WrongLabels};
use crate::corpus::decision::Side;
use crate::corpus::labels::{LabelId, O};
use crate::corpus::span::SpanId;

/// Bounds for the true number of wrong labels, divided by the sum of the noise model's probabilities. On most of
/// the corpora that we tried, it was between them (docs/DETECTION.md).
const ERRORS: (f64, f64) = (0.7, 1.4);

/// Estimated quality of the judgement of one side, without gold.
///
/// By AUM or confidence, the estimate assumes that wrong labels score like the threshold samples, which have a
/// random wrong label. Wrong labels that repeat (the same name, wrong everywhere) are learned like right ones and
/// score higher. The estimate misses them, so `wrong` and `remaining` are too low if a dictionary makes systematic
/// errors. By trust, the estimate adds up the probabilities that labels are wrong. docs/DETECTION.md and
/// docs/THRESHOLDS.md give the measured errors.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Number of spans that the thresholds judge wrong. Decisions by hand do not count.
    pub judged: u64,
    /// How many of the judged spans are wrong.
    pub found: f64,
    /// Estimated precision: wrong among judged. It is 1 if no span is judged.
    pub precision: f64,
    /// Number of all wrong labels on this side, with its likely range.
    pub wrong: WrongLabels,
    /// Number of wrong labels above the thresholds.
    pub remaining: f64,
}

impl Estimate {
    /// Estimates one side. `None` if the side has too few threshold samples, or if types have their own thresholds
    /// and one of them has too few samples. By trust there is always an estimate.
    pub fn new(judgement: &Judgement, side: Side) -> Option<Self> {
        let judge = judgement.judge();
        if judge.metric == Metric::Trust {
            return Some(Self::by_trust(judgement, side));
        }
        let wrong = judgement.estimate(side).wrong?;
        let labels = match side {
            Side::Negatives => O..=O,
            Side::Positives => 1..=judge.labels.n_types() as LabelId,
        };
        let judged: u64 = labels.clone().map(|label| judgement.count(label) as u64).sum();
        let (found, remaining) = if side == Side::Positives && !judgement.thresholds().classes.is_empty() {
            labels.into_iter().try_fold((0.0, 0.0), |sum, label| {
                let estimate = judge.type_estimate(label)?;
                let (found, remaining) = estimate.wrong_below(judgement.threshold(label), judgement.count(label))?;
                Some((sum.0 + found, sum.1 + remaining))
            })?
        } else {
            let threshold = judgement.thresholds().of(side).value;
            judgement.estimate(side).wrong_below(threshold, judged as usize)?
        };
        Some(Self { judged, found, precision: share(found, judged), wrong, remaining })
    }

    /// Estimates by trust: adds up the probabilities that labels are wrong.
    fn by_trust(judgement: &Judgement, side: Side) -> Self {
        let judge = judgement.judge();
        // Uses `fold`, because `Iterator::sum` of no spans is −0, and would be shown as −0.
        let sum = |spans: &[SpanId]| spans.iter().fold(0.0, |sum, &span| sum + 1.0 - f64::from(judge.value(span)));
        let judged = judgement.judged_wrong(side);
        let (found, number) = (sum(&judged), sum(judge.ranked(side).spans()));
        let interval = (number * ERRORS.0, number * ERRORS.1);
        let n_judged = judged.len() as u64;
        Self {
            judged: n_judged,
            found,
            precision: share(found, n_judged),
            wrong: WrongLabels { number, interval },
            remaining: (number - found).max(0.0),
        }
    }
}

/// `found` divided by `judged`; 1 if none is judged.
fn share(found: f64, judged: u64) -> f64 {
    if judged == 0 { 1.0 } else { found / judged as f64 }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::detection::judge::Judge;
    use crate::detection::threshold::{Rule, Settings};
    use crate::formats::dynclean_json;
    use crate::metrics::Window;
    use crate::recording::dynamics::{Dynamics, EpochLogits, Precision, Run, RunInfo, SampleScheme, ThresholdRun};

    /// One-token sentences, each a positive with the given AUM. The first sentences are threshold samples too.
    pub(crate) fn dynamics(positives: &[f32], samples: &[f32]) -> Dynamics {
        let sentence = r#"{"tokens": ["a"], "entities": [[0, 0, "X"]]}"#;
        let json = format!("[{}]", vec![sentence; positives.len()].join(","));
        let run = |aums: &[f32], n_types: usize, label: usize| {
            let row = |&aum: &f32| (0..=n_types).map(move |l| if l == label { aum } else { 0.0 });
            let rows: Vec<f32> = aums.iter().flat_map(row).collect();
            Run { epochs: vec![EpochLogits::from_rows(&rows, n_types, Precision::F32).unwrap()], scores: vec![] }
        };
        Dynamics {
            info: RunInfo { max_span_width: 1, ..RunInfo::default() },
            corpus: dynclean_json::read(json.as_bytes()).unwrap(),
            gold: None,
            contradicted: Vec::new(),
            run: run(positives, 1, 1),
            threshold_run: Some(ThresholdRun {
                scheme: SampleScheme::FakeClass,
                spans: (0..samples.len() as u32).collect(),
                assigned: vec![2; samples.len()],
                run: run(samples, 2, 2),
            }),
            complete: true,
            whole: None,
        }
    }

    #[test]
    fn samples_estimate_what_gold_would_say() {
        // 40 wrong labels with the AUM values of the 40 samples, from −1 on; 60 right labels with values from 5
        // on.
        let wrong: Vec<f32> = (0..40).map(|i| -1.0 + i as f32 / 40.0).collect();
        let right = (0..60).map(|i| 5.0 + i as f32 / 60.0);
        let all: Vec<f32> = wrong.iter().copied().chain(right).collect();
        let dynamics = dynamics(&all, &wrong);
        let judge = Judge::new(&dynamics, Window::first_epochs(1), Metric::Aum).unwrap();
        let at = |threshold: f32| {
            let settings = Settings { positives: Rule::Fixed(threshold), ..Settings::paper() };
            Estimate::new(&judge.under(&settings), Side::Positives).unwrap()
        };
        let half = at(-0.5);
        assert_eq!((half.judged, half.found, half.precision, half.remaining), (20, 20.0, 1.0, 20.0));
        assert_eq!(half.wrong.number, 40.0);
        let all = at(9.0);
        assert_eq!((all.judged, all.found, all.precision, all.remaining), (100, 40.0, 0.4, 0.0));
        let settings = Settings::paper();
        assert_eq!(Estimate::new(&judge.under(&settings), Side::Negatives), None, "no negative samples");
    }

    #[test]
    fn trust_adds_up() {
        let dynamics = dynamics(&[-2.0, 1.0, 3.0], &[]);
        let judge = Judge::new(&dynamics, Window::first_epochs(1), Metric::Trust).unwrap();
        let at = |threshold: f32| {
            let settings = Settings { positives: Rule::Fixed(threshold), ..Settings::paper() };
            Estimate::new(&judge.under(&settings), Side::Positives).unwrap()
        };
        let doubts: Vec<f64> = (0..3).map(|span| 1.0 - f64::from(judge.value(span))).collect();
        let all = at(2.0);
        assert_eq!((all.judged, all.remaining), (3, 0.0));
        assert!((all.found - doubts.iter().sum::<f64>()).abs() < 1e-12 && all.found == all.wrong.number);
        // If no span is judged, no wrong label is found. The number is 0 and not −0, because people read it.
        let none = at(-1.0);
        assert_eq!((none.judged, none.found.to_string().as_str()), (0, "0"));
        assert_eq!(none.remaining, all.found);
    }

    #[test]
    fn samples_of_fewer_epochs_than_the_run_are_not_compared_with_it() {
        let aums: Vec<f32> = (0..40).map(|i| i as f32 / 40.0).collect();
        let mut cut_off = dynamics(&aums, &aums);
        let samples = |dynamics: &Dynamics, epochs: u32| {
            let judge = Judge::new(dynamics, Window::first_epochs(epochs), Metric::Aum).unwrap();
            judge.samples.given(Side::Positives).len()
        };
        assert_eq!(samples(&cut_off, 3), 40);
        let epoch = cut_off.run.epochs[0].clone();
        cut_off.run.epochs.push(epoch);
        assert_eq!((samples(&cut_off, 3), samples(&cut_off, 1)), (0, 40));
    }
}
