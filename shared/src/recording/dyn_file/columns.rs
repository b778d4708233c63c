//! The positions of a main run's logits in its file. They allow reading only some spans at a time.

use std::ops::Range;

use super::EpochShape;
use crate::recording::dynamics::{Run, WrongLength};

/// The columns of a file's main run. Each epoch has one column per entity type (or one of margins); each column
/// has one value per span.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Columns {
    epochs: Vec<Place>,
}

#[derive(Debug, Clone, PartialEq)]
struct Place {
    /// Position of the first column, in bytes from the beginning of the file.
    offset: u64,
    shape: EpochShape,
}

impl Columns {
    pub(super) fn push(&mut self, offset: u64, shape: EpochShape) {
        self.epochs.push(Place { offset, shape });
    }

    /// Number of epochs.
    pub fn n_epochs(&self) -> usize {
        self.epochs.len()
    }

    /// The columns of these epochs only (counted from 0).
    pub(crate) fn within(&self, epochs: Range<usize>) -> Self {
        Self { epochs: self.epochs.get(epochs).unwrap_or_default().to_vec() }
    }

    /// Number of bytes per span, over all epochs.
    pub fn bytes_per_span(&self) -> usize {
        self.epochs.iter().map(|place| place.shape.bytes(1)).sum()
    }

    /// The parts of the file that hold these spans, in the order that [`Columns::run_of`] needs.
    pub fn ranges(&self, spans: Range<usize>) -> Vec<Range<u64>> {
        let of_epoch = |Place { offset, shape }: &Place| {
            let (offset, width, rows) = (*offset, shape.precision.bytes() as u64, shape.n_spans as u64);
            let (start, end) = (spans.start as u64, spans.end as u64);
            (0..shape.columns() as u64).map(move |column| {
                let at = |row: u64| offset + (column * rows + row) * width;
                at(start)..at(end)
            })
        };
        self.epochs.iter().flat_map(of_epoch).collect()
    }

    /// Builds the run of `n_spans` spans only. `bytes` are the bytes of their [`Columns::ranges`], one after the
    /// other.
    ///
    /// # Errors
    /// When there are fewer bytes.
    pub fn run_of(&self, n_spans: usize, bytes: &[u8]) -> Result<Run, WrongLength> {
        let mut rest = bytes;
        let mut run = Run::default();
        for Place { shape, .. } in &self.epochs {
            let (own, others) = rest.split_at_checked(shape.bytes(n_spans)).unwrap_or((rest, &[]));
            run.epochs.push(shape.logits(own, n_spans)?);
            rest = others;
        }
        Ok(run)
    }
}
