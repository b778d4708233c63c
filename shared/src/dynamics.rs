//! Training dynamics in columns: the logits of many spans at every epoch.

use std::ops::Range;

use half::f16;
use half::slice::HalfFloatSliceExt;
use serde::{Deserialize, Serialize};

use crate::corpus::{Corpus, Entity, dense_labels};
use crate::labels::LabelId;
use crate::span::{SpanId, SpanIndex, TooManySpans};
use crate::vectors::widen;

/// The logits of `n_spans` spans after one epoch, relative to the logit of `O`.
///
/// Margins and probabilities do not change when a constant is added to all logits of a span, so
/// the logit of `O` is subtracted from the others and not stored. One column per entity type, one
/// element per span.
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
        let values = match precision {
            Precision::F32 => Values::F32(columns),
            Precision::F16 => {
                let mut half = vec![f16::ZERO; columns.len()];
                half.convert_from_f32_slice(&columns);
                Values::F16(half)
            }
        };
        Ok(Self { n_spans, n_types, values })
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
            Values::F32(_) => Precision::F32,
        }
    }

    /// Relative logits of type `kind` (from 0) for a range of spans, into `out` (one per span).
    #[inline(always)]
    pub(crate) fn read(&self, kind: usize, spans: Range<usize>, out: &mut [f32]) {
        let range = kind * self.n_spans + spans.start..kind * self.n_spans + spans.end;
        match &self.values {
            Values::F16(values) => widen(&values[range], out),
            Values::F32(values) => out.copy_from_slice(&values[range]),
        }
    }

    /// All logits of one span relative to `O`, `O` (0) first: `n_types + 1` values.
    pub fn row(&self, span: usize) -> Vec<f32> {
        let mut row = vec![0f32; self.n_types + 1];
        if span < self.n_spans {
            for kind in 0..self.n_types {
                self.read(kind, span..span + 1, &mut row[kind + 1..kind + 2]);
            }
        }
        row
    }

    /// The columns as little-endian bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        match &self.values {
            Values::F16(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Values::F32(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }

    /// The columns from little-endian bytes.
    pub(crate) fn from_bytes(
        bytes: &[u8],
        n_spans: usize,
        n_types: usize,
        precision: Precision,
    ) -> Result<Self, WrongLength> {
        let found = bytes.len() / precision.bytes();
        let expected = n_spans.saturating_mul(n_types);
        if expected.checked_mul(precision.bytes()) != Some(bytes.len()) {
            return Err(WrongLength { n_spans, n_types, expected, found });
        }
        let values = match precision {
            Precision::F16 => Values::F16(bytes.as_chunks::<2>().0.iter().map(|&b| f16::from_le_bytes(b)).collect()),
            Precision::F32 => Values::F32(bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect()),
        };
        Ok(Self { n_spans, n_types, values })
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
    pub dev: crate::score::Prf,
}

/// What a training run recorded: the logits of the same spans after each epoch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Run {
    /// Logits after epoch 1, 2, ….
    pub epochs: Vec<EpochLogits>,
    /// Scores after epoch 1, 2, … (may be shorter than `epochs`).
    pub scores: Vec<EpochScore>,
}

/// How threshold samples were mislabelled (DynClean §3.3; DESIGN §2.4).
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
    /// The run on the distant labels: logits of all candidate spans.
    pub run: Run,
    /// The run with threshold samples.
    pub threshold_run: Option<ThresholdRun>,
    /// Whether the file was finished; otherwise the run was cut off and later epochs are missing.
    pub complete: bool,
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
mod tests {
    use super::*;

    #[test]
    fn logits_are_kept_relative_to_o() {
        let logits = EpochLogits::from_rows(&[1.0, 3.0, -2.0, 0.5, 0.5, 0.25], 2, Precision::F16).unwrap();
        assert_eq!(logits.row(0), [0.0, 2.0, -3.0]);
        assert_eq!(logits.row(1), [0.0, 0.0, -0.25]);
        let again = EpochLogits::from_bytes(&logits.to_bytes(), 2, 2, Precision::F16).unwrap();
        assert_eq!(again, logits);
    }

    #[test]
    fn lengths_are_checked() {
        assert!(EpochLogits::from_rows(&[1.0; 5], 1, Precision::F32).is_err());
        assert!(EpochLogits::from_bytes(&[0; 6], 2, 2, Precision::F16).is_err());
        assert!(EpochLogits::from_bytes(&[0; 8], usize::MAX, 2, Precision::F16).is_err());
    }
}
