//! Plots as text of SVG: axes, lines and areas for the page, and whole pictures for a person to save. plotters, which
//! draws the report, would make the page 5 kB larger.

pub mod chart;
pub mod distribution;
pub mod picture;
pub mod scatter_axes;

use crate::colour::Ground;

/// Width and height in CSS pixels, or a place.
pub type Size = (f64, f64);

/// Space around a plot's area, in CSS pixels. The page's stylesheet repeats these numbers (`--plot-…`).
pub struct Margins {
    /// Above.
    pub top: u32,
    /// To the right.
    pub right: u32,
    /// Below.
    pub bottom: u32,
    /// To the left.
    pub left: u32,
}

/// The margins of all plots. They are equal, so that the plots line up.
pub const MARGINS: Margins = Margins { top: 8, right: 16, bottom: 36, left: 48 };

/// Colours of lines, areas and text.
pub struct Ink {
    /// Text.
    pub text: &'static str,
    /// Axes and ticks.
    pub axis: &'static str,
    /// Lines of the grid.
    pub grid: &'static str,
    /// The area of all spans.
    pub fill: &'static str,
    /// Its upper edge.
    pub outline: &'static str,
    /// The line of threshold samples.
    pub samples: &'static str,
    /// The area of spans that pass the filter.
    pub passing: &'static str,
    /// The threshold.
    pub threshold: &'static str,
    /// The background.
    pub ground: &'static str,
}

impl Ink {
    /// The colours for this background.
    pub fn new(ground: Ground) -> Self {
        match ground {
            Ground::Dark => Self {
                text: "rgb(170,174,182)",
                axis: "rgb(90,94,102)",
                grid: "rgb(44,47,53)",
                fill: "rgb(78,83,92)",
                outline: "rgb(150,155,165)",
                samples: "rgb(129,168,255)",
                passing: "rgb(76,190,162)",
                threshold: "rgb(255,158,97)",
                ground: "rgb(27,29,33)",
            },
            Ground::Light => Self {
                text: "rgb(84,88,96)",
                axis: "rgb(150,154,162)",
                grid: "rgb(234,236,240)",
                fill: "rgb(206,210,217)",
                outline: "rgb(112,117,127)",
                samples: "rgb(47,90,190)",
                passing: "rgb(0,158,115)",
                threshold: "rgb(178,74,0)",
                ground: "rgb(255,255,255)",
            },
        }
    }
}
