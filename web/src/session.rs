//! An opened file in the worker, and the answers about it.

use std::collections::BTreeMap;
use std::io::{Cursor, Write as _};

use shared::cleaning::{Decisions, Override, clean};
use shared::colour::Ground;
use shared::density::Cloud;
use shared::dyn_file;
use shared::dynamics::Dynamics;
use shared::formats::{self, Content, Document, WriteOptions};
use shared::histogram::{Histogram, range_of};
use shared::judge::{Decision, Judge, Judgement, Side};
use shared::labels::LabelId;
use shared::metrics::{Metrics, margins};
use shared::provenance;
use shared::span::{Span, SpanId};
use shared::tally::Tally;
use shared::threshold::Settings;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::protocol::{
    Colouring, Detail, Export, Figures, InContext, List, Look, Map, MapQuery, Opened, Probabilities, Quality, Row,
    RowQuery, Rows, Seen, SideHistogram,
};

/// Bins of an AUM distribution.
const BINS: usize = 160;
/// Tokens shown before and after a span in the table.
const CONTEXT: (usize, usize) = (7, 24);
/// Within so many pixels a click finds a span.
const REACH: u32 = 12;

/// A file for download.
pub struct Exported {
    /// Proposed name.
    pub name: String,
    /// Content.
    pub bytes: Vec<u8>,
    /// What the format cannot hold, in words.
    pub notes: Vec<String>,
}

impl Exported {
    fn text(name: &str, text: String) -> Self {
        Self { name: name.to_owned(), bytes: text.into_bytes(), notes: Vec::new() }
    }
}

/// An opened file.
pub struct Session {
    file: String,
    digest: String,
    dynamics: Dynamics,
    judge: Judge,
    gold: Option<Vec<LabelId>>,
    tally: Tally,
    settings: Settings,
    by_hand: BTreeMap<SpanId, Decision>,
    rows: Option<RowQuery>,
    detail: Option<SpanId>,
    map: Option<(MapQuery, Cloud)>,
}

impl Session {
    /// Opens the bytes of a file.
    pub fn open(file: String, bytes: Vec<u8>) -> Result<Self, String> {
        let dynamics = dyn_file::read(&bytes).map_err(|e| e.to_string())?;
        let digest = dyn_file::digest(&bytes);
        drop(bytes);
        let (judge, settings) = Judge::automatic(&dynamics, |_| {}).map_err(|e| e.to_string())?;
        let gold = dynamics.dense_gold(&judge.index);
        let tally = Tally::new(&judge, &dynamics.corpus.labels, gold.as_deref());
        Ok(Self {
            file,
            digest,
            dynamics,
            judge,
            gold,
            tally,
            settings,
            by_hand: BTreeMap::new(),
            rows: None,
            detail: None,
            map: None,
        })
    }

    /// What a `decisions.json` about this file holds: settings, and decisions by hand.
    pub fn read_decisions(&self, json: &[u8]) -> Result<(Settings, Vec<(SpanId, Decision)>), String> {
        let labels = &self.dynamics.corpus.labels;
        let decisions = Decisions::read(json, &self.digest).map_err(|e| e.to_string())?;
        // Refuses spans and labels that there are not.
        decisions.resolve(&self.judge, labels).map_err(|e| e.to_string())?;
        let by_hand = decisions.overrides.iter().filter_map(|(span, by_hand)| {
            let decision = match by_hand {
                Override::Keep => Decision::Keep,
                Override::Remove => Decision::Remove,
                Override::Relabel(name) => Decision::Relabel(labels.id(name)?),
            };
            Some((self.judge.index.id(*span)?, decision))
        });
        Ok((decisions.settings.clone(), by_hand.collect()))
    }

