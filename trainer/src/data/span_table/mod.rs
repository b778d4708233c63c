//! Table with one row per candidate span, for other programs: labels, metrics, decision.

mod parquet;

use std::collections::BTreeMap;
use std::io::BufWriter;
use std::ops::Range;
use std::path::Path;

use anyhow::{Result, bail};
use shared::corpus::decision::Decision;
use shared::corpus::labels::{LabelId, O};
use shared::corpus::span::{Span, SpanId};
use shared::detection::judge::Judge;

use crate::data::convert::has_guids;
use crate::data::recording::Recording;
use crate::files::{part_paths, write_whole_by};

/// The table gives reasons only for labels with less trust than this. The reasons of all spans would make up most
/// of it.
const DOUBTED: f32 = 0.8;

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableFormat {
    /// Comma-separated values, with a header.
    Csv,
    /// Apache Parquet.
    Parquet,
    /// A folder of Parquet files, for programs that read many at a time.
    ParquetFolder,
}

impl TableFormat {
    /// Returns the format that matches the ending of a file name. A slash at the end means a folder.
    ///
    /// # Errors
    /// If the ending is neither `.csv` nor `.parquet` nor a slash.
    pub fn of(name: &Path) -> Result<Self> {
        if name.as_os_str().as_encoded_bytes().last().is_some_and(|&last| std::path::is_separator(last.into())) {
            return Ok(Self::ParquetFolder);
        }
        match name.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).as_deref() {
            Some("csv") => Ok(Self::Csv),
            Some("parquet") => Ok(Self::Parquet),
            _ => bail!(
                "{}: name the table .csv or .parquet, or end the name with / for a folder of Parquet files",
                name.display()
            ),
        }
    }
}

/// The spans of a dynamics file and the decisions about them. Values are computed only when they are needed.
pub struct SpanTable<'a> {
    pub(crate) recording: &'a Recording,
    pub(crate) judge: &'a Judge,
    decided: &'a BTreeMap<SpanId, Decision>,
    gold: Option<Vec<LabelId>>,
}

impl<'a> SpanTable<'a> {
    /// Creates the table of these decisions.
    pub fn new(recording: &'a Recording, judge: &'a Judge, decided: &'a BTreeMap<SpanId, Decision>) -> Self {
        Self { recording, judge, decided, gold: recording.dynamics.dense_gold(&judge.index) }
    }

    /// Writes the table.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, out: &Path, format: TableFormat) -> Result<()> {
        match format {
            TableFormat::Csv => self.write_csv(out),
            TableFormat::Parquet => write_whole_by(out, |file| parquet::write(self, 0..self.len(), file)),
            TableFormat::ParquetFolder => self.write_parts(out, parquet::ROWS_PER_PART),
        }
    }

    /// Writes the table as files of at most so many rows.
    fn write_parts(&self, folder: &Path, rows_per_part: usize) -> Result<()> {
        let n_parts = self.len().div_ceil(rows_per_part).max(1);
        let paths = part_paths(folder, n_parts, "parquet", "Parquet file")?;
        for (part, path) in paths.iter().enumerate() {
            let start = part * rows_per_part;
            let rows = start..(start + rows_per_part).min(self.len());
            write_whole_by(path, |file| parquet::write(self, rows, file))?;
        }
        Ok(())
    }

    fn write_csv(&self, out: &Path) -> Result<()> {
        write_whole_by(out, |file| {
            let mut csv = csv::Writer::from_writer(BufWriter::new(file));
            // Without text, only the guid tells the reader which item a row is.
            let has_guids = has_guids(&self.recording.dynamics.info);
            let guid = |cell: &str| has_guids.then(|| cell.to_owned());
            let others = [
                "sentence",
                "start",
                "end",
                "label",
                "gold",
                "aum",
                "confidence",
                "variability",
                "correctness",
                "forgetting",
                "decision",
                "trust",
                "because",
            ];
            let names = std::iter::once("span_id".to_owned()).chain(guid("guid"));
            csv.write_record(names.chain(others.map(str::to_owned)))?;
            let m = &self.judge.metrics;
            for (id, span) in self.spans().enumerate() {
                let others = [
                    span.sentence.to_string(),
                    span.start.to_string(),
                    span.end.to_string(),
                    self.name(self.label(id)).to_owned(),
                    self.gold(id).map_or(String::new(), |gold| self.name(gold).to_owned()),
                    text(m.aum.get(id)),
                    text(m.confidence.get(id)),
                    text(m.variability.get(id)),
                    text(m.correctness.get(id)),
                    text(m.forgetting.get(id)),
                    self.decision(id),
                    text(m.trust.get(id)),
                    self.because(id),
                ];
                let guid = has_guids.then(|| self.recording.dynamics.corpus.tokens.surface(span));
                csv.write_record(std::iter::once(id.to_string()).chain(guid).chain(others))?;
            }
            csv.flush()?;
            Ok(())
        })
    }

    /// Returns the number of spans.
    pub(crate) fn len(&self) -> usize {
        self.judge.index.len()
    }

    /// Returns all spans in the order of their ids.
    fn spans(&self) -> impl Iterator<Item = Span> + '_ {
        (0..self.recording.dynamics.corpus.n_sentences() as u32).flat_map(|s| self.judge.index.spans_of(s))
    }

    /// Returns the name of a label.
    pub(crate) fn name(&self, label: LabelId) -> &str {
        self.recording.dynamics.corpus.labels.name(label)
    }

    /// Returns the distant label.
    pub(crate) fn label(&self, id: usize) -> LabelId {
        self.judge.assigned.get(id).copied().unwrap_or(O)
    }

    /// Returns the margins of these spans at all epochs: first those of the first span. NaN where a logit is not
    /// finite.
    ///
    /// # Errors
    /// When the recording became shorter since it was opened.
    pub(crate) fn margins(&self, spans: Range<usize>) -> Result<Vec<f32>> {
        let run = self.recording.run_of(spans.clone())?;
        let known = |margin: f32| if margin.is_finite() { margin } else { f32::NAN };
        let of_span = |(row, id)| run.epochs.iter().map(move |epoch| known(epoch.margin(row, self.label(id))));
        Ok((0..).zip(spans).flat_map(of_span).collect())
    }

    /// Returns the gold label, if known.
    pub(crate) fn gold(&self, id: usize) -> Option<LabelId> {
        self.gold.as_ref()?.get(id).copied()
    }

    /// Returns the reasons to doubt the label, or an empty text if it is not doubted.
    pub(crate) fn because(&self, id: usize) -> String {
        let is_doubted = self.judge.metrics.trust.get(id).is_some_and(|&trust| trust < DOUBTED);
        let id = SpanId::try_from(id).ok().filter(|_| is_doubted);
        id.map_or(String::new(), |id| self.judge.explain(&self.recording.dynamics.corpus.tokens, id).line())
    }

    /// Returns `keep`, `remove`, or `relabel:` with the new label.
    pub(crate) fn decision(&self, id: usize) -> String {
        match SpanId::try_from(id).ok().and_then(|id| self.decided.get(&id)) {
            None | Some(Decision::Keep) => "keep".to_owned(),
            Some(Decision::Remove) => "remove".to_owned(),
            Some(Decision::Relabel(label)) => format!("relabel:{}", self.name(*label)),
        }
    }
}

