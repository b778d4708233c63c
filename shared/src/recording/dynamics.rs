//! Training dynamics in columns: the logits of many spans at every epoch.

use half::f16;
use half::slice::HalfFloatSliceExt;
use serde::{Deserialize, Serialize};

use crate::corpus::labels::LabelId;
use crate::corpus::span::{SpanId, SpanIndex, TooManySpans};
use crate::corpus::{Corpus, Entity, dense_labels};
use crate::recording::dictionary::Entry;

/// The logits of `n_spans` spans after one epoch, relative to the logit of `O`.
///
/// Margins and probabilities do not change when a constant is added to all logits of a span, so
/// the logit of `O` is subtracted from the others and not stored. One column per entity type, one
/// element per span.
///
/// Some programs record only the margin of each span's assigned label. Then that one column is kept
/// instead ([`EpochLogits::is_margins`]), `n_types` is 0, and no logit or probability is known.
#[derive(Debug, Clone, PartialEq)]
pub struct EpochLogits {
    n_spans: usize,
    n_types: usize,
    values: Values,
}

/// How precisely logits are kept. Every decision is made from what is kept, by trainer and page alike.
#[derive(Debug, Clone, PartialEq)]
enum Values {
    F16(Vec<f16>),
    F32(Vec<f32>),
    /// Not logits, but the margin of each span's assigned label.
    Margins(Vec<f32>),
}

/// Precision of stored logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Precision {
    /// Half precision: 2 bytes; relative error at most 2⁻¹¹.
    F16,
    /// Single precision: 4 bytes; for dynamics that come from elsewhere.
    F32,
}

impl Precision {
    /// Bytes per value.
    pub fn bytes(self) -> usize {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
        }
    }
}

/// Columns whose length is not `n_spans × n_types`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found} logits where {n_spans} spans × {n_types} types need {expected}")]
pub struct WrongLength {
    n_spans: usize,
    n_types: usize,
    expected: usize,
    found: usize,
}

impl WrongLength {
    /// Whether columns of so many bytes are those of `n_spans` spans and `n_types` types.
    pub(crate) fn check(bytes: usize, n_spans: usize, n_types: usize, precision: Precision) -> Result<(), Self> {
        let expected = n_spans.saturating_mul(n_types);
        if expected.checked_mul(precision.bytes()) == Some(bytes) {
            return Ok(());
        }
        Err(Self { n_spans, n_types, expected, found: bytes / precision.bytes() })
    }
}

impl EpochLogits {
    /// From the logits of all spans, row by row: `n_spans` rows of `n_types + 1` logits, `O` first.
    ///
    /// # Errors
    /// When the number of logits is another.
    pub fn from_rows(rows: &[f32], n_types: usize, precision: Precision) -> Result<Self, WrongLength> {
        let n_spans = rows.len() / (n_types + 1);
        let expected = n_spans * (n_types + 1);
        if rows.len() != expected {
            return Err(WrongLength { n_spans, n_types, expected, found: rows.len() });
        }
        let mut columns = vec![0f32; n_spans * n_types];
        for (i, row) in rows.chunks_exact(n_types + 1).enumerate() {
            for (kind, &logit) in row[1..].iter().enumerate() {
                columns[kind * n_spans + i] = logit - row[0];
            }
        }
        Ok(Self { n_spans, n_types, values: Values::new(columns, precision) })
    }

    /// From one column per entity type: the logits of that type minus those of `O`, one element per
    /// span. Columns are taken one by one, so that they need not be in memory twice.
    ///
    /// # Errors
    /// When a column has another length than `n_spans`.
    pub fn from_columns(
        columns: impl ExactSizeIterator<Item = Vec<f32>>,
        n_spans: usize,
        precision: Precision,
    ) -> Result<Self, WrongLength> {
        let n_types = columns.len();
        let expected = n_spans.saturating_mul(n_types);
        let mut values = Values::new(Vec::new(), precision);
        for column in columns {
            if column.len() != n_spans {
                return Err(WrongLength { n_spans, n_types: 1, expected: n_spans, found: column.len() });
            }
            match &mut values {
                Values::F16(half) => {
                    half.reserve_exact(expected - half.len());
                    half.extend(column.into_iter().map(f16::from_f32));
                }
                Values::F32(all) | Values::Margins(all) => {
                    all.reserve_exact(expected - all.len());
                    all.extend(column);
                }
            }
        }
        Ok(Self { n_spans, n_types, values })
    }