    /// What the page shows about the file as such. Before any change of settings.
    pub fn opened(&self) -> Opened {
        let Dynamics { info, corpus, gold, run, threshold_run, complete } = &self.dynamics;
        let mut facts = vec![
            ("written by".to_owned(), info.written_by.clone()),
            ("seed".to_owned(), info.seed.to_string()),
            ("sentences".to_owned(), corpus.n_sentences().to_string()),
        ];
        facts.extend(info.settings.iter().cloned());
        facts.push(("digest".to_owned(), self.digest.clone()));
        Opened {
            file: self.file.clone(),
            name: info.name.clone(),
            encoder: info.encoder.clone(),
            facts,
            n_spans: self.judge.index.len(),
            n_epochs: run.epochs.len() as u32,
            labels: (0..=corpus.labels.n_types()).map(|l| corpus.labels.name(l as LabelId).to_owned()).collect(),
            has_gold: gold.is_some(),
            has_probabilities: self.judge.metrics.has_probabilities(),
            scheme: threshold_run.as_ref().map(|t| t.scheme),
            complete: *complete,
            automatic: self.settings.clone(),
            histograms: self.histograms(),
        }
    }

    /// Looks differently; also the pixels of the data map, if it changed.
    pub fn look(&mut self, look: Look) -> Result<(Seen, Option<Vec<u8>>), String> {
        let mut seen = Seen::default();
        let decides = look.settings.is_some() || !look.by_hand.is_empty();
        if let Some(settings) = look.settings {
            if (settings.window, settings.metric) != (self.judge.window, self.judge.metric) {
                self.judge = Judge::new(&self.dynamics, settings.window, settings.metric).map_err(|e| e.to_string())?;
                self.tally = Tally::new(&self.judge, &self.dynamics.corpus.labels, self.gold.as_deref());
                // Placed by metrics of the old window.
                if let Some((query, cloud)) = &mut self.map {
                    *cloud = cloud_of(&self.judge, query);
                }
                seen.histograms = Some(self.histograms());
            }
            self.settings = settings;
        }
        for (span, decision) in look.by_hand {
            match decision {
                Some(decision) => self.by_hand.insert(span, decision),
                None => self.by_hand.remove(&span),
            };
        }
        if decides {
            seen.figures = Some(self.figures());
        }
        if look.rows.is_some() || decides {
            self.rows = look.rows.or(self.rows);
            seen.rows = self.rows.map(|query| self.rows(query));
        }
        let map = self.look_at_map(look.map, seen.histograms.is_some(), decides);
        let mut pixels = None;
        if let Some((map, rgba)) = map {
            seen.map = Some(map);
            pixels = Some(rgba);
        }
        if let Some((column, row)) = look.pick {
            let found = self.map.as_ref().and_then(|(query, cloud)| {
                cloud.nearest(column as usize, row as usize, (REACH * query.scale) as usize)
            });
            self.detail = found.or(self.detail);
            seen.detail = Some(found.and_then(|span| self.detail(span)));
        } else if look.detail.is_some() || decides {
            self.detail = look.detail.or(self.detail);
            seen.detail = self.detail.map(|span| self.detail(span));
        }
        Ok((seen, pixels))
    }

    fn figures(&self) -> Figures {
        let figures = self.tally.at(&self.judge, &self.settings, &self.by_hand, self.gold.as_deref());
        let quality = |d: shared::quality::Detection| Quality { prf: d.prf, average_precision: d.average_precision };
        Figures {
            summary: figures.summary,
            quality: figures.quality.map(|q| [quality(q.false_positives), quality(q.false_negatives)]),
            estimate: figures.estimate,
            by_hand: self.by_hand.len(),
        }
    }

    /// The metric's distributions of both sides.
    fn histograms(&self) -> [SideHistogram; 2] {
        Side::BOTH.map(|side| {
            let real = self.judge.ranked_values(side);
            let samples = self.judge.samples.given(side);
            let (low, high) = range_of(self.judge.metric, [real, samples]);
            let counts = |values: &[f32]| Histogram::new(values, low, high, BINS).counts;
            SideHistogram { low, high, real: counts(real), samples: counts(samples) }
        })
    }

