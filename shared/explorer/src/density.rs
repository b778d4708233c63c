//! Draws clouds of any number of points: points are counted per pixel, and pixels are coloured.

use lanes::Grid;
use serde::{Deserialize, Serialize};

use crate::colour::{Ground, Rgb, mix};
use crate::sort::by_key;
use shared::corpus::span::SpanId;

/// The part of the plane that a picture shows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Extent {
    /// Left and right edge.
    pub x: (f32, f32),
    /// Lower and upper edge.
    pub y: (f32, f32),
}

impl Extent {
    /// Zooms this part: its width and height are multiplied by `factor`, the given point stays in place, and the
    /// result is inside `whole`.
    #[must_use]
    pub fn zoomed(self, factor: f32, (x, y): (f32, f32), whole: Self) -> Self {
        let scaled = |(low, high): (f32, f32), at: f32, (least, most): (f32, f32)| {
            // Below a thousandth of the width, only single points would be visible.
            let width = ((high - low) * factor).max((most - least) * 1e-3);
            placed(at - (at - low) / (high - low) * width, width, (least, most))
        };
        Self { x: scaled(self.x, x, whole.x), y: scaled(self.y, y, whole.y) }
    }

    /// Moves this part to the right and up, but not out of `whole`. Its size stays the same.
    #[must_use]
    pub fn moved(self, (x, y): (f32, f32), whole: Self) -> Self {
        let moved = |(low, high): (f32, f32), by: f32, whole| placed(low + by, high - low, whole);
        Self { x: moved(self.x, x, whole.x), y: moved(self.y, y, whole.y) }
    }
}

/// A range of this width that begins at `start`, or as near to it as the limits allow.
fn placed(start: f32, width: f32, (least, most): (f32, f32)) -> (f32, f32) {
    if width >= most - least {
        return (least, most);
    }
    // If the plane is very large, `most - width` may be rounded below `least`.
    let start = start.min(most - width).max(least);
    (start, start + width)
}

/// Pairs of a dot's radius (in page pixels) and the largest share of the picture that such dots may cover. Single
/// points are hard to see, but large dots hide each other.
const DOTS: [(usize, f32); 2] = [(2, 0.35), (1, 0.5)];
/// Share of the occupied pixels below the end of the density's colour scale. In a learned corpus, nearly all spans
/// are in one corner. A scale up to that corner's count would make all other pixels look alike.
const USUAL: f32 = 0.995;

/// Points of the plane, one per span.
#[derive(Clone, Copy)]
pub struct Points<'a> {
    /// Horizontal position of each point.
    pub x: &'a [f32],
    /// Vertical position of each point.
    pub y: &'a [f32],
    /// Whether a point is shown; `None` to show all.
    pub shown: Option<&'a dyn Fn(SpanId) -> bool>,
}

impl Points<'_> {
    /// Calls `take` with every visible point in the picture and its pixel.
    fn each(self, grid: &Grid, mut take: impl FnMut(SpanId, usize)) {
        lanes::cells(grid, self.x, self.y, |first, cells| {
            for (span, &cell) in (first as SpanId..).zip(cells) {
                if cell != Grid::NOWHERE && self.is_shown(span) {
                    take(span, cell as usize);
                }
            }
        });
    }

    fn is_shown(self, span: SpanId) -> bool {
        self.shown.is_none_or(|shown| shown(span))
    }

    /// The pixel of a visible point; `None` if it is not in the picture.
    fn pixel(self, grid: &Grid, span: SpanId) -> Option<usize> {
        let cell = grid.cell(*self.x.get(span as usize)?, *self.y.get(span as usize)?);
        (cell != Grid::NOWHERE && self.is_shown(span)).then_some(cell as usize)
    }
}

/// The number of points on each pixel of a picture, row by row from the top. The points are not stored: the
/// methods need the same points again.
#[derive(Debug, Clone)]
pub struct Cloud {
    grid: Grid,
    /// Radius of a dot, in pixels of the picture.
    radius: usize,
    counts: Vec<u32>,
    dense: u32,
    shown: usize,
}

