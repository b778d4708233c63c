//! Draws the metric's distribution on one side: real spans as a filled area, threshold samples as a line, in the
//! same bins.

use serde::{Deserialize, Serialize};

use super::chart::Chart;
use super::{Ink, Size};
use crate::colour::Ground;
use crate::format;

/// Histograms of one side: the metric of its real spans and of its threshold samples, in the same bins.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SideHistogram {
    /// Left edge of the first bin.
    pub low: f32,
    /// Right edge of the last bin.
    pub high: f32,
    /// Real spans per bin.
    pub real: Vec<u32>,
    /// Threshold samples per bin.
    pub samples: Vec<u32>,
    /// Real spans per bin that pass the filter; empty without a filter.
    pub passing: Vec<u32>,
}

/// The distributions of one side.
pub fn draw(size: Size, data: &SideHistogram, log_counts: bool, ground: Ground) -> Chart {
    // On a logarithmic axis, a count of 1 stands half a unit above the bottom.
    let (height, bottom): (fn(u32) -> f64, f64) =
        if log_counts { (|n| if n == 0 { -0.5 } else { f64::from(n).log10() }, -0.5) } else { (f64::from, 0.0) };
    let highest = data.real.iter().chain(&data.samples).copied().max().unwrap_or(0).max(1);
    let top = bottom + (height(highest) - bottom).max(0.5) * 1.05;
    let (low, high) = (f64::from(data.low), f64::from(data.high));
    let (mut chart, ink) = (Chart::new(size, (low, high), (bottom, top)), Ink::new(ground));
    let count_label = |y: f64| match log_counts {
        false => short(y),
        true if y.fract() == 0.0 && y >= 0.0 => short(10f64.powi(y as i32)),
        true => String::new(),
    };
    let label = |x: f64| format::signed(x as f32, usize::from(high - low < 6.0));
    chart.axes(&ink, (8, if log_counts { 5 } else { 4 }), false, &label, &count_label);
    let width = (high - low) / data.real.len().max(1) as f64;
    let steps = |counts: &[u32]| -> Vec<(f64, f64)> {
        let edge = |bin: usize| low + width * bin as f64;
        let sides = counts.iter().enumerate().map(|(bin, &n)| (edge(bin), edge(bin + 1), height(n)));
        sides.flat_map(|(left, right, y)| [(left, y), (right, y)]).collect()
    };
    let real = steps(&data.real);
    chart.area(&real, ink.fill);
    chart.line(&real, ink.outline, 1.0);
    chart.area(&steps(&data.passing), ink.passing);
    // Bins without samples get no line, because it would hide the axis.
    let line = steps(&data.samples);
    for run in line.split(|&(_, y)| y <= bottom) {
        if let (Some(first), Some(last)) = (run.first(), run.last()) {
            chart.line(&[&[(first.0, bottom)], run, &[(last.0, bottom)]].concat(), ink.samples, 1.5);
        }
    }
    chart
}

/// 1,000 as 1k and 1,000,000 as 1M.
fn short(n: f64) -> String {
    match n {
        n if n >= 1e6 => format!("{}M", n / 1e6),
        n if n >= 1e3 => format!("{}k", n / 1e3),
        n => n.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_high_as_their_counts() {
        // Two bins over 100 pixels. The area is 50 high: the highest count is at 1/1.05 of it.
        let data = SideHistogram { low: 0.0, high: 1.0, real: vec![10, 5], samples: vec![0, 2], passing: vec![] };
        let svg = draw((164.0, 94.0), &data, false, Ground::Light).into_svg();
        assert!(svg.contains("\"M48.0 10.4L98.0 10.4L98.0 34.2L148.0 34.2L148.0 58.0L48.0 58.0Z\""), "{svg}");
        // The line of the samples leaves the empty bin out.
        assert!(svg.contains("\"M98.0 58.0L98.0 48.5L148.0 48.5L148.0 58.0\""), "{svg}");
        // On a logarithmic scale 10 is at 1.5 of 1.575 units, and 1 at half a unit.
        let svg = draw((164.0, 94.0), &data, true, Ground::Dark).into_svg();
        assert!(svg.contains("\"M48.0 10.4L98.0 10.4L"), "{svg}");
        assert!(svg.contains(">10</text>") && svg.contains(">1</text>"), "{svg}");
    }

    #[test]
    fn large_counts_are_short() {
        assert_eq!([1.0, 200.0, 5_000.0, 2_500_000.0].map(short), ["1", "200", "5k", "2.5M"]);
    }
}
