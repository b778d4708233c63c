//! Clouds of any number of points as pictures: points are counted per pixel, and pixels coloured.

use crate::colour::{Ground, Rgb};
use crate::span::SpanId;
use serde::{Deserialize, Serialize};

/// The part of the plane that a picture shows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Extent {
    /// Left and right edge.
    pub x: (f32, f32),
    /// Lower and upper edge.
    pub y: (f32, f32),
}

/// Place of a point that is not in the picture.
const NOWHERE: u32 = u32::MAX;
/// Radii of dots, in pixels of the page, and the most of a picture that they may cover together:
/// single points are hard to see, but large dots hide each other.
const DOTS: [(usize, f32); 2] = [(2, 0.35), (1, 0.5)];
/// Share of the occupied pixels that are below the end of the density's colour scale. Nearly all spans
/// of a learned corpus lie in one corner: scaled by that, all others would look alike.
const USUAL: f32 = 0.995;

/// Where points fall in a picture of `width` × `height` pixels.
#[derive(Debug, Clone)]
pub struct Cloud {
    width: usize,
    height: usize,
    /// Pixel of every point, row by row from the top.
    pixel: Vec<u32>,
    /// Radius of a dot.
    radius: usize,
    counts: Vec<u32>,
    dense: u32,
}

/// The data map's: variability (of probabilities) × confidence.
pub const DATA_MAP: Extent = Extent { x: (0.0, 0.5), y: (0.0, 1.0) };

impl Cloud {
    /// A cloud of all spans whose (x, y) these columns are, or of those that are `shown`; what is outside the
    /// extent or not a number is not in it. `scale`: device pixels per pixel of the page.
    pub fn of_columns(
        (x, y): (&[f32], &[f32]),
        shown: impl Fn(SpanId) -> bool,
        extent: Extent,
        size: (usize, usize),
        scale: usize,
    ) -> Self {
        let points = x.iter().zip(y).zip(0..).map(|((&x, &y), span)| (x, y, shown(span)));
        Self::new(points, extent, size, scale)
    }

    /// Places the points (x, y) that are shown; what is outside the extent or not a number is not.
    /// `scale`: device pixels per pixel of the page.
    fn new(
        points: impl Iterator<Item = (f32, f32, bool)>,
        extent: Extent,
        (width, height): (usize, usize),
        scale: usize,
    ) -> Self {
        let (width, height) = (width.max(1), height.max(1));
        // The upper edges belong to the last pixel.
        let to_pixel = |value: f32, (low, high): (f32, f32), n: usize| {
            let at = (value - low) / (high - low) * n as f32;
            if at >= 0.0 && at <= n as f32 { Some((at as usize).min(n - 1)) } else { None }
        };
        let place =
            |(x, y, shown): (f32, f32, bool)| match (to_pixel(x, extent.x, width), to_pixel(y, extent.y, height)) {
                (Some(column), Some(row)) if shown => ((height - 1 - row) * width + column) as u32,
                _ => NOWHERE,
            };
        let pixel: Vec<u32> = points.map(place).collect();
        let mut counts = vec![0; width * height];
        for &pixel in &pixel {
            if let Some(count) = counts.get_mut(pixel as usize) {
                *count += 1;
            }
        }
        let occupied = counts.iter().filter(|&&n| n > 0).count();
        let fits = |&&(radius, share): &&(usize, f32)| {
            (occupied * dot(radius * scale).len()) as f32 <= share * counts.len() as f32
        };
        let radius = DOTS.iter().find(fits).map_or(scale / 2, |&(radius, _)| radius * scale);
        let mut cloud = Self { width, height, pixel, radius, counts: Vec::new(), dense: 0 };
        cloud.counts = cloud.spread(&counts);
        cloud.dense = usual_maximum(&cloud.counts);
        cloud
    }

