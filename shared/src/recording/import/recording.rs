//! The content of imported files, in columns that grow line by line.

use std::collections::BTreeMap;

use super::guids::Guids;
use super::{ImportError, Place};
use crate::corpus::labels::LabelId;
use crate::corpus::span::SpanIndex;
use crate::recording::dynamics::{EpochLogits, Precision};

/// Largest number of labels, including `O`: those that a [`LabelId`] can number, less one for an extra class.
const MAX_LABELS: usize = LabelId::MAX as usize - 1;
/// Marks a label that was not recorded.
const NOT_RECORDED: LabelId = LabelId::MAX;

/// The name of a span in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guid<'a> {
    /// A number.
    Number(u64),
    /// Any text.
    Text(&'a str),
}

impl std::fmt::Display for Guid<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

/// The values measured at one epoch.
#[derive(Debug, Clone, Copy)]
pub enum Measured<'a> {
    /// All logits, `O` first.
    Logits(&'a [f64]),
    /// Only the margin of the assigned label.
    Margin(f64),
    /// No value, as the file says.
    Nothing,
}

/// One line of a recording.
#[derive(Debug, Clone, Copy)]
pub struct Measurement<'a> {
    /// The span.
    pub guid: Guid<'a>,
    /// Index of its assigned label, if the file has it.
    pub label: Option<u64>,
    /// The epoch, as counted in the file.
    pub epoch: u32,
    /// The values.
    pub measured: Measured<'a>,
}

#[derive(Debug)]
enum Rows {
    /// Guids are ids of candidate spans; there are `n_spans` of them.
    Spans { n_spans: usize, max_width: u32 },
    /// Guids are names.
    Guids(Guids),
}

/// Dynamics as recorded. Labels have the index from the recording program.
#[derive(Debug)]
pub struct Recording {
    rows: Rows,
    labels: Vec<LabelId>,
    /// Number of labels with a logit, including `O`; `None` if margins are recorded.
    n_labels: Option<usize>,
    epochs: BTreeMap<u32, Epoch>,
    /// One bit per row: whether it has a value that is not finite, at any epoch.
    not_finite: Vec<u64>,
}

/// One epoch while it is read.
#[derive(Debug)]
struct Epoch {
    /// One column per entity type, relative to `O`; or a single column of margins.
    columns: Vec<Vec<f32>>,
    /// One bit per row: whether it was recorded.
    recorded: Vec<u64>,
    /// Where the epoch first appears.
    place: String,
}

impl Epoch {
    /// Makes room for `n_rows` rows. Rows without a value are NaN.
    fn grow(&mut self, n_rows: usize) {
        if self.recorded.len() * 64 < n_rows {
            self.recorded.resize(n_rows.div_ceil(64), 0);
        }
        for column in &mut self.columns {
            if column.len() < n_rows {
                column.resize(n_rows, f32::NAN);
            }
        }
    }

    fn has(&self, row: usize) -> bool {
        self.recorded.get(row / 64).is_some_and(|bits| bits >> (row % 64) & 1 == 1)
    }
}

impl Recording {
    /// A recording whose guids are the span ids of this index.
    pub fn of_spans(index: &SpanIndex) -> Self {
        Self::of(Rows::Spans { n_spans: index.len(), max_width: index.max_width() })
    }

    /// A recording whose guids are any names.
    pub fn of_guids() -> Self {
        Self::of(Rows::Guids(Guids::default()))
    }

    fn of(rows: Rows) -> Self {
        Self { rows, labels: Vec::new(), n_labels: None, epochs: BTreeMap::new(), not_finite: Vec::new() }
    }

    /// Number of spans in the index, or of guids seen.
    pub fn n_spans(&self) -> usize {
        match &self.rows {
            Rows::Spans { n_spans, .. } => *n_spans,
            Rows::Guids(guids) => guids.len(),
        }
    }

    /// Number of labels with a logit, including `O`; `None` if margins are recorded.
    pub fn n_labels(&self) -> Option<usize> {
        self.n_labels
    }

    /// Index of a span's assigned label, as the recording program counts; `None` if it was not recorded.
    pub fn label(&self, span: usize) -> Option<LabelId> {
        self.labels.get(span).copied().filter(|&label| label != NOT_RECORDED)
    }

    /// First and last epoch, as counted in the files.
    pub fn epochs(&self) -> Option<(u32, u32)> {
        Some((*self.epochs.first_key_value()?.0, *self.epochs.last_key_value()?.0))
    }