    fn rows(&self, query: RowQuery) -> Rows {
        let judgement = self.judge.under(&self.settings);
        let (total, spans) = match query.list {
            List::Ranked(listing) => {
                let page = listing.page(&judgement, query.offset, query.limit);
                (page.total, page.spans)
            }
            List::ByHand => {
                let spans = self.by_hand.keys().copied().skip(query.offset).take(query.limit);
                (self.by_hand.len(), spans.collect())
            }
        };
        let rows = spans.into_iter().filter_map(|id| self.row(&judgement, id, Some(CONTEXT))).collect();
        Rows { total, offset: query.offset, rows }
    }

    fn row(&self, judgement: &Judgement, id: SpanId, context: Option<(usize, usize)>) -> Option<Row> {
        let span = self.judge.index.span(id)?;
        let at = id as usize;
        let distant = *self.judge.assigned.get(at)?;
        let by_hand = self.by_hand.get(&id).copied();
        Some(Row {
            id,
            text: self.in_context(span, context),
            distant,
            predicted: self.judge.metrics.predicted.get(at).copied(),
            gold: self.gold.as_ref().and_then(|gold| gold.get(at)).copied(),
            value: self.judge.value(id),
            margins: margins(&self.dynamics.run, at, distant),
            decision: by_hand.unwrap_or_else(|| judgement.decide(id)),
            by_hand: by_hand.is_some(),
        })
    }

    fn in_context(&self, span: Span, context: Option<(usize, usize)>) -> InContext {
        let tokens: Vec<&str> = self.dynamics.corpus.tokens.sentence(span.sentence).collect();
        let (start, end) = (span.start as usize, span.end as usize + 1);
        let (before, after) = context.unwrap_or((tokens.len(), tokens.len()));
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
        let judgement = self.judge.under(&self.settings);
        Some(Detail {
            row: self.row(&judgement, id, None)?,
            aum: *metrics.aum.get(at)?,
            sentence: span.sentence,
            start: span.start,
            end: span.end,
            by_rule: judgement.decide(id),
            probabilities: probabilities(metrics, at),
            correctness: *metrics.correctness.get(at)?,
            forgetting: *metrics.forgetting.get(at)?,
        })
    }

    /// The data map, if the query is new or what it shows has changed.
    fn look_at_map(&mut self, query: Option<MapQuery>, moved: bool, decides: bool) -> Option<(Map, Vec<u8>)> {
        if let Some(query) = query {
            match &mut self.map {
                Some((old, _)) if same_places(old, &query) => *old = query,
                map => *map = Some((query, cloud_of(&self.judge, &query))),
            }
        }
        let (map_query, cloud) = self.map.as_ref()?;
        let shows_decisions = map_query.colouring == Colouring::Decision;
        if query.is_none() && !moved && !(decides && shows_decisions) {
            return None;
        }
        let (ramp, rgba) = self.paint(map_query, cloud);
        Some((Map { query: *map_query, ramp }, rgba))
    }

    fn paint(&self, query: &MapQuery, cloud: &Cloud) -> ((f32, f32), Vec<u8>) {
        let ground: Ground = query.ground;
        let metrics = &self.judge.metrics;
        let values = |value: &dyn Fn(usize) -> f32, weak: f32, strong: f32| {
            ((weak, strong), cloud.paint_values(&cloud.mean(value), strong, weak, ground))
        };
        match query.colouring {
            Colouring::Density => ((1.0, cloud.dense() as f32), cloud.paint_density(ground)),
            Colouring::Aum => {
                let (low, high) = self.usual_aum(query.side);
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
                for side in Side::BOTH {
                    for &span in judgement.judged_wrong(side).iter() {
                        if !self.by_hand.contains_key(&span) {
                            sort(span, judgement.verdict(span));
                        }
                    }
                }
                self.by_hand.iter().for_each(|(&span, &decision)| sort(span, decision));
                let groups = [(cloud.count(removed), ground.removed()), (cloud.count(relabelled), ground.relabelled())];
                ((0.0, 0.0), cloud.paint_groups(&groups, ground))
            }
            Colouring::Gold => {
                let gold = self.gold.as_deref().unwrap_or_default();
                let pairs = (0..).zip(self.judge.assigned.iter().zip(gold));
                let wrong = pairs.filter(|(_, (label, gold))| label != gold).map(|(span, _)| span);
                ((0.0, 0.0), cloud.paint_groups(&[(cloud.count(wrong), ground.removed())], ground))
            }
        }
    }

