//! A plot as a picture of its own, with everything that a person needs to read it away from the page.

use std::fmt::Write as _;

use super::chart::{Chart, TEXT};
use super::{Ink, MARGINS, Size};
use crate::colour::Ground;

/// Height of the title, and of a line of the legend, in CSS pixels.
const TITLE: f64 = 28.0;
const LINE: f64 = 16.0;
/// Space at the edges.
const EDGE: f64 = 12.0;
/// Approximate width of a letter of the legend.
const LETTER: f64 = 6.2;

/// One entry of a legend: colours (as SVG writes them) side by side, and a text after them.
pub type Entry = (Vec<String>, String);

/// What stands around a plot.
pub struct Picture {
    /// Title.
    pub title: String,
    /// The legend.
    pub legend: Vec<Entry>,
    /// Names of the horizontal and the vertical axis.
    pub axes: [String; 2],
    /// Background.
    pub ground: Ground,
}

impl Picture {
    /// The whole picture as an SVG file, and its width and height. `size` is the size of the plot.
    pub fn svg(&self, chart: Chart, size: Size) -> (String, Size) {
        let ink = Ink::new(self.ground);
        let (legend, below) = self.legend(size.0);
        let (width, height) = (size.0, size.1 + below);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             font-family=\"system-ui, sans-serif\" font-size=\"{}\"><rect width=\"{width}\" height=\"{height}\" fill=\"{}\"/>\
             <g fill=\"{}\"><text x=\"{EDGE}\" y=\"20\" font-size=\"13\" font-weight=\"bold\">{}</text>{legend}",
            TEXT.0,
            ink.ground,
            ink.text,
            escaped(&self.title)
        );
        let [left, right, top, bottom] = [MARGINS.left, MARGINS.right, MARGINS.top, MARGINS.bottom].map(f64::from);
        let middle = (0.5 * (left + width - right), below + 0.5 * (top + size.1 - bottom));
        let [across, up] = &self.axes;
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text transform=\"translate(12 {:.1})rotate(-90)\" text-anchor=\"middle\">{}</text></g>\
             <g transform=\"translate(0 {below})\" fill=\"none\">{}</g></svg>",
            middle.0,
            height - 4.0,
            escaped(across),
            middle.1,
            escaped(up),
            chart.into_svg()
        );
        (out, (width, height))
    }

    /// The legend in as many lines as it needs, and where it ends.
    fn legend(&self, width: f64) -> (String, f64) {
        let mut out = String::new();
        let (mut x, mut y) = (EDGE, TITLE);
        for (colours, text) in &self.legend {
            let wide = if colours.len() > 1 { 6.0 } else { 10.0 };
            let space = if colours.is_empty() { 0.0 } else { 4.0 };
            let room = wide * colours.len() as f64 + space + LETTER * text.chars().count() as f64;
            if x + room > width && x > EDGE {
                (x, y) = (EDGE, y + LINE);
            }
            for (number, colour) in colours.iter().enumerate() {
                let at = x + wide * number as f64;
                let _ = write!(
                    out,
                    "<rect x=\"{at:.1}\" y=\"{}\" width=\"{wide}\" height=\"10\" fill=\"{colour}\"/>",
                    y + 3.0
                );
            }
            let at = x + wide * colours.len() as f64 + space;
            let _ = write!(out, "<text x=\"{at:.1}\" y=\"{}\">{}</text>", y + 12.0, escaped(text));
            x += room + EDGE;
        }
        (out, y + LINE + 4.0)
    }
}

/// Escapes a text for XML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_says_what_it_shows() {
        let picture = Picture {
            title: "R&D <1>".to_owned(),
            legend: vec![
                (vec!["rgb(1,2,3)".to_owned()], "kept".to_owned()),
                (vec![], "1".to_owned()),
                (vec!["black".to_owned(), "white".to_owned()], "≥ 2".to_owned()),
            ],
            axes: ["trust".to_owned(), "spans".to_owned()],
            ground: Ground::Light,
        };
        let (svg, size) = picture.svg(Chart::new((164.0, 94.0), (0.0, 1.0), (0.0, 1.0)), (164.0, 94.0));
        // A title of 28, a legend of 16 and a space of 4.
        assert_eq!(size, (164.0, 142.0));
        assert!(svg.contains("height=\"142\"") && svg.ends_with("</svg>\n"), "{svg}");
        assert!(svg.contains(">R&amp;D &lt;1></text>"), "{svg}");
        assert!(svg.contains("x=\"12.0\" y=\"31\" width=\"10\" height=\"10\" fill=\"rgb(1,2,3)\""), "{svg}");
        // After the first entry: 12 + 10 + 4 + 4 letters + 12.
        assert!(svg.contains("<text x=\"62.8\" y=\"40\">1</text>"), "{svg}");
        assert!(svg.contains("fill=\"white\"") && svg.contains(">trust</text>") && svg.contains(">spans</text>"));
        // In a narrow picture the legend needs more lines, and nothing is cut off.
        let (svg, size) = picture.svg(Chart::new((90.0, 94.0), (0.0, 1.0), (0.0, 1.0)), (90.0, 94.0));
        assert_eq!(size, (90.0, 158.0));
        assert!(svg.contains("<rect x=\"12.0\" y=\"47\" width=\"6\""), "{svg}");
    }
}