    /// Adds a line.
    ///
    /// # Errors
    /// When the line does not fit the span index or the lines before it.
    pub fn add(&mut self, measurement: Measurement<'_>, place: Place<'_>) -> Result<(), ImportError> {
        let Measurement { guid, label, epoch, measured } = measurement;
        let n_columns = match measured {
            Measured::Nothing => None,
            _ => Some(self.n_columns(measured).map_err(|message| place.error(message))?),
        };
        let row = self.row(guid).map_err(|message| place.error(message))?;
        if let Some(label) = label {
            self.set_label(row, label).map_err(|message| place.error(message))?;
        }
        let n_rows = match self.rows {
            Rows::Spans { n_spans, .. } => n_spans,
            Rows::Guids(_) => row + 1,
        };
        let is_finite = match measured {
            Measured::Logits(logits) => logits.iter().all(|&logit| (logit as f32).is_finite()),
            Measured::Margin(margin) => (margin as f32).is_finite(),
            Measured::Nothing => false,
        };
        if !is_finite {
            let words = (row / 64 + 1).max(self.not_finite.len());
            self.not_finite.resize(words, 0);
            if let Some(bits) = self.not_finite.get_mut(row / 64) {
                *bits |= 1 << (row % 64);
            }
        }
        // A line without a value adds nothing to the epoch: its row stays NaN.
        let Some(n_columns) = n_columns else { return Ok(()) };
        let epoch_columns = self.epochs.entry(epoch).or_insert_with(|| Epoch {
            columns: vec![Vec::new(); n_columns],
            recorded: Vec::new(),
            place: place.to_string(),
        });
        epoch_columns.grow(n_rows);
        if epoch_columns.has(row) {
            return Err(place.error(format!(
                "guid {guid} has a second record of epoch {epoch}, which began at {}: each span has one per epoch. \
                 Give each file once; where a distributed sampler repeats samples to fill its last batch, write each \
                 guid once",
                epoch_columns.place
            )));
        }
        if let Some(bits) = epoch_columns.recorded.get_mut(row / 64) {
            *bits |= 1 << (row % 64);
        }
        match measured {
            Measured::Nothing => {}
            Measured::Margin(margin) => {
                if let Some(value) = epoch_columns.columns.first_mut().and_then(|c| c.get_mut(row)) {
                    *value = margin as f32;
                }
            }
            Measured::Logits(logits) => {
                let (o, types) = logits.split_first().map_or((f64::NAN, &[][..]), |(&o, types)| (o, types));
                for (column, logit) in epoch_columns.columns.iter_mut().zip(types) {
                    if let Some(value) = column.get_mut(row) {
                        // Infinity − infinity is NaN. It flags the span, as an infinity would.
                        *value = (logit - o) as f32;
                    }
                }
            }
        }
        Ok(())
    }

    /// Number of columns of an epoch. Checks that all lines have the same number of logits.
    fn n_columns(&mut self, measured: Measured<'_>) -> Result<usize, String> {
        let found = match measured {
            Measured::Margin(_) | Measured::Nothing => None,
            Measured::Logits(logits) => Some(logits.len()),
        };
        if let Some(n) = found
            && !(2..=MAX_LABELS).contains(&n)
        {
            return Err(format!("{n} logits, expected 2 to {MAX_LABELS}: that of O (not an entity) first"));
        }
        if self.epochs.is_empty() {
            self.n_labels = found;
        }
        match (self.n_labels, found) {
            (Some(expected), Some(found)) if expected != found => {
                Err(format!("{found} logits, but {expected} in the lines before: all must be of the same labels"))
            }
            (None, None) => Ok(1),
            (Some(expected), Some(_)) => Ok(expected - 1),
            _ => Err("margins and logits cannot be joined in one run: convert them apart".to_owned()),
        }
    }

    fn row(&mut self, guid: Guid<'_>) -> Result<usize, String> {
        match (&mut self.rows, guid) {
            (Rows::Spans { n_spans, max_width }, guid) => {
                let number = match guid {
                    Guid::Number(number) => Some(number),
                    Guid::Text(text) => text.trim().parse().ok(),
                };
                let row = number.and_then(|n| usize::try_from(n).ok()).filter(|row| row < n_spans);
                row.ok_or_else(|| {
                    format!(
                        "guid {guid} is no span of the corpus, whose candidates of up to {max_width} tokens have the ids \
                         0 to {}: give the corpus that was trained on, and its --max-span-width; or convert without \
                         --corpus",
                        n_spans.saturating_sub(1)
                    )
                })
            }
            (Rows::Guids(guids), guid) => {
                let row = match guid {
                    Guid::Text(text) => guids.row(text),
                    Guid::Number(number) => guids.row(decimal(number, &mut [0; 20])),
                };
                row.ok_or_else(|| "more than 4 billion guids: split the recording".to_owned())
            }
        }
    }