/// Formats a value; empty if it is not known.
fn text(value: Option<&impl ToString>) -> String {
    value.map_or(String::new(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use ::parquet::file::reader::SerializedFileReader;
    use ::parquet::record::RowAccessor;
    use shared::detection::threshold::Metric;
    use shared::formats::dynclean_json;
    use shared::metrics::Window;
    use shared::recording::dyn_file;
    use shared::recording::dynamics::{Dynamics, EpochLogits, Run, RunInfo};

    use super::*;

    #[test]
    fn a_folder_has_all_rows_in_parts_and_nothing_else() {
        let corpus = dynclean_json::read(br#"[{"tokens": ["Ada", "met", "Bo"], "entities": [[0, 0, "X"]]}]"#).unwrap();
        let epochs = vec![EpochLogits::from_margins(vec![1.0; 6])];
        let dynamics = Dynamics {
            info: RunInfo { max_span_width: 8, ..RunInfo::default() },
            corpus,
            gold: None,
            contradicted: vec![],
            run: Run { epochs, scores: vec![] },
            threshold_run: None,
            complete: true,
            whole: None,
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.dyn");
        std::fs::write(&path, dyn_file::write(&dynamics)).unwrap();
        let recording = Recording::open(&path).unwrap();
        let judge = recording.judge(Window::first_epochs(1), Metric::Aum).unwrap();
        let decided = BTreeMap::new();
        let table = SpanTable::new(&recording, &judge, &decided);
        let spans = folder.path().join("spans");
        table.write_parts(&spans, 4).unwrap();
        let ids = |name: &str| {
            let reader = SerializedFileReader::new(std::fs::File::open(spans.join(name)).unwrap()).unwrap();
            reader.into_iter().map(|row| row.unwrap().get_uint(0).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(ids("part-1-of-2.parquet"), [0, 1, 2, 3]);
        assert_eq!(ids("part-2-of-2.parquet"), [4, 5]);
        // Writing the same table again is harmless. But parts of another table would count as parts of this one.
        std::fs::write(spans.join("_SUCCESS"), "").unwrap();
        table.write_parts(&spans, 4).unwrap();
        let error = table.write_parts(&spans, 6).unwrap_err().to_string();
        assert!(error.contains("part-1-of-2.parquet") || error.contains("part-2-of-2.parquet"), "{error}");
        assert_eq!(TableFormat::of(Path::new("spans/")).unwrap(), TableFormat::ParquetFolder);
        assert!(TableFormat::of(Path::new("spans")).is_err());
    }
}
