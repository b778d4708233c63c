//! An open file in the worker, and the answers to requests about it.

use std::collections::BTreeMap;

use explorer::bulk;
use explorer::colour::Ground;
use explorer::compare::Other;
use explorer::density::{Cloud, Points};
use explorer::export::Job;
use explorer::filter::{Facts, Filter, Selection};
use explorer::groups::{GroupBy, groups};
use explorer::listing::{Column, Order};
use explorer::matrix::Matrix;
use explorer::plots::distribution::SideHistogram;
use explorer::queue::{Next, Progress, any, as_it_stands};
use explorer::reasons;
use explorer::reviewers::{self, Reviewer};
use explorer::same_form::{SameForm, form_of, spans_of};
use explorer::sentence::Sentence;
use explorer::sort::{ascending, by_key};
use explorer::sources::Sources;
use explorer::tally::Tally;
use shared::cleaning::{Decisions, Override, clean, provenance, share};
use shared::corpus::decision::{Decision, Side};
use shared::corpus::labels::LabelId;
use shared::corpus::span::{Span, SpanId};
use shared::detection::dictionary_check::Contradicted;
use shared::detection::judge::{Judge, JudgeError};
use shared::detection::judgement::Judgement;
use shared::detection::ranking::Ascending;
use shared::detection::threshold::{Metric, Settings};
use shared::evaluation::quality::curve;
use shared::metrics::{Metrics, Window};
use shared::recording::dynamics::Dynamics;
use shared::report::histogram::{Histogram, common_range, range_of};
use shared::report::{Course, Findings};

use super::form_cache::FormCache;
use super::recording::{Measured, Recording};
use super::source::Source;
use crate::protocol::{
    Alike, Bulk, BulkQuery, Colouring, Compared, DecidedAlike, Detail, Export, Figures, FormQuery, FormRows, Groups,
    Hover, InContext, List, Look, Map, MapQuery, Opened, Probabilities, Quality, Reviewing, Row, RowQuery, Rows, Seen,
};

/// Bins of a histogram.
const BINS: usize = 160;
/// Tokens shown before and after a span in the table.
const CONTEXT: (usize, usize) = (7, 24);
/// Tokens shown before and after a span under the pointer, and in a sample.
const SHORT: (usize, usize) = (5, 5);
/// A click finds a span within this many CSS pixels.
const REACH: u32 = 12;
/// Spans in a sample.
const SAMPLE: usize = 10;
/// Points of a precision–recall curve.
const CURVE_POINTS: usize = 120;

/// A file for download.
pub enum Exported {
    /// A short text.
    Text {
        /// Proposed name.
        name: &'static str,
        /// Content.
        text: String,
    },
    /// A file that the page's second program writes.
    Job {
        /// Proposed name without extension.
        stem: String,
        /// What it writes.
        job: Job,
    },
}

/// A file that has been read but not judged.
pub struct Unjudged {
    file: String,
    recording: Recording,
    measured: Measured,
    map: Option<(MapQuery, Clouds)>,
}

impl Unjudged {
    /// Reads a file.
    pub async fn open(file: String, source: Source) -> Result<Self, String> {
        let (recording, measured) = Recording::open(source, true).await?;
        Ok(Self { file, recording, measured, map: None })
    }

    /// Returns the facts about the file that the page shows.
    pub fn opened(&self) -> Opened {
        let Dynamics { info, corpus, gold, contradicted, run, threshold_run, complete } = &self.recording.dynamics;
        let mut facts = vec![
            ("written by".to_owned(), info.written_by.clone()),
            ("seed".to_owned(), info.seed.to_string()),
            ("sentences".to_owned(), corpus.n_sentences().to_string()),
        ];
        facts.extend(info.settings.iter().cloned());
        facts.push(("digest".to_owned(), self.recording.digest.clone()));
        Opened {
            file: self.file.clone(),
            size: self.recording.size(),
            digest: self.recording.digest.clone(),
            name: info.name.clone(),
            encoder: info.encoder.clone(),
            facts,
            n_spans: self.measured.index.len(),
            n_epochs: run.epochs.len() as u32,
            labels: (0..=corpus.labels.n_types()).map(|l| corpus.labels.name(l as LabelId).to_owned()).collect(),
            has_gold: gold.is_some(),
            contradicted: Contradicted::of(contradicted),
            has_probabilities: self.measured.metrics.has_probabilities(),
            scheme: threshold_run.as_ref().map(|t| t.scheme),
            complete: *complete,
            course: Course::recorded(&self.recording.dynamics).epochs,
            automatic: self.measured.settings.clone(),
        }
    }

