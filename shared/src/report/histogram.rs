//! Histograms over a fixed range, for the page and the report.

use serde::{Deserialize, Serialize};

use crate::detection::ranking::Ascending;
use crate::detection::threshold::Metric;

/// Counts in bins of equal width over `low..high`. Values outside the range go to the first or the last bin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Left edge of the first bin.
    pub low: f32,
    /// Right edge of the last bin.
    pub high: f32,
    /// Number of values per bin.
    pub counts: Vec<u32>,
}

impl Histogram {
    /// Counts `values` in `bins` bins. NaN is left out.
    pub fn new(values: &[f32], low: f32, high: f32, bins: usize) -> Self {
        let mut counts = vec![0u32; bins.max(1)];
        for &value in values {
            if !value.is_nan() {
                counts[bin(value, low, high, bins)] += 1;
            }
        }
        Self { low, high, counts }
    }

    /// The same as [`Histogram::new`] for sorted values. It uses binary searches instead of looking at every
    /// value.
    pub fn of_ranked(ranked: Ascending, low: f32, high: f32, bins: usize) -> Self {
        let mut before = 0;
        let counts = (0..bins.max(1)).map(|at| {
            let until = ranked.count_while(|value| bin(value, low, high, bins) <= at);
            (until - std::mem::replace(&mut before, until)) as u32
        });
        Self { low, high, counts: counts.collect() }
    }

    /// Left edge of a bin.
    pub fn edge(&self, bin: usize) -> f32 {
        self.low + (self.high - self.low) * bin as f32 / self.counts.len() as f32
    }

    /// The largest count.
    pub fn highest(&self) -> u32 {
        self.counts.iter().copied().max().unwrap_or(0)
    }
}

/// The bin of a value. A higher value never has a lower bin.
fn bin(value: f32, low: f32, high: f32, bins: usize) -> usize {
    let bins = bins.max(1);
    (((value - low) * (bins as f32 / (high - low))).max(0.0) as usize).min(bins - 1)
}

/// The range that shows the metric of real spans and of threshold samples. `samples` must be sorted.
pub fn range_of(metric: Metric, real: Ascending, samples: &[f32]) -> (f32, f32) {
    match metric {
        Metric::Aum => {
            let real = real.ends().map(|(low, high)| [low, high]);
            common_range(real.iter().flatten().chain(samples.first()).chain(samples.last()))
        }
        Metric::Confidence | Metric::Trust => (0.0, 1.0),
    }
}

/// A range of whole numbers that contains 0 and all finite `values`.
pub fn common_range<'a>(values: impl IntoIterator<Item = &'a f32>) -> (f32, f32) {
    let (mut low, mut high) = (0f32, 0f32);
    for value in values.into_iter().filter(|value| value.is_finite()) {
        low = low.min(*value);
        high = high.max(*value);
    }
    ((low - 0.5).floor(), (high + 0.5).ceil())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_belong_to_the_right_bin_and_outliers_to_the_ends() {
        let h = Histogram::new(&[-5.0, 0.0, 0.49, 0.5, 1.0, 9.0, f32::NAN, f32::INFINITY], 0.0, 1.0, 2);
        assert_eq!(h.counts, [3, 4]);
        assert_eq!(h.edge(1), 0.5);
        assert_eq!(h.highest(), 4);
    }

    #[test]
    fn ranges_cover_everything() {
        assert_eq!(common_range([-3.2, f32::INFINITY, 4.1, 7.9].iter()), (-4.0, 9.0));
        assert_eq!(common_range([].iter()), (-1.0, 1.0));
    }

    #[test]
    fn ranked_values_are_counted_as_all_are() {
        let mut column =
            vec![f32::NEG_INFINITY, -5.0, -1.0, -0.0, 0.0, 0.3, 0.3, 0.5, 0.99, 1.0, 1.0, 9.0, f32::INFINITY];
        column.extend((0..1000).map(|i| 9.0 + i as f32 * 1e-3));
        let spans: Vec<u32> = (0..column.len() as u32).filter(|&span| span != 12).chain([12]).collect();
        let ranked = Ascending::of_sorted(&spans, &column);
        for (low, high, bins) in [(0.0, 1.0, 7), (-4.0, 11.0, 160), (0.0, 1.0, 0)] {
            assert_eq!(Histogram::of_ranked(ranked, low, high, bins), Histogram::new(&column, low, high, bins));
        }
    }
}
