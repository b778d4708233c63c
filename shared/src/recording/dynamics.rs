//! Training dynamics in columns: the logits of many spans at every epoch.

use half::f16;
use half::slice::HalfFloatSliceExt;
use serde::{Deserialize, Serialize};

use crate::corpus::labels::LabelId;
use crate::corpus::span::{SpanId, SpanIndex, TooManySpans};
use crate::corpus::{Corpus, Entity, dense_labels};
use crate::recording::dictionary::Entry;
use crate::recording::whole::Whole;

/// The logits of `n_spans` spans after one epoch, relative to the logit of `O`.
///
/// Margins and probabilities do not change if a constant is added to all logits of a span. So the logit of `O` is
/// subtracted from the others and not stored. There is one column per entity type, with one element per span.
///
/// Some programs record only the margin of each span's assigned label. In this case that single column is stored
/// ([`EpochLogits::is_margins`]), `n_types` is 0, and no logit or probability is known.
#[derive(Debug, Clone, PartialEq)]
pub struct EpochLogits {
    n_spans: usize,
    n_types: usize,
    values: Values,
}

/// The stored values and their precision. Trainer and page make every decision from the stored values.
#[derive(Debug, Clone, PartialEq)]
enum Values {
    F16(Vec<f16>),
    F32(Vec<f32>),
    /// The margin of each span's assigned label, instead of logits.
    Margins(Vec<f32>),
}

/// Precision of stored logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Precision {
    /// Half precision: 2 bytes, relative error at most 2⁻¹¹.
    F16,
    /// Single precision: 4 bytes, for dynamics from other programs.
    F32,
}

impl Precision {
    /// Bytes per value.
    pub const fn bytes(self) -> usize {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
        }
    }
}

/// Error: the columns do not have `n_spans × n_types` values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found} logits where {n_spans} spans × {n_types} types need {expected}")]
pub struct WrongLength {
    n_spans: usize,
    n_types: usize,
    expected: usize,
    found: usize,
}

impl WrongLength {
    /// Checks that columns with this number of bytes belong to `n_spans` spans and `n_types` types.
    pub(crate) fn check(bytes: usize, n_spans: usize, n_types: usize, precision: Precision) -> Result<(), Self> {
        let expected = n_spans.saturating_mul(n_types);
        if expected.checked_mul(precision.bytes()) == Some(bytes) {
            return Ok(());
        }
        Err(Self { n_spans, n_types, expected, found: bytes / precision.bytes() })
    }
}

impl EpochLogits {
    /// Builds the epoch from rows: `n_spans` rows of `n_types + 1` logits each, `O` first.
    ///
    /// # Errors
    /// When the number of logits does not fit.
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

    /// Builds the epoch from one column per entity type: the logits of the type minus those of `O`, one element
    /// per span. It takes the columns one by one, so they need not be in memory twice.
    ///
    /// # Errors
    /// When the length of a column is not `n_spans`.
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

    /// Builds an epoch with margins only: the margin of each span's assigned label.
    pub fn from_margins(margins: Vec<f32>) -> Self {
        Self { n_spans: margins.len(), n_types: 0, values: Values::Margins(margins) }
    }

    /// Whether the epoch has margins only, and no logits.
    pub fn is_margins(&self) -> bool {
        matches!(self.values, Values::Margins(_))
    }

    /// Number of spans.
    pub fn n_spans(&self) -> usize {
        self.n_spans
    }

    /// Number of entity types, that is, of columns.
    pub fn n_types(&self) -> usize {
        self.n_types
    }

    /// Precision of the stored values.
    pub fn precision(&self) -> Precision {
        match self.values {
            Values::F16(_) => Precision::F16,
            Values::F32(_) | Values::Margins(_) => Precision::F32,
        }
    }

    /// Copies the relative logits of type `kind` (from 0) for all spans into `out`; NaN if only margins are known.
    pub(crate) fn read(&self, kind: usize, out: &mut [f32]) {
        match self.view() {
            Some(epoch) => epoch.read(kind, 0..self.n_spans, out),
            None => out.fill(f32::NAN),
        }
    }

