//! The automatic threshold and its estimate. It uses no gold label.
//!
//! The natural threshold is AUM 0: below it the model prefers another label. The threshold samples show two
//! things. Each limits how far above 0 a label is still judged wrong:
//!
//! 1. **Memorisation.** A label that was trained on scores higher than it would otherwise. In the threshold run,
//!    the samples' distant labels were *not* trained on, so their held-out metric is free of this effect. Let s be
//!    the share of positive samples with a held-out metric below 0. Then memorisation has moved 0 to the value
//!    below which a share s of their trained metrics lies.
//! 2. **Precision** (target–decoy; Elias & Gygi 2007). The samples are known to be wrong. Let G(t) be the share of
//!    samples below t, and K(t) the number of real spans below t. Then at most W = min K(t)/G(t) real labels can
//!    be wrong in the way the samples are. About W·G(t) of them are below t, so the precision of judging at t is
//!    W·G(t)/K(t). The threshold stays below the first point where this precision falls under a target.
//!
//! Both are repeated on bootstrap resamples. The threshold is the low end of the 90 % interval. It is never below
//! 0. With too few samples it is 0.

use serde::{Deserialize, Serialize};

use super::bootstrap::{interval, replicates};
use crate::corpus::decision::Side;
use crate::detection::ranking::Ascending;

/// With fewer threshold samples than this there is no estimate.
pub const MIN_SAMPLES: usize = 30;
/// The number of wrong labels is read only at points with at least this share of the samples below them. With
/// fewer samples, chance would decide.
const MIN_SHARE: f64 = 0.1;

/// Least estimated precision at a threshold. A positive that is removed should be more likely wrong than right.
/// There are about a hundred times as many negatives as positives, so losing a right negative costs less than
/// keeping a missed entity.
pub(crate) fn target_precision(side: Side) -> f64 {
    match side {
        Side::Negatives => 1.0 / 3.0,
        Side::Positives => 1.0 / 2.0,
    }
}

/// The number of real labels that are wrong in the way the threshold samples are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WrongLabels {
    /// The number of wrong labels: W in the module's text, or by trust a sum of probabilities.
    pub number: f64,
    /// Its likely range: a 90 % bootstrap interval, or by trust the range measured on several corpora.
    pub interval: (f64, f64),
}

/// The estimate from the threshold samples for one group of real spans (a side or a type).
#[derive(Debug, Clone, PartialEq)]
pub struct Automatic {
    /// The threshold and its 90 % bootstrap interval; `None` with too few samples.
    pub threshold: Option<(f32, (f32, f32))>,
    /// The number of wrong labels; `None` with too few samples.
    pub wrong: Option<WrongLabels>,
    /// Metric of the samples' given labels, ascending.
    decoys: Vec<f32>,
}

impl Automatic {
    /// Estimates threshold and wrong labels. `real`: the real spans with their metric. `decoys`: metric of the
    /// samples' given labels, in any order. `held_out`: (held-out, trained) metrics of samples' distant labels.
    /// `natural`: the natural threshold of the metric. `target`: the least estimated precision.
    pub fn estimate(real: Ascending, mut decoys: Vec<f32>, held_out: &[(f32, f32)], natural: f32, target: f64) -> Self {
        decoys.sort_by(f32::total_cmp);
        if decoys.len() < MIN_SAMPLES {
            return Self { threshold: None, wrong: None, decoys };
        }
        let targets = Targets {
            real,
            below: decoys.iter().map(|&decoy| real.count_while(|r| r <= decoy)).collect(),
            decoys: &decoys,
            natural,
            target,
        };
        let mut by_trained: Vec<(f32, bool)> =
            held_out.iter().map(|&(out, trained)| (trained, out < natural)).collect();
        by_trained.sort_by(|a, b| a.0.total_cmp(&b.0));
        let figures = |decoys: &[u32], pairs: &[u32]| {
            let wrong = targets.wrong(decoys);
            let bounds = (targets.precise(decoys, wrong), memorised(&by_trained, pairs));
            (bounds.0.min(bounds.1).max(natural), wrong)
        };
        let resampled = replicates([decoys.len(), by_trained.len()], figures);
        let wrong = interval(resampled.iter().map(|&(_, wrong)| wrong as f32).collect());
        let (_, number) = figures(&vec![1; decoys.len()], &vec![1; by_trained.len()]);
        let threshold = match interval(resampled.into_iter().map(|(threshold, _)| threshold).collect()) {
            Some((low, high)) if by_trained.len() >= MIN_SAMPLES => Some((low, (low, high))),
            _ => None,
        };
        let wrong = wrong.map(|(low, high)| WrongLabels { number, interval: (f64::from(low), f64::from(high)) });
        Self { threshold, wrong, decoys }
    }