    /// Returns the requested data map if its colours need no judgement. So the map is shown before everything
    /// else.
    pub fn picture(&mut self, query: MapQuery) -> Option<(Map, Vec<u8>)> {
        if query.axes.compare() || query.colouring != Colouring::Density {
            return None;
        }
        let [x, y] = [query.axes.x, query.axes.y].map(|axis| axis.column(&self.measured.metrics, &[]));
        let points = Points { x: &x, y: &y, shown: None };
        let clouds = Clouds { passing: cloud(points, &query), all: None };
        let (ramp, rgba) = density(&clouds.passing, &query);
        let map = Map { query, ramp, shown: clouds.passing.shown() };
        self.map = Some((query, clouds));
        Some((map, rgba))
    }

    /// Judges the spans.
    pub fn judge(self) -> Result<Session, String> {
        let Self { file, recording, measured, map } = self;
        let (judge, settings) = recording.judge(measured)?;
        let gold = recording.dynamics.dense_gold(&judge.index);
        let corpus = &recording.dynamics.corpus;
        let tally = Tally::new(&judge, &corpus.labels, gold.as_deref());
        let sources = Sources::new(corpus, &judge.index, &judge.assigned, gold.as_deref());
        Ok(Session {
            file,
            recording,
            judge,
            gold,
            tally,
            sources,
            settings,
            by_hand: BTreeMap::new(),
            rows: None,
            sorted: None,
            detail: None,
            map,
            filter: Filter::default(),
            selection: None,
            histograms_are_new: true,
            forms: None,
            form_rows: None,
            grouped: None,
            reviewing: Reviewing::default(),
            disputed: Vec::new(),
            sampled: Vec::new(),
            other: None,
            other_is_new: false,
            flips: Vec::new(),
            curves: None,
        })
    }
}

fn cloud(points: Points, query: &MapQuery) -> Cloud {
    Cloud::new(points, query.extent, (query.width as usize, query.height as usize), query.scale as usize)
}

/// Returns the ends of the colour ramp, and the pixels.
fn density(cloud: &Cloud, query: &MapQuery) -> ((f32, f32), Vec<u8>) {
    ((1.0, cloud.dense() as f32), cloud.paint_density(query.ground))
}

/// An opened file.
pub struct Session {
    file: String,
    recording: Recording,
    judge: Judge,
    gold: Option<Vec<LabelId>>,
    tally: Tally,
    sources: Sources,
    settings: Settings,
    by_hand: BTreeMap<SpanId, Decision>,
    rows: Option<RowQuery>,
    /// The list in the order that was asked for last, unless that is the usual one.
    sorted: Option<Sorted>,
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
    /// Suggestions that were chosen at random.
    sampled: Vec<SpanId>,
    other: Option<Other>,
    /// Whether the page still needs the agreement.
    other_is_new: bool,
    /// Spans that are judged differently in the other recording, under the current settings.
    flips: Vec<SpanId>,
    /// The settings that the page's curves belong to: window, metric and two switches.
    curves: Option<(Window, Metric, [bool; 2])>,
}

/// A list in another order than the usual one.
struct Sorted {
    list: List,
    order: Order,
    spans: Vec<SpanId>,
}

/// The spans that pass the filter. If there is a filter, also all spans.
struct Clouds {
    passing: Cloud,
    all: Option<Cloud>,
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

    /// Returns the part of a link after `#`, and whether it includes the decisions by hand.
    pub fn link(&self) -> (String, bool) {
        share::fragment(&self.decisions())
    }

