//! Axes of the data map; its cloud is a picture that the worker makes.

use plotters::coord::Shift;
use plotters::prelude::*;
use web_sys::HtmlCanvasElement;

use super::{Ink, MARGINS, Size, label_style, prepare, report};

/// Draws the axes.
pub fn draw(canvas: &HtmlCanvasElement, size: Size, dark: bool) {
    let Some((backend, ratio)) = prepare(canvas, size) else { return };
    report(draw_on(&backend.into_drawing_area(), &Ink::new(dark), ratio));
}

fn draw_on<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    ink: &Ink,
    ratio: f64,
) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
    let scaled = |pixels: u32| (f64::from(pixels) * ratio).round() as u32;
    let mut chart = ChartBuilder::on(area)
        .margin_top(scaled(MARGINS.top))
        .margin_right(scaled(MARGINS.right))
        .set_label_area_size(LabelAreaPosition::Left, scaled(MARGINS.left))
        .set_label_area_size(LabelAreaPosition::Bottom, scaled(MARGINS.bottom))
        .build_cartesian_2d(0.0..0.5, 0.0..1.0)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(ink.grid)
        .axis_style(ink.axis)
        .label_style(label_style(ink, ratio))
        .set_all_tick_mark_size(scaled(4))
        .x_labels(6)
        .y_labels(6)
        .x_label_formatter(&|x| format!("{x:.1}"))
        .y_label_formatter(&|y| format!("{y:.1}"))
        .draw()?;
    area.present()
}