impl Cloud {
    /// Makes a cloud of points in a picture of `width` × `height` pixels. It leaves out points that are outside
    /// the extent or not a number. `scale` is the number of device pixels per page pixel.
    pub fn new(points: Points, extent: Extent, (width, height): (usize, usize), scale: usize) -> Self {
        let grid = Grid { x: extent.x, y: extent.y, width: width.max(1) as u32, height: height.max(1) as u32 };
        let mut counts = vec![0u32; grid.width as usize * grid.height as usize];
        let mut shown = 0;
        points.each(&grid, |_, pixel| {
            if let Some(count) = counts.get_mut(pixel) {
                *count += 1;
                shown += 1;
            }
        });
        let occupied = counts.iter().filter(|&&n| n > 0).count();
        let fits = |&&(radius, share): &&(usize, f32)| {
            (occupied * dot(radius * scale).len()) as f32 <= share * counts.len() as f32
        };
        let radius = DOTS.iter().find(fits).map_or(scale / 2, |&(radius, _)| radius * scale);
        let mut cloud = Self { grid, radius, counts: Vec::new(), dense: 0, shown };
        cloud.counts = cloud.spread(&counts);
        cloud.dense = usual_maximum(&cloud.counts);
        cloud
    }

    /// The number of these spans' points that touch each pixel.
    pub fn count(&self, points: Points, spans: impl IntoIterator<Item = SpanId>) -> Vec<u32> {
        let mut counts = vec![0u32; self.counts.len()];
        for span in spans {
            if let Some(count) = points.pixel(&self.grid, span).and_then(|pixel| counts.get_mut(pixel)) {
                *count += 1;
            }
        }
        self.spread(&counts)
    }

    /// The mean of a value over the points that touch each pixel; NaN if there are none.
    pub fn mean(&self, points: Points, value: &dyn Fn(usize) -> f32) -> Vec<f32> {
        let mut sums = vec![0f32; self.counts.len()];
        points.each(&self.grid, |span, pixel| {
            if let Some(sum) = sums.get_mut(pixel) {
                *sum += value(span as usize);
            }
        });
        self.spread(&sums).iter().zip(&self.counts).map(|(&sum, &n)| sum / n as f32).collect()
    }

    /// The number of points per pixel at which the density's colour scale ends.
    pub fn dense(&self) -> u32 {
        self.dense
    }

    /// Number of points in the picture.
    pub fn shown(&self) -> usize {
        self.shown
    }

    /// The point nearest to a pixel, at most `reach` pixels away.
    pub fn nearest(&self, points: Points, column: usize, row: usize, reach: usize) -> Option<SpanId> {
        let (width, height) = (self.grid.width as usize, self.grid.height as usize);
        let distance = |pixel: usize| (pixel % width).abs_diff(column).pow(2) + (pixel / width).abs_diff(row).pow(2);
        // Only a few pixels are near, so they are checked before the points.
        let rows = row.saturating_sub(reach)..(row + reach + 1).min(height);
        let columns = column.saturating_sub(reach)..(column + reach + 1).min(width);
        let near = rows
            .flat_map(|r| columns.clone().map(move |c| r * width + c))
            .filter(|&p| distance(p) <= reach * reach && self.counts.get(p).is_some_and(|&n| n > 0));
        let near: Vec<usize> =
            by_key(near.map(|p| (distance(p) as u32, p as u32))).into_iter().map(|p| p as usize).collect();
        let rank = |pixel: usize| near.iter().position(|&p| p == pixel);
        let (low, high) = (*near.iter().min()?, *near.iter().max()?);
        let mut first: Option<(usize, SpanId)> = None;
        points.each(&self.grid, |span, pixel| {
            // The range of rows is compared first, because most points are elsewhere.
            if (low..=high).contains(&pixel)
                && let Some(rank) = rank(pixel)
                && first.is_none_or(|best| (rank, span) < best)
            {
                first = Some((rank, span));
            }
        });
        first.map(|(_, span)| span)
    }

    /// Spreads each value over all pixels of its dot.
    fn spread<T: Copy + Default + std::ops::AddAssign + PartialEq>(&self, single: &[T]) -> Vec<T> {
        if self.radius == 0 {
            return single.to_vec();
        }
        let (width, height) = (self.grid.width as usize, self.grid.height as usize);
        let dot = dot(self.radius);
        let mut out = vec![T::default(); single.len()];
        for (pixel, &value) in single.iter().enumerate().filter(|(_, v)| **v != T::default()) {
            let (column, row) = ((pixel % width) as isize, (pixel / width) as isize);
            for (dx, dy) in &dot {
                let (x, y) = (column + dx, row + dy);
                if (0..width as isize).contains(&x) && (0..height as isize).contains(&y) {
                    out[y as usize * width + x as usize] += value;
                }
            }
        }
        out
    }