    /// A view for loops over columns; `None` if only margins are known.
    pub(crate) fn view(&self) -> Option<lanes::Epoch<'_>> {
        let values = match &self.values {
            Values::F16(values) => lanes::Values::F16(values),
            Values::F32(values) => lanes::Values::F32(values),
            Values::Margins(_) => return None,
        };
        Some(lanes::Epoch::new(self.n_spans, self.n_types, values))
    }

    /// The logits of one span relative to `O`, `O` (0) first: `n_types + 1` values. Empty if the span does not
    /// exist or only margins are known. Allocates nothing.
    pub fn logits(&self, span: usize) -> impl Iterator<Item = f32> + '_ {
        let known = if span < self.n_spans && !self.is_margins() { self.n_types + 1 } else { 0 };
        (0..known).map(move |label| match (label.checked_sub(1), &self.values) {
            (None, _) => 0.0,
            (Some(kind), Values::F16(v)) => v.get(kind * self.n_spans + span).map_or(f32::NAN, |z| z.to_f32()),
            (Some(kind), Values::F32(v)) => v.get(kind * self.n_spans + span).copied().unwrap_or(f32::NAN),
            (Some(_), Values::Margins(_)) => f32::NAN,
        })
    }

    /// The values of [`EpochLogits::logits`] as a list.
    pub fn row(&self, span: usize) -> Vec<f32> {
        self.logits(span).collect()
    }

    /// The margin of a span's assigned label: its logit minus the largest other logit. NaN if the span or the
    /// label does not exist. Allocates nothing.
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

    /// The recorded margins, if only those were recorded.
    pub(crate) fn recorded_margins(&self) -> Option<&[f32]> {
        if let Values::Margins(margins) = &self.values { Some(margins) } else { None }
    }

    /// Whether the model predicts a span's assigned label, that is, whether it has the largest logit (the lowest
    /// label on ties). If only margins are known: whether the margin is above 0. Allocates nothing.
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

    /// Returns the rows of some spans. Spans that do not exist are left out.
    pub fn select(&self, spans: &[usize]) -> Self {
        let at = |column: usize| {
            let known = spans.iter().filter(|&&span| span < self.n_spans);
            known.map(move |span| column * self.n_spans + span)
        };
        let values = match &self.values {
            Values::F16(all) => {
                Values::F16((0..self.n_types).flat_map(at).filter_map(|at| all.get(at).copied()).collect())
            }
            Values::F32(all) => {
                Values::F32((0..self.n_types).flat_map(at).filter_map(|at| all.get(at).copied()).collect())
            }
            Values::Margins(all) => Values::Margins(at(0).filter_map(|at| all.get(at).copied()).collect()),
        };
        Self { n_spans: at(0).count(), n_types: self.n_types, values }
    }

    /// Appends the spans of another part of the same epoch.
    ///
    /// # Errors
    /// When its values have another number of types, or another precision.
    fn append(&mut self, next: &Self) -> Result<(), &'static str> {
        if self.n_types != next.n_types {
            return Err("its logits have other types");
        }
        let n_spans = [self.n_spans, next.n_spans];
        match (&mut self.values, &next.values) {
            (Values::F16(all), Values::F16(more)) => *all = side_by_side(n_spans, [&*all, more]),
            (Values::F32(all), Values::F32(more)) => *all = side_by_side(n_spans, [&*all, more]),
            (Values::Margins(all), Values::Margins(more)) => all.extend(more),
            _ => return Err("its logits have another precision"),
        }
        self.n_spans += next.n_spans;
        Ok(())
    }

    /// Appends the columns as little-endian bytes.
    pub fn write_bytes(&self, out: &mut Vec<u8>) {
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

    /// Reads the columns from little-endian bytes.
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

    /// Reads a column of margins from little-endian bytes.
    pub(crate) fn margins_from_bytes(bytes: &[u8], n_spans: usize) -> Result<Self, WrongLength> {
        let mut column = Self::from_bytes(bytes, n_spans, 1, Precision::F32)?;
        column.n_types = 0;
        if let Values::F32(values) = column.values {
            column.values = Values::Margins(values);
        }
        Ok(column)
    }
}

