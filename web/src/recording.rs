//! A dynamics file as the page holds it: everything but the logits of the main run. Of those only metrics and
//! margins are kept; for another window they are read again.

use shared::block_wise::BlockWise;
use shared::dyn_file::{Columns, Scan, Scanned};
use shared::dynamics::{Dynamics, Run};
use shared::judge::Judge;
use shared::labels::LabelId;
use shared::metrics::{Metrics, Window};
use shared::threshold::{Metric, Settings};

use crate::source::Source;

/// A file that has been read.
pub struct Recording {
    source: Source,
    columns: Columns,
    /// Digest of the file.
    pub digest: String,
    /// Its content; of the main run the margins.
    pub dynamics: Dynamics,
}

impl Recording {
    /// Reads a file, and judges it by the automatic settings.
    pub async fn open(source: Source) -> Result<(Self, Judge, Settings), String> {
        let mut scan = Scan::new(source.size());
        source.all(|piece| scan.feed(piece).map_err(|e| e.to_string())).await?;
        let Scanned { mut dynamics, positives, columns, digest } = scan.finish().map_err(|e| e.to_string())?;
        let index = dynamics.span_index().map_err(|e| e.to_string())?;
        let assigned = dynamics.corpus.dense_labels(&index);
        let settings = Settings::automatic(&dynamics, &positives);
        let (metrics, margins) = read(&source, &columns, &assigned, settings.window, true).await?;
        dynamics.run.epochs = margins.epochs;
        let judge = Judge::with_metrics(&dynamics, index, assigned, settings.window, settings.metric, metrics);
        Ok((Self { source, columns, digest, dynamics }, judge.map_err(|e| e.to_string())?, settings))
    }

    /// Another window or metric.
    pub async fn judge(&self, before: &Judge, window: Window, metric: Metric) -> Result<Judge, String> {
        let (index, assigned) = (before.index.clone(), before.assigned.clone());
        let metrics = if window == before.window {
            before.metrics.clone()
        } else {
            read(&self.source, &self.columns, &assigned, window, false).await?.0
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
) -> Result<(Metrics, Run), String> {
    let mut reading = BlockWise::new(columns, assigned, window, with_margins).map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    let mut due = reading.ask().map(|parts| source.ask(&parts));
    while let Some(asked) = due {
        // The browser reads the next block while this one is computed.
        due = reading.ask().map(|parts| source.ask(&parts));
        asked.get(&mut bytes).await?;
        reading.take(&bytes).map_err(|e| e.to_string())?;
    }
    Ok(reading.finish())
}
