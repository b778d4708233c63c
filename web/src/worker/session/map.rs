//! The data map: its pixels, and the span at a pixel.

use explorer::colour::Ground;
use explorer::density::{Cloud, Points};
use shared::corpus::decision::{Decision, Side};
use shared::corpus::span::SpanId;

use super::Session;
use super::lists::SHORT;
use crate::protocol::{Colouring, Hover, Map, MapQuery};

/// A click finds a span within this many CSS pixels.
const REACH: u32 = 12;

/// The spans that pass the filter. If there is a filter, also all spans.
pub(super) struct Clouds {
    pub(super) passing: Cloud,
    pub(super) all: Option<Cloud>,
}

impl Session {
    /// Returns the visible span nearest to a pixel of the data map.
    pub(super) fn at_pixel(&self, (column, row): (u32, u32)) -> Option<SpanId> {
        let (query, clouds) = self.map.as_ref()?;
        let reach = (REACH * query.scale) as usize;
        self.with_points(query, |points| clouds.passing.nearest(points, column as usize, row as usize, reach))
    }

    pub(super) fn hover(&self, at: (u32, u32), id: SpanId) -> Option<Hover> {
        let index = id as usize;
        let judgement = self.judge.under(&self.settings);
        Some(Hover {
            at,
            text: self.in_context(self.judge.index.span(id)?, SHORT),
            distant: *self.judge.assigned.get(index)?,
            predicted: self.judge.predicted(id),
            aum: *self.judge.metrics.aum.get(index)?,
            decision: self.review.by_hand.get(&id).copied().unwrap_or_else(|| judgement.decide(id)),
        })
    }

    /// Returns the data map if the query is new or the content of the map has changed.
    pub(super) fn look_at_map(
        &mut self,
        query: Option<MapQuery>,
        moved: bool,
        decides: bool,
    ) -> Option<(Map, Vec<u8>)> {
        let before = self.map.take();
        let new = query.or(before.as_ref().map(|(query, _)| *query))?;
        let clouds = match before {
            Some((old, clouds)) if !moved && same_places(&old, &new) => clouds,
            _ => self.clouds(&new),
        };
        let shows_decisions = new.colouring == Colouring::Decision;
        let changed = query.is_some() || moved || (decides && shows_decisions);
        let painted = changed.then(|| {
            let (ramp, mut rgba) = self.paint(&new, &clouds.passing);
            if let Some(all) = &clouds.all {
                all.paint_behind(&mut rgba, new.ground);
            }
            (Map { query: new, ramp, shown: clouds.passing.shown() }, rgba)
        });
        self.map = Some((new, clouds));
        painted
    }

    /// Passes the points of a data map to `look`. Only spans that pass the filter are shown.
    pub(super) fn with_points<T>(&self, query: &MapQuery, look: impl FnOnce(Points) -> T) -> T {
        let [x, y] = [query.axes.x, query.axes.y].map(|axis| axis.column(&self.judge.metrics, self.other_aum()));
        let passes = |span: SpanId| self.selection.as_ref().is_none_or(|selection| selection.contains(span));
        look(Points { x: &x, y: &y, shown: self.selection.is_some().then_some(&passes) })
    }

    pub(super) fn clouds(&self, query: &MapQuery) -> Clouds {
        self.with_points(query, |points| Clouds {
            passing: cloud(points, query),
            all: points.shown.map(|_| cloud(Points { shown: None, ..points }, query)),
        })
    }

    pub(super) fn paint(&self, query: &MapQuery, cloud: &Cloud) -> ((f32, f32), Vec<u8>) {
        self.with_points(query, |points| self.paint_points(query, cloud, points))
    }

