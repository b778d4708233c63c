//! A file that has been read but not judged.

use std::cell::OnceCell;

use explorer::density::Points;
use explorer::filter::Filter;
use explorer::review::Review;
use explorer::sources::Sources;
use explorer::tally::Tally;
use shared::corpus::labels::LabelId;
use shared::detection::dictionary_check::Contradicted;
use shared::recording::dynamics::Dynamics;
use shared::report::Course;

use super::super::recording::{Measured, Recording};
use super::super::source::Source;
use super::Session;
use super::map::{Clouds, cloud, density};
use crate::protocol::{Colouring, Map, MapQuery, Opened, Reviewing};

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
        let Dynamics { info, corpus, gold, contradicted, run, threshold_run, complete, .. } = &self.recording.dynamics;
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
            review: Review::default(),
            rows: None,
            sorted: None,
            alphabet: OnceCell::new(),
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
            other: None,
            other_is_new: false,
            flips: Vec::new(),
            curves: None,
        })
    }
}
