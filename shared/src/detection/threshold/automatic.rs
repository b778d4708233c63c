//! The automatic threshold and what it rests on. No gold label is used.
//!
//! The natural threshold is AUM 0: below it the model prefers another label. Two things are learned
//! from the threshold samples, and each bounds how far above 0 a label is still judged wrong:
//!
//! 1. **Memorisation.** A label that was trained on scores higher than it would have otherwise. The
//!    samples' distant labels were *not* trained on in the threshold run, so their held-out metric is
//!    free of that. If a share s of the positive samples have a held-out metric below 0, then the
//!    value that a share s of their trained metrics lie below is what 0 has become by memorisation.
//! 2. **Precision** (target–decoy; Elias & Gygi 2007). The samples are known to be wrong. With G(t) the
//!    share of samples below t and K(t) the number of real spans below t, at most
//!    W = min K(t)/G(t) real labels can be wrong in the way the samples are; so of those below t about
//!    W·G(t) are, and W·G(t)/K(t) is the precision of judging at t. The threshold stays below the
//!    first point where that falls under a target.
//!
//! Both are repeated on bootstrap resamples; the low end of the 90 % interval is the threshold. It is
//! never below 0, and with too few samples it is 0.

use serde::{Deserialize, Serialize};

use super::bootstrap::{interval, replicates};
use crate::corpus::decision::Side;
use crate::detection::ranking::Ascending;

/// Fewer threshold samples than this say nothing.
pub const MIN_SAMPLES: usize = 30;
/// Least share of the samples below a point at which the number of wrong labels is read off: with
/// fewer, their noise would decide.
const MIN_SHARE: f64 = 0.1;

/// Least estimated precision at a threshold. A positive that is removed should more likely be wrong than
/// right. Negatives are a hundred times as many as positives: a right one that is lost costs less than a
/// missed entity that stays.
pub(crate) fn target_precision(side: Side) -> f64 {
    match side {
        Side::Negatives => 1.0 / 3.0,
        Side::Positives => 1.0 / 2.0,
    }
}

/// How many real labels are wrong the way the threshold samples are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WrongLabels {
    /// W of the module's text.
    pub number: f64,
    /// Its 90 % bootstrap interval.
    pub interval: (f64, f64),
}

/// What the threshold samples say about one group of real spans (a side, or a type).
#[derive(Debug, Clone, PartialEq)]
pub struct Automatic {
    /// The threshold, and its 90 % bootstrap interval; `None` with too few samples.
    pub threshold: Option<(f32, (f32, f32))>,
    /// How many labels are wrong; `None` with too few samples.
    pub wrong: Option<WrongLabels>,
    /// Metric of the samples' given labels, ascending.
    decoys: Vec<f32>,
}

impl Automatic {
    /// `real`: the real spans with their metric. `decoys`: metric of the samples' given labels, any
    /// order. `held_out`: (held-out, trained) metric of samples' distant labels. `natural`: the metric
    /// below which a model prefers another label.
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

    /// Of `judged` real spans below a threshold, how many are estimated to be wrong, and how many wrong
    /// ones lie above it; `None` with too few samples.
    pub fn wrong_below(&self, threshold: f32, judged: usize) -> Option<(f64, f64)> {
        let wrong = self.wrong?.number;
        let share = self.decoys.partition_point(|&d| d < threshold) as f64 / self.decoys.len() as f64;
        Some(((wrong * share).min(judged as f64), wrong * (1.0 - share)))
    }
}

/// Real spans against decoys.
struct Targets<'a> {
    real: Ascending<'a>,
    /// Ascending.
    decoys: &'a [f32],
    /// Real spans not above each decoy.
    below: Vec<usize>,
    natural: f32,
    target: f64,
}

