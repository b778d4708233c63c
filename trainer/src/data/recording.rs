//! Reads dynamics files. The logits of the main run are most of a file, so they stay on disk. They are read block by
//! block when a window is judged.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rayon::prelude::*;
use shared::cleaning::Decisions;
use shared::corpus::decision::Side;
use shared::corpus::labels::LabelId;
use shared::corpus::span::SpanId;
use shared::detection::judge::{Judge, JudgeError, Spans};
use shared::detection::threshold::{Metric, Settings};
use shared::evidence::Evidence;
use shared::metrics::block_wise::{Block, BlockError, BlockWise};
use shared::metrics::{Metrics, Prediction, Window};
use shared::recording::dyn_file::{self, Columns, EpochSection, Scan, Scanned};
use shared::recording::dynamics::{Dynamics, Run};

use crate::interrupt;

/// Bytes that are read at once while a file is checked or copied.
const PIECE: usize = 4 << 20;

/// A dynamics file that has been checked, or the parts of one in a folder.
pub struct Recording {
    path: PathBuf,
    /// The files stay open, so that no other file that later gets such a name can take their place.
    files: Vec<OpenFile>,
    /// Positions as if all files were one.
    columns: Columns,
    /// Distant labels of the positives.
    positives: Vec<LabelId>,
    /// The content. The main run has only the rows of the positives.
    pub dynamics: Dynamics,
    /// The digest of the file, or of all parts one after the other.
    pub digest: String,
}

/// A file of a recording.
struct OpenFile {
    path: PathBuf,
    file: File,
    /// The position of its first byte.
    first: u64,
}

