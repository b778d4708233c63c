//! A dynamics file as the worker holds it. It has everything except most logits of the main run. The worker keeps
//! metrics and margins instead, and reads the logits again for another window.

use shared::corpus::labels::LabelId;
use shared::corpus::span::SpanIndex;
use shared::detection::judge::{Judge, Spans};
use shared::detection::threshold::{Metric, Settings};
use shared::evidence::Evidence;
use shared::metrics::block_wise::{BlockWise, Margins};
use shared::metrics::{Metrics, Window};
use shared::recording::dyn_file::{Columns, Scan, Scanned};
use shared::recording::dynamics::Dynamics;

use super::replies;
use super::source::Source;

/// Approximate share of the opening time that the check of the file takes. The rest is for the metrics.
const FIRST_PASS: f32 = 0.4;

/// Reports to the page how much of a large file has been read.
struct Progress {
    /// Whether progress is reported. It is not for small files.
    is_wanted: bool,
    /// The shares of the whole work at which this part begins and ends.
    part: (f32, f32),
    /// Number of tenths that have been reported.
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
            replies::tell(tenths as f32 / 10.0);
        }
    }
}

/// A file that has been read.
pub struct Recording {
    source: Source,
    columns: Columns,
    /// Digest of the file.
    pub digest: String,
    /// The layout of the corpus's file, as JSON.
    pub layout: Option<String>,
    /// Content of the file. The main run has only the rows of the positives.
    pub dynamics: Dynamics,
    /// Margins of the main run.
    pub margins: Margins,
}

/// Facts about the spans of a file before any span is judged.
pub struct Measured {
    /// The enumeration of the candidate spans.
    pub index: SpanIndex,
    /// Distant label of every span.
    pub assigned: Vec<LabelId>,
    /// Metrics over the window of the settings.
    pub metrics: Metrics,
    /// The automatic settings.
    pub settings: Settings,
}

impl Recording {
    /// Reads a file, and keeps the margins if `with_margins` is set.
    pub async fn open(source: Source, with_margins: bool) -> Result<(Self, Measured), String> {
        let mut scan = Scan::without_layout(source.size());
        let mut progress = Progress::of(&source, 0.0, FIRST_PASS);
        let feed = |piece: &[u8], share: f32| {
            progress.at(share);
            scan.feed(piece).map_err(|e| e.to_string())
        };
        source.all(feed).await?;
        let Scanned { dynamics, positives, columns, digest, layout } = scan.finish().map_err(|e| e.to_string())?;
        let index = dynamics.span_index().map_err(|e| e.to_string())?;
        let assigned = dynamics.corpus.dense_labels(&index);
        let settings = Settings::automatic(&dynamics, &positives);
        let progress = Progress::of(&source, FIRST_PASS, 1.0);
        let (metrics, margins) = read(&source, &columns, &assigned, settings.window, with_margins, progress).await?;
        source.let_go();
        let recording = Self { source, columns, digest, layout, dynamics, margins };
        Ok((recording, Measured { index, assigned, metrics, settings }))
    }

    /// Length of the file in bytes.
    pub fn size(&self) -> u64 {
        self.source.size()
    }

    /// Judges the spans by the automatic settings.
    pub fn judge(&self, measured: Measured) -> Result<(Judge, Settings), String> {
        let Measured { index, assigned, metrics, settings } = measured;
        let evidence = Evidence::of_dynamics(&self.dynamics, index.max_width());
        let spans = Spans { index, assigned, evidence };
        let judge = Judge::with_metrics(&self.dynamics, spans, settings.window, settings.metric, metrics);
        Ok((judge.map_err(|e| e.to_string())?, settings))
    }

    /// Judges the spans again, with another window or metric.
    pub async fn judge_again(&self, before: &Judge, window: Window, metric: Metric) -> Result<Judge, String> {
        let metrics = if window == before.window {
            before.metrics.clone()
        } else {
            let progress = Progress::of(&self.source, 0.0, 1.0);
            read(&self.source, &self.columns, &before.assigned, window, false, progress).await?.0
        };
        Judge::with_metrics(&self.dynamics, before.spans(), window, metric, metrics).map_err(|e| e.to_string())
    }
}

/// Returns the metrics of all spans, and the margins if `with_margins` is set.
async fn read(
    source: &Source,
    columns: &Columns,
    assigned: &[LabelId],
    window: Window,
    with_margins: bool,
    mut progress: Progress,
) -> Result<(Metrics, Margins), String> {
    let mut reading = BlockWise::new(columns, assigned, window, with_margins).map_err(|e| e.to_string())?;
    if source.is_held() {
        reading = reading.held();
    }
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