    /// Where only margins are known: the margin of each span's assigned label.
    pub fn from_margins(margins: Vec<f32>) -> Self {
        Self { n_spans: margins.len(), n_types: 0, values: Values::Margins(margins) }
    }

    /// Whether only margins are known, no logits.
    pub fn is_margins(&self) -> bool {
        matches!(self.values, Values::Margins(_))
    }

    /// Number of spans.
    pub fn n_spans(&self) -> usize {
        self.n_spans
    }

    /// Number of entity types: columns.
    pub fn n_types(&self) -> usize {
        self.n_types
    }

    /// How the values are kept.
    pub fn precision(&self) -> Precision {
        match self.values {
            Values::F16(_) => Precision::F16,
            Values::F32(_) | Values::Margins(_) => Precision::F32,
        }
    }

    /// Relative logits of type `kind` (from 0) of all spans, into `out`; NaN where only margins are known.
    pub(crate) fn read(&self, kind: usize, out: &mut [f32]) {
        match self.view() {
            Some(epoch) => epoch.read(kind, 0..self.n_spans, out),
            None => out.fill(f32::NAN),
        }
    }

    /// For loops over columns; `None` where only margins are known.
    pub(crate) fn view(&self) -> Option<lanes::Epoch<'_>> {
        let values = match &self.values {
            Values::F16(values) => lanes::Values::F16(values),
            Values::F32(values) => lanes::Values::F32(values),
            Values::Margins(_) => return None,
        };
        Some(lanes::Epoch::new(self.n_spans, self.n_types, values))
    }

    /// All logits of one span relative to `O`, `O` (0) first: `n_types + 1` values; none for a span
    /// that does not exist, or where only margins are known. Allocates nothing.
    pub fn logits(&self, span: usize) -> impl Iterator<Item = f32> + '_ {
        let known = if span < self.n_spans && !self.is_margins() { self.n_types + 1 } else { 0 };
        (0..known).map(move |label| match (label.checked_sub(1), &self.values) {
            (None, _) => 0.0,
            (Some(kind), Values::F16(v)) => v.get(kind * self.n_spans + span).map_or(f32::NAN, |z| z.to_f32()),
            (Some(kind), Values::F32(v)) => v.get(kind * self.n_spans + span).copied().unwrap_or(f32::NAN),
            (Some(_), Values::Margins(_)) => f32::NAN,
        })
    }

    /// [`EpochLogits::logits`] as a list.
    pub fn row(&self, span: usize) -> Vec<f32> {
        self.logits(span).collect()
    }

    /// Margin of a span's assigned label: its logit minus the largest other; NaN where there is no
    /// such span or label. Allocates nothing.
    pub fn margin(&self, span: usize, assigned: LabelId) -> f32 {
        if let Values::Margins(margins) = &self.values {
            return margins.get(span).copied().unwrap_or(f32::NAN);
        }
        let (mut own, mut other) = (f32::NAN, f32::NEG_INFINITY);
        for (label, z) in self.logits(span).enumerate() {
            if label == usize::from(assigned) {
                own = z;
            } else {
                other = other.max(z);
            }
        }
        own - other
    }

    /// [`EpochLogits::margin`] of all spans in half precision, one after the other, to the end of `out`.
    pub(crate) fn append_margins(&self, assigned: &[LabelId], out: &mut Vec<f16>) {
        match (&self.values, self.view()) {
            (Values::Margins(margins), _) => lanes::narrowed(margins, out),
            (_, Some(epoch)) => lanes::margins(epoch, assigned, out),
            (_, None) => {}
        }
    }

    /// Whether the model predicts a span's assigned label: it has the largest logit (the lowest label
    /// on ties), or, where only margins are known, a margin above 0. Allocates nothing.
    pub fn predicts(&self, span: usize, assigned: LabelId) -> bool {
        if let Values::Margins(margins) = &self.values {
            return margins.get(span).is_some_and(|&m| m > 0.0);
        }
        let (mut best, mut highest) = (None, f32::NEG_INFINITY);
        for (label, z) in self.logits(span).enumerate() {
            if z > highest {
                (best, highest) = (Some(label), z);
            }
        }
        best == Some(usize::from(assigned))
    }

    /// Appends the columns as little-endian bytes.
    pub(crate) fn write_bytes(&self, out: &mut Vec<u8>) {
        match &self.values {
            Values::F16(values) => {
                out.reserve_exact(values.len() * 2);
                out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
            }
            Values::F32(values) | Values::Margins(values) => {
                out.reserve_exact(values.len() * 4);
                out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
            }
        }
    }

    /// The columns from little-endian bytes.
    pub(crate) fn from_bytes(
        bytes: &[u8],
        n_spans: usize,
        n_types: usize,
        precision: Precision,
    ) -> Result<Self, WrongLength> {
        WrongLength::check(bytes.len(), n_spans, n_types, precision)?;
        let values = match precision {
            Precision::F16 => Values::F16(bytes.as_chunks::<2>().0.iter().map(|&b| f16::from_le_bytes(b)).collect()),
            Precision::F32 => Values::F32(bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect()),
        };
        Ok(Self { n_spans, n_types, values })
    }

    /// A column of margins from little-endian bytes.
    pub(crate) fn margins_from_bytes(bytes: &[u8], n_spans: usize) -> Result<Self, WrongLength> {
        let mut column = Self::from_bytes(bytes, n_spans, 1, Precision::F32)?;
        column.n_types = 0;
        if let Values::F32(values) = column.values {
            column.values = Values::Margins(values);
        }
        Ok(column)
    }
}