    pub(super) fn paint_points(&self, query: &MapQuery, cloud: &Cloud, points: Points) -> ((f32, f32), Vec<u8>) {
        let ground: Ground = query.ground;
        let metrics = &self.judge.metrics;
        let values = |value: &dyn Fn(usize) -> f32, weak: f32, strong: f32| {
            ((weak, strong), cloud.paint_values(&cloud.mean(points, value), strong, weak, ground))
        };
        match query.colouring {
            Colouring::Density => density(cloud, query),
            Colouring::Aum => {
                let (low, high) = self.usual_aum(self.filter.side);
                values(&|span| metrics.aum.get(span).copied().unwrap_or(0.0), high, low)
            }
            Colouring::Correctness => {
                let epochs = self.judge.window.last.saturating_sub(self.judge.window.first) + 1;
                let value = |span: usize| metrics.correctness.get(span).map_or(0.0, |&c| f32::from(c));
                values(&value, epochs as f32, 0.0)
            }
            Colouring::Decision => {
                let (mut removed, mut relabelled) = (Vec::new(), Vec::new());
                let mut sort = |span: SpanId, decision: Decision| match decision {
                    Decision::Keep => {}
                    Decision::Remove => removed.push(span),
                    Decision::Relabel(_) => relabelled.push(span),
                };
                let judgement = self.judge.under(&self.settings);
                judgement.decided(&self.review.by_hand).into_iter().for_each(|(span, decision)| sort(span, decision));
                let groups = [
                    (cloud.count(points, removed), ground.removed()),
                    (cloud.count(points, relabelled), ground.relabelled()),
                ];
                ((0.0, 0.0), cloud.paint_groups(&groups, ground))
            }
            Colouring::Class => {
                let mut types: Vec<Vec<SpanId>> = vec![Vec::new(); self.judge.labels.n_types()];
                for (span, &label) in (0..).zip(&self.judge.assigned) {
                    if let Some(spans) = usize::from(label).checked_sub(1).and_then(|i| types.get_mut(i)) {
                        spans.push(span);
                    }
                }
                let types = types.into_iter().enumerate();
                let groups = types.map(|(i, spans)| (cloud.count(points, spans), ground.class(i)));
                ((0.0, 0.0), cloud.paint_groups(&groups.collect::<Vec<_>>(), ground))
            }
            Colouring::Gold => {
                let gold = self.gold.as_deref().unwrap_or_default();
                let pairs = (0..).zip(self.judge.assigned.iter().zip(gold));
                let wrong = pairs.filter(|(_, (label, gold))| label != gold).map(|(span, _)| span);
                ((0.0, 0.0), cloud.paint_groups(&[(cloud.count(points, wrong), ground.removed())], ground))
            }
        }
    }

    /// Returns the range of AUM that contains 98 % of the spans on the visible sides.
    pub(super) fn usual_aum(&self, side: Option<Side>) -> (f32, f32) {
        let aum = &self.judge.metrics.aum;
        let is_shown = |&span: &SpanId| side.is_none_or(|only| self.judge.side(span) == only);
        let spans: Vec<SpanId> = (0..aum.len() as SpanId).filter(is_shown).collect();
        let ranked = shared::ranked(spans, aum);
        let at = |rank: Option<usize>| rank.and_then(|rank| aum.get(*ranked.get(rank)? as usize)).copied();
        let cut = ranked.len() / 100;
        at(Some(cut)).zip(at(ranked.len().checked_sub(cut + 1))).unwrap_or((0.0, 1.0))
    }
}

pub(super) fn cloud(points: Points, query: &MapQuery) -> Cloud {
    Cloud::new(points, query.extent, (query.width as usize, query.height as usize), query.scale as usize)
}

/// Returns the ends of the colour ramp, and the pixels.
pub(super) fn density(cloud: &Cloud, query: &MapQuery) -> ((f32, f32), Vec<u8>) {
    ((1.0, cloud.dense() as f32), cloud.paint_density(query.ground))
}

fn same_places(a: &MapQuery, b: &MapQuery) -> bool {
    (a.width, a.height, a.scale, a.axes, a.extent) == (b.width, b.height, b.scale, b.axes, b.extent)
}