    /// Paints the density on a logarithmic scale, as RGBA bytes. Pixels without points are transparent.
    pub fn paint_density(&self, ground: Ground) -> Vec<u8> {
        let scale = LogScale::up_to(self.dense);
        let ramp: Vec<Rgb> = (0..=255).map(|i| ground.emphasis(i as f32 / 255.0)).collect();
        self.paint(|_, count| ramp[(scale.of(count) * 255.0) as usize])
    }

    /// Paints a mean value per pixel (see [`Cloud::mean`]). Values at `strong` stand out most, values at `weak`
    /// least.
    pub fn paint_values(&self, values: &[f32], strong: f32, weak: f32, ground: Ground) -> Vec<u8> {
        let ramp: Vec<Rgb> = (0..=255).map(|i| ground.emphasis(i as f32 / 255.0)).collect();
        self.paint(|pixel, _| {
            let value = values.get(pixel).copied().unwrap_or(weak);
            let t = ((value - weak) / (strong - weak)).clamp(0.0, 1.0);
            ramp.get((t * 255.0) as usize).copied().unwrap_or_default()
        })
    }

    /// Paints all points in greys, and groups (see [`Cloud::count`]) in colours on top of them.
    pub fn paint_groups(&self, groups: &[(Vec<u32>, Rgb)], ground: Ground) -> Vec<u8> {
        let scale = LogScale::up_to(self.dense);
        let greys: Vec<Rgb> = (0..=255).map(|i| ground.plain(i as f32 / 255.0)).collect();
        self.paint(|pixel, count| {
            let grey = greys[(scale.of(count) * 255.0) as usize];
            groups.iter().fold(grey, |below, (counts, colour)| match counts.get(pixel) {
                None | Some(0) => below,
                Some(&n) => {
                    // Even a single point among thousands is visible.
                    let share = 0.55 + 0.45 * scale.of(n) / scale.of(count).max(f32::MIN_POSITIVE);
                    mix(below, *colour, share.min(1.0))
                }
            })
        })
    }

    /// Paints this cloud's points faintly, where another picture of the same size is empty.
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

/// The pixels of a dot, relative to its centre.
fn dot(radius: usize) -> Vec<(isize, isize)> {
    let r = radius as isize;
    let square = (-r..=r).flat_map(|dy| (-r..=r).map(move |dx| (dx, dy)));
    square.filter(|(dx, dy)| dx * dx + dy * dy <= r * r + r / 2).collect()
}

/// The count that nearly all occupied pixels do not exceed.
fn usual_maximum(counts: &[u32]) -> u32 {
    let mut occupied: Vec<u32> = counts.iter().copied().filter(|&n| n > 0).collect();
    let Some(last) = occupied.len().checked_sub(1) else { return 0 };
    let at = (last as f32 * USUAL).ceil() as usize;
    *occupied.select_nth_unstable(at.min(last)).1
}

/// Maps counts to 0..=1 by their logarithm.
struct LogScale {
    /// Values of small counts. Most counts are small, and logarithms are slow.
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

    /// Points, and the cloud of those that are shown.
    struct Example {
        x: Vec<f32>,
        y: Vec<f32>,
        shown: fn(SpanId) -> bool,
        cloud: Cloud,
    }

    impl Example {
        fn new(points: &[(f32, f32)], shown: fn(SpanId) -> bool, size: usize, scale: usize) -> Self {
            let (x, y): (Vec<f32>, Vec<f32>) = points.iter().copied().unzip();
            let cloud = Cloud::new(Points { x: &x, y: &y, shown: Some(&shown) }, UNIT, (size, size), scale);
            Self { x, y, shown, cloud }
        }

        fn points(&self) -> Points<'_> {
            Points { x: &self.x, y: &self.y, shown: Some(&self.shown) }
        }
    }

    fn many(points: &[(f32, f32)]) -> Example {
        Example::new(points, |_| true, 10, 0)
    }

    #[test]
    fn a_part_of_the_plane_stays_inside() {
        let part = |x, y| Extent { x, y };
        let whole = part((0.0, 8.0), (-4.0, 4.0));
        let half = whole.zoomed(0.5, (2.0, 0.0), whole);
        assert_eq!(half, part((1.0, 5.0), (-2.0, 2.0)), "the point stays at a quarter of the width");
        assert_eq!(half.moved((1.0, -1.0), whole), part((2.0, 6.0), (-3.0, 1.0)));
        assert_eq!(half.moved((99.0, -99.0), whole), part((4.0, 8.0), (-4.0, 0.0)));
        assert_eq!(half.moved((-99.0, 99.0), whole), part((0.0, 4.0), (0.0, 4.0)));
        assert_eq!(half.zoomed(0.5, (1.0, -2.0), whole), part((1.0, 3.0), (-2.0, 0.0)));
        assert_eq!(half.zoomed(3.0, (2.0, 0.0), whole), whole);
        assert_eq!(whole.moved((1.0, 1.0), whole), whole);
        let nearest = (0..99).fold(whole, |now, _| now.zoomed(0.5, (8.0, 4.0), whole));
        assert_eq!((nearest.x.1, nearest.y.1), (8.0, 4.0));
        assert!(nearest.x.1 - nearest.x.0 >= 8e-3 * 0.99);
    }