impl Values {
    fn new(columns: Vec<f32>, precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32(columns),
            Precision::F16 => {
                let mut half = vec![f16::ZERO; columns.len()];
                half.convert_from_f32_slice(&columns);
                Self::F16(half)
            }
        }
    }
}

/// Quality of a model on held-out sentences after an epoch, and its training loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochScore {
    /// Epoch, from 1.
    pub epoch: u32,
    /// Mean training loss per span in the loss.
    pub train_loss: f64,
    /// Dev precision, recall and F1.
    pub dev: crate::recording::prf::Prf,
}

/// What a training run recorded: the logits of the same spans after each epoch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Run {
    /// Logits after epoch 1, 2, ….
    pub epochs: Vec<EpochLogits>,
    /// Scores after epoch 1, 2, … (may be shorter than `epochs`).
    pub scores: Vec<EpochScore>,
}

/// How threshold samples were mislabelled (DynClean §3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SampleScheme {
    /// All get an extra class that no real span has.
    FakeClass,
    /// Positives get the extra class, negatives a random entity type.
    FakeClassPositives,
    /// Each gets a random label other than its own.
    RandomOther,
}

/// The threshold run: spans trained with deliberately wrong labels.
#[derive(Debug, Clone, PartialEq)]
pub struct ThresholdRun {
    /// How the labels were made wrong.
    pub scheme: SampleScheme,
    /// The threshold samples, ascending.
    pub spans: Vec<SpanId>,
    /// The wrong label each was given; with an extra class, that class is number C + 1.
    pub assigned: Vec<LabelId>,
    /// Dynamics of the threshold samples only: row i belongs to `spans[i]`.
    pub run: Run,
}

/// Settings and origin of a dynamics file, for people and for reproducing it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RunInfo {
    /// Name to show: usually the corpus.
    pub name: String,
    /// Program and version that wrote the file.
    pub written_by: String,
    /// The encoder, as it was named.
    pub encoder: String,
    /// Seed of the run.
    pub seed: u64,
    /// Which negatives entered the loss.
    pub negatives: Negatives,
    /// Widest candidate span, in tokens.
    pub max_span_width: u32,
    /// Further settings as (name, value), to be shown in order.
    pub settings: Vec<(String, String)>,
}

/// Which negatives enter the training loss (DynClean §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Negatives {
    /// Only those most similar to the positives of their batch.
    #[default]
    Top,
    /// All of them.
    All,
}

/// Everything a `.dyn` file holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Dynamics {
    /// Settings and origin.
    pub info: RunInfo,
    /// Text and distant labels.
    pub corpus: Corpus,
    /// Gold entities, where known.
    pub gold: Option<Vec<Entity>>,
    /// Dictionary entries that annotated sentences contradict; empty where that was not checked.
    pub contradicted: Vec<Entry>,
    /// The run on the distant labels: logits of all candidate spans.
    pub run: Run,
    /// The run with threshold samples.
    pub threshold_run: Option<ThresholdRun>,
    /// Whether the file was finished; otherwise the run was cut off and later epochs are missing.
    pub complete: bool,
}