    /// How many of these points touch each pixel.
    pub fn count(&self, points: impl IntoIterator<Item = SpanId>) -> Vec<u32> {
        let mut counts = vec![0u32; self.counts.len()];
        for point in points {
            let pixel = self.pixel.get(point as usize).map_or(NOWHERE, |&p| p);
            if let Some(count) = counts.get_mut(pixel as usize) {
                *count += 1;
            }
        }
        self.spread(&counts)
    }

    /// Mean of a value of the points that touch each pixel (NaN where there are none).
    pub fn mean(&self, value: &dyn Fn(usize) -> f32) -> Vec<f32> {
        let mut sums = vec![0f32; self.counts.len()];
        for (point, &pixel) in self.pixel.iter().enumerate() {
            if let Some(sum) = sums.get_mut(pixel as usize) {
                *sum += value(point);
            }
        }
        self.spread(&sums).iter().zip(&self.counts).map(|(&sum, &n)| sum / n as f32).collect()
    }

    /// The number of points per pixel at which the density's colour scale ends.
    pub fn dense(&self) -> u32 {
        self.dense
    }

    /// How many points are in the picture.
    pub fn shown(&self) -> usize {
        self.pixel.iter().filter(|&&pixel| pixel != NOWHERE).count()
    }

    /// The point nearest to a pixel, not farther than `reach` pixels.
    pub fn nearest(&self, column: usize, row: usize, reach: usize) -> Option<SpanId> {
        let distance = |pixel: u32| {
            let (c, r) = (pixel as usize % self.width, pixel as usize / self.width);
            c.abs_diff(column).pow(2) + r.abs_diff(row).pow(2)
        };
        // Few pixels are near: look at them before any point.
        let rows = row.saturating_sub(reach)..(row + reach + 1).min(self.height);
        let columns = column.saturating_sub(reach)..(column + reach + 1).min(self.width);
        let mut near: Vec<u32> = rows
            .flat_map(|r| columns.clone().map(move |c| (r * self.width + c) as u32))
            .filter(|&p| distance(p) <= reach * reach && self.counts.get(p as usize).is_some_and(|&n| n > 0))
            .collect();
        near.sort_by_key(|&p| distance(p));
        let rank = |pixel: u32| near.iter().position(|&p| p == pixel);
        let first = |low: usize, high: usize| {
            // One pass over all points, comparing rows first: most points are elsewhere.
            let (top, bottom) = (low as u32, high as u32);
            let candidates = self.pixel.iter().enumerate().filter(move |&(_, &p)| p >= top && p <= bottom);
            candidates.filter_map(|(point, &p)| Some((rank(p)?, point))).min()
        };
        let (low, high) = (near.iter().min()?, near.iter().max()?);
        first(*low as usize, *high as usize).map(|(_, point)| point as SpanId)
    }

    /// Lets every point touch all pixels of its dot.
    fn spread<T: Copy + Default + std::ops::AddAssign + PartialEq>(&self, single: &[T]) -> Vec<T> {
        if self.radius == 0 {
            return single.to_vec();
        }
        let dot = dot(self.radius);
        let mut out = vec![T::default(); single.len()];
        for (pixel, &value) in single.iter().enumerate().filter(|(_, v)| **v != T::default()) {
            let (column, row) = ((pixel % self.width) as isize, (pixel / self.width) as isize);
            for (dx, dy) in &dot {
                let (x, y) = (column + dx, row + dy);
                if (0..self.width as isize).contains(&x) && (0..self.height as isize).contains(&y) {
                    out[y as usize * self.width + x as usize] += value;
                }
            }
        }
        out
    }

    /// Density on a logarithmic scale, as RGBA bytes; transparent where no point is.
    pub fn paint_density(&self, ground: Ground) -> Vec<u8> {
        let scale = LogScale::up_to(self.dense);
        let ramp: Vec<Rgb> = (0..=255).map(|i| ground.emphasis(i as f32 / 255.0)).collect();
        self.paint(|_, count| ramp[(scale.of(count) * 255.0) as usize])
    }