/// Appends each column of the second table to that of the first. A column has one value per span.
fn side_by_side<T: Copy>(n_spans: [usize; 2], tables: [&[T]; 2]) -> Vec<T> {
    let mut all = Vec::with_capacity(tables[0].len() + tables[1].len());
    let [mut rest, mut more] = tables;
    while let (Some((own, others)), Some((next, later))) =
        (rest.split_at_checked(n_spans[0]), more.split_at_checked(n_spans[1]))
    {
        if own.is_empty() && next.is_empty() {
            break;
        }
        all.extend_from_slice(own);
        all.extend_from_slice(next);
        (rest, more) = (others, later);
    }
    all
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

/// Quality of a model on dev sentences after an epoch, and its training loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochScore {
    /// Epoch, counted from 1.
    pub epoch: u32,
    /// Mean training loss over the spans that are in the loss.
    pub train_loss: f64,
    /// Dev precision, recall and F1.
    pub dev: crate::recording::prf::Prf,
}

/// The recording of a training run: the logits of the same spans after each epoch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Run {
    /// Logits after epoch 1, 2, ….
    pub epochs: Vec<EpochLogits>,
    /// Scores after epoch 1, 2, … (may be shorter than `epochs`).
    pub scores: Vec<EpochScore>,
}

/// The ways to give threshold samples a wrong label (DynClean §3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SampleScheme {
    /// All samples get an extra class that no real span has.
    FakeClass,
    /// Positives get the extra class, negatives get a random entity type.
    FakeClassPositives,
    /// Each sample gets a random label that is not its own.
    RandomOther,
}

/// The threshold run: a training in which some spans have deliberately wrong labels.
#[derive(Debug, Clone, PartialEq)]
pub struct ThresholdRun {
    /// How the wrong labels were chosen.
    pub scheme: SampleScheme,
    /// The threshold samples, in ascending order.
    pub spans: Vec<SpanId>,
    /// The wrong label of each sample. An extra class has the number C + 1.
    pub assigned: Vec<LabelId>,
    /// Dynamics of the threshold samples only: row `i` belongs to `spans[i]`.
    pub run: Run,
}

/// Settings and origin of a dynamics file, for display and for reproducing the run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RunInfo {
    /// Name to display, usually that of the corpus.
    pub name: String,
    /// Name and version of the program that wrote the file.
    pub written_by: String,
    /// The encoder, as named by the user.
    pub encoder: String,
    /// Seed of the run.
    pub seed: u64,
    /// The negatives that are in the loss.
    pub negatives: Negatives,
    /// Width of the widest candidate span, in tokens.
    pub max_span_width: u32,
    /// Further settings as (name, value), in display order.
    pub settings: Vec<(String, String)>,
}

/// The negatives that are in the training loss (DynClean §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Negatives {
    /// Only the negatives that are most similar to the positives of their batch.
    #[default]
    Top,
    /// All negatives.
    All,
}

/// The content of a `.dyn` file.
#[derive(Debug, Clone, PartialEq)]
pub struct Dynamics {
    /// Settings and origin.
    pub info: RunInfo,
    /// Text and distant labels.
    pub corpus: Corpus,
    /// Gold entities, if known.
    pub gold: Option<Vec<Entity>>,
    /// Dictionary entries that annotated sentences contradict; empty if this was not checked.
    pub contradicted: Vec<Entry>,
    /// The run on the distant labels, with the logits of all candidate spans.
    pub run: Run,
    /// The run with threshold samples, if there is one.
    pub threshold_run: Option<ThresholdRun>,
    /// Whether the file is complete. If not, the run was cut off and later epochs are missing.
    pub complete: bool,
    /// If it is an extract: facts about the whole recording.
    pub whole: Option<Whole>,
}

impl Run {
    /// Whether this run has margins only, without logits, probabilities or predictions.
    pub fn is_margins(&self) -> bool {
        self.epochs.first().is_some_and(EpochLogits::is_margins)
    }

    /// Appends the spans of another part of the same run.
    fn append(&mut self, next: &Self) -> Result<(), &'static str> {
        if self.epochs.len() != next.epochs.len() {
            return Err("it has another number of epochs");
        }
        self.epochs.iter_mut().zip(&next.epochs).try_for_each(|(all, more)| all.append(more))
    }
}

/// See [`TooManySpans`] and [`crate::corpus::TextTooLong`].
const TOO_LARGE: &str = "together they have more text, or more candidate spans, than one recording can have";

