//! The report's charts, drawn as SVG by plotters.

use plotters::coord::ranged1d::Ranged;
use plotters::prelude::*;

use super::findings::MapCells;
use super::histogram::Histogram;
use super::outcome::{Course, CourseEpoch};
use super::paper::Paper;
use crate::detection::threshold::Metric;
use crate::evaluation::quality::CurvePoint;
use crate::ln::ln;

const SIZE: (u32, u32) = (480, 300);
/// Colours of Okabe & Ito; colour-blind people can tell them apart.
const REAL: RGBColor = RGBColor(0, 114, 178);
const SAMPLES: RGBColor = RGBColor(213, 94, 0);
const INK: RGBColor = RGBColor(28, 30, 33);
const GRID: RGBColor = RGBColor(227, 229, 232);

/// A chart could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("cannot draw a chart: {0}")]
pub struct ChartError(String);

fn failed<E: std::error::Error + Send + Sync>(error: DrawingAreaErrorKind<E>) -> ChartError {
    ChartError(error.to_string())
}

/// Lets `body` draw on a canvas of plotters; returns an `<svg>` element.
fn draw(
    body: impl FnOnce(&DrawingArea<Paper, plotters::coord::Shift>) -> Result<(), ChartError>,
) -> Result<String, ChartError> {
    let mut svg = String::new();
    {
        let area = Paper(SVGBackend::with_string(&mut svg, SIZE)).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        body(&area)?;
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

/// Sets title and margins, the same for all charts.
fn frame<'a, 'b>(
    area: &'a DrawingArea<Paper<'b>, plotters::coord::Shift>,
    title: &str,
) -> ChartBuilder<'a, 'b, Paper<'b>> {
    let mut builder = ChartBuilder::on(area);
    let font = ("sans-serif", 15).into_font().color(&INK);
    builder.caption(title, font).margin(8).x_label_area_size(36).y_label_area_size(56);
    builder
}

fn mesh<X, Y>(
    chart: &mut ChartContext<Paper, Cartesian2d<X, Y>>,
    x: &str,
    y: &str,
    y_label: &dyn Fn(&f32) -> String,
) -> Result<(), ChartError>
where
    X: Ranged<ValueType = f32> + plotters::coord::ranged1d::ValueFormatter<f32>,
    Y: Ranged<ValueType = f32> + plotters::coord::ranged1d::ValueFormatter<f32>,
{
    chart
        .configure_mesh()
        .x_desc(x)
        .y_desc(y)
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(INK)
        .x_labels(8)
        .y_labels(6)
        .y_label_formatter(y_label)
        .draw()
        .map_err(failed)
}

/// Histogram of the metric: real spans (filled), threshold samples (outline) and the threshold (line).
pub fn histogram(
    title: &str,
    metric: Metric,
    real: &Histogram,
    samples: &Histogram,
    threshold: f32,
) -> Result<String, ChartError> {
    let (low, high) = (real.low, real.high);
    // The scale is logarithmic; the factor leaves room above the bars for the legend.
    let top = real.highest().max(samples.highest()).max(1) as f32 * 20.0;
    draw(|area| {
        let mut chart = frame(area, title).build_cartesian_2d(low..high, (0.5f32..top).log_scale()).map_err(failed)?;
        mesh(
            &mut chart,
            match metric {
                Metric::Aum => "AUM (logits)",
                Metric::Confidence => "confidence",
                Metric::Trust => "trust: probability that the label is right",
            },
            "spans",
            &|n: &f32| format!("{n:.0}"),
        )?;
        let bars = (0..).zip(&real.counts).filter(|&(_, &n)| n > 0).map(|(b, &n)| {
            Rectangle::new([(real.edge(b), 0.5), (real.edge(b + 1), n as f32)], REAL.mix(0.55).filled())
        });
        chart.draw_series(bars).map_err(failed)?;
        let outline = (0..).zip(&samples.counts).flat_map(|(b, &n)| {
            let count = (n as f32).max(0.5);
            [(samples.edge(b), count), (samples.edge(b + 1), count)]
        });
        chart.draw_series(LineSeries::new(outline, SAMPLES.stroke_width(2))).map_err(failed)?;
        if threshold.is_finite() {
            let line = [(threshold, 0.5), (threshold, top)];
            chart.draw_series(LineSeries::new(line, INK.stroke_width(2))).map_err(failed)?;
        }
        drop(chart);
        legend(area)
    })
}

/// Draws the legend. It is drawn by hand, because the legend of plotters measures text with the document.
fn legend(area: &DrawingArea<Paper, plotters::coord::Shift>) -> Result<(), ChartError> {
    const LEFT: i32 = 356;
    let font = ("sans-serif", 12).into_font().color(&INK);
    let swatch = |y: i32| [(LEFT, y - 4), (LEFT + 12, y + 4)];
    area.draw(&Rectangle::new(swatch(44), REAL.mix(0.55).filled())).map_err(failed)?;
    area.draw(&PathElement::new([(LEFT, 60), (LEFT + 12, 60)], SAMPLES.stroke_width(2))).map_err(failed)?;
    for (text, y) in [("real spans", 39), ("threshold samples", 55)] {
        area.draw(&Text::new(text, (LEFT + 18, y), font.clone())).map_err(failed)?;
    }
    Ok(())
}

/// A number of each epoch, with one line for each training.
pub fn courses(
    title: &str,
    y: &str,
    courses: &[Course],
    value: impl Fn(&CourseEpoch) -> Option<f64>,
) -> Result<String, ChartError> {
    /// A third colour of Okabe & Ito; the report has no more than three trainings.
    const THIRD: RGBColor = RGBColor(0, 158, 115);
    let colours = [REAL, SAMPLES, THIRD];
    let points = |course: &Course| -> Vec<(f32, f32)> {
        // The numbers come from a file. With numbers near the largest f32, the axis would never end.
        let sensible = |value: &f64| (0.0..1e30).contains(value);
        let point = |epoch: &CourseEpoch| Some((epoch.epoch as f32, value(epoch).filter(sensible)? as f32));
        course.epochs.iter().filter_map(point).collect()
    };
    struct Line<'a> {
        title: &'a str,
        points: Vec<(f32, f32)>,
        colour: RGBColor,
    }
    let line = |(course, colour)| {
        let course: &Course = course;
        Line { title: &course.title, points: points(course), colour }
    };
    let lines = courses.iter().zip(colours.into_iter().cycle()).map(line);
    let lines: Vec<Line> = lines.filter(|line| !line.points.is_empty()).collect();
    let all = || lines.iter().flat_map(|line| &line.points);
    let last = all().fold(1f32, |last, point| last.max(point.0));
    let highest = all().map(|point| point.1).fold(0f32, f32::max);
    // Room above the lines for the legend.
    let top = if highest > 0.0 { 1.35 * highest } else { 1.0 };
    let digits = usize::from(highest < 10.0) * 2;
    draw(|area| {
        let mut chart = frame(area, title).build_cartesian_2d(0.5f32..last + 0.5, 0f32..top).map_err(failed)?;
        chart
            .configure_mesh()
            .x_desc("epoch")
            .y_desc(y)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(INK)
            .x_labels((last as usize + 1).min(12))
            .x_label_formatter(&|epoch| if epoch.fract() == 0.0 { format!("{epoch:.0}") } else { String::new() })
            .y_labels(6)
            .y_label_formatter(&|y| format!("{y:.digits$}"))
            .draw()
            .map_err(failed)?;
        for Line { points, colour, .. } in &lines {
            chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2))).map_err(failed)?;
            let dots = points.iter().map(|&point| Circle::new(point, 3, colour.filled()));
            chart.draw_series(dots).map_err(failed)?;
        }
        drop(chart);
        let font = ("sans-serif", 12).into_font().color(&INK);
        for (i, Line { title, colour, .. }) in (0i32..).zip(&lines) {
            let y = 44 + 16 * i;
            area.draw(&PathElement::new([(76, y), (92, y)], colour.stroke_width(2))).map_err(failed)?;
            area.draw(&Text::new((*title).to_owned(), (98, y - 5), font.clone())).map_err(failed)?;
        }
        Ok(())
    })
}