    #[test]
    fn points_fall_where_they_belong() {
        let example = many(&[(0.0, 0.0), (1.0, 1.0), (0.05, 0.05), (f32::NAN, 0.5), (1.1, 0.5)]);
        let (cloud, points) = (&example.cloud, example.points());
        assert_eq!(cloud.counts[90], 2, "the lower left corner is in the last row");
        assert_eq!(cloud.counts[9], 1);
        assert_eq!((cloud.counts.iter().sum::<u32>(), cloud.shown()), (3, 3));
        assert_eq!(cloud.count(points, [0, 3, 99])[90], 1);
        assert_eq!(cloud.mean(points, &|point| point as f32)[90], 1.0);
        // If a metric is not known, there are no points.
        let half = Points { x: &[], ..points };
        let nowhere = Cloud::new(half, UNIT, (10, 10), 0);
        assert_eq!((nowhere.shown(), nowhere.count(half, [0, 1])), (0, vec![0; 100]));
    }

    #[test]
    fn one_crowded_pixel_does_not_set_the_scale() {
        let crowd = std::iter::repeat_n((0.0, 0.0), 10_000);
        let others = (0..1_000).map(|i| ((i % 100) as f32 / 100.0 + 0.005, (i / 100 + 1) as f32 / 20.0));
        let points: Vec<_> = crowd.chain(others).collect();
        assert_eq!(Example::new(&points, |_| true, 100, 0).cloud.dense(), 1);
    }

    #[test]
    fn few_points_are_dots() {
        let Example { cloud, .. } = Example::new(&[(0.5, 0.5), (0.1, 0.1)], |span| span == 0, 10, 1);
        assert_eq!(cloud.counts.iter().filter(|&&n| n == 1).count(), 21);
        let rgba = cloud.paint_density(Ground::Light);
        assert_eq!(rgba.as_chunks::<4>().0.iter().filter(|p| p[3] == 255).count(), 21);
    }

    #[test]
    fn the_nearest_point_is_found_within_reach() {
        let example = many(&[(0.15, 0.95), (0.55, 0.55), (0.65, 0.55), (0.56, 0.56)]);
        let nearest = |column, row, reach| example.cloud.nearest(example.points(), column, row, reach);
        assert_eq!(nearest(5, 4, 3), Some(1));
        assert_eq!(nearest(7, 4, 3), Some(2));
        assert_eq!(nearest(0, 0, 3), Some(0));
        assert_eq!(nearest(0, 9, 3), None);
        let hidden = Example::new(&[(0.15, 0.95), (0.55, 0.55)], |span| span == 0, 10, 0);
        assert_eq!(hidden.cloud.nearest(hidden.points(), 5, 4, 3), None);
    }

    #[test]
    fn what_is_not_selected_stands_behind() {
        let cloud = |shown: fn(SpanId) -> bool| Example::new(&[(0.05, 0.05), (0.95, 0.95)], shown, 10, 0).cloud;
        let mut rgba = cloud(|span| span == 1).paint_density(Ground::Light);
        let selected = rgba[9 * 4..10 * 4].to_vec();
        cloud(|_| true).paint_behind(&mut rgba, Ground::Light);
        assert_eq!(rgba[9 * 4..10 * 4], selected);
        assert_eq!(rgba[90 * 4..90 * 4 + 3], Ground::Light.faint());
        assert_eq!(rgba.as_chunks::<4>().0.iter().filter(|p| p[3] > 0).count(), 2);
    }

    #[test]
    fn groups_are_drawn_over_the_rest() {
        let example = many(&[(0.05, 0.95), (0.95, 0.95)]);
        let (cloud, red) = (&example.cloud, Ground::Light.removed());
        let rgba = cloud.paint_groups(&[(cloud.count(example.points(), [1]), red)], Ground::Light);
        assert_eq!(rgba[9 * 4..9 * 4 + 3], red);
        assert_eq!(rgba[0], rgba[1]);
    }
}
