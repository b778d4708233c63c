//! A dynamics file as the page holds it: everything but the logits of the main run. Of those only metrics and
//! margins are kept; for another window they are read again.

use shared::corpus::labels::LabelId;
use shared::corpus::span::SpanIndex;
use shared::detection::judge::Judge;
use shared::detection::threshold::{Metric, Settings};
use shared::metrics::block_wise::{BlockWise, Margins};
use shared::metrics::{Metrics, Window};
use shared::recording::dyn_file::{Columns, Scan, Scanned};
use shared::recording::dynamics::Dynamics;

use crate::source::Source;
use crate::worker;

/// Share of the time of opening a file that checking it takes, about; the rest goes to the metrics.
const FIRST_PASS: f32 = 0.4;

/// Tells the page how far the reading of a large file is.
struct Progress {
    /// Not of small files.
    is_wanted: bool,
    /// Shares of the whole at which this part of it begins and ends.
    part: (f32, f32),
    /// Tenths told.
    told: u32,
}

impl Progress {
    fn of(source: &Source, begin: f32, end: f32) -> Self {
        Self { is_wanted: source.is_large(), part: (begin, end), told: 0 }
    }

    fn at(&mut self, share: f32) {
        let whole = self.part.0 + share * (self.part.1 - self.part.0);
        let tenths = (whole * 10.0) as u32;
        if self.is_wanted && tenths > self.told {
            self.told = tenths;
            worker::tell(tenths as f32 / 10.0);
        }
    }
}

/// A file that has been read.
pub struct Recording {
    source: Source,
    columns: Columns,
    /// Digest of the file.
    pub digest: String,
    /// Its content; of the main run only the positives.
    pub dynamics: Dynamics,
    /// Of the main run.
    pub margins: Margins,
}

/// What is known about the spans of a file before any of them is judged.
pub struct Measured {
    /// The enumeration.
    pub index: SpanIndex,
    /// Distant label of every span.
    pub assigned: Vec<LabelId>,
    /// Metrics over the window of the settings.
    pub metrics: Metrics,
    /// The automatic settings.
    pub settings: Settings,
}

impl Recording {
    /// Reads a file; `with_margins`: and keeps the margins.
    pub async fn open(source: Source, with_margins: bool) -> Result<(Self, Measured), String> {
        let mut scan = Scan::new(source.size());
        let mut progress = Progress::of(&source, 0.0, FIRST_PASS);
        let feed = |piece: &[u8], share: f32| {
            progress.at(share);
            scan.feed(piece).map_err(|e| e.to_string())
        };
        source.all(feed).await?;
        let Scanned { dynamics, positives, columns, digest } = scan.finish().map_err(|e| e.to_string())?;
        let index = dynamics.span_index().map_err(|e| e.to_string())?;
        let assigned = dynamics.corpus.dense_labels(&index);
        let settings = Settings::automatic(&dynamics, &positives);
        let progress = Progress::of(&source, FIRST_PASS, 1.0);
        let (metrics, margins) = read(&source, &columns, &assigned, settings.window, with_margins, progress).await?;
        source.let_go();
        let recording = Self { source, columns, digest, dynamics, margins };
        Ok((recording, Measured { index, assigned, metrics, settings }))
    }

    /// Judges it by the automatic settings.
    pub fn judge(&self, measured: Measured) -> Result<(Judge, Settings), String> {
        let Measured { index, assigned, metrics, settings } = measured;
        let judge = Judge::with_metrics(&self.dynamics, index, assigned, settings.window, settings.metric, metrics);
        Ok((judge.map_err(|e| e.to_string())?, settings))
    }

    /// Another window or metric.
    pub async fn judge_again(&self, before: &Judge, window: Window, metric: Metric) -> Result<Judge, String> {
        let (index, assigned) = (before.index.clone(), before.assigned.clone());
        let metrics = if window == before.window {
            before.metrics.clone()
        } else {
            let progress = Progress::of(&self.source, 0.0, 1.0);
            read(&self.source, &self.columns, &assigned, window, false, progress).await?.0
        };
        Judge::with_metrics(&self.dynamics, index, assigned, window, metric, metrics).map_err(|e| e.to_string())
    }
}

/// Metrics, and margins if wanted, of all spans.
async fn read(
    source: &Source,
    columns: &Columns,
    assigned: &[LabelId],
    window: Window,
    with_margins: bool,
    mut progress: Progress,
) -> Result<(Metrics, Margins), String> {
    let mut reading = BlockWise::new(columns, assigned, window, with_margins).map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    let mut due = reading.ask().map(|parts| source.ask(&parts));
    while let Some(asked) = due {
        // The browser reads the next block while this one is computed.
        due = reading.ask().map(|parts| source.ask(&parts));
        asked.get(&mut bytes).await?;
        reading.take(&bytes).map_err(|e| e.to_string())?;
        progress.at(reading.progress());
    }
    Ok(reading.finish())
}
