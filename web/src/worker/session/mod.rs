//! An open file in the worker, and the answers to requests about it.

mod detail;
mod figures;
mod lists;
mod map;
mod review;
mod saving;
mod unjudged;

use std::cell::OnceCell;

use explorer::compare::Other;
use explorer::filter::{Facts, Filter, Selection};
use explorer::groups::GroupBy;
use explorer::queue::{any, as_it_stands};
use explorer::review::{Review, add};
use explorer::reviewers;
use explorer::sources::Sources;
use explorer::tally::Tally;
use shared::corpus::labels::LabelId;
use shared::corpus::span::SpanId;
use shared::detection::judge::Judge;
use shared::detection::threshold::{Metric, Settings};
use shared::metrics::Window;
use shared::report::histogram::common_range;

use self::lists::Sorted;
use self::map::Clouds;
pub use self::saving::Exported;
pub use self::unjudged::Unjudged;
use super::form_cache::FormCache;
use super::recording::Recording;
use super::source::Source;
use crate::protocol::{Change, Compared, FormQuery, Look, MapQuery, Query, Reviewing, RowQuery, Seen};

/// An opened file.
pub struct Session {
    file: String,
    recording: Recording,
    judge: Judge,
    gold: Option<Vec<LabelId>>,
    tally: Tally,
    sources: Sources,
    settings: Settings,
    review: Review,
    rows: Option<RowQuery>,
    /// The list in the order that was asked for last, unless that is the usual one.
    sorted: Option<Sorted>,
    /// The alphabetical ranks of all spans. Empty until a list is first sorted by words.
    alphabet: OnceCell<Vec<u32>>,
    detail: Option<SpanId>,
    map: Option<(MapQuery, Clouds)>,
    filter: Filter,
    /// `None` without a filter.
    selection: Option<Selection>,
    /// Whether the page still needs the histograms.
    histograms_are_new: bool,
    /// `None` until surface forms are first shown.
    forms: Option<FormCache>,
    form_rows: Option<FormQuery>,
    /// `None` if the page shows no groups.
    grouped: Option<GroupBy>,
    reviewing: Reviewing,
    /// Spans that the merged reviewers disagree about.
    disputed: Vec<SpanId>,
    other: Option<Other>,
    /// Whether the page still needs the agreement.
    other_is_new: bool,
    /// Spans that are judged differently in the other recording, under the current settings.
    flips: Vec<SpanId>,
    /// The settings that the page's curves belong to: window, metric and two switches.
    curves: Option<(Window, Metric, [bool; 2])>,
}

/// The effects of a change.
#[derive(Clone, Copy)]
struct Changed {
    /// Whether settings, decisions or notes may have changed.
    decides: bool,
    /// Whether other spans may pass the filter now.
    filtered: bool,
    /// Whether the people who review may have changed.
    is_reviewed: bool,
}

impl Session {
    /// Starts a comparison with another recording of the same corpus, under that recording's automatic settings.
    pub async fn compare(&mut self, file: String, source: Source) -> Result<Compared, String> {
        let (recording, measured) = Recording::open(source, false).await?;
        let (judge, settings) = recording.judge(measured)?;
        let dynamics = recording.dynamics;
        let other = Other::new(&self.recording.dynamics, &dynamics, &judge, &settings).map_err(|e| e.to_string())?;
        let aum = common_range(&other.aum);
        (self.other, self.other_is_new) = (Some(other), true);
        let info = dynamics.info;
        Ok(Compared { file, encoder: info.encoder, seed: info.seed, aum })
    }

    /// Changes the view. Returns everything that changed, and the pixels of the data map if it changed.
    pub async fn look(&mut self, Look { change, query }: Look) -> Result<(Seen, Option<Vec<u8>>), String> {
        let mut seen = Seen::default();
        let changed = self.change(change, &mut seen).await;
        let pixels = self.answer(query, changed, &mut seen);
        Ok((seen, pixels))
    }

    /// Makes a change, and adds what follows from it to `seen`.
    async fn change(&mut self, change: Change, seen: &mut Seen) -> Changed {
        let decides = change.settings.is_some() || !change.by_hand.is_empty() || change.notes.is_some();
        let are_lists_new = change.settings.is_some();
        let mut moved = false;
        if let Some(settings) = change.settings {
            match self.judge_by(settings).await {
                Ok(is_other) => moved = is_other,
                // The other parts of the request still apply.
                Err(reason) => seen.refused = Some((reason, Box::new(self.settings.clone()))),
            }
        }
        for (span, decision) in change.by_hand {
            match decision {
                Some(decision) => self.review.by_hand.insert(span, decision),
                None => self.review.by_hand.remove(&span),
            };
        }
        self.review.notes = change.notes.unwrap_or_else(|| std::mem::take(&mut self.review.notes));
        add(&mut self.review.sampled, &change.sampled);
        let is_reviewed = change.reviewing.is_some();
        if let Some(reviewing) = change.reviewing {
            self.disputed = reviewers::disputed(&reviewing.reviewers);
            self.reviewing = reviewing;
        }
        if change.forget_other {
            self.other = None;
            self.flips.clear();
        }
        if let Some(other) = &self.other
            && (decides || moved || std::mem::take(&mut self.other_is_new))
        {
            let judgement = self.judge.under(&self.settings);
            self.flips = other.flips(&judgement, &self.review.by_hand);
            seen.agreement = Some(other.agreement(&judgement, &self.review.by_hand));
        }
        let is_decided_anew = decides || change.forget_other || seen.agreement.is_some();
        if is_decided_anew {
            // The list of forms may have an earlier filter than the current one. So it is told about every new
            // decision.
            self.forms.iter_mut().for_each(FormCache::forget_decisions);
        }
        let decision_counts = self.filter.decided.is_some() && (is_decided_anew || is_reviewed);
        let filtered = change.filter.is_some() || moved || decision_counts;
        self.filter = change.filter.unwrap_or_else(|| std::mem::take(&mut self.filter));
        if filtered {
            self.selection = self.select(&self.filter);
            seen.passing = Some(self.selection.as_ref().map_or(self.judge.index.len(), Selection::len));
        }
        if self.histograms_are_new || moved {
            seen.matrices = Some(self.matrices());
        }
        if std::mem::take(&mut self.histograms_are_new) || filtered {
            seen.histograms = Some(self.histograms());
            seen.aum = Some(common_range(&self.judge.metrics.aum));
        }
        if decides {
            seen.figures = Some(self.figures());
            seen.curves = self.curves();
        }
        if are_lists_new || filtered {
            self.sorted = None;
        }
        Changed { decides, filtered, is_reviewed }
    }