    /// Reads a `decisions.json` about this file. Returns its settings and its decisions by hand.
    pub fn read_decisions(&self, json: &[u8]) -> Result<(Settings, Vec<(SpanId, Decision)>), String> {
        let (decisions, by_hand) = self.parse_decisions(json)?;
        Ok((decisions.settings, by_hand))
    }

    /// Reads one person's `decisions.json`. Without a name inside, the person has the name of the file.
    pub fn reviewer(&self, file: &str, json: &[u8]) -> Result<Reviewer, String> {
        let (decisions, by_hand) = self.parse_decisions(json)?;
        let stem = file.strip_suffix(".json").unwrap_or(file);
        let name = decisions.reviewer.unwrap_or_else(|| stem.to_owned());
        Ok(Reviewer {
            name,
            decisions: by_hand.into_iter().map(|(span, decision)| self.plain(span, decision)).collect(),
        })
    }

    /// Returns the person at this page as a reviewer, if there are decisions.
    pub fn own(&self) -> Option<Reviewer> {
        let name = if self.reviewing.name.is_empty() { "you" } else { &self.reviewing.name };
        let decisions = self.by_hand.iter().map(|(&span, &decision)| self.plain(span, decision)).collect();
        (!self.by_hand.is_empty()).then(|| Reviewer { name: name.to_owned(), decisions })
    }

    /// A decision that gives a span its distant label keeps the label.
    fn plain(&self, span: SpanId, decision: Decision) -> (SpanId, Decision) {
        let label = self.judge.assigned.get(span as usize);
        (span, if label.is_some_and(|&label| decision.keeps(label)) { Decision::Keep } else { decision })
    }

    fn parse_decisions(&self, json: &[u8]) -> Result<(Decisions, Vec<(SpanId, Decision)>), String> {
        let labels = &self.recording.dynamics.corpus.labels;
        let decisions = Decisions::read(json, &self.recording.digest).map_err(|e| e.to_string())?;
        // Refuses spans, labels, epochs and probabilities that do not exist.
        decisions.resolve(&self.judge, labels).map_err(|e| e.to_string())?;
        let (Window { first, last }, n_epochs) = (decisions.settings.window, self.recording.dynamics.run.epochs.len());
        if first as usize > n_epochs {
            return Err(format!("it judges by epochs {first} to {last}, and there are {n_epochs}"));
        }
        if decisions.settings.metric == Metric::Confidence && !self.judge.metrics.has_probabilities() {
            return Err(JudgeError::NoProbabilities.to_string());
        }
        let ids = labels.ids();
        let by_hand = decisions.overrides.iter().filter_map(|(span, by_hand)| {
            let decision = match by_hand {
                Override::Keep => Decision::Keep,
                Override::Remove => Decision::Remove,
                Override::Relabel(name) => Decision::Relabel(*ids.get(name.as_str())?),
            };
            Some((self.judge.index.id(*span)?, decision))
        });
        let by_hand = by_hand.collect();
        Ok((decisions, by_hand))
    }

