//! Axes of the data map. The points are a picture that the worker makes.

use super::chart::Chart;
use super::{Ink, Size};
use crate::colour::Ground;
use crate::density::Extent;
use crate::format;

/// The axes around this part of the plane.
pub fn draw(size: Size, extent: Extent, ground: Ground) -> Chart {
    let range = |(low, high): (f32, f32)| (f64::from(low), f64::from(high));
    let mut chart = Chart::new(size, range(extent.x), range(extent.y));
    let label = |(low, high): (f32, f32)| {
        // Uses enough decimals to tell neighbouring ticks apart.
        let decimals = (1.0 - (high - low).max(1e-6).log10()).ceil().clamp(0.0, 4.0) as usize;
        move |value: f64| format::signed(value as f32, decimals)
    };
    chart.axes(&Ink::new(ground), (6, 6), true, &label(extent.x), &label(extent.y));
    chart
}