/// Precision over recall for all thresholds, with the threshold in force marked.
pub fn precision_recall(title: &str, points: &[CurvePoint], threshold: f32) -> Result<String, ChartError> {
    draw(|area| {
        let mut chart = frame(area, title).build_cartesian_2d(0f32..1f32, 0f32..1f32).map_err(failed)?;
        mesh(&mut chart, "recall", "precision", &|p: &f32| format!("{p:.1}"))?;
        let line = points.iter().map(|p| (p.recall, p.precision));
        chart.draw_series(LineSeries::new(line, REAL.stroke_width(2))).map_err(failed)?;
        let in_force = points.iter().rfind(|p| p.threshold < threshold);
        chart
            .draw_series(in_force.iter().map(|p| Circle::new((p.recall, p.precision), 4, SAMPLES.filled())))
            .map_err(failed)?;
        Ok(())
    })
}

/// Data map of one side: variability × confidence, as a grid of cells.
pub fn data_map(title: &str, cells: &MapCells) -> Result<String, ChartError> {
    const WIDEST: f32 = MapCells::WIDEST;
    const COLUMNS: usize = MapCells::COLUMNS;
    let rows = MapCells::ROWS as f32;
    let cells = &cells.counts;
    let highest = cells.iter().copied().max().unwrap_or(0).max(1) as f32;
    draw(|area| {
        let mut chart = frame(area, title).build_cartesian_2d(0f32..WIDEST, 0f32..1f32).map_err(failed)?;
        mesh(&mut chart, "variability", "confidence", &|c: &f32| format!("{c:.1}"))?;
        let filled = cells.iter().enumerate().filter(|&(_, &n)| n > 0).map(|(i, &n)| {
            let (x, y) = ((i % COLUMNS) as f32, (i / COLUMNS) as f32);
            let corner = |x: f32, y: f32| (x / COLUMNS as f32 * WIDEST, y / rows);
            // Shades from 0.15, so that a single span is visible, to 1.
            let shade = 0.15 + 0.85 * f64::from(ln(1.0 + n as f32) / ln(1.0 + highest));
            Rectangle::new([corner(x, y), corner(x + 1.0, y + 1.0)], REAL.mix(shade).filled())
        });
        chart.draw_series(filled).map_err(failed)?;
        Ok(())
    })
}