    /// Changes the view. Returns everything that changed, and the pixels of the data map if it changed.
    pub async fn look(&mut self, look: Look) -> Result<(Seen, Option<Vec<u8>>), String> {
        let mut seen = Seen::default();
        let decides = look.settings.is_some() || !look.by_hand.is_empty();
        let are_lists_new = look.settings.is_some();
        let mut moved = false;
        if let Some(settings) = look.settings {
            match self.judge_by(settings).await {
                Ok(is_other) => moved = is_other,
                // The other parts of the request still apply.
                Err(reason) => seen.refused = Some((reason, Box::new(self.settings.clone()))),
            }
        }
        for (span, decision) in look.by_hand {
            match decision {
                Some(decision) => self.by_hand.insert(span, decision),
                None => self.by_hand.remove(&span),
            };
        }
        let is_reviewed = look.reviewing.is_some();
        if let Some(reviewing) = look.reviewing {
            self.disputed = reviewers::disputed(&reviewing.reviewers);
            self.reviewing = reviewing;
        }
        if look.forget_other {
            self.other = None;
            self.flips.clear();
        }
        if let Some(other) = &self.other
            && (decides || moved || std::mem::take(&mut self.other_is_new))
        {
            let judgement = self.judge.under(&self.settings);
            self.flips = other.flips(&judgement, &self.by_hand);
            seen.agreement = Some(other.agreement(&judgement, &self.by_hand));
        }
        let is_decided_anew = decides || look.forget_other || seen.agreement.is_some();
        if is_decided_anew {
            // The forms may be listed by an earlier filter than the current one, so they are always told.
            self.forms.iter_mut().for_each(FormCache::forget_decisions);
        }
        let decision_counts = self.filter.decided.is_some() && (is_decided_anew || is_reviewed);
        let filtered = look.filter.is_some() || moved || decision_counts;
        self.filter = look.filter.unwrap_or_else(|| std::mem::take(&mut self.filter));
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
        if look.rows.is_some() || decides || filtered {
            self.rows = look.rows.or(self.rows);
            seen.rows = self.rows.map(|query| self.rows(query));
        }
        if look.forms.is_some() || decides || filtered {
            self.form_rows = look.forms.or(self.form_rows).filter(|query| query.limit > 0);
            seen.forms = self.form_rows.map(|query| self.form_rows(query));
        }
        // The page asks for them again after decisions: not in every frame while a threshold is dragged.
        if look.groups.is_some() || filtered {
            self.grouped = look.groups.unwrap_or(self.grouped);
            seen.groups = self.grouped.map(|by| self.groups(by));
        }
        let decided = look.decided_alike.into_iter();
        seen.decided_alike = decided.filter_map(|(alike, decision)| self.spans_like(alike, decision)).collect();
        seen.bulk = look.bulk.map(|query| self.bulk(query));
        let mut pixels = None;
        if let Some((map, rgba)) = self.look_at_map(look.map, filtered, decides) {
            seen.map = Some(map);
            pixels = Some(rgba);
        }
        let mut detail = look.detail;
        if let Some(skipped) = look.next {
            let next = self.next(&skipped);
            seen.next = Some(next);
            detail = next.map(|next| next.span).or(detail);
        }
        if let Some(seed) = look.sample {
            let found = any(&self.judge.under(&self.settings), &self.by_hand, seed);
            self.sampled.extend(found.filter(|span| !self.sampled.contains(span)));
            seen.sampled = Some(found);
            detail = found.or(detail);
        }
        seen.settled = look.settle.and_then(|span| self.judge.index.span(span)).map(|span| {
            let judgement = self.judge.under(&self.settings);
            as_it_stands(&judgement, &self.by_hand, span.sentence)
        });
        if let Some(at) = look.pick {
            let found = self.at_pixel(at);
            self.detail = found.or(self.detail);
            seen.detail = Some(found.and_then(|span| self.detail(span)));
        } else if detail.is_some() || decides || is_reviewed {
            self.detail = detail.or(self.detail);
            seen.detail = self.detail.map(|span| self.detail(span));
        }
        if let Some(at) = look.hover {
            seen.hover = Some(self.at_pixel(at).and_then(|span| self.hover(at, span)));
        }
        Ok((seen, pixels))
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

    fn spans_like(&self, alike: Alike, decision: Option<Decision>) -> Option<DecidedAlike> {
        let corpus = &self.recording.dynamics.corpus;
        let form = match alike {
            Alike::Form(form) => form,
            Alike::Span(span) => form_of(corpus, &self.judge, span)?,
        };
        Some(DecidedAlike { spans: spans_of(corpus, &self.judge, &form), words: form.words.join(" "), decision })
    }

    /// Returns the AUM of every span in the other recording; empty without a comparison.
    fn other_aum(&self) -> &[f32] {
        self.other.as_ref().map_or(&[], |other| &other.aum)
    }

    /// Returns the spans that pass a filter; `None` if the filter is empty.
    fn select(&self, filter: &Filter) -> Option<Selection> {
        let facts = Facts {
            judgement: &self.judge.under(&self.settings),
            by_hand: &self.by_hand,
            differing: &self.flips,
            disputed: &self.disputed,
            other_aum: self.other_aum(),
            corpus: &self.recording.dynamics.corpus,
            gold: self.gold.as_deref(),
            fields: &self.sources.fields,
        };
        (!filter.is_empty()).then(|| Selection::new(filter, &facts))
    }

    /// Takes the surface forms out, and makes them if there are none. The caller must put them back.
    fn take_forms(&mut self) -> FormCache {
        self.forms.take().unwrap_or_else(|| FormCache::new(&self.recording.dynamics.corpus, &self.judge))
    }

    fn form_rows(&mut self, query: FormQuery) -> FormRows {
        let mut forms = self.take_forms();
        let (corpus, judgement) = (&self.recording.dynamics.corpus, self.judge.under(&self.settings));
        let rows = forms.rows(query, corpus, &judgement, &self.by_hand, &self.filter, |filter| self.select(filter));
        self.forms = Some(forms);
        rows
    }

    fn groups(&self, by: GroupBy) -> Groups {
        let (corpus, judgement) = (&self.recording.dynamics.corpus, self.judge.under(&self.settings));
        let (total, groups) = groups(&judgement, corpus, &self.by_hand, self.selection.as_ref(), by);
        let rows = groups.into_iter().filter_map(|group| {
            let first = self.judge.index.span(group.first)?;
            Some((group, self.in_context(first, CONTEXT)))
        });
        Groups { total, rows: rows.collect() }
    }

    /// Returns the next undecided spans.
    fn next(&mut self, skipped: &[SpanId]) -> Option<Next> {
        let forms = self.take_forms();
        let next = forms.next(&self.judge.under(&self.settings), &self.by_hand, skipped);
        self.forms = Some(forms);
        next
    }

    /// Returns the visible span nearest to a pixel of the data map.
    fn at_pixel(&self, (column, row): (u32, u32)) -> Option<SpanId> {
        let (query, clouds) = self.map.as_ref()?;
        let reach = (REACH * query.scale) as usize;
        self.with_points(query, |points| clouds.passing.nearest(points, column as usize, row as usize, reach))
    }

    fn hover(&self, at: (u32, u32), id: SpanId) -> Option<Hover> {
        let index = id as usize;
        let judgement = self.judge.under(&self.settings);
        Some(Hover {
            at,
            text: self.in_context(self.judge.index.span(id)?, SHORT),
            distant: *self.judge.assigned.get(index)?,
            predicted: self.judge.predicted(id),
            aum: *self.judge.metrics.aum.get(index)?,
            decision: self.by_hand.get(&id).copied().unwrap_or_else(|| judgement.decide(id)),
        })
    }

    /// Returns the precision–recall curves, unless the page already has them.
    fn curves(&mut self) -> Option<[Vec<shared::evaluation::quality::CurvePoint>; 2]> {
        let gold = self.gold.as_deref()?;
        let switches = [self.settings.overlap_suppression, self.settings.dictionary_check];
        let now = (self.judge.window, self.judge.metric, switches);
        if self.curves.replace(now) == Some(now) {
            return None;
        }
        let judgement = self.judge.under(&self.settings);
        Some(Side::BOTH.map(|side| curve(&judgement, side, gold, CURVE_POINTS)))
    }

    fn figures(&self) -> Figures {
        let figures = self.tally.at(&self.judge, &self.settings, &self.by_hand, self.gold.as_deref());
        let quality =
            |d: shared::evaluation::quality::Detection| Quality { prf: d.prf, average_precision: d.average_precision };
        let judgement = self.judge.under(&self.settings);
        Figures {
            capitals: self.judge.capitals().map_or_else(String::new, |capitals| capitals.to_string()),
            summary: figures.summary,
            quality: figures.quality.map(|q| [quality(q.false_positives), quality(q.false_negatives)]),
            estimate: figures.estimate,
            reasons: reasons::count(&judgement),
            sources: self.sources.at(&judgement),
            by_hand: self.by_hand.len(),
            progress: Progress::new(&judgement, &self.by_hand, &self.sampled),
        }
    }

    /// Returns the histograms of the metric for both sides.
    fn histograms(&self) -> [SideHistogram; 2] {
        Side::BOTH.map(|side| {
            let real = self.judge.ranked(side);
            let samples = self.judge.samples.given(side);
            let (low, high) = range_of(self.judge.metric, real, samples);
            let counts = |ranked: Ascending| Histogram::of_ranked(ranked, low, high, BINS).counts;
            let passing = self.selection.as_ref().map(|selection| counts(self.judge.of_sorted(selection.ranked(side))));
            let samples = Histogram::new(samples, low, high, BINS).counts;
            SideHistogram { low, high, real: counts(real), samples, passing: passing.unwrap_or_default() }
        })
    }

    fn rows(&mut self, query: RowQuery) -> Rows {
        let RowQuery { list, order, offset, limit } = query;
        // Only lists that no decision changes are kept sorted.
        let is_sorted = matches!(list, List::Ranked(_))
            && self.sorted.as_ref().is_some_and(|sorted| (sorted.list, sorted.order) == (list, order));
        if order != Order::default() && !is_sorted {
            let (_, spans) = self.listed(&self.judge.under(&self.settings), list, 0, usize::MAX);
            self.sorted = Some(Sorted { list, order, spans: order.sort(&self.judge, spans.into_iter()) });
        }
        let judgement = self.judge.under(&self.settings);
        let (total, spans) = match &self.sorted {
            Some(sorted) if order != Order::default() => {
                (sorted.spans.len(), sorted.spans.iter().skip(offset).take(limit).copied().collect())
            }
            _ => self.listed(&judgement, list, offset, limit),
        };
        let rows = spans.into_iter().filter_map(|id| self.row(&judgement, id, CONTEXT, order.column)).collect();
        Rows { total, offset, rows }
    }

    fn matrices(&self) -> [Option<Matrix>; 2] {
        let n_labels = self.judge.labels.n_types() + 1;
        let predicted = (0..).map_while(|span| self.judge.predicted(span));
        let predicted =
            self.judge.metrics.has_probabilities().then(|| Matrix::new(&self.judge.assigned, predicted, n_labels));
        let gold = self.gold.as_ref();
        [predicted, gold.map(|gold| Matrix::new(&self.judge.assigned, gold.iter().copied(), n_labels))]
    }

    /// Returns all spans of a list, and rows of some of them.
    fn bulk(&self, BulkQuery { list, seed }: BulkQuery) -> Bulk {
        let judgement = self.judge.under(&self.settings);
        let (total, spans) = self.listed(&judgement, list, 0, bulk::MOST);
        if total > spans.len() {
            return Bulk { total, ..Bulk::default() };
        }
        let some = bulk::some_of(&spans, SAMPLE, seed);
        let rows = some.into_iter().filter_map(|id| self.row(&judgement, id, SHORT, Column::Metric)).collect();
        Bulk { total, spans, rows }
    }

    /// Returns the length of a list, and the spans at `offset..offset + limit`.
    fn listed(&self, judgement: &Judgement, list: List, offset: usize, limit: usize) -> (usize, Vec<SpanId>) {
        let passes = |span: &SpanId| self.selection.as_ref().is_none_or(|selection| selection.contains(*span));
        let few = |spans: &mut dyn Iterator<Item = SpanId>| {
            let all: Vec<SpanId> = spans.filter(|span| passes(span)).collect();
            (all.len(), all.into_iter().skip(offset).take(limit).collect())
        };
        match list {
            List::Ranked(listing) => {
                let page = listing.page(judgement, self.selection.as_ref(), offset, limit);
                (page.total, page.spans)
            }
            List::ByHand => {
                let spans = by_key(self.by_hand.keys().map(|&span| (ascending(self.judge.value(span)), span)));
                few(&mut spans.into_iter())
            }
            List::Flips => few(&mut self.flips.iter().copied()),
        }
    }

    fn row(&self, judgement: &Judgement, id: SpanId, context: (usize, usize), column: Column) -> Option<Row> {
        let span = self.judge.index.span(id)?;
        let at = id as usize;
        let distant = *self.judge.assigned.get(at)?;
        let by_hand = self.by_hand.get(&id).copied();
        Some(Row {
            id,
            text: self.in_context(span, context),
            distant,
            predicted: self.judge.predicted(id),
            gold: self.gold.as_ref().and_then(|gold| gold.get(at)).copied(),
            value: column.value(&self.judge, id),
            margins: self.recording.margins.of(id),
            decision: by_hand.unwrap_or_else(|| judgement.decide(id)),
            by_hand: by_hand.is_some(),
            contradicted: judgement.contradicted().contains_key(&id),
        })
    }

    fn in_context(&self, span: Span, (before, after): (usize, usize)) -> InContext {
        let tokens: Vec<&str> = self.recording.dynamics.corpus.tokens.sentence(span.sentence).collect();
        let (start, end) = (span.start as usize, span.end as usize + 1);
        let (first, last) = (start.saturating_sub(before), end.saturating_add(after).min(tokens.len()));
        let join = |range: std::ops::Range<usize>| tokens.get(range).unwrap_or_default().join(" ");
        InContext {
            before: format!("{}{}", if first > 0 { "… " } else { "" }, join(first..start)),
            marked: join(start..end),
            after: format!("{}{}", join(end..last), if last < tokens.len() { " …" } else { "" }),
        }
    }

    fn detail(&self, id: SpanId) -> Option<Detail> {
        let span = self.judge.index.span(id)?;
        let (metrics, at) = (&self.judge.metrics, id as usize);
        let (corpus, judgement) = (&self.recording.dynamics.corpus, self.judge.under(&self.settings));
        Some(Detail {
            row: self.row(&judgement, id, (0, 0), Column::Metric)?,
            aum: *metrics.aum.get(at)?,
            sentence: Sentence::new(
                corpus,
                self.recording.dynamics.gold.as_deref(),
                &judgement,
                &self.by_hand,
                span.sentence,
            ),
            number: span.sentence,
            start: span.start,
            end: span.end,
            by_rule: judgement.decide(id),
            wrong: metrics.trust.get(at).map(|trust| 1.0 - trust).filter(|wrong| wrong.is_finite()),
            because: self.judge.explain(&corpus.tokens, id),
            probabilities: probabilities(metrics, at),
            correctness: *metrics.correctness.get(at)?,
            forgetting: *metrics.forgetting.get(at)?,
            same_form: SameForm::new(corpus, &judgement, &self.by_hand, id)?,
            opinions: reviewers::opinions(&self.reviewing.reviewers, id),
            other_aum: self.other_aum().get(at).copied(),
        })
    }

    /// Returns the data map if the query is new or the content of the map has changed.
    fn look_at_map(&mut self, query: Option<MapQuery>, moved: bool, decides: bool) -> Option<(Map, Vec<u8>)> {
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
    fn with_points<T>(&self, query: &MapQuery, look: impl FnOnce(Points) -> T) -> T {
        let [x, y] = [query.axes.x, query.axes.y].map(|axis| axis.column(&self.judge.metrics, self.other_aum()));
        let passes = |span: SpanId| self.selection.as_ref().is_none_or(|selection| selection.contains(span));
        look(Points { x: &x, y: &y, shown: self.selection.is_some().then_some(&passes) })
    }

    fn clouds(&self, query: &MapQuery) -> Clouds {
        self.with_points(query, |points| Clouds {
            passing: cloud(points, query),
            all: points.shown.map(|_| cloud(Points { shown: None, ..points }, query)),
        })
    }

    fn paint(&self, query: &MapQuery, cloud: &Cloud) -> ((f32, f32), Vec<u8>) {
        self.with_points(query, |points| self.paint_points(query, cloud, points))
    }

    fn paint_points(&self, query: &MapQuery, cloud: &Cloud, points: Points) -> ((f32, f32), Vec<u8>) {
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
                judgement.decided(&self.by_hand).into_iter().for_each(|(span, decision)| sort(span, decision));
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
    fn usual_aum(&self, side: Option<Side>) -> (f32, f32) {
        let aum = &self.judge.metrics.aum;
        let is_shown = |&span: &SpanId| side.is_none_or(|only| self.judge.side(span) == only);
        let spans: Vec<SpanId> = (0..aum.len() as SpanId).filter(is_shown).collect();
        let ranked = shared::ranked(spans, aum);
        let at = |rank: Option<usize>| rank.and_then(|rank| aum.get(*ranked.get(rank)? as usize)).copied();
        let cut = ranked.len() / 100;
        at(Some(cut)).zip(at(ranked.len().checked_sub(cut + 1))).unwrap_or((0.0, 1.0))
    }

    /// Returns the settings and the decisions by hand.
    fn decisions(&self) -> Decisions {
        let labels = &self.recording.dynamics.corpus.labels;
        let mut decisions = Decisions::new(self.recording.digest.clone(), self.settings.clone());
        for (&id, &decision) in &self.by_hand {
            let Some(span) = self.judge.index.span(id) else { continue };
            let by_hand = match decision {
                Decision::Keep => Override::Keep,
                Decision::Remove => Override::Remove,
                Decision::Relabel(label) => Override::Relabel(labels.name(label).to_owned()),
            };
            decisions.overrides.push((span, by_hand));
        }
        let Reviewing { name, reviewers } = &self.reviewing;
        decisions.reviewer = (!name.is_empty()).then(|| name.clone());
        for reviewer in reviewers {
            let is_theirs = |&(&span, &decision): &(&SpanId, &Decision)| {
                self.by_hand.get(&span).is_some_and(|&by_hand| self.plain(span, by_hand) == (span, decision))
            };
            let spans =
                reviewer.decisions.iter().filter(is_theirs).filter_map(|(&span, _)| self.judge.index.span(span));
            decisions.reviewers.insert(reviewer.name.clone(), spans.collect());
        }
        decisions
    }

    /// Makes a file for download, or says what is to be written.
    pub fn export(&self, what: Export) -> Result<Exported, String> {
        let labels = &self.recording.dynamics.corpus.labels;
        let decisions = self.decisions();
        let decided = || decisions.resolve(&self.judge, labels).map_err(|e| e.to_string());
        match what {
            Export::Decisions => Ok(Exported::Text { name: "decisions.json", text: decisions.to_json() }),
            Export::Report => {
                let findings = Findings::new(&self.recording.dynamics, &self.judge, &decisions);
                let job = Job::Report(Box::new(findings.map_err(|e| e.to_string())?));
                Ok(Exported::Job { stem: "report".to_owned(), job })
            }
            Export::Provenance => {
                let text = provenance::json(&self.recording.dynamics.corpus, &self.judge, &decisions, &decided()?);
                Ok(Exported::Text { name: "provenance.json", text })
            }
            Export::Corpus(format) => {
                let cleaned = clean(self.recording.dynamics.corpus.clone(), &self.judge, &decided()?);
                let job = Job::corpus(cleaned, self.recording.layout.clone(), format);
                Ok(Exported::Job { stem: format!("{}-cleaned", self.stem()), job })
            }
        }
    }

    /// Returns a base name for exported files: the name of the corpus, or else of the file.
    fn stem(&self) -> String {
        let named = if self.recording.dynamics.info.name.trim().is_empty() {
            &self.file
        } else {
            &self.recording.dynamics.info.name
        };
        let last = named.rsplit(['/', '\\']).next().unwrap_or(named);
        let stem = last.strip_suffix(".dyn").or(last.strip_suffix(".json")).unwrap_or(last);
        stem.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect()
    }
}

fn probabilities(metrics: &Metrics, at: usize) -> Option<Probabilities> {
    Some(Probabilities {
        predicted: metrics.prediction(at)?.probability(),
        confidence: *metrics.confidence.get(at)?,
        variability: *metrics.variability.get(at)?,
    })
}

fn same_places(a: &MapQuery, b: &MapQuery) -> bool {
    (a.width, a.height, a.scale, a.axes, a.extent) == (b.width, b.height, b.scale, b.axes, b.extent)
}
