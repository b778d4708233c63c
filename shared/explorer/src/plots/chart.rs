//! Draws axes, lines and areas.

use std::fmt::Write as _;

use super::{Ink, MARGINS, Size};

/// Length of a tick mark, in CSS pixels.
const TICK: f64 = 4.0;
/// Size of the text, in CSS pixels, and how far its baseline is below its top and its middle.
pub(super) const TEXT: (f64, f64, f64) = (11.0, 10.0, 4.0);

/// A drawing, and the part of the plane that it shows.
pub struct Chart {
    svg: String,
    size: Size,
    x: (f64, f64),
    y: (f64, f64),
}

impl Chart {
    /// An empty drawing.
    pub fn new(size: Size, x: (f64, f64), y: (f64, f64)) -> Self {
        Self { svg: String::new(), size, x, y }
    }

    /// The drawing as elements of an SVG.
    pub fn into_svg(self) -> String {
        self.svg
    }

    /// The lower left and the upper right corner of the plot's area, in CSS pixels.
    fn corners(&self) -> (Size, Size) {
        let [top, right, bottom, left] = [MARGINS.top, MARGINS.right, MARGINS.bottom, MARGINS.left].map(f64::from);
        ((left, self.size.1 - bottom), (self.size.0 - right, top))
    }

    /// The place of a point, in CSS pixels.
    fn place(&self, (x, y): (f64, f64)) -> Size {
        let ((left, bottom), (right, top)) = self.corners();
        let share = |value: f64, (low, high): (f64, f64)| (value - low) / (high - low);
        (left + (right - left) * share(x, self.x), bottom + (top - bottom) * share(y, self.y))
    }

    /// Appends lines that are one pixel wide. They are sharp if they lie between two pixels.
    fn strokes(&mut self, lines: &[(Size, Size)], colour: &str) {
        let sharp = |at: f64| at.round() + 0.5;
        self.svg.push_str("<path d=\"");
        for &((x, y), (to_x, to_y)) in lines {
            let _ = write!(self.svg, "M{} {}L{} {}", sharp(x), sharp(y), sharp(to_x), sharp(to_y));
        }
        let _ = write!(self.svg, "\" stroke=\"{colour}\"/>");
    }