impl Recording {
    /// Opens a dynamics file, or a folder with the parts of one, and checks all of it. The parts are the folder's
    /// `.dyn` files, in the order of the numbers in their names.
    ///
    /// # Errors
    /// When it cannot be read or is damaged, or the parts do not go together.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, &[])
    }

    /// Opens a dynamics file whose last bytes are not in the file yet.
    ///
    /// # Errors
    /// The same as [`open`](Self::open).
    pub fn open_with(path: &Path, last: &[u8]) -> Result<Self> {
        let mut files = Vec::new();
        let mut size = 0;
        for path in files_of(path)? {
            let about = || format!("cannot read {}", path.display());
            let file = File::open(&path).with_context(about)?;
            let first = size;
            size += file.metadata().with_context(about)?.len();
            files.push(OpenFile { path, file, first });
        }
        let n_files = files.len();
        let mut scan = Scan::new(size + last.len() as u64);
        let mut piece = vec![0; PIECE];
        for (number, OpenFile { path, file, .. }) in (1..).zip(&mut files) {
            loop {
                match file.read(&mut piece) {
                    Ok(0) => break,
                    Ok(n) => {
                        let bytes = piece.get(..n).unwrap_or_default();
                        scan.feed(bytes).with_context(|| path.display().to_string())?;
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
                }
            }
            ensure!(
                number == n_files || scan.is_between_parts(),
                "{} is cut off, or has bytes after its end: copy it again, or record this part again",
                path.display()
            );
        }
        scan.feed(last).with_context(|| path.display().to_string())?;
        let Scanned { dynamics, positives, columns, digest, .. } =
            scan.finish().with_context(|| path.display().to_string())?;
        Ok(Self { path: path.to_owned(), files, columns, positives, dynamics, digest })
    }

    /// Returns the path of the file or the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the number of epochs of the main run.
    pub fn n_epochs(&self) -> usize {
        self.columns.n_epochs()
    }

    /// Returns the automatic settings.
    pub fn settings(&self) -> Settings {
        self.settings_of(&self.dynamics)
    }

    /// Returns the automatic settings of dynamics with the same spans in their main run.
    pub fn settings_of(&self, dynamics: &Dynamics) -> Settings {
        Settings::automatic(dynamics, &self.positives)
    }

    /// Reads a `decisions.json` about this file.
    ///
    /// # Errors
    /// When it cannot be read, or is about another file.
    pub fn read_decisions(&self, path: &Path) -> Result<Decisions> {
        let json = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Decisions::read(&json, &self.digest).with_context(|| path.display().to_string())
    }

    /// Judges the spans over a window and by a metric.
    ///
    /// # Errors
    /// When no epoch is inside the window, the metric needs probabilities that are not known, there are too many spans
    /// to number, or the file became shorter since it was opened.
    pub fn judge(&self, window: Window, metric: Metric) -> Result<Judge> {
        self.judge_with(window, metric, |assigned| self.metrics(assigned, window))
    }

    /// Judges the spans by the metrics that `metrics` returns for their distant labels.
    fn judge_with(
        &self,
        window: Window,
        metric: Metric,
        metrics: impl FnOnce(&[LabelId]) -> Result<Metrics> + Send,
    ) -> Result<Judge> {
        let index = self.dynamics.span_index().map_err(JudgeError::from)?;
        let assigned = self.dynamics.corpus.dense_labels(&index);
        let evidence = || Evidence::of_dynamics(&self.dynamics, index.max_width());
        let (metrics, evidence) = rayon::join(|| metrics(&assigned), evidence);
        Ok(Judge::with_metrics(&self.dynamics, Spans { index, assigned, evidence }, window, metric, metrics?)?)
    }

    /// Judges the spans as [`judge`](Self::judge) does, in half of its memory and with the same decisions. Of the
    /// metrics, only AUM and trust are known for all spans. Predictions are known for the spans that these decisions
    /// are about. The file is read twice.
    ///
    /// # Errors
    /// The same as [`judge`](Self::judge).
    pub fn judge_sparingly(&self, decisions: &Decisions) -> Result<Judge> {
        let Settings { window, metric, .. } = decisions.settings;
        if metric == Metric::Confidence {
            return self.judge(window, metric);
        }
        let aum_only = |assigned: &[LabelId]| Ok(Metrics { aum: self.aum(assigned, window)?, ..Metrics::default() });
        let mut judge = self.judge_with(window, metric, aum_only)?;
        let judgement = judge.under(&decisions.settings);
        let by_hand = decisions.overrides.iter().filter_map(|(span, _)| judge.index.id(*span));
        let mut spans: Vec<SpanId> = Side::BOTH.iter().flat_map(|&side| judgement.changed(side).into_owned()).collect();
        spans.extend(by_hand);
        spans.sort_unstable();
        spans.dedup();
        let predictions = self.predictions(&judge.assigned, window, &spans)?;
        judge.add_predictions(predictions);
        Ok(judge)
    }

    /// Computes AUM of all spans over a window.
    fn aum(&self, assigned: &[LabelId], window: Window) -> Result<Vec<f32>> {
        let mut aum = Vec::with_capacity(assigned.len());
        let mut reading = self.reading(assigned, window)?;
        while let Some(blocks) = self.next_blocks(&mut reading, BlockWise::aum_of)? {
            aum.extend(blocks.into_iter().flatten());
        }
        Ok(aum)
    }

    /// Computes the predictions for some spans over a window. `spans` must be in ascending order.
    fn predictions(&self, assigned: &[LabelId], window: Window, spans: &[SpanId]) -> Result<Vec<(SpanId, Prediction)>> {
        let (mut found, mut rest) = (Vec::with_capacity(spans.len()), spans);
        let mut reading = self.reading(assigned, window)?;
        let of_block = |reading: &BlockWise, block: Range<usize>, bytes: &[u8]| {
            let [from, to] = [block.start, block.end].map(|end| spans.partition_point(|&span| (span as usize) < end));
            let own = spans.get(from..to).unwrap_or_default();
            let places: Vec<usize> = own.iter().map(|&span| span as usize - block.start).collect();
            let metrics = reading.metrics_of_some(block, &places, bytes)?;
            let prediction = |(place, &span): (usize, &SpanId)| Some((span, metrics.prediction(place)?));
            Ok((to, own.iter().enumerate().filter_map(prediction).collect::<Vec<_>>()))
        };
        while let Some(&next) = rest.first() {
            reading.skip_to(next as usize);
            let Some(blocks) = self.next_blocks(&mut reading, of_block)? else { break };
            for (until, own) in blocks {
                found.extend(own);
                rest = spans.get(until..).unwrap_or_default();
            }
        }
        Ok(found)
    }

    fn reading<'a>(&self, assigned: &'a [LabelId], window: Window) -> Result<BlockWise<'a>> {
        let reading = BlockWise::new(&self.columns, assigned, window, false).map_err(JudgeError::from)?;
        Ok(reading.together(rayon::current_num_threads()))
    }

    /// Reads the next blocks of spans, one for each core. Returns the results of `compute` for them, or `None` after
    /// the last block.
    fn next_blocks<'a, T: Send>(
        &self,
        reading: &mut BlockWise<'a>,
        compute: impl Fn(&BlockWise<'a>, Range<usize>, &[u8]) -> Result<T, BlockError> + Sync,
    ) -> Result<Option<Vec<T>>> {
        interrupt::check()?;
        let mut blocks = Vec::new();
        for Block { spans, parts } in std::iter::from_fn(|| reading.next_block()).take(rayon::current_num_threads()) {
            let mut bytes = Vec::new();
            self.read(&parts, &mut bytes)?;
            blocks.push((spans, bytes));
        }
        if blocks.is_empty() {
            return Ok(None);
        }
        let computed = blocks.into_par_iter().map(|(spans, bytes)| compute(reading, spans, &bytes));
        computed.collect::<Result<_, _>>().map(Some).with_context(|| self.path.display().to_string())
    }

    /// Computes the metrics of all spans over a window.
    fn metrics(&self, assigned: &[LabelId], window: Window) -> Result<Metrics> {
        let mut reading = self.reading(assigned, window)?;
        while let Some(blocks) = self.next_blocks(&mut reading, BlockWise::metrics_of)? {
            blocks.into_iter().for_each(|block| reading.keep(block));
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

    /// Copies the columns of an epoch of the main run (counted from 0) for these spans: all values of the first type,
    /// and so on.
    ///
    /// # Errors
    /// When a file became shorter since it was opened, or the copy cannot be written.
    pub fn copy_columns(&self, epoch: usize, spans: &[Range<usize>], mut copy: impl Write) -> Result<()> {
        for Range { start, end } in self.columns.epoch_ranges(epoch, spans) {
            for start in (start..end).step_by(PIECE) {
                interrupt::check()?;
                let piece = start..end.min(start + PIECE as u64);
                let copied = io::copy(&mut self.at(&piece)?, &mut copy)?;
                self.check_length(copied, piece.end - piece.start)?;
            }
        }
        Ok(())
    }

    /// Returns the columns' section of an epoch (counted from 0) in a file with these spans only.
    pub fn section(&self, epoch: usize, spans: &[Range<usize>]) -> Option<EpochSection> {
        self.columns.section(epoch, spans)
    }

    /// Reads parts of the file, one after the other, into `bytes`. Earlier content of `bytes` is dropped.
    fn read(&self, parts: &[Range<u64>], bytes: &mut Vec<u8>) -> Result<()> {
        bytes.clear();
        for part in parts {
            let read = self.at(part)?.read_to_end(bytes).with_context(|| self.cannot_read())?;
            self.check_length(read as u64, part.end - part.start)?;
        }
        Ok(())
    }

    /// Returns the bytes of a part. It must be in one file.
    fn at(&self, part: &Range<u64>) -> Result<impl Read> {
        let at = self.files.partition_point(|file| file.first <= part.start).saturating_sub(1);
        let OpenFile { path, file, first } = self.files.get(at).with_context(|| self.cannot_read())?;
        let mut file = file;
        file.seek(SeekFrom::Start(part.start - first)).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(file.take(part.end - part.start))
    }

    fn check_length(&self, read: u64, asked: u64) -> Result<()> {
        ensure!(read == asked, "{} became shorter while it was read: try again", self.path.display());
        Ok(())
    }

    fn cannot_read(&self) -> String {
        format!("cannot read {}", self.path.display())
    }
}

/// Returns the files of a recording: the file itself, or the parts in a folder.
fn files_of(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let parts = parts_in(path)?;
    ensure!(
        !parts.is_empty(),
        "{} is a folder without .dyn files: give a dynamics file, or a folder with the parts of one",
        path.display()
    );
    // Names made by `files::part_paths` contain the number of parts.
    let all = |part: &PathBuf| part.file_stem()?.to_str()?.rsplit_once("-of-")?.1.parse::<usize>().ok();
    let n = parts.first().and_then(all).filter(|&n| parts.iter().all(|part| all(part) == Some(n)));
    ensure!(
        n.is_none_or(|n| n == parts.len()),
        "{} has {} of the {} parts that their names tell of: copy the others, too",
        path.display(),
        parts.len(),
        n.unwrap_or_default()
    );
    Ok(parts)
}

/// Returns the `.dyn` files of a folder in the order of the numbers in their names.
fn parts_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let about = || format!("cannot read {}", folder.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(about)? {
        let name = entry.with_context(about)?.file_name();
        if Path::new(&name).extension().is_some_and(|extension| extension == "dyn") {
            names.push(name);
        }
    }
    names.sort_by_cached_key(|name| dyn_file::order_of_part(&name.to_string_lossy()));
    Ok(names.iter().map(|name| folder.join(name)).collect())
}

#[cfg(test)]
mod tests {
    use shared::cleaning::{Override, clean, provenance};
    use shared::corpus::span::Span;
    use shared::detection::threshold::Rule;
    use shared::formats::dynclean_json;
    use shared::recording::dynamics::{EpochLogits, Precision, RunInfo};

    use super::*;

    #[test]
    fn judging_sparingly_or_on_many_cores_gives_the_same_decisions_and_reasons() {
        let sentence = r#"{"tokens": ["the", "Bank", "of", "England", "in", "New", "York", "City"],
            "entities": [[1, 1, "ORG"], [3, 3, "LOC"], [5, 7, "LOC"]]}"#;
        let corpus = dynclean_json::read(format!("[{}]", vec![sentence; 2_500].join(",")).as_bytes()).unwrap();
        let n = corpus.span_index(8).unwrap().len();
        let mut state = 7u32;
        let logits = (0..n * 3).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 20) as f32 - 8.0
        });
        let epoch = EpochLogits::from_rows(&logits.collect::<Vec<f32>>(), 2, Precision::F32).unwrap();
        let dynamics = Dynamics {
            info: RunInfo { max_span_width: 8, ..RunInfo::default() },
            corpus: corpus.clone(),
            gold: None,
            contradicted: vec![],
            run: Run { epochs: vec![epoch], scores: vec![] },
            threshold_run: None,
            complete: true,
            whole: None,
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.dyn");
        std::fs::write(&path, dyn_file::write(&dynamics)).unwrap();
        let file = Recording::open(&path).unwrap();
        let assigned = corpus.dense_labels(&corpus.span_index(8).unwrap());
        let automatic = file.settings();
        let by_value = |metric: Metric, value: f32| Settings {
            metric,
            negatives: Rule::Fixed(value),
            positives: Rule::Fixed(value),
            relabel_probability: 0.4,
            ..automatic.clone()
        };
        let of = |settings: Settings, by_hand: Vec<(Span, Override)>| {
            let decisions = Decisions { overrides: by_hand, ..Decisions::new(file.digest.clone(), settings) };
            let (window, metric) = (decisions.settings.window, decisions.settings.metric);
            let result = |judge: Judge| {
                let decided = decisions.resolve(&judge, &corpus.labels).unwrap();
                let provenance = provenance::json(&corpus, &judge, &decisions, &decided);
                (clean(corpus.clone(), &judge, &decided), provenance)
            };
            let in_memory = result(Judge::new(&dynamics, window, metric).unwrap());
            for n in [1, 8] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
                pool.install(|| {
                    // With eight cores there are several blocks.
                    let mut reading = file.reading(&assigned, window).unwrap();
                    assert_eq!(std::iter::from_fn(|| reading.next_block()).count() > 1, n == 8);
                    assert!(result(file.judge(window, metric).unwrap()) == in_memory);
                    assert!(result(file.judge_sparingly(&decisions).unwrap()) == in_memory);
                });
            }
            in_memory
        };
        let first = Span { sentence: 0, start: 0, end: 0 };
        let by_hand = vec![(first, Override::Relabel("ORG".to_owned()))];
        for (settings, by_hand) in [
            (automatic.clone(), vec![]),
            (by_value(Metric::Trust, 0.6), by_hand.clone()),
            (by_value(Metric::Aum, 1.0), by_hand),
            (by_value(Metric::Confidence, 0.5), vec![]),
        ] {
            let (cleaned, provenance) = of(settings, by_hand);
            assert_ne!(cleaned.entities, corpus.entities);
            assert!(!cleaned.unknown.is_empty() && provenance.contains("\"predicted\":"));
        }
    }
}
