//! Counts, quality, distributions and matrices.

use explorer::matrix::Matrix;
use explorer::plots::distribution::SideHistogram;
use explorer::queue::Progress;
use explorer::reasons;
use shared::corpus::decision::Side;
use shared::detection::ranking::Ascending;
use shared::evaluation::quality::curve;
use shared::report::histogram::{Histogram, range_of};

use super::Session;
use crate::protocol::{Figures, Quality};

/// Bins of a histogram.
const BINS: usize = 160;
/// Points of a precision–recall curve.
const CURVE_POINTS: usize = 120;

impl Session {
    /// Returns the precision–recall curves, unless the page already has them.
    pub(super) fn curves(&mut self) -> Option<[Vec<shared::evaluation::quality::CurvePoint>; 2]> {
        let gold = self.gold.as_deref()?;
        let switches = [self.settings.overlap_suppression, self.settings.dictionary_check];
        let now = (self.judge.window, self.judge.metric, switches);
        if self.curves.replace(now) == Some(now) {
            return None;
        }
        let judgement = self.judge.under(&self.settings);
        Some(Side::BOTH.map(|side| curve(&judgement, side, gold, CURVE_POINTS)))
    }

    pub(super) fn figures(&self) -> Figures {
        let figures = self.tally.at(&self.judge, &self.settings, &self.review.by_hand, self.gold.as_deref());
        let quality =
            |d: shared::evaluation::quality::Detection| Quality { prf: d.prf, average_precision: d.average_precision };
        let judgement = self.judge.under(&self.settings);
        Figures {
            capitals: self.judge.capitals().map_or_else(String::new, |capitals| capitals.to_string()),
            summary: figures.summary,
            quality: figures.quality.map(|q| [quality(q.false_positives), quality(q.false_negatives)]),
            estimate: figures.estimate,
            reasons: reasons::count(&judgement),
            sources: self.sources.at(&judgement),
            by_hand: self.review.by_hand.len(),
            progress: Progress::new(&judgement, &self.review),
        }
    }

    /// Returns the histograms of the metric for both sides.
    pub(super) fn histograms(&self) -> [SideHistogram; 2] {
        Side::BOTH.map(|side| {
            let real = self.judge.ranked(side);
            let samples = self.judge.samples.given(side);
            let (low, high) = range_of(self.judge.metric, real, samples);
            let counts = |ranked: Ascending| Histogram::of_ranked(ranked, low, high, BINS).counts;
            let passing = self.selection.as_ref().map(|selection| counts(self.judge.of_sorted(selection.ranked(side))));
            let samples = Histogram::new(samples, low, high, BINS).counts;
            SideHistogram { low, high, real: counts(real), samples, passing: passing.unwrap_or_default() }
        })
    }

    pub(super) fn matrices(&self) -> [Option<Matrix>; 2] {
        let n_labels = self.judge.labels.n_types() + 1;
        let predicted = (0..).map_while(|span| self.judge.predicted(span));
        let predicted =
            self.judge.metrics.has_probabilities().then(|| Matrix::new(&self.judge.assigned, predicted, n_labels));
        let gold = self.gold.as_ref();
        [predicted, gold.map(|gold| Matrix::new(&self.judge.assigned, gold.iter().copied(), n_labels))]
    }
}
