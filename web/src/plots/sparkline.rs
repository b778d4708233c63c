//! Margins over the epochs, as the path of a small SVG.

/// A line through values, with larger values higher up. The scale always covers zero and ±`least` (see [`line`]).
pub struct Line {
    /// SVG path data.
    pub path: String,
    /// The y coordinate of zero.
    pub zero: f32,
    /// The points as (x, y).
    pub points: Vec<(f32, f32)>,
}

/// Fits the values into `width` × `height`, with a margin of 2 all round.
pub fn line(values: &[f32], width: f32, height: f32, least: f32) -> Line {
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let low = finite().fold(-least, f32::min);
    let high = finite().fold(least, f32::max);
    let y = |value: f32| 2.0 + (height - 4.0) * (high - value) / (high - low);
    let gaps = values.len().saturating_sub(1).max(1) as f32;
    let points: Vec<(f32, f32)> = values
        .iter()
        .enumerate()
        .filter(|(_, v)| v.is_finite())
        .map(|(i, &v)| (2.0 + (width - 4.0) * i as f32 / gaps, y(v)))
        .collect();
    let path = points
        .iter()
        .enumerate()
        .map(|(i, (x, y))| format!("{}{x:.1} {y:.1}", if i == 0 { 'M' } else { 'L' }))
        .collect();
    Line { path, zero: y(0.0), points }
}
