//! Draws the metric's distribution on one side: real spans as a filled area, threshold samples as a line, in the
//! same bins.

use web_sys::HtmlCanvasElement;

use super::chart::Chart;
use super::{Ink, Size};
use crate::format;
use crate::protocol::SideHistogram;

/// Draws the distributions of one side.
pub fn draw(canvas: &HtmlCanvasElement, size: Size, data: &SideHistogram, log_counts: bool, dark: bool) {
    // On a logarithmic axis, a count of 1 stands half a unit above the bottom.
    let (height, bottom): (fn(u32) -> f64, f64) =
        if log_counts { (|n| if n == 0 { -0.5 } else { f64::from(n).log10() }, -0.5) } else { (f64::from, 0.0) };
    let highest = data.real.iter().chain(&data.samples).copied().max().unwrap_or(0).max(1);
    let top = bottom + (height(highest) - bottom).max(0.5) * 1.05;
    let (low, high) = (f64::from(data.low), f64::from(data.high));
    let (Some(chart), ink) = (Chart::new(canvas, size, (low, high), (bottom, top)), Ink::new(dark)) else { return };
    let count_label = |y: f64| match log_counts {
        false => short(y),
        true if y.fract() == 0.0 && y >= 0.0 => short(10f64.powf(y)),
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
}

/// Writes 1,000 as 1k and 1,000,000 as 1M.
fn short(n: f64) -> String {
    match n {
        n if n >= 1e6 => format!("{}M", n / 1e6),
        n if n >= 1e3 => format!("{}k", n / 1e3),
        n => n.to_string(),
    }
}