    /// Estimates the wrong labels among the `judged` real spans below a threshold, and the wrong labels above it.
    /// `None` with too few samples.
    pub fn wrong_below(&self, threshold: f32, judged: usize) -> Option<(f64, f64)> {
        let wrong = self.wrong?.number;
        let share = self.decoys.partition_point(|&d| d < threshold) as f64 / self.decoys.len() as f64;
        Some(((wrong * share).min(judged as f64), wrong * (1.0 - share)))
    }
}

/// Real spans compared with decoys.
struct Targets<'a> {
    real: Ascending<'a>,
    /// Metric of the decoys, ascending.
    decoys: &'a [f32],
    /// For each decoy, the number of real spans with at most its metric.
    below: Vec<usize>,
    natural: f32,
    target: f64,
}

impl Targets<'_> {
    /// Computes W. Each decoy counts as often as `times` says.
    fn wrong(&self, times: &[u32]) -> f64 {
        let n = self.decoys.len() as f64;
        let mut seen = 0u32;
        let mut least = self.real.len() as f64;
        for (&times, &below) in times.iter().zip(&self.below) {
            seen += times;
            if f64::from(seen) >= MIN_SHARE * n {
                least = least.min(below as f64 * n / f64::from(seen));
            }
        }
        least
    }

    /// The highest threshold, from the natural one upwards, up to which the estimated precision reaches the
    /// target.
    fn precise(&self, times: &[u32], wrong: f64) -> f32 {
        let n = self.decoys.len() as f64;
        let first = self.decoys.partition_point(|&d| d < self.natural);
        let mut seen: u32 = times.iter().take(first).sum();
        let mut reached = self.natural;
        for i in first..=self.decoys.len() {
            // Between two decoys G is constant, so at most this many real spans may be below the threshold.
            let most = wrong * f64::from(seen) / n / self.target;
            let limit = self.real.value(most as usize).unwrap_or(f32::INFINITY);
            match (self.decoys.get(i), times.get(i)) {
                (Some(&decoy), Some(&times)) if limit >= decoy => {
                    reached = decoy;
                    seen += times;
                }
                _ => return limit.max(reached),
            }
        }
        reached
    }
}

