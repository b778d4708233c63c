//! Axes of the data map. The points are a picture that the worker makes.

use explorer::density::Extent;
use plotters::coord::Shift;
use plotters::prelude::*;
use web_sys::HtmlCanvasElement;

use super::{Ink, MARGINS, Size, label_style, prepare, report};
use crate::format;

/// Draws the axes around this part of the plane.
pub fn draw(canvas: &HtmlCanvasElement, size: Size, extent: Extent, dark: bool) {
    let Some((backend, ratio)) = prepare(canvas, size) else { return };
    report(draw_on(&backend.into_drawing_area(), extent, &Ink::new(dark), ratio));
}

fn draw_on<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    extent: Extent,
    ink: &Ink,
    ratio: f64,
) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
    let scaled = |pixels: u32| (f64::from(pixels) * ratio).round() as u32;
    let range = |(low, high): (f32, f32)| f64::from(low)..f64::from(high);
    let mut chart = ChartBuilder::on(area)
        .margin_top(scaled(MARGINS.top))
        .margin_right(scaled(MARGINS.right))
        .set_label_area_size(LabelAreaPosition::Left, scaled(MARGINS.left))
        .set_label_area_size(LabelAreaPosition::Bottom, scaled(MARGINS.bottom))
        .build_cartesian_2d(range(extent.x), range(extent.y))?;
    let label = |(low, high): (f32, f32)| {
        // Uses enough decimals to tell neighbouring ticks apart.
        let decimals = (1.0 - (high - low).max(1e-6).log10()).ceil().clamp(0.0, 4.0) as usize;
        move |value: &f64| format::signed(*value as f32, decimals)
    };
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(ink.grid)
        .axis_style(ink.axis)
        .label_style(label_style(ink, ratio))
        .set_all_tick_mark_size(scaled(4))
        .x_labels(6)
        .y_labels(6)
        .x_label_formatter(&label(extent.x))
        .y_label_formatter(&label(extent.y))
        .draw()?;
    area.present()
}
