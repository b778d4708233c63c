//! A dynamics file, open. The logits of the main run stay on disk, because they are most of the file: they are read
//! block by block when a window is judged.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use shared::corpus::labels::LabelId;
use shared::detection::judge::{Judge, JudgeError};
use shared::detection::threshold::{Metric, Settings};
use shared::metrics::block_wise::BlockWise;
use shared::metrics::{Metrics, Window};
use shared::recording::dyn_file::{Columns, Scan, Scanned};
use shared::recording::dynamics::{Dynamics, Run};

/// Bytes that are read at once while the file is checked.
const PIECE: usize = 4 << 20;

/// A dynamics file that has been checked.
pub struct Recording {
    path: PathBuf,
    /// Stays open, so that another file of this name is not taken for it.
    file: File,
    columns: Columns,
    /// Distant labels of the positives.
    positives: Vec<LabelId>,
    /// The content. The main run has only the rows of the positives.
    pub dynamics: Dynamics,
    /// The digest of the file.
    pub digest: String,
}

impl Recording {
    /// Opens a dynamics file and checks all of it.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let about = || format!("cannot read {}", path.display());
        let mut file = File::open(path).with_context(about)?;
        let mut scan = Scan::new(file.metadata().with_context(about)?.len());
        let mut piece = vec![0; PIECE];
        loop {
            match file.read(&mut piece) {
                Ok(0) => break,
                Ok(n) => {
                    let bytes = piece.get(..n).unwrap_or_default();
                    scan.feed(bytes).with_context(|| path.display().to_string())?;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).with_context(about),
            }
        }
        let Scanned { dynamics, positives, columns, digest } =
            scan.finish().with_context(|| path.display().to_string())?;
        Ok(Self { path: path.to_owned(), file, columns, positives, dynamics, digest })
    }

    /// Returns the number of epochs of the main run.
    pub fn n_epochs(&self) -> usize {
        self.columns.n_epochs()
    }

    /// Returns the automatic settings.
    pub fn settings(&self) -> Settings {
        Settings::automatic(&self.dynamics, &self.positives)
    }

    /// Takes the automatic settings, changes them with `adjust`, and returns the judge for them and the settings.
    ///
    /// # Errors
    /// The same as [`judge`](Self::judge).
    pub fn judge_automatically(&self, adjust: impl FnOnce(&mut Settings)) -> Result<(Judge, Settings)> {
        let mut settings = self.settings();
        adjust(&mut settings);
        Ok((self.judge(settings.window, settings.metric)?, settings))
    }

    /// Judges the spans over a window and by a metric.
    ///
    /// # Errors
    /// When no epoch is inside the window, the metric needs probabilities that are not known, there are too many spans
    /// to number, or the file became shorter since it was opened.
    pub fn judge(&self, window: Window, metric: Metric) -> Result<Judge> {
        let index = self.dynamics.span_index().map_err(JudgeError::from)?;
        let assigned = self.dynamics.corpus.dense_labels(&index);
        let metrics = self.metrics(&assigned, window)?;
        Ok(Judge::with_metrics(&self.dynamics, index, assigned, window, metric, metrics)?)
    }

    /// Computes the metrics of all spans over a window.
    fn metrics(&self, assigned: &[LabelId], window: Window) -> Result<Metrics> {
        let mut reading = BlockWise::new(&self.columns, assigned, window, false).map_err(JudgeError::from)?;
        let mut bytes = Vec::new();
        while let Some(parts) = reading.ask() {
            self.read(&parts, &mut bytes)?;
            reading.take(&bytes).with_context(|| self.path.display().to_string())?;
        }
        Ok(reading.finish().0)
    }

    /// Reads the main run of these spans only, at all epochs.
    ///
    /// # Errors
    /// When the file became shorter since it was opened.
    pub fn run_of(&self, spans: Range<usize>) -> Result<Run> {
        let mut bytes = Vec::new();
        self.read(&self.columns.ranges(spans.clone()), &mut bytes)?;
        self.columns.run_of(spans.len(), &bytes).with_context(|| self.path.display().to_string())
    }

    /// Reads parts of the file, one after the other, in place of what is in `bytes`.
    fn read(&self, parts: &[Range<u64>], bytes: &mut Vec<u8>) -> Result<()> {
        let about = || format!("cannot read {}", self.path.display());
        let mut file = &self.file;
        bytes.clear();
        for part in parts {
            let length = part.end - part.start;
            file.seek(SeekFrom::Start(part.start)).with_context(about)?;
            let read = file.take(length).read_to_end(bytes).with_context(about)?;
            if read as u64 != length {
                return Err(anyhow!("{} became shorter while it was read: try again", self.path.display()));
            }
        }
        Ok(())
    }
}
