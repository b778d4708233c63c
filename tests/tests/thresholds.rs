//! Tests the automatic threshold on runs over three real corpora and the bundled sample. The threshold does not
//! know which labels are wrong. Even so, it must find them at least as well as AUM < 0.
//!
//! The golden files hold columns of four runs without text: counts of spans by AUM in hundredths.

use serde::Deserialize;
use shared::detection::ranking::Ascending;
use shared::detection::threshold::Automatic;

#[derive(Deserialize)]
struct Golden {
    negatives: Side,
    positives: Side,
    /// AUM of every positive sample in hundredths: held out, and trained on.
    held_out_and_trained: Vec<(i32, i32)>,
}

#[derive(Deserialize)]
struct Side {
    /// (AUM in hundredths, number of spans, number of wrong ones), ascending. Negatives that overlap a more
    /// suspicious negative are left out. Values above 7 are left out.
    real: Vec<(i32, u32, u32)>,
    /// Number of wrong labels on this side.
    wrong: u32,
    /// AUM of the samples for their given labels, in hundredths.
    samples: Vec<i32>,
}

impl Side {
    /// Returns the F1 of judging every span below this AUM as wrong.
    fn f1(&self, threshold: f32) -> f64 {
        let below = self.real.iter().filter(|&&(aum, ..)| aum as f32 / 100.0 < threshold);
        let (judged, found) = below.fold((0, 0), |sum, &(_, spans, wrong)| (sum.0 + spans, sum.1 + wrong));
        2.0 * f64::from(found) / f64::from(judged + self.wrong)
    }
}

fn aum(hundredths: i32) -> f32 {
    hundredths as f32 / 100.0
}

#[test]
fn the_automatic_threshold_is_never_worse_than_zero_on_the_runs_kept() {
    // Documented thresholds: negatives, positives.
    let runs =
        [("wikigold", [0.40, 0.37]), ("conll03-slice", [1.08, 0.59]), ("wnut16", [0.0, 0.0]), ("sample", [1.62, 0.15])];
    for (name, expected) in runs {
        let path = format!("{}/golden/thresholds/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let golden: Golden = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let pairs: Vec<(f32, f32)> = golden.held_out_and_trained.iter().map(|&(a, b)| (aum(a), aum(b))).collect();
        let sides = [("negatives", &golden.negatives, 1.0 / 3.0), ("positives", &golden.positives, 0.5)];
        for ((side, columns, target), expected) in sides.into_iter().zip(expected) {
            let real: Vec<f32> =
                columns.real.iter().flat_map(|&(a, n, _)| std::iter::repeat_n(aum(a), n as usize)).collect();
            let samples = columns.samples.iter().map(|&a| aum(a)).collect();
            let ranks: Vec<u32> = (0..real.len() as u32).collect();
            let real = Ascending::of_sorted(&ranks, &real);
            let estimate = Automatic::estimate(real, samples, &pairs, 0.0, target);
            let (threshold, (low, high)) = estimate.threshold.unwrap();
            let (found, at_zero) = (columns.f1(threshold), columns.f1(0.0));
            assert!(
                threshold >= 0.0 && threshold == low && low <= high,
                "{name}, {side}: {threshold}, {low} to {high}"
            );
            assert!(found >= at_zero, "{name}, {side}: F1 {found:.3} at {threshold}, {at_zero:.3} at 0");
            assert!((threshold - expected).abs() <= 0.05, "{name}, {side}: {threshold}, documented {expected}");
        }
    }
}