impl Run {
    /// Whether this run holds margins only: no logit, probability or prediction is known.
    pub fn is_margins(&self) -> bool {
        self.epochs.first().is_some_and(EpochLogits::is_margins)
    }
}

impl Dynamics {
    /// The enumeration of the candidate spans.
    ///
    /// # Errors
    /// When there are too many to number.
    pub fn span_index(&self) -> Result<SpanIndex, TooManySpans> {
        self.corpus.span_index(self.info.max_span_width)
    }

    /// Gold label of every candidate span, where gold is known.
    pub fn dense_gold(&self, index: &SpanIndex) -> Option<Vec<LabelId>> {
        self.gold.as_deref().map(|gold| dense_labels(gold, index))
    }
}

#[cfg(test)]
impl Dynamics {
    /// One epoch of a run on `corpus`, without threshold run: `rows` has the logits of each span, `O`'s first.
    pub(crate) fn of_one_epoch(corpus: Corpus, rows: &[f32]) -> Self {
        let logits = EpochLogits::from_rows(rows, corpus.labels.n_types(), Precision::F32).unwrap();
        Self {
            info: RunInfo { max_span_width: 8, ..RunInfo::default() },
            corpus,
            gold: None,
            contradicted: Vec::new(),
            run: Run { epochs: vec![logits], scores: vec![] },
            threshold_run: None,
            complete: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logits_are_kept_relative_to_o() {
        let logits = EpochLogits::from_rows(&[1.0, 3.0, -2.0, 0.5, 0.5, 0.25], 2, Precision::F16).unwrap();
        assert_eq!(logits.row(0), [0.0, 2.0, -3.0]);
        assert_eq!(logits.row(1), [0.0, 0.0, -0.25]);
        let mut bytes = Vec::new();
        logits.write_bytes(&mut bytes);
        let again = EpochLogits::from_bytes(&bytes, 2, 2, Precision::F16).unwrap();
        assert_eq!(again, logits);
        for precision in [Precision::F16, Precision::F32] {
            let rows = EpochLogits::from_rows(&[1.0, 3.0, -2.0, 0.5, 0.5, 0.25], 2, precision).unwrap();
            let columns = [vec![2.0, 0.0], vec![-3.0, -0.25]].into_iter();
            assert_eq!(EpochLogits::from_columns(columns, 2, precision).unwrap(), rows);
        }
        assert_eq!([0, 1, 2].map(|label| logits.margin(0, label)), [-2.0, 2.0, -5.0]);
        assert!(logits.margin(2, 0).is_nan() && logits.margin(0, 3).is_nan());
        assert_eq!([0, 1].map(|label| logits.predicts(1, label)), [true, false], "ties go to the lowest label");
    }

    #[test]
    fn margins_are_all_that_is_known() {
        let margins = EpochLogits::from_margins(vec![1.5, -0.5, 0.0]);
        assert_eq!((margins.n_spans(), margins.n_types(), margins.is_margins()), (3, 0, true));
        assert_eq!([0, 1, 2].map(|span| margins.predicts(span, 1)), [true, false, false]);
        assert_eq!(margins.margin(1, 7), -0.5);
        assert!(margins.margin(3, 1).is_nan());
        assert!(margins.row(0).is_empty());
        let mut bytes = Vec::new();
        margins.write_bytes(&mut bytes);
        assert_eq!(EpochLogits::margins_from_bytes(&bytes, 3).unwrap(), margins);
        assert!(EpochLogits::margins_from_bytes(&bytes, 2).is_err());
    }

    #[test]
    fn lengths_are_checked() {
        assert!(EpochLogits::from_rows(&[1.0; 5], 1, Precision::F32).is_err());
        assert!(EpochLogits::from_columns([vec![1.0; 5]].into_iter(), 4, Precision::F32).is_err());
        assert!(EpochLogits::from_bytes(&[0; 6], 2, 2, Precision::F16).is_err());
        assert!(EpochLogits::from_bytes(&[0; 8], usize::MAX, 2, Precision::F16).is_err());
    }
}