    fn set_label(&mut self, row: usize, label: u64) -> Result<(), String> {
        let limit = self.n_labels.unwrap_or(MAX_LABELS);
        let known = LabelId::try_from(label).ok().filter(|&l| usize::from(l) < limit);
        let label = known.ok_or_else(|| format!("label {label}, but labels are numbered 0 to {}", limit - 1))?;
        if self.labels.len() <= row {
            let n = match self.rows {
                Rows::Spans { n_spans, .. } => n_spans,
                Rows::Guids(_) => row + 1,
            };
            self.labels.resize(n, NOT_RECORDED);
        }
        match self.labels.get_mut(row) {
            Some(slot) if *slot == NOT_RECORDED || *slot == label => {
                *slot = label;
                Ok(())
            }
            other => Err(format!(
                "the label of this guid is {label}, but {} in an earlier line: a span's label stays the same in a run",
                other.map_or(0, |l| *l)
            )),
        }
    }

    /// Checks that the epochs begin at 0 or 1 and have no gap.
    pub(super) fn check_epochs(&self) -> Result<(), ImportError> {
        let mut due = None;
        for (&epoch, columns) in &self.epochs {
            let fits = due.map_or(epoch <= 1, |due| epoch == due);
            if !fits {
                let due = due.map_or("0 or 1".to_owned(), |due: u32| due.to_string());
                return Err(ImportError::Misfit(format!(
                    "{}: this is epoch {epoch}, but epoch {due} is missing: give the files of all epochs",
                    columns.place
                )));
            }
            due = epoch.checked_add(1);
        }
        if self.epochs.is_empty() {
            return Err(ImportError::Misfit("the files hold no records".to_owned()));
        }
        Ok(())
    }

    /// Number of spans with a value that is not finite, at any epoch.
    pub(super) fn n_not_finite(&self) -> usize {
        self.not_finite.iter().map(|bits| bits.count_ones() as usize).sum()
    }

    /// Number of spans without a record at one epoch or more.
    pub(super) fn n_incomplete(&self) -> usize {
        let n = self.n_spans();
        let complete = |word: usize| {
            let all = |bits: u64, epoch: &Epoch| bits & epoch.recorded.get(word).copied().unwrap_or(0);
            self.epochs.values().fold(u64::MAX, all).count_ones() as usize
        };
        // Bits after the last row are never set.
        n - (0..n.div_ceil(64)).map(complete).sum::<usize>()
    }

    /// Converts the epochs to their final form, and returns the guids too. Each epoch is freed when the next one
    /// is built. `order[i]` is the label of the logit at index `i`.
    pub(super) fn into_epochs(
        self,
        order: &[LabelId],
        precision: Precision,
    ) -> Result<(Vec<EpochLogits>, Option<Guids>), ImportError> {
        let n_spans = self.n_spans();
        let is_margins = self.n_labels.is_none();
        let mut epochs = Vec::with_capacity(self.epochs.len());
        for (_, mut epoch) in self.epochs {
            // New guids may have appeared after the last line of this epoch.
            epoch.grow(n_spans);
            let mut columns = epoch.columns;
            if is_margins {
                epochs.push(EpochLogits::from_margins(columns.pop().unwrap_or_default()));
                continue;
            }
            let sorted = (1..=columns.len()).map(|label| {
                let index = order.iter().position(|&l| usize::from(l) == label).unwrap_or(label);
                columns.get_mut(index - 1).map(std::mem::take).unwrap_or_default()
            });
            let logits = EpochLogits::from_columns(sorted.collect::<Vec<_>>().into_iter(), n_spans, precision);
            epochs.push(logits.map_err(|e| ImportError::Misfit(e.to_string()))?);
        }
        let guids = match self.rows {
            Rows::Guids(guids) => Some(guids),
            Rows::Spans { .. } => None,
        };
        Ok((epochs, guids))
    }
}

/// The decimal digits of a number, without allocation.
fn decimal(mut number: u64, buffer: &mut [u8; 20]) -> &str {
    let mut digits = 0;
    for slot in buffer.iter_mut().rev() {
        *slot = b'0' + (number % 10) as u8;
        number /= 10;
        digits += 1;
        if number == 0 {
            break;
        }
    }
    buffer.get(20 - digits..).and_then(|d| std::str::from_utf8(d).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits() {
        for number in [0, 7, 10, 1_234_567_890, u64::MAX] {
            assert_eq!(decimal(number, &mut [0; 20]), number.to_string());
        }
    }
}