    /// A mean value per pixel ([`Cloud::mean`]); what lies at `strong` stands out most, what lies at
    /// `weak` least.
    pub fn paint_values(&self, values: &[f32], strong: f32, weak: f32, ground: Ground) -> Vec<u8> {
        let ramp: Vec<Rgb> = (0..=255).map(|i| ground.emphasis(i as f32 / 255.0)).collect();
        self.paint(|pixel, _| {
            let value = values.get(pixel).copied().unwrap_or(weak);
            let t = ((value - weak) / (strong - weak)).clamp(0.0, 1.0);
            ramp.get((t * 255.0) as usize).copied().unwrap_or_default()
        })
    }

    /// All points in greys, some groups ([`Cloud::count`]) in colours on top of them.
    pub fn paint_groups(&self, groups: &[(Vec<u32>, Rgb)], ground: Ground) -> Vec<u8> {
        let scale = LogScale::up_to(self.dense);
        let greys: Vec<Rgb> = (0..=255).map(|i| ground.plain(i as f32 / 255.0)).collect();
        self.paint(|pixel, count| {
            let grey = greys[(scale.of(count) * 255.0) as usize];
            groups.iter().fold(grey, |below, (counts, colour)| match counts.get(pixel) {
                None | Some(0) => below,
                Some(&n) => {
                    // A single one among thousands is still seen.
                    let share = 0.55 + 0.45 * scale.of(n) / scale.of(count).max(f32::MIN_POSITIVE);
                    mix(below, *colour, share.min(1.0))
                }
            })
        })
    }

    /// Where another picture of the same size is empty: where this cloud's points are, faintly.
    pub fn paint_behind(&self, rgba: &mut [u8], ground: Ground) {
        let [r, g, b] = ground.faint();
        for (out, &count) in rgba.as_chunks_mut::<4>().0.iter_mut().zip(&self.counts) {
            if count > 0 && out[3] == 0 {
                *out = [r, g, b, 255];
            }
        }
    }

    fn paint(&self, colour: impl Fn(usize, u32) -> Rgb) -> Vec<u8> {
        let mut rgba = vec![0u8; self.counts.len() * 4];
        for (pixel, (out, &count)) in rgba.as_chunks_mut::<4>().0.iter_mut().zip(&self.counts).enumerate() {
            if count > 0 {
                let [r, g, b] = colour(pixel, count);
                *out = [r, g, b, 255];
            }
        }
        rgba
    }
}

/// The pixels of a dot, relative to its middle.
fn dot(radius: usize) -> Vec<(isize, isize)> {
    let r = radius as isize;
    let square = (-r..=r).flat_map(|dy| (-r..=r).map(move |dx| (dx, dy)));
    square.filter(|(dx, dy)| dx * dx + dy * dy <= r * r + r / 2).collect()
}

/// The count that all but a few of the occupied pixels stay below.
fn usual_maximum(counts: &[u32]) -> u32 {
    let mut occupied: Vec<u32> = counts.iter().copied().filter(|&n| n > 0).collect();
    let Some(last) = occupied.len().checked_sub(1) else { return 0 };
    let at = (last as f32 * USUAL).ceil() as usize;
    *occupied.select_nth_unstable(at.min(last)).1
}

fn mix(below: Rgb, above: Rgb, share: f32) -> Rgb {
    let mut out = below;
    for (out, above) in out.iter_mut().zip(above) {
        *out = (f32::from(*out) * (1.0 - share) + f32::from(above) * share + 0.5) as u8;
    }
    out
}

/// Counts to 0..=1 by their logarithm.
struct LogScale {
    /// Most counts are small, and logarithms slow.
    small: Vec<f32>,
    per_unit: f32,
}

