//! Draws axes, lines and areas on a canvas.

use wasm_bindgen::JsCast;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement};

use super::{Ink, MARGINS, Size, pixel_ratio};

/// Length of a tick mark, in CSS pixels.
const TICK: f64 = 4.0;

/// A canvas, and the part of the plane that it shows.
pub struct Chart {
    context: CanvasRenderingContext2d,
    size: Size,
    x: (f64, f64),
    y: (f64, f64),
}

impl Chart {
    /// Clears a canvas and sets its size. Returns `None` if the browser gives no context to draw with.
    pub fn new(canvas: &HtmlCanvasElement, size: Size, x: (f64, f64), y: (f64, f64)) -> Option<Self> {
        let ratio = pixel_ratio();
        // Setting the size also clears the canvas.
        canvas.set_width((size.0 * ratio).round().max(1.0) as u32);
        canvas.set_height((size.1 * ratio).round().max(1.0) as u32);
        let context: CanvasRenderingContext2d = canvas.get_context("2d").ok()??.dyn_into().ok()?;
        if let Err(error) = context.scale(ratio, ratio) {
            leptos::logging::warn!("plot: {error:?}");
        }
        context.set_font("11px system-ui, sans-serif");
        Some(Self { context, size, x, y })
    }

    /// The lower left and the upper right corner of the plot's area, in CSS pixels.
    fn corners(&self) -> (Size, Size) {
        let [top, right, bottom, left] = [MARGINS.top, MARGINS.right, MARGINS.bottom, MARGINS.left].map(f64::from);
        ((left, self.size.1 - bottom), (self.size.0 - right, top))
    }

    /// Returns the place of a point, in CSS pixels.
    fn place(&self, (x, y): (f64, f64)) -> Size {
        let ((left, bottom), (right, top)) = self.corners();
        let share = |value: f64, (low, high): (f64, f64)| (value - low) / (high - low);
        (left + (right - left) * share(x, self.x), bottom + (top - bottom) * share(y, self.y))
    }

    fn path(&self, points: impl Iterator<Item = Size>) {
        self.context.begin_path();
        points.for_each(|(x, y)| self.context.line_to(x, y));
    }

    fn stroke(&self, from: Size, to: Size, colour: &str) {
        // Lines of one pixel are sharp if they lie between two pixels.
        let sharp = |(x, y): Size| (x.round() + 0.5, y.round() + 0.5);
        self.path([sharp(from), sharp(to)].into_iter());
        self.context.set_line_width(1.0);
        self.context.set_stroke_style_str(colour);
        self.context.stroke();
    }

    fn text(&self, text: &str, (x, y): Size, align: &str, baseline: &str) {
        self.context.set_text_align(align);
        self.context.set_text_baseline(baseline);
        if let Err(error) = self.context.fill_text(text, x, y) {
            leptos::logging::warn!("plot: {error:?}");
        }
    }

    /// Draws both axes with at most `most` ticks each, and a grid. Without `columns`, the grid has rows only.
    pub fn axes(
        &self,
        ink: &Ink,
        most: (usize, usize),
        columns: bool,
        x_label: &dyn Fn(f64) -> String,
        y_label: &dyn Fn(f64) -> String,
    ) {
        let ((left, bottom), (right, top)) = self.corners();
        self.context.set_fill_style_str(ink.text);
        for tick in ticks(self.x, most.0) {
            let (x, _) = self.place((tick, 0.0));
            if columns {
                self.stroke((x, bottom), (x, top), ink.grid);
            }
            self.stroke((x, bottom), (x, bottom + TICK), ink.axis);
            self.text(&x_label(tick), (x, bottom + TICK + 4.0), "center", "top");
        }
        for tick in ticks(self.y, most.1) {
            let (_, y) = self.place((0.0, tick));
            self.stroke((left, y), (right, y), ink.grid);
            self.stroke((left - TICK, y), (left, y), ink.axis);
            self.text(&y_label(tick), (left - TICK - 4.0, y), "right", "middle");
        }
        self.stroke((left, bottom), (right, bottom), ink.axis);
        self.stroke((left, bottom), (left, top), ink.axis);
    }

    /// Draws a line through points.
    pub fn line(&self, points: &[(f64, f64)], colour: &str, width: f64) {
        self.path(points.iter().map(|&point| self.place(point)));
        self.context.set_line_width(width);
        self.context.set_stroke_style_str(colour);
        self.context.stroke();
    }

    /// Fills the area between points and the bottom.
    pub fn area(&self, points: &[(f64, f64)], colour: &str) {
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
        let ends = [(last.0, self.y.0), (first.0, self.y.0)];
        self.path(points.iter().chain(&ends).map(|&point| self.place(point)));
        self.context.set_fill_style_str(colour);
        self.context.fill();
    }
}

/// Returns at most `most` round numbers in a range, evenly spaced.
fn ticks((low, high): (f64, f64), most: usize) -> impl Iterator<Item = f64> {
    let rough = (high - low).max(1e-9) / most.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|&step| step >= rough);
    let step = step.unwrap_or(rough);
    // Room for the rounding of the numbers.
    let (first, last) = ((low / step - 1e-6).ceil() as i64, (high / step + 1e-6).floor() as i64);
    (first..=last).map(move |number| number as f64 * step)
}