impl Targets<'_> {
    /// W, where each decoy counts so many times.
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

    /// Up to which threshold, from the natural one upwards, the estimated precision is kept.
    fn precise(&self, times: &[u32], wrong: f64) -> f32 {
        let n = self.decoys.len() as f64;
        let first = self.decoys.partition_point(|&d| d < self.natural);
        let mut seen: u32 = times.iter().take(first).sum();
        let mut reached = self.natural;
        for i in first..=self.decoys.len() {
            // Between two decoys G is constant: so many real spans may lie below.
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

/// The value that as large a share of the trained metrics lies below as of the held-out ones below the
/// natural threshold. `by_trained`: (trained metric, whether the held-out one is below), ascending.
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

    /// `n` wrong labels evenly over 1 from `start` on; right ones from 10 on; decoys like the wrong ones.
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
        // K = G·40 at every decoy. Up to 80 spans may be judged at a precision of one half: 40 right ones.
        let (wrong, threshold) = once(&real, &decoys, 0.0, 0.5);
        assert_eq!(wrong, 40.0);
        assert_eq!(threshold, real[80]);
        // A precision of 1: up to the first right label.
        assert_eq!(once(&real, &decoys, 0.0, 1.0).1, 10.0);
        // With no real label among the decoys none is wrong, and none is below the threshold.
        assert_eq!(once(&real[40..], &decoys, 0.5, 0.5), (0.0, 10.0));
    }

    #[test]
    fn precision_that_is_lost_at_once_leaves_the_natural_threshold() {
        // Decoys far below; real labels spread evenly around 0: W = 10·(1/0.1) at the tenth decoy.
        let real: Vec<f32> = (0..1000).map(|i| i as f32 / 100.0 - 5.0).collect();
        let decoys: Vec<f32> = (0..100).map(|i| -5.0 + i as f32 / 1000.0).collect();
        let (wrong, threshold) = once(&real, &decoys, 0.0, 0.5);
        assert!(wrong <= 11.0, "{wrong}");
        assert_eq!(threshold, 0.0);
    }

    #[test]
    fn memorisation_is_the_matching_quantile() {
        // Three of ten held-out metrics are below: the fourth lowest trained one is the threshold.
        let pairs: Vec<(f32, bool)> = (0..10).map(|i| (i as f32, i == 0 || i == 2 || i == 7)).collect();
        assert_eq!(memorised(&pairs, &[1; 10]), 3.0);
        // The sample at 2 twice, the one at 7 not at all: 0, 1, 2 and 2 come before 3.
        assert_eq!(memorised(&pairs, &[1, 1, 2, 1, 1, 1, 1, 0, 1, 1]), 2.0);
        assert_eq!(memorised(&[(1.0, true)], &[1]), f32::INFINITY);
    }

    #[test]
    fn the_threshold_is_the_low_end_of_its_interval_and_needs_samples() {
        let (real, decoys) = separate(400, -1.0);
        let spans: Vec<u32> = (0..real.len() as u32).collect();
        let real = Ascending::of_sorted(&spans, &real);
        // Held out, every other label loses to another; trained, half lie below 5. Resampled, the share
        // and the quantile vary independently: a standard error of √2·.05, in tenths.
        let pairs: Vec<(f32, f32)> = (0..100).map(|i| (if i % 2 == 0 { -1.0 } else { 1.0 }, i as f32 / 10.0)).collect();
        let estimate = Automatic::estimate(real, decoys.clone(), &pairs, 0.0, 0.5);
        let (threshold, (low, high)) = estimate.threshold.unwrap();
        assert_eq!(threshold, low);
        assert!((low - 3.84).abs() < 0.5 && (high - 6.16).abs() < 0.5, "{low} {high}");
        let wrong = estimate.wrong.unwrap();
        assert_eq!(wrong.number, 400.0);
        // K/G varies from resample to resample, and W is its least value.
        assert!(280.0 < wrong.interval.0 && wrong.interval.1 <= 400.0, "{wrong:?}");
        assert_eq!(estimate.wrong_below(-0.5, 200), Some((200.0, 200.0)));
        let few = Automatic::estimate(real, decoys[..MIN_SAMPLES - 1].to_vec(), &pairs, 0.0, 0.5);
        assert_eq!((few.threshold, few.wrong, few.wrong_below(0.5, 20)), (None, None, None));
        let unpaired = Automatic::estimate(real, decoys, &pairs[..5], 0.0, 0.5);
        assert!(unpaired.threshold.is_none() && unpaired.wrong.is_some());
    }
}