    /// Adds everything that was asked for, or that has changed, to `seen`. Returns the pixels of the data map if it
    /// changed.
    fn answer(&mut self, query: Query, changed: Changed, seen: &mut Seen) -> Option<Vec<u8>> {
        let Changed { decides, filtered, is_reviewed } = changed;
        if query.rows.is_some() || decides || filtered {
            self.rows = query.rows.or(self.rows);
            seen.rows = self.rows.map(|query| self.rows(query));
        }
        if query.forms.is_some() || decides || filtered {
            self.form_rows = query.forms.or(self.form_rows).filter(|query| query.limit > 0);
            seen.forms = self.form_rows.map(|query| self.form_rows(query));
        }
        // Groups are not sent after every decision, because a dragged threshold would group the spans again in every
        // frame. The page itself asks for them again after decisions.
        if query.groups.is_some() || filtered {
            self.grouped = query.groups.unwrap_or(self.grouped);
            seen.groups = self.grouped.map(|by| self.groups(by));
        }
        let decided = query.decided_alike.into_iter();
        seen.decided_alike = decided.filter_map(|(alike, decision)| self.spans_like(alike, decision)).collect();
        seen.bulk = query.bulk.map(|query| self.bulk(query));
        let mut pixels = None;
        if let Some((map, rgba)) = self.look_at_map(query.map, filtered, decides) {
            seen.map = Some(map);
            pixels = Some(rgba);
        }
        let mut detail = query.detail;
        if let Some(skipped) = query.next {
            let next = self.next(&skipped);
            seen.next = Some(next);
            detail = next.map(|next| next.span).or(detail);
        }
        if let Some(seed) = query.sample {
            let found = any(&self.judge.under(&self.settings), &self.review, seed);
            add(&mut self.review.sampled, found.as_slice());
            seen.sampled = Some(found);
            detail = found.or(detail);
        }
        seen.settled = query.settle.and_then(|span| self.judge.index.span(span)).map(|span| {
            let judgement = self.judge.under(&self.settings);
            as_it_stands(&judgement, &self.review.by_hand, span.sentence)
        });
        if let Some(at) = query.pick {
            let found = self.at_pixel(at);
            self.detail = found.or(self.detail);
            seen.detail = Some(found.and_then(|span| self.detail(span)));
        } else if detail.is_some() || decides || is_reviewed {
            self.detail = detail.or(self.detail);
            seen.detail = self.detail.map(|span| self.detail(span));
        }
        if let Some(at) = query.hover {
            seen.hover = Some(self.at_pixel(at).and_then(|span| self.hover(at, span)));
        }
        pixels
    }

    /// Applies settings. Returns whether the window or the metric has changed.
    async fn judge_by(&mut self, settings: Settings) -> Result<bool, String> {
        let is_other = (settings.window, settings.metric) != (self.judge.window, self.judge.metric);
        if is_other {
            self.judge = self.recording.judge_again(&self.judge, settings.window, settings.metric).await?;
            self.tally = Tally::new(&self.judge, &self.recording.dynamics.corpus.labels, self.gold.as_deref());
            self.forms.iter_mut().for_each(FormCache::forget_judge);
        }
        self.settings = settings;
        Ok(is_other)
    }

    /// Returns the AUM of every span in the other recording; empty without a comparison.
    fn other_aum(&self) -> &[f32] {
        self.other.as_ref().map_or(&[], |other| &other.aum)
    }

    /// Returns the spans that pass a filter; `None` if the filter is empty.
    fn select(&self, filter: &Filter) -> Option<Selection> {
        let facts = Facts {
            judgement: &self.judge.under(&self.settings),
            by_hand: &self.review.by_hand,
            notes: &self.review.notes,
            differing: &self.flips,
            disputed: &self.disputed,
            other_aum: self.other_aum(),
            corpus: &self.recording.dynamics.corpus,
            gold: self.gold.as_deref(),
            fields: &self.sources.fields,
        };
        (!filter.is_empty()).then(|| Selection::new(filter, &facts))
    }
}