impl Dynamics {
    /// The numbering of the candidate spans.
    ///
    /// # Errors
    /// When there are too many candidates to number.
    pub fn span_index(&self) -> Result<SpanIndex, TooManySpans> {
        self.corpus.span_index(self.info.max_span_width)
    }

    /// Appends the next part of the same recording: other sentences with the same entity types, in the same training.
    /// Settings and scores stay those of the first part.
    ///
    /// # Errors
    /// With the reason why the parts do not go together.
    pub(crate) fn append(&mut self, next: Self) -> Result<(), &'static str> {
        if self.whole.is_some() || next.whole.is_some() {
            return Err("it is an extract");
        }
        if self.info.max_span_width != next.info.max_span_width {
            return Err("its candidate spans have another width");
        }
        if self.info.negatives != next.info.negatives {
            return Err("other negatives were in the loss");
        }
        if self.gold.is_some() != next.gold.is_some() {
            return Err("only one of them has gold labels");
        }
        if self.threshold_run.is_some() != next.threshold_run.is_some() {
            return Err("only one of them has threshold samples");
        }
        self.run.append(&next.run)?;
        if let (Some(all), Some(more)) = (&mut self.threshold_run, next.threshold_run) {
            if all.scheme != more.scheme {
                return Err("its threshold samples were chosen in another way");
            }
            all.run.append(&more.run)?;
            let before = self.corpus.span_index(self.info.max_span_width).map_err(|_| TOO_LARGE)?.len() as SpanId;
            all.spans.extend(more.spans.iter().map(|span| before.saturating_add(*span)));
            all.assigned.extend(more.assigned);
        }
        let sentences = self.corpus.n_sentences() as u32;
        if let (Some(all), Some(more)) = (&mut self.gold, next.gold) {
            all.extend(more.into_iter().map(|entity| entity.moved(sentences)));
        }
        self.corpus.append(next.corpus).map_err(|_| TOO_LARGE)?;
        self.complete = next.complete;
        Ok(())
    }

    /// The gold label of every candidate span; `None` if gold is not known.
    pub fn dense_gold(&self, index: &SpanIndex) -> Option<Vec<LabelId>> {
        self.gold.as_deref().map(|gold| dense_labels(gold, index))
    }
}

#[cfg(test)]
impl Dynamics {
    /// A run of one epoch on `corpus`, without a threshold run. `rows` has the logits of each span, `O` first.
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
            whole: None,
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
    fn columns_of_parts_stand_side_by_side() {
        let rows: Vec<f32> = (0..21).map(|i| (i * i % 13) as f32).collect();
        for precision in [Precision::F16, Precision::F32] {
            let part = |rows: &[f32]| EpochLogits::from_rows(rows, 2, precision).unwrap();
            for cut in 0..=7 {
                let (first, second) = rows.split_at(3 * cut);
                assert_eq!(part(&rows).select(&(cut..8).collect::<Vec<_>>()), part(second));
                let mut all = part(first);
                all.append(&part(second)).unwrap();
                assert_eq!(all, part(&rows), "after {cut} spans");
            }
        }
        let mut margins = EpochLogits::from_margins(vec![1.0]);
        margins.append(&EpochLogits::from_margins(vec![2.0, 3.0])).unwrap();
        assert_eq!(margins, EpochLogits::from_margins(vec![1.0, 2.0, 3.0]));
        let mut half = EpochLogits::from_rows(&[0.0, 1.0], 1, Precision::F16).unwrap();
        let other = |types, precision| EpochLogits::from_rows(&[0.0; 6], types, precision).unwrap();
        assert!(half.append(&other(1, Precision::F32)).unwrap_err().contains("precision"));
        assert!(half.append(&other(2, Precision::F16)).unwrap_err().contains("types"));
    }

    #[test]
    fn lengths_are_checked() {
        assert!(EpochLogits::from_rows(&[1.0; 5], 1, Precision::F32).is_err());
        assert!(EpochLogits::from_columns([vec![1.0; 5]].into_iter(), 4, Precision::F32).is_err());
        assert!(EpochLogits::from_bytes(&[0; 6], 2, 2, Precision::F16).is_err());
        assert!(EpochLogits::from_bytes(&[0; 8], usize::MAX, 2, Precision::F16).is_err());
    }
}