    /// The range in which 98 % of the AUMs of the sides shown lie.
    fn usual_aum(&self, side: Option<Side>) -> (f32, f32) {
        let aum = &self.judge.metrics.aum;
        let spans = aum
            .iter()
            .zip(0..)
            .filter(|&(aum, span)| aum.is_finite() && side.is_none_or(|only| self.judge.side(span) == only));
        let mut shown: Vec<f32> = spans.map(|(&aum, _)| aum).collect();
        let cut = shown.len() / 100;
        let Some(last) = shown.len().checked_sub(cut + 1) else { return (0.0, 1.0) };
        let low = *shown.select_nth_unstable_by(cut, f32::total_cmp).1;
        (low, *shown.select_nth_unstable_by(last, f32::total_cmp).1)
    }

    /// A file for download.
    pub fn export(&self, what: Export) -> Result<Exported, String> {
        let labels = &self.dynamics.corpus.labels;
        let mut decisions = Decisions::new(self.digest.clone(), self.settings.clone());
        for (&id, &decision) in &self.by_hand {
            let Some(span) = self.judge.index.span(id) else { continue };
            let by_hand = match decision {
                Decision::Keep => Override::Keep,
                Decision::Remove => Override::Remove,
                Decision::Relabel(label) => Override::Relabel(labels.name(label).to_owned()),
            };
            decisions.overrides.push((span, by_hand));
        }
        let decided = || decisions.resolve(&self.judge, labels).map_err(|e| e.to_string());
        match what {
            Export::Decisions => Ok(Exported::text("decisions.json", decisions.to_json())),
            Export::Provenance => {
                let json = provenance::json(&self.dynamics.corpus, &self.judge, &decisions, &decided()?);
                Ok(Exported::text("provenance.json", json))
            }
            Export::Corpus(format) => {
                let cleaned = clean(&self.dynamics.corpus, &self.judge, &decided()?);
                let written = formats::write(&cleaned, &WriteOptions { format, ..WriteOptions::default() });
                let (bytes, extension) = match written.content {
                    Content::Text(text) => (text.into_bytes(), written.layout.extension()),
                    // A folder, which a browser can only save packed.
                    Content::Documents(documents) => (zipped(&documents)?, "zip"),
                };
                Ok(Exported { name: format!("{}-cleaned.{extension}", self.stem()), bytes, notes: written.notes })
            }
        }
    }

    /// A name for files made from this one: the corpus's, or the file's own.
    fn stem(&self) -> String {
        let named = if self.dynamics.info.name.trim().is_empty() { &self.file } else { &self.dynamics.info.name };
        let last = named.rsplit(['/', '\\']).next().unwrap_or(named);
        let stem = last.strip_suffix(".dyn").or(last.strip_suffix(".json")).unwrap_or(last);
        stem.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect()
    }
}

fn probabilities(metrics: &Metrics, at: usize) -> Option<Probabilities> {
    Some(Probabilities {
        predicted: *metrics.predicted_probability.get(at)?,
        confidence: *metrics.confidence.get(at)?,
        variability: *metrics.variability.get(at)?,
    })
}

/// A brat folder as one file.
fn zipped(documents: &[Document]) -> Result<Vec<u8>, String> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for Document { name, text, annotations } in documents {
        for (extension, content) in [("txt", text), ("ann", annotations)] {
            zip.start_file(format!("{name}.{extension}"), options).map_err(|e| e.to_string())?;
            zip.write_all(content.as_bytes()).map_err(|e| e.to_string())?;
        }
    }
    Ok(zip.finish().map_err(|e| e.to_string())?.into_inner())
}

fn same_places(a: &MapQuery, b: &MapQuery) -> bool {
    (a.width, a.height, a.scale, a.side) == (b.width, b.height, b.scale, b.side)
}

fn cloud_of(judge: &Judge, query: &MapQuery) -> Cloud {
    Cloud::data_map(judge, query.side, (query.width as usize, query.height as usize), query.scale as usize)
}
