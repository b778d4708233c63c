//! Draws the metric's distribution on one side: real spans as a filled area, threshold samples as a line, in the
//! same bins.

use plotters::coord::Shift;
use plotters::prelude::*;
use web_sys::HtmlCanvasElement;

use super::{Ink, MARGINS, Size, label_style, prepare, report};
use crate::format;
use crate::protocol::SideHistogram;

/// Draws the distributions of one side.
pub fn draw(canvas: &HtmlCanvasElement, size: Size, data: &SideHistogram, log_counts: bool, dark: bool) {
    let Some((backend, ratio)) = prepare(canvas, size) else { return };
    report(draw_on(&backend.into_drawing_area(), data, log_counts, &Ink::new(dark), ratio));
}

type Failure<B> = DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>;

fn draw_on<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    data: &SideHistogram,
    log_counts: bool,
    ink: &Ink,
    ratio: f64,
) -> Result<(), Failure<B>> {
    let scaled = |pixels: u32| (f64::from(pixels) * ratio).round() as u32;
    // On a logarithmic axis, a count of 1 stands half a unit above the bottom.
    let (height, bottom): (fn(u32) -> f64, f64) =
        if log_counts { (|n| if n == 0 { -0.5 } else { f64::from(n).log10() }, -0.5) } else { (f64::from, 0.0) };
    let highest = data.real.iter().chain(&data.samples).copied().max().unwrap_or(0).max(1);
    let top = bottom + (height(highest) - bottom).max(0.5) * 1.05;
    let mut chart = ChartBuilder::on(area)
        .margin_top(scaled(MARGINS.top))
        .margin_right(scaled(MARGINS.right))
        .set_label_area_size(LabelAreaPosition::Left, scaled(MARGINS.left))
        .set_label_area_size(LabelAreaPosition::Bottom, scaled(MARGINS.bottom))
        .build_cartesian_2d(f64::from(data.low)..f64::from(data.high), bottom..top)?;
    let count_label = |y: &f64| {
        if !log_counts {
            return short(*y);
        }
        if y.fract() == 0.0 && *y >= 0.0 { short(10f64.powf(*y)) } else { String::new() }
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(ink.grid)
        .axis_style(ink.axis)
        .label_style(label_style(ink, ratio))
        .set_all_tick_mark_size(scaled(4))
        .x_labels(8)
        .y_labels(if log_counts { 5 } else { 4 })
        .x_label_formatter(&|x| format::signed(*x as f32, usize::from(data.high - data.low < 6.0)))
        .y_label_formatter(&count_label)
        .draw()?;
    let width = f64::from(data.high - data.low) / data.real.len().max(1) as f64;
    let steps = |counts: &[u32]| -> Vec<(f64, f64)> {
        let edge = |bin: usize| f64::from(data.low) + width * bin as f64;
        let sides = counts.iter().enumerate().map(|(bin, &n)| (edge(bin), edge(bin + 1), height(n)));
        sides.flat_map(|(left, right, y)| [(left, y), (right, y)]).collect()
    };
    chart.draw_series(
        AreaSeries::new(steps(&data.real), bottom, ink.fill).border_style(ink.outline.stroke_width(scaled(1))),
    )?;
    if !data.passing.is_empty() {
        chart.draw_series(AreaSeries::new(steps(&data.passing), bottom, ink.passing))?;
    }
    // Bins without samples get no line, because it would hide the axis.
    let line = steps(&data.samples);
    for run in line.split(|&(_, y)| y <= bottom).filter(|run| !run.is_empty()) {
        let (first, last) = (run[0], run[run.len() - 1]);
        let closed = [&[(first.0, bottom)], run, &[(last.0, bottom)]].concat();
        chart.draw_series(LineSeries::new(closed, ink.samples.stroke_width(scaled(3) / 2)))?;
    }
    area.present()
}

/// Writes 1,000 as 1k and 1,000,000 as 1M.
fn short(n: f64) -> String {
    match n {
        n if n >= 1e6 => format!("{}M", n / 1e6),
        n if n >= 1e3 => format!("{}k", n / 1e3),
        n => n.to_string(),
    }
}
