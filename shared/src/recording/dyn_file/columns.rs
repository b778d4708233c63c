//! The positions of a main run's logits in its file. They allow reading only some spans at a time.

use std::ops::Range;

use super::{EpochSection, EpochShape};
use crate::recording::dynamics::{Run, WrongLength};

/// The columns of a file's main run. Each epoch has one column per entity type (or one of margins); each column
/// has one value per span. In a recording of several parts, each part has columns of its own spans.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Columns {
    /// The epochs of each part.
    parts: Vec<Vec<Place>>,
}

#[derive(Debug, Clone, PartialEq)]
struct Place {
    /// Position of the first column, in bytes from the beginning of the file.
    offset: u64,
    shape: EpochShape,
}

impl Columns {
    /// Begins a part.
    pub(super) fn begin_part(&mut self) {
        self.parts.push(Vec::new());
    }

    /// Takes the next epoch of the part that was begun last.
    pub(super) fn push(&mut self, offset: u64, shape: EpochShape) {
        if let Some(part) = self.parts.last_mut() {
            part.push(Place { offset, shape });
        }
    }

    /// The epochs, as the first part has them. All parts have epochs of the same kind.
    fn epochs(&self) -> &[Place] {
        self.parts.first().map_or(&[], Vec::as_slice)
    }

    /// Number of epochs.
    pub fn n_epochs(&self) -> usize {
        self.epochs().len()
    }

    /// The columns of these epochs only (counted from 0).
    pub(crate) fn within(&self, epochs: Range<usize>) -> Self {
        let within = |part: &Vec<Place>| part.get(epochs.clone()).unwrap_or_default().to_vec();
        Self { parts: self.parts.iter().map(within).collect() }
    }

    /// Number of bytes per span, over all epochs.
    pub fn bytes_per_span(&self) -> usize {
        self.epochs().iter().map(|place| place.shape.bytes(1)).sum()
    }

    /// The parts of the file that hold these spans, in the order that [`Columns::run_of`] needs.
    pub fn ranges(&self, spans: Range<usize>) -> Vec<Range<u64>> {
        (0..self.n_epochs()).flat_map(|epoch| self.epoch_ranges(epoch, std::slice::from_ref(&spans))).collect()
    }

    /// The section of an epoch (counted from 0) in a file with some of the spans. Their columns are those of
    /// [`Columns::epoch_ranges`], one after the other. `None` if there is no such epoch.
    pub fn section(&self, epoch: usize, spans: &[Range<usize>]) -> Option<EpochSection> {
        let n_spans = spans.iter().map(ExactSizeIterator::len).sum();
        let shape = EpochShape { n_spans, ..self.epochs().get(epoch)?.shape.clone() };
        Some(EpochSection::of(&shape))
    }

    /// The parts of the file that hold the columns of an epoch (counted from 0) for these spans, column by column.
    pub fn epoch_ranges(&self, epoch: usize, spans: &[Range<usize>]) -> Vec<Range<u64>> {
        let n_columns = self.epochs().get(epoch).map_or(0, |place| place.shape.columns());
        let mut ranges = Vec::with_capacity(n_columns * spans.len());
        for column in 0..n_columns as u64 {
            for spans in spans {
                let mut first = 0;
                for Place { offset, shape } in self.parts.iter().filter_map(|part| part.get(epoch)) {
                    let (width, rows) = (shape.precision.bytes() as u64, shape.n_spans);
                    let own = spans.start.clamp(first, first + rows)..spans.end.clamp(first, first + rows);
                    let at = |span: usize| offset + (column * rows as u64 + (span - first) as u64) * width;
                    if !own.is_empty() {
                        ranges.push(at(own.start)..at(own.end));
                    }
                    first += rows;
                }
            }
        }
        ranges
    }

    /// Builds the run of `n_spans` spans only. `bytes` are the bytes of their [`Columns::ranges`], one after the
    /// other.
    ///
    /// # Errors
    /// When there are fewer bytes.
    pub fn run_of(&self, n_spans: usize, bytes: &[u8]) -> Result<Run, WrongLength> {
        let mut rest = bytes;
        let mut run = Run::default();
        for Place { shape, .. } in self.epochs() {
            let (own, others) = rest.split_at_checked(shape.bytes(n_spans)).unwrap_or((rest, &[]));
            run.epochs.push(shape.logits(own, n_spans)?);
            rest = others;
        }
        Ok(run)
    }
}