/// Returns the value to which memorisation has moved the natural threshold. The share of trained metrics below this
/// value equals the share of held-out metrics below the natural threshold. `by_trained`: (trained metric, whether the
/// held-out metric is below the natural threshold), ascending.
fn memorised(by_trained: &[(f32, bool)], times: &[u32]) -> f32 {
    let counted = || by_trained.iter().zip(times);
    let preferred_others: u32 = counted().filter(|((_, below), _)| *below).map(|(_, &times)| times).sum();
    let mut seen = 0;
    for (&(trained, _), &times) in counted() {
        seen += times;
        if seen > preferred_others {
            return trained;
        }
    }
    f32::INFINITY
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `n` wrong labels, spread evenly over 1 from `start` on; right labels from 10 on. The decoys equal the wrong
    /// labels.
    fn separate(n: usize, start: f32) -> (Vec<f32>, Vec<f32>) {
        let wrong = (0..n).map(|i| start + i as f32 / n as f32);
        let right = (0..960).map(|i| 10.0 + i as f32 / 960.0);
        (wrong.clone().chain(right).collect(), wrong.collect())
    }

    fn once(real: &[f32], decoys: &[f32], natural: f32, target: f64) -> (f64, f32) {
        let below = decoys.iter().map(|&d| real.partition_point(|&r| r <= d)).collect();
        let spans: Vec<u32> = (0..real.len() as u32).collect();
        let real = Ascending::of_sorted(&spans, real);
        let targets = Targets { real, decoys, below, natural, target };
        let ones = vec![1; decoys.len()];
        let wrong = targets.wrong(&ones);
        (wrong, targets.precise(&ones, wrong))
    }

    #[test]
    fn decoys_count_the_wrong_labels_and_bound_the_threshold() {
        let (real, decoys) = separate(40, 0.0);
        // K = G·40 at every decoy. At a precision of one half, up to 80 spans may be judged: 40 of them are right.
        let (wrong, threshold) = once(&real, &decoys, 0.0, 0.5);
        assert_eq!(wrong, 40.0);
        assert_eq!(threshold, real[80]);
        // A precision of 1: the threshold is at the first right label.
        assert_eq!(once(&real, &decoys, 0.0, 1.0).1, 10.0);
        // If no real label is among the decoys, none is wrong, and none is below the threshold.
        assert_eq!(once(&real[40..], &decoys, 0.5, 0.5), (0.0, 10.0));
    }

    #[test]
    fn precision_that_is_lost_at_once_leaves_the_natural_threshold() {
        // The decoys are far below, and the real labels are spread evenly around 0: W = 10·(1/0.1) at the tenth
        // decoy.
        let real: Vec<f32> = (0..1000).map(|i| i as f32 / 100.0 - 5.0).collect();
        let decoys: Vec<f32> = (0..100).map(|i| -5.0 + i as f32 / 1000.0).collect();
        let (wrong, threshold) = once(&real, &decoys, 0.0, 0.5);
        assert!(wrong <= 11.0, "{wrong}");
        assert_eq!(threshold, 0.0);
    }

    #[test]
    fn memorisation_is_the_matching_quantile() {
        // Three of ten held-out metrics are below, so the threshold is the fourth lowest trained metric.
        let pairs: Vec<(f32, bool)> = (0..10).map(|i| (i as f32, i == 0 || i == 2 || i == 7)).collect();
        assert_eq!(memorised(&pairs, &[1; 10]), 3.0);
        // The sample at 2 counts twice, the one at 7 not at all: 0, 1, 2 and 2 come before 3.
        assert_eq!(memorised(&pairs, &[1, 1, 2, 1, 1, 1, 1, 0, 1, 1]), 2.0);
        assert_eq!(memorised(&[(1.0, true)], &[1]), f32::INFINITY);
    }

    #[test]
    fn the_threshold_is_the_low_end_of_its_interval_and_needs_samples() {
        let (real, decoys) = separate(400, -1.0);
        let spans: Vec<u32> = (0..real.len() as u32).collect();
        let real = Ascending::of_sorted(&spans, &real);
        // Held out, every other label loses to another label; trained, half of the values are below 5. In
        // resamples, the share and the quantile vary independently: a standard error of √2·.05, in tenths.
        let pairs: Vec<(f32, f32)> = (0..100).map(|i| (if i % 2 == 0 { -1.0 } else { 1.0 }, i as f32 / 10.0)).collect();
        let estimate = Automatic::estimate(real, decoys.clone(), &pairs, 0.0, 0.5);
        let (threshold, (low, high)) = estimate.threshold.unwrap();
        assert_eq!(threshold, low);
        assert!((low - 3.84).abs() < 0.5 && (high - 6.16).abs() < 0.5, "{low} {high}");
        let wrong = estimate.wrong.unwrap();
        assert_eq!(wrong.number, 400.0);
        // K/G varies from resample to resample, and W is its smallest value.
        assert!(280.0 < wrong.interval.0 && wrong.interval.1 <= 400.0, "{wrong:?}");
        assert_eq!(estimate.wrong_below(-0.5, 200), Some((200.0, 200.0)));
        let few = Automatic::estimate(real, decoys[..MIN_SAMPLES - 1].to_vec(), &pairs, 0.0, 0.5);
        assert_eq!((few.threshold, few.wrong, few.wrong_below(0.5, 20)), (None, None, None));
        let unpaired = Automatic::estimate(real, decoys, &pairs[..5], 0.0, 0.5);
        assert!(unpaired.threshold.is_none() && unpaired.wrong.is_some());
    }
}
