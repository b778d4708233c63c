//! Histograms over a fixed range, for the page and the report alike.

use crate::threshold::Metric;

/// Counts in equally wide bins over `low..high`; what lies outside goes to the first or last bin.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// Left edge of the first bin.
    pub low: f32,
    /// Right edge of the last bin.
    pub high: f32,
    /// Values per bin.
    pub counts: Vec<u32>,
}

impl Histogram {
    /// Counts `values` (NaN is left out) in `bins` bins.
    pub fn new(values: &[f32], low: f32, high: f32, bins: usize) -> Self {
        let mut counts = vec![0u32; bins.max(1)];
        let last = counts.len() - 1;
        let scale = counts.len() as f32 / (high - low);
        for &value in values {
            if !value.is_nan() {
                let bin = (((value - low) * scale).max(0.0) as usize).min(last);
                counts[bin] += 1;
            }
        }
        Self { low, high, counts }
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

/// The range to show these sorted lists of a metric over.
pub fn range_of<'a>(metric: Metric, lists: impl IntoIterator<Item = &'a [f32]>) -> (f32, f32) {
    match metric {
        Metric::Aum => common_range(lists),
        Metric::Confidence => (0.0, 1.0),
    }
}

/// A round range (multiples of 1) that covers the finite values of all these sorted lists and 0.
fn common_range<'a>(lists: impl IntoIterator<Item = &'a [f32]>) -> (f32, f32) {
    let (mut low, mut high) = (0f32, 0f32);
    for value in lists.into_iter().flat_map(|list| [list.first(), list.last()]).flatten() {
        if value.is_finite() {
            low = low.min(*value);
            high = high.max(*value);
        }
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
        assert_eq!(common_range([&[-3.2, 4.1][..], &[][..], &[7.9]]), (-4.0, 9.0));
        assert_eq!(common_range([]), (-1.0, 1.0));
    }
}