    /// Appends a text without characters that mean something in SVG.
    fn number(&mut self, text: &str, (x, y): Size, anchor: &str) {
        let _ = write!(self.svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
    }

    /// Draws both axes with at most `most` ticks each, and a grid. Without `columns`, the grid has rows only.
    pub fn axes(
        &mut self,
        ink: &Ink,
        most: (usize, usize),
        columns: bool,
        x_label: &dyn Fn(f64) -> String,
        y_label: &dyn Fn(f64) -> String,
    ) {
        let ((left, bottom), (right, top)) = self.corners();
        let (_, ascent, half) = TEXT;
        let across: Vec<(f64, f64)> = ticks(self.x, most.0).map(|tick| (tick, self.place((tick, 0.0)).0)).collect();
        let up: Vec<(f64, f64)> = ticks(self.y, most.1).map(|tick| (tick, self.place((0.0, tick)).1)).collect();
        let mut grid: Vec<(Size, Size)> = up.iter().map(|&(_, y)| ((left, y), (right, y))).collect();
        if columns {
            grid.extend(across.iter().map(|&(_, x)| ((x, bottom), (x, top))));
        }
        self.strokes(&grid, ink.grid);
        let mut axes = vec![((left, bottom), (right, bottom)), ((left, bottom), (left, top))];
        axes.extend(across.iter().map(|&(_, x)| ((x, bottom), (x, bottom + TICK))));
        axes.extend(up.iter().map(|&(_, y)| ((left - TICK, y), (left, y))));
        self.strokes(&axes, ink.axis);
        let _ = write!(self.svg, "<g fill=\"{}\">", ink.text);
        for (tick, x) in across {
            self.number(&x_label(tick), (x, bottom + TICK + 4.0 + ascent), "middle");
        }
        for (tick, y) in up {
            self.number(&y_label(tick), (left - TICK - 4.0, y + half), "end");
        }
        self.svg.push_str("</g>");
    }

    fn path(&mut self, points: impl Iterator<Item = Size>) {
        self.svg.push_str("<path d=\"");
        for (number, (x, y)) in points.enumerate() {
            let _ = write!(self.svg, "{}{x:.1} {y:.1}", if number == 0 { 'M' } else { 'L' });
        }
    }

    /// Draws a line through points.
    pub fn line(&mut self, points: &[(f64, f64)], colour: &str, width: f64) {
        let places: Vec<Size> = points.iter().map(|&point| self.place(point)).collect();
        self.path(places.into_iter());
        let _ = write!(self.svg, "\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"/>");
    }

    /// Fills the area between points and the bottom.
    pub fn area(&mut self, points: &[(f64, f64)], colour: &str) {
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
        let ends = [(last.0, self.y.0), (first.0, self.y.0)];
        let places: Vec<Size> = points.iter().chain(&ends).map(|&point| self.place(point)).collect();
        self.path(places.into_iter());
        let _ = write!(self.svg, "Z\" fill=\"{colour}\"/>");
    }

    /// Marks the part to the left of a value, and the value itself.
    pub fn threshold(&mut self, value: f64, colour: &str) {
        let ((left, bottom), (right, top)) = self.corners();
        let x = self.place((value, 0.0)).0.clamp(left, right);
        let _ = write!(
            self.svg,
            "<path d=\"M{left:.1} {top:.1}H{x:.1}V{bottom:.1}H{left:.1}Z\" fill=\"{colour}\" fill-opacity=\".12\"/>\
             <path d=\"M{x:.1} {top:.1}V{bottom:.1}\" stroke=\"{colour}\" stroke-width=\"2\"/>"
        );
    }

    /// Puts a picture into the plot's area.
    pub fn picture(&mut self, address: &str) {
        let ((left, bottom), (right, top)) = self.corners();
        let (width, height) = (right - left, bottom - top);
        let _ = write!(
            self.svg,
            "<image x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" preserveAspectRatio=\"none\" href=\"{address}\"/>"
        );
    }
}

/// At most `most` round numbers in a range, evenly spaced.
fn ticks((low, high): (f64, f64), most: usize) -> impl Iterator<Item = f64> {
    let rough = (high - low).max(1e-9) / most.max(1) as f64;
    let power = 10f64.powi(rough.log10().floor() as i32);
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|&step| step >= rough);
    let step = step.unwrap_or(rough);
    // Room for the rounding of the numbers.
    let (first, last) = ((low / step - 1e-6).ceil() as i64, (high / step + 1e-6).floor() as i64);
    (first..=last).map(move |number| number as f64 * step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers() {
        let of = |range, most| ticks(range, most).map(|tick| format!("{tick:.2}")).collect::<Vec<_>>();
        assert_eq!(of((0.0, 1.0), 6), ["0.00", "0.20", "0.40", "0.60", "0.80", "1.00"]);
        assert_eq!(of((-3.0, 8.5), 4), ["0.00", "5.00"]);
        assert_eq!(of((0.0, 0.07), 4), ["0.00", "0.02", "0.04", "0.06"]);
    }

    #[test]
    fn points_have_their_place_between_the_margins() {
        // The area is 100 wide and 50 high, from (48, 8) on.
        let mut chart = Chart::new((164.0, 94.0), (0.0, 2.0), (0.0, 10.0));
        chart.line(&[(0.0, 0.0), (1.0, 5.0), (2.0, 10.0)], "red", 1.5);
        chart.area(&[(0.0, 10.0), (1.0, 10.0)], "blue");
        chart.threshold(0.5, "green");
        chart.threshold(-9.0, "green");
        assert_eq!(
            chart.into_svg(),
            "<path d=\"M48.0 58.0L98.0 33.0L148.0 8.0\" fill=\"none\" stroke=\"red\" stroke-width=\"1.5\"/>\
             <path d=\"M48.0 8.0L98.0 8.0L98.0 58.0L48.0 58.0Z\" fill=\"blue\"/>\
             <path d=\"M48.0 8.0H73.0V58.0H48.0Z\" fill=\"green\" fill-opacity=\".12\"/>\
             <path d=\"M73.0 8.0V58.0\" stroke=\"green\" stroke-width=\"2\"/>\
             <path d=\"M48.0 8.0H48.0V58.0H48.0Z\" fill=\"green\" fill-opacity=\".12\"/>\
             <path d=\"M48.0 8.0V58.0\" stroke=\"green\" stroke-width=\"2\"/>"
        );
    }

    #[test]
    fn axes_have_a_grid_and_labels() {
        let mut chart = Chart::new((164.0, 94.0), (0.0, 2.0), (0.0, 10.0));
        let ink = Ink::new(crate::colour::Ground::Light);
        chart.axes(&ink, (2, 1), true, &|x| format!("x{x}"), &|y| format!("y{y}"));
        let svg = chart.into_svg();
        // Two rows and three columns; both axes, three ticks below and two at the left.
        let lines: Vec<usize> = svg.split("<path").skip(1).map(|path| path.matches('M').count()).collect();
        assert_eq!(lines, [5, 7]);
        assert!(svg.starts_with("<path d=\"M48.5 58.5L148.5 58.5M48.5 8.5L148.5 8.5M48.5 58.5L48.5 8.5"), "{svg}");
        assert!(svg.contains("<text x=\"98.0\" y=\"76.0\" text-anchor=\"middle\">x1</text>"), "{svg}");
        assert!(svg.contains("<text x=\"40.0\" y=\"12.0\" text-anchor=\"end\">y10</text>"), "{svg}");
    }
}