impl LogScale {
    fn up_to(highest: u32) -> Self {
        let per_unit = 1.0 / (1.0 + highest as f32).ln().max(f32::MIN_POSITIVE);
        let small = (0..256).map(|n| ((1.0 + n as f32).ln() * per_unit).min(1.0)).collect();
        Self { small, per_unit }
    }

    fn of(&self, count: u32) -> f32 {
        match self.small.get(count as usize) {
            Some(&t) => t,
            None => ((1.0 + count as f32).ln() * self.per_unit).min(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: Extent = Extent { x: (0.0, 1.0), y: (0.0, 1.0) };

    fn many(points: &[(f32, f32)]) -> Cloud {
        Cloud::new(points.iter().map(|&(x, y)| (x, y, true)), UNIT, (10, 10), 0)
    }

    #[test]
    fn points_fall_where_they_belong() {
        let cloud = many(&[(0.0, 0.0), (1.0, 1.0), (0.05, 0.05), (f32::NAN, 0.5), (1.1, 0.5)]);
        assert_eq!(cloud.counts[90], 2, "the lower left corner is in the last row");
        assert_eq!(cloud.counts[9], 1);
        assert_eq!(cloud.counts.iter().sum::<u32>(), 3);
        assert_eq!(cloud.count([0, 3, 99])[90], 1);
        assert_eq!(cloud.mean(&|point| point as f32)[90], 1.0);
    }

    #[test]
    fn one_crowded_pixel_does_not_set_the_scale() {
        let crowd = std::iter::repeat_n((0.0, 0.0, true), 10_000);
        let others = (0..1_000).map(|i| ((i % 100) as f32 / 100.0 + 0.005, (i / 100 + 1) as f32 / 20.0, true));
        let cloud = Cloud::new(crowd.chain(others), UNIT, (100, 100), 0);
        assert_eq!(cloud.dense(), 1);
    }

    #[test]
    fn few_points_are_dots() {
        let cloud = Cloud::new([(0.5, 0.5, true), (0.1, 0.1, false)].into_iter(), UNIT, (10, 10), 1);
        assert_eq!(cloud.counts.iter().filter(|&&n| n == 1).count(), 21);
        let rgba = cloud.paint_density(Ground::Light);
        assert_eq!(rgba.as_chunks::<4>().0.iter().filter(|p| p[3] == 255).count(), 21);
    }

    #[test]
    fn the_nearest_point_is_found_within_reach() {
        let cloud = many(&[(0.15, 0.95), (0.55, 0.55), (0.65, 0.55)]);
        assert_eq!(cloud.nearest(5, 4, 3), Some(1));
        assert_eq!(cloud.nearest(7, 4, 3), Some(2));
        assert_eq!(cloud.nearest(0, 0, 3), Some(0));
        assert_eq!(cloud.nearest(0, 9, 3), None);
    }

    #[test]
    fn what_is_not_selected_stands_behind() {
        let x = [0.05, 0.95];
        let cloud = |shown: fn(SpanId) -> bool| Cloud::of_columns((&x, &x), shown, UNIT, (10, 10), 0);
        let mut rgba = cloud(|span| span == 1).paint_density(Ground::Light);
        let selected = rgba[9 * 4..10 * 4].to_vec();
        cloud(|_| true).paint_behind(&mut rgba, Ground::Light);
        assert_eq!(rgba[9 * 4..10 * 4], selected);
        assert_eq!(rgba[90 * 4..90 * 4 + 3], Ground::Light.faint());
        assert_eq!(rgba.as_chunks::<4>().0.iter().filter(|p| p[3] > 0).count(), 2);
    }

    #[test]
    fn groups_are_drawn_over_the_rest() {
        let cloud = many(&[(0.05, 0.95), (0.95, 0.95)]);
        let red = Ground::Light.removed();
        let rgba = cloud.paint_groups(&[(cloud.count([1]), red)], Ground::Light);
        assert_eq!(rgba[9 * 4..9 * 4 + 3], red);
        assert_eq!(rgba[0], rgba[1]);
    }
}
